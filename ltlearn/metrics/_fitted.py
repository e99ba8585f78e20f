"""Labels as the scores that a fitted estimator makes of them."""

import numpy as np

from ltlearn.metrics._scores import as_scores, expected_score
from ltlearn.utils._fitted import find_fitted


def scores_for(estimator, y):
    """Labels ``y`` as scores, distributions through the bin centers of the fitted estimator."""
    n_bins = np.shape(y)[1] if np.ndim(y) == 2 else 1
    fitted = find_fitted(estimator, "bin_centers_")
    if n_bins > 1 and fitted is not None and np.shape(fitted.bin_centers_) == (n_bins,):
        return expected_score(y, bin_centers=fitted.bin_centers_)
    return as_scores(y, "y")
