"""Checks that the enhancers share."""

import math

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Widen half-precision and integer tensors to float32; leave float32 and float64 alone."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def check_scores(scores: Tensor) -> Tensor:
    """Return the scores (B,) in at least float32, or raise a ValueError for another shape."""
    if scores.ndim != 1:
        raise ValueError(f"scores must have shape (B,), got {tuple(scores.shape)}.")
    return at_least_float32(scores)


def check_positive(**values: float) -> None:
    """Raise a ValueError unless every value is positive and finite."""
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be positive and finite, got {value!r}.")
