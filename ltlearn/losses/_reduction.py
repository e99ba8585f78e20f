"""What every loss does with its per-sample values: weight them, then reduce them."""

import torch
from torch import Tensor

from ltlearn.utils._suggestions import did_you_mean

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str) -> str:
    """Return `reduction`, or raise a ValueError that lists the known ones."""
    if reduction not in REDUCTIONS:
        hint = did_you_mean(reduction, REDUCTIONS)
        raise ValueError(f"reduction must be one of {REDUCTIONS}, got {reduction!r}.{hint}")
    return reduction


def check_sample_weight(sample_weight: Tensor, n_samples: int) -> None:
    """Refuse weights that would broadcast, such as (B, 1) against (B,)."""
    if sample_weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), got {tuple(sample_weight.shape)}."
        )


def reduce_loss(values: Tensor, sample_weight: Tensor | None, reduction: str) -> Tensor:
    """Weight the per-sample `values` (B,) and reduce them.

    ``"mean"`` is ``sum(w * values) / B``: it divides by the number of samples, not by the sum of
    the weights, so that weights of mean 1 over a data set give an unbiased estimate of the
    weighted loss from every batch. The mean of an empty batch is 0, attached to the graph.
    """
    if sample_weight is not None:
        check_sample_weight(sample_weight, len(values))
        values = values * sample_weight
    if reduction == "none":
        return values
    total = values.sum()
    return total if reduction == "sum" else total / max(len(values), 1)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Widen half-precision and integer tensors to float32; leave float32 and float64 alone."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
