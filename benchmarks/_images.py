"""Photos of houses with long-tailed scores for the benchmarks.

The data are those of Ahmed and Moustafa, "House price estimation from visual and textual features"
(2016), https://github.com/emanhamed/Houses-dataset; here a folder ``houses`` must hold
``houses.csv`` (``house_id``, ``price_usd``, ...) and ``photos/<house_id>_<room>.jpg``.
"""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from _data import CACHE, DEFAULT_DATA
from PIL import Image, ImageEnhance, ImageFilter
from skimage.metrics import structural_similarity

from ltlearn.images import read_image

ROOMS = ("frontal", "kitchen")
SIDE = 64  # of the patches whose quality is rated, in pixels


class HouseImages(NamedTuple):
    """Images or paths (n, ...), scores (n,) and the house that each image shows (n,)."""

    X: np.ndarray
    y: np.ndarray
    house: np.ndarray

    def split_for(self, seed):
        """Row numbers (train, validation, test): 65, 15 and 20 % of the houses."""
        houses = np.random.default_rng(seed).permutation(np.unique(self.house))
        cuts = [len(houses) // 5, len(houses) * 7 // 20]
        test, validation, train = (
            np.flatnonzero(np.isin(self.house, part)) for part in np.split(houses, cuts)
        )
        return train, validation, test


def load_prices(data=DEFAULT_DATA):
    """Paths of the frontal photos and the decimal logarithm of the price in US dollars."""
    table = _read_houses(data)
    paths = [_photo_path(data, house, "frontal") for house in table["house_id"]]
    y = np.log10(table["price_usd"].to_numpy(float))
    return HouseImages(np.array(paths), y, table["house_id"].to_numpy())


def load_quality(data=DEFAULT_DATA):
    """Distorted patches (n, 64, 64, 3) of two photos a house and their similarity (SSIM [1]_) to
    the undistorted ones; made once and kept in the cache folder.

    Each photo gets one of four distortions. Its strength follows a beta distribution with most of
    its mass near 0, so that few images are distorted badly.

    References
    ----------
    .. [1] Wang et al., "Image quality assessment: from error visibility to structural similarity",
       IEEE TIP 2004.
    """
    path = CACHE / f"houses_quality_{SIDE}px.npz"
    if not path.exists():
        rng = np.random.default_rng(0)
        houses = np.repeat(_read_houses(data)["house_id"], len(ROOMS)).to_numpy()
        rooms = np.resize(ROOMS, len(houses))
        photos = (read_image(_photo_path(data, *key)) for key in zip(houses, rooms, strict=True))
        X, y = zip(*(_rated_patch(photo, rng) for photo in photos), strict=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, X=np.stack(X), y=np.array(y), house=houses)
    with np.load(path) as file:
        return HouseImages(file["X"], file["y"], file["house"])


def _jpeg(photo, strength, rng):
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=round(90 - 85 * strength))
    return Image.open(file, formats=["JPEG"])


def _blur(photo, strength, rng):
    return photo.filter(ImageFilter.GaussianBlur(4 * strength))


def _noise(photo, strength, rng):
    pixels = np.asarray(photo) + rng.normal(scale=60 * strength, size=(*photo.size[::-1], 3))
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _contrast(photo, strength, rng):
    return ImageEnhance.Contrast(photo).enhance(1 - 0.95 * strength)


DISTORTIONS = (_jpeg, _blur, _noise, _contrast)


def _rated_patch(photo, rng):
    distort = DISTORTIONS[rng.integers(len(DISTORTIONS))]
    distorted = distort(photo, rng.beta(1, 5), rng)
    left, top = (rng.integers(length - SIDE + 1) for length in photo.size)
    patch, original = (
        np.asarray(image)[top : top + SIDE, left : left + SIDE] for image in (distorted, photo)
    )
    similarity = structural_similarity(
        original,
        patch,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return patch, similarity


def _read_houses(data):
    return pd.read_csv(Path(data) / "houses" / "houses.csv")


def _photo_path(data, house, room):
    return str(Path(data) / "houses" / "photos" / f"{house}_{room}.jpg")
