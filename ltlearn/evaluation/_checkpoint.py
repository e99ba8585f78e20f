"""Finished runs of a comparison on disk, so that an interrupted one resumes."""

import hashlib
import json
from functools import partial
from importlib.metadata import version
from pathlib import Path

from sklearn.frozen import FrozenEstimator

from ltlearn._version import __version__
from ltlearn.persistence._hashing import content_hash

# What fitting the same again does not give again: entries of history_ and attributes of searches.
DURATIONS = {
    *("dur", "refit_time_"),
    *("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"),
}


# Of a row: what it is about and what was measured.
_TEXTS = {"estimator", "kind", "metric", "band"}
_NUMBERS = {"value", "fit_seconds"}


def versions():
    """Versions of the packages that decide what a run gives."""
    names = ("scikit-learn", "torch", "numpy")
    return {"ltlearn": __version__, **{name: version(name) for name in names}}


class Checkpoint:
    """Append-only file of finished runs, one JSON object a line.

    A line that is no complete run, such as one cut short by an interruption, is skipped: that run
    is done again.

    Parameters
    ----------
    path : path-like or None
        None keeps nothing.
    """

    def __init__(self, path):
        self.path = None if path is None else Path(path)
        self._finished = dict(self._read())

    def get(self, key):
        """Return the rows stored under ``key``, or None."""
        return self._finished.get(key)

    def add(self, key, rows):
        """Store the rows of a finished run, on disk at once."""
        self._finished[key] = rows
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(json.dumps({"key": key, "rows": rows}).encode() + b"\n")

    def _read(self):
        if self.path is None or not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if _is_run(record):
                yield record["key"], record["rows"]


def _is_run(record):
    """Whether a line holds a key and rows that lack nothing."""
    if not (isinstance(record, dict) and isinstance(record.get("key"), str)):
        return False
    rows = record.get("rows")
    return isinstance(rows, list) and all(
        isinstance(row, dict)
        and row.keys() == _TEXTS | _NUMBERS | {"error"}
        and all(isinstance(row[name], str) for name in _TEXTS)
        and all(isinstance(row[name], (int, float)) for name in _NUMBERS)
        for row in rows
    )


def fingerprint(*parts):
    """Return a hash that is the same in every session for equal arguments.

    Estimators count by class and parameters, frozen ones also by what they have learned (not by
    how long it took), torch modules by structure and weights, everything else by content; see
    :func:`~ltlearn.persistence._hashing.content_hash`.
    """
    return hashlib.sha256(repr([_describe(part) for part in parts]).encode()).hexdigest()


def _describe(value, fitted=False):
    """Nested lists and tuples of strings; with ``fitted``, all attributes of estimators count."""
    describe = partial(_describe, fitted=fitted)
    if value is None or isinstance(value, (str, bytes, int, float)):
        return repr(value)
    if isinstance(value, dict):
        items = value.items()
        if fitted:
            items = [(key, item) for key, item in items if key not in DURATIONS]
        return sorted((repr(key), describe(item)) for key, item in items)
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, type):
        return name, content_hash(value, strict=False)
    if fitted and hasattr(value, "module_"):  # a skorch net, without its history and timers
        return name, _describe(value.get_params(deep=False)), describe(value.module_)
    if hasattr(value, "get_params"):
        fitted = fitted or isinstance(value, FrozenEstimator)
        return name, _describe(vars(value) if fitted else value.get_params(deep=False), fitted)
    if hasattr(value, "state_dict"):
        return name, repr(value), describe(dict(value.state_dict()))
    return name, content_hash(value, strict=False)
