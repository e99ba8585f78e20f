"""Splits that take a stretch of the labels out of training and test on all of them.

How a model fares where it has seen nothing, and what that costs elsewhere, is a question of its
own: :class:`ExtrapolationSplit` removes or thins a tail, :class:`InterpolationSplit` a stretch in
the middle, :class:`BlindSpotSplit` a narrow one, at another place in every split. The three kinds
are those of the review "Deconstructing Deep Imbalanced Regression" (2026); they follow from the
labels alone.
"""

import warnings
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseShuffleSplit

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.metrics._scores import as_scores
from ltlearn.splitting._binned import BinnedStratifiedShuffleSplit, check_samples
from ltlearn.utils._checks import check_count, check_size
from ltlearn.utils._compat import GroupsConsumerMixin, is_number
from ltlearn.utils._suggestions import did_you_mean
from ltlearn.utils._typing import RowsLike

_BOTTOM, _MIDDLE, _TOP = 0.0, 0.5, 1.0
_TAILS = {"upper": (_TOP,), "lower": (_BOTTOM,), "both": (_BOTTOM, _TOP)}


class _StressSplit(GroupsConsumerMixin, BaseShuffleSplit):
    """Random stratified splits whose training part lacks stretches of the labels."""

    kept = 0.0  # share of the stretch that stays in training

    def __init__(self, n_splits, *, share, binning, test_size, random_state):
        super().__init__(n_splits, test_size=test_size, random_state=random_state)
        self.share = share
        self.binning = binning

    def split(
        self, X: RowsLike, y: ArrayLike, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate indices to split data into training and test set.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Only the number of samples counts.
        y : array-like of shape (n_samples,) or (n_samples, n_score_bins)
            Labels, or score distributions, which stand for their expected scores.
        groups : array-like of shape (n_samples,), default=None
            No group is in both parts.

        Yields
        ------
        train, test : ndarray
            Sample numbers. The test part has labels of the whole range, those of the stretch
            included.
        """
        check_samples(X, y, groups)
        self._check_parameters()
        return super().split(X, y, groups)

    def in_stretch(self, y: ArrayLike) -> np.ndarray:
        """Which samples have labels in the stretch that is taken out of training.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_score_bins)
            Labels or score distributions, as in ``split``.

        Returns
        -------
        in_stretch : ndarray of shape (n_splits, n_samples)
            Booleans, one row a split: what to measure apart.
        """
        self._check_parameters()
        scores = as_scores(y, "y")
        order = np.sort(scores)
        return np.array([self._inside(scores, order, n) for n in range(self.n_splits)])

    def _inside(self, scores, order, number):
        """Row ``number`` of :meth:`in_stretch`; ``order`` holds the sorted scores."""
        inside = np.zeros(len(scores), dtype=bool)
        for place in self._places(number):
            low, high = self._stretch(order, place)
            self._check_stretch(order, low, high)
            inside |= (low <= scores) & (scores <= high)
        return inside

    def _stretch(self, order, place):
        """Least and greatest label of the stretch at a place from 0, the bottom, to 1, the top."""
        if self.binning == "quantile":
            n_inside = max(1, round(self.share * len(order)))
            start = round(place * (len(order) - n_inside))
            return order[start], order[start + n_inside - 1]
        left = (1 - self.share) * (order[-1] - order[0])
        return order[0] + place * left, order[-1] - (1 - place) * left

    def _check_stretch(self, order, low, high):
        """Hook for what a stretch must be."""

    def _check_parameters(self):
        check_count(self.n_splits, "n_splits")
        check_size(self.test_size, "test_size")
        if not is_number(self.share) or not 0 < self.share < 1:
            raise ValueError(f"share must be a number between 0 and 1, got {self.share!r}.")
        if not isinstance(self.binning, str) or self.binning not in ("quantile", "width"):
            raise ValueError(f'binning must be "quantile" or "width", got {self.binning!r}.')

    def _iter_indices(self, X, y, groups=None):
        self._check_parameters()
        scores = as_scores(y, "y")
        order = np.sort(scores)
        splitter = BinnedStratifiedShuffleSplit(
            self.n_splits, test_size=self.test_size, random_state=self.random_state
        )
        for number, (train, test) in enumerate(splitter.split(X, y, groups)):
            inside = self._inside(scores, order, number)
            is_removed = inside[train]
            n_kept = round(self.kept * np.count_nonzero(is_removed))
            # The training samples come in random order: the first ones are a random draw.
            is_removed[np.flatnonzero(is_removed)[:n_kept]] = False
            if np.all(is_removed):
                raise ValueError(
                    f"Split {number}: no sample is left to train on, since the labels of all of "
                    "them are in the stretch. Lower share, or use the other binning."
                )
            if not (np.any(is_removed) and np.any(inside[test])):
                part = "test" if np.any(is_removed) else "training"
                warnings.warn(
                    f"Split {number}: no {part} sample has its label in the stretch, so that "
                    "nothing is learned about a model without it. Raise share or test_size, or "
                    "use the other binning.",
                    EmptyBandWarning,
                    stacklevel=2,
                )
            yield train[~is_removed], test


class ExtrapolationSplit(_StressSplit):
    """Random splits whose training part lacks a tail of the labels, or most of it.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.
    tail : {"upper", "lower", "both"}, default="upper"
        Which end of the labels.
    share : float, default=0.1
        Size of the tail, of each of both, as a share of the samples, or with
        ``binning="width"`` of the range of the labels. Samples with equal labels are all in or
        all out.
    kept : float, default=0.0
        Share of the training samples in the tail that stay, drawn at random: 0 removes the tail,
        0.1 thins it to a tenth.
    binning : {"quantile", "width"}, default="quantile"
        What ``share`` is a share of.
    test_size : float or int, default=0.2
        Share or number of samples (of groups, when ``groups`` is passed) to test on, spread evenly
        over all labels.
    random_state : int, RandomState instance or None, default=None
        Controls the test samples and those that stay.

    Warns
    -----
    EmptyBandWarning
        When a split removes no training sample, or tests none of the tail.

    See Also
    --------
    InterpolationSplit : Removes the middle.
    BlindSpotSplit : Removes a narrow stretch, at another place in every split.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.model_selection import ExtrapolationSplit
    >>> y = np.arange(20.0)
    >>> splitter = ExtrapolationSplit(1, share=0.25, random_state=0)
    >>> train, test = next(splitter.split(y[:, None], y))
    >>> bool(np.max(y[train]) < 15 <= np.max(y[test]))
    True
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        tail: Literal["upper", "lower", "both"] = "upper",
        share: float = 0.1,
        kept: float = 0.0,
        binning: Literal["quantile", "width"] = "quantile",
        test_size: float | int = 0.2,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_splits, share=share, binning=binning, test_size=test_size, random_state=random_state
        )
        self.tail = tail
        self.kept = kept

    def _places(self, number):
        return _TAILS[self.tail]

    def _check_parameters(self):
        super()._check_parameters()
        if not isinstance(self.tail, str) or self.tail not in _TAILS:
            hint = did_you_mean(self.tail, _TAILS)
            raise ValueError(f"tail must be one of {list(_TAILS)}, got {self.tail!r}.{hint}")
        if not is_number(self.kept) or not 0 <= self.kept < 1:
            raise ValueError(f"kept must be at least 0 and below 1, got {self.kept!r}.")


class InterpolationSplit(_StressSplit):
    """Random splits whose training part lacks the middle of the labels.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.
    share : float, default=0.3
        Size of the middle, as a share of the samples (those with as many below as above), or with
        ``binning="width"`` of the range of the labels. Samples with equal labels are all in or
        all out.
    binning : {"quantile", "width"}, default="quantile"
        What ``share`` is a share of.
    test_size : float or int, default=0.2
        Share or number of samples (of groups, when ``groups`` is passed) to test on, spread evenly
        over all labels.
    random_state : int, RandomState instance or None, default=None
        Controls the test samples.

    Warns
    -----
    EmptyBandWarning
        When a split removes no training sample, or tests none of the middle.

    See Also
    --------
    ExtrapolationSplit : Removes or thins a tail.
    BlindSpotSplit : Removes a narrow stretch, at another place in every split.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.model_selection import InterpolationSplit
    >>> y = np.arange(20.0)
    >>> splitter = InterpolationSplit(1, share=0.4, random_state=0)
    >>> train, test = next(splitter.split(y[:, None], y))
    >>> bool(np.any((y[train] >= 6) & (y[train] < 14)))
    False
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        share: float = 0.3,
        binning: Literal["quantile", "width"] = "quantile",
        test_size: float | int = 0.2,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_splits, share=share, binning=binning, test_size=test_size, random_state=random_state
        )

    def _places(self, number):
        return (_MIDDLE,)

    def _check_stretch(self, order, low, high):
        if low <= order[0] or high >= order[-1]:
            raise ValueError(
                f"The middle of the labels y, from {low:g} to {high:g}, reaches an end of them: "
                f"from {order[0]:g} to {order[-1]:g}. Lower share, or use the other binning."
            )


class BlindSpotSplit(_StressSplit):
    """Random splits whose training part lacks a narrow stretch of the labels.

    The stretches of the splits lie evenly from low to high labels, so that over the splits the
    whole range is looked at.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits, and of places.
    share : float, default=0.05
        Size of the stretch, as a share of the samples, or with ``binning="width"`` of the range
        of the labels. Samples with equal labels are all in or all out.
    binning : {"quantile", "width"}, default="quantile"
        What ``share`` is a share of, and what the stretches are evenly spread over.
    test_size : float or int, default=0.2
        Share or number of samples (of groups, when ``groups`` is passed) to test on, spread evenly
        over all labels.
    random_state : int, RandomState instance or None, default=None
        Controls the test samples.

    Warns
    -----
    EmptyBandWarning
        When a split removes no training sample, or tests none of the stretch.

    See Also
    --------
    ExtrapolationSplit : Removes or thins a tail.
    InterpolationSplit : Removes the middle.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.model_selection import BlindSpotSplit
    >>> y = np.arange(20.0)
    >>> splitter = BlindSpotSplit(3, share=0.1)
    >>> [y[spot] for spot in splitter.in_stretch(y)]
    [array([3., 4.]), array([ 9., 10.]), array([15., 16.])]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        share: float = 0.05,
        binning: Literal["quantile", "width"] = "quantile",
        test_size: float | int = 0.2,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_splits, share=share, binning=binning, test_size=test_size, random_state=random_state
        )

    def _places(self, number):
        return ((number + 0.5) / self.n_splits,)
