"""Cross-validation in which every fold sees the tail, and splits that put a model under stress."""

from ltlearn.splitting import (
    BinnedStratifiedKFold,
    BinnedStratifiedShuffleSplit,
    BlindSpotSplit,
    ExtrapolationSplit,
    InterpolationSplit,
    RareClassStratifiedKFold,
)

__all__ = [
    "BinnedStratifiedKFold",
    "BinnedStratifiedShuffleSplit",
    "BlindSpotSplit",
    "ExtrapolationSplit",
    "InterpolationSplit",
    "RareClassStratifiedKFold",
]
