"""Post-hoc logit adjustment of any classifier."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax
from sklearn.base import ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import column_or_1d, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ltlearn.calibration._meta import check_training_data, route, take_feature_attributes
from ltlearn.calibration._tau import HeldOut, cross_fit, predict_held_out
from ltlearn.splitting import RareClassStratifiedKFold
from ltlearn.utils._checks import check_numbers, naming
from ltlearn.utils._compat import HasMethods, Interval, StrOptions, _fit_context, validate_params
from ltlearn.utils._estimator import BaseEstimator
from ltlearn.utils._typing import RowsLike
from ltlearn.utils._whole import Whole, unwrap
from ltlearn.weighting._floors import probability_floor, raise_to_floor
from ltlearn.weighting._prior import class_totals, prediction_prior, weight_of_last_step

_ROUNDING = 0.01  # what the sum of probabilities in half precision may be off by


@validate_params(
    {
        "proba": ["array-like"],
        "prior": ["array-like"],
        "tau": [Interval(Real, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def adjust_proba(proba: ArrayLike, prior: ArrayLike, *, tau: float = 1.0) -> np.ndarray:
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
    proba = check_numbers(proba, "proba", ensure_2d=True)
    prior = check_numbers(prior, "prior", limit=None)
    if prior.shape != (proba.shape[1],):
        raise ValueError(
            f"prior needs one value for each of the {proba.shape[1]} columns of proba, "
            f"got shape {prior.shape}."
        )
    if not np.all(prior > 0):
        raise ValueError(f"Every class needs a positive prior, got {prior.tolist()}.")
    if np.any(proba < 0) or not np.allclose(np.sum(proba, axis=1), 1, atol=_ROUNDING):
        raise ValueError("Each row of proba must hold probabilities: none negative, with sum 1.")
    # Relative to the rarest class that is possible in the row: it stays so, however large tau is.
    log_prior = np.where(proba > 0, np.log(prior), np.inf)
    excess = log_prior - np.min(log_prior, axis=1, keepdims=True)
    with np.errstate(divide="ignore", over="ignore"):
        return softmax(np.log(proba) - tau * np.where(proba > 0, excess, 0), axis=1)


class LogitAdjuster(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier whose probabilities are adjusted for the class frequencies in training.

    Dividing the predicted probabilities by the class prior [1]_ lifts rare classes after training,
    at no cost; what it gains is the least that a method for long-tailed classes has to gain.

    The prior is that to which the probabilities refer, see ``class_prior_``. A classifier trained
    to be balanced is therefore left as it is by ``tau=1``.

    Parameters
    ----------
    estimator : classifier
        Any scikit-learn classifier with ``predict_proba``. Wrap one that is fitted already in
        :class:`sklearn.frozen.FrozenEstimator` and pass its training labels to ``fit``.
    tau : float or "auto", default=1.0
        Strength of the adjustment; 1 aims at the lowest balanced error if the probabilities are
        right, 0 changes nothing. "auto" takes the strength from 0 to 5 with the least
        class-balanced cross-entropy of rows that the classifier has not seen: those of ``X_val``
        if ``fit`` gets them, else those held out in ``cv``.
    cv : int, splitter, iterable or None, default=3
        How rows are held out for ``tau="auto"``; a number of folds (None: 3) means
        :class:`~ltlearn.model_selection.RareClassStratifiedKFold`, which leaves every class in
        training. ``estimator`` is then fitted once per fold and once more on all data.
    floor : "auto" or float in [0, 1), default="auto"
        Least probability of a class before the adjustment, or its prior where that is smaller, so
        that no class wins for being rare alone. It matters where probabilities are shares of
        votes, of which rare classes may get none. "auto" takes one over the number of trees, bagged
        estimators or neighbors that vote, and 1e-7 for all other classifiers.
    n_jobs : int, default=None
        Number of folds fitted in parallel, as in :class:`joblib.Parallel`.

    Attributes
    ----------
    estimator_ : classifier
        Fitted on the training data.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    class_counts_ : ndarray of shape (n_classes,)
        Number of training samples of each class.
    class_prior_ : ndarray of shape (n_classes,)
        Class shares that the probabilities of ``estimator_`` refer to: its own
        ``prediction_prior_``, where it has one as :class:`~ltlearn.GranularClassifier` does; else
        the share of each class in the total sample weight, times its ``class_weight`` (all equal
        for ``"balanced"``). Of a pipeline the last step counts. That a resampler or any other
        estimator balances classes cannot be seen: adjust inside the pipeline, after the resampler.
    tau_ : float
        Strength that is applied.
    held_out_loss_ : float
        Class-balanced cross-entropy of the held-out rows at ``tau_``; only for ``tau="auto"``.
    floor_ : float
        Least probability before the adjustment, where the prior is no smaller.
    prediction_prior_ : ndarray of shape (n_classes,)
        Class shares that the adjusted probabilities refer to.
    n_features_in_ : int
        Number of features, if ``estimator_`` has it.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the features, if ``estimator_`` has them.

    See Also
    --------
    Recalibrator : The counterpart for regressors.

    References
    ----------
    .. [1] A. K. Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021, equation 9.

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

    The strength can be fitted to held-out rows, here of a forest that is too sure of itself:

    >>> from sklearn.ensemble import RandomForestClassifier
    >>> forest = RandomForestClassifier(50, random_state=0)
    >>> 0 < LogitAdjuster(forest, tau="auto").fit(X, y).tau_ < 5
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "tau": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "cv": ["cv_object"],
        "floor": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        tau: float | Literal["auto"] = 1.0,
        cv: Any = 3,
        floor: float | Literal["auto"] = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.tau = tau
        self.cv = cv
        self.floor = floor
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
    ) -> "LogitAdjuster":
        """Fit the classifier, count its classes and find the strength.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data, of any kind that ``estimator`` takes.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights for the classifier and the class prior: a classifier trained with
            balancing weights has a flat prior to begin with. For a ``FrozenEstimator``, those
            that it was trained with.
        X_val, y_val : array-like, default=None
            Held-out rows for ``tau="auto"``, in place of ``cv``; a ``FrozenEstimator`` needs them.
            Wrap them in :class:`ltlearn.Whole` when they have as many rows as ``X``. Where ``tau``
            is a number they are passed to ``estimator.fit``.
        **fit_params : dict
            Passed, or with metadata routing routed, to ``estimator.fit`` (and to ``cv``). Weights
            that reach the classifier at the end of a pipeline this way count in the class prior,
            too.

        Returns
        -------
        self : LogitAdjuster

        Raises
        ------
        TypeError
            When ``sample_weight`` is given and ``estimator`` does not take it.
        ValueError
            When ``y`` lacks a class that the classifier predicts, all its samples weigh 0, or the
            classifier was trained with a class weight of 0 for it; when only one of ``X_val`` and
            ``y_val`` is given, or no row is held out for ``tau="auto"``.
        """
        X, y, sample_weight = check_training_data(self, X, y, sample_weight, dtype=None)
        with naming("y"):
            check_classification_targets(y)
            y = column_or_1d(y)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val belong together; pass both or neither.")
        frozen = isinstance(self.estimator, FrozenEstimator)
        if self.tau == "auto" and frozen and X_val is None:
            raise ValueError(
                'tau="auto" needs rows that the classifier has not seen. A FrozenEstimator is not '
                "fitted again to hold some out: pass X_val and y_val."
            )
        if self.tau != "auto" and X_val is not None:
            fit_params = {**fit_params, "X_val": X_val, "y_val": y_val}
        routed = route(self, sample_weight, fit_params)

        self.estimator_ = clone(self.estimator).fit(X, y, **routed.estimator.fit)
        self.classes_ = self.estimator_.classes_
        if not frozen:
            sample_weight = weight_of_last_step(self.estimator, routed.estimator.fit)
        seen, counts = np.unique(y, return_counts=True)
        totals = class_totals(y, seen, sample_weight)
        if not (np.array_equal(seen, self.classes_) and np.all(totals > 0)):
            raise ValueError(
                "y needs samples of positive weight from exactly the classes that the classifier "
                f"predicts, {self.classes_.tolist()}, so that each of them has a prior."
            )
        prior = prediction_prior(self.estimator_, self.classes_, totals, counts)
        if not np.all(prior > 0):
            raise ValueError(
                f"The probabilities of the classes {self.classes_[~(prior > 0)].tolist()} cannot "
                "be divided by their prior, which is 0. If that is from a class_weight of 0, give "
                "these classes a positive one, or leave out their samples."
            )
        self.class_counts_ = counts
        self.class_prior_ = prior
        self.floor_ = probability_floor(self.estimator_) if self.floor == "auto" else self.floor
        self._set_tau(X, y, X_val, y_val, routed)
        take_feature_attributes(self)
        return self

    def _set_tau(self, X, y, X_val, y_val, routed):
        vars(self).pop("held_out_loss_", None)  # of a fit with other parameters
        if self.tau != "auto":
            self.tau_ = float(self.tau)
            return
        if X_val is None:
            held_out = cross_fit(
                self.estimator,
                X,
                y,
                check_cv(self._splitter()),
                routed.estimator.fit,
                self.floor,
                routed.splitter.split,
                self.n_jobs,
            )
        else:
            X_val, y_val = unwrap("X_val", X_val, X), column_or_1d(unwrap("y_val", y_val, y))
            unknown = np.setdiff1d(y_val, self.classes_)
            if len(unknown):
                raise ValueError(f"y_val holds classes that y lacks: {unknown.tolist()}.")
            rows = predict_held_out(
                self.estimator_,
                self.classes_,
                self.class_prior_,
                X_val,
                y_val,
                self.classes_,
                self.floor_,
            )
            held_out = HeldOut.from_predictions([rows], np.ones(len(y_val)))
        self.tau_ = held_out.best_tau()
        self.held_out_loss_ = held_out.loss(self.tau_)

    def _splitter(self):
        if self.cv is None or isinstance(self.cv, Integral):
            return RareClassStratifiedKFold(3 if self.cv is None else self.cv)
        return self.cv

    @property
    def prediction_prior_(self):
        check_is_fitted(self)
        return adjust_proba([self.class_prior_], self.class_prior_, tau=self.tau_)[0]

    def predict_proba(self, X: RowsLike) -> np.ndarray:
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
        return self._adjust(np.asarray(self.estimator_.predict_proba(X)), self.tau_)

    def _adjust(self, proba, tau):
        """Probabilities of the classifier, adjusted with this strength."""
        if tau > 0:
            proba = raise_to_floor(proba, self.class_prior_, self.floor_)
        return adjust_proba(proba, self.class_prior_, tau=tau)

    def predict(self, X: RowsLike) -> np.ndarray:
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

    def get_metadata_routing(self) -> MetadataRouter:
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
