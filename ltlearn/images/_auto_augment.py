"""AutoAugment for whole batches: every image has draws of its own, an operation takes one pass."""

import math

import torch
from torch.nn import functional as F

# Policies that Cubuk et al. found for CIFAR-10 (table 7): two operations in a row, each with its
# probability and its magnitude in tenths.
CIFAR10_POLICIES = (
    (("invert", 0.1, 0), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("auto_contrast", 0.5, 0), ("equalize", 0.9, 0)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 0), ("equalize", 0.5, 0)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 0), ("auto_contrast", 0.4, 0)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 0)),
    (("equalize", 0.2, 0), ("auto_contrast", 0.6, 0)),
    (("equalize", 0.2, 0), ("equalize", 0.6, 0)),
    (("color", 0.9, 9), ("equalize", 0.6, 0)),
    (("auto_contrast", 0.8, 0), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("auto_contrast", 0.9, 0)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("auto_contrast", 0.9, 0), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 0), ("invert", 0.1, 0)),
    (("translate_y", 0.7, 9), ("auto_contrast", 0.9, 0)),
)
POLICIES = {"cifar10": CIFAR10_POLICIES}


class AutoAugmentBatch:
    """Change the colors and the geometry of each image by a policy drawn for it [1]_.

    Draws come from torch's default generator on the CPU, so that nothing waits for the device.

    Parameters
    ----------
    name : {"cifar10"}

    References
    ----------
    .. [1] Cubuk et al., "AutoAugment: Learning Augmentation Strategies from Data", CVPR 2019.
    """

    def __init__(self, name):
        self.policies = POLICIES[name]

    def __call__(self, images):
        """Images (B, C, H, W), uint8, of one or three channels; returns new ones."""
        if images.dtype != torch.uint8 or images.shape[1] not in (1, 3):
            raise ValueError(
                "augmentation.auto_augment is for images of one or three channels with values of "
                f"type uint8, got {images.shape[1]} channels of {images.dtype}."
            )
        images = images.clone()
        policy = torch.randint(len(self.policies), (len(images),), device="cpu").tolist()
        for step in range(2):
            chance = torch.rand(len(images), device="cpu").tolist()
            sign = (2 * torch.randint(2, (len(images),), device="cpu") - 1).tolist()
            rows, levels = {}, {}
            for i, number in enumerate(policy):
                name, probability, tenths = self.policies[number][step]
                if chance[i] < probability:
                    rows.setdefault(name, []).append(i)
                    levels.setdefault(name, []).append((tenths, sign[i]))
            for name, chosen in rows.items():
                index = torch.tensor(chosen, device="cpu").to(images.device, non_blocking=True)
                images[index] = apply_operation(images[index], name, levels[name])
        return images


def apply_operation(images, name, levels):
    """One operation on images (B, C, H, W), uint8.

    Parameters
    ----------
    images : torch.Tensor
    name : str
    levels : list of (int, int)
        Magnitude in tenths and sign for every image; not all operations use both.
    """
    from torchvision.transforms.v2 import functional

    levels = torch.tensor(levels, dtype=torch.float32, device="cpu")
    tenths, sign = levels.to(images.device, non_blocking=True).T
    share = tenths / 9  # ten steps from nothing to most
    height, width = images.shape[-2:]
    if name in _GEOMETRY:
        return _move(images, *_GEOMETRY[name](sign * share, height, width))
    if name in _BLENDS:
        factor = 1 + 0.9 * sign * share
        return _blend(images, _BLENDS[name](images.float()), factor)
    if name == "posterize":
        unused = (share * 4).round()
        step = (2**unused).to(torch.uint8).view(-1, 1, 1, 1)
        return images // step * step
    if name == "solarize":
        threshold = (255 * (1 - share)).view(-1, 1, 1, 1)
        return torch.where(images >= threshold, 255 - images, images)
    whole = {
        "auto_contrast": functional.autocontrast,
        "equalize": functional.equalize,
        "invert": functional.invert,
    }
    return whole[name](images)


def _shear_x(level, height, width):
    return 1, 0.3 * level, 0, 0, 1, 0


def _shear_y(level, height, width):
    return 1, 0, 0, 0.3 * level, 1, 0


def _translate_x(level, height, width):
    return 1, 0, -(150 / 331 * width * level).trunc(), 0, 1, 0


def _translate_y(level, height, width):
    return 1, 0, 0, 0, 1, -(150 / 331 * height * level).trunc()


def _rotate(level, height, width):
    """Counter-clockwise about the middle, by up to 30 degrees."""
    angle = math.radians(30) * level
    cos, sin, x, y = angle.cos(), angle.sin(), width / 2, height / 2
    return cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos


# Numbers (a, b, c, d, e, f) such that the pixel at (x, y) comes from (ax + by + c, dx + ey + f);
# coordinates count from the upper left corner, pixels have their centers at halves.
_GEOMETRY = {
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "rotate": _rotate,
}


def _move(images, a, b, c, d, e, f):
    """Every pixel from the nearest one to where it comes from; black from outside."""
    n, _, height, width = images.shape
    device = images.device
    y, x = torch.meshgrid(
        torch.arange(height, device=device) + 0.5,
        torch.arange(width, device=device) + 0.5,
        indexing="ij",
    )
    # A number is filled in on the device: to copy it there would wait for the device.
    a, b, c, d, e, f = (
        torch.zeros(n, 1, 1, device=device)
        + (value.view(n, 1, 1) if isinstance(value, torch.Tensor) else value)
        for value in (a, b, c, d, e, f)
    )
    columns = (a * x + b * y + c).floor().long()
    rows = (d * x + e * y + f).floor().long()
    is_inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    batch = torch.arange(n, device=device).view(n, 1, 1)
    moved = images[batch, :, rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return (moved * is_inside.unsqueeze(3)).permute(0, 3, 1, 2)


def _blend(images, plain, factor):
    factor = factor.view(-1, 1, 1, 1)
    return (factor * images + (1 - factor) * plain).clamp(0, 255).to(torch.uint8)


def _gray(images):
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).floor()


def _blurred(images):
    """Means of 3 x 3 pixels, the middle counting five times; the border as it is."""
    channels = images.shape[1]
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5
    kernel = (kernel / 13).expand(channels, 1, 3, 3)
    blurred = images.clone()
    if min(images.shape[-2:]) > 2:
        blurred[..., 1:-1, 1:-1] = F.conv2d(images, kernel, groups=channels).round()
    return blurred


# What an image turns into as its brightness, ... goes to nothing.
_BLENDS = {
    "brightness": torch.zeros_like,
    "contrast": lambda images: _gray(images).mean((1, 2, 3), keepdim=True).floor(),
    "color": _gray,
    "sharpness": _blurred,
}
