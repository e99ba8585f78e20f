"""Checks of what functions are given, whose errors say which argument is meant."""

import math
import re
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from numbers import Integral

import numpy as np
from sklearn.utils import check_array

from ltlearn.utils._compat import _check_sample_weight, _num_samples, is_number

# Squares of numbers up to this size, and sums of 10 million of them, are finite.
LARGEST = 1e150

# Up to here every whole number is a float.
_LARGEST_WHOLE = 2**53

_DATES = (date, timedelta, np.datetime64, np.timedelta64)

# Most bins that a range may be cut into: more would tell nothing and take all memory.
MAX_BINS = 1_000_000

# Largest whole number that arrays of them hold.
MAX_COUNT = 2**63 - 1

# Largest exponent or factor of logarithms of shares: beyond it float32 keeps no digit of anything
# that is added to the product.
MAX_EXPONENT = 1e6

# Most units of a layer.
MAX_WIDTH = 1_000_000


@contextmanager
def naming(name):
    """Put the name of an argument in front of errors about it that do not say which one it is."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # sums in a search for NaN
            yield
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, ValueError) and re.search(rf"\b{name}\b", str(error)):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {error}") from error


def check_numbers(values, name, *, limit=LARGEST, **options):
    """Finite float64 array of at most two dimensions, or an error that names the argument.

    Parameters
    ----------
    values : array-like
    name : str
    limit : float, default=1e150
        Largest magnitude allowed; None for any that is finite.
    **options : dict
        Of :func:`sklearn.utils.check_array`.
    """
    with naming(name):
        if holds_dates(values):
            raise ValueError(f"{name} holds dates or durations; turn them into numbers first.")
        options = {"ensure_2d": False, "dtype": np.float64, **options}
        numbers = values
        if not _is_checked(values, **options):
            numbers = check_array(values, input_name=name, **options)
    if limit is not None and np.max(np.abs(numbers), initial=0) > limit:
        raise ValueError(
            f"{name} holds {numbers.flat[np.argmax(np.abs(numbers))]:g}. Numbers beyond "
            f"±{limit:g} cannot be calculated with; use a larger unit."
        )
    return numbers


def _is_checked(values, *, ensure_2d, dtype, **options):
    """Whether ``check_array`` would give back an array as it is, which takes it some time to see.

    Options beyond these two are never checked.
    """
    is_plain = type(values) is np.ndarray and values.dtype == dtype and not options
    has_shape = is_plain and values.size > 0 and values.ndim in (1, 2)[ensure_2d:]
    return has_shape and bool(np.isfinite(values).all())


def holds_dates(values):
    """Whether an array, a column or columns of a frame, or a sequence holds dates or durations."""
    if isinstance(values, list | tuple):
        return len(values) > 0 and isinstance(values[0], _DATES)
    dtypes = getattr(values, "dtypes", getattr(values, "dtype", None))
    dtypes = dtypes if np.iterable(dtypes) and not hasattr(dtypes, "kind") else [dtypes]
    kinds = [getattr(dtype, "kind", None) for dtype in dtypes]
    if kinds == ["O"]:
        first = next(iter(np.ravel(values)), None)
        return isinstance(first, _DATES)
    return any(kind in ("M", "m") for kind in kinds)


def check_number_per_sample(values, name, *, limit=LARGEST):
    """Like :func:`check_numbers`, of shape (n_samples,)."""
    numbers = check_numbers(values, name, limit=limit)
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    if numbers.ndim != 1:
        raise ValueError(
            f"{name} must be a 1d array, one number per sample; got shape {numbers.shape}."
        )
    return numbers


def check_class_labels(values, name, *, whole=False):
    """Class labels of any one kind, an array (n_samples,), or an error that names the argument.

    With ``whole``, fractions are refused, too.
    """
    with naming(name):
        labels = np.asarray(values)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.dtype.kind == "S" or any(isinstance(label, bytes) for label in labels.flat):
            raise ValueError(f"{name} holds bytes, no class labels; decode them into strings.")
        if labels.ndim != 1:
            raise ValueError(
                f"{name} must be a 1d array, one label per sample; got shape {labels.shape}."
            )
        if len(labels) == 0:
            raise ValueError(f"{name} is empty, it has 0 samples: at least one is needed.")
        is_missing = labels.dtype == object and any(label is None for label in labels)
        if is_missing or labels.dtype.kind == "c" or np.any(labels != labels):
            raise ValueError(f"{name} holds complex numbers or missing values, no class labels.")
        if labels.dtype == object:
            labels = _of_one_kind(labels, name)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(f"{name} holds infinite numbers, no class labels.")
    if whole:
        _check_whole(labels, name)
    return labels


def _check_whole(labels, name):
    if labels.dtype == object and not isinstance(labels[0], str):
        raise ValueError(f"{name} must all be strings or all be numbers.")
    if labels.dtype.kind == "f" and (
        np.any(labels != np.rint(labels)) or np.max(np.abs(labels)) > _LARGEST_WHOLE
    ):
        raise ValueError(f"{name} holds fractions or huge numbers, such as scores, no labels.")


def _of_one_kind(labels, name):
    """An array of objects as one of numbers, where they are numbers."""
    if len({isinstance(label, str) for label in labels}) > 1:
        raise ValueError(f"{name} must all be strings or all be numbers.")
    if not isinstance(labels[0], str):
        numbers = np.array(labels.tolist())
        if numbers.dtype.kind in "biuf" and numbers.ndim == 1:
            return numbers
    np.unique(labels)  # an error where labels have no order
    return labels


def check_weights(sample_weight, X, name="sample_weight"):
    """One weight (n_samples,) per row of X, the largest at least 1/2 and below 1; ones for None.

    Only ratios of weights count wherever these are used. A power of 2 takes them to where no sum
    of them overflows, without rounding.
    """
    with naming(name):
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not np.any(weights):
        raise ValueError(f"All sample weights are zero ({name}): there is nothing to use.")
    return weights if sample_weight is None else scaled_by_power(weights)[0]


def scaled_by_power(values):
    """``values`` over a power of 2, the largest magnitude in [1/2, 1), and the exponent."""
    _, exponent = np.frexp(np.max(np.abs(values)))
    return np.ldexp(values, -exponent), int(exponent)


def check_same_length(**arrays):
    """Raise where arguments differ in their numbers of samples; those that are None are ignored."""
    lengths = {}
    for name, values in arrays.items():
        if values is not None:
            if isinstance(values, (set, frozenset, dict)):
                raise TypeError(f"{name} must be an array or a sequence, got {type(values)}.")
            with naming(name):
                lengths[name] = _num_samples(values)
    if len(set(lengths.values())) > 1:
        listed = " and ".join(f"{name} {n}" for name, n in lengths.items())
        raise ValueError(f"{' and '.join(lengths)} have inconsistent numbers of samples: {listed}.")


def check_range(values, name):
    """Lower and upper end of a range as floats, or an error that names the argument."""
    try:
        low, high = values
        ends = [float(end) for end in (low, high) if is_number(end)]
    except (TypeError, ValueError, OverflowError):
        ends = []
    if len(ends) != 2 or not -LARGEST <= ends[0] < ends[1] <= LARGEST:
        raise ValueError(
            f"{name} must be two finite numbers (low, high) and must increase; got {values!r}."
        )
    return tuple(ends)


def check_thresholds(many_above, few_below):
    """Raise where the limits of many and few are no numbers in this order."""
    for name, value in (("many_above", many_above), ("few_below", few_below)):
        if not is_number(value) or math.isnan(value):
            raise ValueError(f"{name} must be a number, got {value!r}.")
    if not few_below <= many_above:
        raise ValueError(
            f"few_below ({few_below}) must not be greater than many_above ({many_above})."
        )


def check_count(value, name, least=1, most=None):
    """Raise where a value is no whole number from ``least`` to ``most``."""
    is_count = is_number(value) and isinstance(value, Integral) and value >= least
    if not is_count or (most is not None and value > most):
        limits = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be an integer {limits}, got {value!r}.")


def check_widths(values, name="hidden_layer_sizes"):
    """Raise where values are no sequence of whole numbers of units, or one of them is too large."""
    is_sequence = isinstance(values, Sequence | np.ndarray) and np.ndim(values) == 1
    if not is_sequence or not all(
        is_number(width) and isinstance(width, Integral) and 1 <= width <= MAX_WIDTH
        for width in values
    ):
        raise ValueError(
            f"{name}={values!r} must be positive integers, none above {MAX_WIDTH}, in a list or "
            "tuple; it may be empty."
        )


def check_size(value, name):
    """Raise where a value is no share, whole number or None."""
    if value is not None and not (is_number(value) and math.isfinite(value)):
        raise ValueError(f"{name} must be a share, a whole number or None, got {value!r}.")
