"""Rows as stacks and their heads pass them on, and how they are held out."""

import warnings
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_array, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.splitting import BinnedStratifiedKFold, RareClassStratifiedKFold
from ltlearn.stacking._scaling import ScaledRows, Scalers
from ltlearn.utils._checks import check_same_length, naming
from ltlearn.utils._compat import _check_sample_weight, _num_samples, _safe_indexing
from ltlearn.utils._whole import unwrap
from ltlearn.weighting._factors import BalancedRows


class Rows(NamedTuple):
    """Aligned rows; ``codes`` number the classes from 0. X may be :class:`ScaledRows`."""

    X: object
    codes: np.ndarray
    weight: np.ndarray | None
    n_classes: int

    def take(self, index):
        weight = None if self.weight is None else self.weight[index]
        scaled = isinstance(self.X, ScaledRows)
        X = self.X.take(index) if scaled else _safe_indexing(self.X, index)
        return self._replace(X=X, codes=self.codes[index], weight=weight)

    @property
    def balanced(self):
        """Class numbers with weights by which all classes count the same."""
        return BalancedRows.of(self.codes, self.n_classes, self.weight)

    @property
    def counts(self):
        """Rows of each class (K,), or their weight."""
        return np.bincount(self.codes, self.weight, minlength=self.n_classes).astype(float)


class Auxiliary(NamedTuple):
    """Aligned rows of auxiliary classes; ``codes`` number them from 0."""

    X: object
    codes: np.ndarray
    names: np.ndarray


def check_rows(estimator, X, y, sample_weight):
    """Rows of positive weight and the classes that they belong to.

    Returns
    -------
    rows : Rows
    classes : ndarray of shape (K,)
    used : ndarray of shape (n,)
        Numbers of these rows among those of X.
    """
    name = type(estimator).__name__
    if y is None:
        raise ValueError(
            f"This {name} estimator requires y to be passed, but the target y is None."
        )
    with naming("y"):
        y = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name="y"), warn=True)
        check_classification_targets(y)
    check_same_length(X=X, y=y)
    if sample_weight is not None:
        with naming("sample_weight"):
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        used = np.flatnonzero(sample_weight)
        if len(used) < len(y):
            X, y, sample_weight = _safe_indexing(X, used), y[used], sample_weight[used]
    else:
        used = np.arange(len(y))
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"{name} needs rows of at least two classes, but y has rows of positive weight from "
            f"{len(classes)} class."
        )
    return Rows(X, codes, sample_weight, len(classes)), classes, used


def check_auxiliary(X_aux, y_aux, X, classes, validate):
    """:class:`Auxiliary` rows, or None where there are none.

    ``validate`` turns ``X_aux`` into an array of the same kind as X.
    """
    if (X_aux is None) != (y_aux is None):
        raise ValueError("X_aux and y_aux belong together; pass both or neither.")
    if X_aux is None:
        return None
    X_aux, y_aux = unwrap("X_aux", X_aux, X), unwrap("y_aux", y_aux, X)
    try:
        X_aux = validate(X_aux)
    except ValueError as error:
        raise ValueError(f"X_aux is not as X: {error}") from error
    y_aux = column_or_1d(check_array(y_aux, ensure_2d=False, dtype=None, input_name="y_aux"))
    if _num_samples(X_aux) != len(y_aux):
        raise ValueError(
            f"X_aux has {_num_samples(X_aux)} rows and y_aux {len(y_aux)}. If both were as long "
            "when you passed them, one was sliced on the way: wrap both in ltlearn.Whole."
        )
    names, codes = np.unique(y_aux, return_inverse=True)
    shared = sorted(set(classes.tolist()) & set(names.tolist()))
    if shared:
        raise ValueError(
            f"The classes {shared} are in y and in y_aux. Auxiliary classes must be other ones "
            "than the target classes: rename them or leave their rows out."
        )
    return Auxiliary(X_aux, codes, names)


def scale_rows(rows, auxiliary):
    """The same, with X as :class:`ScaledRows`: floating-point numbers without gaps."""
    X = check_array(rows.X, dtype=[np.float64, np.float32])
    scalers = Scalers(X, rows.weight)
    rows = rows._replace(X=ScaledRows(X, scalers))
    if auxiliary is not None:
        X_aux = check_array(auxiliary.X, dtype=X.dtype)
        auxiliary = auxiliary._replace(X=ScaledRows(X_aux, scalers))
    return rows, auxiliary


def class_folds(cv, rows, used, random_state, groups=None):
    """Folds in which every class is trained on; an empty list where no row can be held out.

    Parameters
    ----------
    cv : int, splitter or iterable of (train, test)
        An iterable holds numbers of rows of X as it was passed.
    rows : Rows
    used : ndarray of shape (n,)
        Numbers that the rows had in X as it was passed.
    random_state : int or RandomState
        Deals rows out to the folds where ``cv`` is a number.
    groups : array-like of shape (n,), default=None
        Of the rows; those of a group stay together.
    """
    if isinstance(cv, Integral):
        n_splits = min(cv, np.bincount(rows.codes).max())
        if n_splits < 2:
            return []
        generator = check_random_state(random_state)
        cv = RareClassStratifiedKFold(n_splits, shuffle=True, random_state=generator)
    if hasattr(cv, "split"):
        return list(cv.split(np.zeros((len(rows.codes), 1)), rows.codes, groups))
    return [tuple(np.flatnonzero(np.isin(used, part)) for part in split) for split in cv]


class ScoredRows(NamedTuple):
    """Aligned rows with scores."""

    X: object
    y: np.ndarray
    weight: np.ndarray | None

    def take(self, index):
        weight = None if self.weight is None else self.weight[index]
        return ScoredRows(_safe_indexing(self.X, index), self.y[index], weight)


def check_scored_rows(estimator, X, y, sample_weight):
    """:class:`ScoredRows` of positive weight, and their numbers among those of X."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )
    y = check_scores(y, "y")
    check_same_length(X=X, y=y)
    used = np.arange(len(y))
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        used = np.flatnonzero(sample_weight)
        if len(used) < len(y):
            X, y, sample_weight = _safe_indexing(X, used), y[used], sample_weight[used]
    return ScoredRows(X, y, sample_weight), used


def check_scores(y, name):
    """Finite scores (n,), or an error that calls them by ``name``."""
    y = check_array(y, ensure_2d=False, dtype=np.float64, input_name=name)
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"{name} has {y.shape[1]} columns, and a stack predicts one score a row. For score "
            "distributions, fit ltlearn.ELTARegressor, or pass ltlearn.metrics.expected_score(y); "
            "for several targets, sklearn.multioutput.MultiOutputRegressor."
        )
    return column_or_1d(y, warn=True)


def check_scored_validation(estimator, X_val, y_val, X, y, validate):
    """:class:`ScoredRows` to weigh heads by, or None where there are none."""
    X_val, y_val = unwrap("X_val", X_val, X), unwrap("y_val", y_val, y)
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val belong together; pass both or neither.")
    if X_val is None:
        return None
    try:
        X_val = validate(X_val)
    except ValueError as error:
        raise ValueError(f"X_val is not as X: {error}") from error
    y_val = check_scores(y_val, "y_val")
    if _num_samples(X_val) != len(y_val):
        raise ValueError(f"X_val has {_num_samples(X_val)} rows and y_val {len(y_val)}.")
    return ScoredRows(X_val, y_val, None)


# From this many rows on, a single part of them says enough about what heads are worth.
_ROWS_FOR_ONE_PART = 2_000
_FOLDS, _PARTS = 3, 5


def score_folds(cv, rows, used, random_state, groups=None):
    """Folds of rows with scores; an empty list where no row can be held out.

    Parameters
    ----------
    cv : "auto", int, splitter or iterable of (train, test)
        ``"auto"`` is three folds below 2,000 rows, else a fifth held out once. An iterable holds
        numbers of rows of X as it was passed.
    rows : ScoredRows
    used : ndarray of shape (n,)
        Numbers that the rows had in X as it was passed.
    random_state : int or RandomState
        Deals rows out to the folds where ``cv`` is a number or "auto".
    groups : array-like of shape (n,), default=None
        Of the rows; those of a group stay together.
    """
    n_rows, takes_one = len(rows.y), False
    if isinstance(cv, str):
        takes_one = n_rows >= _ROWS_FOR_ONE_PART
        cv = _PARTS if takes_one else _FOLDS
    if isinstance(cv, Integral):
        n_splits = min(cv, n_rows // 2)
        if n_splits < 2:
            return []
        generator = check_random_state(random_state)
        cv = BinnedStratifiedKFold(n_splits, shuffle=True, random_state=generator)
    if hasattr(cv, "split"):
        with warnings.catch_warnings():
            # The folds serve to weigh heads, not to measure the tail.
            warnings.simplefilter("ignore", EmptyBandWarning)
            folds = list(cv.split(np.zeros((n_rows, 1)), rows.y, groups))
        return folds[:1] if takes_one else folds
    return [tuple(np.flatnonzero(np.isin(used, part)) for part in split) for split in cv]
