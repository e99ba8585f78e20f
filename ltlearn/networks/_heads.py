"""Heads: builders of modules from features (B, D) to outputs (B, n_outputs).

With ``n_members`` the body has members, whose features (B, M · D) become outputs (B, M, n_outputs).
"""

from torch import nn
from torch.nn import functional as F

from ltlearn.networks._bounded import Bounded
from ltlearn.networks._cosine import CosineHead
from ltlearn.networks._dropout import Dropout
from ltlearn.networks._members import MemberHead


class MSEHead:
    """Builds D features -> one standardized score, between ``bounds`` where these are given."""

    n_outputs = 1
    bounds = None

    def __init__(self, dropout, n_members=None, bounds=None):
        self.dropout = dropout
        self.n_members = n_members
        self.bounds = bounds

    def __call__(self, n_features):
        if self.n_members is not None:
            return MemberHead(
                self.n_members,
                n_features,
                self.n_outputs,
                dropout=self.dropout,
                bounds=self.bounds,
            )
        bounded = [] if self.bounds is None else [Bounded(*self.bounds)]
        linear = nn.Linear(n_features, self.n_outputs)
        return nn.Sequential(*_dropout(self.dropout), linear, *bounded)


class QuantileHead(MSEHead):
    """Builds D features -> K quantiles, in any order."""

    def __init__(self, dropout, n_levels, n_members=None):
        super().__init__(dropout, n_members)
        self.n_outputs = n_levels


class EMDHead:
    """Builds D features -> K logits."""

    hidden_size = 64

    def __init__(self, dropout, n_bins, n_members=None):
        self.dropout = dropout
        self.n_bins = n_bins
        self.n_members = n_members

    def __call__(self, n_features):
        if self.n_members is not None:
            return MemberHead(
                self.n_members,
                n_features,
                self.n_bins,
                hidden_size=self.hidden_size,
                dropout=self.dropout,
                gives_logits=True,
            )
        return nn.Sequential(
            *_dropout(self.dropout),
            nn.Linear(n_features, self.hidden_size),
            nn.ReLU(),
            nn.Linear(self.hidden_size, self.n_bins),
        )


class ClassHead:
    """Builds D features -> one logit per target and auxiliary class."""

    def __init__(self, dropout, batch_norm, n_outputs, n_members=None):
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.n_outputs = n_outputs
        self.n_members = n_members

    def __call__(self, n_features):
        if self.n_members is not None:
            return MemberHead(
                self.n_members,
                n_features,
                self.n_outputs,
                dropout=self.dropout,
                gives_logits=True,
            )
        norm = [_FeatureNorm(n_features, affine=False)] if self.batch_norm else []
        linear = nn.Linear(n_features, self.n_outputs)
        return nn.Sequential(*norm, *_dropout(self.dropout), linear)


class CosineClassHead:
    """Builds D features -> one scaled cosine per target and auxiliary class.

    ``directions`` (n_outputs, D) is what its weights start from; None are random ones.
    """

    def __init__(self, dropout, batch_norm, n_outputs, directions=None, scale=16.0):
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.n_outputs = n_outputs
        self.directions = directions
        self.scale = scale

    def __call__(self, n_features):
        norm = [_FeatureNorm(n_features, affine=False)] if self.batch_norm else []
        cosine = CosineHead(
            n_features, self.n_outputs, scale=self.scale, directions=self.directions
        )
        return nn.Sequential(*norm, *_dropout(self.dropout), cosine)


class _FeatureNorm(nn.BatchNorm1d):
    """Batch normalization that uses its running statistics for a batch of one sample."""

    def forward(self, features):
        if self.training and len(features) == 1:
            return F.batch_norm(features, self.running_mean, self.running_var, eps=self.eps)
        return super().forward(features)


def _dropout(share):
    """Modules of a head that drop this share of its inputs: none where it is 0."""
    return [Dropout(share)] if share else []


class ProjectedHead(nn.Module):
    """A head beside which features are projected, for comparing two views of the same images.

    Parameters
    ----------
    head : torch.nn.Module
    n_features : int
        D.
    size : int, default=256
        Of projections.
    """

    def __init__(self, head, n_features, size=256):
        super().__init__()
        self.projector = nn.Linear(n_features, size)
        self.predictor = nn.Linear(size, size)
        self.head = head

    def forward(self, features):
        return self.head(features)

    def project(self, features):
        """Projections (B, size) of features (B, D), and what they say of another view's."""
        projected = self.projector(features)
        return projected, self.predictor(projected)


class WithProjection:
    """Builds a head with projections beside it."""

    def __init__(self, build_head):
        self.build_head = build_head

    def __call__(self, n_features):
        return ProjectedHead(self.build_head(n_features), n_features)
