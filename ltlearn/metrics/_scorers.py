"""Scorers for model selection: every metric here as scikit-learn wants it, greater is better.

A scorer sees the labels of a test fold, never how frequent they were in training. Scorers of a
band therefore ask the fitted estimator for its bands (``label_bands_``, or ``classes_`` with
``class_counts_``), also inside pipelines, searches and meta-estimators, unless they were given
bands explicitly.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error

from ltlearn.metrics._bands import SHOT_NAMES, ClassBands, LabelBands
from ltlearn.metrics._classification import (
    expected_calibration_error,
    geometric_mean_recall,
    mean_recall,
    worst_class_recall,
)
from ltlearn.metrics._fitted import scores_for
from ltlearn.metrics._regression import balanced_mae, plcc, srcc
from ltlearn.utils._compat import StrOptions, _BaseScorer, add_scorers, validate_params
from ltlearn.utils._fitted import find_fitted
from ltlearn.utils._suggestions import did_you_mean


class _FittedScorer(_BaseScorer):
    """A scorer that asks the fitted estimator what it needs to know about training."""

    def __init__(self, score_func, sign, kwargs=None, response_method="predict"):
        super().__init__(score_func, sign, kwargs or {}, response_method)

    def _score(self, method_caller, estimator, X, y_true, **kwargs):
        y_pred = method_caller(estimator, self._response_method, X)
        y_true, learned = self._from_training(estimator, y_true)
        kwargs = {**self._kwargs, **learned, **kwargs}
        return self._sign * self._score_func(y_true, y_pred, **kwargs)


class _ScoreScorer(_FittedScorer):
    """Compares predictions with scores; distributions have the estimator's bin centers."""

    def _from_training(self, estimator, y_true):
        return scores_for(estimator, y_true), {}


class _LabelScorer(_FittedScorer):
    """Compares predicted with true classes."""

    def _from_training(self, estimator, y_true):
        return y_true, {}


class _ProbabilityScorer(_FittedScorer):
    """Compares probabilities with true classes, of which a fold may lack some."""

    def _from_training(self, estimator, y_true):
        return y_true, {"labels": estimator.classes_}


class _BandScorer(_FittedScorer):
    """A metric of the samples in one band."""

    def __init__(self, metric, band, bands):
        _, sign = _BAND_METRICS[metric]
        super().__init__(_band_score, sign, {"metric": metric, "band": band, "bands": bands})

    def _from_training(self, estimator, y_true):
        bands = self._kwargs["bands"]
        if self._kwargs["metric"] == "accuracy":
            return y_true, {"bands": bands or self._class_bands(estimator)}
        return scores_for(estimator, y_true), {"bands": bands or self._label_bands(estimator)}

    def _label_bands(self, estimator):
        fitted = find_fitted(estimator, "label_bands_")
        if fitted is None:
            raise ValueError(self._no_bands(estimator, "LabelBands.from_density(y_train)"))
        return fitted.label_bands_

    def _class_bands(self, estimator):
        fitted = find_fitted(estimator, "class_counts_", "classes_")
        if fitted is None:
            raise ValueError(self._no_bands(estimator, "ClassBands.from_labels(y_train)"))
        return ClassBands(fitted.classes_, fitted.class_counts_)

    def _no_bands(self, estimator, example):
        metric, band = self._kwargs["metric"], self._kwargs["band"]
        return (
            f"{type(estimator).__name__} does not tell how frequent its training labels were, "
            f"which the scorer of the {band!r} band needs. Give the bands explicitly: "
            f"make_band_scorer({metric!r}, {band!r}, bands={example})."
        )

    def __repr__(self):
        metric, band, bands = self._kwargs.values()
        given = "" if bands is None else f", bands={bands}"
        return f"make_band_scorer({metric!r}, {band!r}{given})"


def _gmean_error(y_true, y_pred, *, sample_weight=None):
    return stats.gmean(np.abs(y_true - y_pred), weights=sample_weight)


_BAND_METRICS = {
    "mae": (mean_absolute_error, -1),
    "mse": (mean_squared_error, -1),
    "gmean_error": (_gmean_error, -1),
    "accuracy": (mean_recall, 1),
}


def _band_score(y_true, y_pred, *, metric, band, bands, sample_weight=None):
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    in_band = bands.assign(y_true) == bands.names.index(band)
    if not np.any(in_band):
        raise ValueError(
            f"No test sample is in the {band!r} band, so its {metric} does not exist. Use fewer or "
            "larger test folds, or a splitter of ltlearn.model_selection."
        )
    weights = None if sample_weight is None else np.asarray(sample_weight)[in_band]
    score_func, _ = _BAND_METRICS[metric]
    return float(score_func(y_true[in_band], y_pred[in_band], sample_weight=weights))


@validate_params(
    {
        "metric": [StrOptions(set(_BAND_METRICS))],
        "band": [str],
        "bands": [LabelBands, ClassBands, None],
    },
    prefer_skip_nested_validation=True,
)
def make_band_scorer(
    metric: Literal["mae", "mse", "gmean_error", "accuracy"],
    band: str = "few",
    *,
    bands: LabelBands | ClassBands | None = None,
) -> Callable[..., torch.Tensor]:
    """Make a scorer of the samples in one band of the label.

    Parameters
    ----------
    metric : {"mae", "mse", "gmean_error", "accuracy"}
        As in :func:`shot_errors` and :func:`shot_accuracy`. Errors are negated.
    band : str, default="few"
        Name of the band; without ``bands``, ``"many"``, ``"medium"`` or ``"few"``.
    bands : LabelBands or ClassBands, default=None
        Bands of the training labels. None takes those of the fitted estimator.

    Returns
    -------
    scorer : callable
        Called as ``scorer(estimator, X, y, sample_weight=None)``. Raises a ValueError when the
        fitted estimator has no bands and none were given, or when no sample of ``y`` is in the
        band. A search then warns and scores that fold ``error_score``; no substitute is scored,
        for it would be a number of something else that candidates are then chosen by.

    Raises
    ------
    ValueError
        When there is no such band or ``bands`` is of the wrong kind for ``metric``.

    Notes
    -----
    Estimators fitted inside a pipeline with a resampler have seen resampled labels only, so that
    bands have to be given.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.ensemble import RandomForestRegressor
    >>> from sklearn.model_selection import cross_validate
    >>> from ltlearn.metrics import LabelBands, make_band_scorer
    >>> from ltlearn.model_selection import BinnedStratifiedKFold
    >>> X, y = load_diabetes(return_X_y=True)
    >>> bands = LabelBands.from_percentiles(y)
    >>> scoring = {
    ...     "all": "neg_mean_absolute_error",
    ...     "top": make_band_scorer("mae", "80-100", bands=bands),
    ... }
    >>> model = RandomForestRegressor(10, random_state=0)
    >>> scores = cross_validate(model, X, y, scoring=scoring, cv=BinnedStratifiedKFold(3))
    >>> bool(scores["test_top"].mean() < scores["test_all"].mean())
    True
    """
    if bands is not None:
        expected = ClassBands if metric == "accuracy" else LabelBands
        if not isinstance(bands, expected):
            raise ValueError(f"{metric} needs {expected.__name__}, got {type(bands).__name__}.")
    names = SHOT_NAMES if bands is None else bands.names
    if band not in names:
        hint = did_you_mean(band, names)
        raise ValueError(f"There is no band {band!r} among {names}.{hint}")
    return _BandScorer(metric, band, bands)


srcc_scorer = _ScoreScorer(srcc, 1)
plcc_scorer = _ScoreScorer(plcc, 1)
neg_balanced_mae_scorer = _ScoreScorer(balanced_mae, -1)
worst_class_recall_scorer = _LabelScorer(worst_class_recall, 1)
geometric_mean_recall_scorer = _LabelScorer(geometric_mean_recall, 1)
neg_expected_calibration_error_scorer = _ProbabilityScorer(
    expected_calibration_error, -1, response_method="predict_proba"
)

SCORERS = {
    "srcc": srcc_scorer,
    "plcc": plcc_scorer,
    "neg_balanced_mae": neg_balanced_mae_scorer,
    **{f"neg_{band}_mae": make_band_scorer("mae", band) for band in SHOT_NAMES},
    "worst_class_recall": worst_class_recall_scorer,
    "geometric_mean_recall": geometric_mean_recall_scorer,
    "neg_expected_calibration_error": neg_expected_calibration_error_scorer,
    **{f"{band}_accuracy": make_band_scorer("accuracy", band) for band in SHOT_NAMES},
}


def register_scorers() -> None:
    """Make the scorers usable by name wherever scikit-learn takes ``scoring``.

    Registers ``"srcc"``, ``"plcc"``, ``"neg_balanced_mae"``, ``"neg_many_mae"``,
    ``"neg_medium_mae"``, ``"neg_few_mae"``, ``"worst_class_recall"``,
    ``"geometric_mean_recall"``, ``"neg_expected_calibration_error"``, ``"many_accuracy"``,
    ``"medium_accuracy"`` and ``"few_accuracy"``. May be called any number of times.

    See Also
    --------
    ltlearn.metrics.make_band_scorer : For bands of one's own and for estimators that keep none.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from ltlearn.metrics import register_scorers
    >>> register_scorers()
    >>> X, y = load_diabetes(return_X_y=True)
    >>> search = GridSearchCV(Ridge(), {"alpha": [0.1, 100.0]}, scoring="srcc").fit(X, y)
    >>> search.best_params_
    {'alpha': 0.1}
    """
    add_scorers(SCORERS)
