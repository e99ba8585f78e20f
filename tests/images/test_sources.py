"""Arrays and paths behind one interface."""

import math
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ltlearn.exceptions import BadImageError
from ltlearn.images import _sources, find_bad_images
from ltlearn.images._sources import ArraySource, FileSource, as_image_source

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 6), dtype=np.uint8)


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{row}.png" for row in range(len(PIXELS))]
    for path, pixels in zip(paths, PIXELS, strict=True):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
        age(path)
    return [str(path) for path in paths]


def age(path, seconds=60):
    """Make a file look as if it had been written a while ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize("images", [PIXELS, np.moveaxis(PIXELS, 1, 3)], ids=["first", "last"])
def test_channel_axis_is_found(images):
    source = as_image_source(images)
    assert isinstance(source, ArraySource)
    assert len(source) == 5
    np.testing.assert_array_equal(source.batch(np.arange(5)).numpy(), PIXELS)


def test_both_layouts_have_the_same_digest():
    first, last = as_image_source(PIXELS), as_image_source(np.moveaxis(PIXELS, 1, 3))
    digests = [first.digest(row) for row in range(5)]
    assert digests == [last.digest(row) for row in range(5)]
    assert len(set(digests)) == 5


def test_digest_tells_shape_and_type_apart():
    image = np.zeros((1, 5, 6), dtype=np.uint8)
    variants = [image, image.reshape(1, 6, 5), np.zeros((1, 5, 6), dtype=np.float32)]
    assert len({as_image_source(variant).digest(0) for variant in variants}) == 3


@pytest.mark.parametrize("shape", [(5, 8, 6), (5, 8, 6, 1), (5, 1, 8, 6)])
def test_grey_is_repeated(shape):
    grey = PIXELS[:, 0]
    batch = as_image_source(grey.reshape(shape)).batch(slice(1, 3))
    np.testing.assert_array_equal(batch.numpy(), grey[1:3, None].repeat(3, axis=1))


def test_uint8_stays_and_floats_become_float32():
    assert str(as_image_source(PIXELS).batch([0]).dtype) == "torch.uint8"
    batch = as_image_source(PIXELS / 255).batch([0])
    assert str(batch.dtype) == "torch.float32"
    np.testing.assert_allclose(batch.numpy() * 255, PIXELS[:1], rtol=1e-5)


def test_batches_do_not_share_memory_with_the_users_array():
    images = PIXELS.copy()
    batch = as_image_source(images).batch(slice(None))
    batch[0] = 0
    np.testing.assert_array_equal(images, PIXELS)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 8, 3), dtype=np.uint8), "ambiguous"),
        (np.zeros((2, 8, 8, 8), dtype=np.uint8), "missing"),
        (np.zeros((2, 8)), "must have shape"),
        (np.zeros((2, 8, 8, 4), dtype=np.uint8), "takes 3 channels, the images have 4"),
        (np.zeros((2, 0, 8, 3), dtype=np.uint8), "no pixels"),
        (np.zeros((0, 8, 8, 3), dtype=np.uint8), "no images"),
        (np.zeros((2, 8, 8), dtype=np.int64), "int64"),
        (np.full((2, 8, 8), 255.0), "from 255 to 255"),
        (np.full((2, 8, 8), np.nan), "no NaN"),
        (np.full((2, 8, 8), -0.1), "from -0.1"),
        ([], "no images"),
        ([["a.png", "b.png"]], "one column"),
        (["a.png", 3], "one column of file paths; row 1 of X is of type int"),
        (["a.png", "b.png", None], "row 2 of X is of type NoneType"),
        (["a.png", math.nan], "row 1 of X is of type float"),
        (pd.Series(["a.png", pd.NA]), "row 1 of X is of type"),
        (pd.Series([PIXELS[0], PIXELS[1]]), "row 0 of X is of type ndarray"),
        ([b"a.png"], "row 0 of X is of type bytes"),
        ("a.png", "got one str. Put a single path in a list"),
        (Path("a.png"), "got one .*Path"),
        (None, "got one NoneType"),
        ({"a.png"}, "got one set"),
        ((name for name in ["a.png"]), "got one generator"),
        ([PIXELS[0], PIXELS[0, :, :4]], "unequal shapes"),
        ([["a.png"], ["b.png", "c.png"]], "unequal shapes"),
        (np.zeros((32, 32, 3), dtype=np.uint8), r"one color image, not like 32 grey.* X\[None\]"),
        (np.zeros((32, 32, 4), dtype=np.uint8), "one color image"),
    ],
)
def test_what_is_not_images(images, message):
    with pytest.raises(ValueError, match=message):
        as_image_source(images)


def test_what_the_error_says_about_narrow_images_helps():
    one = PIXELS[0].transpose(1, 2, 0)
    assert len(as_image_source(one[None])) == 1
    assert len(as_image_source(one[..., None])) == 8


@pytest.mark.parametrize("shape", [(9, 4, 4), (9, 3, 3), (9, 3, 4), (9, 1, 3)])
def test_tiny_grey_images(shape):
    grey = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    batch = as_image_source(grey).batch(slice(None))
    np.testing.assert_array_equal(batch.numpy(), grey[:, None].repeat(3, axis=1))


def test_more_channels_when_asked_for():
    images = np.zeros((2, 8, 8, 5), dtype=np.uint8)
    assert as_image_source(images, channels=5).batch([0]).shape == (1, 5, 8, 8)


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        np.array,
        lambda paths: np.array(paths, dtype=object),
        lambda paths: np.array(paths)[:, None],
        lambda paths: [Path(path) for path in paths],
        lambda paths: np.array([Path(path) for path in paths], dtype=object),
        pd.Series,
        lambda paths: pd.DataFrame({"path": paths}),
    ],
)
def test_forms_of_paths(form, paths):
    source = as_image_source(form(paths))
    assert isinstance(source, FileSource)
    assert [source.name(row) for row in range(len(source))] == paths
    image, digest = source.load(3)
    np.testing.assert_array_equal(np.asarray(image), PIXELS[3].transpose(1, 2, 0))
    assert digest == source.digest(3)


def test_files_need_one_or_three_channels(paths):
    with pytest.raises(ValueError, match="takes 4"):
        as_image_source(paths, channels=4)
    assert as_image_source(paths, channels=1).load(0)[0].mode == "L"


def test_copies_of_a_file_have_the_same_digest(paths, tmp_path):
    copy = tmp_path / "copy.png"
    copy.write_bytes(Path(paths[0]).read_bytes())
    source = as_image_source([*paths, copy])
    digests = [source.digest(row) for row in range(6)]
    assert digests[5] == digests[0]
    assert len(set(digests)) == 5


def test_an_unchanged_file_is_read_once(paths, monkeypatch):
    read = []

    def count(path):
        read.append(path)
        return Path(path).read_bytes()

    monkeypatch.setattr(_sources, "read_bytes", count)
    for _ in range(3):
        source = as_image_source(paths)
        for row in range(len(source)):
            source.digest(row)
    assert sorted(read) == sorted(paths)


@pytest.mark.parametrize("seconds", [60, 0], ids=["old", "just written"])
def test_a_changed_file_has_another_digest(seconds, paths):
    source = as_image_source(paths)
    before = source.digest(0)
    old = os.stat(paths[0])
    content = bytearray(Path(paths[0]).read_bytes())
    content[-20] ^= 1  # the size stays
    Path(paths[0]).write_bytes(content)
    age(paths[0], seconds)
    if seconds == 0:  # a clock too coarse to tell the writes apart
        os.utime(paths[0], ns=(old.st_atime_ns, int(time.time() * 1e9)))
    assert source.digest(0) != before


@pytest.mark.parametrize("name", ["gone.jpg", "gone\0.jpg"])
def test_a_missing_file_is_named(name):
    source = as_image_source([name])
    for action in (source.digest, source.load):
        with pytest.raises(BadImageError, match="gone"):
            action(0)
    assert list(find_bad_images([name])) == [0]
