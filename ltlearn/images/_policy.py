"""What to do about image files that cannot be read."""

import warnings
from typing import Literal

import numpy as np
from joblib import Parallel, delayed

from ltlearn.exceptions import BadImageError, BadImageWarning
from ltlearn.images._sources import FileSource, as_paths_or_pixels
from ltlearn.utils._typing import RowsLike

SHOWN = 5


def find_bad_images(X: RowsLike, *, n_jobs: int | None = None) -> dict[int, str]:
    """Decode every image file once and list those that cannot be read.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Paths of image files: a list, a NumPy array of strings, a pandas Series, or a DataFrame
        with one column. Images in memory are never bad.
    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    bad : dict of int to str
        What is wrong with each unreadable file, by its row, in the order of rows.

    Examples
    --------
    >>> from ltlearn.images import find_bad_images
    >>> find_bad_images(["no_such_photo.jpg"])
    {0: 'Image file no_such_photo.jpg cannot be read: No such file or directory.'}
    """
    paths = as_paths_or_pixels(X)
    if paths.dtype != object:
        return {}
    source = FileSource(paths, channels=3)
    problems = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_problem)(source, row) for row in range(len(source))
    )
    return {row: problem for row, problem in enumerate(problems) if problem}


def readable_rows(
    X: RowsLike, on_bad_image: Literal["raise", "skip"], *, n_jobs: int | None = None
) -> np.ndarray:
    """Rows to train on.

    Parameters
    ----------
    X : array-like
        Images or paths.
    on_bad_image : {"raise", "skip"}
        ``"raise"`` keeps every row without opening a file: a bad one raises when its turn comes.
        ``"skip"`` decodes every file and leaves out the bad ones with a warning.
    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    rows : ndarray of int

    Raises
    ------
    BadImageError
        When nothing is left.

    Warns
    -----
    BadImageWarning
        When files are left out; it says how many and lists the first.

    Examples
    --------
    >>> from ltlearn.images import readable_rows
    >>> readable_rows(["some.jpg", "other.jpg"], "raise")
    array([0, 1])
    """
    n = len(as_paths_or_pixels(X))
    bad = find_bad_images(X, n_jobs=n_jobs) if on_bad_image == "skip" else {}
    if len(bad) == n:
        raise BadImageError(f"None of the {n} images can be read. {_listing(bad)}")
    if bad:
        warnings.warn(
            f"{len(bad)} of {n} images cannot be read and are left out. {_listing(bad)}",
            BadImageWarning,
            stacklevel=2,
        )
    return np.setdiff1d(np.arange(n), list(bad))


def _problem(source, row):
    try:
        source.load(row)
    except BadImageError as error:
        return str(error)
    return None


def _listing(bad):
    shown = " ".join(list(bad.values())[:SHOWN])
    return shown if len(bad) <= SHOWN else f"{shown} And {len(bad) - SHOWN} more."
