"""Controls that change the predictions of a fitted estimator, with no refit."""

import warnings
from dataclasses import replace

import numpy as np

from ltlearn.calibration import RecalibrationMap, adjust_proba
from ltlearn.exceptions import SmallSampleWarning

LOGIT_ADJUSTMENT = "logit_adjustment"
RECALIBRATIONS = ("stretch", "linear", "isotonic", "cubic")


def apply_post_hoc(method, outcome, validation, y_train):
    """Return the outcome that a post-hoc control makes of a fitted estimator's.

    Parameters
    ----------
    method : {"logit_adjustment", "stretch", "linear", "isotonic", "cubic"}
    outcome : Outcome
        Test predictions.
    validation : Outcome
        Validation predictions of the same estimator, on which recalibrations are fitted; that
        there may be too few is for the caller to say.
    y_train : ndarray of shape (n_train,)
        Its training labels, which give the class prior for logit adjustment.

    Returns
    -------
    Outcome
    """
    if method == LOGIT_ADJUSTMENT:
        return _adjust_logits(outcome, y_train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        recalibration = RecalibrationMap(method).fit(validation.y_pred, validation.y_true)
    return replace(
        outcome,
        y_pred=recalibration.predict(outcome.y_pred),
        true_distributions=None,
        distributions=None,
    )


def _adjust_logits(outcome, y_train):
    if outcome.probabilities is None:
        raise ValueError(
            "logit_adjustment needs predict_proba; leave it out with a list of controls."
        )
    prior = (y_train[:, None] == outcome.classes).mean(axis=0)
    seen = prior > 0
    probabilities = np.zeros_like(outcome.probabilities)
    probabilities[:, seen] = adjust_proba(outcome.probabilities[:, seen], prior[seen])
    y_pred = outcome.classes[probabilities.argmax(axis=1)]
    return replace(outcome, y_pred=y_pred, probabilities=probabilities)
