"""The regressors that a stack takes by itself, by the kind and size of the data."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import RidgeCV
from sklearn.utils.validation import check_is_fitted, validate_data

from ltlearn.estimators import ELTARegressor
from ltlearn.estimators._defaults import MANY_COLUMNS
from ltlearn.stacking._quantile_forest import QuantileForest
from ltlearn.stacking._scaling import Scaler

N_TREES = 200
_PENALTIES = np.logspace(-2, 4, 13)


def built_in_regressors(n_columns, has_categories):
    """Unfitted regressors by name, and the names of those that take tables as they are.

    Parameters
    ----------
    n_columns : int
        Of the training rows, encoded as numbers.
    has_categories : bool
        A table with categories is no embedding, however many columns it has.

    Returns
    -------
    heads : dict of str to regressor
    take_tables : set of str
        The others take numbers without gaps.
    """
    heads = {"network": ELTARegressor(prediction="median")}
    if n_columns <= MANY_COLUMNS or has_categories:
        heads["forest"] = QuantileForest(N_TREES)
    return heads | {"ridge": ScaledRidge()}, {"network"}


class ScaledRidge(RegressorMixin, BaseEstimator):
    """Ridge regression on standardized columns, its penalty by leave-one-out errors."""

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self._scaler = Scaler(X, sample_weight)
        self.ridge_ = RidgeCV(_PENALTIES).fit(self._scaler(X), y, sample_weight)
        return self

    def predict(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self.ridge_.predict(self._scaler(X))
