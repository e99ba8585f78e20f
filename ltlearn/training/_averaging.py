"""Averages of the weights over training, which predict in place of the last ones."""

import copy

import torch
from torch.optim.swa_utils import update_bn

AVERAGES = ("ema", "swa")


class WeightAverage:
    """Keeps an average of a network's weights and puts it in their place and back.

    Parameters
    ----------
    kind : {"ema", "swa"}
        ``"ema"``: an exponential average over updates, with ``decay``, in the first updates with
        less. ``"swa"``: the plain average over the ends of epochs from ``start`` on; before, it is
        the weights as they are.
    decay : float, default=0.999
    start : float, default=0.75
        Share of the epochs.
    """

    def __init__(self, kind, *, decay=0.999, start=0.75):
        self.kind = kind
        self.decay = decay
        self.start = start
        self._n = 0
        self._average = self._raw = None

    def get_state(self):
        """What :meth:`set_state` takes, to go on in another process."""
        return {"n": self._n, "average": self._average, "raw": self._raw}

    def set_state(self, state):
        """Go on from a state; the network holds what it held then."""
        self._n, self._average, self._raw = state["n"], state["average"], state["raw"]

    @torch.no_grad()
    def after_update(self, network):
        """Count the weights after an update in."""
        if self.kind == "ema":
            self._n += 1
            self._count_in(network, 1 - min(self.decay, self._n / (9 + self._n)))

    @torch.no_grad()
    def after_epoch(self, network, progress, batches):
        """Put the average in place of the weights.

        Parameters
        ----------
        network : torch.nn.Module
        progress : float
            Share of the epochs that are over.
        batches : iterable of torch.Tensor
            All training inputs, for the statistics of batch normalization.
        """
        if self.kind == "swa" and progress > self.start:
            self._n += 1
            self._count_in(network, 1 / self._n)
        if self._average is None:
            return
        self._raw = copy.deepcopy(dict(network.state_dict()))
        network.load_state_dict({**self._raw, **self._average})
        if self.kind == "swa":
            mode = network.training
            update_bn(batches, network)
            network.train(mode)

    def before_epoch(self, network):
        """Put the weights back, for training to go on."""
        if self._raw is not None:
            network.load_state_dict(self._raw)
            self._raw = None

    def _count_in(self, network, share):
        now = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
        if self._average is None:
            self._average = {name: values.clone() for name, values in now.items()}
            return
        # All in one go: a loop would start a kernel for each.
        torch._foreach_lerp_([self._average[name] for name in now], list(now.values()), share)
