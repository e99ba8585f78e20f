"""Checks that the enhancers share."""

import torch
from torch import Tensor

from ltlearn.losses._reduction import at_least_float32

_LEAST, _LARGEST = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max


def check_scores(scores: Tensor) -> Tensor:
    """Return the scores (B,) in at least float32, or raise a ValueError for another shape."""
    if scores.ndim != 1:
        raise ValueError(f"scores must have shape (B,), got {tuple(scores.shape)}.")
    return at_least_float32(scores)


def check_positive(**values: float) -> None:
    """Raise a ValueError unless every value is positive and finite, in float32 as well."""
    for name, value in values.items():
        if not _LEAST <= value <= _LARGEST:
            raise ValueError(
                f"{name} must be positive and finite, from {_LEAST:.0e} to {_LARGEST:.0e}, got "
                f"{value!r}."
            )


def check_pair_settings(pair_temperature: float, eps: float) -> None:
    """Raise a ValueError unless both are positive and no log-weight of a pair can overflow."""
    check_positive(pair_temperature=pair_temperature, eps=eps)
    if pair_temperature / eps > _LARGEST:
        raise ValueError(
            f"pair_temperature={pair_temperature!r} is too large for eps={eps!r}: log-weights of "
            "pairs reach pair_temperature / eps, which must fit into float32."
        )
