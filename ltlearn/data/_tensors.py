"""Data in memory, in whole batches without collating sample by sample."""

import torch
from torch.utils.data import Dataset

from ltlearn.data._ahead import copied_ahead
from ltlearn.data._targets import batch_targets, check_lengths

# Data are kept on a GPU where they fill no more than this share of its free memory.
_SHARE_OF_DEVICE_MEMORY = 0.5


class TensorData(Dataset):
    """Inputs and named targets of equal length, held in memory.

    Parameters
    ----------
    X : torch.Tensor of shape (n, ...)
    target : dict of str to torch.Tensor of shape (n, ...), default=None
    epoch_index : callable, default=None
        Returns the row numbers of the next epoch in the order of use, a tensor of int32 or int64.
        Without it an epoch is every row once, in order.
    transforms : (callable, callable), default=None
        What is done to a batch of ``X`` in training and in evaluation.
    training : bool, default=False
        Which of the two transforms applies.
    """

    def __init__(self, X, target=None, epoch_index=None, transforms=None, training=False):
        self.X = X
        self.target = check_lengths(X, target)
        self.epoch_index = epoch_index
        self.transforms = transforms
        self.training = training
        self.device = X.device

    def __len__(self):
        return len(self.X)

    @property
    def input_shape(self):
        """Shape of one sample as a network sees it."""
        if self.transforms is None:
            return tuple(self.X.shape[1:])
        return tuple(self.transforms[1](self.X[:1]).shape[1:])

    def batches(self, index, n, prepare_targets=None):
        """The rows ``index`` in ``n`` batches of almost equal size: pairs of X and target.

        ``prepare_targets`` is that of :class:`WholeBatches`.
        """
        is_here = self.X.device == self.device
        on_device = index.to(self.device)
        targets = batch_targets(self.target, on_device, n, prepare_targets)
        if is_here:
            chosen = (self.X.index_select(0, rows) for rows in on_device.tensor_split(n))
        else:  # too large for the device
            chosen = copied_ahead(map(self._pinned, index.cpu().tensor_split(n)), self.device)
        for X, target in zip(chosen, targets, strict=True):
            if self.transforms is not None:
                X = self.transforms[0 if self.training else 1](X)
            yield X, target

    def _pinned(self, rows):
        """Rows in pinned memory, from where copies do not wait."""
        batch = torch.empty(len(rows), *self.X.shape[1:], dtype=self.X.dtype, pin_memory=True)
        return torch.index_select(self.X, 0, rows, out=batch)

    def with_target(self, target):
        """The same rows with other targets."""
        return TensorData(self.X, target, self.epoch_index, self.transforms, self.training)

    def without_augmentation(self):
        """The same rows in order, as in evaluation."""
        return TensorData(self.X, self.target, None, self.transforms, training=False)

    def to(self, device):
        """Move to ``device``; X stays on the CPU where it would fill a GPU."""
        device = torch.device(device)
        stays = self.X.device == device or not fits(self.X.nbytes, device)
        X = self.X if stays else self.X.to(device)
        target = {name: values.to(device) for name, values in self.target.items()}
        moved = TensorData(X, target, self.epoch_index, self.transforms, self.training)
        moved.device = device
        return moved


def fits(n_bytes, device):
    """Whether a device may keep so many bytes of data."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return n_bytes <= _SHARE_OF_DEVICE_MEMORY * free
