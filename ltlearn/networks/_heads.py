"""Heads: builders of modules from features (B, D) to outputs (B, n_outputs)."""

from torch import nn
from torch.nn import functional as F


class MSEHead:
    """Builds D features -> one standardized score."""

    def __init__(self, dropout):
        self.dropout = dropout

    def __call__(self, n_features):
        return nn.Sequential(*_dropout(self.dropout), nn.Linear(n_features, 1))


class EMDHead:
    """Builds D features -> K logits."""

    def __init__(self, dropout, n_bins):
        self.dropout = dropout
        self.n_bins = n_bins

    def __call__(self, n_features):
        return nn.Sequential(
            *_dropout(self.dropout),
            nn.Linear(n_features, 64),
            nn.ReLU(),
            nn.Linear(64, self.n_bins),
        )


class ClassHead:
    """Builds D features -> one logit per target and auxiliary class."""

    def __init__(self, dropout, batch_norm, n_outputs):
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.n_outputs = n_outputs

    def __call__(self, n_features):
        norm = [_FeatureNorm(n_features, affine=False)] if self.batch_norm else []
        linear = nn.Linear(n_features, self.n_outputs)
        return nn.Sequential(*norm, *_dropout(self.dropout), linear)


class _FeatureNorm(nn.BatchNorm1d):
    """Batch normalization that uses its running statistics for a batch of one sample."""

    def forward(self, features):
        if self.training and len(features) == 1:
            return F.batch_norm(features, self.running_mean, self.running_var, eps=self.eps)
        return super().forward(features)


def _dropout(share):
    """Modules of a head that drop this share of its inputs: none where it is 0."""
    return [nn.Dropout(share)] if share else []
