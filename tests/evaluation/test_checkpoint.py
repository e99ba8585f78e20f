import copy
import json
import os
import pickle
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.calibration import Recalibrator
from ltlearn.evaluation import _checkpoint, compare
from ltlearn.evaluation._checkpoint import Checkpoint, fingerprint


def row(value, **changes):
    texts = {"estimator": "a", "kind": "estimator", "metric": "mae", "band": "few"}
    return {**texts, "value": value, "fit_seconds": 0.5, "error": None, **changes}


def test_what_was_added_is_found_again(tmp_path):
    path = tmp_path / "new" / "runs.jsonl"
    store = Checkpoint(path)
    rows = [row(0.1 + 0.2), row(float("nan"))]
    store.add("k", rows)
    assert store.get("k") is rows
    found = Checkpoint(path).get("k")
    assert found[0] == rows[0]
    assert np.isnan(found[1]["value"])
    assert Checkpoint(path).get("other") is None


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_truncated_last_line_costs_that_run_only(tmp_path, cut):
    path = tmp_path / "runs.jsonl"
    store = Checkpoint(path)
    store.add("a", [row(1.0)])
    store.add("b", [row(2.0)])
    path.write_bytes(path.read_bytes()[: -1 - cut])
    store = Checkpoint(path)
    assert store.get("a") == [row(1.0)]
    assert store.get("b") is None
    store.add("b", [row(3.0)])
    again = Checkpoint(path)
    assert again.get("a") == [row(1.0)]
    assert again.get("b") == [row(3.0)]


@pytest.mark.parametrize(
    "record",
    [
        {"key": "a", "rows": [row(1.0), {k: v for k, v in row(1.0).items() if k != "value"}]},
        {"key": "a", "rows": [row(None)]},
        {"key": "a", "rows": [row("1.0")]},
        {"key": "a", "rows": [row(1.0, band=None)]},
        {"key": "a", "rows": [None]},
        {"key": "a", "rows": {}},
        {"key": "a"},
        {"rows": [row(1.0)]},
        {"key": ["a"], "rows": [row(1.0)]},
        [],
        None,
    ],
)
def test_a_run_that_lacks_something_is_done_again(tmp_path, record):
    path = tmp_path / "runs.jsonl"
    whole = {"key": "b", "rows": [row(2.0)]}
    path.write_text(f"{json.dumps(record)}\n{json.dumps(whole)}\n")
    store = Checkpoint(path)
    assert store.get("a") is None
    assert store.get("b") == [row(2.0)]


def test_no_path_keeps_nothing_on_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Checkpoint(None)
    store.add(None, [])
    assert not list(tmp_path.iterdir())


def square(x):
    return x**2


def power(exponent):
    return lambda x: x**exponent


X = np.arange(12.0).reshape(6, 2)
FITTED = make_pipeline(StandardScaler(), Ridge()).fit(X, X[:, 0])
REFITTED = make_pipeline(StandardScaler(), Ridge()).fit(X, X[::-1, 0])
NETWORKS = [ELTARegressor(max_epochs=1, random_state=seed).fit(X, X[:, 0]) for seed in (0, 1)]
DIFFERENT = [
    Ridge(),
    Ridge(alpha=2),
    RandomForestRegressor(),
    RandomForestRegressor(max_depth=3),
    make_pipeline(StandardScaler(), Ridge()),
    make_pipeline(StandardScaler(), Ridge(alpha=2)),
    make_pipeline(FunctionTransformer(square), Ridge()),
    make_pipeline(FunctionTransformer(np.sqrt), Ridge()),
    X,
    X + 1,
    X.astype(np.float32),
    pd.DataFrame(X, columns=["a", "b"]),
    pd.DataFrame(X, columns=["a", "c"]),
    {"a": X},
    {"b": X},
    {"a": 1},
    {"a": 1.5},
    {1, 2},
    {1, 3},
    csr_array(X),
    csr_array(X + 1),
    torch.from_numpy(X),
    torch.from_numpy(X + 1),
    torch.nn.Linear(3, 2),
    torch.nn.Linear(3, 2),
    torch.nn.Linear(2, 3),
    KFold(3),
    KFold(4),
    partial(square, 1),
    partial(square, 2),
    lambda x: np.mean(x),
    lambda x: np.median(x),
    lambda x: np.mean(x) + 1,
    lambda x, scale=1: np.mean(x),
    lambda x, scale=2: np.mean(x),
    lambda x, *, scale=1: np.mean(x),
    lambda x, *, scale=2: np.mean(x),
    lambda x: [i for i in x if i > 1],
    lambda x: [i for i in x if i > 2],
    power(1),
    power(2),
    FrozenEstimator(FITTED),
    FrozenEstimator(REFITTED),
    Recalibrator(FrozenEstimator(FITTED)),
    Recalibrator(FrozenEstimator(REFITTED)),
    *map(FrozenEstimator, NETWORKS),
    Whole(X),
    Whole(X + 1),
    ["a.png", "b.png"],
    ["b.png", "a.png"],
    None,
]


def test_different_things_have_different_fingerprints():
    assert len({fingerprint(item) for item in DIFFERENT}) == len(DIFFERENT)


def test_equal_things_have_equal_fingerprints():
    assert fingerprint(Ridge(), X) == fingerprint(Ridge(alpha=1.0), X.copy())
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(FITTED) == fingerprint(REFITTED)
    assert fingerprint(power(2)) == fingerprint(power(2))
    for model in (FITTED, *NETWORKS):
        loaded = FrozenEstimator(pickle.loads(pickle.dumps(model)))
        again = FrozenEstimator(pickle.loads(pickle.dumps(loaded.estimator)))
        assert fingerprint(loaded) == fingerprint(again)


def test_fingerprints_are_the_same_in_another_process():
    code = (
        "import numpy as np, pandas as pd;"
        "from functools import partial;"
        "from runpy import run_path;"
        "from sklearn.linear_model import Ridge;"
        f"fingerprint = run_path({_checkpoint.__file__!r})['fingerprint'];"
        "frame = pd.DataFrame({'a': ['x', 'y'], 'b': [1.0, 2.0]});"
        "print(fingerprint(Ridge(), np.eye(3), frame, {'f': partial(np.sum, axis=0)},"
        " {'z', 'y', 'x'}, object))"
    )
    frame = pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]})
    function = {"f": partial(np.sum, axis=0)}
    here = fingerprint(Ridge(), np.eye(3), frame, function, {"z", "y", "x"}, object)
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    there = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == here


def test_fingerprints_of_torch_modules_are_of_their_weights():
    module = torch.nn.Linear(3, 2)
    assert fingerprint(module) == fingerprint(copy.deepcopy(module))


def refit(model, *data):
    return FrozenEstimator(clone(model).fit(*data))


@pytest.mark.parametrize(
    "model",
    [
        ELTARegressor(max_epochs=2, random_state=0),
        GranularClassifier(max_epochs=2, random_state=0),
        make_pipeline(StandardScaler(), ELTARegressor(max_epochs=2, random_state=0)),
        GridSearchCV(Ridge(), {"alpha": [1.0, 2.0]}, cv=2),
    ],
)
def test_estimators_frozen_after_the_same_fit_have_equal_fingerprints(model):
    y = X[:, 0] > 4 if isinstance(model, GranularClassifier) else X[:, 0]
    assert fingerprint(refit(model, X, y)) == fingerprint(refit(model, X, y))
    assert fingerprint(refit(model, X, y)) != fingerprint(refit(model, X + X**2, y))


def enclosing(item):
    return lambda x: (item, x)


def each_other():
    def one(x):
        return other(x)

    def other(x):
        return one(x)

    return one


@pytest.mark.parametrize(
    "make",
    [
        lambda: enclosing(np),
        lambda: enclosing(threading.Lock()),
        lambda: FunctionTransformer(enclosing(np)),
        lambda: partial(enclosing(np), 1),
        each_other,
        lambda: {square, None},
    ],
)
def test_functions_may_enclose_anything(make):
    assert fingerprint(make()) == fingerprint(make())


def test_methods_count_with_their_object():
    assert fingerprint(Scale(2).apply) == fingerprint(Scale(2).apply)
    assert fingerprint(Scale(2).apply) != fingerprint(Scale(3).apply)


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def apply(self, y_true, y_pred):
        return self.factor * np.abs(y_true - y_pred).mean()


class Unprintable:
    """Its ``repr`` is Python's own, with an address."""


class Failing(Ridge):
    def fit(self, X, y, sample_weight=None):
        raise ValueError(f"cannot fit with {Unprintable()!r}")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_errors_are_kept_without_addresses(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60.0)
    path = tmp_path / "journal.jsonl"
    models = {"failing": Failing(), "ridge": Ridge()}
    found = compare(models, X, y, cv=2, controls=[], checkpoint=path)
    errors = found["error"].dropna()
    assert len(errors)
    assert errors.str.contains("Unprintable object").all()
    assert not errors.str.contains("0x").any()
    assert "0x" not in path.read_text()
