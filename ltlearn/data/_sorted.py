"""What there is to know of columns from their values in order, with little memory beside them."""

from functools import cached_property

import numpy as np

from ltlearn.data._views import chunks

# A table is read this many times at most; as large a part of it is held at once.
_MOST_READINGS = 32

_VALUES_AT_ONCE = 2**16


def sorted_columns(matrix, numbers):
    """Columns by their numbers, each with its values in order, without missing ones.

    Parameters
    ----------
    matrix : ndarray of shape (n, n_columns) or RowView
    numbers : ndarray of int

    Yields
    ------
    number : int
    known : ndarray of shape (n_known,)
        Of use until the next one is asked for.
    """
    step = -(-matrix.shape[1] // _MOST_READINGS)
    for first in range(0, len(numbers), step):
        block = numbers[first : first + step]
        columns, start = np.empty((len(block), len(matrix)), dtype=matrix.dtype), 0
        for rows in chunks(matrix):
            columns[:, start : start + len(rows)] = rows[:, block].T
            start += len(rows)
        columns.sort(axis=1)  # NaN goes to the end
        for number, column in zip(block, columns, strict=True):
            yield number, column[: _end_of_known(column)]


def _end_of_known(column):
    """How many values of a sorted column are not missing, by halving."""
    low, high = 0, len(column)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if np.isnan(column[middle]) else (middle + 1, high)
    return low


class SortedColumn:
    """Values in order, passed through a function that keeps it.

    Parameters
    ----------
    known : ndarray of shape (n,)
    function : callable
        From some of them to a float64 array of as many.
    """

    def __init__(self, known, function):
        self.known = known
        self.function = function

    def _parts(self):
        for start in range(0, len(self.known), _VALUES_AT_ONCE):
            yield self.function(self.known[start : start + _VALUES_AT_ONCE])

    @cached_property
    def n_values(self):
        """How many different values there are."""
        number, last = 0, np.nan
        for part in self._parts():
            number += np.count_nonzero(part[1:] != part[:-1]) + (part[0] != last)
            last = part[-1]
        return int(number)

    def values(self):
        """The different values, increasing."""
        return np.unique(np.concatenate([np.unique(part) for part in self._parts()]))

    def quantile(self, shares):
        """Quantiles as :func:`numpy.quantile` interpolates them."""
        positions = shares * (len(self.known) - 1)
        below = np.floor(positions).astype(int)
        above = np.minimum(below + 1, len(self.known) - 1)
        low, high = self.function(self.known[below]), self.function(self.known[above])
        share, step = positions - below, high - low
        return np.where(share < 0.5, low + step * share, high - step * (1 - share))

    def deviation(self):
        """Standard deviation."""
        n = len(self.known)
        mean = sum(part.sum() for part in self._parts()) / n
        return np.sqrt(sum(np.square(part - mean).sum() for part in self._parts()) / n)

    def share_of_last(self):
        """Share of values that are the largest one."""
        largest = self.function(self.known[-1:])
        return sum(np.count_nonzero(part == largest) for part in self._parts()) / len(self.known)
