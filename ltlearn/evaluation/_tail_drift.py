"""After deployment: do new rows still look like those that a model was judged on?"""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import column_or_1d

from ltlearn.evaluation._diagnose import _guess_task
from ltlearn.evaluation._drift_counts import NAMES, OUTSIDE, PARTS, Labels, Side, columns
from ltlearn.evaluation._rendering import html_report, text_table
from ltlearn.metrics import ClassBands, LabelBands
from ltlearn.utils._compat import Interval, StrOptions, validate_params

_MAX_SHOWN = 5  # columns of X in the printed table, beside those that changed
_COLUMNS = [
    "part",
    "where",
    "reference",
    "new",
    "change",
    "change_low",
    "change_high",
    "n_new",
    "changed",
]


@dataclass(frozen=True, repr=False)
class TailDrift:
    """What :func:`tail_drift` found. Its ``repr`` and its HTML form are meant to be read.

    Attributes
    ----------
    n_reference, n_new : int
        Rows on both sides.
    bands : LabelBands or ClassBands or None
        Many, medium and few; None where neither labels nor predictions were compared.
    confidence_level : float
        With which all intervals hold together.
    findings, advice : tuple of str
        Sentences: what is so, and what to do about it.
    """

    n_reference: int
    n_new: int
    bands: LabelBands | ClassBands | None
    confidence_level: float
    findings: tuple
    advice: tuple
    _rows: tuple

    @property
    def has_changed(self):
        """Whether any share has changed."""
        return any(row.has_changed for row in self._rows)

    def to_frame(self):
        """One row per band of the labels, band of the predictions and column of the inputs.

        Returns
        -------
        DataFrame
            ``part`` (labels, predictions or inputs), ``where`` (the band or column),
            ``reference`` and ``new`` (shares of rows), ``change`` (their difference) with its
            interval from ``change_low`` to ``change_high``, ``n_new`` (new rows there) and
            ``changed`` (whether the interval leaves out 0).
        """
        import pandas as pd

        return pd.DataFrame([row.values() for row in self._rows], columns=_COLUMNS)

    def _table(self):
        columns = ["part", "where", "reference", "new", "change in points", "changed"]
        inputs = [row for row in self._rows if row.part == "inputs"]
        inputs.sort(key=lambda row: (row.has_changed, row.change.value), reverse=True)
        n_shown = max(_MAX_SHOWN, sum(row.has_changed for row in inputs))
        hidden = {id(row) for row in inputs[n_shown:]}
        return columns, [row.cells() for row in self._rows if id(row) not in hidden]

    def _title(self):
        n_changed = sum(row.has_changed for row in self._rows)
        return (
            f"{self.n_new:,} new rows beside {self.n_reference:,}: {n_changed} of "
            f"{len(self._rows)} shares changed"
        )

    def __repr__(self):
        sentences = "\n".join(f"- {sentence}" for sentence in (*self.findings, *self.advice))
        return f"{self._title()}\n\n{text_table(*self._table())}\n\n{sentences}"

    def _repr_html_(self):
        return html_report(self._title(), *self._table(), (*self.findings, *self.advice))


@validate_params(
    {
        "reference": "no_validation",  # which checks and names both itself
        "new": "no_validation",
        "bands": [LabelBands, ClassBands, None],
        "task": [StrOptions({"regression", "classification"}), None],
        "bin_centers": ["array-like", None],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def tail_drift(
    reference: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    bands: LabelBands | ClassBands | None = None,
    task: Literal["regression", "classification"] | None = None,
    bin_centers: ArrayLike | None = None,
    confidence_level: float = 0.95,
) -> TailDrift:
    """Compare new rows with those that a model was judged on, tail first.

    Three things are counted. *Labels* and *predictions*, as far as both sides have them: which
    share falls in the many, medium and few bands of the training labels. *Inputs*: which share of
    the new rows has a value outside the range of a column, a category that the reference has not,
    or the first missing value; what the reference gives for comparison is the share that further
    rows of its kind are expected to have there.

    All intervals hold together with probability ``confidence_level`` (Bonferroni), so that rows
    from an unchanged source rarely give a single "changed", however many columns there are.

    Parameters
    ----------
    reference : mapping
        ``"X"`` (table of shape (n_samples, n_features)), ``"y"`` (labels) and ``"y_pred"``
        (predictions); one of them will do. For predictions take rows that the model was not
        fitted to, such as its test rows: those of training rows are too good.
    new : mapping
        The same of the new rows. What only one side has is left out.
    bands : LabelBands or ClassBands, default=None
        Bands of the training labels, such as ``model.label_bands_``. None makes them of
        ``reference["y"]``.
    task : {"regression", "classification"}, default=None
        What labels are, as for :func:`diagnose`; given ``bands`` say it themselves.
    bin_centers : array-like of shape (n_bins,), default=None
        Scores of the bins where labels or predictions are score distributions; None takes 1, 2,
        ..., n_bins.
    confidence_level : float, default=0.95
        Of all intervals together.

    Returns
    -------
    TailDrift
        Print it, or show it in a notebook.

    Raises
    ------
    ValueError
        If the sides have nothing in common or other columns, a side has no rows or parts of
        different lengths, or bands are needed and cannot be made.

    See Also
    --------
    diagnose : The same view of one set of labels, before training.
    tail_report : Errors of a model by band, where new rows have labels.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.evaluation import tail_drift
    >>> rng = np.random.default_rng(0)
    >>> old = {"X": rng.normal(size=(2000, 2)), "y": rng.exponential(size=2000)}
    >>> new = {"X": rng.normal(size=(500, 2)), "y": 2 * rng.exponential(size=500)}
    >>> drift = tail_drift(old, new)
    >>> print(drift.findings[1])
    Labels in 'few': 9.2% before, 29.2% now, +20.0 points [+14.7, +25.9].
    >>> frame = drift.to_frame()
    >>> sorted(set(frame.loc[frame["changed"], "part"]))
    ['labels']
    """
    old, recent = Side(reference, "reference"), Side(new, "new")
    common = [part for part in PARTS if part in old.parts and part in recent.parts]
    if not common:
        raise ValueError(
            f"reference has {sorted(old.parts)} and new has {sorted(recent.parts)}: there is "
            'nothing to compare. Give both "X", "y" or "y_pred".'
        )
    targets = [part for part in common if part != "X"]
    if targets and bands is None:
        bands = _make_bands(old, task, bin_centers)
    comparisons = [
        *(Labels(part, old, recent, bands, bin_centers) for part in targets),
        *(columns(old.parts["X"], recent.parts["X"]) if "X" in common else []),
    ]
    n_shares = sum(comparison.n_shares for comparison in comparisons)
    level = 1 - (1 - confidence_level) / n_shares
    rows = tuple(row for comparison in comparisons for row in comparison.rows(level))
    return TailDrift(
        old.n_rows,
        recent.n_rows,
        bands if targets else None,
        confidence_level,
        tuple(_describe(rows)),
        tuple(_advise(rows)),
        rows,
    )


def _make_bands(reference, task, bin_centers):
    if "y" not in reference.parts:
        raise ValueError(
            'Bands of the training labels are needed: pass bands=model.label_bands_, or "y" in '
            "reference."
        )
    y = np.asarray(reference.parts["y"])
    is_distribution = y.ndim == 2 and y.shape[1] > 1
    if task is None:
        task = "regression" if is_distribution else _guess_task(column_or_1d(y))
    if task == "classification":
        return ClassBands.from_labels(reference.labels("y", True, bin_centers))
    return LabelBands.from_density(reference.labels("y", False, bin_centers))


def _describe(rows):
    changed = [row for row in rows if row.has_changed]
    if not changed:
        widest = max(50 * (row.change.high - row.change.low) for row in rows)
        yield f"No share has changed measurably; their changes are known to ±{widest:.1f} points."
    for row in changed:
        if row.part == "inputs":
            where = f"Values of {row.where} {OUTSIDE}"
        elif row.where == OUTSIDE:
            where = f"{row.part.capitalize()} {OUTSIDE}"
        else:
            where = f"{row.part.capitalize()} in {row.where!r}"
        change = row.change
        yield (
            f"{where}: {row.reference.value:.1%} before, {row.new.value:.1%} now, "
            f"{100 * change.value:+.1f} points [{100 * change.low:+.1f}, {100 * change.high:+.1f}]."
        )


def _advise(rows):
    changed = {(row.part, row.where): row.change.value for row in rows if row.has_changed}
    if not changed:
        return
    if any(part == "inputs" for part, _ in changed):
        yield (
            "Predictions for inputs outside the range of training are extrapolations; look at "
            "these rows first."
        )
    if ("labels", OUTSIDE) in changed:
        yield "Some labels have no like in the reference: gather such rows and train again."
    moved = {part for part, _ in changed} & set(NAMES.values())
    if moved == {"predictions"}:
        yield (
            "Predictions have moved: label a sample of the new rows, from every band, and pass "
            "it to tail_report."
        )
    if "labels" in moved:
        yield (
            "Overall errors of old and new rows are not comparable: compare them by band, with "
            "tail_report."
        )
    yield (
        "Recalibrated predictions, intervals and chosen thresholds refer to the old rows; fit them "
        "to new ones where labels allow."
    )
