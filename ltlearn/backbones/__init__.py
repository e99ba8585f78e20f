"""Networks that map a batch of inputs to features (B, D)."""

from ltlearn.backbones._mlp import MLP

__all__ = ["MLP"]
