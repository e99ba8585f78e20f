"""From an image file to upright 8-bit pixels, or one error that names the file.

What becomes of the odd ones:

==========================  ==================================================================
corrupt, truncated, empty   :class:`~ltlearn.exceptions.BadImageError`
missing, not a file         :class:`~ltlearn.exceptions.BadImageError`
huge (more pixels than      :class:`~ltlearn.exceptions.BadImageError`, before anything is
``PIL.Image``'s limit)      decompressed
CMYK, YCbCr, grey, palette  converted to the number of channels asked for
transparent                 laid over white
16-bit grey                 scaled to 8 bits, not clipped
32-bit integer, float       :class:`~ltlearn.exceptions.BadImageError`: their range is unknown
EXIF orientation            turned upright; damaged EXIF data is ignored
animated, multi-page        first frame
documents, vector graphics  :class:`~ltlearn.exceptions.BadImageError`: only the raster formats in
                            :data:`FORMATS` are opened, whatever a file is called, so that no other
                            program is ever started
==========================  ==================================================================
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ltlearn.exceptions import BadImageError
from ltlearn.utils._text import without_addresses
from ltlearn.utils._typing import FilePath

if TYPE_CHECKING:
    from PIL import Image

MODES = {1: "L", 3: "RGB"}

# Pillow opens PostScript, too, by running Ghostscript on it. What a plug-in adds is not opened
# either, HEIF apart.
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM"),
    *("QOI", "SGI", "TGA", "TIFF", "WEBP"),
)

# Formats whose 32-bit mode "I" holds 16-bit samples.
SIXTEEN_BIT_FORMATS = {"PNG", "PPM"}


def read_image(path: FilePath, *, channels: Literal[1, 3] = 3) -> "Image.Image":
    """Read an image file as upright 8-bit pixels.

    Parameters
    ----------
    path : str or path-like
    channels : {1, 3}, default=3
        1 for grey, 3 for RGB.

    Returns
    -------
    image : PIL.Image.Image
        In mode ``"L"`` or ``"RGB"``; ``numpy.asarray(image)`` is uint8 of shape (H, W) or
        (H, W, 3).

    Raises
    ------
    BadImageError
        When the file is missing, empty, damaged, larger than ``PIL.Image.MAX_IMAGE_PIXELS``, in
        none of the common raster formats (JPEG, PNG, WebP, GIF, TIFF, BMP, ...), or has pixels of
        unknown range (32-bit integers, floats). The message names the file.

    Notes
    -----
    Transparent pixels are laid over white, 16-bit grey is scaled to 8 bits, the EXIF orientation
    is applied, and of an animation or a multi-page file the first frame is taken.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from ltlearn.images import read_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("CMYK", (4, 2)).save(f"{folder}/cmyk.jpg")
    ...     image = read_image(f"{folder}/cmyk.jpg")
    >>> image.mode, image.size
    ('RGB', (4, 2))
    """
    return decode_image(read_bytes(path), path, channels=channels)


def read_bytes(path):
    """Content of an image file.

    Raises
    ------
    BadImageError
        When the file cannot be read or is empty.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BadImageError(f"Image file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # no file can have this name
        raise BadImageError(f"Image file {path!r} cannot be read: {error}.") from error
    if not data:
        raise BadImageError(f"Image file {path} is empty.")
    return data


def decode_image(data, name, *, channels=3):
    """Decode the content of an image file; see :func:`read_image`.

    Parameters
    ----------
    data : bytes
    name : str or path-like
        What to call the image in errors.
    channels : {1, 3}, default=3

    Returns
    -------
    image : PIL.Image.Image
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=raster_formats()) as image:
            _check_size(image)
            image.load()
            upright = _turn_upright(image)
            if image.mode.startswith("I;16") or (
                image.mode == "I" and image.format in SIXTEEN_BIT_FORMATS
            ):
                upright = _from_16_bits(upright)
        return _to_mode(upright, MODES[channels])
    except UnidentifiedImageError as error:
        raise BadImageError(
            f"Image file {name} is in no image format that is opened; those are "
            f"{', '.join(raster_formats())}."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # each of Pillow's formats fails in its own way
        problem = without_addresses(str(error))
        raise BadImageError(f"Image file {name} cannot be decoded: {problem}") from error


def raster_formats():
    """Those of :data:`FORMATS` that this installation of Pillow knows, a tuple of str."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_size(image):
    """Refuse what Pillow only warns about: a small file that unfolds into gigabytes."""
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise Image.DecompressionBombError(
            f"{image.width} x {image.height} pixels are more than the limit of {limit}. If the "
            "file is meant to be that large, raise PIL.Image.MAX_IMAGE_PIXELS."
        )


def _turn_upright(image):
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # damaged EXIF data fail in many ways, and the pixels are intact
        return image


def _from_16_bits(image):
    """Grey samples scaled to 8 bits, with those of the transparent value white."""
    from PIL import Image

    samples = np.asarray(image)
    pixels = np.rint(samples / 257).astype(np.uint8)
    if "transparency" in image.info:
        pixels[samples == image.info["transparency"]] = 255
    return Image.fromarray(pixels)


def _to_mode(image, mode):
    from PIL import Image

    if image.mode in ("I", "F"):
        raise ValueError(
            f"pixels of mode {image.mode!r} have no fixed range. Save the file with 8 or 16 bits."
        )
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)
