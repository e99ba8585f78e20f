"""Bad images are found, listed and left out; never silently."""

import numpy as np
import pytest
from PIL import Image

from ltlearn.exceptions import BadImageError, BadImageWarning
from ltlearn.images import find_bad_images
from ltlearn.images._policy import readable_rows


@pytest.fixture
def paths(tmp_path):
    good, cut, empty = (tmp_path / name for name in ("good.jpg", "cut.jpg", "empty.jpg"))
    Image.effect_noise((64, 64), 50).save(good)
    cut.write_bytes(good.read_bytes()[:500])
    empty.touch()
    return [good, cut, good, empty, tmp_path / "missing.jpg"]


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_each_bad_file_is_listed(paths, n_jobs):
    bad = find_bad_images(paths, n_jobs=n_jobs)
    assert list(bad) == [1, 3, 4]
    for row, message in bad.items():
        assert str(paths[row]) in message


def test_skip_warns_and_keeps_the_readable(paths):
    with pytest.warns(BadImageWarning, match=r"3 of 5 images.*cut\.jpg.*empty.*missing"):
        rows = readable_rows(paths, "skip")
    assert rows.tolist() == [0, 2]


def test_a_long_list_is_cut(tmp_path, paths):
    missing = [tmp_path / f"{k}.jpg" for k in range(9)]
    with pytest.warns(BadImageWarning, match=r"/4\.jpg.*And 4 more\."):
        assert readable_rows([paths[0], *missing], "skip").tolist() == [0]


def test_skip_with_nothing_left_raises(paths):
    with pytest.raises(BadImageError, match="None of the 2 images"):
        readable_rows(paths[3:], "skip")


def test_raise_opens_nothing(paths):
    assert readable_rows(paths, "raise").tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 8, 8, 5), (3, 4, 8, 8)])
def test_images_in_memory_are_never_bad(shape):
    images = np.zeros(shape, dtype=np.uint8)
    assert find_bad_images(images) == {}
    assert readable_rows(images, "skip").tolist() == [0, 1, 2]
