"""What is counted of two sets of rows: bands of labels, and values that one set has none like."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
from sklearn.utils import check_array, column_or_1d

from ltlearn.evaluation._shares import Share, beyond_extremes, counted, difference
from ltlearn.metrics import ClassBands, expected_score
from ltlearn.utils._compat import _num_samples

PARTS = ("X", "y", "y_pred")
NAMES = {"y": "labels", "y_pred": "predictions"}
OUTSIDE = "outside the reference"


@dataclass(frozen=True)
class Row:
    """One share in both sets of rows."""

    part: str
    where: str
    reference: Share
    new: Share
    n_new: int

    @property
    def change(self):
        return difference(self.new, self.reference)

    @property
    def has_changed(self):
        change = self.change
        return change.low > 0 or change.high < 0

    def values(self):
        change = self.change
        shares = self.reference.value, self.new.value, *change
        return (self.part, self.where, *shares, self.n_new, self.has_changed)

    def cells(self):
        change = self.change
        return [
            self.part,
            self.where,
            f"{self.reference.value:.1%}",
            f"{self.new.value:.1%}",
            f"{100 * change.value:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]",
            "yes" if self.has_changed else "",
        ]


class Side:
    """The parts of one side, of one length."""

    def __init__(self, given, name):
        if not isinstance(given, Mapping):
            raise TypeError(
                f'{name} must be a dict of "X", "y" and "y_pred", or some of them, such as '
                f'{{"X": X, "y_pred": model.predict(X)}}; got {type(given).__name__}.'
            )
        unknown = sorted(map(str, set(given) - set(PARTS)))
        if unknown:
            raise ValueError(f'{name} has {unknown}; it may have "X", "y" and "y_pred".')
        self.name = name
        self.parts = {part: values for part, values in given.items() if values is not None}
        lengths = {part: _num_samples(values) for part, values in self.parts.items()}
        if len(set(lengths.values())) > 1 or 0 in lengths.values():
            raise ValueError(
                f"The parts of {name} must have one number of rows, and at least one row; got "
                f"{lengths}."
            )
        self.n_rows = next(iter(lengths.values()), 0)

    def labels(self, part, is_classes, bin_centers):
        """Scores or classes (n_rows,)."""
        values, name = np.asarray(self.parts[part]), f"{self.name}[{part!r}]"
        if is_classes:
            if values.ndim == 2 and values.shape[1] > 1:
                raise ValueError(f"{name} must hold one class a row, got shape {values.shape}.")
            return column_or_1d(values)
        values = check_array(values, ensure_2d=False, dtype=np.float64, input_name=name)
        if values.ndim == 2 and values.shape[1] > 1:
            return expected_score(values, bin_centers=bin_centers)
        return column_or_1d(values)


class Labels:
    """Labels or predictions by band, and those that the reference has none like."""

    def __init__(self, part, reference, new, bands, bin_centers):
        is_classes = isinstance(bands, ClassBands)
        self.part = NAMES[part]
        self.bands = bands
        self.reference, self.new = (
            side.labels(part, is_classes, bin_centers) for side in (reference, new)
        )
        self.outside = (_Categories if is_classes else _Numbers)(
            self.part, OUTSIDE, self.reference, self.new
        )
        self.n_shares = len(bands.names) + 1

    def rows(self, level):
        codes = [self.bands.assign(labels) for labels in (self.reference, self.new)]
        for code, name in enumerate(self.bands.names):
            hits = [int(np.sum(of_side == code)) for of_side in codes]
            shares = [counted(n, len(c), level) for n, c in zip(hits, codes, strict=True)]
            yield Row(self.part, name, *shares, hits[1])
        yield from self.outside.rows(level)


class _Column:
    """Values of one column, and how many new ones are of a kind that the reference has not."""

    n_shares = 1

    def __init__(self, part, where, reference, new):
        self.part, self.where = part, where
        missing = _is_missing(reference)
        is_new_kind = _is_missing(new) & (not np.any(missing))
        self.n_extremes = int(np.any(is_new_kind))
        self.reference = reference[~missing]
        present = ~_is_missing(new)
        is_new_kind[present] = self._is_outside(new[present])
        self.n_new, self.n_hits = len(new), int(np.sum(is_new_kind))

    def rows(self, level):
        new = counted(self.n_hits, self.n_new, level)
        yield Row(self.part, self.where, self._expected(level), new, self.n_hits)


class _Numbers(_Column):
    """Outside is below the least or above the greatest."""

    def _is_outside(self, values):
        if len(self.reference) == 0:
            return np.ones(len(values), dtype=bool)
        return (values < np.min(self.reference)) | (values > np.max(self.reference))

    def _expected(self, level):
        return beyond_extremes(2 + self.n_extremes, max(len(self.reference), 1), level)


class _Categories(_Column):
    """Outside is what does not occur; expected by Good and Turing, the share that occurs once."""

    def _is_outside(self, values):
        known = set(map(str, self.reference.tolist()))
        return np.array([str(value) not in known for value in values.tolist()], dtype=bool)

    def _expected(self, level):
        _, counts = np.unique([*map(str, self.reference.tolist())], return_counts=True)
        n_once = int(np.sum(counts == 1)) + self.n_extremes
        return counted(min(n_once, len(self.reference)), max(len(self.reference), 1), level)


def _is_missing(values):
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind != "O":
        return np.zeros(len(values), dtype=bool)
    return np.array([_is_missing_value(value) for value in values.tolist()], dtype=bool)


def _is_missing_value(value):
    differs = value != value
    # pandas.NA, compared with itself, is neither true nor false.
    return value is None or not isinstance(differs, bool | np.bool_) or bool(differs)


def columns(reference, new):
    reference, new = (
        _ascolumns(X, f"{name}['X']") for X, name in ((reference, "reference"), (new, "new"))
    )
    if list(reference) != list(new):
        raise ValueError(
            "The inputs of reference and new must have the same columns in the same order; got "
            f"{len(reference)} and {len(new)}, or other names."
        )
    for name, values in reference.items():
        are_numbers = values.dtype.kind == new[name].dtype.kind == "f"
        kind = _Numbers if are_numbers else _Categories
        yield kind("inputs", name, values, new[name])


def _ascolumns(X, name):
    """Columns of a table as arrays of numbers or objects, by name."""
    if hasattr(X, "columns"):
        columns = {str(column): np.asarray(X[column]) for column in X.columns}
    else:
        X = np.asarray(X)
        if X.ndim != 2:
            raise ValueError(
                f"{name} must be a table of shape (n_samples, n_features), got shape {X.shape}. "
                'Leave "X" out for inputs of other kinds.'
            )
        columns = {f"column {j}": X[:, j] for j in range(X.shape[1])}
    return {column: _as_numbers(values) for column, values in columns.items()}


def _as_numbers(values):
    """Numbers and times as floats with NaN, where the column holds nothing else."""
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    if values.dtype.kind in "mM":
        return np.where(np.isnat(values), np.nan, values.astype(np.int64))
    values = values.astype(object)
    is_missing = _is_missing(values)
    if all(isinstance(value, Real) for value in values[~is_missing].tolist()):
        return np.where(is_missing, np.nan, values).astype(np.float64)
    return values
