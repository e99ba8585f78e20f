"""Finished runs of a comparison on disk, so that an interrupted one resumes."""

import hashlib
import json
from functools import partial
from pathlib import Path

import joblib


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

    Estimators count by class and parameters, torch modules by structure and weights, functions
    by name, everything else by content.
    """
    return hashlib.sha256(repr([_describe(part) for part in parts]).encode()).hexdigest()


def _describe(value):
    if value is None or isinstance(value, (str, bytes, int, float)):
        return repr(value)
    if isinstance(value, dict):
        return sorted((repr(key), _describe(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return [_describe(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, partial):
        return _describe((value.func, value.args, value.keywords))
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "get_params"):
        return name, _describe(value.get_params(deep=False))
    if hasattr(value, "state_dict"):
        return name, repr(value), _describe(dict(value.state_dict()))
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return name, joblib.hash(value)
