"""Finished runs of a comparison on disk, so that an interrupted one resumes."""

import hashlib
import json
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType

import joblib
from sklearn.frozen import FrozenEstimator


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

    Estimators count by class and parameters, frozen ones also by what they have learned, torch
    modules by structure and weights, functions by name, code and what they enclose, everything
    else by content.
    """
    return hashlib.sha256(repr([_describe(part) for part in parts]).encode()).hexdigest()


def _describe(value, fitted=False):
    """Nested lists and tuples of strings; with ``fitted``, all attributes of estimators count."""
    describe = partial(_describe, fitted=fitted)
    if value is None or isinstance(value, (str, bytes, int, float)):
        return repr(value)
    if isinstance(value, dict):
        return sorted((repr(key), describe(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, partial):
        return describe((value.func, value.args, value.keywords))
    if isinstance(value, FunctionType):
        enclosed = [cell.cell_contents for cell in value.__closure__ or ()]
        enclosed = [item for item in enclosed if item is not value]
        defaults = [value.__defaults__, value.__kwdefaults__]
        return _name(value), describe([value.__code__, defaults, enclosed])
    if isinstance(value, CodeType):
        return describe([value.co_code, value.co_names, value.co_consts])
    if hasattr(value, "__qualname__"):
        return _name(value)
    name = _name(type(value))
    if hasattr(value, "get_params"):
        fitted = fitted or isinstance(value, FrozenEstimator)
        return name, _describe(vars(value) if fitted else value.get_params(deep=False), fitted)
    if hasattr(value, "state_dict"):
        return name, repr(value), describe(dict(value.state_dict()))
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return name, joblib.hash(value)


def _name(value):
    return f"{value.__module__}.{value.__qualname__}"
