"""Multinomial logistic regression with an L2 penalty, by preconditioned quasi-Newton steps."""

import numpy as np
from scipy.optimize import minimize

# Deviations of the posterior (its diagonal) that a weight may be off by.
_TOLERANCE = 0.03
_SMALLEST_CURVATURE = 1e-9


def fit_softmax(X, codes, n_classes, weight=None, *, C=1.0, start=None, max_iter=300):
    """Weights that give the rows the least cross-entropy plus ``|W|^2 / (2 C)``.

    The search goes in units of about the inverse root of the curvature of each weight: for
    principal components of very different variance it takes a third of the steps or less that it
    would take otherwise.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    codes : ndarray of shape (n,)
        Class numbers below K.
    n_classes : int
        K.
    weight : ndarray of shape (n,), default=None
    C : float, default=1.0
        Inverse strength of the penalty, which spares intercepts. Of two classes, as usual, it is
        the difference of weights that is penalized.
    start : ndarray of shape (d + 1, K), default=None
        Where to begin.
    max_iter : int, default=300

    Returns
    -------
    weights : ndarray of shape (d + 1, K)
        The last row holds the intercepts.
    n_iter : int
    """
    weight = np.ones(len(codes)) if weight is None else np.asarray(weight, dtype=np.float64)
    rows = np.arange(len(codes))
    penalty = np.full((X.shape[1] + 1, 1), (2 if n_classes == 2 else 1) / C)
    penalty[-1] = 0.0
    share = np.bincount(codes, weight, minlength=n_classes) / weight.sum()
    squares = np.append(np.einsum("nd,nd,n->d", X, X, weight, dtype=np.float64), weight.sum())
    # A quarter: classes overlap less than their shares alone would have it.
    curvature = 0.25 * squares[:, None] * (share * (1 - share)) + penalty
    unit = 1 / np.sqrt(np.maximum(curvature, _SMALLEST_CURVATURE))
    in_dtype = weight.astype(X.dtype)

    def loss_and_gradient(parameters):
        weights = parameters.reshape(unit.shape) * unit
        logits = X @ weights[:-1].astype(X.dtype) + weights[-1].astype(X.dtype)
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[rows, codes]
        residual = np.exp(logits, out=logits)
        totals = residual.sum(axis=1)
        residual /= totals[:, None]
        residual[rows, codes] -= 1
        residual *= in_dtype[:, None]
        of_rows = (np.log(totals) - own).astype(np.float64)
        loss = weight @ of_rows + 0.5 * (penalty * weights**2).sum()
        gradient = np.concatenate([X.T @ residual, residual.sum(axis=0)[None]]).astype(np.float64)
        return loss, ((gradient + penalty * weights) * unit).ravel()

    found = minimize(
        loss_and_gradient,
        np.zeros(unit.size) if start is None else (start / unit).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iter, "gtol": _TOLERANCE, "ftol": 1e-9},
    )
    return found.x.reshape(unit.shape) * unit, int(found.nit)
