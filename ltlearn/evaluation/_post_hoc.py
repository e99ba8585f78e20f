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
        Class shares that the probabilities refer to, for logit adjustment.

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


def _adjust_logits(outcome, prior):
    seen = prior > 0
    probabilities = np.where(seen, outcome.probabilities, 0.0)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    probabilities[:, seen] = adjust_proba(probabilities[:, seen], prior[seen])
    y_pred = outcome.classes[probabilities.argmax(axis=1)]
    return replace(outcome, y_pred=y_pred, probabilities=probabilities)
