"""Images: reading files, what backbones take, transforms and augmentation."""

from ltlearn.enhancers import mix_images
from ltlearn.images._decode import read_image
from ltlearn.images._policy import find_bad_images, readable_rows
from ltlearn.images._recipes import RECIPES, Recipe
from ltlearn.images._sources import ArraySource, FileSource, as_image_source
from ltlearn.images._spec import InputSpec
from ltlearn.images._transforms import (
    Normalize,
    Preparation,
    RandomCropFlip,
    batch_transform,
    eval_transform,
    train_transform,
)

__all__ = [
    "RECIPES",
    "ArraySource",
    "FileSource",
    "InputSpec",
    "Normalize",
    "Preparation",
    "RandomCropFlip",
    "Recipe",
    "as_image_source",
    "batch_transform",
    "eval_transform",
    "find_bad_images",
    "mix_images",
    "read_image",
    "readable_rows",
    "train_transform",
]
