"""Tables in Markdown, and numbers as they stand in them."""

import numpy as np


def markdown_table(header, rows):
    """A table whose first column is text and whose others are numbers.

    Parameters
    ----------
    header : list of str
    rows : list of list of str

    Returns
    -------
    str
    """
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def mean_and_std(values):
    """Mean and, of several values, sample standard deviation, as text."""
    return f"{values.mean():.1f}" + (f" ± {values.std():.1f}" if len(values) > 1 else "")


def p_value_text(p_value):
    """Three decimals, or that it is less than they show."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def difference_text(row):
    """Difference in points and its p-value, as text; a row of ``paired_differences``."""
    p_value = "" if np.isnan(row["p_holm"]) else f" (p {p_value_text(row['p_holm'])})"
    return f"{100 * row['difference']:+.1f}{p_value}"


def star(is_significant):
    """The mark of a difference with Holm's p < 0.05."""
    return "*" if is_significant else ""
