"""Data in image files, decoded batch by batch."""

import torch
from torch.utils.data import DataLoader, Dataset

from ltlearn.data._targets import batch_targets, check_lengths, concatenate_targets
from ltlearn.exceptions import BadImageError


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
        self.target = check_lengths(source, target)
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
        targets = batch_targets(self.target, index.to(self.device), n, prepare_targets)
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
            target=concatenate_targets(self.target, other.target),
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
