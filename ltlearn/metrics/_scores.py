"""From distributions over score bins to the expected scores that most metrics compare."""

import numpy as np
from numpy.typing import ArrayLike

from ltlearn.utils._checks import check_number_per_sample, check_numbers
from ltlearn.utils._compat import validate_params


@validate_params(
    {"distributions": ["array-like"], "bin_centers": ["array-like", None]},
    prefer_skip_nested_validation=True,
)
def expected_score(distributions: ArrayLike, *, bin_centers: ArrayLike | None = None) -> np.ndarray:
    """Mean of each distribution over score bins: ``s_i = sum_k c_k p_ik``.

    Parameters
    ----------
    distributions : array-like of shape (n_samples, n_bins)
        Non-negative shares or vote counts; each row is divided by its sum.
    bin_centers : array-like of shape (n_bins,), default=None
        Score of each bin; None takes 1, 2, ..., n_bins.

    Returns
    -------
    scores : ndarray of shape (n_samples,)
        In the unit of ``bin_centers``.

    Raises
    ------
    ValueError
        When a share is negative, a row sums to zero, or ``bin_centers`` has another length or is
        not finite.

    Examples
    --------
    >>> from ltlearn.metrics import expected_score
    >>> expected_score([[0.5, 0.5, 0.0], [0.0, 1.0, 3.0]])
    array([1.5 , 2.75])
    """
    return mean_scores(distributions, "distributions", bin_centers)


def mean_scores(distributions, name, bin_centers=None):
    """:func:`expected_score` of an argument that errors call by its ``name``."""
    shares = check_distributions(distributions, name)
    n_bins = shares.shape[1]
    if bin_centers is None:
        centers = np.arange(1.0, n_bins + 1)
    else:
        centers = check_number_per_sample(bin_centers, "bin_centers")
        if centers.shape != (n_bins,):
            raise ValueError(
                f"bin_centers needs one score for each of the {n_bins} bins, "
                f"got shape {centers.shape}."
            )
    return shares @ centers


def check_distributions(distributions, name):
    """Validate distributions (n, K) and scale every row to sum 1."""
    shares = check_numbers(distributions, name, limit=None, ensure_2d=True)
    if np.any(shares < 0):
        raise ValueError(f"{name} holds negative shares; each row must be a distribution.")
    largest = np.max(shares, axis=1, keepdims=True)
    if np.any(largest == 0):
        raise ValueError(f"{name} has a row that sums to zero; each row must be a distribution.")
    shares = np.ldexp(shares, -np.frexp(largest)[1])  # whatever their unit, they can be added
    return shares / np.sum(shares, axis=1, keepdims=True)


def are_distributions(y):
    """Whether every row (n, K) holds whole vote counts, or shares that sum to 1."""
    whole = np.all(y == np.round(y))
    return bool(whole or np.all(np.abs(np.sum(y, axis=1) - 1) <= 1e-3))


def as_scores(y, name):
    """One float per sample: labels (n,) or (n, 1) as they are, distributions by their mean."""
    y = check_numbers(y, name, limit=None)
    if y.ndim == 2 and y.shape[1] > 1:
        return mean_scores(y, name)
    return check_number_per_sample(y, name)
