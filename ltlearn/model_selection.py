"""Folds in which every one sees the tail, stress splits, and searches whose fits train as one."""

from ltlearn.search import BatchedGridSearchCV, BatchedRandomizedSearchCV
from ltlearn.splitting import (
    BinnedStratifiedKFold,
    BinnedStratifiedShuffleSplit,
    BlindSpotSplit,
    ExtrapolationSplit,
    InterpolationSplit,
    RareClassStratifiedKFold,
)

__all__ = [
    "BatchedGridSearchCV",
    "BatchedRandomizedSearchCV",
    "BinnedStratifiedKFold",
    "BinnedStratifiedShuffleSplit",
    "BlindSpotSplit",
    "ExtrapolationSplit",
    "InterpolationSplit",
    "RareClassStratifiedKFold",
]
