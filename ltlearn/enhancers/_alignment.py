"""Pull the similarity of features towards the similarity of labels."""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ltlearn.enhancers._scores import check_scores
from ltlearn.losses._reduction import at_least_float32, check_sample_weight
from ltlearn.utils._precision import autocast


def label_similarity(scores: Tensor) -> Tensor:
    r"""Similarity of every pair of labels, relative to the range of the batch.

    .. math:: S_{ij} = 1 - |s_i - s_j| / (\max s - \min s)

    Parameters
    ----------
    scores : Tensor of shape (B,)
        Labels.

    Returns
    -------
    Tensor of shape (B, B)
        In [0, 1] with unit diagonal; float32 or wider. Equal labels have similarity 1, also when
        all labels of the batch are equal.

    Raises
    ------
    ValueError
        If `scores` is not one-dimensional.

    Examples
    --------
    >>> import torch
    >>> label_similarity(torch.tensor([1.0, 2.0, 5.0]))
    tensor([[1.0000, 0.7500, 0.0000],
            [0.7500, 1.0000, 0.2500],
            [0.0000, 0.2500, 1.0000]])
    """
    scores = check_scores(scores)
    if len(scores) == 0:
        return scores.new_zeros(0, 0)
    distance = (scores.unsqueeze(1) - scores).abs()
    label_range = distance.max()
    return 1 - distance / torch.where(label_range > 0, label_range, 1)


# Features no longer than this count as zero: they have no direction to align.
_SHORTEST = 1e-8

# In sorted order, pairs of rows in the same stretch of this many are taken one by one.
_STRETCH = 32


class SimilarityAlignment(nn.Module):
    r"""Feature-label similarity alignment, a loss term on features (ELTA's FLSA).

    .. math:: L = \frac{1}{B^2} \sum_{ij} \big(\cos(f_i, f_j) - S_{ij}\big)^2

    with the label similarity S of `label_similarity` [1]_.

    Notes
    -----
    The sum over all pairs is exact at any size of the batch. Small batches take the pairs one by
    one. For large ones, with unit vectors u sorted by score, scaled labels t in [0, 1] and
    :math:`V_i = \sum_j |t_i - t_j| u_j`, which sums over the rows before and after i give in
    :math:`O(B D)`,

    .. math:: \sum_{ij} \big(u_i \cdot u_j - 1 + |t_i - t_j|\big)^2 = \|U^T U\|_F^2
        - 2 \Big\|\sum_i u_i\Big\|^2 + 2 \sum_i u_i \cdot V_i + \sum_{ij} S_{ij}^2.

    The gradient is computed along with the value, so it cannot itself be differentiated.

    References
    ----------
    .. [1] Liu et al., "ELTA: An Enhancer against Long-Tail for Aesthetics-oriented Models",
       ICML 2024.

    Examples
    --------
    >>> import torch
    >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> SimilarityAlignment()(features, torch.tensor([3.0, 3.0, 8.0]))
    tensor(0.)
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(
        self, features: Tensor, scores: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Compute the loss term.

        Parameters
        ----------
        features : Tensor of shape (B, D)
            A row of zeros has cosine 0 with every row, itself included.
        scores : Tensor of shape (B,)
        sample_weight : Tensor of shape (B,), optional
            How often each row counts: a pair counts as often as the product of both says, and rows
            of weight 0 are as if they were not there.

        Returns
        -------
        Tensor of shape ()
            Float32 or wider, also under autocast; zero, attached to the graph, for an empty batch.

        Raises
        ------
        ValueError
            If the shapes are not (B, D), (B,) and (B,).
        """
        if features.ndim != 2 or scores.shape != features.shape[:1]:
            raise ValueError(
                "Expected features (B, D) and scores (B,), got shapes "
                f"{tuple(features.shape)} and {tuple(scores.shape)}."
            )
        if sample_weight is not None:
            check_sample_weight(sample_weight, len(scores))
        with torch.no_grad(), autocast(torch.float32, features.device):
            value, gradient = _value_and_gradient(
                at_least_float32(features), at_least_float32(scores), sample_weight
            )
        return _WithGradient.apply(features, value, gradient)


class _WithGradient(torch.autograd.Function):
    """A value together with its gradient with respect to a tensor."""

    generate_vmap_rule = True

    @staticmethod
    def forward(tensor, value, gradient):
        return value.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        tensor, _, gradient = inputs
        ctx.save_for_backward(gradient)
        ctx.dtype = tensor.dtype

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        (gradient,) = ctx.saved_tensors
        return (grad_output * gradient).to(ctx.dtype), None, None


def _value_and_gradient(features, scores, weight):
    """The loss () of features (B, D), and its gradient (B, D)."""
    if len(features) == 0:
        return features.sum(), torch.zeros_like(features)
    # Dividing zero features by 1, not by a tiny number, keeps their gradient moderate.
    length = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    has_direction = length > _SHORTEST
    length = torch.where(has_direction, length, 1)
    directions = features / length
    scaled = _scaled(scores, weight).to(features.dtype)
    weight = None if weight is None else weight.to(features.dtype)
    if _pairs_are_cheaper(*features.shape):
        value, gradient = _by_pairs(directions, scaled, weight)
    else:
        scaled, order = scaled.sort()
        weight = None if weight is None else weight.index_select(0, order)
        value, gradient = _by_ranks(directions.index_select(0, order), scaled, weight)
        gradient = gradient.index_select(0, order.argsort())
    # Along a feature, only its length changes, and cosines do not.
    along = (gradient * directions).sum(1, keepdim=True)
    along = torch.where(has_direction, along, 0)
    return value, torch.addcmul(gradient, directions, along, value=-1).div_(length)


def _pairs_are_cheaper(n_rows: int, n_features: int) -> bool:
    """On a CPU; elsewhere both forms are a few small kernels."""
    return n_rows <= max(320, 5 * n_features // 4)


def _scaled(scores, weight):
    """Scores (B,) on a scale on which those of rows that count span [0, 1], or are all 0."""
    low, high = scores, scores
    if weight is not None:
        low = torch.where(weight > 0, scores, torch.inf)
        high = torch.where(weight > 0, scores, -torch.inf)
    low, high = low.amin(), high.amax()
    scaled = (scores - low) / torch.where(high > low, high - low, 1)
    return scaled if weight is None else torch.where(weight > 0, scaled, 0)


def _by_pairs(directions, scaled, weight):
    """Value and gradient of unit vectors (B, D) with scaled scores (B,)."""
    error = directions @ directions.T
    error += (scaled.unsqueeze(1) - scaled).abs_()
    error -= 1
    if weight is None:
        share = 1 / len(scaled) ** 2
        return share * error.square().sum(), (4 * share) * (error @ directions)
    share = _inverse_or_zero(weight.sum().square())
    weighted = error * weight.unsqueeze(1) * weight
    return share * (error * weighted).sum(), 4 * share * (weighted @ directions)


def _by_ranks(directions, scaled, weight):
    """The same for rows in the order of their scores, without a matrix of all pairs."""
    scaled = scaled.unsqueeze(1)
    weight = torch.ones_like(scaled) if weight is None else weight.unsqueeze(1)
    weighted = weight * directions
    total = weighted.sum(0)
    remote = _distance_sums(weighted, scaled)
    common = torch.addmm(remote, directions, weighted.T @ directions).sub_(total)
    # The labels' own part, the sum of S^2 = 1 - 2 |t_i - t_j| + (t_i - t_j)^2 over all pairs.
    n = weight.sum()
    linear = (weight * _distance_sums(weight, scaled)).sum()
    first, second = (weight * scaled).sum(), (weight * scaled.square()).sum()
    of_labels = n * n - 2 * linear + 2 * (n * second - first * first)
    of_features = (weighted * (common + remote - total)).sum()
    share = _inverse_or_zero(n * n)
    # Rounding leaves a perfect alignment a little above or below zero.
    value = (share * (of_features + of_labels)).clamp(min=0)
    return value, (4 * share) * weight * common


def _distance_sums(values, scaled):
    """``sum_j |t_i - t_j| v_j`` for every row i of values (B, D) in the order of t (B, 1)."""
    n_rows, n_stretches = len(values), -(-len(values) // _STRETCH)
    padding = (0, 0, 0, n_stretches * _STRETCH - n_rows)
    values = nn.functional.pad(values, padding).unflatten(0, (n_stretches, _STRETCH))
    scaled = nn.functional.pad(scaled, padding).unflatten(0, (n_stretches, _STRETCH))
    within = torch.bmm((scaled - scaled.mT).abs_(), values)
    slope = _before_less_after(values.sum(1, keepdim=True))
    offset = _before_less_after((scaled * values).sum(1, keepdim=True))
    return torch.addcmul(within.sub_(offset), scaled, slope).flatten(0, 1)[:n_rows]


def _before_less_after(sums):
    """For every entry of sums (N, 1, D) the total of those before it less that of those after."""
    cumulative = sums.cumsum(0)
    return 2 * cumulative - sums - cumulative[-1:]


def _inverse_or_zero(number):
    return torch.where(number > 0, 1 / torch.where(number > 0, number, 1), 0)
