"""Training, validation and test rows of a comparison, the same for every estimator."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from sklearn.model_selection import StratifiedGroupKFold

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.splitting import (
    BinnedStratifiedKFold,
    BinnedStratifiedShuffleSplit,
    RareClassStratifiedKFold,
)

_PARTS_OF_GROUPS = 20  # from which validation parts are put together
_MOST_BINS = 10


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of one split under one seed.

    Attributes
    ----------
    index : int
        Number of the split, the same under every seed.
    seed : int
        The seed that cut the validation part and that the estimators get.
    train, validation, test : ndarray of int
        Row numbers; ``validation`` may be empty.
    groups : ndarray of shape (n_train,) or None
        Groups of the training rows, where there are groups.
    """

    index: int
    seed: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    groups: np.ndarray | None = None

    def describe(self):
        """Number, seed and sizes, as a comparison reports them."""
        return {
            "split": self.index,
            "seed": self.seed,
            "n_train": len(self.train),
            "n_validation": len(self.validation),
            "n_test": len(self.test),
        }


def make_splits(X, y, cv, seeds, validation_fraction, classification, groups=None):
    """List every :class:`Split`: for each split of ``cv``, one per seed.

    Parameters
    ----------
    X : array-like of n_samples rows
    y : ndarray of shape (n_samples,)
        Scores or classes.
    cv : int, splitter, or iterable of (train, test) or (train, validation, test)
    seeds : sequence of int
    validation_fraction : float in [0, 1)
        Share of the training rows cut out for validation where ``cv`` gives none.
    classification : bool
    groups : ndarray of shape (n_samples,), default=None
        Passed to ``cv``; no group may be in two parts of a split, and none is cut in two for
        validation.

    Returns
    -------
    list of Split
    """
    splits = []
    for index, parts in enumerate(_partitions(X, y, cv, seeds[0], classification, groups)):
        parts = [_row_numbers(part, len(y)) for part in parts]
        _check_partition(index, parts, groups)
        train, *validation, test = parts
        train_groups = None if groups is None else groups[train]
        for seed in seeds:
            if validation:
                splits.append(Split(index, seed, train, validation[0], test, train_groups))
                continue
            inner, held_out = cut_validation(
                y[train], validation_fraction, seed, classification, train_groups
            )
            inner_groups = None if groups is None else train_groups[inner]
            parts = train[inner], train[held_out], test
            splits.append(Split(index, seed, *parts, inner_groups))
    if not splits:
        raise ValueError("cv gives no split.")
    return splits


def _partitions(X, y, cv, seed, classification, groups):
    if isinstance(cv, (int, np.integer)):
        folds = RareClassStratifiedKFold if classification else BinnedStratifiedKFold
        cv = folds(n_splits=int(cv), shuffle=True, random_state=seed)
    if not hasattr(cv, "split"):
        return cv
    return cv.split(X, y) if groups is None else cv.split(X, y, groups)


def _row_numbers(part, n_rows):
    part = np.asarray(part)
    if part.dtype == bool and part.shape == (n_rows,):
        return np.flatnonzero(part)
    if part.ndim != 1 or (part.size and part.dtype.kind not in "iu"):
        raise ValueError(
            "Each part of a split must be a 1-D array of row numbers or a mask of "
            f"{n_rows} rows; got shape {part.shape} and dtype {part.dtype}."
        )
    if part.size and not (part.min() >= 0 and part.max() < n_rows):
        raise ValueError(f"Row numbers of a split must be from 0 to {n_rows - 1}.")
    return part.astype(np.intp)


def _check_partition(index, parts, groups):
    if len(parts) not in (2, 3):
        raise ValueError(
            "Each split must be (train, test) or (train, validation, test); "
            f"split {index} has {len(parts)} parts."
        )
    if not (len(parts[0]) and len(parts[-1])):
        raise ValueError(f"Split {index} has no training row or no test row.")
    if len(np.intersect1d(np.concatenate(parts[:-1]), parts[-1])) or (
        len(parts) == 3 and len(np.intersect1d(parts[0], parts[1]))
    ):
        raise ValueError(f"The parts of split {index} share rows.")
    if groups is not None:
        in_parts = np.concatenate([np.unique(groups[part]) for part in parts])
        found, counts = np.unique(in_parts, return_counts=True)
        if np.any(counts > 1):
            raise ValueError(
                f"The parts of split {index} share the group {found[counts > 1][0]!r}: give a cv "
                "that keeps groups together, such as GroupKFold, or a number of folds."
            )


def cut_validation(y, fraction, seed, classification, groups=None):
    """Positions in ``y`` of the rows to train on and of the rows to validate on."""
    if fraction == 0:
        return np.arange(len(y)), np.arange(0)
    if groups is not None:
        held_out = _sample_of_groups(y, fraction, seed, classification, groups)
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)
    if not classification:
        cut = BinnedStratifiedShuffleSplit(n_splits=1, test_size=fraction, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EmptyBandWarning)  # it speaks of test folds
            return next(cut.split(y, y))
    held_out = _stratified_sample(y, fraction, np.random.default_rng(seed))
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _stratified_sample(classes, fraction, rng):
    """Mask of about ``fraction`` of every class, but never all of a class.

    Rows are sorted by class, shuffled within, and taken at equal distances, so that classes
    too small for a row of their own still share rows in proportion to their size.
    """
    _, codes = np.unique(classes, return_inverse=True)
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    quota = np.floor(fraction * np.arange(len(codes) + 1) + rng.random())
    chosen = np.zeros(len(codes), dtype=bool)
    chosen[order] = np.diff(quota) > 0
    return chosen & np.isin(codes, codes[~chosen])


def _sample_of_groups(y, fraction, seed, classification, groups):
    """Mask of whole groups that hold about ``fraction`` of the rows, stratified along the label.

    Never all rows of a class are among them. Where groups are large or few, the share may be far
    from ``fraction``.
    """
    if classification:
        _, codes = np.unique(y, return_inverse=True)
    else:
        n_bins = min(max(len(y) // _PARTS_OF_GROUPS, 1), _MOST_BINS)
        codes = (rankdata(y, method="ordinal") - 1).astype(np.intp) * n_bins // len(y)
    n_parts = min(len(np.unique(groups)), _PARTS_OF_GROUPS, np.bincount(codes).max())
    held_out = np.zeros(len(y), dtype=bool)
    if n_parts > 1:
        parts = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            tests = [test for _, test in parts.split(codes, codes, groups) if len(test)]
        n_held_out = min(max(round(fraction * n_parts), 1), len(tests) - 1)
        # Its parts hardly depend on the seed, so those to hold out are drawn.
        for part in np.random.default_rng(seed).permutation(len(tests))[:n_held_out]:
            held_out[tests[part]] = True
    if classification:
        for code in np.setdiff1d(codes[held_out], codes[~held_out]):
            held_out[groups == groups[held_out & (codes == code)][0]] = False
    if not held_out.any():
        raise ValueError(
            "No group can be cut out of the training rows for validation: there is one alone, or "
            "a class would be missing from training. Give validation rows in cv, or set "
            "validation_fraction=0."
        )
    return held_out
