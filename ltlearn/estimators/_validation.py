"""Rows that come into ``fit``: checking them, and holding some of them out."""

import math
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from ltlearn.data._inputs import ArrayInputs, ColumnInputs
from ltlearn.data._views import some_rows, take_rows
from ltlearn.datasets._mapping import as_file
from ltlearn.estimators._backbone import takes_tables
from ltlearn.exceptions import OutOfRangeWarning
from ltlearn.utils._checks import check_same_length, check_weights, holds_dates, naming
from ltlearn.utils._whole import Whole, unwrap


class Rows(NamedTuple):
    """Aligned rows of one part of the data; ``weight`` is None where all rows count the same."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    def take(self, index):
        weight = None if self.weight is None else self.weight[index]
        return Rows(take_rows(self.X, index), self.y[index], weight)


def stored_as_files(estimator, **rows):
    """What comes into fit, by name; arrays in stores of their own are unpacked once for all.

    Parameters
    ----------
    estimator : BaseDeepEstimator
    **rows : dict of str to object
        Those whose names begin with X may be stored; they may be wrapped in Whole.
    """
    is_table, files = takes_tables(estimator), {}
    for name, values in rows.items():
        if name[0] == "X":
            is_wrapped = isinstance(values, tuple) and len(values) == 1
            with naming(name):
                file = as_file(values[0] if is_wrapped else values, is_table=is_table)
            values = Whole(file) if is_wrapped else file
        files[name] = values
    return files


def validate_fit_rows(
    estimator, X, y, sample_weight, X_val, y_val, sample_weight_val=None, *, reset
):
    """Check all rows that come into fit.

    Parameters
    ----------
    estimator : BaseDeepEstimator
        Its ``_inputs`` check X and its ``_encode_y`` the targets.
    X, y, sample_weight, X_val, y_val, sample_weight_val
        As passed to ``fit``.
    reset : bool
        Whether to learn what there is to know of X and y.

    Returns
    -------
    train : Rows
        Without rows of weight 0.
    valid : Rows or None
        None when no validation rows were passed. Without rows of weight 0; weights have mean 1.
    """
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val belong together; pass both or neither.")
    X_val = unwrap("X_val", X_val, X)
    if y_val is not None:
        y_val = unwrap("y_val", y_val, y)
    sample_weight_val = unwrap("sample_weight_val", sample_weight_val, X)
    if sample_weight_val is not None and X_val is None:
        raise ValueError(
            "sample_weight_val belongs to X_val and y_val, which were not passed; rows held out "
            "from X take their weights from sample_weight."
        )
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )
    with naming("X"):
        X = estimator._inputs.check(estimator, X, reset=reset)
    y = estimator._encode_y(y, reset=reset)
    check_same_length(X=X, y=y)
    train = Rows(X, y, None)
    if sample_weight is not None:
        weight = check_weights(sample_weight, X)
        train = Rows(X, y, weight).take(weight > 0)
    usable = estimator._inputs.usable_rows(train.X)
    if len(usable) < len(train.X):
        train = train.take(usable)
    if X_val is None:
        return train, None
    X_val = validate_X(estimator, X_val, "X_val")
    y_val = estimator._encode_y(y_val, reset=False, name="y_val")
    if len(X_val) != len(y_val):
        raise ValueError(f"X_val has {len(X_val)} rows and y_val {len(y_val)}.")
    _warn_of_other_inputs(estimator, "X_val", X_val, train.X)
    if is_regressor(estimator):
        warn_of_other_scale("y_val", estimator._stratification(y_val), estimator._stratification(y))
    if sample_weight_val is None:
        return train, Rows(X_val, y_val, None)
    weight = check_weights(sample_weight_val, X_val, "sample_weight_val")
    valid = Rows(X_val, y_val, weight).take(weight > 0)
    return train, valid._replace(weight=weighted_mean_one(valid.weight))


def validate_X(estimator, X, name="X"):
    """Check rows of the kind that fit saw; errors call them by ``name``."""
    try:
        with naming("X"):
            return estimator._inputs.check(estimator, X, reset=False)
    except (TypeError, ValueError) as error:
        if name == "X":
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} is not as X: {error}") from error


# Rows count as of another scale when, of so many at least, most lie further beyond the range of the
# training rows than that is long; or when in most columns their quartiles are ten times closer.
_FEWEST_ROWS = 5
_FEWEST_ROWS_FOR_QUARTILES = 20
_SMALLEST_SPREAD = 0.1


def warn_of_other_scale(name, values, like):
    """Warn about rows that lie far outside what the rows ``like`` span, or all in one spot of it.

    Parameters
    ----------
    name : str
        Of the argument that the rows were passed as: X_val, y_val, X_aux or X_unlabeled.
    values, like : ndarray of shape (n, ...), (m, ...)

    Warns
    -----
    OutOfRangeWarning
    """
    if like.dtype.kind not in "iuf" or min(len(values), len(like)) < _FEWEST_ROWS or like.ndim > 2:
        return
    values, like = (a.reshape(len(a), -1).astype(np.float64) for a in (values, like))
    known = ~(np.isnan(like).all(axis=0) | np.isnan(values).all(axis=0))
    values, like = values[:, known], like[:, known]
    low, high = np.nanmin(like, axis=0), np.nanmax(like, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        margin = high - low
        beyond = ((values < low - margin) | (values > high + margin)).mean(axis=0) > 0.5
        spread, own_spread = (
            np.subtract(*np.nanquantile(a, [0.75, 0.25], axis=0)) for a in (like, values)
        )
    beyond &= high > low
    varies = spread > 0
    # Quartiles that are equal say nothing of a scale: features are often zero in most rows.
    narrow = (own_spread > 0)[varies] & (own_spread < _SMALLEST_SPREAD * spread)[varies]
    is_narrow = len(values) >= _FEWEST_ROWS_FOR_QUARTILES and narrow.sum() > 0.5 * len(narrow)
    if not beyond.any() and not is_narrow:
        return
    what = "spread over less than a tenth of what"
    if beyond.any():
        where = "" if len(known) == 1 else f" in column {np.flatnonzero(known)[beyond][0]}"
        what = f"mostly lie far outside{where} of what"
    y_name = "y" if name.startswith("y") else "X"
    advice = (
        "Targets that a meta-estimator transforms have to be transformed here, too"
        if name.startswith("y")
        else "Steps of a pipeline before this estimator transform X alone; transform these rows, "
        "too, or name them in Pipeline(transform_input=[...])"
    )
    warnings.warn(f"{name} {what} {y_name} spans. {advice}.", OutOfRangeWarning, stacklevel=2)


def validate_more_rows(estimator, X, name, like):
    """Check rows that are to be trained on together with the rows ``like``."""
    X = validate_X(estimator, X, name)
    is_array = isinstance(estimator._inputs, ArrayInputs)
    becomes_float = is_array and min(X.itemsize, like.itemsize) > 1
    same_kind = X.dtype.kind == like.dtype.kind or becomes_float
    if X.shape[1:] != like.shape[1:] or not same_kind:
        raise ValueError(
            f"{name} has samples of shape {X.shape[1:]} and type {X.dtype}, X of shape "
            f"{like.shape[1:]} and type {like.dtype}; they must be of the same kind."
        )
    _warn_of_other_inputs(estimator, name, X, like)
    return X


def _warn_of_other_inputs(estimator, name, X, like):
    if X.ndim > 2:
        return
    X, like = some_rows(X), some_rows(like)
    if isinstance(estimator._inputs, ColumnInputs):
        X, like = (estimator._inputs.measured(each) for each in (X, like))
    warn_of_other_scale(name, X, like)


def check_labels(y, name):
    """Class labels (n,) without missing ones, or an error that calls them by ``name``."""
    with naming(name):
        if holds_dates(y):
            raise ValueError(
                f"{name} holds dates or durations, which are no class labels; make classes of "
                "them first, such as months."
            )
        y = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name=name), warn=True)
    labels = y.tolist() if y.dtype == object else y[:1].tolist()
    kinds = {str if isinstance(label, str) else type(label) for label in labels}
    if len(kinds) > 1 and (str in kinds or type(None) in kinds):
        raise ValueError(
            f"{name} mixes labels of the types {sorted(kind.__name__ for kind in kinds)}: label "
            "or drop missing ones, and give all labels one type."
        )
    try:
        with np.errstate(invalid="ignore"):
            check_classification_targets(y)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} cannot be used as class labels: {error}") from error
    return y


def hold_out(rows, fraction, strata, random_state, can_be_held_out=None):
    """Split off validation rows, a fraction of every stretch of the targets.

    Parameters
    ----------
    rows : Rows
    fraction : float
    strata : ndarray of shape (n,)
        A number per row, such that rows close in it are alike.
    random_state : numpy.random.RandomState
    can_be_held_out : callable, default=None
        From row numbers to a boolean array: which of them training can do without.

    Returns
    -------
    train, valid : Rows
    """
    n_valid = max(1, round(fraction * len(rows.X)))
    if n_valid >= len(rows.X):
        raise ValueError(
            f"validation_fraction={fraction} of {len(rows.X)} rows leaves none to train on. Pass "
            "more rows, X_val and y_val, or early_stopping=False."
        )
    order = np.lexsort((random_state.random_sample(len(rows.X)), strata))
    stretch, n_larger = divmod(len(order), n_valid)
    sizes = np.where(np.arange(n_valid) < n_larger, stretch + 1, stretch)
    held_out = order[np.cumsum(sizes) - sizes + random_state.randint(sizes)]
    del order
    held_out.sort()
    if can_be_held_out is not None:
        held_out = held_out[can_be_held_out(held_out)]
    if not len(held_out):
        raise ValueError(
            "No row can be held out for validation. Pass X_val and y_val, or early_stopping=False."
        )
    is_left = np.ones(len(rows.X), dtype=bool)
    is_left[held_out] = False
    return rows.take(np.flatnonzero(is_left)), rows.take(held_out)


def weighted_mean_one(weight):
    """Weights scaled to a mean of one, so that they do not change the learning rate."""
    weight = weight / weight.max()  # extreme weights would overflow in the sum
    return weight * (len(weight) / math.fsum(weight))
