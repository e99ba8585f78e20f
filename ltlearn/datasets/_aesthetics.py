"""Label files of AVA, AADB, TAD66K and PARA, matched with the images they are about.

All are comma-separated files in UTF-8 with a header and one row an image. ``image_id`` is the
image's file name relative to the images' folder, with or without its extension; it cannot lead out
of that folder.
"""

import csv
import os
import warnings
from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from ltlearn.exceptions import BadImageError, BadImageWarning
from ltlearn.utils._checks import LARGEST, naming
from ltlearn.utils._typing import FilePath

IMAGE_COLUMN = "image_id"
AVA_VOTE_COLUMNS = [f"score{k}" for k in range(2, 12)]
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
SHOWN = 5


def read_ava(
    images_dir: FilePath,
    labels_file: FilePath,
    *,
    on_missing: Literal["raise", "drop"] = "raise",
) -> tuple[np.ndarray, np.ndarray]:
    """Read AVA: photographs and how many people gave each score from 1 to 10 [1]_.

    Parameters
    ----------
    images_dir : str or path-like
        Folder with the images.
    labels_file : str or path-like
        Comma-separated, with the columns ``image_id`` and ``score2`` to ``score11``: the numbers of
        votes for the scores 1 to 10. Other columns are ignored.
    on_missing : {"raise", "drop"}, default="raise"
        What to do where a labeled image is not in the folder.

    Returns
    -------
    paths : ndarray of str, shape (n_samples,)
    y : ndarray of shape (n_samples, 10)
        Votes; column k - 1 holds those for score k.

    Raises
    ------
    BadImageError
        When images are missing; it says how many and lists the first.
    ValueError
        When the labels file is not as described, or has two rows for an image.

    Warns
    -----
    BadImageWarning
        When missing images are dropped.

    References
    ----------
    .. [1] Murray et al., "AVA: A Large-Scale Database for Aesthetic Visual Analysis", CVPR 2012.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ltlearn.datasets import read_ava
    >>> votes = ",".join(f"score{k}" for k in range(2, 12))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "953619.jpg").touch()
    ...     labels = Path(folder) / "ava.csv"
    ...     _ = labels.write_text(f"image_id,{votes}\\n953619,0,1,5,17,38,36,15,6,5,1\\n")
    ...     paths, y = read_ava(folder, labels)
    >>> Path(paths[0]).name, y.shape
    ('953619.jpg', (1, 10))
    """
    paths, votes = _read(images_dir, labels_file, AVA_VOTE_COLUMNS, on_missing)
    empty = np.flatnonzero((votes < 0).any(axis=1) | (votes.sum(axis=1) == 0))
    if len(empty):
        raise ValueError(
            f"{labels_file} has {len(empty)} images without votes or with negative ones; the first "
            f"is {paths[empty[0]]}."
        )
    return paths, votes


def read_aadb(
    images_dir: FilePath,
    labels_file: FilePath,
    *,
    on_missing: Literal["raise", "drop"] = "raise",
) -> tuple[np.ndarray, np.ndarray]:
    """Read AADB: photographs and their aesthetic scores [1]_.

    Parameters
    ----------
    images_dir : str or path-like
        Folder with the images.
    labels_file : str or path-like
        Comma-separated, with the columns ``image_id`` and ``score``. Other columns are ignored.
    on_missing : {"raise", "drop"}, default="raise"
        What to do where a labeled image is not in the folder.

    Returns
    -------
    paths : ndarray of str, shape (n_samples,)
    y : ndarray of shape (n_samples,)
        Scores, as they are in the file.

    Raises
    ------
    BadImageError
        When images are missing; it says how many and lists the first.
    ValueError
        When the labels file is not as described, or has two rows for an image.

    Warns
    -----
    BadImageWarning
        When missing images are dropped.

    References
    ----------
    .. [1] Kong et al., "Photo Aesthetics Ranking Network with Attributes and Content Adaptation",
       ECCV 2016.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ltlearn.datasets import read_aadb
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "farm1.jpg").touch()
    ...     labels = Path(folder) / "labels.csv"
    ...     _ = labels.write_text("image_id,score\\nfarm1.jpg,0.65\\n")
    ...     paths, y = read_aadb(folder, labels)
    >>> y
    array([0.65])
    """
    return _read_scores(images_dir, labels_file, on_missing)


def read_tad66k(
    images_dir: FilePath,
    labels_file: FilePath,
    *,
    on_missing: Literal["raise", "drop"] = "raise",
) -> tuple[np.ndarray, np.ndarray]:
    """Read TAD66K: photographs of 47 themes and their aesthetic scores [1]_.

    Parameters
    ----------
    images_dir : str or path-like
        Folder with the images.
    labels_file : str or path-like
        Comma-separated, with the columns ``image_id`` and ``score``. Other columns are ignored.
    on_missing : {"raise", "drop"}, default="raise"
        What to do where a labeled image is not in the folder.

    Returns
    -------
    paths : ndarray of str, shape (n_samples,)
    y : ndarray of shape (n_samples,)
        Scores, as they are in the file.

    Raises
    ------
    BadImageError
        When images are missing; it says how many and lists the first.
    ValueError
        When the labels file is not as described, or has two rows for an image.

    Warns
    -----
    BadImageWarning
        When missing images are dropped.

    References
    ----------
    .. [1] He et al., "Rethinking Image Aesthetics Assessment: Models, Datasets and Benchmarks",
       IJCAI 2022.

    Examples
    --------
    >>> from ltlearn.datasets import read_tad66k
    >>> paths, y = read_tad66k("images", "train.csv")  # doctest: +SKIP
    """
    return _read_scores(images_dir, labels_file, on_missing)


def read_para(
    images_dir: FilePath,
    labels_file: FilePath,
    *,
    on_missing: Literal["raise", "drop"] = "raise",
) -> tuple[np.ndarray, np.ndarray]:
    """Read PARA: photographs and their mean aesthetic scores over many raters [1]_.

    Parameters
    ----------
    images_dir : str or path-like
        Folder with the images.
    labels_file : str or path-like
        Comma-separated, with the columns ``image_id`` and ``score``. Other columns are ignored. An
        ``image_id`` may name a subfolder, ``session1/photo.jpg``.
    on_missing : {"raise", "drop"}, default="raise"
        What to do where a labeled image is not in the folder.

    Returns
    -------
    paths : ndarray of str, shape (n_samples,)
    y : ndarray of shape (n_samples,)
        Scores, as they are in the file.

    Raises
    ------
    BadImageError
        When images are missing; it says how many and lists the first.
    ValueError
        When the labels file is not as described, or has two rows for an image.

    Warns
    -----
    BadImageWarning
        When missing images are dropped.

    References
    ----------
    .. [1] Yang et al., "Personalized Image Aesthetics Assessment with Rich Attributes", CVPR 2022.

    Examples
    --------
    >>> from ltlearn.datasets import read_para
    >>> paths, y = read_para("images", "train.csv")  # doctest: +SKIP
    """
    return _read_scores(images_dir, labels_file, on_missing)


def _read_scores(images_dir, labels_file, on_missing):
    paths, y = _read(images_dir, labels_file, ["score"], on_missing)
    return paths, y[:, 0]


def _read(images_dir, labels_file, columns, on_missing):
    """Paths (n,) and the values (n, len(columns)) of the images that are there."""
    if not isinstance(on_missing, str) or on_missing not in ("raise", "drop"):
        raise ValueError(f'on_missing must be "raise" or "drop"; got {on_missing!r}.')
    with naming("labels_file"):
        labels_file = Path(labels_file)
    with naming("images_dir"):
        folder = Path(images_dir)
    ids, values = _read_labels(labels_file, columns)
    if not folder.is_dir():
        raise BadImageError(f"There is no folder of images {images_dir}.")
    paths = _find_images(folder, ids)
    _check_unique(labels_file, ids, paths)
    present = np.array([path is not None for path in paths])
    if not present.all():
        missing = [image_id for image_id, path in zip(ids, paths, strict=True) if path is None]
        more = ", ..." if len(missing) > SHOWN else ""
        message = (
            f"{len(missing)} of {len(ids)} images in {labels_file} are not in {images_dir}: "
            f"{', '.join(missing[:SHOWN])}{more}"
        )
        if on_missing == "raise" or not present.any():
            raise BadImageError(f'{message}. on_missing="drop" leaves missing images out.')
        warnings.warn(f"{message}. They are left out.", BadImageWarning, stacklevel=4)
    return np.array([path for path in paths if path is not None], dtype=object), values[present]


def _find_images(folder, ids):
    """Path of every image, by its name with or without extension, or None where there is none."""
    listings = {}
    paths = []
    for image_id in ids:
        path = folder / image_id
        if not _is_file(path):
            if path.parent not in listings:
                listings[path.parent] = _images_by_stem(path.parent)
            path = listings[path.parent].get(path.name)
        paths.append(None if path is None else str(path))
    return paths


def _is_file(path):
    try:
        return path.is_file()
    except (OSError, ValueError):  # no file can have this name
        return False


def _images_by_stem(folder):
    """Image files of a folder by their names without extension; the first of EXTENSIONS wins."""
    images = {}
    if os.path.isdir(folder):
        of_images = [path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS]
        of_images.sort(key=lambda path: (EXTENSIONS.index(path.suffix.lower()), path.name))
        for path in of_images:
            images.setdefault(path.stem, path)
    return images


def _leads_out(image_id):
    """Whether a name does not stay in the folder that it is relative to."""
    path = PurePath(image_id)
    return path.is_absolute() or ".." in path.parts


def _check_unique(labels_file, ids, paths):
    names = {}
    for image_id, path in zip(ids, paths, strict=True):
        if path is not None and path in names:
            raise ValueError(
                f"{labels_file} has two rows for {path}: {names[path]!r} and {image_id!r}."
            )
        names[path] = image_id


def _read_labels(labels_file, columns):
    """Names (n,) of the images and their numbers (n, len(columns))."""
    try:
        return _parse_labels(labels_file, columns)
    except UnicodeDecodeError as error:
        raise ValueError(f"{labels_file} is not in UTF-8; save it in that encoding.") from error
    except csv.Error as error:
        raise ValueError(f"{labels_file} is not a comma-separated file: {error}.") from error


def _parse_labels(labels_file, columns):
    with open(labels_file, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        header = reader.fieldnames or []
        absent = [name for name in (IMAGE_COLUMN, *columns) if name not in header]
        if absent:
            raise ValueError(
                f"{labels_file} has no column {', '.join(absent)}; its first line is "
                f"{','.join(header)!r}."
            )
        ids, values = [], []
        for row in reader:
            try:
                numbers = [float(row[name]) for name in columns]
            except (TypeError, ValueError):
                numbers = [np.nan]
            if not row[IMAGE_COLUMN] or not (np.abs(numbers) <= LARGEST).all():
                raise ValueError(
                    f"Line {reader.line_num} of {labels_file} lacks an image_id, or a finite "
                    f"number up to {LARGEST:g} in {', '.join(columns)}."
                )
            if _leads_out(row[IMAGE_COLUMN]):
                raise ValueError(
                    f"Line {reader.line_num} of {labels_file} has the image_id "
                    f"{row[IMAGE_COLUMN]!r}, which is outside the folder of images."
                )
            ids.append(row[IMAGE_COLUMN])
            values.append(numbers)
    if not ids:
        raise ValueError(f"{labels_file} has no rows.")
    return ids, np.array(values)
