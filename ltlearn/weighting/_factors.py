"""How much each head of a stack counts: factors and a prior term by class-balanced cross-entropy.

Shapes: H heads, n rows, K classes. The scores of a head refer to balanced classes, up to a number
for each row.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

# Held-out rows without an error would let factors, and rare classes without one τ, grow for ever.
_LARGEST_FACTOR = 20.0
_LARGEST_TAU = 5.0
_SMALLEST_SCALE = 1e-6  # log probabilities that differ by less say nothing


class Factors(NamedTuple):
    """What turns the scores of the heads into logits at balanced classes."""

    head: np.ndarray
    tau: float

    def pool(self, scores, log_counts):
        """Logits (n, K): ``sum_h a_h s_h - tau log n_k``."""
        return np.tensordot(self.head, scores, 1) - self.tau * log_counts


def balancing_weights(codes, n_classes, weight=None):
    """Weights (n,) with sum 1 by which every class that has rows counts the same."""
    if weight is None:
        weight = np.ones(len(codes))
    totals = np.bincount(codes, weight, minlength=n_classes)
    return weight / totals[codes] / np.count_nonzero(totals)


def cross_entropy(logits, codes, weights):
    """Weighted sum of the cross-entropies of the rows."""
    return float(weights @ (logsumexp(logits, axis=1) - logits[np.arange(len(codes)), codes]))


def center(scores):
    """Scores without the number that each row is free to add."""
    return scores - scores.mean(axis=-1, keepdims=True)


def fit_factors(scores, codes, weights, log_counts, *, with_tau=True):
    """Non-negative factors and τ that give the rows the least weighted cross-entropy.

    The loss of ``softmax(sum_h a_h s_h - tau log n)`` is convex in the factors and τ, so the
    optimum does not depend on where the search starts.

    Parameters
    ----------
    scores : ndarray of shape (H, n, K)
        Finite.
    codes : ndarray of shape (n,)
        Class numbers.
    weights : ndarray of shape (n,)
        Of the rows; see :func:`balancing_weights`.
    log_counts : ndarray of shape (K,)
        Log of the number of training rows of each class, any constant added.
    with_tau : bool, default=True
        Whether τ is fitted, or 0.

    Returns
    -------
    factors : Factors
        Factors in [0, 20] times the inverse scale of the head's scores, τ in [-5, 5].
    """
    scores = center(np.asarray(scores, dtype=np.float64))
    n_heads = len(scores)
    # Heads may differ by orders of magnitude; the search had better not see that.
    squares = np.mean(scores**2, axis=2) @ weights / weights.sum()
    scale = np.maximum(np.sqrt(squares), _SMALLEST_SCALE)
    terms = np.concatenate(
        [
            scores / scale[:, None, None],
            np.broadcast_to(-center(log_counts), scores.shape[1:])[None],
        ]
    )

    tau_bounds = (-_LARGEST_TAU, _LARGEST_TAU) if with_tau else (0.0, 0.0)
    bounds = np.array([(0.0, _LARGEST_FACTOR)] * n_heads + [tau_bounds])
    found = minimize(
        lambda parameters: _derivatives(parameters, terms, codes, weights)[:2],
        np.append(np.full(n_heads, 1.0 / n_heads), 0.0),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": 1e-12, "gtol": 1e-8, "maxiter": 500},
    )
    parameters = _polish(found.x, bounds, terms, codes, weights)
    return Factors(np.where(squares > 0, parameters[:-1] / scale, 0.0), float(parameters[-1]))


def _derivatives(parameters, terms, codes, weights, with_curvature=False):
    """Loss, gradient and, if asked for, Hessian, of logits ``sum_p parameters_p terms_p``."""
    rows = np.arange(len(codes))
    logits = np.tensordot(parameters, terms, 1)
    log_partition = logsumexp(logits, axis=1)
    loss = weights @ (log_partition - logits[rows, codes])
    proba = np.exp(logits - log_partition[:, None])
    residual = proba.copy()
    residual[rows, codes] -= 1
    gradient = np.tensordot(terms, residual * weights[:, None], 2)
    if not with_curvature:
        return loss, gradient, None
    means = np.einsum("pnk,nk->pn", terms, proba)
    weighted = terms * (proba * weights[:, None])
    curvature = np.tensordot(weighted, terms, ([1, 2], [1, 2])) - (means * weights) @ means.T
    return loss, gradient, curvature


def _polish(parameters, bounds, terms, codes, weights, n_steps=3):
    """Newton's steps for the parameters inside their bounds, to the last digits."""
    free = (parameters > bounds[:, 0]) & (parameters < bounds[:, 1])
    for _ in range(n_steps if free.any() else 0):
        loss, gradient, curvature = _derivatives(parameters, terms, codes, weights, True)
        step, *_ = np.linalg.lstsq(curvature[np.ix_(free, free)], gradient[free], rcond=1e-12)
        trial = parameters.copy()
        trial[free] -= step
        inside = (trial >= bounds[:, 0]) & (trial <= bounds[:, 1])
        if not inside.all() or _derivatives(trial, terms, codes, weights)[0] > loss + 1e-14:
            break
        parameters = trial
    return parameters


def cross_fitted_loss(scores, codes, weights, log_counts, fold):
    """Loss of each row under factors fitted to the rows of the other folds, summed by weight.

    An honest number to compare stacks of different size by.

    Parameters
    ----------
    scores : ndarray of shape (H, n, K)
    codes, weights, log_counts
        As for :func:`fit_factors`.
    fold : ndarray of shape (n,)
        Number of the fold that each row was held out in.

    Returns
    -------
    loss : float
    """
    loss = 0.0
    n_classes = len(log_counts)
    for number in np.unique(fold):
        test = fold == number
        fitted_to = test if test.all() else ~test  # of a single fold there are no other rows
        fit_weights = balancing_weights(codes[fitted_to], n_classes, weights[fitted_to])
        factors = fit_factors(scores[:, fitted_to], codes[fitted_to], fit_weights, log_counts)
        logits = factors.pool(center(scores[:, test]), log_counts)
        loss += cross_entropy(logits, codes[test], weights[test])
    return loss
