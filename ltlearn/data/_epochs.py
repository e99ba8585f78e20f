"""Which rows the next epoch holds, and in which order.

An object of these is called once an epoch and returns row numbers, a tensor of int32 or int64 on
the CPU. With what ``get_state`` returned, of plain values and tensors, ``set_state`` lets another
one go on.
"""

import numpy as np
import torch


class ShuffledEpochs:
    """Every row once an epoch, in an order drawn from an own generator.

    Parameters
    ----------
    n : int
        Number of rows.
    seed : int
    """

    def __init__(self, n, seed):
        self.n = n
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def __call__(self):
        return _shuffled(self.n, self.generator)

    def get_state(self):
        return self.generator.get_state()

    def set_state(self, state):
        self.generator.set_state(state)


class FixedLengthEpochs:
    """Epochs of a fixed number of rows, dealt from one shuffled pass over the data after another.

    Keeps the number of gradient updates an epoch the same when the data grows.

    Parameters
    ----------
    n : int
        Number of rows.
    length : int
        Rows an epoch.
    seed : int
    """

    def __init__(self, n, length, seed):
        self.passes = ShuffledEpochs(n, seed)
        self.length = length
        self.left = torch.empty(0, dtype=torch.long, device="cpu")

    def __call__(self):
        while len(self.left) < self.length:
            self.left = torch.cat([self.left, self.passes()])
        index, self.left = self.left[: self.length], self.left[self.length :]
        return index

    def get_state(self):
        return {"passes": self.passes.get_state(), "left": self.left}

    def set_state(self, state):
        self.passes.set_state(state["passes"])
        self.left = state["left"]


class AuxiliaryEpochs:
    """Every target row once an epoch, and a fresh draw of rows of each auxiliary class.

    The rows of the data are the target rows, followed by the auxiliary rows.

    Parameters
    ----------
    n_target : int
        Number of target rows.
    auxiliary_codes : ndarray of shape (n_auxiliary,)
        Class of each auxiliary row.
    max_samples : int
        Most rows of an auxiliary class in an epoch, drawn without replacement.
    seed : int
    """

    def __init__(self, n_target, auxiliary_codes, max_samples, seed):
        order = np.argsort(auxiliary_codes, kind="stable")
        ends = np.cumsum(np.bincount(auxiliary_codes))
        self.rows_by_class = [
            torch.from_numpy(rows + n_target) for rows in np.split(order, ends[:-1]) if len(rows)
        ]
        self.n_target = n_target
        self.max_samples = max_samples
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def __call__(self):
        if not self.rows_by_class:
            return _shuffled(self.n_target, self.generator)
        rows = torch.cat(
            [torch.arange(self.n_target, device="cpu"), *map(self._draw, self.rows_by_class)]
        )
        return rows[torch.randperm(len(rows), generator=self.generator, device="cpu")]

    def get_state(self):
        return self.generator.get_state()

    def set_state(self, state):
        self.generator.set_state(state)

    def _draw(self, rows):
        order = torch.randperm(len(rows), generator=self.generator, device="cpu")
        return rows[order[: self.max_samples]]


def _shuffled(n, generator):
    dtype = torch.int32 if n < 2**31 else torch.int64
    return torch.randperm(n, generator=generator, dtype=dtype, device="cpu")
