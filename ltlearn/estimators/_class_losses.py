"""The losses of a classifier: which there are, and the class shares that their logits refer to."""

import math
from numbers import Real

from ltlearn.losses import BalancedCrossEntropy, FocalLoss, LDAMLoss, NeighborSilencingLoss
from ltlearn.objectives._own import OwnLoss

# Those that add multiples of the log class shares to the logits.
BALANCED = ("neighbor_silencing", "balanced_cross_entropy")
LOSSES = (*BALANCED, "cross_entropy", "focal", "ldam")
# Published for LDAM: the scale of the cosines, and the margin of the rarest class in their unit.
LDAM_SCALE, _LDAM_MARGIN = 30.0, 0.5


def training_tau(loss, logit_adjustment):
    """Multiple of the log class shares that a loss adds to the logits.

    Parameters
    ----------
    loss : str or callable
        A loss of the user's own may state it as an attribute ``tau``.
    logit_adjustment : float or "auto"

    Returns
    -------
    tau : float
    """
    if callable(loss):
        tau = getattr(loss, "tau", 0.0)
        if not (isinstance(tau, Real) and math.isfinite(tau)):
            raise ValueError(f"The attribute tau of a loss must be a finite number, got {tau!r}.")
        return float(tau)
    if loss not in BALANCED:
        return 0.0
    return 1.0 if logit_adjustment == "auto" else logit_adjustment


def check_loss(loss, logit_adjustment, label_smoothing):
    """Refuse parameters that a loss has no use for."""
    is_balanced = not callable(loss) and loss in BALANCED
    if not is_balanced and logit_adjustment not in ("auto", 0, 1):
        raise ValueError(
            f"logit_adjustment={logit_adjustment!r} is for the losses {' and '.join(BALANCED)}; "
            'leave it 1.0 for others, or "auto" to adjust their logits after training.'
        )
    has_smoothing = not callable(loss) and loss in (*BALANCED, "cross_entropy")
    if label_smoothing and not has_smoothing:
        raise ValueError(
            f"training.label_smoothing={label_smoothing!r} is for cross-entropies, and the loss is "
            f"{loss!r}; leave it 0."
        )


def make_loss(loss, class_counts, neighbors, *, tau, silencing, direction, label_smoothing):
    """A loss module of logits, labels and weights.

    Parameters
    ----------
    loss : str or callable
    class_counts : ndarray of shape (n_classes,)
        Rows of an epoch, of target and auxiliary classes.
    neighbors : ndarray of shape (n_target, n_auxiliary), bool
    tau, silencing, direction, label_smoothing
        Of :class:`~ltlearn.losses.NeighborSilencingLoss`.

    Returns
    -------
    loss : torch.nn.Module
    """
    if callable(loss):
        return OwnLoss(loss)
    if loss == "focal":
        return FocalLoss()
    if loss == "ldam":  # the head scales the cosines, so that its outputs are logits
        return LDAMLoss(class_counts, max_margin=LDAM_SCALE * _LDAM_MARGIN, scale=1.0)
    if loss == "neighbor_silencing":
        return NeighborSilencingLoss(
            class_counts,
            neighbors,
            silencing=silencing,
            direction=direction,
            tau=tau,
            label_smoothing=label_smoothing,
        )
    return BalancedCrossEntropy(class_counts, tau=tau, label_smoothing=label_smoothing)
