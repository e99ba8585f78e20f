"""Real data that several benchmarks share: CIFAR-100, Fashion-MNIST, and their frozen features.

CIFAR-100 is read from ``DATA/cifar100``: ``train_images.npy`` (50000, 32, 32, 3) uint8 and
``train_labels.npy``, likewise ``test_`` (each also as ``.npy.xz``), and ``classes.json`` with the
names of the classes in the order of their labels and the classes of each superclass; made from
https://www.cs.toronto.edu/~kriz/cifar.html. Fashion-MNIST is read from ``DATA/fashion-mnist`` or
``/usr/share/datasets/fashion-mnist`` (Debian's package dataset-fashion-mnist): the four IDX files
of https://github.com/zalandoresearch/fashion-mnist.

Run as a script, it computes the features of both, which takes about ten minutes on one core::

    python benchmarks/_data.py [--data FOLDER]
"""

import argparse
import gzip
import json
import lzma
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

CACHE = Path(__file__).parent / "results" / "cache"
DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
FASHION_MNIST_CLASSES = [
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Boot",
]
FASHION_MNIST_ROWS_PER_CLASS = 2500


class Images(NamedTuple):
    """Images of one data set, or features of them; labels are class names."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def load_cifar100(data=DEFAULT_DATA):
    """CIFAR-100 and its superclasses.

    Returns
    -------
    images : Images
        Of shape (n, 32, 32, 3), uint8.
    superclasses : dict of str to list of str
        The five classes of each of the twenty superclasses.
    """
    folder = Path(data) / "cifar100"
    meta = json.loads((folder / "classes.json").read_text())
    names = np.array(meta["classes"])
    parts = []
    for part in ("train", "test"):
        parts += [_load(folder / f"{part}_images.npy")]
        parts += [names[_load(folder / f"{part}_labels.npy")]]
    return Images(*parts), meta["superclasses"]


def load_fashion_mnist(data=DEFAULT_DATA):
    """Fashion-MNIST: the first 2500 training images of each class, and all test images.

    Returns
    -------
    images : Images
        Of shape (n, 28, 28), uint8.
    """
    folder = Path(data) / "fashion-mnist"
    if not folder.exists():
        folder = Path("/usr/share/datasets/fashion-mnist")
    names = np.array(FASHION_MNIST_CLASSES)
    parts = []
    for part in ("train", "t10k"):
        images = _read_idx(folder / f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        labels = _read_idx(folder / f"{part}-labels-idx1-ubyte.gz", 8)
        if part == "train":
            first = [np.flatnonzero(labels == c)[:FASHION_MNIST_ROWS_PER_CLASS] for c in range(10)]
            rows = np.sort(np.concatenate(first))
            images, labels = images[rows], labels[rows]
        parts += [images, names[labels]]
    return Images(*parts)


def load_table(name, data=DEFAULT_DATA):
    """A table of numbers with classes, from ``DATA/uci/NAME.npz``.

    The file holds ``X`` (n, d) and ``y`` (n,), made from the data set of that name at
    https://archive.ics.uci.edu: letter, penbased (Pen-Based Recognition of Handwritten Digits),
    optdigits or segment.
    """
    with np.load(Path(data) / "uci" / f"{name}.npz") as file:
        return file["X"], file["y"]


def frozen_features(name, images, image_size=96):
    """Features of EfficientNet-Lite0 with ImageNet weights, computed once and kept in a file.

    Parameters
    ----------
    name : str
        Of the file in ``benchmarks/results/cache``; delete it to compute the features again.
    images : Images
    image_size : int, default=96
        Side to which images are enlarged.

    Returns
    -------
    features : Images
        ``X_train`` and ``X_test`` have shape (n, 1280), float32.
    """
    path = CACHE / f"{name}_lite0_{image_size}px.npz"
    if not path.exists():
        from ltlearn.features import BackboneFeatures

        embed = BackboneFeatures(image_size=image_size, crop_pct=1.0, verbose=1)
        features = {
            part: embed.fit_transform(X).astype(np.float16)
            for part, X in (("train", images.X_train), ("test", images.X_test))
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **features)
    with np.load(path) as file:
        train, test = (file[part].astype(np.float32) for part in ("train", "test"))
    return images._replace(X_train=train, X_test=test)


def long_tailed_counts(n_classes, largest, imbalance):
    """Class sizes that fall exponentially from ``largest`` to ``largest / imbalance``."""
    position = np.arange(n_classes) / max(n_classes - 1, 1)
    return np.round(largest * imbalance**-position).astype(int)


def _load(path):
    packed = path.with_suffix(".npy.xz")
    if packed.exists():
        with lzma.open(packed) as file:
            return np.load(file)
    return np.load(path)


def _read_idx(path, offset):
    return np.frombuffer(gzip.open(path).read(), np.uint8, offset=offset)


@cache
def load_images(part, name, data):
    """Images or frozen features of a data set, and its superclasses if any; kept in memory.

    In this module so that worker processes find it by name.
    """
    superclasses = None
    if name == "cifar":
        images, superclasses = load_cifar100(data)
    else:
        images = load_fashion_mnist(data)
    if part != "images":
        cache_name = {"cifar": "cifar100", "fashion": "fashion_mnist"}[name]
        return frozen_features(cache_name, images), superclasses
    X_train, X_test = (
        np.moveaxis(X, 3, 1) if X.ndim == 4 else X[:, None] for X in (images.X_train, images.X_test)
    )
    return images._replace(X_train=X_train, X_test=X_test), superclasses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    args = parser.parse_args()
    frozen_features("fashion_mnist", load_fashion_mnist(args.data))
    frozen_features("cifar100", load_cifar100(args.data)[0])


if __name__ == "__main__":
    main()
