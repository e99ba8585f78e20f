"""The metrics that a comparison reports, overall and per band.

A measure maps an Outcome and the TrainingLabels to a dict of band to value.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    recall_score,
)

from ltlearn import metrics
from ltlearn.metrics import ClassBands, LabelBands
from ltlearn.utils._suggestions import did_you_mean
from ltlearn.utils._text import without_addresses

OVERALL = "overall"

# None: best at 1, neither greater nor smaller is better.
GREATER_IS_BETTER = {
    "srcc": True,
    "plcc": True,
    "mae": False,
    "mse": False,
    "balanced_mae": False,
    "prediction_spread": None,
    "emd": False,
    "accuracy": True,
    "balanced_accuracy": True,
    "ece": False,
    "log_loss": False,
}


@dataclass(frozen=True)
class TrainingLabels:
    """What the metrics need to know of the training labels.

    Attributes
    ----------
    shots : LabelBands or ClassBands
        Many, medium and few.
    percentiles : LabelBands or None
        None for classes.
    score_range : tuple of float or None
        None for classes.
    """

    shots: LabelBands | ClassBands
    percentiles: LabelBands | None = None
    score_range: tuple | None = None

    @classmethod
    def from_labels(cls, y, *, classification):
        if classification:
            return cls(ClassBands.from_labels(y))
        score_range = (float(y.min()), float(y.max()))
        return cls(LabelBands.from_density(y), LabelBands.from_percentiles(y), score_range)


def choose_measures(names, target):
    """Resolve the ``metrics`` argument of :func:`~ltlearn.evaluation.compare`.

    Returns
    -------
    dict of str to callable
    """
    available = dict(_REGRESSION if target.classes is None else _CLASSIFICATION)
    if target.distributions is not None:
        available["emd"] = _emd
    if names is None:
        return available
    if isinstance(names, dict):
        for name, function in names.items():
            if not callable(function):
                raise ValueError(
                    f"The metric {name!r} must be a function (y_true, y_pred), got "
                    f"{without_addresses(repr(function))}."
                )
        return {name: partial(_custom, function) for name, function in names.items()}
    unknown = [name for name in names if name not in available]
    if unknown:
        hint = did_you_mean(unknown[0], available)
        raise ValueError(f"Unknown metrics {unknown}; there are {list(available)}.{hint}")
    return {name: available[name] for name in names}


def _custom(function, outcome, training):
    value = function(outcome.y_true, outcome.y_pred)
    return value if isinstance(value, dict) else {OVERALL: value}


def _overall(function, outcome, training):
    return {OVERALL: function(outcome.y_true, outcome.y_pred)}


def _mae(outcome, training):
    labels = outcome.y_true, outcome.for_absolute_errors
    percentiles = metrics.percentile_mae(*labels, bands=training.percentiles)
    return {
        OVERALL: mean_absolute_error(*labels),
        **_shot_error("mae", *labels, training),
        **_without_vacant(percentiles, training.percentiles),
    }


def _mse(outcome, training):
    labels = outcome.y_true, outcome.for_squared_errors
    return {OVERALL: mean_squared_error(*labels), **_shot_error("mse", *labels, training)}


def _shot_error(name, y_true, y_pred, training):
    shots = metrics.shot_errors(y_true, y_pred, bands=training.shots)
    return _without_vacant({band: errors[name] for band, errors in shots.items()}, training.shots)


def _without_vacant(values, bands):
    """Leave out the bands that hold neither a training label nor a test row."""
    return {
        band: value for band, value in values.items() if bands.counts[band] or not np.isnan(value)
    }


def _balanced_mae(outcome, training):
    score_range = training.score_range if np.ptp(training.score_range) else None
    labels = outcome.y_true, outcome.for_absolute_errors
    value = metrics.balanced_mae(*labels, score_range=score_range)
    return {OVERALL: value}


def _emd(outcome, training):
    if outcome.distributions is None:
        return {}
    return {OVERALL: metrics.emd(outcome.true_distributions, outcome.distributions)}


def _accuracy(outcome, training):
    labels = outcome.y_true, outcome.y_pred
    shots = metrics.shot_accuracy(*labels, bands=training.shots)
    return {OVERALL: accuracy_score(*labels), **_without_vacant(shots, training.shots)}


def _balanced_accuracy(outcome, training):
    # balanced_accuracy_score warns where a class is predicted but has no test row.
    classes = np.unique(outcome.y_true)
    recall = recall_score(
        outcome.y_true, outcome.y_pred, labels=classes, average="macro", zero_division=0
    )
    return {OVERALL: recall}


def _probabilistic(function, outcome, training):
    if outcome.probabilities is None:
        return {}
    return {OVERALL: function(outcome.y_true, outcome.probabilities, labels=outcome.classes)}


_REGRESSION = {
    "srcc": partial(_overall, metrics.srcc),
    "plcc": partial(_overall, metrics.plcc),
    "mae": _mae,
    "mse": _mse,
    "balanced_mae": _balanced_mae,
    "prediction_spread": partial(_overall, metrics.prediction_spread),
}
_CLASSIFICATION = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "ece": partial(_probabilistic, metrics.expected_calibration_error),
    "log_loss": partial(_probabilistic, log_loss),
}
