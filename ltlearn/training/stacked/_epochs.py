"""Batches of all members at once, each as it would come alone.

Members differ in the number of their rows and of the samples that mixup adds, so the batch of one
may be smaller than that of another, and its epoch shorter. A step takes batches as large as the
largest: rows that a member lacks weigh nothing, the others so much more that means over all rows
are those over its own.
"""

from itertools import pairwise
from typing import NamedTuple

import torch

from ltlearn.data._batches import n_batches
from ltlearn.data._targets import batch_groups
from ltlearn.enhancers import MixupDraw
from ltlearn.enhancers._mixup import draw_for_each

# Targets are gathered for about this many rows of all members at once.
_ROWS_AT_ONCE = 2**18


class Step(NamedTuple):
    """What a step of all members takes.

    Parameters
    ----------
    X : torch.Tensor of shape (M, B, *shape)
    target : dict of str to torch.Tensor of shape (M, B, *shape)
    shares : torch.Tensor of shape (M,)
        Shares of the rows of an epoch that are in this batch.
    taking_part : tuple of bool of length M, or None
        Members whose epoch is not over; None for all.
    present : torch.Tensor of shape (M, R), bool, or None
        Which rows each member has after mixing; None where all have all.
    """

    X: torch.Tensor
    target: dict
    shares: torch.Tensor
    taking_part: tuple
    present: torch.Tensor


class Table:
    """Rows of several members, kept once where members share them.

    Parameters
    ----------
    tables : list of torch.Tensor of shape (n, *shape)
        One per member.
    """

    def __init__(self, tables):
        kept, starts, self.starts = [], [], []
        for table in tables:
            same = [i for i, other in enumerate(kept) if _is_same(other, table)]
            if not same:
                same = [len(kept)]
                starts.append(starts[-1] + len(kept[-1]) if kept else 0)
                kept.append(table)
            self.starts.append(starts[same[0]])
        self.rows = kept[0] if len(kept) == 1 else torch.cat(kept)
        self._set_offsets()

    def take(self, rows):
        """Rows (..., M, B) of each member, as a tensor (..., M, B, *shape)."""
        index = rows + self.offsets if self.offsets is not None else rows
        return self.rows.index_select(0, index.flatten()).unflatten(0, rows.shape)

    def select(self, members):
        self.starts = [self.starts[member] for member in members]
        self._set_offsets()

    def _set_offsets(self):
        self.offsets = None
        if any(self.starts):
            self.offsets = torch.tensor(self.starts, device=self.rows.device).unsqueeze(1)


class StackedEpochs:
    """Epochs of M members.

    Parameters
    ----------
    data : list of TensorData
    batch_sizes : list of int
    objectives : list of torch.nn.Module
        Whose ``mixup``, where they have one, draws from their ``generator``.
    """

    def __init__(self, data, batch_sizes, objectives):
        self.data = list(data)
        self.batch_sizes = list(batch_sizes)
        self.objectives = list(objectives)
        self.device = data[0].device
        self.X = Table([each.X for each in data])
        self.targets = {
            name: Table([_target(each, name) for each in data])
            for name in {name: None for each in data for name in each.target}
        }

    def select(self, members):
        """Keep some of the members, in the given order."""
        for name in ("data", "batch_sizes", "objectives"):
            values = getattr(self, name)
            setattr(self, name, [values[member] for member in members])
        for table in (self.X, *self.targets.values()):
            table.select(members)

    def __iter__(self):
        cohorts = self._cohorts()
        for start, stop in self._segments(cohorts):
            yield from self._steps([each.part(start, stop) for each in cohorts])

    def _cohorts(self):
        """Members whose epochs have the same layout, with the rows of their next epoch."""
        members = {}
        index = [each.epoch_index().to(self.device) for each in self.data]
        for i, (rows, batch_size) in enumerate(zip(index, self.batch_sizes, strict=True)):
            n = n_batches(len(rows), batch_size)
            members.setdefault((len(rows), n, _kind_of_draw(self.objectives[i])), []).append(i)
        return [
            _Cohort(self, own, n, torch.stack([index[i] for i in own]))
            for (_, n, _), own in members.items()
        ]

    def _segments(self, cohorts):
        """Numbers of steps between which no member's batches change in size."""
        cuts = {cohort.n for cohort in cohorts}
        cuts |= {first for cohort in cohorts for first, _, _ in cohort.groups}
        largest = max(size for cohort in cohorts for _, _, size in cohort.groups)
        step = max(1, _ROWS_AT_ONCE // (len(self.data) * largest))
        cuts = sorted(cuts)
        for start, stop in pairwise(cuts):
            for first in range(start, stop, step):
                yield first, min(stop, first + step)

    def _steps(self, parts):
        parts = [part for part in parts if part is not None]
        n_steps, n_members = parts[0].rows.shape[1], len(self.data)
        size = max(part.rows.shape[2] for part in parts)
        n_mixed = max(part.draw.share.shape[2] for part in parts)
        is_whole = len(parts) == 1 and len(parts[0].members) == n_members

        def merged(name, n):
            """Tensors (m, n_steps, n or less) of all parts as one (n_steps, M, n)."""
            values = [
                getattr(part, name) if name == "rows" else getattr(part.draw, name)
                for part in parts
            ]
            if is_whole and parts[0].members == list(range(n_members)):
                return values[0].transpose(0, 1)
            whole = values[0].new_zeros(n_steps, n_members, n)
            for part, own in zip(parts, values, strict=True):
                whole[:, part.members, : own.shape[2]] = own.transpose(0, 1)
            return whole

        rows = merged("rows", size)
        target = {name: table.take(rows) for name, table in self.targets.items()}
        if n_mixed:
            draw = MixupDraw(*(merged(name, n_mixed) for name in MixupDraw._fields))
            target = self.objectives[0].mix_targets(target, draw)
        present = taking_part = None
        is_full = all(
            part.rows.shape[2] == size and part.draw.share.shape[2] == n_mixed for part in parts
        )
        taking = [member for part in parts for member in part.members]
        shares = torch.zeros(n_members, dtype=torch.float64, device=self.device)
        for part in parts:
            shares[part.members] = part.rows.shape[2] / part.n_rows
        if len(taking) < n_members:
            taking_part = tuple(member in taking for member in range(n_members))
        if not is_full or taking_part is not None:
            count = self.X.rows.new_zeros(n_members, size + n_mixed)
            for part in parts:
                n_own, n_own_mixed = part.rows.shape[2], part.draw.share.shape[2]
                count[part.members, :n_own] = 1
                count[part.members, size : size + n_own_mixed] = 1
            present = count > 0
            count = count.expand(n_steps, -1, -1)
            weight = count * ((size + n_mixed) / count.sum(2, keepdim=True).clamp(min=1))
            if "weight" in target:
                weight = weight * target["weight"]
            target = {**target, "weight": weight, "count": count}
        per_step = {name: values.unbind() for name, values in target.items()}
        for number, own_rows in enumerate(rows.unbind()):
            own_target = {name: values[number] for name, values in per_step.items()}
            yield Step(self.X.take(own_rows), own_target, shares, taking_part, present)


class _Part(NamedTuple):
    """Rows (m, n_steps, B) of some members in a stretch of steps, and what is drawn for them."""

    members: list
    n_rows: int
    rows: torch.Tensor
    draw: MixupDraw


class _Cohort:
    """Members whose batches have the same sizes and get the same number of mixed samples."""

    def __init__(self, epochs, members, n, index):
        self.epochs, self.members, self.n, self.index = epochs, members, n, index
        self.groups = batch_groups(index.shape[1], n)
        self.drawn = (None, None)

    def part(self, start, stop):
        """What the steps from ``start`` to before ``stop`` take, or None after the epoch's end."""
        first_row = 0
        for first, n_group, size in self.groups:
            if first <= start < first + n_group:
                if self.drawn[0] != first:  # not before it is needed: dropout draws in between
                    rows = self.index[:, first_row : first_row + n_group * size]
                    rows = rows.unflatten(1, (n_group, size))
                    self.drawn = (
                        first,
                        _Part(self.members, self.index.shape[1], rows, self._draw(rows)),
                    )
                steps = slice(start - first, stop - first)
                part = self.drawn[1]
                draw = MixupDraw(*(values[:, steps] for values in part.draw))
                return part._replace(rows=part.rows[:, steps], draw=draw)
            first_row += n_group * size
        return None

    def _draw(self, rows):
        objectives = [self.epochs.objectives[member] for member in self.members]
        if not objectives[0].before_steps:
            empty = rows[..., :0]
            return MixupDraw(empty, empty, empty.to(self.epochs.X.rows.dtype))
        table = self.epochs.targets["score"]
        score = torch.stack(
            [
                table.rows.index_select(0, own.flatten() + table.starts[member]).view(own.shape)
                for own, member in zip(rows, self.members, strict=True)
            ]
        )
        scale = score.new_tensor([objective.temperature_scale for objective in objectives])
        return draw_for_each(
            [objective.mixup for objective in objectives],
            scale.view(-1, 1, 1) * score,
            [objective.generator for objective in objectives],
        )


def _kind_of_draw(objective):
    if not objective.before_steps:
        return None
    return objective.mixup.strength, objective.mixup.eps


def _is_same(first, second):
    return first is second or (first.shape == second.shape and torch.equal(first, second))


def _target(data, name):
    """A named target; rows without weights weigh 1."""
    if name == "weight" and name not in data.target:
        return data.X.new_ones(len(data))
    return data.target[name]
