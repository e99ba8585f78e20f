"""The dial between overall error and the tail, chosen within a budget."""

import warnings
from copy import deepcopy
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch, check_array, check_random_state, column_or_1d, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from ltlearn.calibration._dials import class_shares, classes_at, has_dial, scores_at, turned
from ltlearn.calibration._held_out import unwrap_validation
from ltlearn.calibration._meta import check_training_data, route, take_feature_attributes
from ltlearn.calibration._predictive import ask, can
from ltlearn.evaluation._splits import cut_validation
from ltlearn.exceptions import EmptyBandWarning, SmallSampleWarning
from ltlearn.metrics import ClassBands, LabelBands
from ltlearn.metrics._fitted import scores_for
from ltlearn.search._tail_frontier import (
    best_class_setting,
    best_setting,
    class_frontier,
    score_frontier,
    within_accuracy_budget,
    within_error_budget,
)
from ltlearn.splitting import BinnedStratifiedKFold, RareClassStratifiedKFold
from ltlearn.utils._checks import check_same_length, naming
from ltlearn.utils._compat import (
    GroupsConsumerMixin,
    HasMethods,
    Interval,
    StrOptions,
    _check_method_params,
    _fit_context,
    _routing_enabled,
    _safe_split,
    available_if,
)
from ltlearn.utils._fitted import find_fitted
from ltlearn.utils._random import draw_seed
from ltlearn.utils._typing import RowsLike
from ltlearn.utils._whole import Whole, unwrap
from ltlearn.weighting import label_density

_DEFAULT_FOLDS = 5
_STEP = 0.05
_ENOUGH_ROWS = 200


def _estimator_has(method):
    def check(tuned):
        estimator = getattr(tuned, "estimator_", tuned.estimator)
        if not can(estimator, method):
            raise AttributeError(f"{type(estimator).__name__} has no {method}.")
        return True

    return check


class TunedTailCV(MetaEstimatorMixin, BaseEstimator):
    """An estimator with the best tail that a budget of overall error or accuracy can buy.

    Regressors with the parameter ``tail``, and classifiers with ``prior`` or inside a
    :class:`~ltlearn.calibration.LogitAdjuster`, can be turned to rare labels after the fit. How far
    is for the user to say, since what the tail gains is paid for by all other rows. This says it as
    a budget: of all settings of the dial whose overall error on held-out rows is at most
    ``budget`` above that of the setting 0, as a share of it (for classes: whose accuracy is at most
    ``budget`` below), the one that serves the tail best is taken. Nothing is fitted again per
    setting: the estimator is fitted once per fold, and each fold's held-out rows are predicted at
    all settings.

    The setting t multiplies predicted densities by :math:`\\min(p_{\\max} / p(y), 200)^t`, with the
    smoothed density p of the training labels, and predicted class probabilities by
    :math:`\\pi_k^{-t}`, with the training shares π: 0 predicts at these shares, 1 as if all classes
    were equally frequent.

    Parameters
    ----------
    estimator : estimator object
        A regressor with a dial (:class:`~ltlearn.ELTARegressor` with the loss ``"quantile"`` or
        ``"emd"``, or any with quantiles in a :class:`~ltlearn.calibration.TailDial`) or a
        classifier with one (:class:`~ltlearn.GranularClassifier`,
        :class:`~ltlearn.TailStackingClassifier`, :class:`~ltlearn.PLDAClassifier`, or any with
        probabilities in a :class:`~ltlearn.calibration.LogitAdjuster`), also at the end of a
        pipeline.
    budget : float, default=0.02
        How much the overall error on held-out rows may rise, as a share of the error at t = 0; for
        classes how much accuracy may fall, in shares of the rows.
    tails : array-like of shape (n_tails,), default=None
        Settings to try; 0 is always among them. None takes steps of 0.05, up to 1.5 for regressors
        and 1 for classifiers.
    error : {"absolute", "squared"}, default="absolute"
        For regressors: whether errors are mean absolute ones, or the roots of mean squared ones.
        They are those of what ``estimator`` predicts: with ``prediction="median"`` it is made for
        the former, with ``"mean"`` for the latter.
    cv : int, float, splitter, iterable, "prefit" or None, default=None
        How rows are held out. A number of folds (None: 5) means
        :class:`~ltlearn.model_selection.BinnedStratifiedKFold`, for classes
        :class:`~ltlearn.model_selection.RareClassStratifiedKFold`; a float between 0 and 1 one
        split, stratified along the label, that holds out this share; ``"prefit"``: ``estimator`` is
        fitted, and ``fit`` gets rows that it has not seen.
    refit : bool, default=True
        Fit the estimator again on all rows. False, for a single split, keeps the one that was
        fitted to its training part. Of no effect for ``"prefit"`` and with ``X_val``.
    n_jobs : int, default=None
        Folds fitted in parallel, as in :class:`joblib.Parallel`.
    random_state : int, RandomState instance or None, default=None
        Draws the rows that a float ``cv`` holds out.
    store_cv_results : bool, default=False
        Whether to keep the held-out predictions as ``cv_results_``.

    Attributes
    ----------
    estimator_ : estimator object
        Fitted, with its dial at ``tail_``. With ``"prefit"`` it shares everything but the dial with
        ``estimator``, which stays as it is.
    tail_ : float
        Setting chosen; of several that serve the tail alike the smallest for regressors, the
        largest for classifiers, unless a smaller one predicts the same: recalls of few held-out
        rows are often equal at many settings, of which the largest does most for rare classes on
        new rows.
    frontier_ : dict of str to ndarray of shape (n_tails,)
        What every setting costs and gains on the held-out rows; ``pandas.DataFrame(frontier_)``
        makes a table of it. ``"tail"``: the setting; ``"overall"``: error or accuracy of all rows;
        ``"tail_error"`` or ``"tail_accuracy"``: what is chosen by; the bands ``"many"``,
        ``"medium"`` and ``"few"``, for classes also ``"all classes"`` (mean recall);
        ``"within_budget"``.
    tail_measure_ : str
        What ``"tail_error"`` or ``"tail_accuracy"`` is. For regressors: the mean error of the bands
        that have at least 20 held-out rows, if the few band is among them; else the error of the
        tenth of the rows whose labels are rarest. For classifiers: the mean recall of the few
        classes, if at least 20 held-out rows are of them; else that of all classes.
    bands_ : LabelBands or ClassBands
        Many, medium and few by the training labels.
    cv_results_ : dict
        With ``store_cv_results``: ``"tail"``, ``"row"`` (numbers of the held-out rows, in ``X_val``
        if there is one, else in ``X``) and ``"prediction"`` of shape (n_rows, n_tails).
    classes_ : ndarray of shape (n_classes,)
        Class labels, of a classifier.
    n_features_in_ : int
        Number of features, if ``estimator_`` has it.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if ``estimator_`` has them.

    See Also
    --------
    ltlearn.plotting.TailFrontierDisplay : Draws the frontier.
    ltlearn.calibration.TailDial : A dial for any regressor with a distribution.
    ltlearn.calibration.LogitAdjuster : A dial for any classifier with probabilities.

    Notes
    -----
    The budget is kept on the held-out rows, not on new ones: of many settings one was chosen for
    having done well on these, so expect the gain in the tail to be somewhat smaller than
    ``frontier_`` says and the budget to be overdrawn about every second time, by no more than
    chance differences between two sets of rows of that size. By cross-validation the fits on whole
    folds stand for one on all rows. Measure what matters on rows of its own.

    Validation rows are not passed on to ``estimator``, for which they would not be new then.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ltlearn.calibration import LogitAdjuster
    >>> from ltlearn.model_selection import TunedTailCV
    >>> X, y = make_classification(2000, weights=[0.9], class_sep=0.5, random_state=0)
    >>> model = TunedTailCV(LogitAdjuster(LogisticRegression()), budget=0.02).fit(X, y)
    >>> chosen = model.frontier_["tail"] == model.tail_
    >>> loss = model.frontier_["overall"][0] - model.frontier_["overall"][chosen]
    >>> bool(0 < model.tail_ < 1), bool(loss[0] <= 0.02)
    (True, True)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "budget": [Interval(Real, 0, None, closed="left")],
        "tails": ["array-like", None],
        "error": [StrOptions({"absolute", "squared"})],
        "cv": ["cv_object", StrOptions({"prefit"}), Interval(Real, 0, 1, closed="neither")],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "store_cv_results": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        budget: float = 0.02,
        tails: ArrayLike | None = None,
        error: Literal["absolute", "squared"] = "absolute",
        cv: Any = None,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        store_cv_results: bool = False,
    ) -> None:
        self.estimator = estimator
        self.budget = budget
        self.tails = tails
        self.error = error
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.store_cv_results = store_cv_results

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
    ) -> "TunedTailCV":
        """Fit the estimator and choose the setting of its dial.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data, of any kind that ``estimator`` takes; with ``cv="prefit"`` rows that it
            has not seen.
        y : array-like of shape (n_samples,) or (n_samples, n_score_bins)
            Labels, or score distributions for a regressor that takes them, of which the expected
            scores count here.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights for the estimator and for the errors or accuracies of held-out rows.
        X_val, y_val : array-like, default=None
            Held-out rows, in place of ``cv``; the estimator is then fitted once, to all of X. Wrap
            them in :class:`ltlearn.Whole` when they have as many rows as ``X``.
        **fit_params : dict
            Passed to ``estimator.fit``, but for ``groups``, which go to ``cv``; with metadata
            routing, routed to both.

        Returns
        -------
        self : TunedTailCV

        Raises
        ------
        TypeError
            When ``estimator`` has no dial, or ``sample_weight`` is given and ``estimator`` does not
            take it.
        ValueError
            When only one of ``X_val`` and ``y_val`` is given or they do not go with ``cv``, no row
            of positive weight is held out, or ``refit=False`` is asked for with several splits.

        Warns
        -----
        SmallSampleWarning
            With fewer than 200 held-out rows.
        """
        for_classes = is_classifier(self.estimator)
        X, y, sample_weight = check_training_data(
            self, X, y, sample_weight, dtype=None if for_classes else "numeric"
        )
        if for_classes:
            check_classification_targets(y)
            y = column_or_1d(y)
        if not has_dial(self.estimator):
            raise TypeError(_no_dial(self.estimator, for_classes))
        X_val, y_val = self._validation_rows(X, y, X_val, y_val, for_classes)
        tails = self._settings(1.0 if for_classes else 1.5)
        predict = partial(_predictions, tails=tails, for_classes=for_classes)
        held_out = self._hold_out(X, y, sample_weight, X_val, y_val, fit_params, predict)
        if for_classes:
            unknown = np.setdiff1d(held_out.y, self.estimator_.classes_)
            if len(unknown):
                raise ValueError(
                    f"Held-out rows have classes that the estimator lacks: {unknown.tolist()}."
                )
        self._choose(tails, held_out, y, for_classes)
        if len(held_out.y) < _ENOUGH_ROWS:
            warnings.warn(
                f"The dial is chosen by {len(held_out.y)} held-out rows; with fewer than "
                f"{_ENOUGH_ROWS} chance has a large part in it.",
                SmallSampleWarning,
                stacklevel=3,
            )
        take_feature_attributes(self)
        return self

    def _validation_rows(self, X, y, X_val, y_val, for_classes):
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val belong together; pass both or neither.")
        if X_val is not None and self._is_prefit:
            raise ValueError(
                'With cv="prefit" the estimator is not fitted, and X and y are the rows that it is '
                "tuned on: pass the validation rows as these."
            )
        if not for_classes:
            return unwrap_validation(X, y, X_val, y_val)
        X_val, y_val = unwrap("X_val", X_val, X), unwrap("y_val", y_val, y)
        if y_val is not None:
            y_val = column_or_1d(y_val)
            check_same_length(X_val=X_val, y_val=y_val)
        return X_val, y_val

    def _settings(self, most):
        if self.tails is None:
            return np.round(np.arange(round(most / _STEP) + 1) * _STEP, 2)
        tails = np.asarray(self.tails)
        is_number = tails.dtype.kind in "iuf" and tails.ndim == 1
        if not (is_number and np.all((tails >= 0) & np.isfinite(tails))):
            raise ValueError(f"tails must be non-negative numbers, got {self.tails!r}.")
        return np.unique(np.append(0.0, tails))

    # Held-out rows

    @property
    def _is_prefit(self):
        return isinstance(self.cv, str) and self.cv == "prefit"

    def _hold_out(self, X, y, sample_weight, X_val, y_val, fit_params, predict):
        """Fit the estimator; returns ``row``, ``y``, ``weight``, ``prediction`` held out."""
        if self._is_prefit:
            check_is_fitted(self.estimator)
            self.estimator_ = self.estimator
            return _HeldOut(np.arange(len(y)), y, sample_weight, predict(self.estimator_, X))
        routed = self._route(sample_weight, fit_params)
        if X_val is not None:
            self.estimator_ = clone(self.estimator).fit(X, y, **routed.estimator.fit)
            prediction = predict(self.estimator_, X_val)
            return _HeldOut(np.arange(len(y_val)), y_val, None, prediction)
        splits = self._splits(X, y, routed)
        if len(splits) > 1 and not self.refit:
            raise ValueError(
                f"refit=False is for one split, and cv={self.cv!r} makes {len(splits)}."
            )
        fits = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_predict)(
                self.estimator, X, y, routed.estimator.fit, *split, predict, keep=not self.refit
            )
            for split in splits
        )
        if self.refit:
            self.estimator_ = clone(self.estimator).fit(X, y, **routed.estimator.fit)
        else:
            self.estimator_ = fits[0][0]
        rows = np.concatenate([test for _, test in splits])
        weight = None if sample_weight is None else sample_weight[rows]
        prediction = np.concatenate([prediction for _, prediction in fits])
        return _HeldOut(rows, y[rows], weight, prediction)

    def _splits(self, X, y, routed):
        with warnings.catch_warnings(), naming("cv"):
            warnings.simplefilter("ignore", EmptyBandWarning)  # the folds' rows are put together
            splits = list(check_cv(self._splitter()).split(X, y, **routed.splitter.split))
            if not sum(len(test) for _, test in splits):
                raise ValueError(f"cv={self.cv!r} holds out no row.")
        return splits

    def _splitter(self):
        for_classes = is_classifier(self.estimator)
        if isinstance(self.cv, Real) and not isinstance(self.cv, Integral):
            return _OneCut(self.cv, self.random_state, for_classes)
        if self.cv is None or isinstance(self.cv, Integral):
            folds = RareClassStratifiedKFold if for_classes else BinnedStratifiedKFold
            with naming("cv"):
                return folds(_DEFAULT_FOLDS if self.cv is None else self.cv)
        return self.cv

    def _route(self, sample_weight, fit_params):
        groups = None if _routing_enabled() else fit_params.pop("groups", None)
        routed = route(self, sample_weight, fit_params)
        if groups is not None:
            routed.splitter = Bunch(split={"groups": groups})
        return routed

    # The choice

    def _choose(self, tails, held_out, y, for_classes):
        weight = np.ones(len(held_out.y)) if held_out.weight is None else held_out.weight
        if not np.any(weight > 0):
            raise ValueError("All held-out rows have sample_weight 0: nothing can be measured.")
        if for_classes:
            self.bands_ = self._class_bands(y)
            found = class_frontier(held_out.y, held_out.prediction, weight, self.bands_)
            within = within_accuracy_budget(found.overall, self.budget)
            name = "tail_accuracy"
            number = best_class_setting(found.tail, within, held_out.prediction)
        else:
            scores, labels = (scores_for(self.estimator_, each) for each in (y, held_out.y))
            self.bands_ = self._label_bands(scores)
            density = label_density(scores, at=labels)
            found = score_frontier(
                labels, held_out.prediction, weight, self.bands_, density, self.error
            )
            within = within_error_budget(found.overall, self.budget)
            name, number = "tail_error", best_setting(found.tail, within)
        self.tail_ = float(tails[number])
        self.tail_measure_ = found.measure
        self.frontier_ = {"tail": tails, "overall": found.overall, name: found.tail}
        self.frontier_ |= {**found.by_band, "within_budget": within}
        self.estimator_ = turned(self.estimator_, self.tail_)
        vars(self).pop("cv_results_", None)  # of a fit with other parameters
        if self.store_cv_results:
            self.cv_results_ = {
                "tail": tails,
                "row": held_out.row,
                "prediction": held_out.prediction,
            }

    def _class_bands(self, y):
        if self._is_prefit:  # whose training labels are not given here
            known = find_fitted(self.estimator_, "class_counts_", "classes_")
            if known is not None:
                return ClassBands(known.classes_, known.class_counts_)
        return ClassBands.from_labels(y)

    def _label_bands(self, scores):
        if self._is_prefit:
            known = find_fitted(self.estimator_, "label_bands_")
            if known is not None:
                return known.label_bands_
        return LabelBands.from_density(scores)

    # Predictions

    @property
    def classes_(self):
        return self.estimator_.classes_

    @property
    def prediction_prior_(self):
        if not is_classifier(self.estimator):
            raise AttributeError("Regressors have no prediction_prior_.")
        check_is_fitted(self)
        return class_shares(self.estimator_, self.tail_)

    def predict(self, X: RowsLike, **params: Any) -> np.ndarray:
        """Predict with the dial at ``tail_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.
        **params : dict
            For ``estimator.predict``, such as ``tail`` and ``prediction``; with metadata routing,
            routed to it.

        Returns
        -------
        predictions : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        if params and _routing_enabled():
            params = process_routing(self, "predict", **params).estimator.predict
        return self.estimator_.predict(X, **params)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: RowsLike) -> np.ndarray:
        """Class probabilities with the dial at ``tail_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``.
        """
        return self._ask("predict_proba", X)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X: RowsLike) -> np.ndarray:
        """Decision values with the dial at ``tail_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes) or (n_samples,)
        """
        return self._ask("decision_function", X)

    @available_if(_estimator_has("predict_quantiles"))
    def predict_quantiles(self, X: RowsLike, levels: ArrayLike) -> np.ndarray:
        """Quantiles with the dial at ``tail_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.
        levels : array-like of shape (n_levels,)
            Each between 0 and 1.

        Returns
        -------
        quantiles : ndarray of shape (n_samples, n_levels)
        """
        return self._ask("predict_quantiles", X, levels)

    @available_if(_estimator_has("predict_interval"))
    def predict_interval(self, X: RowsLike, confidence_level: float | None = None) -> np.ndarray:
        """Intervals with the dial at ``tail_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.
        confidence_level : float, default=None
            Between 0 and 1; None takes that of ``estimator``.

        Returns
        -------
        intervals : ndarray of shape (n_samples, 2)
        """
        return self._ask("predict_interval", X, confidence_level)

    @available_if(_estimator_has("predict_distribution"))
    def predict_distribution(self, X: RowsLike) -> np.ndarray:
        """Distributions over score bins with the dial at ``tail_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.

        Returns
        -------
        distributions : ndarray of shape (n_samples, n_bins)
        """
        return self._ask("predict_distribution", X)

    def _ask(self, method, X, *args):
        check_is_fitted(self)
        return ask(self.estimator_, method, X, *args)

    def score(self, X: RowsLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Score of the estimator, with the dial at ``tail_``: R² or accuracy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.
        y : array-like of shape (n_samples,) or (n_samples, n_score_bins)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self.estimator_.score(X, y, **weights)

    # Routing and tags

    def get_metadata_routing(self) -> MetadataRouter:
        """Routing of metadata to ``estimator`` and ``cv``.

        Returns
        -------
        routing : MetadataRouter
        """
        to_estimator = MethodMapping().add(caller="fit", callee="fit")
        to_estimator.add(caller="predict", callee="predict")
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(estimator=self.estimator, method_mapping=to_estimator)
        if not self._is_prefit:
            to_split = MethodMapping().add(caller="fit", callee="split")
            router.add(splitter=self._splitter(), method_mapping=to_split)
        return router

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        for name in ("estimator_type", "classifier_tags", "regressor_tags", "input_tags"):
            setattr(tags, name, deepcopy(getattr(inner, name)))
        tags.target_tags = deepcopy(inner.target_tags)
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "tail_")


class _HeldOut:
    """Held-out rows: numbers, labels, weights and predictions at all settings."""

    def __init__(self, row, y, weight, prediction):
        self.row, self.y, self.weight, self.prediction = row, y, weight, prediction


class _OneCut(GroupsConsumerMixin):
    """A splitter with one split, stratified along the label; groups stay together."""

    def __init__(self, share, random_state, for_classes):
        self.share, self.random_state, self.for_classes = share, random_state, for_classes

    def get_n_splits(self, X=None, y=None, groups=None):
        """1."""
        return 1

    def split(self, X, y, groups=None):
        """Row numbers (train, test), once."""
        seed = draw_seed(check_random_state(self.random_state))
        labels = y if self.for_classes or y.ndim == 1 else y @ np.arange(y.shape[1])
        groups = None if groups is None else np.asarray(groups)
        yield cut_validation(labels, self.share, seed, self.for_classes, groups)


def _predictions(estimator, X, tails, for_classes):
    """Held-out predictions (n, n_tails) of a fitted estimator."""
    if for_classes:
        return classes_at(estimator, X, tails)
    predicted = scores_at(estimator, X, [(tail, None) for tail in tails.tolist()])
    return check_array(predicted, input_name=f"predict of {type(estimator).__name__}")


def _fit_and_predict(estimator, X, y, fit_params, train, test, predict, keep):
    estimator = clone(estimator)
    X_train, y_train = _safe_split(estimator, X, y, train)
    X_test, _ = _safe_split(estimator, X, y, test, train)
    fit_params = _check_method_params(X, fit_params, indices=train)
    estimator.fit(X_train, y_train, **fit_params)
    return estimator if keep else None, predict(estimator, X_test)


def _no_dial(estimator, for_classes):
    name = type(estimator).__name__
    if for_classes:
        return f"{name} has no dial: wrap it in ltlearn.calibration.LogitAdjuster."
    return (
        f"{name} has no dial. Wrap it in ltlearn.calibration.TailDial if it predicts quantiles; if "
        "it predicts scores alone, in TailDial(ConformalRegressor(...))."
    )
