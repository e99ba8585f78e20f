"""Whole batches from tensors in memory, without collating sample by sample."""

import torch
from torch.utils.data import Dataset


class TensorData(Dataset):
    """Inputs and named targets of equal length, held in memory.

    Parameters
    ----------
    X : torch.Tensor of shape (n, ...)
    target : dict of str to torch.Tensor of shape (n, ...)
    epoch_index : callable, default=None
        Returns the row numbers of the next epoch, a LongTensor in the order of use. Without it an
        epoch is every row once, in order.
    """

    def __init__(self, X, target, epoch_index=None):
        for name, values in target.items():
            if len(values) != len(X):
                raise ValueError(f"target {name!r} has {len(values)} rows, X has {len(X)}.")
        self.X = X
        self.target = target
        self.epoch_index = epoch_index

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        return self.X[index], {name: values[index] for name, values in self.target.items()}

    def take(self, rows):
        """The batch of the given row numbers, a LongTensor on the data's device."""
        target = {name: values.index_select(0, rows) for name, values in self.target.items()}
        return self.X.index_select(0, rows), target

    def concatenate(self, other, epoch_index=None):
        """Rows of both, one after the other."""
        target = {name: torch.cat([self.target[name], other.target[name]]) for name in self.target}
        return TensorData(torch.cat([self.X, other.X]), target, epoch_index)

    def to(self, device):
        """Copy to ``device``; tensors already there are shared."""
        target = {name: values.to(device) for name, values in self.target.items()}
        return TensorData(self.X.to(device), target, self.epoch_index)


class WholeBatches:
    """Iterate over a :class:`TensorData` in whole batches.

    An epoch is cut into batches whose sizes differ by at most one, so no short batch is left at
    its end and a batch of one sample occurs only where it cannot be avoided.

    Parameters
    ----------
    dataset : TensorData
    batch_size : int
        The largest size of a batch.
    """

    def __init__(self, dataset, batch_size):
        self.dataset = dataset
        self.batch_size = batch_size

    def __iter__(self):
        data = self.dataset
        if data.epoch_index is None:
            for start in range(0, len(data), self.batch_size):
                yield data[start : start + self.batch_size]
            return
        index = data.epoch_index().to(data.X.device)
        for rows in torch.tensor_split(index, n_batches(len(index), self.batch_size)):
            yield data.take(rows)


class ShuffledEpochs:
    """Every row once an epoch, in an order drawn from an own generator.

    Parameters
    ----------
    n : int
        Number of rows.
    seed : int
    """

    def __init__(self, n, seed):
        self.n = n
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self):
        return torch.randperm(self.n, generator=self.generator)


class FixedLengthEpochs:
    """Epochs of a fixed number of rows, dealt from one shuffled pass over the data after another.

    Keeps the number of gradient updates an epoch the same when the data grows.

    Parameters
    ----------
    n : int
        Number of rows.
    length : int
        Rows an epoch.
    seed : int
    """

    def __init__(self, n, length, seed):
        self.passes = ShuffledEpochs(n, seed)
        self.length = length
        self.left = torch.empty(0, dtype=torch.long)

    def __call__(self):
        while len(self.left) < self.length:
            self.left = torch.cat([self.left, self.passes()])
        index, self.left = self.left[: self.length], self.left[self.length :]
        return index


def n_batches(n, batch_size):
    """Number of batches of at most ``batch_size`` rows in an epoch of ``n`` rows."""
    return max(1, -(-n // batch_size))
