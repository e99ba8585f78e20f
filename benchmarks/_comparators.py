"""Other ways to treat a long tail of classes, on the training loop of GranularClassifier.

Each changes one thing of plain cross-entropy and predicts from its plain logits.
"""

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F

from ltlearn import GranularClassifier
from ltlearn.losses import FocalLoss, LDAMLoss

PLAIN = {"logit_adjustment": 0.0, "prior": "train"}
SCALE = 30.0


class FocalClassifier(GranularClassifier):
    """Focal loss with exponent 2."""

    def _loss(self):
        return FocalLoss()


class LDAMClassifier(GranularClassifier):
    """LDAM loss on scaled cosines; class weights in the last fifth of the epochs (DRW)."""

    def _loss(self):
        # The head has scaled the cosines, so that probabilities are those of the training loss.
        return LDAMLoss(
            self._epoch_counts,
            max_margin=SCALE * 0.5,
            scale=1.0,
            drw_epoch=round(0.8 * self.max_epochs),
        )

    def _head(self):
        return _CosineHead(len(self.classes_))

    def _callbacks(self):
        return [_TellEpoch(), *super()._callbacks()]


class ResamplingClassifier(GranularClassifier):
    """Every row is drawn from a class drawn uniformly; an epoch has as many rows as the data."""

    def _training_data(self, train, auxiliary, seed):
        data = super()._training_data(train, auxiliary, seed)
        data.epoch_index = _BalancedEpochs(train.y, seed)
        return data


class MergingClassifier(GranularClassifier):
    """Auxiliary rows count as rows of a target class next to theirs.

    Of every auxiliary class, as many rows as an epoch would draw of it are used, dealt in turn to
    the target classes that ``auxiliary.neighbors`` names for it.
    """

    def fit(self, X, y, *, X_aux, y_aux):
        X_aux, y_aux = X_aux.values, y_aux.values
        rng = np.random.default_rng(self.random_state)
        X_parts, y_parts = [X], [y]
        options = self._option("auxiliary")
        for auxiliary in np.unique(y_aux):
            anchors = [t for t, neighbors in options.neighbors.items() if auxiliary in neighbors]
            rows = np.flatnonzero(y_aux == auxiliary)
            rows = rng.permutation(rows)[: options.max_samples]
            X_parts.append(X_aux[rows])
            y_parts.append(np.resize(anchors, len(rows)))
        merged = self.get_params(deep=False) | {"auxiliary": None}
        self.model_ = GranularClassifier(**merged)
        self.model_.fit(np.concatenate(X_parts), np.concatenate(y_parts))
        self.history_, self.classes_ = self.model_.history_, self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)


class _CosineHead:
    def __init__(self, n_classes):
        self.n_classes = n_classes

    def __call__(self, n_features):
        return _ScaledCosines(n_features, self.n_classes)


class _ScaledCosines(nn.Linear):
    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes, bias=False)

    def forward(self, features):
        return SCALE * F.linear(F.normalize(features), F.normalize(self.weight))


class _TellEpoch(Callback):
    """Tell the loss in which epoch it is."""

    def on_epoch_begin(self, net, **kwargs):
        net.criterion_.loss.set_epoch(len(net.history) - 1)


class _BalancedEpochs:
    def __init__(self, codes, seed):
        self.weight = torch.from_numpy(1 / np.bincount(codes)[codes])
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self):
        n = len(self.weight)
        return torch.multinomial(self.weight, n, replacement=True, generator=self.generator)
