"""Losses for long-tailed data: torch modules that work in any training loop.

Every loss is called as ``loss(logits, target, sample_weight=None)`` with weights of shape (B,).
`EMDLoss` takes logits and target distributions (B, K); `QuantileLoss` quantiles (B, K) and scores
(B,); the classification losses take logits (B, C) and integer (B,) or soft (B, C) targets. Half
precision is computed in float32.

A loss of one's own has the same form: ``loss(outputs, target, sample_weight)`` returns weighted
values (B,), which are averaged, or their mean (). The weights are None where all rows weigh the
same. A loss without the third argument, such as ``torch.nn.CrossEntropyLoss(reduction="none")``,
returns values (B,), which are weighted for it. Estimators take functions and modules as ``loss``,
copy them at every fit, and train the parameters of modules along with the network.

- In :class:`~ltlearn.ELTARegressor` outputs and target are scores (B,), of mean 0 and deviation 1
  over the training rows; for distributions, logits (B, K) and shares (B, K).
- In :class:`~ltlearn.GranularClassifier` they are logits (B, C) of all classes, target classes
  before auxiliary ones, and codes (B,). With mixed inputs the loss is called for the codes of both
  partners; with enhancers of one's own it gets the shares (B, C) of both instead.

Functions are called in float32. With the body for tables they are called for each of its members.
A loss with a method ``set_epoch`` is told the number of the epoch, from 0, at the start of each.
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
