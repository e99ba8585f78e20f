"""Losses for long-tailed data: torch modules that work in any training loop.

Every loss is called as ``loss(logits, target, sample_weight=None)`` with weights of shape (B,).
`EMDLoss` takes logits and target distributions (B, K); `QuantileLoss` quantiles (B, K) and scores
(B,); the classification losses take logits (B, C) and integer (B,) or soft (B, C) targets. Half
precision is computed in float32.
"""

from ltlearn.losses._balanced import BalancedCrossEntropy
from ltlearn.losses._class_balanced import ClassBalancedWeights
from ltlearn.losses._emd import EMDLoss, emd_per_sample
from ltlearn.losses._focal import FocalLoss
from ltlearn.losses._ldam import LDAMLoss
from ltlearn.losses._neighbor_silencing import NeighborSilencingLoss
from ltlearn.losses._quantile import QuantileLoss, pinball_per_sample, quantile_levels

__all__ = [
    "BalancedCrossEntropy",
    "ClassBalancedWeights",
    "EMDLoss",
    "FocalLoss",
    "LDAMLoss",
    "NeighborSilencingLoss",
    "QuantileLoss",
    "emd_per_sample",
    "pinball_per_sample",
    "quantile_levels",
]
