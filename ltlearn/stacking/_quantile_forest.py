"""A random forest whose leaves keep the labels in them: a distribution for every row."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.utils.validation import check_is_fitted, validate_data

from ltlearn.utils._compat import Interval, _check_sample_weight

# Rows whose distributions are worked out at once.
_ROWS_AT_ONCE = 2048


class QuantileForest(RegressorMixin, BaseEstimator):
    """Quantiles from the training labels that share leaves with a row, as in [1]_.

    Parameters
    ----------
    n_estimators : int, default=200
        Trees.
    min_samples_leaf : int, default=5
        Fewest rows in a leaf.
    max_features : float, default=0.5
        Share of the columns that a split looks at.
    random_state : int, RandomState instance or None, default=None

    References
    ----------
    .. [1] Meinshausen, "Quantile Regression Forests", JMLR 2006.
    """

    _parameter_constraints: dict = {
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "min_samples_leaf": [Interval(Integral, 1, None, closed="left")],
        "max_features": [Interval(Real, 0, 1, closed="right")],
        "random_state": ["random_state"],
    }

    def __init__(
        self, n_estimators=200, *, min_samples_leaf=5, max_features=0.5, random_state=None
    ):
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        """Grow the trees."""
        X, y = validate_data(self, X, y, dtype=np.float32, y_numeric=True)
        self.forest_ = RandomForestRegressor(
            self.n_estimators,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            random_state=self.random_state,
        ).fit(X, y, sample_weight)
        order = np.argsort(y, kind="stable")
        self._labels = y[order].astype(np.float64)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)[order]
        leaves = self._leaves(X[order])
        totals = leaves.T @ weight
        # (leaves, n): how much each training label counts in a leaf; leaves sum to 1.
        shares = sparse.diags_array(1 / np.maximum(totals, np.finfo(float).tiny)) @ leaves.T
        self._shares = (shares @ sparse.diags_array(weight)).tocsr()
        return self

    def _leaves(self, X):
        """Which leaves of all trees a row is in, a sparse matrix (n, leaves of all trees)."""
        nodes = self.forest_.apply(X)
        starts = np.cumsum([0, *(tree.tree_.node_count for tree in self.forest_.estimators_)])
        columns = (nodes + starts[:-1]).ravel()
        rows = np.arange(len(X) + 1) * nodes.shape[1]
        ones = np.ones(len(columns))
        return sparse.csr_array((ones, columns, rows), shape=(len(X), starts[-1]))

    def predict_quantiles(self, X, levels):
        """Quantiles (n, L): the least label that as much of the probability does not exceed."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        parts = [
            self._quantiles(self._leaves(X[start : start + _ROWS_AT_ONCE]), np.asarray(levels))
            for start in range(0, len(X), _ROWS_AT_ONCE)
        ]
        return np.concatenate(parts)

    def _quantiles(self, leaves, levels):
        weights = (leaves @ self._shares).tocsr()
        weights.sort_indices()
        n_rows = weights.shape[0]
        # Row i climbs from i to i + 1, so that all rows are searched at once.
        climbed = np.cumsum(weights.data)
        before = np.concatenate([[0.0], climbed])[weights.indptr]
        lengths = np.diff(weights.indptr)
        row = np.repeat(np.arange(n_rows), lengths)
        share = (climbed - before[row]) / (before[1:] - before[:-1])[row]
        wanted = np.arange(n_rows)[:, None] + levels * (1 - 1e-9)
        found = np.searchsorted(row + share, wanted)
        found = np.minimum(found, weights.indptr[1:, None] - 1)
        return self._labels[weights.indices[found]]

    def predict(self, X):
        """Medians (n,)."""
        return self.predict_quantiles(X, [0.5])[:, 0]
