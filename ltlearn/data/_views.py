"""Rows of large arrays, which are not copied: read when they are asked for."""

import mmap

import numpy as np

# Arrays of more bytes are neither copied nor held twice.
LARGE = 2**23

# Fewer bytes of the rows of a large array are copied.
_FEW = 2**19

# Numbers that are worked on at once.
_NUMBERS_AT_ONCE = 2**17

# Rows, and numbers in them, that stand for all of a large array.
_SOME_ROWS = 2**16
_SOME_NUMBERS = 2**19


def is_large(X):
    """Whether a checked X is a large array of numbers."""
    return X.dtype.kind in "buif" and X.size * X.itemsize > LARGE


def is_in_place(X):
    """Whether rows of a checked X are to be read batch by batch from where they are."""
    return isinstance(X, RowView | JoinedRows) or is_large(X)


def is_mapped(X):
    """Whether some rows of an array lie in a file that is mapped into memory."""
    if isinstance(X, JoinedRows):
        return any(map(is_mapped, X.parts))
    base = X.values if isinstance(X, RowView) else X
    if isinstance(base, JoinedRows):
        return is_mapped(base)
    while base is not None and not isinstance(base, np.memmap | mmap.mmap):
        base = getattr(base, "base", None)
    return base is not None


def take_rows(X, index):
    """The rows of an array; of a large one a :class:`RowView`, unless they are few."""
    if not is_in_place(X):
        return X[index]
    if index.dtype == bool:
        index = np.flatnonzero(index)
    view = RowView(X, index)
    return view if view.size * view.itemsize > _FEW else np.asarray(view)


def join_rows(first, second):
    """The rows of two checked arrays, one after the other; :class:`JoinedRows` of large ones."""
    if is_in_place(first) or is_in_place(second):
        return JoinedRows(first, second)
    return np.concatenate([first, second])


def some_rows(X):
    """An array of all rows or, of a large array, of some that are evenly spread."""
    if not is_in_place(X):
        return X
    n_most = max(1, min(_SOME_ROWS, _SOME_NUMBERS * len(X) // X.size))
    return X[:: -(-len(X) // n_most)]


def chunks(X):
    """Arrays of some rows at a time, which together are all of them."""
    n = rows_at_once(X)
    for start in range(0, len(X), n):
        yield X[start : start + n]


def rows_at_once(X):
    """How many rows are worked on at once."""
    return max(1, _NUMBERS_AT_ONCE * len(X) // max(1, X.size))


class RowView:
    """Some rows of an array, which stay where they are.

    Parameters
    ----------
    values : ndarray of shape (n, ...), RowView or JoinedRows
        In memory or memory-mapped.
    index : ndarray of int
    """

    def __init__(self, values, index):
        if isinstance(values, RowView):
            values, index = values.values, values.index[index]
        self.values = values
        self.index = index.astype(np.int32 if len(values) < 2**31 else np.int64, copy=False)
        self.dtype, self.itemsize, self.ndim = values.dtype, values.itemsize, values.ndim
        self.shape = (len(index), *values.shape[1:])
        self.size = int(np.prod(self.shape))

    def __len__(self):
        return len(self.index)

    def __getitem__(self, key):
        """An array: of rows, or of a column for a key ``[:, j]``."""
        if isinstance(key, tuple):
            rows, column = key
            return self.values[:, column][self.index[rows]]
        return self.values[self.index[key]]

    def __array__(self, dtype=None, copy=None):
        return self.values[self.index].astype(dtype or self.dtype, copy=False)


class JoinedRows:
    """The rows of two arrays, one after the other, which stay where they are.

    Parameters
    ----------
    first, second : ndarray of shape (n, ...), RowView or JoinedRows
    """

    def __init__(self, first, second):
        self.parts = first, second
        self.dtype = np.result_type(first.dtype, second.dtype)
        self.itemsize, self.ndim = self.dtype.itemsize, first.ndim
        self.shape = (len(first) + len(second), *first.shape[1:])
        self.size = int(np.prod(self.shape))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        """An array of rows, by a slice or an array of numbers."""
        index = np.arange(len(self))[key] if isinstance(key, slice) else np.asarray(key)
        first, second = self.parts
        rows, is_first = np.empty((len(index), *self.shape[1:]), self.dtype), index < len(first)
        rows[is_first] = first[index[is_first]]
        rows[~is_first] = second[index[~is_first] - len(first)]
        return rows

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or self.dtype, copy=False)
