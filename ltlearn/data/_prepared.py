"""Rows of large arrays as batches, prepared when they are asked for."""

import torch
from torch.utils.data import Dataset

from ltlearn.data._ahead import copied_ahead
from ltlearn.data._targets import batch_groups, batch_targets, check_lengths
from ltlearn.data._tensors import TensorData, fits
from ltlearn.data._views import chunks, is_in_place, is_mapped, rows_at_once


class PreparedData(Dataset):
    """A large array and named targets; rows are prepared batch by batch.

    Has the methods of :class:`~ltlearn.data._tensors.TensorData`.

    Parameters
    ----------
    source : ndarray of shape (n, ...), RowView or JoinedRows
    prepare : callable
        From some rows to a tensor of them on the CPU, as the network takes them.
    target : dict of str to torch.Tensor of shape (n, ...), default=None
    epoch_index : callable, default=None
    transforms : (callable, callable), default=None
    training : bool, default=False
    device : str or torch.device, default="cpu"
        Where batches go.
    """

    def __init__(
        self,
        source,
        prepare,
        target=None,
        epoch_index=None,
        transforms=None,
        training=False,
        device="cpu",
    ):
        self.source = source
        self.prepare = prepare
        self.target = check_lengths(source, target)
        self.epoch_index = epoch_index
        self.transforms = transforms
        self.training = training
        self.device = torch.device(device)

    def __len__(self):
        return len(self.source)

    @property
    def X(self):
        """All rows, prepared."""
        return torch.cat([self._prepared(rows) for rows in chunks(self.source)])

    @property
    def input_shape(self):
        return TensorData(self._prepared(self.source[:1]), transforms=self.transforms).input_shape

    def batches(self, index, n, prepare_targets=None):
        targets = batch_targets(self.target, index.to(self.device), n, prepare_targets)
        inputs = self._inputs(index.cpu(), n)
        if self.device.type == "cuda":
            inputs = (X.pin_memory() for X in inputs)
        for X, target in zip(copied_ahead(inputs, self.device), targets, strict=True):
            if self.transforms is not None:
                X = self.transforms[0 if self.training else 1](X)
            yield X, target

    def _inputs(self, index, n):
        """Prepared rows of the batches, of several of them at once."""
        start = 0
        for _, n_batches, size in batch_groups(len(index), n, rows_at_once(self.source)):
            rows = index[start : start + n_batches * size]
            start += n_batches * size
            yield from self._prepared(self.source[rows.numpy()]).split(size)

    def _prepared(self, rows):
        return self.prepare(rows).contiguous()

    def with_target(self, target):
        """The same rows with other targets."""
        return self._copy(target=target)

    def without_augmentation(self):
        """The same rows in order, as in evaluation."""
        return self._copy(epoch_index=None, training=False)

    def to(self, device):
        """Targets go to ``device``; so do rows in memory that fit there, others batch by batch."""
        device = torch.device(device)
        target = {name: values.to(device) for name, values in self.target.items()}
        if device.type == "cuda" and not is_mapped(self.source):
            one = self._prepared(self.source[:1])
            if fits(one.nbytes * len(self), device):
                X = one.new_empty(len(self), *one.shape[1:], device=device)
                parts = X.split(rows_at_once(self.source))
                for rows, part in zip(chunks(self.source), parts, strict=True):
                    part.copy_(self._prepared(rows))
                return TensorData(X, target, self.epoch_index, self.transforms, self.training)
        return self._copy(target=target, device=device)

    def _copy(self, **changes):
        names = ("target", "epoch_index", "transforms", "training", "device")
        return PreparedData(
            self.source, self.prepare, **{name: getattr(self, name) for name in names} | changes
        )


def prepared_data(X, prepare, target, training, transforms=None):
    """Prepared rows, in memory or, of a large array, batch by batch."""
    if is_in_place(X):
        return PreparedData(X, prepare, target, None, transforms, training)
    return TensorData(prepare(X), target, transforms=transforms, training=training)
