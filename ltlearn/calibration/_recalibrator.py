"""Recalibrated regression on any regressor."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.model_selection import check_cv
from sklearn.utils import column_or_1d, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from ltlearn.calibration._map import METHODS, RecalibrationMap
from ltlearn.calibration._meta import check_training_data, route, take_feature_attributes
from ltlearn.exceptions import EmptyBandWarning
from ltlearn.metrics import LabelBands
from ltlearn.metrics._fitted import scores_for
from ltlearn.splitting import BinnedStratifiedKFold
from ltlearn.utils._compat import (
    HasMethods,
    StrOptions,
    _check_method_params,
    _fit_context,
    _safe_split,
)
from ltlearn.utils._whole import unwrap


class Recalibrator(RegressorMixin, MetaEstimatorMixin, BaseEstimator):
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
    feature_names_in_ : ndarray of shape (n_features_in_,)
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

    def __init__(self, estimator, *, method="stretch", cv=5, n_jobs=None):
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, **fit_params):
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
        X_val, y_val = unwrap("X_val", X_val, X), unwrap("y_val", y_val, y)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val belong together; pass both or neither.")
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
        cv = self._splitter()
        with warnings.catch_warnings():
            # The folds serve to fit the map, not to measure the tail.
            warnings.simplefilter("ignore", EmptyBandWarning)
            splits = list(check_cv(cv).split(X, y, **routed.splitter.split))
        predictions = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_predict)(self.estimator, X, y, routed.estimator.fit, train, test)
            for train, test in splits
        )
        return np.concatenate([test for _, test in splits]), np.concatenate(predictions)

    def _splitter(self):
        if self.cv is None or isinstance(self.cv, Integral):
            return BinnedStratifiedKFold(5 if self.cv is None else self.cv)
        return self.cv

    def predict(self, X):
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

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination R² of the recalibrated predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.
        y : array-like of shape (n_samples,) or (n_samples, n_score_bins)
            Labels, or score distributions, which stand for their expected scores.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        return super().score(X, scores_for(self.estimator_, y), sample_weight)

    def get_metadata_routing(self):
        """Routing of metadata to ``estimator`` and ``cv``.

        Returns
        -------
        routing : MetadataRouter
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        to_split = MethodMapping().add(caller="fit", callee="split")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(estimator=self.estimator, method_mapping=to_fit)
            .add(splitter=self._splitter(), method_mapping=to_split)
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags


def _fit_and_predict(estimator, X, y, fit_params, train, test):
    estimator = clone(estimator)
    X_train, y_train = _safe_split(estimator, X, y, train)
    X_test, _ = _safe_split(estimator, X, y, test, train)
    fit_params = _check_method_params(X, fit_params, indices=train)
    return column_or_1d(estimator.fit(X_train, y_train, **fit_params).predict(X_test))
