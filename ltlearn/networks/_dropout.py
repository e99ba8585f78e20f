"""Dropout from a generator of one's own."""

import torch
from torch import nn
from torch.nn import functional as F


class Dropout(nn.Module):
    """Set a share of the inputs to 0 in training and scale the others up.

    Parameters
    ----------
    p : float
        The share, in [0, 1).

    Attributes
    ----------
    generator : torch.Generator or None
        On the device of the inputs; None draws from torch's default generator.
    """

    def __init__(self, p):
        super().__init__()
        self.p = p
        self.generator = None

    def forward(self, X):
        if not self.training:
            return X
        if self.generator is None or torch.compiler.is_compiling():
            return F.dropout(X, self.p)
        kept = torch.empty_like(X).bernoulli_(1 - self.p, generator=self.generator)
        return X * kept.div_(1 - self.p)

    def extra_repr(self):
        return f"p={self.p}"


def use_generator(network, generator):
    """Let all :class:`Dropout` of a network draw from a generator, or again from torch's own."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = generator
