"""Drawn calls give finite output, or an error that names an argument.

``python benchmarks/soak.py --cases 10000`` draws more of the same.
"""

import importlib
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from ltlearn.exceptions import EmptyBandWarning, NonFiniteLossError

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
strategies = importlib.import_module("_strategies")
estimators = importlib.import_module("_estimator_strategies")
sys.path.pop(0)

N_CASES = {
    "metrics": 200,
    "weighting": 80,
    "calibration": 80,
    "splitters": 80,
    "datasets": 40,
    "estimators": 150,
}
GROUPS = {**strategies.FUNCTIONS, "estimators": estimators.ESTIMATORS}


@pytest.mark.parametrize("group", N_CASES)
def test_output_is_finite_or_the_error_names_an_argument(group):
    @settings(
        max_examples=N_CASES[group],
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(GROUPS[group])
    def hold(case):
        found = strategies.violation(case)
        assert found is None, f"{case.subject}: {found}"

    hold()


@pytest.mark.parametrize("group", N_CASES)
def test_ordinary_calls_are_among_them(group):
    """At least a quarter of the calls give something; the others are refused."""
    outcomes = []

    @settings(
        max_examples=N_CASES[group],
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(GROUPS[group])
    def call(case):
        try:
            case.call()
            outcomes.append(True)
        except (ValueError, TypeError, OSError, NonFiniteLossError):
            outcomes.append(False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call()
    assert np.mean(outcomes) > 1 / 4


def case(call, **arguments):
    return strategies.Case("f", lambda: call(**arguments), arguments)


def fail(error):
    def call(**arguments):
        raise error

    return call


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (lambda tau: 1.0, None),
        (lambda tau: {"a": [1, np.ones(3)]}, None),
        (lambda tau: {"a": [1, np.array([1, np.nan])]}, "not finite"),
        (lambda tau: np.inf, "not finite"),
        (fail(ValueError("tau must be positive")), None),
        (fail(TypeError("the 'tau' parameter")), None),
        (fail(ValueError("taut")), "names no argument"),
        (fail(ValueError("it must be positive")), "names no argument"),
        (fail(ZeroDivisionError("tau")), "ZeroDivisionError"),
        (lambda tau: np.float64(1e308) * 10, "RuntimeWarning"),
    ],
)
def test_what_counts_as_a_violation(call, found):
    text = strategies.violation(case(call, tau=1.0))
    assert text is None if found is None else found in text


def test_undefined_values_are_for_a_warning_to_announce():
    def undefined(warn):
        if warn:
            warnings.warn("empty", EmptyBandWarning, stacklevel=1)
        return {"few": np.nan}

    assert strategies.violation(case(undefined, warn=True)) is None
    assert "not finite" in strategies.violation(case(undefined, warn=False))

    def infinite(warn):
        undefined(warn)
        return np.inf

    assert "not finite" in strategies.violation(case(infinite, warn=True))
