"""Post-hoc controls: what is gained for the tail without touching the model.

:class:`Recalibrator` maps the predictions of a regressor, :class:`LogitAdjuster` reweighs the
class probabilities of a classifier. Both cost next to nothing, so they are what any method for
long-tailed data should be compared with.
"""

import warnings
from numbers import Integral, Real

import numpy as np
from scipy.linalg import lstsq
from scipy.special import softmax
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    RegressorMixin,
    clone,
)
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import check_cv
from sklearn.utils import (
    Bunch,
    check_array,
    check_consistent_length,
    column_or_1d,
    get_tags,
    indexable,
)
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from ltlearn._whole import unwrap
from ltlearn.exceptions import EmptyBandWarning, SmallSampleWarning
from ltlearn.metrics import LabelBands
from ltlearn.metrics._fitted import scores_for
from ltlearn.model_selection import BinnedStratifiedKFold
from ltlearn.utils._compat import (
    HasMethods,
    Interval,
    StrOptions,
    _check_method_params,
    _check_sample_weight,
    _fit_context,
    _routing_enabled,
    _safe_split,
    validate_params,
)

__all__ = ["LogitAdjuster", "RecalibrationMap", "Recalibrator", "adjust_proba"]

_METHODS = {"stretch", "linear", "isotonic", "cubic"}
_ENOUGH_ROWS = 200


class RecalibrationMap(BaseEstimator):
    """A non-decreasing map from predictions to recalibrated predictions.

    Fitted by least squares on held-out predictions p and their labels y:

    - ``"stretch"``: ``m + a (p - m)`` with a ≥ 0, where m is the mean of p and stays in place;
    - ``"linear"``: ``b + a p`` with the same a, which also moves the mean to that of y;
    - ``"isotonic"``: any non-decreasing step function, interpolated linearly;
    - ``"cubic"``: a polynomial of degree 3, made flat where it would fall.

    None of them changes the order of predictions other than by ties.

    Parameters
    ----------
    method : {"stretch", "linear", "isotonic", "cubic"}, default="stretch"
        The kind of map.

    Attributes
    ----------
    slope_ : float
        a. Only for ``"stretch"`` and ``"linear"``.
    intercept_ : float
        b, or ``(1 - a) m`` for ``"stretch"``. Only for ``"stretch"`` and ``"linear"``.
    isotonic_ : sklearn.isotonic.IsotonicRegression
        The steps. Only for ``"isotonic"`` and ``"cubic"``; constant outside the range of the
        predictions that were fitted.

    See Also
    --------
    Recalibrator : Fits a map to the held-out predictions of a regressor.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.calibration import RecalibrationMap
    >>> y = np.linspace(0, 10, 300)
    >>> timid = 5 + 0.5 * (y - 5)
    >>> stretch = RecalibrationMap("stretch").fit(timid, y)
    >>> round(stretch.slope_, 2), stretch.predict([3.0, 5.0, 7.0]).round(2)
    (2.0, array([1., 5., 9.]))
    """

    _parameter_constraints: dict = {"method": [StrOptions(_METHODS)]}

    def __init__(self, method="stretch"):
        self.method = method

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, predictions, y, sample_weight=None):
        """Fit the map.

        Parameters
        ----------
        predictions : array-like of shape (n_samples,)
            Predictions for samples that the model was not trained on.
        y : array-like of shape (n_samples,)
            Labels of these samples.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        self : RecalibrationMap

        Warns
        -----
        SmallSampleWarning
            With fewer than 200 samples of positive weight.
        """
        predictions, y = _as_column(predictions, "predictions"), _as_column(y, "y")
        check_consistent_length(predictions, y)
        weights = _check_sample_weight(sample_weight, predictions, ensure_non_negative=True)
        n_rows = np.count_nonzero(weights)
        if n_rows == 0:
            raise ValueError("All sample weights are zero; nothing is left to fit the map to.")
        if n_rows < _ENOUGH_ROWS:
            warnings.warn(
                f"The {self.method} map is fitted to {n_rows} held-out predictions; about "
                f"{_ENOUGH_ROWS} are needed before recalibration can be trusted.",
                SmallSampleWarning,
                stacklevel=3,
            )
        if self.method in ("stretch", "linear"):
            self._fit_line(predictions, y, weights)
        else:
            targets = _cubic(predictions, y, weights) if self.method == "cubic" else y
            self.isotonic_ = IsotonicRegression(out_of_bounds="clip")
            self.isotonic_.fit(predictions, targets, sample_weight=weights)
        return self

    def _fit_line(self, predictions, y, weights):
        center, mean = np.average(predictions, weights=weights), np.average(y, weights=weights)
        deviations = predictions - center
        variance = np.average(deviations**2, weights=weights)
        covariance = np.average(deviations * (y - mean), weights=weights)
        self.slope_ = float(max(covariance / variance, 0.0)) if variance > 0 else 1.0
        fixed_point = center if self.method == "stretch" else mean
        self.intercept_ = float(fixed_point - self.slope_ * center)

    def predict(self, predictions):
        """Recalibrate predictions.

        Parameters
        ----------
        predictions : array-like of shape (n_samples,)
            Predictions of the same model.

        Returns
        -------
        recalibrated : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        predictions = _as_column(predictions, "predictions")
        if self.method in ("stretch", "linear"):
            return self.intercept_ + self.slope_ * predictions
        return self.isotonic_.predict(predictions)


def _as_column(values, name):
    values = check_array(values, ensure_2d=False, dtype=np.float64, input_name=name)
    return column_or_1d(values)


def _cubic(predictions, y, weights):
    """Values at ``predictions`` of the least-squares polynomial of degree 3."""
    center = np.average(predictions, weights=weights)
    scale = np.max(np.abs(predictions - center))
    design = np.vander((predictions - center) / (scale or 1.0), 4)
    root_weights = np.sqrt(weights)
    coefficients, *_ = lstsq(design * root_weights[:, None], y * root_weights)
    return design @ coefficients


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
        "method": [StrOptions(_METHODS)],
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
        X, y, sample_weight = _check_training_data(self, X, y, sample_weight, dtype="numeric")
        X_val, y_val = unwrap("X_val", X_val, X), unwrap("y_val", y_val, y)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val belong together; pass both or neither.")
        routed = _route(self, sample_weight, fit_params)

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
        _take_feature_attributes(self)
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


def _check_training_data(meta_estimator, X, y, sample_weight, dtype):
    """Check what the meta-estimator itself works on; ``X`` is left to the wrapped estimator."""
    if y is None:
        raise ValueError(
            f"{type(meta_estimator).__name__} requires y to be passed, but the target y is None."
        )
    y = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    X, y = indexable(X, y)
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
    return X, y, sample_weight


def _fit_and_predict(estimator, X, y, fit_params, train, test):
    estimator = clone(estimator)
    X_train, y_train = _safe_split(estimator, X, y, train)
    X_test, _ = _safe_split(estimator, X, y, test, train)
    fit_params = _check_method_params(X, fit_params, indices=train)
    return column_or_1d(estimator.fit(X_train, y_train, **fit_params).predict(X_test))


def _route(meta_estimator, sample_weight, fit_params):
    """Fit parameters of the wrapped estimator and, for a router with a splitter, of that."""
    if _routing_enabled():
        return process_routing(meta_estimator, "fit", sample_weight=sample_weight, **fit_params)
    if sample_weight is not None:
        if not has_fit_parameter(meta_estimator.estimator, "sample_weight"):
            raise TypeError(
                f"{type(meta_estimator.estimator).__name__} does not take sample_weight in fit. "
                "Inside a pipeline it can be routed: "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        fit_params = {**fit_params, "sample_weight": sample_weight}
    return Bunch(estimator=Bunch(fit=fit_params), splitter=Bunch(split={}))


def _take_feature_attributes(meta_estimator):
    for attribute in ("n_features_in_", "feature_names_in_"):
        if hasattr(meta_estimator.estimator_, attribute):
            setattr(meta_estimator, attribute, getattr(meta_estimator.estimator_, attribute))


@validate_params(
    {
        "proba": ["array-like"],
        "prior": ["array-like"],
        "tau": [Interval(Real, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def adjust_proba(proba, prior, *, tau=1.0):
    """Post-hoc logit adjustment of class probabilities.

    ``log p'_k = log p_k - tau * log prior_k`` up to a constant, so that each row sums to 1 again
    [1]_. With ``tau=1`` the probabilities are those for classes that are equally frequent.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Predicted probabilities.
    prior : array-like of shape (n_classes,)
        Share, or number, of the training samples of each class; positive.
    tau : float, default=1.0
        Strength; 0 changes nothing.

    Returns
    -------
    adjusted : ndarray of shape (n_samples, n_classes)
        Rows sum to 1. A probability of 0 stays 0.

    Raises
    ------
    ValueError
        When a prior is not positive, a row of ``proba`` is not a distribution, or the numbers of
        classes differ.

    References
    ----------
    .. [1] A. K. Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021, equation 9.

    Examples
    --------
    >>> from ltlearn.calibration import adjust_proba
    >>> adjust_proba([[0.8, 0.2]], prior=[0.9, 0.1]).round(2)
    array([[0.31, 0.69]])
    """
    proba = check_array(proba, dtype=np.float64, input_name="proba")
    prior = check_array(prior, ensure_2d=False, dtype=np.float64, input_name="prior")
    if prior.shape != (proba.shape[1],):
        raise ValueError(
            f"prior needs one value for each of the {proba.shape[1]} columns of proba, "
            f"got shape {prior.shape}."
        )
    if not np.all(prior > 0):
        raise ValueError(f"Every class needs a positive prior, got {prior.tolist()}.")
    if np.any(proba < 0) or not np.all(np.sum(proba, axis=1) > 0):
        raise ValueError("Each row of proba must hold probabilities, not all of them 0.")
    with np.errstate(divide="ignore"):
        log_proba = np.log(proba)
    return softmax(log_proba - tau * np.log(prior), axis=1)


class LogitAdjuster(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier whose probabilities are adjusted for the class frequencies in training.

    Dividing the predicted probabilities by the class prior [1]_ lifts rare classes after training,
    at no cost; what it gains is the least that a method for long-tailed classes has to gain.

    Parameters
    ----------
    estimator : classifier
        Any scikit-learn classifier with ``predict_proba``. Wrap one that is fitted already in
        :class:`sklearn.frozen.FrozenEstimator` and pass its training labels to ``fit``.
    tau : float, default=1.0
        Strength of the adjustment; 1 aims at the lowest balanced error, 0 changes nothing.

    Attributes
    ----------
    estimator_ : classifier
        Fitted on the training data.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    class_counts_ : ndarray of shape (n_classes,)
        Number of training samples of each class.
    class_prior_ : ndarray of shape (n_classes,)
        Share of each class in the total sample weight.
    n_features_in_ : int
        Number of features, if ``estimator_`` has it.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if ``estimator_`` has them.

    See Also
    --------
    Recalibrator : The counterpart for regressors.

    References
    ----------
    .. [1] A. K. Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021, section 4.1.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ltlearn.calibration import LogitAdjuster
    >>> from ltlearn.metrics import worst_class_recall
    >>> X, y = make_classification(1000, weights=[0.95], class_sep=0.5, random_state=0)
    >>> plain = LogisticRegression().fit(X, y)
    >>> adjusted = LogitAdjuster(LogisticRegression()).fit(X, y)
    >>> worst_class_recall(y, plain.predict(X)) < worst_class_recall(y, adjusted.predict(X))
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "tau": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, estimator, *, tau=1.0):
        self.estimator = estimator
        self.tau = tau

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, **fit_params):
        """Fit the classifier and count its classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data, of any kind that ``estimator`` takes.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights for the classifier and the class prior: a classifier trained with
            balancing weights has a flat prior to begin with.
        **fit_params : dict
            Passed, or with metadata routing routed, to ``estimator.fit``.

        Returns
        -------
        self : LogitAdjuster

        Raises
        ------
        TypeError
            When ``sample_weight`` is given and ``estimator`` does not take it.
        ValueError
            When ``y`` lacks a class that the classifier predicts, or all its samples weigh 0.
        """
        X, y, sample_weight = _check_training_data(self, X, y, sample_weight, dtype=None)
        check_classification_targets(y)
        y = column_or_1d(y)
        routed = _route(self, sample_weight, fit_params)

        self.estimator_ = clone(self.estimator).fit(X, y, **routed.estimator.fit)
        self.classes_ = self.estimator_.classes_
        seen, codes = np.unique(y, return_inverse=True)
        counts = np.bincount(codes)
        totals = counts if sample_weight is None else np.bincount(codes, weights=sample_weight)
        if not (np.array_equal(seen, self.classes_) and np.all(totals > 0)):
            raise ValueError(
                "y needs samples of positive weight from exactly the classes that the classifier "
                f"predicts, {self.classes_.tolist()}, so that each of them has a prior."
            )
        self.class_counts_ = counts
        self.class_prior_ = totals / np.sum(totals)
        _take_feature_attributes(self)
        return self

    def predict_proba(self, X):
        """Adjusted class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; rows sum to 1.
        """
        check_is_fitted(self)
        return adjust_proba(self.estimator_.predict_proba(X), self.class_prior_, tau=self.tau)

    def predict(self, X):
        """Most probable class after the adjustment.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def get_metadata_routing(self):
        """Routing of metadata to ``estimator``.

        Returns
        -------
        routing : MetadataRouter
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(estimator=self.estimator, method_mapping=to_fit)
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags
