"""Folds in which every one sees the tail, stress splits, and searches: joint fits, the dial."""

from ltlearn.search import BatchedGridSearchCV, BatchedRandomizedSearchCV, TunedTailCV
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
    "TunedTailCV",
]
