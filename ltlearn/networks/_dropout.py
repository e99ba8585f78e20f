"""Dropout from a generator of one's own."""

import math

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
        return X * draw_factors(X.shape, self.p, self.generator, X)

    def extra_repr(self):
        return f"p={self.p}"


def draw_factors(shape, p, generator, like):
    """What activations are multiplied by: 0 for a share ``p`` of them, 1 / (1 - p) for the others.

    Parameters
    ----------
    shape : tuple of int
    p : float
        In [0, 1), to 16 bits.
    generator : torch.Generator
    like : torch.Tensor
        Of the type and on the device of the factors.

    Returns
    -------
    factors : torch.Tensor of shape ``shape``
    """
    # Four numbers of 16 bits from one of 64: a fraction of the time that `bernoulli_` takes.
    n = math.prod(shape)
    bits = torch.empty(-(-n // 4), dtype=torch.int64, device=like.device)
    bits.random_(-(2**63), 2**63 - 1, generator=generator)
    is_kept = bits.view(torch.int16)[:n].view(shape) >= round(2**16 * p) - 2**15
    return factors_of(is_kept, p, like.dtype)


def factors_of(is_kept, p, dtype=None):
    """The factors, by which activations are kept; in torch's default type where none is given."""
    return is_kept.to(dtype or torch.get_default_dtype()).div_(1 - p)


def use_generator(network, generator):
    """Let all :class:`Dropout` of a network draw from a generator, or again from torch's own."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = generator
