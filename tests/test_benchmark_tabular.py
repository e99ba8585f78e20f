"""The benchmark of regressors on tables: what it compares, and how its tables come about."""

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def tabular(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("tabular")


@pytest.fixture
def rows(tabular, monkeypatch):
    """A small set in the place of a real one."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=400), "b": rng.choice(["u", "v"], 400)})
    X["b"] = X["b"].astype("category")
    y = np.exp(X["a"].to_numpy() + (X["b"] == "u").to_numpy() + 0.3 * rng.normal(size=400))
    table = importlib.import_module("_tables").Table(X, y)
    monkeypatch.setattr(tabular, "_load", lambda name, data: table)
    return table


class TestProblem:
    def test_parts_are_disjoint_and_change_with_the_seed(self, tabular, rows):
        first, again, other = (tabular.Problem("x", seed, 200, None) for seed in (0, 0, 1))
        assert (len(first.y), len(first.y_test)) == (200, 80)
        assert not set(first.y) & set(first.y_test)
        np.testing.assert_array_equal(first.y, again.y)
        assert set(first.y) != set(other.y)
        assert len(tabular.Problem("hitters", 0, 999, None).y_test) == 100

    def test_held_out_rows_are_a_tenth_of_the_training_rows(self, tabular, rows):
        problem = tabular.Problem("x", 0, 200, None)
        assert len(problem.held_out) == 20
        assert sorted([*problem.held_out, *problem.kept]) == list(range(200))

    def test_errors_by_band(self, tabular, rows):
        problem = tabular.Problem("x", 0, 200, None)
        predicted = problem.y_test + np.where(problem.y_test > np.quantile(problem.y, 0.8), 3, -1)
        measured = problem.measure(predicted)
        assert measured["80-100"] == pytest.approx(3)
        assert measured["0-20"] == pytest.approx(1)
        assert measured["mae"] == pytest.approx(np.abs(predicted - problem.y_test).mean(), rel=1e-5)
        squared = np.mean((predicted - problem.y_test) ** 2)
        assert measured["rmse"] ** 2 == pytest.approx(squared, rel=1e-4)


class TestRows:
    def test_settings_of_boosting(self, tabular, rows):
        record = tabular.run("x", 0, "HGB, squared_error, weights 0.5", n_rows=200, data=None)
        assert set(record["settings"]) == {
            "plain",
            *(f"stretched {factor}" for factor in ("1.1", "1.25", "1.5")),
            *(f"isotonic {exponent}" for exponent in ("0", "0.25", "0.5", "1")),
        }
        plain = tabular.run("x", 0, "HGB, squared_error", n_rows=200, data=None)
        assert plain["settings"]["plain"]["mae"] < record["settings"]["plain"]["mae"]

    def test_the_dial_costs_one_fit(self, tabular, rows):
        problem = tabular.Problem("x", 0, 200, None)
        heads = [("ridge", tabular.ScaledRidge())]
        encode = tabular.TableEncoder(problem.X)
        problem.X, problem.X_test = encode(problem.X), encode(problem.X_test)
        model = tabular.TailStackingRegressor(heads, random_state=0)
        _, predictions = tabular.fit_dialed(model, problem)
        assert len(predictions) == 2 + len(tabular.DIAL)
        again = model.predict(problem.X_test, tail=0.5, prediction="median")
        np.testing.assert_array_equal(predictions["tail 0.5"], again)

    def test_every_rival_has_every_weight(self, tabular):
        names = tabular.weighted_rows("movies")
        assert len(names) == 2 * 3 * 3
        assert tabular.weighted_rows("hitters") == tabular.weighted_rows("sts_b_dir") == []


@pytest.mark.parametrize("budget", [0.9, 1.0, 1.15, 1.3, 2.0])
def test_a_frontier_is_the_best_setting_or_mixture_of_two(tabular, budget):
    points = np.array([[1.0, 5.0], [1.2, 3.0], [1.1, 4.9], [1.5, 2.0], [1.3, 4.0]])
    found = tabular.frontier(points, budget)
    mixed = [
        [share * a + (1 - share) * b for a, b in zip(first, second, strict=True)]
        for first in points
        for second in points
        for share in np.linspace(0, 1, 2001)
    ]
    within = [few for overall, few in mixed if overall <= budget + 1e-12]
    if within:
        assert found == pytest.approx(min(within), abs=2e-3)
    else:
        assert np.isnan(found)


def test_tables_show_ratios_to_the_better_hgb_of_the_seed(tabular, tmp_path):
    def record(mae, few, settings=("plain",)):
        values = {"mae": mae, "rmse": 2 * mae, "srcc": 0.5, "many": mae, "medium": mae, "few": few}
        values |= {"0-20": mae, "20-80": mae, "80-100": mae}
        about = {"seconds": 1.0, "n_train": 100, "n_test": 50, "n_few": 5}
        return {**about, "settings": dict.fromkeys(settings, values)}

    dial = ("tail 0", "mean", *(f"tail {tail:g}" for tail in tabular.DIAL))
    lines = []
    for seed, (own, absolute, squared) in enumerate([(0.9, 1.0, 1.5), (1.1, 2.0, 1.0)]):
        for row, result in {
            tabular.NETWORK: record(own, 3.0, dial),
            tabular.STACK: record(own, 2.0, dial),
            "HGB, absolute_error": record(absolute, 4.0),
            "HGB, squared_error": record(squared, 5.0),
        }.items():
            lines.append(json.dumps({"key": ["movies", seed, row], "result": result}))
    path = tmp_path / "tabular.jsonl"
    path.write_text("\n".join(lines) + "\n")
    tables = tabular.result_tables(path)
    shown = tables["MAE, large sets, 2 seeds, 100 training rows"]
    assert "| ELTARegressor() | 100.0 ± 14.1 (1) |" in shown
    assert "| HGB, absolute_error | 150.0 ± 70.7 (0) |" in shown
    frontier = tables["Frontier of movies: MAE of the rarest scores, 2 seeds"]
    assert "| TailStackingRegressor() | 2 (1) | 2 (1) | 2 (1) |" in frontier
    # In the second seed a little of the other loss fits into the budget.
    assert "| HGB | 4.5 | 4.49 | 4.475 |" in frontier
