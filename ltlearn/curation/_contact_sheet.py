"""A page of thumbnails on which a person can review what was kept and what was rejected."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ltlearn.curation._files import checksum, write_atomically
from ltlearn.curation._manifest import ManifestRow, neighbors_of
from ltlearn.exceptions import BadImageError
from ltlearn.images._decode import decode_image, read_bytes
from ltlearn.utils._typing import FilePath

THUMBNAIL = 112

STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 0; border-top: 1px solid #ccc; padding-top: .75rem; }
h3 { font-size: .95rem; margin: 1rem 0 .4rem; }
p { margin: .2rem 0; max-width: 60rem; }
.grid { display: flex; flex-wrap: wrap; gap: .6rem; }
figure { width: 8.2rem; margin: 0; }
.thumbnail { width: 112px; height: 112px; padding: 3px; border: 3px solid; display: flex;
  align-items: center; justify-content: center; background: #f4f4f4; color: #555; }
.thumbnail img { width: 112px; height: 112px; object-fit: contain; }
.keep .thumbnail { border-color: #0072b2; }
.reject .thumbnail { border-color: #d55e00; border-style: dashed; }
table { border-collapse: collapse; margin-top: 1rem; font-size: .875rem; }
th, td { text-align: left; padding: .15rem 1.25rem .15rem 0; vertical-align: top; }
td.number, th.number { text-align: right; }
a { color: inherit; }
figcaption { font-size: .75rem; line-height: 1.25; overflow-wrap: anywhere; margin-top: .2rem; }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Contact sheet</title>
<style>{style}</style>
</head>
<body>
<h1>Contact sheet</h1>
<p>{kept} of {total} candidates kept in {classes} auxiliary classes. The number under an image is
its cosine similarity to the nearest target class that its own was proposed for. The least certain
come first: the least similar of the kept, the most similar of the rejected.</p>
<p>To change a decision, edit the column <code>decision</code> of <code>manifest.csv</code> and run
the curation again, or load the folder.</p>
<table>
<tr><th>Class</th><th class="number">Kept</th><th class="number">Rejected</th>
<th>Neighbor of</th></tr>
{overview}
</table>
{sections}
</body>
</html>
"""


def write_contact_sheet(
    folder: FilePath, rows: Sequence[ManifestRow], *, max_images: int = 24
) -> Path:
    """Write ``contact_sheet.html``: one file that needs no other and runs no script.

    Parameters
    ----------
    folder : path-like
        Output folder of :func:`~ltlearn.curation.curate`.
    rows : sequence of ManifestRow
        The manifest.
    max_images : int, default=24
        Most images shown of each class as kept, and as rejected.

    Returns
    -------
    path : pathlib.Path

    Examples
    --------
    After decisions were edited:

    >>> from ltlearn.curation import load_curated, write_contact_sheet
    >>> data = load_curated("curated")  # doctest: +SKIP
    >>> path = write_contact_sheet(data.folder, data.rows)  # doctest: +SKIP
    """
    folder = Path(folder)
    by_class: dict[str, list[ManifestRow]] = {}
    for row in rows:
        by_class.setdefault(row.name, []).append(row)
    targets_of: dict[str, list[str]] = {name: [] for name in by_class}
    for target, names in neighbors_of(rows).items():
        for name in names:
            targets_of[name].append(target)
    names = sorted(by_class)
    overview = [
        _overview(i, name, by_class[name], targets_of[name]) for i, name in enumerate(names)
    ]
    sections = [
        _section(i, name, by_class[name], targets_of[name], folder, max_images)
        for i, name in enumerate(names)
    ]
    page = PAGE.format(
        style=STYLE,
        kept=sum(row.kept for row in rows),
        total=len(rows),
        classes=len({row.name for row in rows if row.kept}),
        overview="\n".join(overview),
        sections="\n".join(sections),
    )
    path = folder / "contact_sheet.html"
    write_atomically(path, page)
    return path


def _overview(number, name, rows, targets):
    kept = sum(row.kept for row in rows)
    return (
        f'<tr><td><a href="#class{number}">{escape(name)}</a></td><td class="number">{kept}</td>'
        f'<td class="number">{len(rows) - kept}</td><td>{escape(", ".join(targets))}</td></tr>'
    )


def _section(number, name, rows, targets, folder, max_images):
    kept = sorted((row for row in rows if row.kept), key=_similarity)
    rejected = sorted((row for row in rows if not row.kept), key=_similarity, reverse=True)
    relation = f"Neighbor of {', '.join(targets)}." if targets else "Not used."
    return (
        f'<section id="class{number}">\n<h2>{escape(name)}</h2>\n<p>{escape(relation)}</p>\n'
        + _grid("Kept", "keep", kept, folder, max_images)
        + _grid("Rejected", "reject", rejected, folder, max_images)
        + "</section>"
    )


def _grid(title, kind, rows, folder, max_images):
    if not rows:
        return ""
    figures = "\n".join(_figure(row, kind, folder) for row in rows[:max_images])
    more = len(rows) - max_images
    shown = f", {more} of them not shown" if more > 0 else ""
    return f'<h3>{title}: {len(rows)}{shown}</h3>\n<div class="grid">\n{figures}\n</div>\n'


def _figure(row, kind, folder):
    similarity = f"<b>{escape(row.similarity)}</b><br>" if row.similarity else ""
    return (
        f'<figure class="{kind}" title="{escape(row.source)}">'
        f'<div class="thumbnail">{_thumbnail(row, folder)}</div>'
        f"<figcaption>{similarity}{escape(row.reason)}</figcaption></figure>"
    )


def _thumbnail(row, folder):
    if not row.file:
        return "no image"
    try:
        data = read_bytes(folder / row.file)
        if row.checksum and checksum(data) != row.checksum:
            return "changed"
        image = decode_image(data, row.file)
    except BadImageError:
        return "no image"
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=80)
    encoded = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{encoded}">'


def _similarity(row):
    return float(row.similarity or "-inf")
