"""Controls that change the predictions of a fitted estimator, with no refit."""

import warnings
from dataclasses import replace

import numpy as np

from ltlearn.calibration import RecalibrationMap, adjust_proba
from ltlearn.exceptions import SmallSampleWarning

LOGIT_ADJUSTMENT = "logit_adjustment"
RECALIBRATIONS = ("stretch", "linear", "isotonic", "cubic")


def apply_post_hoc(method, outcome, validation, prior):
    """Return the outcome that a post-hoc control makes of a fitted estimator's.

    Parameters
    ----------
    method : {"logit_adjustment", "stretch", "linear", "isotonic", "cubic"}
    outcome : Outcome
        Test predictions.
    validation : Outcome
        Validation predictions of the same estimator, on which recalibrations are fitted; that
        there may be too few is for the caller to say.
    prior : ndarray of shape (n_classes,)
        Share of each class in the training labels, for logit adjustment.

    Returns
    -------
    Outcome
    """
    if method == LOGIT_ADJUSTMENT:
        return _adjust_logits(outcome, prior)
    recalibrated = recalibrate(method, validation.y_pred, validation.y_true, outcome.y_pred)
    return replace(outcome, y_pred=recalibrated, true_distributions=None, distributions=None)


def recalibrate(method, held_out_predictions, held_out_y, predictions):
    """Recalibrate ``predictions`` by a map fitted to held-out ones, however few these are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        return RecalibrationMap(method).fit(held_out_predictions, held_out_y).predict(predictions)


def class_prior(y, classes):
    """Share of each of ``classes`` in the labels ``y``."""
    return np.array([np.mean(y == label) for label in classes])


def _adjust_logits(outcome, prior):
    seen = prior > 0
    probabilities = np.zeros_like(outcome.probabilities)
    probabilities[:, seen] = adjust_proba(outcome.probabilities[:, seen], prior[seen])
    y_pred = outcome.classes[probabilities.argmax(axis=1)]
    return replace(outcome, y_pred=y_pred, probabilities=probabilities)
