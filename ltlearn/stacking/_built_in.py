"""The heads that a stack takes by itself, by the kind and size of the data."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ltlearn.estimators import GranularClassifier
from ltlearn.estimators._defaults import MANY_COLUMNS, classifier_defaults
from ltlearn.options import Architecture
from ltlearn.stacking._logistic import TailLogisticClassifier
from ltlearn.stacking._plda import PLDAClassifier
from ltlearn.utils._random import draw_seed

N_TREES = 300


def built_in_heads(kind, n_rows, n_columns, has_categories):
    """Unfitted heads by name.

    Parameters
    ----------
    kind : {"auto", "fast", "full"}
    n_rows, n_columns : int
        Of the training rows, encoded as numbers.
    has_categories : bool
        A table with categories is no embedding, however many columns it has.

    Returns
    -------
    heads : dict of str to classifier
    """
    logistic = {"logistic": TailLogisticClassifier()}
    if n_columns > MANY_COLUMNS and not has_categories:
        if kind == "fast":
            return logistic
        network = GranularClassifier(
            early_stopping=False, architecture=Architecture(feature_power=0.5)
        )
        return logistic | {"plda": PLDAClassifier(), "network": AveragedClassifier(network)}
    trees = {"extra trees": ExtraTreesClassifier(N_TREES)}
    if kind == "fast":
        return trees
    table = classifier_defaults(n_rows, min(n_columns, MANY_COLUMNS), is_table=True)
    network = GranularClassifier(
        early_stopping=False,
        **{name: table[name] for name in ("hidden_layer_sizes", "dropout", "lr", "batch_size")},
    )
    heads = trees | logistic | {"network": network}
    if kind == "full":
        heads |= {
            "forest": RandomForestClassifier(N_TREES),
            "boosting": HistGradientBoostingClassifier(early_stopping=False),
            "plda": PLDAClassifier(),
        }
    return heads


class AveragedClassifier(ClassifierMixin, BaseEstimator):
    """Mean log probability of copies of a classifier that differ in their seed.

    Parameters
    ----------
    estimator : classifier
        With a parameter ``random_state``.
    n_copies : int, default=2
    random_state : int, RandomState instance or None, default=None
    """

    def __init__(self, estimator, *, n_copies=2, random_state=None):
        self.estimator = estimator
        self.n_copies = n_copies
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, *, X_aux=None, y_aux=None):
        generator = check_random_state(self.random_state)
        self.estimators_ = [
            clone(self.estimator)
            .set_params(random_state=draw_seed(generator))
            .fit(X, y, sample_weight, X_aux=X_aux, y_aux=y_aux)
            for _ in range(self.n_copies)
        ]
        self.classes_ = self.estimators_[0].classes_
        return self

    def predict_proba(self, X):
        check_is_fitted(self)
        logs = [
            np.log(np.maximum(model.predict_proba(X), np.finfo(np.float32).tiny))
            for model in self.estimators_
        ]
        proba = np.exp(np.mean(logs, axis=0, dtype=np.float64))
        return proba / proba.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @property
    def prediction_prior_(self):
        check_is_fitted(self)
        return self.estimators_[0].prediction_prior_
