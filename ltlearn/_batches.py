"""Whole batches from data in memory or in files, without collating sample by sample.

Data have a length, named targets, and a function that says which rows the next epoch holds. Their
method ``batches`` gives the batches of an epoch; ``X`` of a batch may still be on the CPU.
"""

import torch
from torch.utils.data import DataLoader, Dataset

from ltlearn.exceptions import BadImageError

# Data are kept on a GPU where they fill no more than this share of its free memory.
_SHARE_OF_DEVICE_MEMORY = 0.5

# Targets are gathered for about this many rows at once, many batches or a single large one.
_ROWS_AT_ONCE = 2**16


class TensorData(Dataset):
    """Inputs and named targets of equal length, held in memory.

    Parameters
    ----------
    X : torch.Tensor of shape (n, ...)
    target : dict of str to torch.Tensor of shape (n, ...), default=None
    epoch_index : callable, default=None
        Returns the row numbers of the next epoch, a LongTensor in the order of use. Without it an
        epoch is every row once, in order.
    transforms : (callable, callable), default=None
        What is done to a batch of ``X`` in training and in evaluation.
    training : bool, default=False
        Which of the two transforms applies.
    """

    def __init__(self, X, target=None, epoch_index=None, transforms=None, training=False):
        self.X = X
        self.target = _check_lengths(X, target)
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
        index = index.to(self.device)
        targets = _batch_targets(self.target, index, n, prepare_targets)
        for rows, target in zip(torch.tensor_split(index, n), targets, strict=True):
            X = self._select(rows)
            if self.transforms is not None:
                X = self.transforms[0 if self.training else 1](X)
            yield X, target

    def _select(self, rows):
        if self.X.device == self.device:
            return self.X.index_select(0, rows)
        # Too large for the device: gather into pinned memory, from where copies do not wait.
        rows = rows.cpu()
        batch = torch.empty(len(rows), *self.X.shape[1:], dtype=self.X.dtype, pin_memory=True)
        torch.index_select(self.X, 0, rows, out=batch)
        return batch.to(self.device, non_blocking=True)

    def with_target(self, target):
        """The same rows with other targets."""
        return TensorData(self.X, target, self.epoch_index, self.transforms, self.training)

    def without_augmentation(self):
        """The same rows in order, as in evaluation."""
        return TensorData(self.X, self.target, None, self.transforms, training=False)

    def concatenate(self, other, epoch_index=None):
        """Rows of both, one after the other."""
        X = torch.cat([self.X, other.X])
        target = _concatenate_targets(self.target, other.target)
        return TensorData(X, target, epoch_index, self.transforms, self.training)

    def to(self, device):
        """Move to ``device``; X stays on the CPU where it would fill a GPU."""
        device = torch.device(device)
        X = self.X.to(device) if _fits(self.X, device) else self.X
        target = {name: values.to(device) for name, values in self.target.items()}
        moved = TensorData(X, target, self.epoch_index, self.transforms, self.training)
        moved.device = device
        return moved


class FileData(Dataset):
    """Image files and named targets of equal length; files are decoded batch by batch.

    Parameters
    ----------
    source : ltlearn.images.FileSource
    target : dict of str to torch.Tensor of shape (n, ...), default=None
    epoch_index : callable, default=None
        As for :class:`TensorData`.
    transforms : (callable, callable)
        From a PIL image and a seed to a uint8 tensor (C, H, W), in training; from a PIL image, in
        evaluation.
    training : bool, default=False
    num_workers : int, default=0
        Processes that decode; 0 decodes in this one.
    input_shape : tuple of int
        Shape (C, H, W) of a transformed image.
    """

    def __init__(
        self,
        source,
        target=None,
        epoch_index=None,
        transforms=None,
        training=False,
        *,
        num_workers=0,
        input_shape=None,
    ):
        self.source = source
        self.target = _check_lengths(source, target)
        self.epoch_index = epoch_index
        self.transforms = transforms
        self.training = training
        self.num_workers = num_workers
        self.input_shape = input_shape
        self.device = torch.device("cpu")

    def __len__(self):
        return len(self.source)

    def batches(self, index, n, prepare_targets=None):
        """As of :class:`TensorData`."""
        parts = torch.tensor_split(index, n)
        targets = _batch_targets(self.target, index.to(self.device), n, prepare_targets)
        images = DataLoader(
            _DecodedBatches(self.source, parts, self.transforms, self._draw_seeds(parts)),
            batch_size=None,
            num_workers=self.num_workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # a loader draws from it even where nothing is shuffled
        )
        for X, target in zip(images, targets, strict=True):
            if isinstance(X, BadImageError):
                raise X
            yield X.to(self.device, non_blocking=True), target

    def _draw_seeds(self, parts):
        if not self.training:
            return None
        return [torch.randint(2**31, (len(rows),)).tolist() for rows in parts]

    def with_target(self, target):
        """The same rows with other targets."""
        return self._copy(target=target)

    def without_augmentation(self):
        """The same rows in order, as in evaluation."""
        return self._copy(training=False, epoch_index=None)

    def concatenate(self, other, epoch_index=None):
        """Rows of both, one after the other."""
        return self._copy(
            source=self.source.concatenate(other.source),
            target=_concatenate_targets(self.target, other.target),
            epoch_index=epoch_index,
        )

    def to(self, device):
        """Targets go to ``device``; images follow batch by batch."""
        moved = self._copy(target={name: values.to(device) for name, values in self.target.items()})
        moved.device = torch.device(device)
        return moved

    def _copy(self, **changes):
        copied = object.__new__(type(self))
        copied.__dict__.update({**self.__dict__, **changes})
        return copied


class _DecodedBatches(Dataset):
    """Item i is the i-th batch of transformed images, or the error that one of them gave.

    An error that is returned reaches the user as it is; one that is raised in a worker process
    would arrive wrapped in that process's traceback.
    """

    def __init__(self, source, parts, transforms, seeds):
        self.source = source
        self.parts = parts
        self.transforms = transforms
        self.seeds = seeds

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, number):
        rows = self.parts[number].tolist()
        try:
            images = [self.source.load(row)[0] for row in rows]
        except BadImageError as error:
            return error
        if self.seeds is None:
            return torch.stack([self.transforms[1](image) for image in images])
        seeds = self.seeds[number]
        return torch.stack(
            [self.transforms[0](image, seed) for image, seed in zip(images, seeds, strict=True)]
        )


class WholeBatches:
    """Iterate over the batches of an epoch.

    An epoch is cut into batches whose sizes differ by at most one, so no short batch is left at
    its end and a batch of one sample occurs only where it cannot be avoided.

    Parameters
    ----------
    dataset : TensorData or FileData
    batch_size : int
        The largest size of a batch.
    prepare_targets : callable, default=None
        Called with the targets of several batches of equal size, a dict of tensors (N, B, ...);
        what it returns, a dict of tensors (N, ...), reaches the batches instead. What it does for
        all of them at once costs less than in the batches one by one.
    """

    def __init__(self, dataset, batch_size, prepare_targets=None):
        self.dataset = dataset
        self.batch_size = batch_size
        self.prepare_targets = prepare_targets

    def __iter__(self):
        epoch_index = self.dataset.epoch_index
        index = torch.arange(len(self.dataset)) if epoch_index is None else epoch_index()
        n = n_batches(len(index), self.batch_size)
        return self.dataset.batches(index, n, self.prepare_targets)


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
        self.left = torch.empty(0, dtype=torch.long, device="cpu")

    def __call__(self):
        while len(self.left) < self.length:
            self.left = torch.cat([self.left, self.passes()])
        index, self.left = self.left[: self.length], self.left[self.length :]
        return index


def n_batches(n, batch_size):
    """Number of batches of at most ``batch_size`` rows in an epoch of ``n`` rows."""
    return max(1, -(-n // batch_size))


def _batch_targets(target, index, n, prepare=None):
    """The targets of the rows ``index``, in the ``n`` batches that ``tensor_split`` makes."""
    size, n_larger = divmod(len(index), n)
    larger, smaller = index.tensor_split([n_larger * (size + 1)])
    for rows in (larger.view(n_larger, size + 1), smaller.view(n - n_larger, size)):
        step = max(1, _ROWS_AT_ONCE // (size + 1))
        for start in range(0, len(rows), step):
            group = rows[start : start + step]
            gathered = {
                name: values.index_select(0, group.flatten()).unflatten(0, group.shape)
                for name, values in target.items()
            }
            if prepare is not None:
                gathered = prepare(gathered)
            batches = {name: values.unbind() for name, values in gathered.items()}
            for number in range(len(group)):
                yield {name: values[number] for name, values in batches.items()}


def _check_lengths(X, target):
    for name, values in (target or {}).items():
        if len(values) != len(X):
            raise ValueError(f"target {name!r} has {len(values)} rows, X has {len(X)}.")
    return target or {}


def _concatenate_targets(first, second):
    return {name: torch.cat([values, second[name]]) for name, values in first.items()}


def _fits(X, device):
    if device.type != "cuda" or X.device == device:
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return X.nbytes <= _SHARE_OF_DEVICE_MEMORY * free
