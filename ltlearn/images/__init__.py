"""Images: reading files, sources of images in memory and on disk, transforms."""

from ltlearn.images._decode import read_image
from ltlearn.images._sources import ArraySource, FileSource, as_image_source
from ltlearn.images._spec import InputSpec
from ltlearn.images._transforms import Normalize, eval_transform

__all__ = [
    "ArraySource",
    "FileSource",
    "InputSpec",
    "Normalize",
    "as_image_source",
    "eval_transform",
    "read_image",
]
