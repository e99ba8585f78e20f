"""Finished runs of a comparison on disk, so that an interrupted one resumes."""

import hashlib
import json
import re
from pathlib import Path

import joblib
import numpy as np


class Checkpoint:
    """Append-only file of finished runs, one JSON object a line.

    A line cut short by an interruption is skipped: that run is done again.

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
                yield record["key"], record["rows"]
            except (ValueError, KeyError, TypeError):
                continue


def fingerprint(*parts):
    """Return a hash that is the same in every session for equal arguments.

    Estimators count by class and parameters, arrays and data frames by content, functions by
    name, anything else by its ``repr``.
    """
    return hashlib.sha256(repr([_describe(part) for part in parts]).encode()).hexdigest()


def _describe(value):
    if hasattr(value, "get_params") and not isinstance(value, type):
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        return name, _describe(value.get_params(deep=False))
    if isinstance(value, dict):
        return sorted((repr(key), _describe(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return [_describe(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, np.ndarray) or hasattr(value, "__array__") or hasattr(value, "tocsr"):
        return joblib.hash(value)
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
