"""Splitters; public through :mod:`ltlearn.model_selection`."""

from ltlearn.splitting._binned import (
    BinnedStratifiedKFold,
    BinnedStratifiedShuffleSplit,
    RareClassStratifiedKFold,
)

__all__ = ["BinnedStratifiedKFold", "BinnedStratifiedShuffleSplit", "RareClassStratifiedKFold"]
