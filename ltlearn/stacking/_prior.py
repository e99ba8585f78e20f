"""Class shares that predictions refer to: the parameter ``prior`` of classifiers."""

import numpy as np
from scipy.special import log_softmax


def log_prior(prior, classes, log_share):
    """Log of the class shares that predictions are to refer to, up to a constant.

    Parameters
    ----------
    prior : {"balanced", "train"} or array-like of shape (K,)
    classes : ndarray of shape (K,)
    log_share : ndarray of shape (K,)
        Of the training rows.

    Raises
    ------
    ValueError
        When ``prior`` is something else.
    """
    if isinstance(prior, str):
        if prior == "balanced":
            return np.zeros(len(classes))
        if prior == "train":
            return log_share
    values = np.asarray(prior)
    if (
        values.shape != classes.shape
        or values.dtype.kind not in "iuf"
        or not (np.isfinite(values) & (values > 0)).all()
    ):
        raise ValueError(
            f'prior must be "balanced", "train" or {len(classes)} positive numbers, one for each '
            f"of classes_; got {prior!r}."
        )
    return log_softmax(np.log(values))
