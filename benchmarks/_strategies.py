"""Calls with ordinary, extreme and illegal arguments, and what has to come of each.

:data:`FUNCTIONS` maps names of parts of the package to Hypothesis strategies of :class:`Case`;
:func:`violation` makes the call. A call must give finite output, or a ValueError or TypeError (or
what else the function documents) whose message names one of its arguments. NaN is for what a
warning says is undefined, such as the error in a band without samples. No call may end in a
warning of NumPy's.
"""

import math
import re
import tempfile
import warnings
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from ltlearn import calibration, datasets, metrics, weighting
from ltlearn import model_selection as splitters
from ltlearn.exceptions import BadImageError, EmptyBandWarning
from ltlearn.metrics import ClassBands, LabelBands

# The largest numbers of a kind, the smallest, what Python takes for numbers, and what is none.
SCALARS = [
    *(True, False, np.True_, 0, 1, -1, 2, 3, 7, -0.0, 0.5, 1.5, 20.0, Fraction(1, 3)),
    *(np.float32(0.5), np.int8(3), np.uint64(2), np.float64(2.0), Decimal("1.5"), 1j),
    *(10**7, 10**12, 2**63, 2**70, -(2**70), 10**400, 5e-324, 1e-308, 1e-160, 1e154, 1e308, -1e308),
    *(math.nan, math.inf, -math.inf, None, "", "a", "auto", "0.5", b"x", [], [1], (), {}, {1}),
    *(np.array(2.0), np.array([2]), np.datetime64("2020-01-01"), object, len),
]

# Arrays of one kind or another that are not one finite number, or one label, per sample.
ARRAYS = [
    *(None, "abc", 3.0, True, [], [[]], {}, {1, 2, 3}, len, np.float64(1.0), np.array(1.0)),
    *(["a", "b", "c"], [1, "a", 2], [None, 1, 2], [None] * 3, ["1", "2.5", "3"], [[1, 2], [3]]),
    *([math.nan, 1, 2], [math.inf, 1, 2], [1j, 2, 3], [10**400, 1, 2], [2**70, 1, 2]),
    *([True, False, True], [b"a", b"b"], [[1, 2], [3, 4], [5, 6]], [[0, 0], [1, 1], [2, 2]]),
    *([[-1, 2], [1, 1], [1, 1]], [[1e308, 1e308], [1, 1], [5e-324, 0]], np.zeros((3, 2, 2))),
    *(np.array(["2020-01-01", "2021-01-01", "NaT"], "datetime64[D]"), np.array([1, 2, 3], "m8[s]")),
    *(np.array([1, None, "a"], object), np.ma.array([1, 2, 3], mask=[0, 1, 0]), range(3)),
    *(pd.Series([1.0, None, 3.0]), pd.Series([1, None, 3], dtype="Int64"), pd.Series(["a", "b"])),
    *(pd.Series(["a", "b", "a"], dtype="category"), pd.DataFrame({"a": [1, 2], "b": [3, 4]})),
    *(sp.csr_matrix([[1.0], [0.0], [2.0]]), (x for x in ()), [[[1]], [[2]], [[3]]]),
    *([5e-324, 0, 1e-323], [1e308, -1e308, 0], [1e150, 1, 2], [0, 0, 0], [-0.0, 0.0, 1e-310]),
]

SCALES = [1.0] * 8 + [1e-3, 1e3, 5e-324, 1e-308, 1e-160, 1e17, 1e100, 1e150, 1e154, 1e200, 1e308]

DRAWS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "long-tailed": lambda rng, n: rng.lognormal(sigma=2, size=n),
    "whole": lambda rng, n: rng.integers(-3, 4, size=n).astype(float),
    "constant": lambda rng, n: np.full(n, rng.normal()),
    "nearly constant": lambda rng, n: 1 + 1e-16 * rng.integers(0, 3, size=n),
    "apart": lambda rng, n: rng.choice([-1.0, 1.0, 1e12], size=n) + rng.normal(size=n),
    "all magnitudes": lambda rng, n: rng.normal(size=n) * 10.0 ** rng.integers(-300, 300, size=n),
}


@dataclass
class Case:
    """A call, and what an error about it may say.

    Parameters
    ----------
    subject : str
        What is called.
    call : callable without arguments
    arguments : dict
        What it is called with, by name.
    names : tuple of str, default=()
        Further names that an error may have.
    errors : tuple of exception classes, default=()
        Documented errors beside ValueError and TypeError; they need not name an argument.
    """

    subject: str
    call: object = field(repr=False)
    arguments: dict
    names: tuple = ()
    errors: tuple = ()


def violation(case):
    """What is wrong with the outcome of a case, in words; None where nothing is."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("error", category=RuntimeWarning)
        try:
            output = case.call()
        except case.errors:
            return None
        except (ValueError, TypeError) as error:
            names = "|".join(map(re.escape, (*case.arguments, *case.names)))
            if re.search(rf"\b({names})\b", str(error)):
                return None
            return f"names no argument: {type(error).__name__}: {error}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    undefined = (EmptyBandWarning, UndefinedMetricWarning)
    may_be_nan = any(issubclass(warning.category, undefined) for warning in caught)
    return _not_finite(output, may_be_nan)


def _not_finite(output, may_be_nan):
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        found = (_not_finite(part, may_be_nan) for part in output)
        return next((text for text in found if text is not None), None)
    if output is None or isinstance(output, str):
        return None
    values = np.asarray(output)
    if values.dtype.kind not in "fiub":
        return f"output of type {values.dtype}"
    finite = np.isfinite(values) | (may_be_nan & np.isnan(values))
    return None if np.all(finite) else f"output that is not finite: {values[~finite].ravel()[:3]}"


# Arguments


@st.composite
def numbers(draw, n):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = DRAWS[draw(st.sampled_from(sorted(DRAWS)))](rng, n)
    with np.errstate(over="ignore", under="ignore"):
        return values * draw(st.sampled_from(SCALES))


@st.composite
def _distributions(draw, n):
    n_bins = draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shares = rng.integers(0, 5, size=(n, n_bins)) + (rng.random((n, n_bins)) < 0.5)
    shares[:, 0] += shares.sum(axis=1) == 0
    with np.errstate(over="ignore"):
        return shares * draw(st.sampled_from(SCALES))


@st.composite
def labels(draw, n):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = rng.zipf(1.7, size=n) % 6
    kind = draw(st.sampled_from(["int", "float", "text", "bool", "object"]))
    if kind == "text":
        return np.array(list("abcdef"))[codes]
    if kind == "bool":
        return codes > 2
    return codes.astype({"object": object}.get(kind, kind))


@st.composite
def _probabilities(draw, n, n_classes=None):
    n_classes = n_classes or draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    proba = rng.dirichlet(np.full(n_classes, draw(st.sampled_from([0.01, 1.0, 100.0]))), size=n)
    return proba / proba.sum(axis=1, keepdims=True)


def weights(n):
    whole = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    return st.none() | whole | numbers(n).map(np.abs)


def often(strategy, others):
    """Mostly an ordinary argument, one time in 15 any of ``others``."""
    # Hypothesis draws the ends of a range more often than what is between.
    return st.integers(0, 14).flatmap(lambda i: st.sampled_from(others) if i == 7 else strategy)


def array_or_not(strategy):
    return often(strategy, ARRAYS)


def scalar(*ordinary):
    return often(st.sampled_from(ordinary), SCALARS)


def small(*ordinary):
    """For numbers of epochs and the like, which a large one makes no error but a long wait."""
    is_large = [isinstance(value, (int, np.integer)) and value > 100 for value in SCALARS]
    return often(
        st.sampled_from(ordinary),
        [value for value, large in zip(SCALARS, is_large, strict=True) if not large],
    )


def scores(n):
    return array_or_not(numbers(n) | numbers(n) | _distributions(n))


def score_range():
    illegal = [(1, 2, 3), ((0, 1), (2, 3)), (-math.inf, math.inf), (3, 3), (5, 1), "ab", (1,)]
    illegal += [(None, 1), (True, 2), ("0", "1"), (-1e308, 1e308), (math.nan, 1), 3, {0: 1, 2: 3}]
    return often(st.sampled_from([None, (0, 1), [-3, 3.5], (0, 5e-324), (1e149, 1e150)]), illegal)


@st.composite
def _call(draw, subject, function, **strategies):
    """A case of ``function``; strategies may depend on the number of samples."""
    n = draw(st.sampled_from([1, 2, 3, 3, 3, 10, 40]))
    arguments = {}
    for name, strategy in strategies.items():
        n_here = n + (draw(st.integers(0, 29)) == 17)
        arguments[name] = draw(strategy(n_here) if callable(strategy) else strategy)
    return Case(subject, partial(function, **arguments), arguments)


def _optional(draw, **strategies):
    """Some of the keyword arguments."""
    return {name: draw(value) for name, value in strategies.items() if draw(st.booleans())}


# Metrics


def _bands(n):
    ordinary = [
        LabelBands.from_percentiles(np.arange(11.0)),
        LabelBands.from_density(np.arange(20.0) ** 2),
        LabelBands.from_bin_counts([30] * 150 + [60] * 50 + [90] * 3, bins=range(121)),
    ]
    return often(st.sampled_from(ordinary), [None, "few", ClassBands(["a"], [3]), 3])


def _class_bands(n):
    ordinary = [
        ClassBands(range(6), [500, 200, 50, 30, 3, 1]),
        ClassBands(list("abc"), [200, 9, 30]),
    ]
    return often(st.sampled_from(ordinary), [None, LabelBands.from_percentiles([1, 2, 3]), "few"])


def _bands_of(method):
    def build(**arguments):
        bands = getattr(LabelBands, method)(**arguments)
        codes = bands.assign([0.0, 1e100, *bands.boundaries])
        return [list(bands.boundaries), list(bands.counts.values()), codes]

    return build


def _class_bands_of(classes, class_counts, many_above, few_below):
    bands = ClassBands(classes, class_counts, many_above=many_above, few_below=few_below)
    return [list(bands.counts.values()), bands.assign(classes)]


_MANY_AND_FEW = {"many_above": scalar(100, 0.8, 0), "few_below": scalar(20, 0.2, 0)}
_CLASSES = {
    "y_true": lambda n: array_or_not(labels(n)),
    "y_pred": lambda n: array_or_not(labels(n)),
}
_PREDICTIONS = {"y_true": scores, "y_pred": scores}
_WEIGHTED = {"sample_weight": lambda n: array_or_not(weights(n))}


def _metric(name, **strategies):
    return _call(f"metrics.{name}", getattr(metrics, name), **strategies)


METRICS = st.one_of(
    *(_metric(name, **_PREDICTIONS) for name in ("srcc", "plcc", "prediction_spread")),
    _metric(
        "emd",
        y_true=lambda n: array_or_not(_distributions(n)),
        y_pred=lambda n: array_or_not(_distributions(n)),
        r=scalar(1, 2, 0.5),
        **_WEIGHTED,
    ),
    _metric(
        "percentile_mae",
        **_PREDICTIONS,
        bands=lambda n: st.none() | _bands(n),
        percentiles=often(
            st.sampled_from([(20, 80), (50,), [1e-9, 2e-9], ()]),
            [(80, 20), (math.nan,), ("a",), 20, None, (0, 100), [[20], [80]], "ab", (True, 3)],
        ),
        **_WEIGHTED,
    ),
    _metric("shot_errors", **_PREDICTIONS, bands=_bands, **_WEIGHTED),
    _metric(
        "balanced_mae",
        **_PREDICTIONS,
        n_bins=scalar(1, 10, 1000),
        score_range=score_range(),
        **_WEIGHTED,
    ),
    _metric(
        "expected_score",
        distributions=lambda n: array_or_not(_distributions(n)),
        bin_centers=lambda n: st.none() | array_or_not(numbers(n)),
    ),
    _metric("shot_accuracy", **_CLASSES, bands=_class_bands, **_WEIGHTED),
    _metric("worst_class_recall", **_CLASSES, **_WEIGHTED),
    _metric("geometric_mean_recall", **_CLASSES, **_WEIGHTED),
    _metric(
        "expected_calibration_error",
        y_true=lambda n: array_or_not(labels(n)),
        y_proba=lambda n: array_or_not(_probabilities(n) | st.just(np.linspace(0, 1, n))),
        n_bins=scalar(1, 15),
        labels=often(st.sampled_from([None, [0, 1], list("abc"), range(4)]), ARRAYS),
        **_WEIGHTED,
    ),
    _call(
        "LabelBands.from_percentiles",
        _bands_of("from_percentiles"),
        y=scores,
        percentiles=array_or_not(st.sampled_from([(20, 80), (50,), (1e-9, 2e-9), (0.1, 99.9)])),
    ),
    _call(
        "LabelBands.from_density",
        _bands_of("from_density"),
        y=scores,
        bandwidth=scalar(None, 0.1, 1e-3),
        **_MANY_AND_FEW,
    ),
    _call(
        "LabelBands.from_bin_counts",
        _bands_of("from_bin_counts"),
        y=scores,
        bins=scalar(1, 10, [0, 1, 2], [0, 5e-324], [1, 1], [3, 1]),
        **_MANY_AND_FEW,
    ),
    _call(
        "ClassBands",
        _class_bands_of,
        classes=array_or_not(
            st.sampled_from([[0, 1, 2], ["a", "b", "c"], [0.5, 1.5, 2], [1, 1, 2]])
        ),
        class_counts=array_or_not(st.sampled_from([[500, 50, 5], [0, 0, 0], [1e300, 1, 0.5]])),
        **_MANY_AND_FEW,
    ),
)


# Weighting


def _weighting(name, **strategies):
    return _call(f"weighting.{name}", getattr(weighting, name), **strategies)


WEIGHTING = st.one_of(
    _weighting(
        "label_density",
        y=lambda n: array_or_not(numbers(n)),
        at=lambda n: st.none() | array_or_not(numbers(n)),
        bandwidth=scalar(None, 0.1, 1.0),
    ),
    _weighting(
        "label_density_weights",
        y=lambda n: array_or_not(numbers(n)),
        scheme=scalar("inverse", "sqrt_inverse"),
        bandwidth=scalar(None, 0.1, 1.0),
        max_ratio=scalar(None, 1.0, 200.0),
    ),
    _weighting(
        "class_weights",
        y=lambda n: array_or_not(labels(n)),
        scheme=scalar("inverse", "sqrt_inverse", "effective_number"),
        beta=scalar(0, 0.9999, 1 - 1e-16),
    ),
)


# Calibration


def _map(method, predictions, y, sample_weight, at):
    fitted = calibration.RecalibrationMap(method).fit(predictions, y, sample_weight)
    recalibrated = fitted.predict(at)
    order = np.argsort(np.asarray(at, dtype=float).ravel(), kind="stable")
    steps = np.diff(recalibrated[order])
    if np.any(steps < -1e-9 * np.max(np.abs(recalibrated))):
        raise AssertionError("the order of predictions is reversed")
    return recalibrated


def _recalibrator(method, y, sample_weight, cv, held_out):
    n = len(y) if isinstance(y, np.ndarray) and y.ndim else 3
    X = np.random.default_rng(0).normal(size=(n, 2))
    model = calibration.Recalibrator(LinearRegression(), method=method, cv=cv)
    validation = {"X_val": X[: n // 2], "y_val": held_out} if held_out is not None else {}
    return model.fit(X, y, sample_weight, **validation).predict(X)


def _conformal(y, confidence_level, n_bands, cv, held_out, level):
    n = len(y) if isinstance(y, np.ndarray) and y.ndim else 3
    X = np.random.default_rng(0).normal(size=(n, 2))
    model = calibration.ConformalRegressor(
        LinearRegression(), confidence_level=confidence_level, n_bands=n_bands, cv=cv
    )
    validation = {"X_val": X[: n // 2], "y_val": held_out} if held_out is not None else {}
    intervals = model.fit(X, y, **validation).predict_interval(X, level)
    if np.any(intervals[:, 0] > intervals[:, 1]):
        raise AssertionError("an interval ends below where it begins")
    return intervals


def _logit_adjuster(y, tau, floor, cv):
    X = np.random.default_rng(0).normal(size=(len(y) if isinstance(y, np.ndarray) else 3, 2))
    model = calibration.LogitAdjuster(
        DecisionTreeClassifier(max_depth=2), tau=tau, floor=floor, cv=cv
    )
    return model.fit(X, y).predict_proba(X)


_METHOD = scalar("stretch", "linear", "isotonic", "cubic")

CALIBRATION = st.one_of(
    _call(
        "RecalibrationMap",
        _map,
        method=_METHOD,
        predictions=lambda n: array_or_not(numbers(n)),
        y=lambda n: array_or_not(numbers(n)),
        sample_weight=lambda n: array_or_not(weights(n)),
        at=lambda n: numbers(n) | st.just(np.linspace(-9, 9, 50)),
    ).map(lambda case: _with_names(case, "predictions")),
    _call(
        "Recalibrator",
        _recalibrator,
        method=_METHOD,
        y=lambda n: array_or_not(numbers(n)),
        sample_weight=lambda n: st.none() | st.just(np.ones(n)),
        cv=scalar(2, 3),
        held_out=lambda n: st.none() | numbers(n // 2),
    ).map(lambda case: _with_names(case, "X_val", "y_val", "n_splits", "predictions")),
    _call(
        "ConformalRegressor",
        _conformal,
        y=lambda n: array_or_not(numbers(n)),
        confidence_level=scalar(0.5, 0.5, 0.9, 0.01),
        n_bands=scalar("auto", 1, 2),
        cv=scalar(2, 3),
        held_out=lambda n: st.none() | numbers(n // 2),
        level=scalar(None, 0.6),
    ).map(lambda case: _with_names(case, "X_val", "y_val", "n_splits", "predictions", "bands")),
    _call(
        "LogitAdjuster",
        _logit_adjuster,
        y=lambda n: array_or_not(labels(n)),
        tau=scalar(0.0, 1.0, "auto"),
        floor=scalar("auto", 0.0, 1e-3),
        cv=scalar(2, 3),
    ).map(lambda case: _with_names(case, "X_val", "n_splits", "classes")),
    _call(
        "adjust_proba",
        calibration.adjust_proba,
        proba=lambda n: array_or_not(_probabilities(n, 3)),
        prior=array_or_not(
            numbers(3).map(np.abs) | st.sampled_from([[0.9, 0.09, 0.01], [1, 2, 3]])
        ),
        tau=scalar(0, 1.0, 2.5),
    ),
)


def _with_names(case, *names):
    case.names = names
    return case


# Splitters


def _splits(splitter, X, y, groups, **params):
    folds = list(islice(getattr(splitters, splitter)(**params).split(X, y, groups), 4))
    for fold in folds:
        train, test = fold
        if np.intersect1d(train, test).size or not len(train) or not len(test):
            raise AssertionError("training and test rows overlap, or there are none")
        if (
            groups is not None
            and np.isin(np.asarray(groups)[train], np.asarray(groups)[test]).any()
        ):
            raise AssertionError("a group is in training and test")
    return folds


@st.composite
def _splitter_case(draw, name, y, **params):
    n = draw(st.sampled_from([1, 2, 5, 12, 12, 40, 40]))
    n_groups = draw(st.integers(1, 8))
    arguments = {
        "X": draw(array_or_not(st.just(np.zeros((n, 1))))),
        "y": draw(y(n)),
        "groups": draw(st.none() | array_or_not(st.just(np.arange(n) % n_groups))),
        **_optional(draw, random_state=scalar(None, 0, 1), **params),
    }
    names = ("n_splits", "test_size", "train_size", "share")
    return Case(name, partial(_splits, name, **arguments), arguments, names)


_FOLDS = {"n_splits": scalar(2, 3, 5), "shuffle": scalar(True, True, False)}
_BINNING = {"n_bins": scalar(None, 1, 3, 10), "binning": scalar("quantile", "width")}
_SIZES = {"test_size": scalar(None, 0.3, 1, 2), "train_size": scalar(None, 0.3, 1, 2)}

_STRESS = {
    "n_splits": scalar(1, 2),
    "share": scalar(0.1, 0.3),
    "binning": scalar("quantile", "width"),
    "test_size": scalar(0.2, 0.5, 1),
}

SPLITTERS = st.one_of(
    _splitter_case("BinnedStratifiedKFold", scores, **_FOLDS, **_BINNING),
    _splitter_case(
        "BinnedStratifiedShuffleSplit", scores, n_splits=scalar(1, 2), **_SIZES, **_BINNING
    ),
    _splitter_case("RareClassStratifiedKFold", lambda n: array_or_not(labels(n)), **_FOLDS),
    _splitter_case(
        "ExtrapolationSplit",
        scores,
        tail=scalar("upper", "lower", "both"),
        kept=scalar(0.0, 0.1),
        **_STRESS,
    ),
    _splitter_case("InterpolationSplit", scores, **_STRESS),
    _splitter_case("BlindSpotSplit", scores, **_STRESS),
)


# Label files

_CELLS = st.sampled_from(
    [
        *("a", "a.jpg", "b", "../a.jpg", "/etc/hostname", "sub/b", ".", "x" * 300, "\0", "ü", ""),
        *("0", "3", "1e400", "1e308", "-2", "nan", " 4", '"5"', '"'),
    ]
)


@st.composite
def _label_file(draw):
    name = draw(st.sampled_from(["read_aadb", "read_ava", "read_para", "read_tad66k"]))
    columns = ["score"] if name != "read_ava" else [f"score{k}" for k in range(2, 12)]
    header = draw(often(st.just(",".join(["image_id", *columns])), ["image_id", "", "a,b"]))
    values = [str(value) for value in range(3, 3 + len(columns))]
    lines = [",".join([image, *values]) for image in draw(st.sampled_from(["a", "ab"]))]
    if draw(st.booleans()):
        lines += draw(st.lists(st.lists(_CELLS, max_size=12).map(",".join), max_size=3))
    arguments = {
        "labels_file": "\n".join([header, *lines]),
        "on_missing": draw(scalar("raise", "drop")),
    }
    call = partial(_read_label_file, name, **arguments)
    return Case(f"datasets.{name}", call, arguments, ("images_dir", "labels.csv"), (BadImageError,))


def _read_label_file(name, labels_file, on_missing):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "images").mkdir()
        (Path(folder) / "images" / "a.jpg").touch()
        (Path(folder) / "images" / "b.png").touch()
        path = Path(folder) / "labels.csv"
        path.write_text(labels_file, encoding="utf-8")
        read = getattr(datasets, name)
        paths, y = read(Path(folder) / "images", path, on_missing=on_missing)
        if not all(Path(image).resolve().is_relative_to(folder) for image in paths):
            raise AssertionError("an image outside the folder")
        return y


FUNCTIONS = {
    "metrics": METRICS,
    "weighting": WEIGHTING,
    "calibration": CALIBRATION,
    "splitters": SPLITTERS,
    "datasets": _label_file(),
}
