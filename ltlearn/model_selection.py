"""Cross-validation in which every fold sees the tail, and searches whose fits train as one."""

from ltlearn.search import BatchedGridSearchCV, BatchedRandomizedSearchCV
from ltlearn.splitting import (
    BinnedStratifiedKFold,
    BinnedStratifiedShuffleSplit,
    RareClassStratifiedKFold,
)

__all__ = [
    "BatchedGridSearchCV",
    "BatchedRandomizedSearchCV",
    "BinnedStratifiedKFold",
    "BinnedStratifiedShuffleSplit",
    "RareClassStratifiedKFold",
]
