"""Pinball loss of predicted quantiles."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ltlearn.losses._reduction import at_least_float32, check_reduction, reduce_loss


def quantile_levels(n_levels: int = 49, limit: float = 6.0) -> Tensor:
    r"""Levels between 0 and 1 that are equally spaced in their logit.

    .. math:: \tau_k = \operatorname{sigmoid}(t_k), \quad t_k = -L, \ldots, L \text{ in equal steps}

    They crowd at both ends, where a long tail is, and their middle one is the median.

    Parameters
    ----------
    n_levels : int, default=49
        K, an odd number.
    limit : float, default=6.0
        L: 6 reaches from 0.25 % to 99.75 %.

    Returns
    -------
    Tensor of shape (K,), dtype float64
        Increasing.

    Raises
    ------
    ValueError
        If `n_levels` is not a positive odd number or `limit` not positive.

    Examples
    --------
    >>> quantile_levels(5, limit=4.0)
    tensor([0.0180, 0.1192, 0.5000, 0.8808, 0.9820], dtype=torch.float64)
    """
    if n_levels < 1 or n_levels % 2 == 0:
        raise ValueError(f"n_levels must be a positive odd number, got {n_levels!r}.")
    if not limit > 0:
        raise ValueError(f"limit must be positive, got {limit!r}.")
    half = n_levels // 2
    steps = torch.arange(-half, half + 1, dtype=torch.float64)
    return (steps * (limit / max(half, 1))).sigmoid()


def pinball_per_sample(prediction: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    r"""Pinball loss of quantiles predicted at several levels, the mean over the levels.

    .. math:: \ell_i = \frac1K \sum_k \max\big(\tau_k (y_i - q_{ik}),\ (\tau_k - 1)(y_i - q_{ik})
        \big)

    Its expectation is least where every :math:`q_{ik}` is the quantile of :math:`y_i` at level
    :math:`\tau_k` [1]_; twice its mean over many levels is close to the continuous ranked
    probability score.

    Parameters
    ----------
    prediction : Tensor of shape (B, K) or (B, ..., K)
        Quantiles, not necessarily increasing. What stands between the first and the last
        dimension, such as members of an ensemble, is averaged over as well. Half precision is
        computed in float32.
    target : Tensor of shape (B,)
    levels : Tensor of shape (K,)
        In (0, 1).

    Returns
    -------
    Tensor of shape (B,)

    Raises
    ------
    ValueError
        If the shapes do not agree.

    References
    ----------
    .. [1] Koenker & Bassett, "Regression Quantiles", Econometrica 1978.

    Examples
    --------
    >>> import torch
    >>> levels = torch.tensor([0.1, 0.5, 0.9])
    >>> pinball_per_sample(torch.tensor([[0.0, 2.0, 3.0]]), torch.tensor([1.0]), levels)
    tensor([0.2667])
    """
    if prediction.ndim < 2 or prediction.shape[-1:] != levels.shape:
        raise ValueError(
            f"prediction must have shape (B, ..., {len(levels)}), a quantile per level, got "
            f"{tuple(prediction.shape)}."
        )
    if target.shape != prediction.shape[:1]:
        raise ValueError(f"target must have shape ({len(prediction)},), got {tuple(target.shape)}.")
    prediction = at_least_float32(prediction)
    error = target.to(prediction.dtype).view(-1, *(1,) * (prediction.ndim - 1)) - prediction
    # max(t e, (t - 1) e) = |e| / 2 + (t - 1/2) e: one product, and the mean slope where e is 0.
    values = error.abs() / 2 + (levels - 0.5).to(error) * error
    return values.mean(tuple(range(1, values.ndim)))


class QuantileLoss(nn.Module):
    """Pinball loss of a head that predicts quantiles, see `pinball_per_sample`.

    Parameters
    ----------
    levels : Tensor or sequence of float of shape (K,), default=None
        Levels in (0, 1); None takes the 49 of `quantile_levels`.
    reduction : {"mean", "sum", "none"}, default="mean"
        ``"mean"`` divides by B, also with sample weights.

    Raises
    ------
    ValueError
        For an unknown reduction, and for levels that are not in (0, 1).

    Examples
    --------
    >>> import torch
    >>> loss = QuantileLoss([0.25, 0.5, 0.75], reduction="none")
    >>> loss(torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]), torch.tensor([4.0, 2.0]))
    tensor([2.0000, 0.1667])
    """

    def __init__(
        self, levels: torch.Tensor | Sequence[float] | None = None, *, reduction: str = "mean"
    ) -> None:
        super().__init__()
        levels = quantile_levels() if levels is None else levels
        levels = torch.as_tensor(levels, dtype=torch.float64)
        if levels.ndim != 1 or not len(levels) or not ((levels > 0) & (levels < 1)).all():
            raise ValueError("levels must be numbers between 0 and 1, one at least.")
        self.register_buffer("levels", levels)
        self.reduction = check_reduction(reduction)

    def forward(
        self, prediction: Tensor, target: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        prediction : Tensor of shape (B, K) or (B, ..., K)
        target : Tensor of shape (B,)
        sample_weight : Tensor of shape (B,), optional

        Returns
        -------
        Tensor of shape () or, for ``reduction="none"``, (B,)
            Float32 or wider.

        Raises
        ------
        ValueError
            If the shapes do not agree.
        """
        values = pinball_per_sample(prediction, target, self.levels)
        return reduce_loss(values, sample_weight, self.reduction)

    def extra_repr(self) -> str:
        return f"n_levels={len(self.levels)}, reduction={self.reduction!r}"
