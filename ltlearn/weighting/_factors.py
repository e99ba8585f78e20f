"""How much scores of classes count: factors and a prior term by class-balanced cross-entropy.

Shapes: H heads, n rows, K classes, P = H + 1 parameters. The scores of a head refer to balanced
classes, up to a number for each row.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

# Rows that are predicted without an error would let factors grow for ever.
_LARGEST_FACTOR = 20.0
_LARGEST_TAU = 5.0
# Deviation of the Gaussian that τ is drawn from before any row is seen.
_TAU_DEVIATION = 0.5
# The same of each factor around an equal share, where heads share.
_SHARE_DEVIATION = 0.3
_SMALLEST_SCALE = 1e-6  # log probabilities that differ by less say nothing


class Factors(NamedTuple):
    """What turns the scores of the heads into logits at balanced classes."""

    head: np.ndarray
    tau: float

    def pool(self, scores, log_counts):
        """Logits (n, K): ``sum_h a_h s_h - tau log n_k``."""
        return np.tensordot(self.head, scores, 1) - self.tau * log_counts


class BalancedRows(NamedTuple):
    """Held-out rows, weighted so that every class that has any counts the same.

    Attributes
    ----------
    codes : ndarray of shape (n,)
        Class numbers.
    weights : ndarray of shape (n,)
        Sum to 1.
    n_effective : float
        As many rows of equal weight would give a mean of the same variance.
    """

    codes: np.ndarray
    weights: np.ndarray
    n_effective: float

    @classmethod
    def of(cls, codes, n_classes, weight=None):
        """From class numbers and, where rows stand for several or for parts of one, weights."""
        weight = np.ones(len(codes)) if weight is None else weight
        totals = np.bincount(codes, weight, minlength=n_classes)
        n_seen = np.count_nonzero(totals)
        n_effective = n_seen**2 / np.sum(1 / totals[totals > 0])
        return cls(codes, weight / totals[codes] / n_seen, float(n_effective))

    def losses(self, logits):
        """Cross-entropy (n,) of each row."""
        own = logits[np.arange(len(self.codes)), self.codes]
        return logsumexp(logits, axis=1) - own

    def loss(self, logits):
        """Class-balanced cross-entropy."""
        return float(self.weights @ self.losses(logits))


def center(scores):
    """Scores without the number that each row is free to add."""
    return scores - scores.mean(axis=-1, keepdims=True)


def with_unknown(scores, known, n_classes):
    """Scores (n, K) of all classes: those that are not ``known`` get the lowest of the row."""
    everyone = np.repeat(scores.min(axis=1, keepdims=True), n_classes, axis=1)
    everyone[:, known] = scores
    return everyone


def fit_factors(scores, rows, log_counts, *, with_tau=True, shared=False):
    """Non-negative factors and τ that give the rows the least class-balanced cross-entropy.

    The loss of ``softmax(sum_h a_h s_h - tau log n)`` is convex in the factors and τ, so the
    optimum does not depend on where the search starts. τ has a Gaussian prior around 0 of deviation
    0.5, without which few rows of rare classes could drive it far off: ``2 tau^2 / n_effective`` is
    added to the loss.

    Parameters
    ----------
    scores : ndarray of shape (H, n, K)
        Finite.
    rows : BalancedRows
    log_counts : ndarray of shape (K,)
        Log of the number of training rows of each class, any constant added.
    with_tau : bool, default=True
        Whether τ is fitted, or 0.
    shared : bool, default=False
        Whether factors have a Gaussian prior around 1 / H of deviation 0.3: ``(a - 1/H)^2 / (0.18
        n_effective)`` is added for each. For scores that are worth a factor of 1 alone. Heads whose
        scores are all 0 get a factor of 0 and do not count in H; one that is left has no prior.

    Returns
    -------
    factors : Factors
        Factors in [0, 20] times the inverse scale of the head's scores, τ in [-5, 5].
    """
    return _Search(scores, rows, log_counts, with_tau, shared).factors()


def leave_one_out_losses(scores, rows, log_counts, *, shared=False):
    """Loss (n,) of each row under factors fitted to all other rows.

    An honest number to compare stacks of different size by. The factors without a row are those
    that the quadratic approximation of the loss at the optimum gives.

    Parameters
    ----------
    scores, rows, log_counts, shared
        As for :func:`fit_factors`.

    Returns
    -------
    losses : ndarray of shape (n,)
    """
    return _Search(scores, rows, log_counts, True, shared).leave_one_out()


class _Search:
    """The loss as a function of P parameters: factors of scores of scale 1, and τ."""

    def __init__(self, scores, rows, log_counts, with_tau, shared):
        scores = center(np.asarray(scores, dtype=np.float64))
        squares = np.mean(scores**2, axis=2) @ rows.weights
        # Heads may differ by orders of magnitude; the search had better not see that.
        self.scale = np.maximum(np.sqrt(squares), _SMALLEST_SCALE)
        of_tau = np.broadcast_to(-center(log_counts), scores.shape[1:])
        self.terms = np.concatenate([scores / self.scale[:, None, None], of_tau[None]])
        self.is_blank = np.append(squares == 0, False)
        self.rows = rows
        self.penalty = np.zeros(len(self.terms))
        self.penalty[-1] = 1 / (_TAU_DEVIATION**2 * rows.n_effective)
        self.middle = np.zeros(len(self.terms))
        heads = np.flatnonzero(~self.is_blank[:-1])
        if shared and len(heads) > 1:
            self.middle[heads] = self.scale[heads] / len(heads)
            deviation = _SHARE_DEVIATION * self.scale[heads]
            self.penalty[heads] = 1 / (deviation**2 * rows.n_effective)
        tau_bounds = (-_LARGEST_TAU, _LARGEST_TAU) if with_tau else (0.0, 0.0)
        self.bounds = np.array([(0.0, _LARGEST_FACTOR)] * len(scores) + [tau_bounds])
        self.parameters = self._optimum()

    def factors(self):
        return Factors(self.parameters[:-1] / self.scale, float(self.parameters[-1]))

    def derivatives(self, parameters, with_curvature=False):
        """Loss, gradient (P,) and, if asked for, Hessian (P, P)."""
        codes, weights = self.rows.codes, self.rows.weights
        logits = np.tensordot(parameters, self.terms, 1)
        proba = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
        residual = proba.copy()
        residual[np.arange(len(codes)), codes] -= 1
        excess = parameters - self.middle
        pull = self.penalty * excess
        loss = self.rows.loss(logits) + 0.5 * pull @ excess
        gradient = np.tensordot(self.terms, residual * weights[:, None], 2) + pull
        if not with_curvature:
            return loss, gradient
        of_rows = self._curvatures(proba)
        return loss, gradient, np.tensordot(weights, of_rows, 1) + np.diag(self.penalty)

    def _curvatures(self, proba):
        """Hessian of the loss of each row (n, P, P): the covariance of the terms."""
        means = np.einsum("pnk,nk->np", self.terms, proba)
        squares = np.einsum("pnk,qnk->npq", self.terms * proba, self.terms, optimize=True)
        return squares - means[:, :, None] * means[:, None, :]

    def _optimum(self):
        n_heads = len(self.terms) - 1
        start = np.append(np.full(n_heads, 1.0 / n_heads), 0.0)
        start[self.is_blank] = 0.0
        found = minimize(
            self.derivatives,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=self.bounds,
            options={"ftol": 1e-12, "gtol": 1e-8, "maxiter": 500},
        )
        return self._polished(found.x)

    def _free(self, parameters):
        """Which parameters are inside their bounds."""
        inside = (parameters > self.bounds[:, 0]) & (parameters < self.bounds[:, 1])
        return inside & ~self.is_blank

    def _polished(self, parameters, n_steps=3):
        """Newton's steps for the free parameters, to the last digits."""
        free = self._free(parameters)
        for _ in range(n_steps if free.any() else 0):
            loss, gradient, curvature = self.derivatives(parameters, with_curvature=True)
            step, *_ = np.linalg.lstsq(curvature[np.ix_(free, free)], gradient[free], rcond=1e-12)
            trial = parameters.copy()
            trial[free] -= step
            within = (trial >= self.bounds[:, 0]) & (trial <= self.bounds[:, 1])
            if not within.all() or self.derivatives(trial)[0] > loss + 1e-14:
                break
            parameters = trial
        return parameters

    def leave_one_out(self):
        codes, weights = self.rows.codes, self.rows.weights
        everyone = np.arange(len(codes))
        logits = np.tensordot(self.parameters, self.terms, 1)
        free = self._free(self.parameters)
        if not free.any():
            return self.rows.losses(logits)
        proba = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
        of_rows = self._curvatures(proba)[:, free][:, :, free] * weights[:, None, None]
        own = self.terms[:, everyone, codes]
        gradients = (np.einsum("pnk,nk->np", self.terms, proba) - own.T)[:, free]
        # Newton's step to the optimum of the loss without the row.
        rest = of_rows.sum(axis=0) + np.diag(self.penalty[free]) - of_rows
        steps = np.linalg.pinv(rest, rcond=1e-10, hermitian=True) @ (
            weights[:, None, None] * gradients[:, :, None]
        )
        moved = np.tile(self.parameters, (len(codes), 1))
        moved[:, free] += steps[:, :, 0]
        moved = np.clip(moved, *self.bounds.T)
        return self.rows.losses(np.einsum("np,pnk->nk", moved, self.terms))
