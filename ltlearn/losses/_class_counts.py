"""What is known of the classes before training: tensors from what users pass."""

import torch
from torch import Tensor


def as_tensor(values) -> Tensor:
    """A tensor of tensors, arrays, lists, and what turns into an array, such as DataFrames."""
    if hasattr(values, "__array__") and not isinstance(values, Tensor):
        return torch.tensor(values.__array__())
    return torch.as_tensor(values)


def check_class_counts(class_counts) -> Tensor:
    """Return the counts as a float64 tensor (C,) on the CPU, with absent classes filled in.

    A class without samples, such as one that this epoch's draw left out, counts as much as the
    rarest class that has some: its logarithm stays finite, whatever the unit of the counts.

    Raises
    ------
    ValueError
        If the counts are not one-dimensional, or are negative, not finite or all zero.
    """
    counts = as_tensor(class_counts).detach().cpu().double()
    if counts.ndim != 1:
        raise ValueError(f"class_counts must have shape (C,), got {tuple(counts.shape)}.")
    if not (torch.isfinite(counts) & (counts >= 0)).all() or not (counts > 0).any():
        raise ValueError(
            f"class_counts must be finite, not negative and not all zero, got {counts.tolist()}."
        )
    return torch.where(counts > 0, counts, counts[counts > 0].min())
