"""Mixup between samples of the tail and their neighbors in label."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ltlearn.enhancers._rows import rows_of, with_ndim
from ltlearn.enhancers._sampling import (
    anchor_keys,
    candidate_log_weights,
    draw_anchors,
    draw_columns,
    draw_partners,
    has_few_pairs,
)
from ltlearn.enhancers._scores import check_pair_settings, check_positive, check_scores
from ltlearn.losses._reduction import at_least_float32


def anchor_probabilities(scores: Tensor, tail_temperature: float) -> Tensor:
    r"""Probability of each sample to become the first anchor of tail mixup.

    .. math:: P(i) \propto \exp(|\bar s - s_i| / \tau_1)

    with the mean score :math:`\bar s` of the batch.

    Parameters
    ----------
    scores : Tensor of shape (B,)
        Labels, in the unit of the temperature.
    tail_temperature : float
        :math:`\tau_1 > 0`; the lower, the more the extremes are preferred.

    Returns
    -------
    Tensor of shape (B,)
        Sums to 1; float32 or wider. Empty for an empty batch.

    Raises
    ------
    ValueError
        If `scores` is not one-dimensional or the temperature not positive and finite.

    Examples
    --------
    >>> import torch
    >>> anchor_probabilities(torch.tensor([0.0, 1.0, 2.0]), 0.5)
    tensor([0.4683, 0.0634, 0.4683])
    """
    check_positive(tail_temperature=tail_temperature)
    scores = check_scores(scores)
    return ((scores.mean() - scores).abs() / tail_temperature).softmax(dim=0)


def partner_probabilities(scores: Tensor, pair_temperature: float, eps: float = 0.01) -> Tensor:
    r"""Probability of each sample j to become the partner of each sample i in tail mixup.

    .. math:: P(j \mid i) \propto \exp\big(\tau_2 / (|s_i - s_j| + \varepsilon)\big), \quad j \ne i

    Parameters
    ----------
    scores : Tensor of shape (B,)
        Labels, in the unit of `eps`.
    pair_temperature : float
        :math:`\tau_2 > 0`; the higher, the closer in label the partners are.
    eps : float, default=0.01
        Positive; bounds the weight of equal labels.

    Returns
    -------
    Tensor of shape (B, B)
        Zero diagonal, rows sum to 1; float32 or wider. A batch of one has no partner: its single
        row is zero.

    Raises
    ------
    ValueError
        If `scores` is not one-dimensional or a number not positive and finite.

    Examples
    --------
    >>> import torch
    >>> partner_probabilities(torch.tensor([0.0, 1.0, 3.0]), 2.0)
    tensor([[0.0000, 0.7885, 0.2115],
            [0.7281, 0.0000, 0.2719],
            [0.4181, 0.5819, 0.0000]])
    """
    check_pair_settings(pair_temperature, eps)
    scores = check_scores(scores)
    if len(scores) == 1:
        return scores.new_zeros(1, 1)
    log_weight = pair_temperature / ((scores.unsqueeze(1) - scores).abs() + eps)
    return log_weight.fill_diagonal_(-math.inf).softmax(dim=1)


class MixupDraw(NamedTuple):
    """Which samples of a batch are mixed, and how: what `TailMixup.draw` returns.

    Leading dimensions count independent batches of equal size.

    Parameters
    ----------
    anchors, partners : Tensor of shape (..., M), dtype int64
        Positions in the batch.
    share : Tensor of shape (..., M)
        Share of the anchor; the partner has the rest.

    Examples
    --------
    >>> import torch
    >>> draw = MixupDraw(torch.tensor([2]), torch.tensor([1]), torch.tensor([0.75]))
    >>> draw.mix(torch.tensor([0.0, 1.0, 5.0]))
    tensor([0., 1., 5., 4.])
    """

    anchors: Tensor
    partners: Tensor
    share: Tensor

    def mix(self, tensor: Tensor) -> Tensor:
        """Append the mixed samples.

        Parameters
        ----------
        tensor : Tensor of shape ``(..., B, *shape)``
            Floating-point; the leading dimensions are those of the draw.

        Returns
        -------
        Tensor of shape ``(..., B + M, *shape)``
            The originals first.
        """
        share = with_ndim(self.share, tensor.ndim).to(tensor.dtype)
        mixed = torch.lerp(rows_of(tensor, self.partners), rows_of(tensor, self.anchors), share)
        return torch.cat([tensor, mixed], dim=self.share.ndim - 1)


class TailMixup(nn.Module):
    r"""Append samples mixed from the label's tails to a batch of features (ELTA's TFA).

    M anchors i are drawn without replacement with probability :math:`P(i)` (see
    `anchor_probabilities`), each gets a partner j with probability :math:`P(j \mid i)` (see
    `partner_probabilities`), and with

    .. math:: \lambda = \frac{P(i)}{P(i) + P(j)}
        = \operatorname{sigmoid}\big((|\bar s - s_i| - |\bar s - s_j|) / \tau_1\big)

    the features :math:`\lambda f_i + (1 - \lambda) f_j` and the labels
    :math:`\lambda y_i + (1 - \lambda) y_j` are appended [1]_. Gradients flow through both
    features; the drawing and :math:`\lambda` are constants.

    Parameters
    ----------
    strength : float, default=0.25
        M / B in [0, 1]: ``M = max(1, round(strength * B))``. Nothing is added at strength 0 and to
        a batch of fewer than two samples. The published setting is 1/48 at B = 48.
    tail_temperature : float, default=0.5
        :math:`\tau_1`, in units of the scores; the lower, the more the extremes are preferred.
    pair_temperature : float, default=2.0
        :math:`\tau_2`, in units of the scores; the higher, the closer in label the partners are.
    eps : float, default=0.01
        :math:`\varepsilon`, in units of the scores.
    sampler : callable, optional
        From scores (..., B) to log-weights (..., B): another choice of anchors,
        :math:`P(i) \propto \exp(` ``sampler(scores)`` :math:`)`, which :math:`\lambda` follows;
        :math:`\tau_1` is of no use then. See `DensitySampler`.

    Raises
    ------
    ValueError
        For a strength outside [0, 1] and temperatures or `eps` that are not positive and finite.

    Notes
    -----
    The defaults presuppose scores with a standard deviation of about 1: standardize the scores, or
    set the temperatures in their units.

    Everything runs in log-space, so that no setting overflows. On an accelerator the host never
    waits for the device, at the price of M × B weights. On a CPU large batches need only
    O(M log B) weights; the partners' distribution is exact either way.

    Where the labels of an epoch are known before it starts, `draw` deals with all its batches at
    once, and what is left for a training step is to mix the features with `MixupDraw.mix`.

    References
    ----------
    .. [1] Liu et al., "ELTA: An Enhancer against Long-Tail for Aesthetics-oriented Models",
       ICML 2024.

    Examples
    --------
    >>> import torch
    >>> features, scores = torch.randn(8, 3), torch.arange(8.0)
    >>> mixed_features, mixed_scores = TailMixup(strength=0.25)(features, scores)
    >>> mixed_features.shape, mixed_scores.shape
    (torch.Size([10, 3]), torch.Size([10]))
    """

    def __init__(
        self,
        strength: float = 0.25,
        tail_temperature: float = 0.5,
        pair_temperature: float = 2.0,
        eps: float = 0.01,
        sampler: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must lie in [0, 1], got {strength!r}.")
        check_positive(tail_temperature=tail_temperature)
        check_pair_settings(pair_temperature, eps)
        self.strength = strength
        self.tail_temperature = tail_temperature
        self.pair_temperature = pair_temperature
        self.eps = eps
        self.sampler = sampler

    def forward(
        self,
        features: Tensor,
        scores: Tensor,
        *labels: Tensor,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, ...]:
        """Append the mixed samples.

        Parameters
        ----------
        features : Tensor of shape (B, D)
        scores : Tensor of shape (B,)
            The scalar labels by which anchors and partners are drawn.
        *labels : Tensors of shape (B, ...)
            Whatever else belongs to the samples, such as label distributions or sample weights;
            all floating-point, all mixed alike.
        generator : torch.Generator, optional
            On the device of `scores`; the global generator by default.

        Returns
        -------
        tuple of Tensors
            Features (B + M, D), scores (B + M,) and labels (B + M, ...), the originals first.

        Raises
        ------
        ValueError
            If the tensors disagree in B or `scores` is not one-dimensional.
        TypeError
            If a tensor is not floating-point.
        """
        tensors = (features, scores, *labels)
        _check_mixable(tensors)
        draw = self.draw(scores, generator)
        return tuple(draw.mix(tensor) for tensor in tensors)

    def draw(self, scores: Tensor, generator: torch.Generator | None = None) -> MixupDraw:
        """Draw what to mix, of one batch or of many at once, which is faster than one by one.

        Parameters
        ----------
        scores : Tensor of shape (..., B)
            Leading dimensions count independent batches.
        generator : torch.Generator, optional
            On the device of `scores`; the global generator by default.

        Returns
        -------
        MixupDraw
            M is 0 at strength 0 and for batches of fewer than two samples.

        Raises
        ------
        ValueError
            If scores on a CPU are not finite; on an accelerator, where looking would make the host
            wait, the draw of such scores is arbitrary.

        Examples
        --------
        >>> import torch
        >>> scores = torch.randn(100, 64)  # of 100 batches
        >>> draw = TailMixup(strength=0.25).draw(scores)
        >>> draw.mix(scores).shape
        torch.Size([100, 80])
        """
        scores = at_least_float32(scores.detach())
        n_anchors = self._n_anchors(scores.shape[-1])
        if n_anchors == 0:
            share = scores[..., :0]
            return MixupDraw(share.long(), share.long(), share)
        importance, unit = self._importance(scores)
        anchors = draw_anchors(importance, n_anchors, unit, generator)
        partners = draw_partners(scores, anchors, self.pair_temperature, self.eps, generator)
        difference = importance.gather(-1, anchors) - importance.gather(-1, partners)
        return MixupDraw(anchors, partners, difference.div_(unit).sigmoid_())

    def _importance(self, scores: Tensor) -> tuple[Tensor, float]:
        """What the log-weights of anchors are in proportion to, and the unit of it."""
        distance = _distance_from_mean(scores)
        if self.sampler is None:
            return distance, self.tail_temperature
        return self.sampler(scores), 1.0

    def _n_anchors(self, n_samples: int) -> int:
        """Number M of samples that a batch of B gets."""
        if self.strength == 0 or n_samples < 2:
            return 0
        return max(1, round(self.strength * n_samples))

    def extra_repr(self) -> str:
        return (
            f"strength={self.strength}, tail_temperature={self.tail_temperature}, "
            f"pair_temperature={self.pair_temperature}, eps={self.eps}"
        )


def draw_for_each(
    mixups: list[TailMixup], scores: Tensor, generators: list[torch.Generator]
) -> MixupDraw:
    """What ``mixups[k].draw(scores[k], generators[k])`` gives for every k, in a few operations.

    Parameters
    ----------
    mixups : list of n TailMixup
        Of equal strength and `eps`.
    scores : Tensor of shape (n, ..., B)
    generators : list of n torch.Generator

    Returns
    -------
    MixupDraw
        With the leading dimensions of `scores`.
    """
    scores = at_least_float32(scores.detach())
    n_anchors = mixups[0]._n_anchors(scores.shape[-1])
    if n_anchors == 0 or scores.device.type != "cpu" or not has_few_pairs(scores[0], n_anchors):
        draws = [
            mixup.draw(own, generator)
            for mixup, own, generator in zip(mixups, scores, generators, strict=True)
        ]
        return MixupDraw(*map(torch.stack, zip(*draws, strict=True)))
    found = [mixup._importance(own) for mixup, own in zip(mixups, scores, strict=True)]
    importance = torch.stack([values for values, _ in found])
    keys = [
        anchor_keys(values, unit, generator)
        for (values, unit), generator in zip(found, generators, strict=True)
    ]
    anchors = torch.stack(keys).topk(n_anchors, sorted=False).indices
    units = scores.new_tensor([unit for _, unit in found])
    pair = scores.new_tensor([mixup.pair_temperature for mixup in mixups])
    log_weight = candidate_log_weights(
        scores, anchors, pair.view(-1, *[1] * scores.ndim), mixups[0].eps
    )
    columns = map(draw_columns, log_weight.softmax(dim=-1), generators)
    partners = torch.stack(list(columns))
    difference = importance.gather(-1, anchors) - importance.gather(-1, partners)
    difference /= units.view(-1, *[1] * (scores.ndim - 1))
    return MixupDraw(anchors, partners, difference.sigmoid_())


def _distance_from_mean(scores: Tensor) -> Tensor:
    distance = (scores - scores.mean(-1, keepdim=True)).abs_()
    if distance.device.type == "cpu" and not distance.isfinite().all():
        raise ValueError(
            "TailMixup needs scores that are finite, as are their differences from their mean."
        )
    return distance


def _check_mixable(tensors: tuple[Tensor, ...]) -> None:
    scores = tensors[1]
    if scores.ndim != 1 or any(len(tensor) != len(scores) for tensor in tensors):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise ValueError(
            f"Expected features (B, D), scores (B,) and labels (B, ...), got shapes {shapes}."
        )
    for tensor in tensors:
        if not tensor.is_floating_point():
            raise TypeError(
                f"Only floating-point tensors can be mixed, got {tensor.dtype}: convert scores "
                "with .float() and class indices with torch.nn.functional.one_hot(...).float()."
            )
