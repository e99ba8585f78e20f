"""Draw the anchors and partners of `TailMixup`: exact, in log-space, without a loop over samples.

Leading dimensions count independent batches of equal size, all drawn at once. On accelerators no
step depends on a value of the data, so the host never waits for the device.
"""

import math

import torch
from torch import Tensor

# Up to this many anchor-candidate pairs, the matrix of all weights is the fastest way on a CPU.
_MAX_PAIRS = 50_000

# Proposals in a round of rejection sampling on a CPU: fewer take hardly less time.
_MIN_PROPOSALS = 1000

# Batches with more pairs than this together are drawn in turns on an accelerator, to save memory.
_MAX_PAIRS_ON_DEVICE = 2**24


def _pair_log_weight(distance: Tensor, pair_temperature: float, eps: float) -> Tensor:
    """Log of the unnormalized partner probability; overwrites the distances."""
    return distance.add_(eps).reciprocal_().mul_(pair_temperature)


def _gumbel(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard Gumbel noise; much faster on a CPU than from exponential noise."""
    uniform = torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=generator)
    return uniform.log_().neg_().log_().neg_()


def draw_anchors(
    distance: Tensor, n_anchors: int, tail_temperature: float, generator: torch.Generator | None
) -> Tensor:
    """Indices (..., M) into distances (..., B), drawn without replacement, proportional to
    ``exp(distance / tail_temperature)``.

    Adding Gumbel noise to log-weights and taking the M largest is the same as drawing them one
    after the other.
    """
    keys = torch.add(distance, _gumbel(distance, generator), alpha=tail_temperature)
    return keys.topk(n_anchors, sorted=False).indices


def draw_partners(
    scores: Tensor,
    anchors: Tensor,
    pair_temperature: float,
    eps: float,
    generator: torch.Generator | None,
) -> Tensor:
    """For every anchor i one j != i, with ``P(j|i) ∝ exp(tau2 / (|s_i - s_j| + eps))``.

    Scores (..., B) and anchors (..., M) give partners (..., M).
    """
    if scores.device.type != "cpu":
        return partners_by_race(scores, anchors, pair_temperature, eps, generator)
    if anchors.numel() * scores.shape[-1] > _MAX_PAIRS:
        return partners_by_blocks(scores, anchors, pair_temperature, eps, generator)
    return invert_rows(candidate_log_weights(scores, anchors, pair_temperature, eps), generator)


def candidate_log_weights(
    scores: Tensor, anchors: Tensor, pair_temperature: float, eps: float
) -> Tensor:
    """Log-weights (..., M, B) of all candidates; -inf for the anchor itself."""
    distance = (scores.gather(-1, anchors).unsqueeze(-1) - scores.unsqueeze(-2)).abs_()
    log_weight = _pair_log_weight(distance, pair_temperature, eps)
    return log_weight.scatter_(-1, anchors.unsqueeze(-1), -math.inf)


def partners_by_race(
    scores: Tensor,
    anchors: Tensor,
    pair_temperature: float,
    eps: float,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw the candidate of the largest log-weight plus Gumbel noise: no host wait."""
    n_pairs = anchors.shape[-1] * scores.shape[-1]
    turns = (
        tensor.reshape(-1, tensor.shape[-1]).split(max(1, _MAX_PAIRS_ON_DEVICE // n_pairs))
        for tensor in (scores, anchors)
    )
    partners = []
    for turn in zip(*turns, strict=True):
        log_weight = candidate_log_weights(*turn, pair_temperature, eps)
        partners.append(_gumbel(log_weight, generator).add_(log_weight).argmax(dim=-1))
    return torch.cat(partners).view_as(anchors)


def invert_rows(log_weight: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw one column per row by inverting the distribution function.

    On a CPU, one uniform number per row is much cheaper than Gumbel noise per entry;
    multinomial takes this way from two draws on, of which one is used.
    """
    probability = log_weight.softmax(dim=-1).flatten(end_dim=-2)
    draws = torch.multinomial(probability, 2, replacement=True, generator=generator)
    return draws[:, 0].view(log_weight.shape[:-1])


def partners_by_blocks(
    scores: Tensor,
    anchors: Tensor,
    pair_temperature: float,
    eps: float,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw by exact rejection sampling from O(log B) weights per anchor.

    In sorted order, the candidates on either side of an anchor fall into blocks of 1, 4, 16, ...
    neighbors. Weights decrease with the distance, so the weight at a block's near edge times the
    block's size bounds the mass of the block: propose a block by these bounds, a member of it
    uniformly, and accept it with the ratio of its weight to the weight at the edge. A bound is at
    most four times the mass of the block before, hence the sum of the bounds is at most five times
    the true mass, whatever the scores.
    """
    n_scores = scores.shape[-1]
    order = torch.from_numpy(scores.numpy().argsort())  # up to five times faster than torch
    rank = torch.empty_like(order).scatter_(-1, order, torch.arange(n_scores).expand_as(order))
    position = rank.gather(-1, anchors).flatten()
    ranked = scores.gather(-1, order).view(-1, n_scores)
    batch = torch.arange(len(ranked)).repeat_interleave(anchors.shape[-1])
    blocks = _blocks(n_scores, ranked.dtype)
    partner = torch.empty_like(position)
    rest = torch.arange(len(position))
    while len(rest):
        n_tries = max(1, _MIN_PROPOSALS // len(rest))
        tried = rest.repeat(n_tries)
        proposed, rejected = (
            values.view(n_tries, -1)
            for values in _propose(
                ranked, batch[tried], position[tried], blocks, pair_temperature, eps, generator
            )
        )
        first_accepted = rejected.to(torch.uint8).argmin(dim=0, keepdim=True)
        partner[rest] = proposed.gather(0, first_accepted).squeeze(0)
        rest = rest[rejected.all(dim=0)]
    return order.gather(-1, partner.view_as(anchors))


def _blocks(n_scores: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Near edges (B, K) and sizes (B, K) of the blocks around every rank, and their sides (K,).

    The first half are the blocks above, from the nearest on, the second half those below. Empty
    blocks have some neighbor as their edge.
    """
    widths = [1]
    while sum(widths) < n_scores - 1:
        widths.append(4 * widths[-1])
    near = torch.tensor([1 + sum(widths[:k]) for k in range(len(widths))] * 2)
    side = torch.tensor([1] * len(widths) + [-1] * len(widths))
    rank = torch.arange(n_scores).unsqueeze(1)
    edge = rank + side * near
    n_beyond = torch.where(side > 0, n_scores - edge, edge + 1).clamp(min=0)
    edge = edge.where(n_beyond > 0, torch.where(rank > 0, rank - 1, rank + 1))
    return edge, n_beyond.minimum(torch.tensor(widths * 2)).to(dtype), side


def _propose(
    ranked, batch, position, blocks, pair_temperature, eps, generator
) -> tuple[Tensor, Tensor]:
    """One round of proposals: ranks (n,), and which of them are rejected (n,)."""
    edges, sizes, side = blocks
    edge, size = edges.index_select(0, position), sizes.index_select(0, position)
    first = batch.unsqueeze(1) * ranked.shape[1]
    score = ranked.take(first + position.unsqueeze(1))

    def log_weight(candidate):
        distance = ranked.take(first + candidate).sub_(score).abs_()
        return _pair_log_weight(distance, pair_temperature, eps)

    edge_log_weight = log_weight(edge)
    above, below = edge_log_weight[:, 0], edge_log_weight[:, len(side) // 2]
    log_ratio = edge_log_weight - torch.maximum(above, below).unsqueeze(1)
    # exp is slow where it underflows, and nothing below e^-80 is ever drawn.
    bound = log_ratio.clamp_(min=-80).exp_().mul_(size).cumsum(dim=1)
    u, v, w = torch.rand(3, *score.shape, dtype=ranked.dtype, generator=generator)
    block = torch.searchsorted(bound, u * bound[:, -1:], right=True)

    inside = (v * size.gather(1, block)).long()
    candidate = torch.addcmul(edge.gather(1, block), side.take(block), inside)
    ratio = log_weight(candidate).sub_(edge_log_weight.gather(1, block)).exp_()
    return candidate.squeeze(1), (ratio <= w).squeeze(1)
