"""Parts of the benchmarks of intervals and stress splits that would be wrong without notice."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from ltlearn.calibration._predicted_cdf import PredictedCDF

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RNG = np.random.default_rng(0)


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


class Bins:
    bin_centers_ = np.array([0.0, 1.0, 3.0, 4.0])

    def predict_distribution(self, X):
        shares = 1 + np.abs(X[:, :1] + np.arange(4))
        return shares / shares.sum(axis=1, keepdims=True)


def test_distributions_are_read_as_the_calibrator_reads_them(load):
    X = RNG.normal(size=(6, 2))
    levels = [0.05, 0.5, 0.9]
    expected = PredictedCDF.of(Bins(), X).inverse(np.tile(levels, (6, 1)))
    np.testing.assert_allclose(load("coverage")._as_it_is(Bins(), X, levels), expected)


def test_the_forest_knows_the_noise(load):
    X = RNG.uniform(size=(3000, 1))
    y = X[:, 0] + (0.1 + X[:, 0]) * RNG.normal(size=3000)
    forest = load("coverage").QuantileForest(100, min_samples_leaf=20).fit(X[:2000], y[:2000])
    low, high = forest.predict_quantiles(X[2000:], [0.1, 0.9]).T
    assert np.mean((low <= y[2000:]) & (y[2000:] <= high)) == pytest.approx(0.8, abs=0.06)
    wide = X[2000:, 0] > 0.5
    assert np.mean((high - low)[wide]) > 1.5 * np.mean((high - low)[~wide])


def test_coverage_by_band_by_counting(load):
    covered = np.array([True, False, True, True])
    bands = np.array([0, 0, 2, 2])
    by_band = load("coverage")._by_band(covered, bands, [10, 20, 30])
    assert by_band == [(10, 2, 0.5), (20, 0, None), (30, 2, 1.0)]


def test_chance_by_simulation(load):
    """Coverage of rows held out and tested: a Beta variable, then a binomial one."""
    rng = np.random.default_rng(1)
    true = rng.beta(181, 20, size=(40000, 2))
    counted = rng.binomial(300, true) / 300
    script = load("coverage")
    for n_seeds in (1, 2):
        outside = np.mean(np.abs(counted[:, :n_seeds].mean(axis=1) - 0.9) > 0.05)
        case = [(None, 200, 300)] * n_seeds
        assert script._chance_outside(case, 0.05) == pytest.approx(outside, abs=0.02)


def test_tables(load):
    runs = [
        {
            "coverage": 0.9,
            "width": 1.0,
            "predicted": [(500, 300, 0.91), (500, 300, c), (500, 199, 0.1)],
            "labels": {"many": (1, 5, 0.95), "medium": (1, 5, 0.8), "few": (1, 0, None)},
        }
        for c in (0.84, 0.88)
    ]
    script = load("coverage")
    row = script.interval_table({("set", "ridge", "split"): runs}).splitlines()[-1]
    assert "| 90.0 ± 0.0 | 1.00 | 86.0 | 84.0 | 4 | 95.0 | 80.0 | – |" in row
    said = script.nearness_table({("set", "ridge", "split"): runs})
    assert "| split | all rows | single | 2 points: 2 of 2 | 0 | " in said
    assert "| split | fifths | single | 5 points: 3 of 4 | 1 | " in said
    assert "| split | fifths | means over seeds | 5 points: 2 of 2 | 0 | " in said
    errors = {"ridge": [[[2.0, 1.0], [1.0, 1.0]], [[6.0, 2.0], [2.0, 1.0]]]}
    row = load("stress").format_table({("set", "spot"): errors}).splitlines()[-1]
    assert row.endswith("| 1.5 | 2.50 ± 0.71 | 1.50 ± 0.71 |")


def test_stress_protocols_are_measured(load, monkeypatch):
    script = load("stress")
    X = RNG.normal(size=(300, 2))
    table = load("_tables").Table(X, X[:, 0] + 0.1 * RNG.normal(size=300))
    monkeypatch.setattr(script, "load_table", lambda name, data: table)
    monkeypatch.setattr(script, "MODELS", {"boosting": script.MODELS["boosting"]})
    for protocol in script.PROTOCOLS:
        errors = np.array(script.measure("set", protocol, None)["boosting"])
        assert errors.shape == (3, 2, 2)
        if protocol == "top tenth removed":
            assert np.all(errors[:, 0, 0] > errors[:, 1, 0])
