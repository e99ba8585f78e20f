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
from ltlearn.metrics._scorers import (
    geometric_mean_recall_scorer,
    make_band_scorer,
    neg_balanced_mae_scorer,
    neg_expected_calibration_error_scorer,
    plcc_scorer,
    register_scorers,
    srcc_scorer,
    worst_class_recall_scorer,
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
    "geometric_mean_recall_scorer",
    "make_band_scorer",
    "neg_balanced_mae_scorer",
    "neg_expected_calibration_error_scorer",
    "percentile_mae",
    "plcc",
    "plcc_scorer",
    "prediction_spread",
    "register_scorers",
    "shot_accuracy",
    "shot_errors",
    "srcc",
    "srcc_scorer",
    "worst_class_recall",
    "worst_class_recall_scorer",
]
