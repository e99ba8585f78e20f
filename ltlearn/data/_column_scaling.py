"""From numbers and codes of categories to what the body for tables takes.

Everything here is learned from training rows. n rows; matrices are those of
:class:`~ltlearn.data._columns.ColumnReader`.
"""

from typing import NamedTuple

import numpy as np

# Prepared numbers lie between minus and plus this.
LIMIT = 3.0

# Interquartile range of the standard normal distribution.
_NORMAL_IQR = 1.35

# A category of fewer training rows has no place of its own.
_LEAST_ROWS = 2

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
        Pieces of the columns to embed, between quantiles of the training rows.
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
        numeric = np.flatnonzero(~is_categorical)
        learned = {j: _Numbers.learn(matrix[:, j]) for j in numeric}
        scaled = {j: numbers for j, numbers in learned.items() if numbers.n_distinct > 2}
        binary = {j: numbers for j, numbers in learned.items() if numbers.n_distinct == 2}
        self._scaled, self._binary = scaled, binary
        self._with_gaps = [j for j in numeric if np.isnan(matrix[:, j]).any()]
        self._places = {j: _places(matrix[:, j]) for j in np.flatnonzero(is_categorical)}
        edges = []
        if len(scaled) <= self.max_embedded:
            edges = [self._edges(numbers, matrix[:, j]) for j, numbers in scaled.items()]
        n_plain = len(scaled) - len(edges) + len(binary) + len(self._with_gaps)
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
        columns = [
            *(numbers.scaled(matrix[:, j]) for j, numbers in self._scaled.items()),
            *(numbers.between_extremes(matrix[:, j]) for j, numbers in self._binary.items()),
            *(np.isnan(matrix[:, j]) for j in self._with_gaps),
            *(_place_of(matrix[:, j], places) for j, places in self._places.items()),
        ]
        prepared = np.empty((len(matrix), len(columns)), dtype=np.float32)
        for target, column in zip(prepared.T, columns, strict=True):
            target[:] = column
        return prepared

    def _edges(self, numbers, values):
        scaled = numbers.scaled(values[~np.isnan(values)])
        edges = np.quantile(scaled, np.linspace(0, 1, self.n_pieces + 1))
        steps = np.unique(np.round(edges / _LEAST_STEP))
        return (steps * _LEAST_STEP).astype(np.float32)


class _Numbers(NamedTuple):
    """What is learned of a numeric column.

    Values are divided by 2 to the power of ``exponent`` before anything is computed of them, so
    that nothing overflows or vanishes. The other numbers are in this unit.
    """

    n_distinct: int
    exponent: int
    low: float
    high: float
    mean: float
    center: float
    scale: float

    @classmethod
    def learn(cls, values):
        values = np.sort(values[~np.isnan(values)].astype(np.float64))
        if not len(values):
            return cls(0, 0, 0.0, 0.0, 0.0, 0.0, 1.0)
        exponent = int(np.frexp(np.abs(values[[0, -1]]).max())[1])
        values = np.ldexp(values, -exponent)
        lower, center, upper = np.quantile(values, [0.25, 0.5, 0.75])
        scale = (upper - lower) / _NORMAL_IQR or np.std(values - center)
        return cls(
            n_distinct=1 + np.count_nonzero(np.diff(values)),
            exponent=exponent,
            low=values[0],
            high=values[-1],
            mean=values.mean(),
            center=center,
            scale=scale,
        )

    def scaled(self, values):
        """Values between -``LIMIT`` and ``LIMIT``, 0 where they are missing."""
        with np.errstate(over="ignore"):
            scaled = (self._in_unit(values) - self.center) / self.scale
        scaled = np.clip(scaled, -1e6, 1e6)
        return np.nan_to_num(scaled / np.sqrt(1 + (scaled / LIMIT) ** 2), nan=0.0)

    def between_extremes(self, values):
        """Values between 0, the lowest, and 1, the highest; their mean where they are missing."""
        values = np.nan_to_num(self._in_unit(values), nan=self.mean)
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)

    def _in_unit(self, values):
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(values.astype(np.float64), -self.exponent)


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
