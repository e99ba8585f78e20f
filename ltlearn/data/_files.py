"""Data in image files, decoded batch by batch."""

from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader, Dataset

from ltlearn.data._ahead import copied_ahead
from ltlearn.data._targets import batch_targets, check_lengths
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
        self._decoder = _Decoder(source, self.transforms, num_workers)

    def __len__(self):
        return len(self.source)

    def batches(self, index, n, prepare_targets=None):
        """As of :class:`TensorData`."""
        parts = torch.tensor_split(index, n)
        targets = batch_targets(self.target, index.to(self.device), n, prepare_targets)
        decoded = self._decoder.batches(
            parts, self._draw_seeds(parts), pin_memory=self.device.type == "cuda"
        )
        yield from zip(copied_ahead(decoded, self.device), targets, strict=True)

    def _draw_seeds(self, parts):
        if not self.training:
            return [None] * len(parts)
        return [torch.randint(2**31, (len(rows),)).tolist() for rows in parts]

    def with_target(self, target):
        """The same rows with other targets."""
        return self._copy(target=target)

    def without_augmentation(self):
        """The same rows in order, as in evaluation."""
        return self._copy(training=False, epoch_index=None)

    def to(self, device):
        """Targets go to ``device``; images follow batch by batch."""
        moved = self._copy(target={name: values.to(device) for name, values in self.target.items()})
        moved.device = torch.device(device)
        return moved

    def _copy(self, **changes):
        copied = object.__new__(type(self))
        copied.__dict__.update({**self.__dict__, **changes})
        return copied


class _Decoder:
    """Batches of transformed images, of which the same worker processes decode all.

    Copies of data share it. Processes start with the first batch and end with the last copy; it is
    pickled without them.

    Parameters
    ----------
    source : ltlearn.images.FileSource
    transforms : (callable, callable)
    num_workers : int
    """

    def __init__(self, source, transforms, num_workers):
        self.dataset = _DecodedBatches(source, transforms)
        self.num_workers = num_workers
        self._loader, self._wanted = None, _Wanted()

    def __getstate__(self):
        return {**vars(self), "_loader": None, "_wanted": _Wanted()}

    def batches(self, parts, seeds, pin_memory):
        """Yield the images of row numbers.

        Parameters
        ----------
        parts : sequence of torch.Tensor of int
        seeds : list of (list of int, or None)
            A seed per image in training; None in evaluation.
        pin_memory : bool
        """
        wanted = [(rows.tolist(), own) for rows, own in zip(parts, seeds, strict=True)]
        if self._wanted.is_taken:  # in the middle of other batches
            loader = self._make_loader(_Wanted(wanted), pin_memory, persistent=False)
        else:
            if self._loader is None or self._loader.pin_memory != pin_memory:
                self._loader = self._make_loader(self._wanted, pin_memory, persistent=True)
            loader, self._wanted.batches = self._loader, wanted
        with self._wanted.taken():
            for images in loader:
                if isinstance(images, BadImageError):
                    raise images
                yield images

    def _make_loader(self, wanted, pin_memory, persistent):
        return DataLoader(
            self.dataset,
            batch_size=None,
            sampler=wanted,
            num_workers=self.num_workers,
            persistent_workers=persistent and self.num_workers > 0,
            pin_memory=pin_memory,
            generator=torch.Generator(),  # a loader draws from it even where nothing is shuffled
        )


class _Wanted:
    """The batches that a loader shall give next."""

    def __init__(self, batches=()):
        self.batches = batches
        self.is_taken = False

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)

    @contextmanager
    def taken(self):
        """While somebody takes them."""
        before, self.is_taken = self.is_taken, True
        try:
            yield
        finally:
            self.is_taken = before


class _DecodedBatches(Dataset):
    """From row numbers and seeds to a batch of images, or the error that one of them gave.

    An error that is returned reaches the user as it is; one that is raised in a worker process
    would arrive wrapped in that process's traceback.
    """

    def __init__(self, source, transforms):
        self.source = source
        self.transforms = transforms

    def __getitem__(self, wanted):
        rows, seeds = wanted
        try:
            images = [self.source.load(row)[0] for row in rows]
        except BadImageError as error:
            return error
        if seeds is None:
            return torch.stack([self.transforms[1](image) for image in images])
        return torch.stack(
            [self.transforms[0](image, seed) for image, seed in zip(images, seeds, strict=True)]
        )
