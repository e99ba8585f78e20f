"""Plain-text and HTML tables for reports."""

from html import escape


def text_table(columns, rows):
    """Rows of strings under aligned headers: the first column to the left, others to the right."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = []
    for row in [columns, *rows]:
        cells = [
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def html_report(title, columns, rows, sentences):
    """A heading, a table of strings and a list of sentences, everything escaped."""
    head = _html_row("th", columns)
    body = "".join(_html_row("td", row) for row in rows)
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return (
        f"<div><strong>{escape(title)}</strong>"
        f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
        f"<ul>{items}</ul></div>"
    )


def _html_row(tag, cells):
    first, *others = map(escape, cells)
    row = f'<{tag} style="text-align: left">{first}</{tag}>'
    for cell in others:
        row += f'<{tag} style="text-align: right; padding: 0 1em">{cell}</{tag}>'
    return f"<tr>{row}</tr>"
