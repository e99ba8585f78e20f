"""What a tail is, and how a model fares on it."""

from ltlearn.metrics._bands import ClassBands, LabelBands
from ltlearn.metrics._classification import (
    expected_calibration_error,
    geometric_mean_recall,
    shot_accuracy,
    worst_class_recall,
)
from ltlearn.metrics._regression import (
    balanced_mae,
    emd,
    percentile_mae,
    plcc,
    prediction_spread,
    shot_errors,
    srcc,
)
from ltlearn.metrics._scores import expected_score

__all__ = [
    "ClassBands",
    "LabelBands",
    "balanced_mae",
    "emd",
    "expected_calibration_error",
    "expected_score",
    "geometric_mean_recall",
    "percentile_mae",
    "plcc",
    "prediction_spread",
    "shot_accuracy",
    "shot_errors",
    "srcc",
    "worst_class_recall",
]
