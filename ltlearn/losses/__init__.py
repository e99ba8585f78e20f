"""Losses for long-tailed data: torch modules that work in any training loop.

Every loss is called as ``loss(logits, target, sample_weight=None)`` with logits of shape (B, K)
and weights of shape (B,).
"""

from ltlearn.losses._emd import EMDLoss, emd

__all__ = ["EMDLoss", "emd"]
