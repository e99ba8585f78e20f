"""Metrics of classes, by how many training samples each class had."""

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.metrics import recall_score

from ltlearn.metrics._bands import ClassBands, check_same_kind, warn_about_empty_bands
from ltlearn.utils._checks import (
    MAX_BINS,
    check_class_labels,
    check_numbers,
    check_same_length,
    check_weights,
)
from ltlearn.utils._compat import Interval, validate_params

_WEIGHTED = {
    "y_true": ["array-like"],
    "y_pred": ["array-like"],
    "sample_weight": ["array-like", None],
}


def _recall_per_class(y_true, y_pred, sample_weight):
    """Classes that occur in ``y_true`` with positive weight and the recall of each."""
    y_true = check_class_labels(y_true, "y_true", whole=True)
    y_pred = check_class_labels(y_pred, "y_pred", whole=True)
    check_same_length(y_true=y_true, y_pred=y_pred)
    check_same_kind(y_pred, y_true, "y_pred", "y_true")
    weights = check_weights(sample_weight, y_true)
    classes = np.unique(y_true[weights > 0])
    return classes, recall_score(
        y_true, y_pred, labels=classes, average=None, sample_weight=weights
    )


def mean_recall(y_true, y_pred, *, sample_weight=None):
    """Mean recall of the classes that occur in ``y_true``."""
    _, recall = _recall_per_class(y_true, y_pred, sample_weight)
    return float(np.mean(recall))


@validate_params({**_WEIGHTED, "bands": [ClassBands]}, prefer_skip_nested_validation=True)
def shot_accuracy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    bands: ClassBands,
    sample_weight: ArrayLike | None = None,
) -> dict[str, float]:
    """Accuracy over classes with many, medium and few training samples.

    The mean, over the classes of a band that occur in ``y_true``, of the recall of each class:
    on a class-balanced test set the plain accuracy within the band, and on any other not
    swayed by the band's most frequent class [1]_.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True and predicted class labels.
    bands : ClassBands
        Bands of the training classes.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights within each class.

    Returns
    -------
    accuracy : dict of str to float
        By band name, in [0, 1]; NaN for a band without samples.

    Warns
    -----
    EmptyBandWarning
        When no class of a band occurs in ``y_true``.

    References
    ----------
    .. [1] Z. Liu, Z. Miao, X. Zhan, J. Wang, B. Gong and S. X. Yu, "Large-Scale Long-Tailed
       Recognition in an Open World", CVPR 2019.

    Examples
    --------
    >>> from ltlearn.metrics import ClassBands, shot_accuracy
    >>> bands = ClassBands(["cat", "dog", "lynx"], [500, 50, 5])
    >>> y_true = ["cat", "cat", "dog", "lynx", "lynx"]
    >>> shot_accuracy(y_true, ["cat", "cat", "cat", "lynx", "cat"], bands=bands)
    {'many': 1.0, 'medium': 0.0, 'few': 0.5}
    """
    classes, recall = _recall_per_class(y_true, y_pred, sample_weight)
    check_same_kind(classes, bands.classes, "y_true", "the classes of bands")
    codes = bands.assign(classes)
    empty = [name for code, name in enumerate(bands.names) if not np.any(codes == code)]
    warn_about_empty_bands(empty, stacklevel=4)
    return {
        name: np.nan if name in empty else float(np.mean(recall[codes == code]))
        for code, name in enumerate(bands.names)
    }


@validate_params(_WEIGHTED, prefer_skip_nested_validation=True)
def worst_class_recall(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Recall of the class that is recognized worst.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True and predicted class labels.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights.

    Returns
    -------
    recall : float
        In [0, 1]; the smallest over the classes that occur in ``y_true``.

    Examples
    --------
    >>> from ltlearn.metrics import worst_class_recall
    >>> worst_class_recall([0, 0, 1, 1], [0, 0, 1, 0])
    0.5
    """
    _, recall = _recall_per_class(y_true, y_pred, sample_weight)
    return float(np.min(recall))


@validate_params(_WEIGHTED, prefer_skip_nested_validation=True)
def geometric_mean_recall(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Geometric mean of the recalls of all classes.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True and predicted class labels.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights.

    Returns
    -------
    recall : float
        In [0, 1], over the classes that occur in ``y_true``; 0 as soon as one is never
        recognized.

    Examples
    --------
    >>> from ltlearn.metrics import geometric_mean_recall
    >>> geometric_mean_recall([0, 0, 0, 0, 1], [0, 1, 1, 1, 1])
    0.5
    """
    _, recall = _recall_per_class(y_true, y_pred, sample_weight)
    return float(stats.gmean(recall))


@validate_params(
    {
        "y_true": ["array-like"],
        "y_proba": ["array-like"],
        "n_bins": [Interval(Integral, 1, MAX_BINS, closed="both")],
        "labels": ["array-like", None],
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def expected_calibration_error(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    *,
    n_bins: int = 15,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Gap between confidence and accuracy, averaged over equal-width bins of confidence.

    ``sum_b (n_b / n) |accuracy_b - confidence_b|``, where the confidence of a sample is its
    largest probability and bin b covers ((b - 1) / n_bins, b / n_bins] [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True class labels.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probability of each class, or of the second of two classes.
    n_bins : int, default=15
        Number of bins, up to a million.
    labels : array-like of shape (n_classes,), default=None
        Class of each column of ``y_proba``, such as ``classes_``. None takes the sorted classes
        in ``y_true``, which must then be as many as there are columns.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights.

    Returns
    -------
    error : float
        In [0, 1].

    Raises
    ------
    ValueError
        When the number of labels and of columns differ, a label occurs twice, a probability is
        outside [0, 1], or labels are strings in one place and numbers in the other.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
       Networks", ICML 2017, equation 3.

    Examples
    --------
    >>> from ltlearn.metrics import expected_calibration_error
    >>> y_proba = [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]]
    >>> expected_calibration_error([0, 0, 1, 1], y_proba)
    0.25
    """
    confidence, correct, bins = binned_confidence(y_true, y_proba, n_bins, labels)
    weights = check_weights(sample_weight, confidence)
    # (n_b / n) |accuracy_b - confidence_b| = |sum over bin b of (correct - confidence)| / n
    gaps = np.bincount(bins, weights=weights * (correct - confidence))
    return float(np.sum(np.abs(gaps)) / np.sum(weights))


def binned_confidence(y_true, y_proba, n_bins, labels):
    """Largest probability of each sample, whether its class is the true one, and its bin."""
    y_true = check_class_labels(y_true, "y_true")
    proba = check_numbers(y_proba, "y_proba")
    check_same_length(y_true=y_true, y_proba=proba)
    if proba.ndim == 1:
        proba = np.column_stack([1 - proba, proba])
    if np.min(proba) < 0 or np.max(proba) > 1 + 1e-6:
        raise ValueError("y_proba must hold probabilities between 0 and 1.")
    labels = np.unique(y_true) if labels is None else check_class_labels(labels, "labels")
    if len(labels) != proba.shape[1] or len(np.unique(labels)) != len(labels):
        raise ValueError(
            f"y_proba has {proba.shape[1]} columns for {len(np.unique(labels))} classes; pass "
            "labels= with the class of each column."
        )
    check_same_kind(y_true, labels, "y_true", "labels")
    confidence = np.max(proba, axis=1)
    correct = labels[np.argmax(proba, axis=1)] == y_true
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    return confidence, correct, bins
