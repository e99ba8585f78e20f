"""Auxiliary classes: which of their rows an epoch sees, and how to synthesize them."""

import numpy as np
import torch

# Synthetic rows share both parents visibly: neither contributes less than a third.
_SMALLEST_SHARE = 1 / 3


class AuxiliaryEpochs:
    """Every target row once an epoch, and a fresh draw of rows of each auxiliary class.

    The rows of the data are the target rows, followed by the auxiliary rows.

    Parameters
    ----------
    n_target : int
        Number of target rows.
    auxiliary_codes : ndarray of shape (n_auxiliary,)
        Class of each auxiliary row.
    max_samples : int
        Most rows of an auxiliary class in an epoch, drawn without replacement.
    seed : int
    """

    def __init__(self, n_target, auxiliary_codes, max_samples, seed):
        order = np.argsort(auxiliary_codes, kind="stable")
        ends = np.cumsum(np.bincount(auxiliary_codes))
        self.rows_by_class = [
            torch.from_numpy(rows + n_target) for rows in np.split(order, ends[:-1])
        ]
        self.n_target = n_target
        self.max_samples = max_samples
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self):
        rows = torch.cat([torch.arange(self.n_target), *map(self._draw, self.rows_by_class)])
        return rows[torch.randperm(len(rows), generator=self.generator)]

    def _draw(self, rows):
        return rows[torch.randperm(len(rows), generator=self.generator)[: self.max_samples]]


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
