"""Cheap controls that any tail method should beat before it is believed.

Which are measured depends on the kind of data: forests are what is hard to beat on tables of a few
columns, linear heads on embeddings.
"""

import warnings
from functools import partial

import numpy as np
from sklearn.base import is_classifier
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, OneHotEncoder, StandardScaler

from ltlearn.calibration import LogitAdjuster
from ltlearn.evaluation._post_hoc import (
    LOGIT_ADJUSTMENT,
    NEED_VALIDATION,
    RECALIBRATIONS,
    TEMPERATURE,
    TUNED_THRESHOLD,
)
from ltlearn.evaluation._preprocessing import find_table
from ltlearn.evaluation._reference_models import (
    CosineMeans,
    DiscriminantAnalysis,
    NearestMean,
    TunedAdjuster,
    signed_root,
)
from ltlearn.evaluation._runs import Candidate
from ltlearn.utils._suggestions import did_you_mean
from ltlearn.weighting import label_density_weights

_EMBEDDING_COLUMNS = 100  # a table of more numbers than that is taken for embeddings
_TREES = 300
_NEIGHBORS = 10


def choose_controls(controls, baseline, target, X, splits, params):
    """Resolve the ``controls`` argument of :func:`~ltlearn.evaluation.compare`.

    Parameters
    ----------
    controls : bool, list of str or dict of str to estimator
    baseline : estimator
        Decides between regression and classification.
    target : Target
    X : array-like of n_samples rows
    splits : list of Split
    params : callable
        Arguments of the baseline's ``fit`` for a split.

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
    all_post_hoc = _POST_HOC[classification]
    without_inputs = [] if classification else _without_inputs()
    names = [candidate.name for _, candidate in _references(classification, [], None)]
    known = [*all_post_hoc, *(candidate.name for candidate in without_inputs), *names]
    named = None
    extra = []
    if isinstance(controls, dict):
        extra = [Candidate(name, "control", model) for name, model in controls.items()]
    elif controls is not True:
        named = list(controls)
        unknown = [name for name in named if name not in known]
        if unknown:
            hint = did_you_mean(unknown[0], known)
            raise ValueError(f"Unknown controls {unknown}; there are {known}.{hint}")
    post_hoc = _applicable(all_post_hoc, named, baseline, target, splits)
    references = [
        candidate for candidate in without_inputs if named is None or candidate.name in named
    ]
    names = [name for name in names if named is None or name in named]
    if names:
        references += _from_tables(names, named is None, baseline, target, X, splits, params)
    return post_hoc, references + extra


_POST_HOC = {False: RECALIBRATIONS, True: (LOGIT_ADJUSTMENT, TEMPERATURE, TUNED_THRESHOLD)}


def _applicable(post_hoc, named, baseline, target, splits):
    """Those post-hoc controls that can be computed; what was asked for and cannot is warned of."""
    if named is not None:
        post_hoc = tuple(name for name in post_hoc if name in named)
    elif target.classes is not None and len(target.classes) != 2:
        post_hoc = tuple(name for name in post_hoc if name != TUNED_THRESHOLD)
    if TUNED_THRESHOLD in post_hoc and len(target.classes) != 2:
        raise ValueError(
            f"The control {TUNED_THRESHOLD!r} is for two classes; y has {len(target.classes)}."
        )
    if target.classes is not None and post_hoc and not hasattr(baseline, "predict_proba"):
        _warn(f"The baseline has no predict_proba, so {_listed(post_hoc)} left out.")
        post_hoc = ()
    need_validation = [name for name in post_hoc if name in NEED_VALIDATION]
    if need_validation and not all(len(split.validation) for split in splits):
        if named is not None:
            raise ValueError(
                f"The controls {need_validation} need validation rows: give them in cv, set "
                "validation_fraction above 0, or leave these controls out."
            )
        _warn(f"There are no validation rows, so {_listed(need_validation)} left out.")
        post_hoc = tuple(name for name in post_hoc if name not in need_validation)
    return post_hoc


def _from_tables(names, by_kind, baseline, target, X, splits, params):
    """Controls that need a table: those of its kind, or with ``by_kind=False`` all ``names``."""
    preprocessing, table, reason = find_table(X, target.values, baseline, splits[0], params)
    if table is None:
        _warn(
            "X is no table of numbers and categories, nor do the steps before the baseline's last "
            f"make one of it ({reason}), so {_listed(names)} left out."
        )
        return []
    n_columns, categorical = table
    embeddings = n_columns > _EMBEDDING_COLUMNS and not categorical
    return [
        candidate
        for kind, candidate in _references(is_classifier(baseline), categorical, preprocessing)
        if candidate.name in names and not (by_kind and kind not in (None, embeddings))
    ]


def _listed(names):
    only = len(names) == 1
    return f"the control{'' if only else 's'} {', '.join(names)} {'is' if only else 'are'}"


def _warn(message):
    warnings.warn(message, stacklevel=6)


def _without_inputs():
    reference = partial(Candidate, kind="control")
    return [
        reference("mean", estimator=DummyRegressor()),
        reference("median", estimator=DummyRegressor(strategy="median")),
    ]


def _references(classification, categorical, preprocessing):
    """Controls fitted to a table, each with the kind of data that it is for.

    True is for embeddings, False for tables of few or mixed columns, None for both.
    """
    reference = partial(Candidate, kind="control", preprocessing=preprocessing)
    make = _classifiers if classification else _regressors
    return make(reference, partial(_encoded, categorical), partial(_scaled, categorical))


def _regressors(reference, encoded, scaled):
    ridge = scaled(RidgeCV(np.logspace(-3, 4, 8)))
    squared = HistGradientBoostingRegressor()
    absolute = HistGradientBoostingRegressor(loss="absolute_error")
    weighted = partial(reference, sample_weight=label_density_weights)
    return [
        (None, reference("ridge", estimator=ridge)),
        (None, reference("hgb", estimator=squared)),
        (False, reference("hgb_absolute_error", estimator=absolute)),
        (False, weighted("hgb_density_weights", estimator=squared)),
    ]


def _classifiers(reference, encoded, scaled):
    logistic = LogisticRegression(max_iter=1000)
    balanced = LogisticRegression(max_iter=1000, class_weight="balanced")
    strengths = {"logisticregression__C": [0.001, 0.01, 0.1, 1.0, 10.0]}
    tuned = TunedAdjuster(scaled(logistic), strengths)
    root = TunedAdjuster(scaled(logistic, FunctionTransformer(signed_root)), strengths)
    analysis = LogitAdjuster(DiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
    neighbors = make_pipeline(Normalizer(), KNeighborsClassifier(_NEIGHBORS))
    forest, extra_trees = RandomForestClassifier(_TREES), ExtraTreesClassifier(_TREES)
    boosting = HistGradientBoostingClassifier()
    balanced_boosting = HistGradientBoostingClassifier(class_weight="balanced")
    adjusted = partial(reference, post_hoc=(LOGIT_ADJUSTMENT,))
    grouped = partial(reference, takes_groups=True)
    return [
        (None, adjusted("logistic", estimator=scaled(logistic))),
        (None, reference("logistic_balanced", estimator=scaled(balanced))),
        (None, grouped("logistic_tuned", estimator=tuned)),
        (True, grouped("logistic_sqrt_tuned", estimator=root)),
        (None, reference("nearest_mean", estimator=scaled(NearestMean()))),
        (True, reference("cosine_means", estimator=scaled(CosineMeans()))),
        (True, reference("lda", estimator=scaled(analysis))),
        (True, grouped("knn_tuned", estimator=TunedAdjuster(scaled(neighbors)))),
        (False, adjusted("forest", estimator=encoded(forest))),
        (False, adjusted("extra_trees", estimator=encoded(extra_trees))),
        (False, adjusted("hgb", estimator=boosting)),
        (False, reference("hgb_balanced", estimator=balanced_boosting)),
    ]


def _encoded(categorical, *steps):
    """The last step, a model, on numbers; categories are encoded one by one."""
    if categorical:
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        columns = make_column_transformer((encoder, categorical), remainder="passthrough")
        steps = (columns, *steps)
    return make_pipeline(*steps) if len(steps) > 1 else steps[0]


def _scaled(categorical, model, *transformers):
    """The model on standardized numbers without gaps."""
    imputer = SimpleImputer(keep_empty_features=True)
    return _encoded(categorical, imputer, *transformers, StandardScaler(), model)
