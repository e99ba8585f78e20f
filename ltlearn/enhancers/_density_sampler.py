"""Which samples to mix, by how rare their labels are."""

import math

import torch
from torch import Tensor, nn

from ltlearn.losses._reduction import at_least_float32


class DensitySampler(nn.Module):
    r"""Prefer samples whose labels are rare, as anchors of `TailMixup`.

    .. math:: P(i) \propto p(s_i)^{-\alpha}

    with the density p of the training labels, linear between the points that it is given at and
    constant beyond them. ELTA 2.0 chooses by it what to augment [1]_, where ELTA goes by the
    distance from the mean score of the batch, which finds no gap in the middle of the scores.

    Parameters
    ----------
    points : Tensor of shape (n,)
        Scores, in ascending order, in the unit of those that are mixed.
    density : Tensor of shape (n,)
        Density there, in any unit. Where it is 0 it counts as its least positive value.
    power : float, default=10.0
        :math:`\alpha \ge 0`, published as 10, with which almost only the rarest are chosen; 0
        prefers no sample.

    Raises
    ------
    ValueError
        If points and density do not agree in shape, points do not ascend, a number is negative or
        not finite, or no density is positive.

    References
    ----------
    .. [1] Liu et al., "ELTA: An Enhancer against Long-Tail for Aesthetics-oriented Models",
       ICML 2024, whose authors published the choice by density with later code.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.enhancers import DensitySampler, TailMixup
    >>> sampler = DensitySampler(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.5, 0.4, 0.1]), 1.0)
    >>> sampler(torch.tensor([0.0, 1.0, 2.0])).exp()
    tensor([1.0000, 1.2500, 5.0000])
    >>> mixup = TailMixup(0.25, sampler=sampler)
    """

    points: Tensor
    density: Tensor

    def __init__(self, points: Tensor, density: Tensor, power: float = 10.0) -> None:
        super().__init__()
        points, density = torch.as_tensor(points), torch.as_tensor(density)
        if points.ndim != 1 or points.shape != density.shape or not len(points):
            raise ValueError(
                "points and density must have the same shape (n,), n >= 1, got "
                f"{tuple(points.shape)} and {tuple(density.shape)}."
            )
        if not (points.isfinite().all() and (points[1:] >= points[:-1]).all()):
            raise ValueError("points must be finite and in ascending order.")
        if not (density.isfinite().all() and (density >= 0).all() and density.any()):
            raise ValueError("density must be finite, not negative, and positive somewhere.")
        if not (power >= 0 and math.isfinite(power)):
            raise ValueError(f"power must be at least 0 and finite, got {power!r}.")
        density = density / density.max()
        self.register_buffer("points", points.to(torch.get_default_dtype()))
        self.register_buffer("density", density.to(torch.get_default_dtype()))
        self.least = float(density[density > 0].min())
        self.power = power

    def forward(self, scores: Tensor) -> Tensor:
        """Log-weights of samples.

        Parameters
        ----------
        scores : Tensor of any shape

        Returns
        -------
        Tensor of that shape
            :math:`\\log P(i)` up to a constant.
        """
        scores = at_least_float32(scores)
        points, density = self.points.to(scores.dtype), self.density.to(scores.dtype)
        if len(points) == 1:
            return torch.zeros_like(scores)
        above = torch.searchsorted(points, scores.contiguous()).clamp(1, len(points) - 1)
        low, high = points[above - 1], points[above]
        width = (high - low).clamp(min=torch.finfo(scores.dtype).tiny)
        place = ((scores - low) / width).clamp(0, 1)
        at_scores = torch.lerp(density[above - 1], density[above], place)
        return -self.power * at_scores.clamp(min=self.least).log()

    def extra_repr(self) -> str:
        return f"n_points={len(self.points)}, power={self.power}"
