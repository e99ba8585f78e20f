"""Cheap controls that any tail method should beat before it is believed."""

import warnings
from functools import partial

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn.evaluation._post_hoc import LOGIT_ADJUSTMENT, RECALIBRATIONS
from ltlearn.evaluation._runs import Candidate
from ltlearn.weighting import label_density_weights


def choose_controls(controls, X, baseline):
    """Resolve the ``controls`` argument of :func:`~ltlearn.evaluation.compare`.

    Parameters
    ----------
    controls : bool, list of str or dict of str to estimator
    X : array-like of n_samples rows
    baseline : estimator
        Decides between regression and classification.

    Returns
    -------
    post_hoc : tuple of str
        Controls computed from the baseline's predictions.
    references : list of Candidate
        Controls fitted on their own.
    """
    if controls is False:
        return (), []
    classification = is_classifier(baseline)
    post_hoc = (LOGIT_ADJUSTMENT,) if classification else RECALIBRATIONS
    references = _classifiers() if classification else _regressors()
    extra = []
    if isinstance(controls, dict):
        extra = [Candidate(name, "control", model) for name, model in controls.items()]
    elif controls is not True:
        known = [*post_hoc, *(reference.name for reference in references)]
        unknown = [name for name in controls if name not in known]
        if unknown:
            raise ValueError(f"Unknown controls {unknown}; there are {known}.")
        post_hoc = tuple(name for name in post_hoc if name in controls)
        references = [reference for reference in references if reference.name in controls]
    if references and not _is_numeric_table(X):
        left_out = ", ".join(reference.name for reference in references)
        warnings.warn(
            "X is no dense 2-D table of numbers, so these controls are left out: " + left_out,
            stacklevel=4,
        )
        references = []
    if LOGIT_ADJUSTMENT in post_hoc and not hasattr(baseline, "predict_proba"):
        warnings.warn(
            f"The baseline has no predict_proba, so the control {LOGIT_ADJUSTMENT} is left out.",
            stacklevel=4,
        )
        post_hoc = ()
    return post_hoc, references + extra


def _regressors():
    reference = partial(Candidate, kind="control")
    boosting = HistGradientBoostingRegressor()
    return [
        reference("mean", estimator=DummyRegressor()),
        reference("median", estimator=DummyRegressor(strategy="median")),
        reference("ridge", estimator=_standardized(RidgeCV(np.logspace(-3, 4, 8)))),
        reference("hgb", estimator=boosting),
        reference("hgb_density_weights", estimator=boosting, sample_weight=label_density_weights),
    ]


def _classifiers():
    reference = partial(Candidate, kind="control")
    logistic = LogisticRegression(max_iter=1000)
    balanced = LogisticRegression(max_iter=1000, class_weight="balanced")
    boosting = HistGradientBoostingClassifier(class_weight="balanced")
    return [
        reference("logistic", estimator=_standardized(logistic), post_hoc=(LOGIT_ADJUSTMENT,)),
        reference("logistic_balanced", estimator=_standardized(balanced)),
        reference("nearest_mean", estimator=_standardized(_NearestMean())),
        reference("hgb_balanced", estimator=boosting),
    ]


class _NearestMean(NearestCentroid):
    """NearestCentroid without its warning of features that are constant within classes."""

    def fit(self, X, y):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "self.within_class_std_dev_ has at least 1 zero")
            return super().fit(X, y)


def _standardized(model):
    return make_pipeline(SimpleImputer(), StandardScaler(), model)


def _is_numeric_table(X):
    if issparse(X) or len(getattr(X, "shape", ())) != 2:
        return False
    dtypes = X.dtypes if hasattr(X, "columns") else [X.dtype]
    return all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes)
