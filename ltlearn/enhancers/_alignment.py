"""Pull the similarity of features towards the similarity of labels."""

import torch
from torch import Tensor, nn

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
        self,
        features: Tensor,
        scores: Tensor,
        sample_weight: Tensor | None = None,
        prepared: dict[str, Tensor] | None = None,
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
        prepared : dict of str to Tensor, optional
            What `prepare` gave for these scores; they, and weights, are not looked at then.

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
        constant = at_least_float32(features.detach())
        with autocast(torch.float32, features.device):
            if prepared is None:
                prepared = _of_labels(scores, constant.shape[1], constant.dtype, sample_weight)
            value, gradient = _value_and_gradient(constant, prepared)
        # Cosines do not depend on the lengths of features, so the gradient is at right angles to
        # them: this product is 0, up to rounding, and has just that gradient.
        product = torch.dot(at_least_float32(features).flatten(), gradient.flatten())
        return value + product

    def prepare(self, scores: Tensor, n_features: int) -> dict[str, Tensor]:
        """Do what takes labels only, of many batches at once, which is faster than one by one.

        Parameters
        ----------
        scores : Tensor of shape (..., B)
            Leading dimensions count independent batches.
        n_features : int
            D, of features in the type of the scores.

        Returns
        -------
        prepared : dict of str to Tensor, leading dimensions as those of scores

        Examples
        --------
        >>> import torch
        >>> features, scores = torch.randn(10, 64, 5), torch.randn(10, 64)  # of 10 batches
        >>> alignment = SimilarityAlignment()
        >>> prepared = alignment.prepare(scores, 5)
        >>> third = {name: values[2] for name, values in prepared.items()}
        >>> loss = alignment(features[2], scores[2], prepared=third)
        >>> torch.equal(loss, alignment(features[2], scores[2]))
        True
        """
        scores = at_least_float32(scores.detach())
        return _of_labels(scores, n_features, scores.dtype, argsort=_fast_argsort)


def _fast_argsort(values):
    if values.device.type != "cpu":
        return values.argsort(dim=-1)
    return torch.from_numpy(values.numpy().argsort())  # up to five times faster than torch


def _of_labels(scores, n_features, dtype, weight=None, argsort=torch.argsort):
    """What the sums over pairs take of the labels (..., B) and weights (..., B), by name.

    Always ``"scaled"``, the scores on a scale from 0 to 1; with weights ``"counts"``, which they
    are, and ``"share"``, one by the number of pairs. For sums in sorted order, rows are in that
    order, filled up to N stretches of S:

    - ``"order"`` (..., N S), which rows these are, and ``"place"`` (..., B), where each row went;
    - ``"near"`` (..., N, S, S + 2), distances within a stretch, then the scaled score and 1;
    - ``"far"`` (..., 2 N, 2 N), from sums over stretches to what the last two are multiplied by;
    - ``"constant"`` (...), the labels' own part of the loss.
    """
    scaled = _scaled(at_least_float32(scores), weight).to(dtype)
    weight = None if weight is None else weight.to(dtype)
    found, n = {"scaled": scaled}, scaled.shape[-1]
    if weight is not None:
        n = weight.sum(-1)
        n_pairs = n.square()
        share = torch.where(n_pairs > 0, 1 / torch.where(n_pairs > 0, n_pairs, 1), 0)
        found.update(counts=weight, share=share)
    if _pairs_are_cheaper(scaled.shape[-1], n_features):
        return found
    return {**found, **_in_order(scaled, weight, n, argsort(scaled))}


def _in_order(scaled, weight, n, order):
    n_rows = scaled.shape[-1]
    n_stretches = -(-n_rows // _STRETCH)
    filling = (0, n_stretches * _STRETCH - n_rows)
    scaled = scaled.gather(-1, order)
    rank = torch.arange(n_rows, device=order.device).expand(order.shape)
    found = {"place": torch.empty_like(order).scatter(-1, order, rank)}
    found["order"] = nn.functional.pad(order, filling)
    # The labels' own part, the sum of S^2 = 1 - 2 |t_i - t_j| + (t_i - t_j)^2 over all pairs.
    if weight is None:
        weighted, before = scaled, torch.arange(1, n_rows + 1, device=order.device)
    else:
        weight = weight.gather(-1, order)
        found["counts"] = nn.functional.pad(weight, filling)
        weighted, before = weight * scaled, weight.cumsum(-1)
    first, second = weighted.sum(-1), (weighted * scaled).sum(-1)
    ahead = weighted * before
    behind = weighted.cumsum(-1) if weight is None else weight * weighted.cumsum(-1)
    linear = 2 * (ahead - behind).sum(-1)
    found["constant"] = n * n - 2 * linear + 2 * (n * second - first.square())
    own = nn.functional.pad(scaled, filling).unflatten(-1, (n_stretches, _STRETCH)).unsqueeze(-1)
    found["near"] = torch.cat([(own - own.mT).abs_(), own, torch.ones_like(own)], -1)
    far = _far(n_stretches, scaled)
    found["far"] = far.expand(*scaled.shape[:-1], *far.shape)
    return found


def _far(n_stretches, like):
    """For scaled scores t, from the sums of t v and of v over every stretch to a and b, by which

    ``sum_j |t_i - t_j| v_j - sum_j v_j`` is ``a t_i + b``, up to the part of the own stretch.
    """
    number = torch.arange(n_stretches, dtype=like.dtype, device=like.device)
    sign = (number.unsqueeze(1) - number).sign()
    rows = [torch.stack([torch.zeros_like(sign), sign], -1), torch.stack([-sign, sign * 0 - 1], -1)]
    return torch.stack(rows, 1).flatten(2).flatten(0, 1)


def _value_and_gradient(features, labels):
    """The loss () of features (B, D), and its gradient (B, D)."""
    n = len(features)
    if n == 0:
        return features.sum(), features
    in_order = "order" in labels
    rows = features.index_select(0, labels["order"]) if in_order else features
    # Dividing zero features by 1, not by a tiny number, keeps their gradient moderate.
    length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    length = nn.functional.threshold(length, _SHORTEST, 1.0)
    directions = rows.div_(length) if in_order else rows / length
    if len(rows) > n:
        directions.narrow(0, n, len(rows) - n).zero_()
    share, weight = 1 / n**2, None
    if "counts" in labels:
        share, weight = 1, labels["counts"].unsqueeze(1)
    value, gradient = (_by_ranks if in_order else _by_pairs)(directions, labels, weight, share)
    if weight is not None:
        value, gradient = labels["share"] * value, labels["share"] * weight * gradient
    gradient = gradient.div_(length)
    return value, gradient.index_select(0, labels["place"]) if in_order else gradient


def _across(gradient, directions):
    """The part of a gradient at right angles to the rows, and what is along them (B, 1).

    Along a feature, only its length changes, and cosines do not.
    """
    along = (gradient * directions).sum(1, keepdim=True)
    return torch.addcmul(gradient, directions, along, value=-1), along


def _by_pairs(directions, labels, weight, share):
    """``share`` times the sum over pairs of unit vectors (B, D), and of its gradient.

    The gradient is to be weighted.
    """
    scaled = labels["scaled"]
    distance = (scaled.unsqueeze(1) - scaled).abs_()
    error = torch.addmm(distance, directions, directions.T).sub_(1)
    weighted = error if weight is None else error * weight.T
    total = (error * weighted if weight is None else error * weighted * weight).sum()
    gradient = torch.addmm(directions, weighted, directions, beta=0, alpha=4 * share)
    return share * total, _across(gradient, directions)[0]


def _by_ranks(directions, labels, weight, share):
    """The same for rows in the order of their scores, without a matrix of all pairs."""
    near, far = labels["near"], labels["far"]
    within, beyond = near.split([_STRETCH, 2], -1)
    weighted = directions if weight is None else directions * weight
    gram = weighted.T @ directions
    stretches = weighted.unflatten(0, near.shape[:2])
    sums = torch.bmm(beyond.mT, stretches)
    remote = (far @ sums.flatten(0, 1)).view(sums.shape)
    factor = 4 * share
    products = (directions @ gram).view(stretches.shape)
    gradient = torch.baddbmm(products, within, stretches, beta=factor, alpha=factor)
    gradient = torch.baddbmm(gradient, beyond, remote, alpha=factor)
    gradient, along = _across(gradient.flatten(0, 1), directions)
    along = along.sum() if weight is None else (weight * along).sum()
    # Twice what is along has the square of gram twice, which counts once.
    gram = gram.flatten()
    value = labels["constant"] - torch.dot(gram, gram)
    return torch.add(along / 2, value, alpha=share), gradient


def _pairs_are_cheaper(n_rows: int, n_features: int) -> bool:
    """On a CPU; elsewhere both forms are a few small kernels."""
    return n_rows <= max(160, 5 * n_features // 4)


def _scaled(scores, weight):
    """Scores (..., B) so that those of rows that count span [0, 1], or are all 0."""
    if scores.shape[-1] == 0:
        return scores
    low, high = scores, scores
    if weight is not None:
        low = torch.where(weight > 0, scores, torch.inf)
        high = torch.where(weight > 0, scores, -torch.inf)
    low, high = low.amin(-1, keepdim=True), high.amax(-1, keepdim=True)
    scaled = (scores - low) / torch.where(high > low, high - low, 1)
    return scaled if weight is None else torch.where(weight > 0, scaled, 0)
