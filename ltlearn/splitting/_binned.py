"""Cross-validation in which every fold sees the tail.

:class:`BinnedStratifiedKFold` and :class:`BinnedStratifiedShuffleSplit` stratify continuous
labels and score distributions; :class:`RareClassStratifiedKFold` keeps every class, however rare,
in every training fold. All three keep groups together when ``groups`` is passed.

They sort the samples by bin (or class) and deal them out in that order, like cards. Every bin and
every run of neighboring bins, such as a tail, is then spread over the folds as evenly as its size
allows, while within a bin the order is arbitrary.
"""

import warnings
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.model_selection import BaseShuffleSplit, StratifiedGroupKFold
from sklearn.utils import check_random_state

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.metrics import LabelBands
from ltlearn.metrics._scores import as_scores
from ltlearn.utils._checks import (
    MAX_BINS,
    check_class_labels,
    check_count,
    check_same_length,
    check_size,
    naming,
)
from ltlearn.utils._compat import (
    GroupsConsumerMixin,
    _BaseKFold,
    _num_samples,
    _validate_shuffle_split,
)
from ltlearn.utils._typing import RowsLike

_DEFAULT_BINS = 10


def _check_binning(n_bins, binning):
    if n_bins is not None:
        check_count(n_bins, "n_bins", most=MAX_BINS)
    if not isinstance(binning, str) or binning not in ("quantile", "width"):
        raise ValueError(f'binning must be "quantile" or "width", got {binning!r}.')


def check_samples(X, y, groups):
    """Errors that name the argument, where scikit-learn's would not."""
    with naming("X"):
        _num_samples(X)
    if groups is not None:
        check_class_labels(groups, "groups")
    check_same_length(X=X, y=y, groups=groups)


def _generator(random_state):
    with naming("random_state"):
        return check_random_state(random_state)


def _bin_labels(scores, n_bins, binning):
    """Bin number of each score: bins with equal counts or of equal width."""
    if binning == "quantile":
        ranks = rankdata(scores, method="ordinal") - 1
        return ranks * n_bins // len(scores)
    edges = np.linspace(np.min(scores), np.max(scores), n_bins + 1)
    return np.searchsorted(edges[1:-1], scores, side="right")


def _sort_by_bin(bins, rng):
    """Order of the samples by bin; within a bin random, or as they come when ``rng`` is None."""
    n_samples = len(bins)
    within_bin = np.arange(n_samples) if rng is None else rng.permutation(n_samples)
    return np.lexsort((within_bin, bins))


class _TailWatch:
    """Warns about test folds that miss the tail, the 'few' band of all labels."""

    def __init__(self, scores):
        bands = LabelBands.from_density(scores)
        self.in_tail = bands.assign(scores) == bands.names.index("few")
        self.n_tail = np.count_nonzero(self.in_tail)

    def check(self, fold, test):
        if self.n_tail and not np.any(self.in_tail[test]):
            warnings.warn(
                f"Test fold {fold} holds no label of the 'few' band, to which {self.n_tail} of "
                f"{len(self.in_tail)} samples belong: it says nothing about the tail. Use fewer "
                "or larger test folds, or label more of the tail.",
                EmptyBandWarning,
                stacklevel=2,
            )


class BinnedStratifiedKFold(GroupsConsumerMixin, _BaseKFold):
    """K folds stratified by a continuous label or a score distribution.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    n_bins : int, default=None
        Number of bins of the label, up to a million. None takes, for ``binning="quantile"``
        without groups, as many as leave every fold a sample of each, and else 10.
    binning : {"quantile", "width"}, default="quantile"
        Bins with equal counts, or of equal width over the range of the labels.
    shuffle : bool, default=False
        Whether samples of the same bin are dealt out in random order.
    random_state : int, RandomState instance or None, default=None
        Controls the order when ``shuffle`` is True.

    Warns
    -----
    EmptyBandWarning
        When a test fold has no label of the tail, the ``"few"`` band of
        :meth:`ltlearn.metrics.LabelBands.from_density`.

    See Also
    --------
    RareClassStratifiedKFold : The counterpart for classes.

    Notes
    -----
    With ``groups`` the folds are those of :class:`sklearn.model_selection.StratifiedGroupKFold`
    on the bins: no group is in two of them, and the label is stratified as far as that allows.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.model_selection import BinnedStratifiedKFold
    >>> y = np.array([1.0, 9.5, 1.2, 2.1, 9.1, 2.0])
    >>> for train, test in BinnedStratifiedKFold(n_splits=2).split(np.zeros((6, 1)), y):
    ...     print(y[test])
    [1.  9.5 2.1]
    [1.2 9.1 2. ]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        n_bins: int | None = None,
        binning: Literal["quantile", "width"] = "quantile",
        shuffle: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        check_count(n_splits, "n_splits", least=2)
        super().__init__(n_splits, shuffle=shuffle, random_state=random_state)
        self.n_bins = n_bins
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
            Samples of one group stay together.

        Yields
        ------
        train, test : ndarray
            Sample numbers.
        """
        check_samples(X, y, groups)
        return super().split(X, y, groups)

    def _iter_test_indices(self, X, y, groups):
        scores = as_scores(y, "y")
        tail_watch = _TailWatch(scores)
        for fold, test in enumerate(self._test_folds(scores, groups)):
            tail_watch.check(fold, test)
            yield test

    def _test_folds(self, scores, groups):
        _check_binning(self.n_bins, self.binning)
        n_bins = self.n_bins
        if n_bins is None:
            finest = max(len(scores) // self.n_splits, 1)
            is_finest = self.binning == "quantile" and groups is None
            n_bins = finest if is_finest else min(finest, _DEFAULT_BINS)
        bins = _bin_labels(scores, n_bins, self.binning)
        rng = _generator(self.random_state) if self.shuffle else None
        if groups is None:
            order = _sort_by_bin(bins, rng)
            return [np.sort(order[fold :: self.n_splits]) for fold in range(self.n_splits)]
        return _grouped_folds(bins, groups, self.n_splits, rng)


def _grouped_folds(codes, groups, n_splits, rng):
    n_groups = len(np.unique(groups))
    if n_groups < n_splits:
        raise ValueError(f"n_splits={n_splits} folds need as many groups, got {n_groups}.")
    splitter = StratifiedGroupKFold(n_splits, shuffle=rng is not None, random_state=rng)
    with warnings.catch_warnings():
        # Rare bins and classes are what these splitters are for.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return [test for _, test in splitter.split(codes, codes, groups)]


class BinnedStratifiedShuffleSplit(GroupsConsumerMixin, BaseShuffleSplit):
    """Random splits stratified by a continuous label or a score distribution.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.
    test_size, train_size : float or int, default=None
        Share or number of samples (of groups, when ``groups`` is passed) to test and to train
        on. None takes what the other leaves; a test set of 10 % when both are None.
    n_bins : int, default=None
        Number of bins of the label, up to a million. None takes, for ``binning="quantile"``, as
        many as samples in the test set, so that each is represented once, and for ``"width"`` 10.
    binning : {"quantile", "width"}, default="quantile"
        Bins with equal counts, or of equal width over the range of the labels.
    random_state : int, RandomState instance or None, default=None
        Controls the randomness of the splits.

    Warns
    -----
    EmptyBandWarning
        When a test set has no label of the tail, the ``"few"`` band of
        :meth:`ltlearn.metrics.LabelBands.from_density`.

    Notes
    -----
    With ``groups``, whole groups are drawn, stratified by their mean label.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.model_selection import BinnedStratifiedShuffleSplit
    >>> y = np.array([1.0, 9.5, 1.2, 2.1, 9.1, 2.0])
    >>> splitter = BinnedStratifiedShuffleSplit(1, test_size=2, n_bins=2, random_state=0)
    >>> train, test = next(splitter.split(np.zeros((6, 1)), y))
    >>> y[test]
    array([2.1, 1. ])
    """

    def __init__(
        self,
        n_splits: int = 10,
        *,
        test_size: float | int | None = None,
        train_size: float | int | None = None,
        n_bins: int | None = None,
        binning: Literal["quantile", "width"] = "quantile",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_splits, test_size=test_size, train_size=train_size, random_state=random_state
        )
        self.n_bins = n_bins
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
            Samples of one group stay together.

        Yields
        ------
        train, test : ndarray
            Sample numbers.
        """
        check_samples(X, y, groups)
        return super().split(X, y, groups)

    def _iter_indices(self, X, y, groups=None):
        check_count(self.n_splits, "n_splits")
        check_size(self.test_size, "test_size")
        check_size(self.train_size, "train_size")
        _check_binning(self.n_bins, self.binning)
        scores = as_scores(y, "y")
        tail_watch = _TailWatch(scores)
        if groups is None:
            unit_of_sample, unit_scores = np.arange(len(scores)), scores
        else:
            _, unit_of_sample = np.unique(groups, return_inverse=True)
            unit_scores = np.bincount(unit_of_sample, weights=scores) / np.bincount(unit_of_sample)
        n_train, n_test = _validate_shuffle_split(
            len(unit_scores), self.test_size, self.train_size, self._default_test_size
        )
        finest = n_test if self.binning == "quantile" else _DEFAULT_BINS
        bins = _bin_labels(unit_scores, self.n_bins or finest, self.binning)
        rng = _generator(self.random_state)
        for fold in range(self.n_splits):
            order = _sort_by_bin(bins, rng)
            test_units = order[_spread(len(order), n_test, rng)]
            rest = order[~np.isin(order, test_units)]
            train_units = rest[_spread(len(rest), n_train, rng)]
            test = rng.permutation(np.flatnonzero(np.isin(unit_of_sample, test_units)))
            train = rng.permutation(np.flatnonzero(np.isin(unit_of_sample, train_units)))
            tail_watch.check(fold, test)
            yield train, test


def _spread(n_positions, n_chosen, rng):
    """Systematic sampling: ``n_chosen`` evenly spaced positions with a random start."""
    return (np.arange(n_chosen) * n_positions + rng.randint(n_positions)) // n_chosen


class RareClassStratifiedKFold(GroupsConsumerMixin, _BaseKFold):
    """Stratified K folds with every class in every training fold.

    Like :class:`sklearn.model_selection.StratifiedKFold`, but for classes with fewer samples than
    folds. A class of two or more samples is tested and trained on in turn. The sample of a class
    that has only one stays in training in every fold and is never tested, so that with such
    classes the test folds do not cover all samples, and
    :func:`~sklearn.model_selection.cross_val_predict` refuses them.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether samples of the same class are dealt out in random order.
    random_state : int, RandomState instance or None, default=None
        Controls the order when ``shuffle`` is True.

    See Also
    --------
    BinnedStratifiedKFold : The counterpart for continuous labels.

    Notes
    -----
    With ``groups`` the folds are those of :class:`sklearn.model_selection.StratifiedGroupKFold`;
    where a class would be missing from a training fold, its first group in the test fold stays in
    training with all its samples.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.model_selection import RareClassStratifiedKFold
    >>> y = np.array(["cat", "cat", "cat", "dog", "dog", "lynx"])
    >>> for train, test in RareClassStratifiedKFold(n_splits=2).split(np.zeros((6, 1)), y):
    ...     print(y[train], y[test])
    ['cat' 'dog' 'lynx'] ['cat' 'cat' 'dog']
    ['cat' 'cat' 'dog' 'lynx'] ['cat' 'dog']
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        check_count(n_splits, "n_splits", least=2)
        super().__init__(n_splits, shuffle=shuffle, random_state=random_state)

    def split(
        self, X: RowsLike, y: ArrayLike, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate indices to split data into training and test set.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Only the number of samples counts.
        y : array-like of shape (n_samples,)
            Class labels.
        groups : array-like of shape (n_samples,), default=None
            Samples of one group stay together.

        Yields
        ------
        train, test : ndarray
            Sample numbers.

        Raises
        ------
        ValueError
            When a test fold would be empty because its classes are needed in training.
        """
        check_samples(X, y, groups)
        return super().split(X, y, groups)

    def _iter_test_indices(self, X, y, groups):
        y = check_class_labels(y, "y", whole=True)
        _, codes = np.unique(y, return_inverse=True)
        rng = _generator(self.random_state) if self.shuffle else None
        if groups is None:
            groups = np.arange(len(codes))
            order = _sort_by_bin(codes, rng)
            folds = [np.sort(order[fold :: self.n_splits]) for fold in range(self.n_splits)]
        else:
            groups = check_class_labels(groups, "groups")
            folds = _grouped_folds(codes, groups, self.n_splits, rng)
        for fold, test in enumerate(folds):
            kept = self._without_last_of_class(test, codes, groups)
            if len(kept) == 0:
                raise ValueError(
                    f"Test fold {fold} would be empty: all its classes in y are found nowhere "
                    "else and stay in training. Use fewer folds."
                )
            yield kept

    @staticmethod
    def _without_last_of_class(test, codes, groups):
        """The test fold without one group of every class that training would lack."""
        missing_from_training = np.setdiff1d(codes[test], np.delete(codes, test))
        tested_classes, first = np.unique(codes[test], return_index=True)
        needed = test[first[np.isin(tested_classes, missing_from_training)]]
        return test[~np.isin(groups[test], groups[needed])]
