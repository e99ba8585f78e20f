"""Outputs within a range."""

import torch
from torch import Tensor, nn


class Bounded(nn.Module):
    """A sigmoid from ``low`` to ``high``.

    Parameters
    ----------
    low, high : float
    """

    low: Tensor
    span: Tensor

    def __init__(self, low: float, high: float):
        super().__init__()
        self.register_buffer("low", torch.tensor(float(low)))
        self.register_buffer("span", torch.tensor(float(high) - float(low)))

    def forward(self, X: Tensor) -> Tensor:
        """Numbers of any shape, each of any size, as numbers between the two."""
        return self.low + self.span * X.sigmoid()

    def extra_repr(self) -> str:
        return f"low={self.low.item():g}, high={(self.low + self.span).item():g}"
