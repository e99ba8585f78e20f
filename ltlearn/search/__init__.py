"""Searches over parameters whose fits train together; public through ``model_selection``."""

from ltlearn.search._batched import BatchedGridSearchCV, BatchedRandomizedSearchCV

__all__ = ["BatchedGridSearchCV", "BatchedRandomizedSearchCV"]
