"""Splitters; public through :mod:`ltlearn.model_selection`."""

from ltlearn.splitting._binned import (
    BinnedStratifiedKFold,
    BinnedStratifiedShuffleSplit,
    RareClassStratifiedKFold,
)
from ltlearn.splitting._stress import BlindSpotSplit, ExtrapolationSplit, InterpolationSplit

__all__ = [
    "BinnedStratifiedKFold",
    "BinnedStratifiedShuffleSplit",
    "BlindSpotSplit",
    "ExtrapolationSplit",
    "InterpolationSplit",
    "RareClassStratifiedKFold",
]
