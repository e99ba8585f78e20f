"""The callbacks of a net: those that options ask for, and a user's own."""

import copy

from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping, InputShapeSetter
from skorch.callbacks.scoring import ScoringBase

from ltlearn.training._freezing import HeadWarmup
from ltlearn.training._growth import GrowingReweighting
from ltlearn.training._max_norm import HeadMaxNorm
from ltlearn.training._schedule import WarmupCosine


def make_callbacks(options, own):
    """Callbacks other than early stopping, in the order in which they are called.

    Parameters
    ----------
    options : ltlearn.options.Training
    own : sequence or None
        A user's callbacks, which come last.

    Raises
    ------
    ValueError
        For a callback that is none of skorch's, or one that would need predictions.
    """
    callbacks = []
    if options.head_warmup_epochs:
        callbacks.append(HeadWarmup(options.head_warmup_epochs))
    if options.lr_warmup_epochs or options.lr_schedule == "cosine":
        is_cosine = options.lr_schedule == "cosine"
        callbacks.append(WarmupCosine(options.lr_warmup_epochs, is_cosine))
    if options.max_grad_norm is not None:
        callbacks.append(GradientNormClipping(options.max_grad_norm))
    if options.reweighting_growth:
        callbacks.append(GrowingReweighting(options.reweighting_growth))
    if options.head_max_norm is not None:
        callbacks.append(HeadMaxNorm(options.head_max_norm))
    for callback in own or []:
        _check_callback(callback)
        callbacks.append(_copy(callback))
    return callbacks


def early_stopping(scoring, *, patience, lower_is_better):
    """A callback that ends training and goes back to the best weights.

    An improvement is one by a ten-thousandth of the score, or by 0.0001 of a correlation, which may
    be negative.
    """
    return EarlyStopping(
        monitor=f"valid_{scoring}",
        patience=patience,
        threshold_mode="abs" if scoring == "srcc" else "rel",
        lower_is_better=lower_is_better,
        load_best=True,
        sink=_silent,
    )


def _check_callback(callback):
    if isinstance(callback, tuple) and len(callback) == 2:  # skorch takes (name, callback) too
        callback = callback[1]
    kind = callback if isinstance(callback, type) else type(callback)
    if not issubclass(kind, Callback):
        raise ValueError(f"callbacks must hold skorch callbacks, got {callback!r}.")
    if issubclass(kind, ScoringBase | InputShapeSetter):
        raise ValueError(
            f"{kind.__name__} needs predictions or samples batch by batch, which the callbacks "
            "here do not get. history_ holds the losses and scores of every epoch; for others use "
            "scikit-learn's scoring, outside of fit."
        )


def _copy(callback):
    """A copy for the net to initialize and use; what a user passed stays as it is."""
    if isinstance(callback, tuple):
        return callback[0], _copy(callback[1])
    return callback if isinstance(callback, type) else copy.copy(callback)


def _silent(*args, **kwargs):
    """Early stopping has nothing to print."""
