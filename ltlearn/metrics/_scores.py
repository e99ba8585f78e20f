"""From distributions over score bins to the expected scores that most metrics compare."""

import numpy as np
from sklearn.utils import check_array

from ltlearn.utils._compat import _check_sample_weight, validate_params


@validate_params(
    {"distributions": ["array-like"], "bin_centers": ["array-like", None]},
    prefer_skip_nested_validation=True,
)
def expected_score(distributions, *, bin_centers=None):
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
        When a share is negative, a row sums to zero, or ``bin_centers`` has another length.

    Examples
    --------
    >>> from ltlearn.metrics import expected_score
    >>> expected_score([[0.5, 0.5, 0.0], [0.0, 1.0, 3.0]])
    array([1.5 , 2.75])
    """
    shares = check_distributions(distributions, "distributions")
    n_bins = shares.shape[1]
    if bin_centers is None:
        centers = np.arange(1.0, n_bins + 1)
    else:
        centers = check_array(bin_centers, ensure_2d=False, dtype=np.float64)
        if centers.shape != (n_bins,):
            raise ValueError(
                f"bin_centers needs one score for each of the {n_bins} bins, "
                f"got shape {centers.shape}."
            )
    return shares @ centers


def check_distributions(distributions, name):
    """Validate distributions (n, K) and scale every row to sum 1."""
    shares = check_array(distributions, dtype=np.float64, input_name=name)
    if np.any(shares < 0):
        raise ValueError(f"{name} holds negative shares; each row must be a distribution.")
    totals = np.sum(shares, axis=1, keepdims=True)
    if np.any(totals == 0):
        raise ValueError(f"{name} has a row that sums to zero; each row must be a distribution.")
    return shares / totals


def are_distributions(y):
    """Whether every row (n, K) holds whole vote counts, or shares that sum to 1."""
    whole = np.all(y == np.round(y))
    return bool(whole or np.all(np.abs(np.sum(y, axis=1) - 1) <= 1e-3))


def as_scores(y, name):
    """One float per sample: labels (n,) or (n, 1) as they are, distributions by their mean."""
    y = check_array(y, ensure_2d=False, dtype=np.float64, input_name=name)
    if y.ndim == 2 and y.shape[1] > 1:
        return expected_score(y)
    return y.reshape(-1)


def check_weights(sample_weight, y):
    """One non-negative weight per sample, not all of them 0; ones when None."""
    weights = _check_sample_weight(sample_weight, y, ensure_non_negative=True)
    if not np.any(weights):
        raise ValueError("All sample weights are zero; there is nothing to measure.")
    return weights
