"""From images to what a backbone takes: evaluation and training transforms.

Geometry and color work on 8-bit pixels; scaling to floats happens last, on the device.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Integral

import torch
from torch import nn

from ltlearn.images._auto_augment import POLICIES, AutoAugmentBatch
from ltlearn.images._recipes import Recipe
from ltlearn.images._spec import InputSpec
from ltlearn.utils._random import isolated_generators


def eval_transform(spec: InputSpec) -> Callable[..., torch.Tensor]:
    """Resize and crop as the backbone was evaluated with, by timm's factory.

    Of an image so long that resizing its shorter side would give more pixels than
    ``PIL.Image.MAX_IMAGE_PIXELS``, only the middle is resized.

    Parameters
    ----------
    spec : InputSpec

    Returns
    -------
    transform : callable
        Takes a PIL image and returns a uint8 tensor (C, H, W), or takes a batch of images of one
        size (B, C, h, w) and returns (B, C, H, W) of the same type.

    Examples
    --------
    >>> from PIL import Image
    >>> from ltlearn.images import InputSpec, eval_transform
    >>> eval_transform(InputSpec(size=(32, 32)))(Image.new("RGB", (80, 60))).shape
    torch.Size([3, 32, 32])
    """
    from timm.data import create_transform

    transform = create_transform(
        (spec.channels, *spec.size),
        is_training=False,
        interpolation=spec.interpolation,
        mean=spec.mean,
        std=spec.std,
        crop_pct=spec.crop_pct,
        crop_mode=spec.crop_mode,
        normalize=False,
    )
    if spec.crop_mode == "center":
        resized = tuple(math.floor(side / spec.crop_pct) for side in spec.size)
        transform.transforms.insert(0, _MiddleOfExtremes(resized))
    return transform


def train_transform(spec: InputSpec, recipe: Recipe) -> Callable[..., torch.Tensor]:
    """Random crops, flips and color changes of training images.

    What a :class:`Recipe` does to whole batches of scaled images (erasing, mixing) is not part of
    it.

    Parameters
    ----------
    spec : InputSpec
    recipe : Recipe

    Returns
    -------
    transform : callable
        Takes a PIL image and a seed, and returns a uint8 tensor (C, H, W). The same image and seed
        give the same result in any process, and the default generators stay as they are.

    Examples
    --------
    >>> from PIL import Image
    >>> from ltlearn.images import RECIPES, InputSpec, train_transform
    >>> transform = train_transform(InputSpec(size=(32, 32)), RECIPES["elta"])
    >>> transform(Image.new("RGB", (80, 60)), seed=0).shape
    torch.Size([3, 32, 32])
    """
    from timm.data import create_transform
    from torchvision import transforms

    if recipe.resize_ratio is None:
        transform = create_transform(
            (spec.channels, *spec.size),
            is_training=True,
            color_jitter=None,
            auto_augment=None if recipe.auto_augment in POLICIES else recipe.auto_augment,
            interpolation=spec.interpolation,
            mean=spec.mean,
            std=spec.std,
            normalize=False,
        )
        for step in transform.transforms:
            for operation in getattr(step, "ops", ()):
                if operation.name.startswith("Posterize"):
                    operation.level_fn = _AtLeastOneBit(operation.level_fn)
        if recipe.auto_augment in POLICIES:
            policy = transforms.AutoAugmentPolicy(recipe.auto_augment)
            transform.transforms.append(transforms.AutoAugment(policy))
        return SeededTransform(transform)
    return SeededTransform(
        transforms.Compose(
            [
                *_resize_shorter_side(spec, recipe),
                transforms.RandomCrop(spec.size),
                transforms.RandomHorizontalFlip(),
                transforms.PILToTensor(),
            ]
        )
    )


def _resize_shorter_side(spec, recipe):
    """The steps that bring the shorter side to ``resize_ratio`` times the backbone's size."""
    from timm.data.transforms import str_to_interp_mode
    from torchvision import transforms

    side = round(max(spec.size) * recipe.resize_ratio)
    interpolation = str_to_interp_mode(spec.interpolation)
    return _MiddleOfExtremes((side, side)), transforms.Resize(side, interpolation)


class _MiddleOfExtremes:
    """Of images so long that resizing would exceed Pillow's limit, the middle that is needed.

    Parameters
    ----------
    size : tuple of int
        Height and width that the resized image covers.
    """

    def __init__(self, size):
        self.size = size

    def __call__(self, images):
        from PIL import Image
        from torchvision.transforms import functional

        _, *sides = functional.get_dimensions(images)
        scale = max(new / old for new, old in zip(self.size, sides, strict=True))
        limit = Image.MAX_IMAGE_PIXELS
        if limit is None or math.prod(sides) * scale**2 <= limit:
            return images
        needed = [
            min(old, math.ceil(new / scale)) for new, old in zip(self.size, sides, strict=True)
        ]
        return functional.center_crop(images, needed)


class _AtLeastOneBit:
    """Bits that posterizing keeps: timm may draw 0, for black images, which Pillow refuses."""

    def __init__(self, level_to_bits):
        self.level_to_bits = level_to_bits

    def __call__(self, level, hparams):
        (bits,) = self.level_to_bits(level, hparams)
        return (max(1, bits),)


def batch_transform(spec: InputSpec, recipe: Recipe) -> Callable[..., torch.Tensor]:
    """Random crops and flips of training images that come as an array.

    With ``resize_ratio``, images are resized and then cropped to the size of the backbone. Without,
    crops may reach over the border by an eighth of the side, and are brought to the size of the
    backbone as in evaluation. Of ``auto_augment``, only ``"cifar10"`` is for arrays.

    Parameters
    ----------
    spec : InputSpec
    recipe : Recipe

    Returns
    -------
    transform : callable
        Takes a batch of images of one size (B, C, h, w) and returns (B, C, H, W) of the same type;
        draws from the default generator of the images' device.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.images import RECIPES, InputSpec, batch_transform
    >>> transform = batch_transform(InputSpec(size=(32, 32)), RECIPES["elta"])
    >>> transform(torch.zeros(4, 3, 60, 80, dtype=torch.uint8)).shape
    torch.Size([4, 3, 32, 32])
    """
    return _BatchTransform(spec, recipe)


class _BatchTransform:
    def __init__(self, spec, recipe):
        from torchvision import transforms

        self.resize = None
        if recipe.resize_ratio is not None:
            self.resize = transforms.Compose(_resize_shorter_side(spec, recipe))
            self.crop = RandomCropFlip(spec.size)
        self.evaluate = eval_transform(spec)
        self.change = None
        if recipe.auto_augment in POLICIES:
            self.change = AutoAugmentBatch(recipe.auto_augment)

    def __call__(self, images):
        images = self._cropped(images)
        return images if self.change is None else self.change(images)

    def _cropped(self, images):
        if self.resize is not None:
            return self.crop(self.resize(images))
        height, width = images.shape[-2:]
        crop = RandomCropFlip((height, width), padding=(height // 8, width // 8))
        return self.evaluate(crop(images))


class SeededTransform:
    """Make a random transform a function of the image and a seed.

    Parameters
    ----------
    transform : callable
        Draws from the default generators of torch, NumPy or :mod:`random`.
    """

    def __init__(self, transform):
        self.transform = transform

    def __call__(self, image, seed):
        with isolated_generators(seed, torch.device("cpu")):
            return self.transform(image)


class RandomCropFlip(nn.Module):
    """Crop each image of a batch at random, and mirror half of them.

    Parameters
    ----------
    size : tuple of int
        Height and width of the crops.
    padding : int or tuple of int, default=0
        By how many pixels a crop may reach over the border, where the image is reflected; two
        numbers are for rows and columns.
    flip : bool, default=True
        Mirror an image left to right with probability 0.5.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.images import RandomCropFlip
    >>> images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    >>> RandomCropFlip((32, 32), padding=4)(images, torch.Generator().manual_seed(0)).shape
    torch.Size([8, 3, 32, 32])
    """

    def __init__(
        self, size: tuple[int, ...], padding: int | tuple[int, ...] = 0, flip: bool = True
    ) -> None:
        super().__init__()
        self.size = size
        self.padding = (padding, padding) if isinstance(padding, Integral) else padding
        self.flip = flip

    def forward(
        self, images: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Augment a batch.

        Parameters
        ----------
        images : torch.Tensor of shape (B, C, h, w)
            Of any type; each side plus twice the padding must reach the size of the crops.
        generator : torch.Generator, default=None
            By default torch's own for the device of the images.

        Returns
        -------
        images : torch.Tensor of shape (B, C, H, W)
        """
        rows, columns = (
            self._positions(len(images), *sides, images.device, generator)
            for sides in zip(images.shape[-2:], self.size, self.padding, strict=True)
        )
        if self.flip:
            mirrored = _draw(2, len(images), images.device, generator).bool()
            columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        batch = torch.arange(len(images), device=images.device)
        crops = images[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return crops.permute(0, 3, 1, 2)

    def _positions(self, n, length, crop, padding, device, generator):
        """Source position of every pixel along one axis, (n, crop)."""
        n_places = length + 2 * padding - crop + 1
        if n_places < 1 or padding >= length:
            raise ValueError(
                f"Cannot cut {crop} pixels out of {length} with a padding of {padding}."
            )
        first = _draw(n_places, n, device, generator) - padding
        positions = (first[:, None] + torch.arange(crop, device=device)).abs()
        return (length - 1) - ((length - 1) - positions).abs()


class Normalize(nn.Module):
    """Scale pixels to [0, 1], subtract the mean and divide by the standard deviation.

    Parameters
    ----------
    mean, std : sequence of float, one per channel

    Examples
    --------
    >>> import torch
    >>> from ltlearn.images import Normalize
    >>> Normalize([0.5], [0.5])(torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2))
    tensor([[[[-1.,  1.]]]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            channels = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, channels, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scale a batch.

        Parameters
        ----------
        images : torch.Tensor of shape (B, C, H, W)
            uint8, or floating with values in [0, 1].

        Returns
        -------
        images : torch.Tensor of shape (B, C, H, W), dtype float32
        """
        if not images.is_floating_point():
            images = images.float() / 255
        # Bicubic resizing overshoots.
        return (images.clamp(0, 1) - self.mean) / self.std


class Preparation(nn.Module):
    """Normalize a batch of images and, in training, erase rectangles as a recipe says.

    Parameters
    ----------
    spec : InputSpec
    recipe : Recipe or None

    Examples
    --------
    >>> import torch
    >>> from ltlearn.images import InputSpec, Preparation
    >>> Preparation(InputSpec(), None)(torch.zeros(2, 3, 224, 224, dtype=torch.uint8)).dtype
    torch.float32
    """

    def __init__(self, spec: InputSpec, recipe: Recipe | None) -> None:
        super().__init__()
        self.normalize = Normalize(spec.mean, spec.std)
        self.erasing_probability = 0.0 if recipe is None else recipe.erasing_probability
        self.cutout = 0.0 if recipe is None else recipe.cutout

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Prepare a batch.

        Parameters
        ----------
        images : torch.Tensor of shape (B, C, H, W)
            uint8, or floating with values in [0, 1].

        Returns
        -------
        images : torch.Tensor of shape (B, C, H, W), dtype float32
        """
        images = self.normalize(images)
        if self.training and self.erasing_probability > 0:
            from timm.data.random_erasing import RandomErasing

            erase = RandomErasing(self.erasing_probability, mode="pixel", device=images.device)
            images = erase(images)
        if self.training and self.cutout > 0:
            images = images.masked_fill(_squares(images, self.cutout), 0.0)
        return images


def _squares(images, share):
    """Which pixels (B, 1, H, W) lie in a square around a random one, cut off at the border."""
    n, device = len(images), images.device
    half = share * min(images.shape[-2:]) / 2
    rows, columns = (
        (torch.arange(side, device=device) - _draw(side, n, device, None)[:, None])
        for side in images.shape[-2:]
    )
    rows, columns = ((each >= -half) & (each < half) for each in (rows, columns))
    return (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)


def _draw(high, n, device, generator):
    source = device if generator is None else generator.device
    return torch.randint(high, (n,), generator=generator, device=source).to(device)
