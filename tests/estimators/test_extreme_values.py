"""Extreme and illegal values in the estimators: the right fit, or an error that says why."""

import datetime
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import nn

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.exceptions import NonFiniteLossError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
SCORES = np.exp(X[:, 0])
CLASSES = np.digitize(X[:, 0], [0.3, 1.2])
ESTIMATORS = {ELTARegressor: SCORES, GranularClassifier: CLASSES}
both = pytest.mark.parametrize("estimator", ESTIMATORS)


def quick(estimator, **params):
    small = {"hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0, "backbone": "mlp"}
    return estimator().set_params(**{**small, **params})


def outputs(model, X=X):
    return model.predict(X) if isinstance(model, ELTARegressor) else model.decision_function(X)


def fitted_outputs(estimator, **params):
    return outputs(quick(estimator, **params).fit(X, ESTIMATORS[estimator]))


class TestUnits:
    """Multiplying by powers of 2 is exact, so nothing may change but the unit."""

    @both
    @pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-540, 2.0**540, 2.0**1000])
    def test_of_columns(self, estimator, unit):
        y = ESTIMATORS[estimator]
        scaled = quick(estimator).fit(X * [unit, 1, 1 / unit], y)
        expected = quick(estimator).fit(X, y)
        np.testing.assert_array_equal(outputs(scaled, X * [unit, 1, 1 / unit]), outputs(expected))
        assert np.isfinite(outputs(scaled, np.full((2, 3), 1.7e308))).all()

    def test_of_columns_whose_root_is_taken(self):
        """The root of a factor is a factor, too."""
        root = {"architecture__feature_power": 0.5}
        plain = quick(GranularClassifier, **root).fit(X, CLASSES).decision_function(X)
        for unit in (2.0**-1000, 2.0**1000):
            scaled = quick(GranularClassifier, **root).fit(X * unit, CLASSES)
            np.testing.assert_allclose(scaled.decision_function(X * unit), plain, rtol=1e-4)

    @pytest.mark.parametrize("unit", [2.0**-1000, 2.0**1000])
    def test_of_class_weights(self, unit):
        weights = {0: 1.0, 1: 4.0, 2: 0.5}
        expected = fitted_outputs(GranularClassifier, class_weight=weights)
        scaled = {name: weight * unit for name, weight in weights.items()}
        found = fitted_outputs(GranularClassifier, class_weight=scaled)
        np.testing.assert_array_equal(found, expected)

    @pytest.mark.parametrize("loss", ["mse", "emd", "quantile"])
    @pytest.mark.parametrize("value", [0.0, -3.7, 1e97, -1e140])
    def test_one_score_is_predicted(self, loss, value):
        y = np.full(80, value) * (1 + 1e-15 * RNG.integers(-1, 2, size=80))
        predicted = quick(ELTARegressor, loss=loss).fit(X, y).predict(X)
        np.testing.assert_allclose(predicted, value, rtol=1e-6, atol=1)


class TestNumbers:
    @both
    def test_those_of_numpy_are_those_of_python(self, estimator):
        """np.int8(100) + 100 is not 200."""
        numpys = {
            "batch_size": np.int8(100),
            "max_epochs": np.uint64(2),
            "lr": np.float32(0.0078125),
            "dropout": np.float16(0.5),
            "hidden_layer_sizes": np.array([4, 3], dtype=np.uint8),
            "training__accumulation_steps": np.int8(2),
            "training__weight_decay": np.float32(0.5),
        }
        pythons = {name: getattr(value, "tolist", None)() for name, value in numpys.items()}
        np.testing.assert_array_equal(
            fitted_outputs(estimator, **numpys), fitted_outputs(estimator, **pythons)
        )

    @pytest.mark.parametrize("name", ["lr", "training__weight_decay", "alignment_weight"])
    @pytest.mark.parametrize("value", [2**63, 2**70, 1e308])
    def test_huge_ones_diverge_or_do_not(self, name, value):
        try:
            predicted = fitted_outputs(ELTARegressor, **{name: value})
        except NonFiniteLossError:
            return
        assert np.isfinite(predicted).all()

    def test_no_limit_of_auxiliary_rows(self):
        aux = {"X_aux": X[:30] + 1, "y_aux": np.full(30, 9)}
        for limit in (30, 2**63 - 1):
            model = quick(GranularClassifier, auxiliary__max_samples=limit)
            limit = model.fit(X, CLASSES, **aux).decision_function(X)
            expected = quick(GranularClassifier, auxiliary__max_samples=30)
            np.testing.assert_array_equal(
                limit, expected.fit(X, CLASSES, **aux).decision_function(X)
            )


def readable(value):
    """The name of a test without addresses, which differ between processes."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def takes_two(a, b):
    return nn.Flatten()


COMMON = [
    *({"hidden_layer_sizes": sizes} for sizes in [(True,), (2**70,), np.array(2.0), {3: 4}, "ab"]),
    *({"backbone": backbone} for backbone in ["no_such_model", "", nn.Linear, dict, len]),
    *({"backbone": backbone} for backbone in [takes_two, nn.Module, nn.Linear(7, 2)]),
    *({"device": device} for device in ["meta", "gpu", "cuda:99", "mps:7", ""]),
    *({"training__optimizer": kind} for kind in [dict, len, object, torch.optim.SparseAdam]),
    *({"architecture__n_members": n} for n in [2**70, True, 10**6]),
    *({"training__feature_mixup": alpha} for alpha in [1e300, True, math.inf]),
]
OF_SCORES = [
    *({"bins__n_bins": n, "loss": "emd"} for n in [2**63, 2**70, 10**12, True, 1.5]),
    *({"bins__score_range": r} for r in [(-1e308, 1e308), (0, 5e-324), (1, 1 + 1e-15), (0, 1, 2)]),
    {"bins__score_range": (1e149, 1e150), "loss": "emd"},
    *({"enhancers__temperature_unit": unit} for unit in [1e-160, 5e-324, 1e200]),
    *({f"enhancers__{t}_temperature": v} for t in ["tail", "pair"] for v in [1e-160, 1e308, True]),
    *({"bins__logit_adjustment": tau, "loss": "emd"} for tau in [2**70, 1e154, 1e308]),
    *({"tail": tail, "loss": "emd"} for tail in [1e154, 2**70, True]),
]
OF_CLASSES = [
    *({"logit_adjustment": tau} for tau in [2**70, 1e154, 1e308, True]),
    *({"auxiliary__max_samples": n} for n in [2**63, 2**70, True]),
    {"auxiliary__max_samples": 10**12, "auxiliary__synthesize": True},
    *({"class_weight": w} for w in [{0: 2**70}, {0: "a"}, {0: math.nan}]),
]


class TestErrors:
    @pytest.mark.parametrize(
        ("estimator", "params"),
        [
            *((estimator, params) for estimator in ESTIMATORS for params in COMMON),
            *((ELTARegressor, params) for params in OF_SCORES),
            *((GranularClassifier, params) for params in OF_CLASSES),
        ],
        ids=readable,
    )
    def test_name_the_parameter(self, estimator, params):
        name = next(iter(params)).rpartition("__")[2]
        with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
            quick(estimator, **params).fit(X, ESTIMATORS[estimator])

    @both
    @pytest.mark.parametrize(
        ("name", "values"),
        [
            *(
                ("X", X)
                for X in [None, "abc", [1, 2], [[]], np.zeros((80, 0)), X[:5], (x for x in ())]
            ),
            *(("X", X) for X in [np.full((80, 3), np.inf), [[1], [1, 2]], [[1j]] * 80]),
            *(("y", y) for y in ["abc", [], [[1], [1, 2]], [None] * 80, [1j] * 80, {}]),
            *(("y", y) for y in [np.full(80, np.inf), np.zeros((80, 2, 2)), CLASSES[:5]]),
            *(("sample_weight", w) for w in [np.zeros(80), [1], ["a"] * 80, "a", [1j] * 80]),
            *(("sample_weight", w) for w in [-np.ones(80), np.full(80, np.nan)]),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_name_the_rows(self, estimator, name, values):
        given = {"X": X, "y": ESTIMATORS[estimator], "sample_weight": None, name: values}
        with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
            quick(estimator).fit(**given)

    @both
    def test_name_the_column_and_a_way_out(self, estimator):
        y = ESTIMATORS[estimator]
        frame = pd.DataFrame(X, columns=list("abc")).assign(b="u")
        with pytest.raises(ValueError, match=r"column 'b' of X.*backbone=\"tabular\".*OneHot"):
            quick(estimator).fit(frame, y)
        frame["b"] = pd.Timestamp("2020-01-01")
        for backbone in ("mlp", "tabular"):
            with pytest.raises((TypeError, ValueError), match=r"Column 'b' of X .*turn dates into"):
                quick(estimator, backbone=backbone).fit(frame, y)
            with pytest.raises(TypeError, match=r"Sparse .*OneHotEncoder\(sparse_output=False\)"):
                quick(estimator, backbone=backbone).fit(csr_matrix(X), y)

    @both
    def test_of_prediction_name_them_too(self, estimator):
        model = quick(estimator).fit(X, ESTIMATORS[estimator])
        for bad in (None, "abc", X[:, :2], [[math.nan] * 3], (x for x in ())):
            with pytest.raises((ValueError, TypeError), match=r"\bX\b"):
                model.predict(bad)
        steep = nn.Linear(3, 1, bias=False)
        steep.load_state_dict({"weight": torch.full((1, 3), 10.0)})
        module = quick(estimator, backbone=steep).fit(X, ESTIMATORS[estimator])
        with pytest.raises(ValueError, match="no finite output for row 1 of X"):
            module.predict([[0, 0, 0], [3e38, 3e38, 3e38]])

    @both
    def test_of_scores_of_predictions(self, estimator):
        y = ESTIMATORS[estimator]
        model = quick(estimator).fit(X, y)
        weights = [[1], np.zeros(80), -np.ones(80), "a"]
        ys = [y[:5], [b"a"] * 80, (x for x in ()), [None] * 80, [1e200] * 80]
        for name, bad in [*(("y", y) for y in ys), *(("sample_weight", w) for w in weights)]:
            with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
                model.score(**{"X": X, "y": y, name: bad})

    def test_a_score_beyond_all_numbers(self):
        with pytest.raises(ValueError, match="R² is beyond all numbers: y varies"):
            quick(ELTARegressor).fit(X, SCORES).score(X, SCORES * 1e-160)

    @both
    @pytest.mark.parametrize(
        "dates",
        [
            pd.date_range("2020-01-01", periods=80),
            pd.Series(pd.date_range("2020-01-01", periods=80, tz="UTC")),
            np.arange(80).astype("datetime64[D]"),
            np.arange(80).astype("timedelta64[s]"),
            [datetime.date(2020, 1, 1)] * 80,
            [pd.Timestamp("2020-01-01")] * 80,
            np.array([datetime.datetime(2020, 1, 1)] * 80, dtype=object),
            pd.DataFrame({"day": pd.date_range("2020-01-01", periods=80)}),
        ],
        ids=lambda dates: type(dates).__name__,
    )
    def test_dates_are_no_targets(self, estimator, dates):
        with pytest.raises(ValueError, match="y holds dates or durations"):
            quick(estimator).fit(X, dates)
        with pytest.raises(ValueError, match="y_val holds dates or durations"):
            quick(estimator).fit(X[:70], ESTIMATORS[estimator][:70], X_val=X, y_val=dates)


MODES = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


@both
@pytest.mark.parametrize("mode", MODES)
def test_modes_of_torch_do_not_reach_into_a_fit(estimator, mode):
    params = {"loss": "emd"} if estimator is ELTARegressor else {"calibrate_temperature": True}
    expected = fitted_outputs(estimator, **params)
    with MODES[mode]():
        model = quick(estimator, **params).fit(X, ESTIMATORS[estimator])
        np.testing.assert_array_equal(outputs(model), expected)
    model.set_params(warm_start=True).fit(X, ESTIMATORS[estimator])  # no inference tensors


def test_a_module_trains_in_inference_mode():
    module = nn.Linear(3, 4)
    with torch.inference_mode():
        inside = quick(ELTARegressor, backbone=module).fit(X, SCORES).predict(X)
    outside = quick(ELTARegressor, backbone=module).fit(X, SCORES).predict(X)
    np.testing.assert_array_equal(inside, outside)


@pytest.mark.parametrize(
    ("estimator", "backbone"),
    [
        (ELTARegressor, "auto"),
        *((estimator, backbone) for estimator in ESTIMATORS for backbone in ("tabular", "mlp")),
    ],
)
@pytest.mark.parametrize(
    "kind",
    [list, np.array, pd.Series, lambda files: [Path(file) for file in files]],
    ids=["list", "array", "series", "paths"],
)
def test_files_are_no_table(estimator, backbone, kind):
    files = kind(["a/0.jpg", "a/1.jpg", "a/2.jpg", "a/3.jpg"])
    with pytest.raises(ValueError, match=r"X is a list of words or files.*BackboneFeatures"):
        quick(estimator, backbone=backbone).fit(files, ESTIMATORS[estimator][:4])
