"""Cross-validation in which every fold sees the tail."""

from ltlearn.splitting import (
    BinnedStratifiedKFold,
    BinnedStratifiedShuffleSplit,
    RareClassStratifiedKFold,
)

__all__ = ["BinnedStratifiedKFold", "BinnedStratifiedShuffleSplit", "RareClassStratifiedKFold"]
