"""Names for what public functions take, in their annotations."""

from collections.abc import Callable
from os import PathLike
from typing import Any, TypeAlias, TypeVar

from torch import nn

# Rows of X: arrays, data frames of any library, sparse matrices, images, paths of files. They share
# no type that a checker knows.
RowsLike: TypeAlias = Any

FilePath: TypeAlias = str | PathLike[str]

Backbone: TypeAlias = str | nn.Module | Callable[..., nn.Module]

# What a decorator takes and returns.
Function = TypeVar("Function", bound=Callable[..., Any])

# What a method that returns the object itself is given and returns.
Self = TypeVar("Self")
