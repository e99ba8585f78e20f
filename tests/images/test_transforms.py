"""Transforms of files one by one and of arrays in batches."""

import math
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from ltlearn.images import (
    RECIPES,
    InputSpec,
    Normalize,
    RandomCropFlip,
    batch_transform,
    eval_transform,
    train_transform,
)


@pytest.fixture
def photo():
    noise = np.random.default_rng(0).integers(64, 192, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((80, 60), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("crop_pct", [0.875, 1.0])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_eval_transform_resizes_the_shorter_side_and_crops(crop_pct, interpolation, photo):
    spec = InputSpec(size=(28, 28), crop_pct=crop_pct, interpolation=interpolation)
    pixels = eval_transform(spec)(photo)
    side = math.floor(28 / crop_pct)
    resized = photo.resize((int(side * 80 / 60), side), Image.Resampling[interpolation.upper()])
    left, top = round((resized.width - 28) / 2), round((side - 28) / 2)
    expected = np.asarray(resized.crop((left, top, left + 28, top + 28)))
    assert pixels.dtype == torch.uint8
    np.testing.assert_array_equal(pixels.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("size", [(28, 28), (20, 36)])
def test_batches_are_transformed_like_files(crop_mode, size, photo):
    transform = eval_transform(InputSpec(size=size, crop_mode=crop_mode))
    batch = torch.from_numpy(np.asarray(photo).copy()).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
    from_batch, from_file = transform(batch), transform(photo)
    assert from_batch.shape == (2, 3, *size)
    assert from_batch.dtype == torch.uint8
    difference = from_batch.int() - from_file.int()
    assert difference.abs().max() <= 1  # Pillow rounds after each axis


def test_float_batches_stay_floats():
    batch = torch.rand(2, 3, 40, 40)
    small = eval_transform(InputSpec(size=(28, 28)))(batch)
    assert small.shape == (2, 3, 28, 28)
    assert small.dtype == torch.float32


def legacy_state():
    return np.random.get_state()  # noqa: NPY002


@pytest.mark.parametrize("recipe", RECIPES)
def test_training_images_depend_on_image_and_seed_alone(recipe, photo):
    transform = train_transform(InputSpec(size=(32, 32)), RECIPES[recipe])
    before = torch.get_rng_state(), random.getstate()
    numpy_before = legacy_state()
    one, two, other = (transform(photo, seed) for seed in (1, 1, 2))
    assert one.shape == (3, 32, 32)
    assert one.dtype == torch.uint8
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    np.testing.assert_equal(legacy_state(), numpy_before)


def test_elta_crops_are_windows_of_the_resized_image(photo):
    """Resized to 300/256 of the size, then a crop, half of them mirrored."""
    transform = train_transform(InputSpec(size=(32, 32)), RECIPES["elta"])
    resized = np.asarray(photo.resize((50, 38), Image.Resampling.BICUBIC))
    windows = {
        resized[top : top + 32, left : left + 32].tobytes()
        for top in range(38 - 32 + 1)
        for left in range(50 - 32 + 1)
    }
    mirrored = 0
    for seed in range(40):
        crop = transform(photo, seed).permute(1, 2, 0).numpy()
        if crop.tobytes() not in windows:
            assert crop[:, ::-1].tobytes() in windows
            mirrored += 1
    assert 8 <= mirrored <= 32


def test_mixed_sizes_give_one_size():
    spec = InputSpec(size=(24, 24))
    for shape in ((10, 90), (90, 10), (24, 24), (1, 1)):
        image = Image.new("RGB", shape)
        assert eval_transform(spec)(image).shape == (3, 24, 24)
        for recipe in RECIPES.values():
            assert train_transform(spec, recipe)(image, 0).shape == (3, 24, 24)


def long_image(across, shape):
    """Rows (or, where it is tall, columns) that differ from each other and not within."""
    profile = np.random.default_rng(0).integers(0, 256, (across, 3), dtype=np.uint8)
    pixels = np.repeat(profile[:, None], max(shape), axis=1)
    return Image.fromarray(pixels if shape[1] == max(shape) else pixels.swapaxes(0, 1).copy())


@pytest.mark.parametrize("shape", [(3, 400), (400, 3)])
@pytest.mark.parametrize("size", [(28, 28), (20, 36)])
@pytest.mark.parametrize("as_array", [False, True])
def test_long_images_are_not_blown_up_beyond_the_limit(as_array, size, shape, monkeypatch):
    image = long_image(3, shape)
    if as_array:
        image = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
    spec = InputSpec(size=size)
    elta = [batch_transform, train_transform][not as_array](spec, RECIPES["elta"])
    seed = [] if as_array else [0]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    plain = eval_transform(spec)(image)
    sides = []
    resize = functional.resize

    def record(image, size, *args, **kwargs):
        resized = resize(image, size, *args, **kwargs)
        sides.append(functional.get_dimensions(resized)[1:])
        return resized

    monkeypatch.setattr(functional, "resize", record)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    assert torch.equal(eval_transform(spec)(image), plain)
    assert elta(image, *seed).shape[-2:] == size
    assert len(sides) == 2
    assert all(height * width <= 5000 for height, width in sides)


def test_the_middle_of_a_long_image_is_kept(monkeypatch):
    pixels = np.zeros((4, 400, 3), dtype=np.uint8)
    pixels[:, 190:210] = 200
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    for transform in (eval_transform, lambda spec: train_transform(spec, RECIPES["elta"])):
        seed = [] if transform is eval_transform else [0]
        assert (transform(InputSpec(size=(28, 28)))(Image.fromarray(pixels), *seed) == 200).all()


def reflect(position, length):
    """Mirror a position at the first and the last pixel."""
    if position < 0:
        return -position
    return 2 * (length - 1) - position if position >= length else position


@pytest.mark.parametrize("padding", [0, 3, (2, 5), (3, 0)])
def test_random_crops_are_windows_of_the_reflected_image(padding):
    down, across = padding if isinstance(padding, tuple) else (padding, padding)
    images = torch.arange(60 * 2 * 7 * 8, dtype=torch.int32).view(60, 2, 7, 8)
    crops = RandomCropFlip((5, 6), padding)(images, torch.Generator().manual_seed(0))
    assert crops.shape == (60, 2, 5, 6)
    tops = set()
    for image, crop in zip(images.numpy(), crops.numpy(), strict=True):
        windows = {}
        for top in range(-down, 7 + down - 5 + 1):
            for left in range(-across, 8 + across - 6 + 1):
                rows = [reflect(top + k, 7) for k in range(5)]
                columns = [reflect(left + k, 8) for k in range(6)]
                window = image[:, rows][:, :, columns]
                windows[window.tobytes()] = windows[window[..., ::-1].tobytes()] = top
        tops.add(windows[crop.tobytes()])
    assert tops == set(range(-down, 3 + down))


@pytest.mark.parametrize("shape", [(16, 160), (160, 16), (1, 9), (32, 32)])
@pytest.mark.parametrize("recipe", RECIPES)
def test_arrays_of_any_shape_are_augmented(recipe, shape):
    images = torch.randint(256, (3, 3, *shape), dtype=torch.uint8)
    crops = batch_transform(InputSpec(size=(32, 32)), RECIPES[recipe])(images)
    assert crops.shape == (3, 3, 32, 32)


def test_half_of_the_crops_are_mirrored():
    images = torch.arange(5).expand(400, 1, 5, 5)
    crops = RandomCropFlip((5, 5))(images, torch.Generator().manual_seed(0))
    mirrored = (crops == images.flip(3)).all(dim=(1, 2, 3))
    assert ((crops == images).all(dim=(1, 2, 3)) | mirrored).all()
    assert 160 <= mirrored.sum() <= 240


def test_random_crops_come_from_the_generator():
    images = torch.randint(256, (16, 3, 12, 12), dtype=torch.uint8)
    augment = RandomCropFlip((12, 12), padding=2)
    state = torch.get_rng_state()
    one, two, other = (augment(images, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert one.dtype == torch.uint8
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(state, torch.get_rng_state())


def test_no_crop_and_no_flip_change_nothing():
    images = torch.rand(4, 3, 9, 9)
    assert torch.equal(RandomCropFlip((9, 9), flip=False)(images), images)


@pytest.mark.parametrize(("size", "padding"), [((20, 20), 2), ((12, 12), 12)])
def test_impossible_crops(size, padding):
    with pytest.raises(ValueError, match="Cannot cut"):
        RandomCropFlip(size, padding)(torch.zeros(1, 3, 12, 12))


def test_normalize():
    images = torch.randint(256, (4, 3, 5, 5), dtype=torch.uint8)
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.6, 0.7])
    expected = (images.numpy() / 255 - mean[:, None, None]) / std[:, None, None]
    normalize = Normalize(mean, std)
    np.testing.assert_allclose(normalize(images).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(normalize(images / 255).numpy(), expected, atol=1e-6)
    assert normalize.state_dict() == {}


def test_posterizing_always_keeps_a_bit():
    """A magnitude of 10, which RandAugment may draw, is 0 bits in timm."""
    transform = train_transform(InputSpec(size=(8, 8)), RECIPES["granularity"])
    (policy,) = [step for step in transform.transform.transforms if hasattr(step, "ops")]
    (posterize,) = [op for op in policy.ops if op.name.startswith("Posterize")]
    assert [posterize.level_fn(level, {})[0] for level in (0.0, 5.0, 10.0)] == [4, 2, 1]
