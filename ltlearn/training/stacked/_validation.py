"""Validation of all members, and what it decides: who stops, and with which weights."""

import math

import torch

from ltlearn.training.stacked._epochs import Table

# Rows of all members that pass through the network at once.
_ROWS_AT_ONCE = 2**15


class StackedValidation:
    """Validation rows of M members.

    Parameters
    ----------
    data : list of TensorData
    """

    def __init__(self, data):
        self.data = list(data)
        self.X = Table([each.X for each in data])
        self._prepare()

    def select(self, members):
        """Keep some of the members, in the given order."""
        self.data = [self.data[member] for member in members]
        self.X.select(members)
        self._prepare()

    def terms(self, network, objective):
        """Terms by name of every member, a list of dicts of numbers."""
        outputs = torch.cat([network.forward(self.X.take(rows)) for rows in self._rows], 1)
        found = [None] * len(self.data)
        for members, target in self._alike:
            n = len(self.data[members[0]])
            terms = objective.validation_terms(members, outputs[members, :n], target)
            for i, member in enumerate(members):
                found[member] = {name: values[i] for name, values in terms.items()}
        return found

    def _prepare(self):
        lengths = torch.tensor([len(each) for each in self.data], device=self.data[0].device)
        # Members with fewer rows repeat their last one, and nobody looks at its outputs.
        rows = torch.arange(int(lengths.max()), device=lengths.device).expand(len(self.data), -1)
        rows = rows.minimum(lengths.unsqueeze(1) - 1)
        self._rows = rows.split(max(1, _ROWS_AT_ONCE // len(self.data)), 1)
        alike = {}
        for member, each in enumerate(self.data):
            alike.setdefault((len(each), tuple(sorted(each.target))), []).append(member)
        self._alike = [
            (
                members,
                {
                    name: torch.stack([self.data[member].target[name] for member in members])
                    for name in names
                },
            )
            for (_, names), members in alike.items()
        ]


class StackedStopping:
    """Early stopping of M members, each as skorch's callback does it.

    Parameters
    ----------
    callbacks : list of skorch.callbacks.EarlyStopping or None
        None for members that train to the end.
    """

    def __init__(self, callbacks):
        self.callbacks = list(callbacks)
        self.misses = [0] * len(self.callbacks)
        self.best_epoch = [0] * len(self.callbacks)
        self.bound = [
            math.inf if each is not None and each.lower_is_better else -math.inf
            for each in self.callbacks
        ]

    def select(self, members):
        for name in ("callbacks", "misses", "best_epoch", "bound"):
            values = getattr(self, name)
            setattr(self, name, [values[member] for member in members])

    def update(self, epoch, terms):
        """Members that improved in this epoch, and those that stop after it, as lists."""
        improved, stopped = [], []
        for member, (callback, scores) in enumerate(zip(self.callbacks, terms, strict=True)):
            if callback is None or scores is None:
                continue
            score = scores[callback.monitor.removeprefix("valid_")]
            sign = 1 if callback.lower_is_better else -1
            if sign * score < sign * self.bound[member]:
                change = callback.threshold
                if callback.threshold_mode == "rel":
                    change *= score
                self.bound[member] = score - sign * change
                self.misses[member] = 0
                self.best_epoch[member] = epoch
                improved.append(member)
            else:
                self.misses[member] += 1
                if self.misses[member] == callback.patience:
                    stopped.append(member)
        return improved, stopped
