"""What a classifier chooses by validation rows: the scale of columns, temperature and τ."""

import math

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.base import clone

from ltlearn.options import Auxiliary
from ltlearn.utils._whole import Whole
from ltlearn.weighting._factors import BalancedRows, fit_factors

LARGEST_TEMPERATURE = 20.0


def choose_power(estimator, train, valid, seed):
    """Exponent of the columns: that of the option, or of 1 and 0.5 the one that validates better.

    Parameters
    ----------
    estimator : GranularClassifier
        In the middle of a fit.
    train, valid : Rows
    seed : int
        Of the trials.

    Returns
    -------
    power : float
    """
    power = estimator._option("architecture").feature_power
    if power == 1:
        return 1.0
    if not estimator._has_mlp:
        raise ValueError(
            f'architecture.feature_power={power!r} is for tables, with backbone="mlp"; leave it '
            "1.0 for other backbones."
        )
    if power != "auto":
        return float(power)
    return min((1.0, 0.5), key=lambda trial: _loss_with(trial, estimator, train, valid, seed))


def _loss_with(power, estimator, train, valid, seed):
    trial = clone(estimator).set_params(
        architecture__feature_power=power,
        auxiliary=Auxiliary(max_samples=0),
        logit_adjustment=estimator._training_tau,
        calibrate_temperature=False,
        early_stopping=False,
        callbacks=None,
        warm_start=False,
        verbose=0,
        random_state=seed,
    )
    classes = estimator.classes_
    validation = {"X_val": Whole(valid.X), "y_val": Whole(classes[valid.y])}
    if valid.weight is not None:
        validation["sample_weight_val"] = Whole(valid.weight)
    trial.fit(train.X, classes[train.y], train.weight, **validation)
    return trial.history_[-1]["valid_loss"]


def fit_temperature(net, valid):
    """Temperature that gives the validation rows the least cross-entropy."""
    valid = valid.to(net.device)
    outputs = net.apply_network(valid)
    found = minimize_scalar(
        lambda log_t: net.criterion_.validation_loss(outputs, valid.target, math.exp(log_t)).item(),
        bounds=(-math.log(LARGEST_TEMPERATURE), math.log(LARGEST_TEMPERATURE)),
        method="bounded",
    )
    return math.exp(found.x)


def fit_adjustment(net, valid, log_share):
    """Temperature and τ that give the validation rows the least class-balanced cross-entropy.

    Parameters
    ----------
    net : ObjectiveNet
        With a :class:`~ltlearn.objectives._granular.GranularObjective`.
    valid : TensorData or FileData
    log_share : ndarray of shape (n_classes,)
        Log shares of the target classes in training.

    Returns
    -------
    temperature, tau : float
    """
    n_classes = len(log_share)
    outputs = net.apply_network(valid.to(net.device))[:, :n_classes] + net.criterion_.log_balance
    logits = outputs.double().cpu().numpy()
    codes, weight = (valid.target.get(name) for name in ("label", "weight"))
    weight = None if weight is None else weight.double().cpu().numpy()
    rows = BalancedRows.of(codes.cpu().numpy(), n_classes, weight)
    factors = fit_factors(logits[None], rows, log_share)
    factor = np.clip(factors.head[0], 1 / LARGEST_TEMPERATURE, LARGEST_TEMPERATURE)
    return float(1 / factor), factors.tau
