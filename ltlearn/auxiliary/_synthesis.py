"""Auxiliary classes synthesized from pairs of target classes."""

import numpy as np

# Synthetic rows share both parents visibly: neither contributes less than a third.
_SMALLEST_SHARE = 1 / 3


def synthesize(X, codes, pairs, n_samples, random_state):
    """Auxiliary rows halfway between pairs of classes.

    A row is ``share * a + (1 - share) * b`` with rows a, b of the two classes and a share between
    one and two thirds, all drawn uniformly. On a table this is the same before and after
    standardization.

    Parameters
    ----------
    X : ndarray of shape (n, ...)
        Integers are rounded.
    codes : ndarray of shape (n,)
        Class of each row.
    pairs : ndarray of shape (n_pairs, 2)
        Classes to mix.
    n_samples : int
        Rows of each pair.
    random_state : numpy.random.RandomState

    Returns
    -------
    X_synthetic : ndarray of shape (n_pairs * n_samples, ...)
    number : ndarray of shape (n_pairs * n_samples,)
        Number of the pair of each row.
    """
    parents = [
        random_state.choice(np.flatnonzero(codes == code), n_samples) for code in pairs.ravel()
    ]
    first, second = np.concatenate(parents[::2]), np.concatenate(parents[1::2])
    share = random_state.uniform(_SMALLEST_SHARE, 1 - _SMALLEST_SHARE, size=len(first))
    share = share.reshape(-1, *[1] * (X.ndim - 1))
    mixed = share * X[first] + (1 - share) * X[second]
    if X.dtype.kind in "biu":
        mixed = np.round(mixed)
    return mixed.astype(X.dtype), np.repeat(np.arange(len(pairs)), n_samples)
