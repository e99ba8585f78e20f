"""Draw the anchors and partners of `TailMixup`: exact, in log-space, without a loop over samples.

Leading dimensions count independent batches of equal size, all drawn at once. On accelerators no
step depends on a value of the data, so the host never waits for the device.
"""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

# Up to this many anchor-candidate pairs, the matrix of all weights is the fastest way on a CPU.
_MAX_PAIRS = 50_000

# Proposals to make at once in rejection sampling on a CPU: fewer take hardly less time.
_N_PROPOSALS = 1500

# Tables of blocks for batches up to this size are kept: the next batch is of the same size.
_LARGEST_KEPT_TABLE = 2**13

# Batches with more pairs than this together are drawn in turns on an accelerator, to save memory.
_MAX_PAIRS_ON_DEVICE = 2**24


def _pair_log_weight(distance: Tensor, pair_temperature: float | Tensor, eps: float) -> Tensor:
    """Log of the unnormalized partner probability; overwrites the distances."""
    return distance.add_(eps).reciprocal_().mul_(pair_temperature)


def _gumbel(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard Gumbel noise; much faster on a CPU than from exponential noise."""
    uniform = torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=generator)
    return uniform.log_().neg_().log_().neg_()


def draw_anchors(
    importance: Tensor, n_anchors: int, unit: float, generator: torch.Generator | None
) -> Tensor:
    """Indices (..., M) into importances (..., B), drawn without replacement, proportional to
    ``exp(importance / unit)``.

    Adding Gumbel noise to log-weights and taking the M largest is the same as drawing them one
    after the other.
    """
    return anchor_keys(importance, unit, generator).topk(n_anchors, sorted=False).indices


def anchor_keys(importance: Tensor, unit: float, generator: torch.Generator | None) -> Tensor:
    """Log-weights of the anchors with Gumbel noise, times the unit."""
    return torch.add(importance, _gumbel(importance, generator), alpha=unit)


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
    if not has_few_pairs(scores, anchors.shape[-1]):
        return partners_by_blocks(scores, anchors, pair_temperature, eps, generator)
    return invert_rows(candidate_log_weights(scores, anchors, pair_temperature, eps), generator)


def has_few_pairs(scores: Tensor, n_anchors: int) -> bool:
    """Whether a matrix of the weights of all pairs is the fastest way to partners on a CPU."""
    return scores.numel() * n_anchors <= _MAX_PAIRS


def candidate_log_weights(
    scores: Tensor, anchors: Tensor, pair_temperature: float | Tensor, eps: float
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
    return draw_columns(log_weight.softmax(dim=-1), generator)


def draw_columns(probability: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw one column (...) for each row of probabilities (..., B)."""
    rows = probability.flatten(end_dim=-2)
    draws = torch.multinomial(rows, 2, replacement=True, generator=generator)
    return draws[:, 0].view(probability.shape[:-1])


def partners_by_blocks(
    scores: Tensor,
    anchors: Tensor,
    pair_temperature: float,
    eps: float,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw by exact rejection sampling from O(log B) weights per anchor.

    In sorted order, the candidates on either side of an anchor fall into blocks of neighbors.
    Weights decrease with the distance, so the weight at a block's near edge times the block's size
    bounds the mass of the block: propose a block by these bounds, a member of it uniformly, and
    accept it with the ratio of its weight to the weight at the edge.

    What is accepted has the right distribution for any blocks, which only decide how often that
    is. The first proposal makes do with two a side, the nearest neighbor and all beyond: mostly
    enough, since mostly the nearest outweigh all others. Anchors left over, such as remote ones,
    get blocks of 1, 4, 16, ... neighbors: a bound is at most four times the mass of the block
    before, hence the sum of the bounds at most five times the true mass, whatever the scores.
    """
    n_scores = scores.shape[-1]
    order = torch.from_numpy(scores.numpy().argsort())  # up to five times faster than torch
    ascending = torch.arange(n_scores, device="cpu").expand_as(order)
    rank = torch.empty_like(order).scatter_(-1, order, ascending)
    ranked = scores.gather(-1, order).flatten()

    def log_weight(place, other):
        distance = ranked.take(place).sub_(ranked.take(other)).abs_()
        return _pair_log_weight(distance, pair_temperature, eps)

    # Where in ``ranked`` the batch of an anchor starts, and how far from there the anchor is.
    start = torch.arange(0, len(ranked), n_scores, device="cpu")
    start = start.repeat_interleave(anchors.shape[-1])
    position = rank.gather(-1, anchors).flatten()
    blocks = _Blocks.around(position, start, n_scores, n_scores, log_weight)
    partner, accepted = (values.squeeze(1) for values in blocks.propose(1, log_weight, generator))
    left = accepted.logical_not_().nonzero().squeeze(1)
    blocks = _Blocks.around(position[left], start[left], n_scores, 4, log_weight)
    while len(left):
        proposed, accepted = blocks.propose(_N_PROPOSALS // len(left) + 1, log_weight, generator)
        first = accepted.to(torch.uint8).argmax(dim=1, keepdim=True)
        partner[left] = proposed.gather(1, first).squeeze(1)
        still_left = accepted.any(dim=1).logical_not_().nonzero().squeeze(1)
        left, blocks = left[still_left], blocks.select(still_left)
    return order.flatten().take(partner).view_as(anchors)


class _Blocks(NamedTuple):
    """Blocks of neighbors around anchors: K above, from the nearest on, and K below.

    Parameters
    ----------
    place : Tensor of shape (n, 1)
        Where the anchor is among all sorted scores.
    edge : Tensor of shape (n, 2 K)
        Where the member next to the anchor is; of an empty block, some neighbor of the anchor.
    size : Tensor of shape (n, 2 K)
        Number of members.
    log_weight : Tensor of shape (n, 2 K)
        Of the edge.
    bound : Tensor of shape (n, 2 K)
        Cumulative sums of the bounds on the blocks' masses, up to a factor.
    side : Tensor of shape (2 K,)
        1 for blocks above and -1 for blocks below.
    """

    place: Tensor
    edge: Tensor
    size: Tensor
    log_weight: Tensor
    bound: Tensor
    side: Tensor

    @classmethod
    def around(cls, position, start, n_scores, growth, log_weight):
        """Blocks of 1, `growth`, `growth`², ... neighbors."""
        step, size, side = _block_table(n_scores, growth)
        place = (start + position).unsqueeze(1)
        edge = step.index_select(0, position).add_(place)
        edge_log_weight = log_weight(edge, place)
        size = size.index_select(0, position).to(edge_log_weight.dtype)
        largest = torch.maximum(edge_log_weight[:, 0], edge_log_weight[:, len(side) // 2])
        # exp is slow where it underflows, and nothing below e^-80 is ever drawn.
        bound = (edge_log_weight - largest.unsqueeze(1)).clamp_(min=-80).exp_().mul_(size)
        return cls(place, edge, size, edge_log_weight, bound.cumsum(dim=1), side)

    def propose(self, n, log_weight, generator):
        """Draw `n` proposals for each anchor: where they are, and whether they are accepted."""
        shape = (3, len(self.place), n)
        u, v, w = torch.rand(shape, dtype=self.bound.dtype, device="cpu", generator=generator)
        block = torch.searchsorted(self.bound, u.mul_(self.bound[:, -1:]), right=True)
        inside = v.mul_(self.size.gather(1, block)).long()
        proposed = torch.addcmul(self.edge.gather(1, block), self.side.take(block), inside)
        ratio = log_weight(proposed, self.place).sub_(self.log_weight.gather(1, block)).exp_()
        return proposed, w < ratio

    def select(self, index):
        """The blocks around some of the anchors."""
        return _Blocks(*(values.index_select(0, index) for values in self[:-1]), self.side)


def _block_table(n_scores: int, growth: int) -> tuple[Tensor, Tensor, Tensor]:
    """By position: steps to the edges (B, 2 K) and sizes (B, 2 K) of all blocks; sides (2 K,)."""
    if n_scores > _LARGEST_KEPT_TABLE:
        return _make_block_table(n_scores, growth)
    return _kept_block_table(n_scores, growth)


def _make_block_table(n_scores: int, growth: int) -> tuple[Tensor, Tensor, Tensor]:
    widths = [1]
    while sum(widths) < n_scores - 1:
        widths.append(growth * widths[-1])
    n_blocks = len(widths)
    near = torch.tensor([1 + sum(widths[:k]) for k in range(n_blocks)] * 2, device="cpu")
    side = torch.tensor([1] * n_blocks + [-1] * n_blocks, device="cpu")
    position = torch.arange(n_scores, device="cpu").unsqueeze(1)
    n_above, n_below = n_scores - position - near, position + 1 - near
    n_beyond = torch.where(side > 0, n_above, n_below).clamp_(min=0)
    step = torch.where(n_beyond > 0, side * near, torch.where(position > 0, -1, 1))
    size = n_beyond.minimum(torch.tensor(widths * 2, device="cpu"))
    return step, size.float(), side


_kept_block_table = functools.lru_cache(maxsize=8)(_make_block_table)
