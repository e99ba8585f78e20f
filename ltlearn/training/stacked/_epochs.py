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
        whole = _Whole(self, [part for part in parts if part is not None])
        target = {name: table.take(whole.rows) for name, table in self.targets.items()}
        if whole.n_mixed:
            target = self.objectives[0].mix_targets(target, whole.draw())
        target = {**target, **whole.partners(), **whole.weights(target.get("weight"))}
        per_step = {name: values.unbind() for name, values in target.items()}
        shares, taking_part, present = whole.shares(), whole.taking_part(), whole.present
        for number, rows in enumerate(whole.rows.unbind()):
            own_target = {name: values[number] for name, values in per_step.items()}
            yield Step(self.X.take(rows), own_target, shares, taking_part, present)


class _Part(NamedTuple):
    """What some members take in a stretch of steps.

    Parameters
    ----------
    members : list of m int
    n_rows : int
        Rows in each one's epoch.
    rows : torch.Tensor of shape (m, n_steps, B)
    draw : MixupDraw
        With leading dimensions (m, n_steps).
    kept : torch.Tensor of shape (m, n_steps), or None
        Shares of feature mixup; None where no member has it.
    """

    members: list
    n_rows: int
    rows: torch.Tensor
    draw: MixupDraw
    kept: torch.Tensor

    def between(self, start, stop):
        """The same for some of the steps."""
        steps = slice(start, stop)
        return self._replace(
            rows=self.rows[:, steps],
            draw=MixupDraw(*(values[:, steps] for values in self.draw)),
            kept=None if self.kept is None else self.kept[:, steps],
        )


class _Whole:
    """What all members take in a stretch of steps, in batches as large as the largest."""

    def __init__(self, epochs, parts):
        self.parts, self.device = parts, epochs.device
        self.dtype, self.n_members = epochs.X.rows.dtype, len(epochs.data)
        self.n_steps = parts[0].rows.shape[1]
        self.size = max(part.rows.shape[2] for part in parts)
        self.n_mixed = max(part.draw.share.shape[2] for part in parts)
        self.rows = self._merge([part.rows for part in parts], self.size)
        self.present = None
        if not self._is_full():
            self.present = torch.zeros(
                self.n_members, self.size + self.n_mixed, dtype=torch.bool, device=self.device
            )
            for part in parts:
                self.present[part.members, : part.rows.shape[2]] = True
                n_mixed = part.draw.share.shape[2]
                self.present[part.members, self.size : self.size + n_mixed] = True

    def draw(self):
        """How to mix, with leading dimensions (n_steps, M)."""
        fields = zip(*(part.draw for part in self.parts), strict=True)
        return MixupDraw(*(self._merge(values, self.n_mixed) for values in fields))

    def partners(self):
        """Targets of feature mixup, by name, if there is any."""
        if self.parts[0].kept is None:
            return {}
        share = torch.ones(self.n_steps, self.n_members, dtype=self.dtype, device=self.device)
        partners = torch.arange(self.size, device=self.device).repeat(self.n_members, 1)
        for part in self.parts:
            share[:, part.members] = part.kept.T
            own = torch.arange(part.rows.shape[2] - 1, -1, -1, device=self.device)
            partners[part.members, : len(own)] = own
        return {"share": share, "partners": partners.expand(self.n_steps, -1, -1)}

    def weights(self, weight):
        """Targets that leave out the rows that members lack, by name, if there are such."""
        if self.present is None:
            return {}
        count = self.present.to(self.dtype)
        scaled = count * (count.shape[1] / count.sum(1, keepdim=True).clamp(min=1))
        scaled, count = (values.expand(self.n_steps, -1, -1) for values in (scaled, count))
        return {"weight": scaled if weight is None else scaled * weight, "count": count}

    def shares(self):
        """Shares (M,) of the rows of an epoch that are in a batch."""
        shares = torch.zeros(self.n_members, dtype=torch.float64, device=self.device)
        for part in self.parts:
            shares[part.members] = part.rows.shape[2] / part.n_rows
        return shares

    def taking_part(self):
        """Whose epoch is not over: a tuple of M bool, or None for all."""
        members = {member for part in self.parts for member in part.members}
        if len(members) == self.n_members:
            return None
        return tuple(member in members for member in range(self.n_members))

    def _is_full(self):
        return self.taking_part() is None and all(
            part.rows.shape[2] == self.size and part.draw.share.shape[2] == self.n_mixed
            for part in self.parts
        )

    def _merge(self, values, n):
        """Tensors (m, n_steps, n or less) of all parts as one (n_steps, M, n)."""
        if len(values) == 1 and self.parts[0].members == list(range(self.n_members)):
            return values[0].transpose(0, 1)
        whole = values[0].new_zeros(self.n_steps, self.n_members, n)
        for part, own in zip(self.parts, values, strict=True):
            whole[:, part.members, : own.shape[2]] = own.transpose(0, 1)
        return whole


class _Cohort:
    """Members whose batches have the same sizes and get the same number of mixed samples."""

    def __init__(self, epochs, members, n, index):
        self.epochs, self.members, self.n, self.index = epochs, members, n, index
        self.objectives = [epochs.objectives[member] for member in members]
        self.groups = batch_groups(index.shape[1], n)
        self._first, self._part = None, None

    def part(self, start, stop):
        """What the steps from ``start`` to before ``stop`` take, or None after the epoch's end."""
        first_row = 0
        for first, n_group, size in self.groups:
            if first <= start < first + n_group:
                if self._first != first:
                    rows = self.index[:, first_row : first_row + n_group * size]
                    self._first, self._part = first, self._drawn(rows.unflatten(1, (-1, size)))
                return self._part.between(start - first, stop - first)
            first_row += n_group * size
        return None

    def _drawn(self, rows):
        draw, kept, like = None, None, self.epochs.X.rows
        if "mixup" in self.objectives[0].before_steps:
            draw = self._draw_mixup(rows)
        else:
            draw = MixupDraw(rows[..., :0], rows[..., :0], like.new_zeros(*rows.shape[:2], 0))
        if any(getattr(each, "feature_mixup", None) for each in self.epochs.objectives):
            shares = [objective.draw_shares(rows.shape[1]) for objective in self.objectives]
            kept = like.new_tensor(shares)
        return _Part(self.members, self.index.shape[1], rows, draw, kept)

    def _draw_mixup(self, rows):
        table = self.epochs.targets["score"]
        score = torch.stack(
            [
                table.rows.index_select(0, own.flatten() + table.starts[member]).view(own.shape)
                for own, member in zip(rows, self.members, strict=True)
            ]
        )
        scale = score.new_tensor([objective.temperature_scale for objective in self.objectives])
        return draw_for_each(
            [objective.mixup for objective in self.objectives],
            scale.view(-1, 1, 1) * score,
            [objective.generator for objective in self.objectives],
        )


def _kind_of_draw(objective):
    if "mixup" not in objective.before_steps:
        return None
    return objective.mixup.strength, objective.mixup.eps


def _is_same(first, second):
    return first is second or (first.shape == second.shape and torch.equal(first, second))


def _target(data, name):
    """A named target; rows without weights weigh 1."""
    if name == "weight" and name not in data.target:
        return data.X.new_ones(len(data))
    return data.target[name]
