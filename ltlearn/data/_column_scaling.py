"""From numbers and codes of categories to what the body for tables takes.

Everything here is learned from training rows. n rows; matrices are those of
:class:`~ltlearn.data._columns.ColumnReader`.
"""

from itertools import chain
from typing import NamedTuple

import numpy as np

from ltlearn.data._sorted import SortedColumn, sorted_columns

# Prepared numbers lie between minus and plus this.
LIMIT = 3.0

# Interquartile range of the standard normal distribution.
_NORMAL_IQR = 1.35

# A category of fewer training rows has no place of its own.
_LEAST_ROWS = 2

# Columns of no more values have an edge at each.
_FEW_VALUES = 16

# Edges of pieces no further apart are one.
_LEAST_STEP = 1e-6


class TableLayout(NamedTuple):
    """What prepared rows consist of, in this order.

    Parameters
    ----------
    edges : list of ndarrays of shape (T_j + 1,), dtype float32
        Of the numeric columns to embed: edges of their pieces, increasing.
    n_plain : int
        Number of columns to take as they are.
    n_codes : list of int
        Of every category column, the number of codes: 0 stands for categories without a place.
    """

    edges: list
    n_plain: int
    n_codes: list

    @property
    def n_columns(self):
        return len(self.edges) + self.n_plain + len(self.n_codes)


class ColumnScaler:
    r"""Prepare columns for a network.

    - Numbers of several values become :math:`x' / \sqrt{1 + (x' / 3)^2}` with :math:`x' = 1.35 (x -
      \text{median}) / \text{IQR}` (the deviation in place of IQR / 1.35 where that is 0), which
      keeps the bulk as it is and lets no outlier out of ±3; what is missing becomes 0, the median.
    - Numbers of two values become 0 and 1; what is missing, their mean.
    - A column with missing numbers in training gets an indicator besides.
    - Categories become codes; missing ones are a category if there are any in training. Rare and
      new categories share the code 0.
    - Columns of one value are left out.

    Parameters
    ----------
    n_pieces : int, default=48
        Pieces of the columns to embed, between quantiles of the training rows. Columns of few
        values have one between any two of them, and so can be told apart like categories.
    max_embedded : int, default=128
        With more numeric columns of several values, none is to be embedded.

    Attributes
    ----------
    layout_ : TableLayout
    """

    def __init__(self, *, n_pieces=48, max_embedded=128):
        self.n_pieces = n_pieces
        self.max_embedded = max_embedded

    def fit(self, matrix, is_categorical):
        """Learn from the training rows.

        Parameters
        ----------
        matrix : ndarray of shape (n, n_columns)
        is_categorical : ndarray of shape (n_columns,), dtype bool
        """
        self._curves, self._ramps, self._with_gaps, edges = {}, {}, [], []
        for j, known in sorted_columns(matrix, np.flatnonzero(~is_categorical)):
            unit = _Unit.of(known)
            column = SortedColumn(known, unit)
            if len(known) < len(matrix):
                self._with_gaps.append(j)
            if column.n_values > 2:
                curve = self._curves[j] = _Curve.of(column, unit)
                edges.append(self._edges(SortedColumn(known, curve.of_known), column.n_values))
            elif column.n_values == 2:
                self._ramps[j] = _Ramp.of(column, unit)
        if len(self._curves) > self.max_embedded:
            edges = []
        self._places = {j: _places(matrix[:, j]) for j in np.flatnonzero(is_categorical)}
        n_plain = len(self._curves) - len(edges) + len(self._ramps) + len(self._with_gaps)
        n_codes = [int(places.max()) + 1 for places in self._places.values()]
        self.layout_ = TableLayout(edges, n_plain, n_codes)
        return self

    def transform(self, matrix):
        """Prepared rows.

        Parameters
        ----------
        matrix : ndarray of shape (n, n_columns)

        Returns
        -------
        prepared : ndarray of shape (n, layout_.n_columns), dtype float32
            Finite.
        """
        columns = chain(  # one at a time
            (curve(matrix[:, j]) for j, curve in self._curves.items()),
            (ramp(matrix[:, j]) for j, ramp in self._ramps.items()),
            (np.isnan(matrix[:, j]) for j in self._with_gaps),
            (_place_of(matrix[:, j], places) for j, places in self._places.items()),
        )
        prepared = np.empty((len(matrix), self.layout_.n_columns), dtype=np.float32)
        for target, column in zip(prepared.T, columns, strict=True):
            target[:] = column
        return prepared

    def _edges(self, scaled, n_values):
        if n_values > _FEW_VALUES:
            edges = scaled.quantile(np.linspace(0, 1, self.n_pieces + 1))
        else:
            edges = scaled.values()
        steps = np.unique(np.round(edges / _LEAST_STEP))
        return (steps * _LEAST_STEP).astype(np.float32)


class _Unit(NamedTuple):
    """A power of 2 that columns are divided by, so that nothing computed of them overflows."""

    exponent: int

    @classmethod
    def of(cls, known):
        """Of sorted values."""
        ends = (known[0], known[-1]) if len(known) else (0.0,)
        return cls(int(np.frexp(max(abs(float(end)) for end in ends))[1]))

    def __call__(self, values):
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(values.astype(np.float64), -self.exponent)


class _Curve(NamedTuple):
    """Scaling of a column of several values."""

    unit: _Unit
    center: float
    scale: float

    @classmethod
    def of(cls, column, unit):
        lower, center, upper = column.quantile(np.array([0.25, 0.5, 0.75]))
        return cls(unit, center, (upper - lower) / _NORMAL_IQR or column.deviation())

    def __call__(self, values):
        return _without_gaps(self.of_known(values), 0.0)

    def of_known(self, values):
        scaled = self.unit(values) - self.center
        with np.errstate(over="ignore"):
            scaled /= self.scale
        np.clip(scaled, -1e6, 1e6, out=scaled)
        root = scaled / LIMIT
        root *= root
        root += 1
        scaled /= np.sqrt(root, out=root)
        return scaled


class _Ramp(NamedTuple):
    """Scaling of a column of two values."""

    unit: _Unit
    low: float
    high: float
    mean: float

    @classmethod
    def of(cls, column, unit):
        low, high = column.values()
        return cls(unit, low, high, column.share_of_last())

    def __call__(self, values):
        shares = np.clip((self.unit(values) - self.low) / (self.high - self.low), 0, 1)
        return _without_gaps(shares, self.mean)


def _without_gaps(values, filling):
    """The values, bounded ones and NaN, with a number in place of these."""
    np.copyto(values, filling, where=np.isnan(values))
    return values


def _places(codes):
    """Codes for the network of every code, of unseen categories and of missing ones."""
    known = codes[codes >= 0].astype(np.int64)
    counts = np.append(np.bincount(known), [0, np.isnan(codes).sum()])
    is_frequent = counts >= _LEAST_ROWS
    return np.where(is_frequent, np.cumsum(is_frequent), 0)


def _place_of(codes, places):
    unseen, missing = len(places) - 2, len(places) - 1
    is_known = (codes >= 0) & (codes < unseen)
    index = np.where(np.isnan(codes), missing, np.where(is_known, codes, unseen))
    return places[index.astype(np.int64)]
