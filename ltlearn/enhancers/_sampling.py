"""Draw the anchors and partners of `TailMixup`: exact, in log-space, without a loop over samples.

On accelerators no step depends on a value of the data, so the host never waits for the device.
"""

import math

import torch
from torch import Tensor

# Up to this many anchor-candidate pairs, the matrix of all weights is the fastest way on a CPU.
_MAX_PAIRS = 100_000

# Proposals per anchor and round. One is accepted with a probability of at least 1 / (1 + log2 B),
# about 0.95 for distinct scores and 0.75 for ratings with many ties: second rounds are rare.
_N_PROPOSALS = 4


def _pair_log_weight(distance: Tensor, pair_temperature: float, eps: float) -> Tensor:
    """Log of the unnormalized partner probability; overwrites the distances."""
    return distance.add_(eps).reciprocal_().mul_(pair_temperature)


def draw_anchors(
    distance: Tensor, n_anchors: int, tail_temperature: float, generator: torch.Generator | None
) -> Tensor:
    """Indices (M,), without replacement and proportional to ``exp(distance / tail_temperature)``.

    Adding Gumbel noise to log-weights and taking the M largest is the same as drawing them one
    after the other; a negative log of a standard exponential is standard Gumbel.
    """
    log_exponential = torch.empty_like(distance).exponential_(generator=generator).log_()
    keys = torch.sub(distance, log_exponential, alpha=tail_temperature)
    return keys.topk(n_anchors, sorted=False).indices


def draw_partners(
    scores: Tensor,
    anchors: Tensor,
    pair_temperature: float,
    eps: float,
    generator: torch.Generator | None,
) -> Tensor:
    """For every anchor i one j != i, with ``P(j|i) ∝ exp(tau2 / (|s_i - s_j| + eps))``; (M,)."""
    on_cpu = scores.device.type == "cpu"
    if on_cpu and len(anchors) * len(scores) > _MAX_PAIRS:
        return partners_by_blocks(scores, anchors, pair_temperature, eps, generator)
    log_weight = candidate_log_weights(scores, anchors, pair_temperature, eps)
    return (invert_rows if on_cpu else race_rows)(log_weight, generator)


def candidate_log_weights(
    scores: Tensor, anchors: Tensor, pair_temperature: float, eps: float
) -> Tensor:
    """Log-weights (M, B) of all candidates; -inf for the anchor itself."""
    distance = (scores.index_select(0, anchors).unsqueeze(1) - scores).abs_()
    log_weight = _pair_log_weight(distance, pair_temperature, eps)
    return log_weight.scatter_(1, anchors.unsqueeze(1), -math.inf)


def race_rows(log_weight: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw one column per row as the largest log-weight plus Gumbel noise: no host wait."""
    noise = torch.empty_like(log_weight).exponential_(generator=generator).log_()
    return (log_weight - noise).argmax(dim=1)


def invert_rows(log_weight: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw one column per row by inverting the distribution function.

    On a CPU, one uniform number per row is much cheaper than exponential noise per entry;
    multinomial takes this way from two draws on, of which one is used.
    """
    draws = torch.multinomial(log_weight.softmax(dim=1), 2, replacement=True, generator=generator)
    return draws[:, 0]


def partners_by_blocks(
    scores: Tensor,
    anchors: Tensor,
    pair_temperature: float,
    eps: float,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw by exact rejection sampling from O(log B) weights per anchor.

    In sorted order, the candidates on either side of an anchor fall into blocks of 1, 2, 4, ...
    neighbors. Weights decrease with the distance, so the weight at a block's near edge times the
    block's size bounds the mass of the block: propose a block by these bounds, a member of it
    uniformly, and accept it with the ratio of its weight to the weight at the edge. The members
    of all nearer blocks weigh at least as much as the edge, hence the sum of the bounds is at
    most 1 + log2(B) times the true mass, whatever the scores; ties are always accepted.
    """
    ranked, order = scores.sort()
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
    position = rank.index_select(0, anchors)
    partner, accepted = _propose(ranked, position, pair_temperature, eps, generator)
    while not accepted.all():
        rest = (~accepted).nonzero().squeeze(1)
        partner[rest], accepted[rest] = _propose(
            ranked, position[rest], pair_temperature, eps, generator
        )
    return order.index_select(0, partner)


def _propose(ranked, position, pair_temperature, eps, generator) -> tuple[Tensor, Tensor]:
    """One round of proposals: ranks (M,) and whether any proposal was accepted (M,)."""
    n_scores = len(ranked)
    widths = [2**k for k in range((n_scores - 1).bit_length())]
    width = torch.tensor(widths * 2)
    side = torch.tensor([1] * len(widths) + [-1] * len(widths))
    n_beyond = torch.tensor([n_scores - w for w in widths] + [1 - w for w in widths])

    score = ranked.index_select(0, position).unsqueeze(1)
    position = position.unsqueeze(1)
    edge = torch.addcmul(position, side, width)
    size = torch.addcmul(n_beyond, side, position, value=-1).clamp_(min=0).minimum(width)
    distance = (ranked.take(edge.clamp(0, n_scores - 1)) - score).abs_()
    edge_log_weight = _pair_log_weight(distance, pair_temperature, eps)
    bound = size.to(ranked.dtype).log_().add_(edge_log_weight).softmax(dim=1)
    block = torch.multinomial(bound, _N_PROPOSALS, replacement=True, generator=generator)

    u, v = torch.rand(2, *block.shape, dtype=ranked.dtype, generator=generator)
    inside = (u * size.gather(1, block)).long()
    candidate = torch.addcmul(edge.gather(1, block), side.take(block), inside)
    distance = (ranked.take(candidate) - score).abs_()
    log_weight = _pair_log_weight(distance, pair_temperature, eps)
    accepted = log_weight.sub_(edge_log_weight.gather(1, block)).exp_() > v
    first = accepted.to(torch.uint8).argmax(dim=1, keepdim=True)
    return candidate.gather(1, first).squeeze(1), accepted.any(dim=1)
