"""Recalibrated regression on any regressor."""

from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from ltlearn.calibration._held_out import HeldOutCalibrator, unwrap_validation
from ltlearn.calibration._map import METHODS, RecalibrationMap
from ltlearn.calibration._meta import check_training_data, route, take_feature_attributes
from ltlearn.metrics import LabelBands
from ltlearn.metrics._fitted import scores_for
from ltlearn.metrics._scores import as_scores
from ltlearn.utils._compat import HasMethods, StrOptions, _fit_context
from ltlearn.utils._typing import RowsLike
from ltlearn.utils._whole import Whole


class Recalibrator(HeldOutCalibrator):
    """A regressor whose predictions are recalibrated on held-out data.

    Regressors trained on long-tailed labels tend to predict too close to the middle. A map from
    predictions to labels (:class:`RecalibrationMap`), fitted to predictions for samples that the
    regressor was not trained on, takes them apart again without changing their order (and
    together, where an overfitted regressor has them too far apart). On a test set as skewed as the
    training set ``"stretch"`` is the control to beat; where the test set is balanced over the
    range of the label, ``"cubic"``, fitted to an ``X_val`` that is balanced as well.

    Parameters
    ----------
    estimator : regressor
        Any scikit-learn regressor. Wrap one that is fitted already in
        :class:`sklearn.frozen.FrozenEstimator` and fit the map to data it has not seen.
    method : {"stretch", "linear", "isotonic", "cubic"}, default="stretch"
        The kind of map, see :class:`RecalibrationMap`.
    cv : int, splitter, iterable or None, default=5
        How held-out predictions are made when ``fit`` gets no ``X_val``; a number of folds
        (None: 5) means :class:`~ltlearn.model_selection.BinnedStratifiedKFold`. ``estimator`` is
        then fitted once per fold and once more on all data.
    n_jobs : int, default=None
        Number of folds fitted in parallel, as in :class:`joblib.Parallel`.

    Attributes
    ----------
    estimator_ : regressor
        Fitted on all training data.
    map_ : RecalibrationMap
        Fitted on held-out predictions.
    label_bands_ : LabelBands
        Many, medium and few by the density of the training labels.
    n_features_in_ : int
        Number of features, if ``estimator_`` has it.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the features, if ``estimator_`` has them.

    See Also
    --------
    LogitAdjuster : The counterpart for classifiers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from ltlearn.calibration import Recalibrator
    >>> from ltlearn.metrics import prediction_spread
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> y = np.exp(X[:, 0])
    >>> timid = Ridge(alpha=300).fit(X, y)
    >>> recalibrated = Recalibrator(Ridge(alpha=300)).fit(X, y)
    >>> prediction_spread(y, timid.predict(X)) < prediction_spread(y, recalibrated.predict(X))
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "method": [StrOptions(METHODS)],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        method: Literal["stretch", "linear", "isotonic", "cubic"] = "stretch",
        cv: Any = 5,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: RowsLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: RowsLike = None,
        y_val: ArrayLike | Whole | None = None,
        **fit_params: Any,
    ) -> "Recalibrator":
        """Fit the regressor and the map.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data, of any kind that ``estimator`` takes.
        y : array-like of shape (n_samples,) or (n_samples, n_score_bins)
            Labels, or score distributions for an estimator that takes them; the map then uses
            their expected scores.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights for the regressor and the map.
        X_val, y_val : array-like, default=None
            Held-out data for the map, instead of cross-fitting. Wrap them in
            :class:`ltlearn.Whole` when they have as many rows as ``X``.
        **fit_params : dict
            Passed to ``estimator.fit``; with metadata routing, routed to it and to ``cv``.

        Returns
        -------
        self : Recalibrator

        Raises
        ------
        TypeError
            When ``sample_weight`` is given and ``estimator`` does not take it.
        ValueError
            When only one of ``X_val`` and ``y_val`` is given.

        Warns
        -----
        SmallSampleWarning
            With fewer than 200 held-out predictions.
        """
        X, y, sample_weight = check_training_data(self, X, y, sample_weight, dtype="numeric")
        as_scores(y, "y")  # errors here and not in the middle of a fit
        X_val, y_val = unwrap_validation(X, y, X_val, y_val)
        routed = route(self, sample_weight, fit_params)

        self.estimator_ = clone(self.estimator).fit(X, y, **routed.estimator.fit)
        scores = scores_for(self.estimator_, y)
        if X_val is None:
            rows, predictions = self._cross_fit(X, y, routed)
            held_out = scores[rows]
            weights = None if sample_weight is None else sample_weight[rows]
        else:
            predictions = self.estimator_.predict(X_val)
            held_out, weights = scores_for(self.estimator_, y_val), None
        self.map_ = RecalibrationMap(self.method).fit(predictions, held_out, weights)
        self.label_bands_ = LabelBands.from_density(scores)
        take_feature_attributes(self)
        return self

    def _cross_fit(self, X, y, routed):
        """Row numbers and held-out predictions of all folds, one after the other."""
        splits = self._splits(X, y, routed)
        predictions = self._over_folds(_predict, splits, X, y, routed.estimator.fit)
        return np.concatenate([test for _, test in splits]), np.concatenate(predictions)

    def predict(self, X: RowsLike) -> np.ndarray:
        """Predict with the regressor and recalibrate.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.

        Returns
        -------
        predictions : ndarray of shape (n_samples,)
            In the unit of the label.
        """
        check_is_fitted(self)
        return self.map_.predict(self.estimator_.predict(X))


def _predict(estimator, X):
    return column_or_1d(estimator.predict(X))
