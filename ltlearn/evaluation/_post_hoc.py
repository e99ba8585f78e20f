"""Controls that change the predictions of a fitted estimator, with no refit."""

import warnings
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import TunedThresholdClassifierCV

from ltlearn.calibration import RecalibrationMap, adjust_proba
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.weighting._floors import SMALLEST_PROBABILITY, raise_to_floor

LOGIT_ADJUSTMENT = "logit_adjustment"
TEMPERATURE = "temperature"
TUNED_THRESHOLD = "tuned_threshold"
RECALIBRATIONS = ("stretch", "linear", "isotonic", "cubic")
NEED_VALIDATION = (*RECALIBRATIONS, TEMPERATURE, TUNED_THRESHOLD)


def apply_post_hoc(method, outcome, validation, prior, floor=SMALLEST_PROBABILITY):
    """Return the outcome that a post-hoc control makes of a fitted estimator's.

    Parameters
    ----------
    method : {"logit_adjustment", "temperature", "tuned_threshold"} or one of RECALIBRATIONS
    outcome : Outcome
        Test predictions.
    validation : Outcome
        Validation predictions of the same estimator, to which all but logit adjustment are fitted;
        that there may be too few is for the caller to say.
    prior : ndarray of shape (n_classes,)
        Class shares that the probabilities refer to, for logit adjustment.
    floor : float
        Least probability before logit adjustment, where the prior is no smaller.

    Returns
    -------
    Outcome
    """
    if method == LOGIT_ADJUSTMENT:
        return _adjust_logits(outcome, prior, floor)
    if method == TEMPERATURE:
        return _scale_temperature(outcome, validation)
    if method == TUNED_THRESHOLD:
        return _tune_threshold(outcome, validation)
    mapped = {
        name: recalibrate(method, getattr(validation, name), validation.y_true, predictions)
        for name in ("y_pred", "medians", "means")
        if (predictions := getattr(outcome, name)) is not None
    }
    return replace(outcome, **mapped, true_distributions=None, distributions=None)


def recalibrate(method, held_out_predictions, held_out_y, predictions):
    """Recalibrate ``predictions`` by a map fitted to held-out ones, however few these are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        return RecalibrationMap(method).fit(held_out_predictions, held_out_y).predict(predictions)


def _adjust_logits(outcome, prior, floor):
    seen = prior > 0
    known = outcome.probabilities[:, seen]
    known = raise_to_floor(known / known.sum(axis=1, keepdims=True), prior[seen], floor)
    probabilities = np.zeros_like(outcome.probabilities)
    probabilities[:, seen] = adjust_proba(known, prior[seen])
    y_pred = outcome.classes[probabilities.argmax(axis=1)]
    return replace(outcome, y_pred=y_pred, probabilities=probabilities)


def _scale_temperature(outcome, validation):
    """Divide log probabilities by the temperature of least log loss on the validation rows."""
    rows = np.arange(len(validation.y_true))
    true = np.searchsorted(validation.classes, validation.y_true)
    scores = _logits(validation.probabilities)

    def loss(log_temperature):
        return -np.mean(log_softmax(scores / np.exp(log_temperature), axis=1)[rows, true])

    temperature = np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x)
    probabilities = softmax(_logits(outcome.probabilities) / temperature, axis=1)
    return replace(outcome, probabilities=probabilities)


def _logits(probabilities):
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))


def _tune_threshold(outcome, validation):
    """The threshold of highest balanced accuracy on the validation rows; of two classes."""
    seen = np.unique(validation.y_true)
    if len(seen) < 2:
        raise ValueError("The threshold needs validation rows of both classes.")
    tuned = TunedThresholdClassifierCV(_Given(outcome.classes), cv="prefit", refit=False)
    tuned.fit(validation.probabilities, validation.y_true)
    y_pred = tuned.predict(outcome.probabilities)
    return replace(outcome, y_pred=y_pred, probabilities=None)


class _Given(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose inputs are its probabilities."""

    def __init__(self, classes):
        self.classes = classes
        self.classes_ = classes

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return self.classes[X.argmax(axis=1)]
