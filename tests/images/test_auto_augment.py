"""Batched operations against torchvision's for one image, draws against their probabilities."""

import math

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from ltlearn.images._auto_augment import CIFAR10_POLICIES, AutoAugmentBatch, apply_operation


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    smooth = rng.uniform(0, 255, (6, 3, 4, 5)).repeat(4, 2).repeat(4, 3)
    return torch.from_numpy((0.8 * smooth + 40 * rng.random(smooth.shape)).astype(np.uint8))


def shear(x, y):
    return lambda image, level, height, width: F.affine(
        image,
        angle=0,
        translate=[0, 0],
        scale=1,
        shear=[math.degrees(math.atan(0.3 * level * each)) for each in (x, y)],
        center=[0, 0],
    )


def translate(x, y):
    def move(image, level, height, width):
        by = [int(150 / 331 * side * level) * on for side, on in ((width, x), (height, y))]
        return F.affine(image, angle=0, translate=by, scale=1, shear=[0, 0])

    return move


ORACLES = {
    "shear_x": shear(1, 0),
    "shear_y": shear(0, 1),
    "translate_x": translate(1, 0),
    "translate_y": translate(0, 1),
    "rotate": lambda image, level, height, width: F.rotate(image, 30 * level),
    "brightness": lambda image, level, *_: F.adjust_brightness(image, 1 + 0.9 * level),
    "contrast": lambda image, level, *_: F.adjust_contrast(image, 1 + 0.9 * level),
    "color": lambda image, level, *_: F.adjust_saturation(image, 1 + 0.9 * level),
    "sharpness": lambda image, level, *_: F.adjust_sharpness(image, 1 + 0.9 * level),
    "posterize": lambda image, level, *_: F.posterize(image, 8 - round(4 * abs(level))),
    "solarize": lambda image, level, *_: F.solarize(image, 255 * (1 - abs(level))),
    "auto_contrast": lambda image, *_: F.autocontrast(image),
    "equalize": lambda image, *_: F.equalize(image),
    "invert": lambda image, *_: F.invert(image),
}


@pytest.mark.parametrize("name", ORACLES)
def test_an_operation_is_torchvisions(images, name):
    levels = [(9, 1), (9, -1), (4, 1), (4, -1), (0, 1), (7, 1)]
    found = apply_operation(images, name, levels)
    for image, (tenths, sign), one in zip(images, levels, found, strict=True):
        expected = ORACLES[name](image, sign * tenths / 9, *image.shape[1:])
        difference = (one.int() - expected.int()).abs()
        # Pixels halfway between two others may come from either; values may be rounded otherwise.
        assert (difference > 1).float().mean() < 0.02, (name, tenths, sign)
    assert found.dtype == torch.uint8


def test_images_that_a_policy_leaves_alone_are_as_often_as_it_says(images):
    torch.manual_seed(0)
    # Distinct gray levels, such that every operation of these policies changes the image.
    batch = images[:1].expand(6000, -1, -1, -1)
    unchanged = (AutoAugmentBatch("cifar10")(batch) == batch).flatten(1).all(1).float().mean()
    # An operation at magnitude 0 (a color) or of no effect here may leave an image alone as well.
    least = np.mean([(1 - first[1]) * (1 - second[1]) for first, second in CIFAR10_POLICIES])
    assert least - 0.02 < unchanged < least + 0.08


def test_images_are_changed_one_by_one(images):
    torch.manual_seed(0)
    batch = images[:1].expand(64, -1, -1, -1)
    changed = AutoAugmentBatch("cifar10")(batch)
    assert len(changed.flatten(1).unique(dim=0)) > 20
    assert torch.equal(batch, images[:1].expand(64, -1, -1, -1))


def test_gray_images_and_others(images):
    assert AutoAugmentBatch("cifar10")(images[:, :1]).shape == images[:, :1].shape
    for wrong in (images.float(), images[:, :2]):
        with pytest.raises(ValueError, match=r"augmentation\.auto_augment is for images of one or"):
            AutoAugmentBatch("cifar10")(wrong)
