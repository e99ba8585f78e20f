"""How well predictions rank."""

import torch
from torch import Tensor


def rank_correlation(first: Tensor, second: Tensor, weight: Tensor | None = None) -> Tensor:
    """Spearman's rank correlation of two sets of numbers (n,), ties counted as their mean rank.

    A row of weight 2 counts as two rows. 0 where one of the two is constant: nothing is ranked.
    No shape depends on a value, so that many sets can be dealt with at once by ``torch.vmap``.
    """
    first, second = _exact(first), _exact(second)
    weight = torch.ones_like(first) if weight is None else weight.to(first.dtype)
    first, second = (_centered(_ranks(values, weight), weight) for values in (first, second))
    covariance = (weight * first * second).sum()
    variances = (weight * first.square()).sum() * (weight * second.square()).sum()
    is_ranked = variances > 0
    return torch.where(is_ranked, covariance / torch.where(is_ranked, variances, 1).sqrt(), 0)


def _exact(values: Tensor) -> Tensor:
    return values.float() if values.device.type == "mps" else values.double()


def _centered(ranks: Tensor, weight: Tensor) -> Tensor:
    return ranks - (weight * ranks).sum() / weight.sum()


def _ranks(values: Tensor, weight: Tensor) -> Tensor:
    """Weight of all lower rows, and half of that of the row itself and those equal to it."""
    ascending, order = values.sort()
    is_new = torch.cat([torch.zeros_like(order[:1]), (ascending[1:] != ascending[:-1]).long()])
    group = is_new.cumsum(0)
    total = torch.zeros_like(values).scatter_add(0, group, weight.gather(0, order))
    ranks = (total.cumsum(0) - total / 2).gather(0, group)
    return torch.zeros_like(values).scatter(0, order, ranks)
