"""Searches: parameters whose fits train together, the dial; public through ``model_selection``."""

from ltlearn.search._batched import BatchedGridSearchCV, BatchedRandomizedSearchCV
from ltlearn.search._tuned_tail import TunedTailCV

__all__ = ["BatchedGridSearchCV", "BatchedRandomizedSearchCV", "TunedTailCV"]
