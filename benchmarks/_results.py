"""Measurements in files, when and with which versions they were made, and the tables from them."""

import json
import platform
import re
from contextlib import contextmanager
from datetime import date
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("ltlearn", "torch", "skorch", "scikit-learn", "numpy", "timm", "pandas")


@contextmanager
def noted(path, growing=None):
    """Note the run inside, when it has measured anything, beside the measurements.

    Parameters
    ----------
    path : pathlib.Path
        The measurements.
    growing : list of pathlib.Path, default=None
        Files that every finished fit is appended to; ``[path]`` by default. Earlier notes are kept
        where one of them was there before, since its fits are not repeated.
    """
    growing = growing or [path]
    before = [_size(file) for file in growing]
    try:
        yield
    finally:
        if [_size(file) for file in growing] != before:
            note_run(path, anew=not any(before))


def note_run(path, *, anew):
    """Note date and versions beside the measurements; ``anew`` drops what was noted before."""
    versions = {"python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in PACKAGES}
    run = {"date": date.today().isoformat(), "versions": versions}
    runs = [] if anew else read_notes(path)
    if run not in runs:
        runs.append(run)
    _notes(path).parent.mkdir(parents=True, exist_ok=True)
    _notes(path).write_text(json.dumps(runs, indent=1, ensure_ascii=False) + "\n")


def read_notes(path):
    """The runs that were noted, a list of dict."""
    return json.loads(_notes(path).read_text()) if _notes(path).exists() else []


def format_notes(path):
    """When and with which versions the measurements were made, in Markdown."""
    lines = []
    for run in read_notes(path):
        versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        remark = f" {run['remark']}" if "remark" in run else ""
        lines.append(f"Date: {run['date']}. Versions: {versions or 'not recorded'}.{remark}")
    return "\n\n".join(lines or ["Date and versions: not recorded."])


def format_page(path, question, command, legend, tables):
    """The page that shows all tables of a file of measurements.

    Parameters
    ----------
    path : pathlib.Path
    question, command, legend : str
    tables : dict of str to str
        Markdown by title.
    """
    parts = [f"# {question}", f"`python benchmarks/{command}`", format_notes(path)]
    parts.append(f"Written from `{path.name}` by `benchmarks/render.py`.")
    parts += [legend.strip()] if legend else []
    parts += [f"## {title}\n\n{table}" for title, table in tables.items()]
    return "\n\n".join(parts) + "\n"


def fill_summaries(text, summarize):
    """The text with the table after every paragraph that ends ``<!-- summary: NAME -->`` replaced.

    Parameters
    ----------
    text : str
    summarize : callable
        From a name to a table.
    """
    return re.sub(
        r"(<!-- summary: (\w+) -->\n\n)(?:\|.*\n)*",
        lambda match: f"{match[1]}{summarize(match[2])}\n",
        text,
    )


def _notes(path):
    return path.with_suffix(".meta.json")


def _size(file):
    return file.stat().st_size if file.exists() else 0
