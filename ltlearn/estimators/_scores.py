"""Scores and votes of a regressor: what ``fit`` may be given, and the bins they belong to."""

import numpy as np
from sklearn.utils import column_or_1d

from ltlearn.estimators._backbone import is_tabular
from ltlearn.metrics._scores import are_distributions
from ltlearn.utils._checks import check_numbers, check_range

# Scores whose difference is no more than this share of them are equal up to rounding.
ROUNDING = 1e-13

# Least range of scores; the largest is its inverse.
SMALLEST_RANGE = 1e-100


class ScoresMixin:
    """Targets of a deep estimator that learns scalar scores or distributions over score bins."""

    def _encode_y(self, y, *, reset, name="y"):
        y = check_numbers(y, name)
        is_distribution = y.ndim == 2 and y.shape[1] > 1
        if not is_distribution:
            y = column_or_1d(y, warn=True)
        if reset:
            self.loss_ = self.loss
            if self.loss == "auto" or callable(self.loss):
                scalar = "quantile" if is_tabular(self) and self.loss == "auto" else "mse"
                self.loss_ = "emd" if is_distribution else scalar
            self._check_options(is_distribution)
            if is_distribution and self.loss != "emd" and not are_distributions(y):
                raise ValueError(
                    f"{name} has {y.shape[1]} columns whose rows are neither whole vote counts nor "
                    "shares that sum to 1. For several targets, fit one regressor each, as "
                    "sklearn.multioutput.MultiOutputRegressor does; if the columns are the bins of "
                    'a rating distribution all the same, say so by loss="emd".'
                )
            self._distribution_centers = None
            if is_distribution:
                self._distribution_centers = self._centers((1.0, y.shape[1]), y.shape[1])
        elif is_distribution:
            self._check_same_bins(y, name)
        if is_distribution:
            total = y.sum(axis=1, keepdims=True)
            if (y < 0).any() or not (total > 0).all():
                raise ValueError(
                    f"With several columns, {name} holds a distribution (or vote counts) over "
                    "score bins per row: entries must be non-negative and every row needs a "
                    "positive sum. First bad row: "
                    f"{np.flatnonzero((y < 0).any(axis=1) | (total[:, 0] <= 0))[0]}."
                )
            y = y / total
        return y

    def _check_same_bins(self, y, name):
        known = self._distribution_centers
        if known is None or len(known) != y.shape[1]:
            seen = "scalar scores" if known is None else len(known)
            raise ValueError(f"{name} has {y.shape[1]} score bins; fit saw {seen}.")

    def _check_options(self, is_distribution):
        bins = self._option("bins")
        self._check_dial(self.tail, self.prediction)
        if is_distribution and self.loss_ == "quantile":
            raise ValueError(
                'loss="quantile" is for scalar scores, and y holds a distribution over score bins '
                'per row: use loss="emd" or "auto", or pass ltlearn.metrics.expected_score(y).'
            )
        if bins.logit_adjustment and (self.loss_ != "emd" or is_distribution):
            raise ValueError(
                'logit_adjustment needs scalar scores with loss="emd": with '
                + (
                    f"loss={self.loss_!r} there are no logits of bins."
                    if self.loss_ != "emd"
                    else "true rating distributions the bins are not a posterior, and adjusting "
                    "them makes predictions worse."
                )
            )
        head = self._option("architecture").head
        if head == "cosine":
            raise ValueError('architecture.head="cosine" is for classes; leave it "linear".')
        if head == "sigmoid" and self.loss_ != "mse":
            raise ValueError(
                f'architecture.head="sigmoid" is for loss="mse"; the loss is {self.loss_!r}.'
            )
        if bins.emd_form != "sample" and self.loss_ != "emd":
            raise ValueError(
                f'bins.emd_form={bins.emd_form!r} is for loss="emd"; the loss is {self.loss_!r}.'
            )
        if bins.score_range is not None:
            low, high = check_range(bins.score_range, "score_range")
            if high - low < SMALLEST_RANGE or is_one_score(low, high):
                raise ValueError(
                    f"score_range={bins.score_range!r} is too short for bins between its ends; "
                    "use a smaller unit of the scores."
                )

    def _scores(self, y):
        """Scores (n,) of encoded targets."""
        return y if y.ndim == 1 else y @ self._distribution_centers

    def _centers(self, default_range, n_bins):
        score_range = self._option("bins").score_range
        low, high = default_range if score_range is None else score_range
        if is_one_score(low, high):  # the other bins only have to be elsewhere
            high = low + max(1.0, 1e-6 * abs(low))
        return np.linspace(low, high, n_bins)

    def _stratification(self, y):
        return self._scores(y)


def is_one_score(low, high):
    """Whether two scores are equal up to rounding, so that no bins fit between them."""
    return high - low <= ROUNDING * max(abs(low), abs(high))
