"""What a user passes as images, behind one interface: arrays in memory, or files.

A source has a length, ``channels``, ``name(row)`` for messages and ``digest(row)``, a hash of one
image's content.
"""

import hashlib
import os
import time
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike

from ltlearn.images._decode import decode_image, read_bytes
from ltlearn.utils._typing import RowsLike

if TYPE_CHECKING:
    from PIL import Image

# A file written this recently may be written again without a new time stamp.
RECENT_SECONDS = 2.0

CHANNEL_COUNTS = (1, 3, 4)

EXPECTED = (
    "Images must be a numeric array (n, H, W), (n, H, W, C) or (n, C, H, W), or one column of file "
    "paths"
)


def as_image_source(X: RowsLike, *, channels: int = 3) -> "ArraySource | FileSource":
    """Wrap images or paths to image files.

    Parameters
    ----------
    X : array-like
        - uint8 array, or float array with values in [0, 1], of shape (n, H, W), (n, H, W, C) or
          (n, C, H, W). The channel axis is the one of size 1, 3, 4 or ``channels``;
        - or n file paths: a list, a NumPy array of strings, a pandas Series, or a DataFrame with
          one column.
    channels : int, default=3
        Number of channels wanted. Files are converted to 1 or 3; grey arrays are repeated.

    Returns
    -------
    source : ArraySource or FileSource

    Raises
    ------
    ValueError
        When X is neither, when it is not clear which axis holds the channels or whether X is a
        single image, when float pixels leave [0, 1], or when the number of channels does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.images import as_image_source
    >>> source = as_image_source(np.zeros((5, 32, 24, 3), dtype=np.uint8))
    >>> source.batch([0, 1]).shape
    torch.Size([2, 3, 32, 24])
    >>> as_image_source(["a.jpg", "b.jpg"]).name(1)
    'b.jpg'
    """
    values = as_paths_or_pixels(X)
    if values.dtype == object:
        return FileSource(values, channels)
    return ArraySource(_channels_first(values, channels), channels)


def as_paths_or_pixels(X):
    """X as an array: paths (n,) of type object, or numbers that are not checked any further."""
    try:
        values = np.asarray(X, dtype=object if _is_list_with_paths(X) else None)
    except ValueError as error:
        raise ValueError(
            "X is a list whose items have unequal shapes. Images in memory must all have the same "
            "height, width and channels; resize them, or pass paths of files."
        ) from error
    if values.ndim == 0:
        raise ValueError(
            "Images must be an array, or a list or column of file paths; got one "
            f"{type(X).__name__}. Put a single path in a list, and make a list of other "
            "collections."
        )
    if len(values) == 0:
        raise ValueError("There are no images in X.")
    return _path_strings(values) if values.dtype.kind in "OSTU" else values


def _is_list_with_paths(X):
    return isinstance(X, (list, tuple)) and any(isinstance(x, (str, os.PathLike)) for x in X)


def _path_strings(values):
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(
            f"{EXPECTED}; got an array of shape {values.shape} and type {values.dtype}."
        )
    for row, path in enumerate(values):
        if not isinstance(path, (str, os.PathLike)):
            raise ValueError(f"{EXPECTED}; row {row} of X is of type {type(path).__name__}.")
    return np.array([os.fspath(path) for path in values], dtype=object)


def _channels_first(values, channels):
    """View of an image array as (n, C, H, W), or an error that says what is wrong with it."""
    if values.dtype != np.uint8 and values.dtype.kind != "f":
        raise ValueError(
            f"Image arrays must be uint8 (0 to 255) or float (0 to 1); got {values.dtype}. "
            "Convert with .astype(numpy.uint8) if the values run from 0 to 255."
        )
    possible = {*CHANNEL_COUNTS, channels}
    if values.ndim == 3:
        if values.shape[2] in (3, 4) and values.shape[1] not in possible:
            raise ValueError(
                f"X of shape {values.shape} looks like one color image, not like "
                f"{len(values)} grey ones. Pass one image as X[None], and grey images that are "
                f"{values.shape[2]} pixels wide as X[..., None]."
            )
        values = values[:, np.newaxis]
    elif values.ndim == 4:
        first, last = values.shape[1] in possible, values.shape[3] in possible
        if first == last:
            raise ValueError(
                f"In images of shape {values.shape} the channel axis is "
                f"{'ambiguous' if first else 'missing'}: exactly one of axis 1 and axis 3 must "
                f"have size {', '.join(str(size) for size in sorted(possible))}."
            )
        if last:
            values = np.moveaxis(values, 3, 1)
    else:
        raise ValueError(
            "Image arrays must have shape (n, H, W), (n, H, W, C) or (n, C, H, W); got "
            f"{values.shape}."
        )
    if 0 in values.shape[1:]:
        raise ValueError(f"Images of shape {values.shape[1:]} have no pixels.")
    if values.shape[1] not in (1, channels):
        raise ValueError(
            f"The backbone takes {channels} channels, the images have {values.shape[1]}. Convert "
            "them, or build the backbone with in_chans."
        )
    if values.dtype.kind == "f" and values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            "Float images must have values from 0 to 1 and no NaN; these run from "
            f"{values.min():g} to {values.max():g}. Divide by the largest possible value, or pass "
            "uint8."
        )
    return values


class ArraySource:
    """Images of one size in memory.

    Parameters
    ----------
    values : ndarray of shape (n, C, H, W)
        uint8, or float in [0, 1].
    channels : int
        Number of channels of the batches; grey images are repeated.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.images import ArraySource
    >>> len(ArraySource(np.zeros((5, 3, 32, 24), dtype=np.uint8), channels=3))
    5
    """

    def __init__(self, values: np.ndarray, channels: int) -> None:
        self.values = values
        self.channels = channels

    def __len__(self):
        return len(self.values)

    def name(self, row: int) -> str:
        """What to call an image in messages.

        Parameters
        ----------
        row : int
        """
        return f"image {row}"

    def digest(self, row: int) -> str:
        """Hash of an image's pixels, shape and type.

        Parameters
        ----------
        row : int
        """
        image = np.ascontiguousarray(self.values[row])
        header = f"array {image.shape} {image.dtype.str} ".encode()
        return _digest(header + image.tobytes())

    def batch(self, rows: ArrayLike | slice) -> torch.Tensor:
        """Images of the given rows.

        Parameters
        ----------
        rows : array-like of int or slice

        Returns
        -------
        batch : torch.Tensor of shape (B, channels, H, W)
            uint8 or float32, on the CPU.
        """
        values = self.values[rows]
        if values.dtype != np.uint8:
            values = values.astype(np.float32)
        batch = torch.from_numpy(np.array(values, order="C"))
        return batch.expand(-1, self.channels, -1, -1)


class FileSource:
    """Image files, decoded when asked for.

    Parameters
    ----------
    paths : ndarray of str, shape (n,)
    channels : {1, 3}
        Number of channels that files are decoded to.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.images import FileSource
    >>> FileSource(np.array(["a.jpg", "b.jpg"], dtype=object), channels=3).name(0)
    'a.jpg'
    """

    def __init__(self, paths: np.ndarray, channels: int) -> None:
        if channels not in (1, 3):
            raise ValueError(
                f"Image files are read with 1 or 3 channels; the backbone takes {channels}. Pass "
                "arrays instead."
            )
        self.paths = paths
        self.channels = channels

    def __len__(self):
        return len(self.paths)

    def name(self, row: int) -> str:
        """What to call an image in messages: its path.

        Parameters
        ----------
        row : int
        """
        return self.paths[row]

    def digest(self, row: int) -> str:
        """Hash of a file's content; a file that has not changed is read once per process.

        Parameters
        ----------
        row : int

        Raises
        ------
        BadImageError
            When the file cannot be read or is empty.
        """
        path = os.path.abspath(self.paths[row])
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return _digest(read_bytes(path))  # the error that names the file
        identity = path, status.st_ino, status.st_size, status.st_mtime_ns
        if time.time() - status.st_mtime < RECENT_SECONDS:
            return _file_digest.__wrapped__(*identity)
        return _file_digest(*identity)

    def load(self, row: int) -> "tuple[Image.Image, str]":
        """Decode a file, and hash the content it was decoded from.

        Parameters
        ----------
        row : int

        Returns
        -------
        image : PIL.Image.Image
        digest : str

        Raises
        ------
        BadImageError
            When the file cannot be read or decoded.
        """
        path = self.paths[row]
        data = read_bytes(path)
        return decode_image(data, path, channels=self.channels), _digest(data)


@lru_cache(maxsize=1_000_000)
def _file_digest(path, inode, size, modified):
    return _digest(read_bytes(path))


def _digest(data):
    return hashlib.blake2b(data, digest_size=20).hexdigest()
