"""Errors name the argument; numbers are numbers."""

import math
from fractions import Fraction
from numbers import Integral, Real

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context

from ltlearn.metrics import balanced_mae, shot_errors
from ltlearn.utils import _checks
from ltlearn.utils._compat import Interval, validate_params


@pytest.mark.parametrize("kind", [Integral, Real])
@pytest.mark.parametrize("value", [True, False, np.True_, np.bool_(0), Fraction(1, 2), 10**400, 1j])
def test_what_is_no_number_is_in_no_interval(kind, value):
    assert not Interval(kind, 0, None, closed="left").is_satisfied_by(value)


@pytest.mark.parametrize("value", [0, 1, np.int8(1), np.uint64(2**63), 2**70])
def test_integers_are_in_intervals(value):
    for kind in (Integral, Real):
        assert Interval(kind, 0, None, closed="left").is_satisfied_by(value)


def test_ends_of_intervals_are_those_of_scikit_learn():
    for value, closed in [(0, "left"), (1, "right"), (0.5, "neither")]:
        assert Interval(Real, 0, 1, closed=closed).is_satisfied_by(value)
    for value, closed in [(0, "right"), (1, "left"), (math.nan, "both"), ("a", "both")]:
        assert not Interval(Real, 0, 1, closed=closed).is_satisfied_by(value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shot_errors([1], [1], [1]), "too many positional arguments"),
        (lambda: shot_errors([1], [1]), "missing a required .*argument: 'bands'"),
        (lambda: shot_errors([1], [1], band=3), "band"),
    ],
)
def test_calls_that_do_not_fit_name_the_function_and_show_how(call, message):
    with pytest.raises(TypeError, match=rf"^shot_errors: .*{message}") as caught:
        call()
    assert "shot_errors(y_true, y_pred, *, bands, sample_weight=None)" in str(caught.value)


def test_validation_can_be_skipped_like_scikit_learns():
    @validate_params(
        {"a": [Interval(Real, 0, 1, closed="both")]}, prefer_skip_nested_validation=True
    )
    def f(a, b=2):
        return a, b

    assert f(1) == (1, 2)
    with pytest.raises(ValueError, match=r"'a' parameter of .*f must be a float in the range"):
        f(7)
    with config_context(skip_parameter_validation=True):
        assert f(7) == (7, 2)
    assert f.__name__ == "f"


@pytest.mark.parametrize(
    "values",
    [
        *([], None, "a", [[1], [1, 2]], [math.nan], [math.inf, -math.inf], [1e151], [10**400]),
        *([1j], ["a"], {}, {1}, np.zeros((2, 2, 2)), np.array(["2020"], "M8[D]"), 3.0),
        *(pd.Series([1, None], dtype="Int64"), np.zeros((2, 2))),
    ],
)
def test_errors_about_numbers_name_them(values):
    with pytest.raises((ValueError, TypeError), match=r"\bscores_of_test\b"):
        _checks.check_number_per_sample(values, "scores_of_test")


@pytest.mark.parametrize(
    "values",
    [
        *([], None, "a", [[1], [1, 2]], [math.nan], [math.inf], [None, 1], ["a", None], {}),
        *(np.array(["a", 1], object), [1j], np.zeros((2, 2)), pd.Series([1, None], dtype="Int64")),
        *([0.5], [1e300], [{}, {}], [2**70]),
    ],
)
def test_errors_about_labels_name_them(values):
    with pytest.raises((ValueError, TypeError), match=r"\blabels_of_test\b"):
        _checks.check_class_labels(values, "labels_of_test", whole=True)


@pytest.mark.parametrize(
    "values", [[1, 2], [1.0, 2.0], ["a", "b"], [True, False], np.array([1, 2], object), [[1], [2]]]
)
def test_labels_of_one_kind(values):
    labels = _checks.check_class_labels(values, "y", whole=True)
    assert labels.tolist() == np.ravel(values).tolist()


def test_weights_keep_their_ratios_exactly():
    weights = np.array([3.0, 0.0, 1e300, 7.1e-5])
    scaled = _checks.check_weights(weights, weights)
    assert 0.5 <= scaled.max() < 1
    assert math.log2(scaled[2] / 1e300) == round(math.log2(scaled[2] / 1e300))
    tiny = _checks.check_weights([5e-324, 1e-323], [0, 0])
    assert tiny.tolist() == [0.25, 0.5]
    assert _checks.check_weights(None, [0, 0]).tolist() == [1, 1]
    for bad in ([0, 0], [1, -1], [1, math.nan], [1], "a"):
        with pytest.raises((ValueError, TypeError), match="sample_weight"):
            _checks.check_weights(bad, [0, 0])


@pytest.mark.parametrize(
    "values",
    [
        *((1, 2, 3), ((0, 1), (2, 3)), (-math.inf, math.inf), (3, 3), (5, 1), "ab", (1,), 3),
        *((True, 2), ("0", "1"), (None, 1), (math.nan, 1), (-1e308, 1e308), {0: 1}, (0, 10**400)),
    ],
)
def test_what_is_no_range(values):
    with pytest.raises(ValueError, match="score_range must be two finite numbers"):
        _checks.check_range(values, "score_range")
    with pytest.raises(ValueError, match="score_range"):
        balanced_mae([1.0, 2.0], [1.0, 2.0], score_range=values)


def test_ranges():
    for values in [(0, 1), [0.0, 1.0], np.array([0, 1])]:
        assert _checks.check_range(values, "x") == (0.0, 1.0)


def test_lengths():
    _checks.check_same_length(X=[1, 2], y=np.zeros(2), groups=None)
    with pytest.raises(ValueError, match=r"X and y have inconsistent .*: X 2 and y 3"):
        _checks.check_same_length(X=[1, 2], y=[1, 2, 3])
    for bad in (3, {1, 2}, {1: 2}):
        with pytest.raises(TypeError, match="groups"):
            _checks.check_same_length(X=[1, 2], groups=bad)
