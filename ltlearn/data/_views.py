"""Rows of large tables, which are not copied: read and prepared when they are asked for."""

import numpy as np
import torch
from torch.utils.data import Dataset

from ltlearn.data._ahead import copied_ahead
from ltlearn.data._targets import (
    batch_groups,
    batch_targets,
    check_lengths,
    concatenate_targets,
)
from ltlearn.data._tensors import TensorData

# Tables of more bytes are neither copied nor held twice.
LARGE = 2**22

# Fewer bytes of the rows of a large table are copied.
_FEW = 2**19

# Numbers that are worked on at once.
_NUMBERS_AT_ONCE = 2**17

# Rows that stand for all of a large table.
_SOME_ROWS = 2**16


def is_large(X):
    """Whether a checked X is a large table of numbers."""
    return X.ndim == 2 and X.dtype.kind == "f" and X.size * X.itemsize > LARGE


def take_rows(X, index):
    """The rows of an array; of a large table a :class:`RowView`, unless they are few."""
    if not (is_large(X) or isinstance(X, RowView)):
        return X[index]
    if index.dtype == bool:
        index = np.flatnonzero(index)
    view = RowView(X, index)
    return view if view.size * view.itemsize > _FEW else np.asarray(view)


def some_rows(X):
    """An array of all rows or, of a large table, of some that are evenly spread."""
    return X[:: -(-len(X) // _SOME_ROWS)] if is_large(X) else X


def chunks(X):
    """Arrays of some rows at a time, which together are all of them."""
    n = _rows_at_once(X)
    for start in range(0, len(X), n):
        yield X[start : start + n]


def _rows_at_once(X):
    return max(1, _NUMBERS_AT_ONCE * len(X) // max(1, X.size))


class RowView:
    """Some rows of a table, which stay where they are.

    Parameters
    ----------
    values : ndarray of shape (n, n_columns) or RowView
        In memory or memory-mapped.
    index : ndarray of int
    """

    ndim = 2

    def __init__(self, values, index):
        if isinstance(values, RowView):
            values, index = values.values, values.index[index]
        self.values = values
        self.index = index.astype(np.int32 if len(values) < 2**31 else np.int64, copy=False)
        self.dtype, self.itemsize = values.dtype, values.itemsize
        self.shape = (len(index), values.shape[1])
        self.size = len(index) * values.shape[1]

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


class PreparedData(Dataset):
    """A large table and named targets; rows are prepared batch by batch.

    Has the methods of :class:`~ltlearn.data._tensors.TensorData`.

    Parameters
    ----------
    source : ndarray of shape (n, n_columns) or RowView
    prepare : callable
        From some rows to an array of them, float32, as the network takes them.
    target : dict of str to torch.Tensor of shape (n, ...), default=None
    epoch_index : callable, default=None
    """

    transforms = None

    def __init__(self, source, prepare, target=None, epoch_index=None, device="cpu"):
        self.source = source
        self.prepare = prepare
        self.target = check_lengths(source, target)
        self.epoch_index = epoch_index
        self.device = torch.device(device)

    def __len__(self):
        return len(self.source)

    @property
    def X(self):
        """All rows, prepared."""
        return torch.cat([torch.from_numpy(self.prepare(rows)) for rows in chunks(self.source)])

    @property
    def input_shape(self):
        return self.prepare(self.source[:1]).shape[1:]

    def batches(self, index, n, prepare_targets=None):
        targets = batch_targets(self.target, index.to(self.device), n, prepare_targets)
        inputs = self._inputs(index.cpu(), n)
        if self.device.type == "cuda":
            inputs = (X.pin_memory() for X in inputs)
        return zip(copied_ahead(inputs, self.device), targets, strict=True)

    def _inputs(self, index, n):
        """Prepared rows of the batches, of several of them at once."""
        start = 0
        for _, n_batches, size in batch_groups(len(index), n, _rows_at_once(self.source)):
            rows = index[start : start + n_batches * size]
            start += n_batches * size
            yield from torch.from_numpy(self.prepare(self.source[rows.numpy()])).split(size)

    def with_target(self, target):
        """The same rows with other targets."""
        return PreparedData(self.source, self.prepare, target, self.epoch_index, self.device)

    def without_augmentation(self):
        """The same rows in order, as in evaluation."""
        return PreparedData(self.source, self.prepare, self.target, None, self.device)

    def concatenate(self, other, epoch_index=None):
        """Rows of both, one after the other, all in memory."""
        target = concatenate_targets(self.target, other.target)
        return TensorData(torch.cat([self.X, other.X]), target, epoch_index)

    def to(self, device):
        """Targets go to ``device``; rows follow batch by batch."""
        target = {name: values.to(device) for name, values in self.target.items()}
        return PreparedData(self.source, self.prepare, target, self.epoch_index, device)


def prepared_data(X, prepare, target, training):
    """Prepared rows, in memory or, of a large table, batch by batch."""
    if is_large(X) or isinstance(X, RowView):
        return PreparedData(X, prepare, target)
    return TensorData(torch.from_numpy(prepare(np.asarray(X))), target, training=training)
