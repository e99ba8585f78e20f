"""From images to what a backbone takes: evaluation and training transforms.

Geometry and color work on 8-bit pixels; scaling to floats happens last, on the device.
"""

import torch
from torch import nn


def eval_transform(spec):
    """Resize and crop as the backbone was evaluated with, by timm's factory.

    Parameters
    ----------
    spec : InputSpec

    Returns
    -------
    transform : callable
        Takes a PIL image and returns a uint8 tensor (C, H, W), or takes a batch of images of one
        size (B, C, h, w) and returns (B, C, H, W) of the same type.
    """
    from timm.data import create_transform

    return create_transform(
        (spec.channels, *spec.size),
        is_training=False,
        interpolation=spec.interpolation,
        mean=spec.mean,
        std=spec.std,
        crop_pct=spec.crop_pct,
        crop_mode=spec.crop_mode,
        normalize=False,
    )


class Normalize(nn.Module):
    """Scale pixels to [0, 1], subtract the mean and divide by the standard deviation.

    Parameters
    ----------
    mean, std : sequence of float, one per channel

    Shape
    -----
    Input (B, C, H, W), uint8 in 0 to 255 or float in [0, 1]; output of the same shape, float32.
    """

    def __init__(self, mean, std):
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            values = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images):
        if not images.is_floating_point():
            images = images.float() / 255
        # Bicubic resizing overshoots.
        return (images.clamp(0, 1) - self.mean) / self.std
