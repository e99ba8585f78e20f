import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ltlearn.evaluation import frontier, paired_differences, summarize
from ltlearn.evaluation._statistics import corrected_paired_t_test, holm
from ltlearn.exceptions import SmallSampleWarning


def tidy(values, *, metric="mae", band="overall", n_train=80, n_test=20, kinds=None):
    """Results from a dict of estimator to an array (n_splits, n_seeds)."""
    rows = [
        {
            "estimator": name,
            "kind": (kinds or {}).get(name, "estimator"),
            "split": split,
            "seed": seed,
            "metric": metric,
            "band": band,
            "value": value,
            "n_train": n_train,
            "n_test": n_test,
        }
        for name, table in values.items()
        for split, row in enumerate(np.atleast_2d(table))
        for seed, value in enumerate(row)
    ]
    return pd.DataFrame(rows)


def test_summarize_against_numpy():
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4))
    table = summarize(tidy({"a": a, "b": b})).set_index("estimator")
    assert list(table.index) == ["a", "b"]
    for name, values in {"a": a, "b": b}.items():
        assert table.loc[name, "mean"] == pytest.approx(np.mean(values))
        assert table.loc[name, "std"] == pytest.approx(np.std(values, ddof=1))
        assert table.loc[name, "n"] == 12


def test_summarize_does_not_count_failed_runs():
    table = summarize(tidy({"a": [1.0, np.nan, 3.0]}))
    assert table["mean"].item() == 2
    assert table["n"].item() == 2
    assert table["n_dropped"].item() == 0


def with_failed_runs(rng, n_splits, n_seeds, failed, *, drops_rows):
    """Tables by split and seed of three estimators, one of which failed on the hardest split."""
    hardness = 10.0 * np.arange(n_splits)[:, None]
    values = {name: hardness + rng.normal(size=(n_splits, n_seeds)) for name in "abc"}
    for split, seed in failed:
        values["b"][split, seed] = np.nan
    results = tidy(values)
    if drops_rows:  # compare keeps no row of a band for a failed run
        results = results.dropna(subset="value")
    return values, results


@pytest.mark.parametrize("drops_rows", [False, True])
@pytest.mark.parametrize("failed", [[(4, 1)], [(4, 0), (4, 1)], [(0, 0), (3, 1), (4, 1)]])
def test_means_are_over_the_runs_that_all_have(failed, drops_rows):
    rng = np.random.default_rng(0)
    values, results = with_failed_runs(rng, 5, 2, failed, drops_rows=drops_rows)
    table = summarize(results).set_index("estimator")
    for name, of_name in values.items():
        common = [
            of_name[split, seed]
            for split in range(5)
            for seed in range(2)
            if (split, seed) not in failed
        ]
        assert table.loc[name, "mean"] == pytest.approx(np.mean(common))
        assert table.loc[name, "std"] == pytest.approx(np.std(common, ddof=1))
        assert table.loc[name, "n"] == 10 - len(failed)
        assert table.loc[name, "n_dropped"] == (0 if name == "b" else len(failed))
    best = frontier(pd.concat([results, results.assign(band="few")])).set_index("estimator")
    for column in ("overall", "tail"):
        assert best[column].to_dict() == pytest.approx(table["mean"].to_dict())


def test_an_estimator_that_always_failed_takes_no_run_from_the_others():
    table = summarize(tidy({"a": [1.0, 3.0], "b": [np.nan, np.nan]})).set_index("estimator")
    assert table.loc["a", ["mean", "n", "n_dropped"]].tolist() == [2, 2, 0]
    assert np.isnan(table.loc["b", "mean"])
    assert table.loc["b", "n"] == 0


def test_no_run_in_common_is_said():
    results = tidy({"a": [1.0, np.nan], "b": [np.nan, 2.0]})
    with pytest.warns(SmallSampleWarning, match=r"every estimator in \[\('mae', 'overall'\)\]"):
        table = summarize(results)
    assert table["mean"].isna().all()
    assert table["n_dropped"].tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"the mae of all of \['a', 'b'\] in the band 'overall'"):
        frontier(results, tail=("mae", "overall"))


def test_single_split_is_the_paired_t_test_of_scipy():
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(1, 8)) for name in "abc"}
    table = paired_differences(tidy(values), baseline="b").set_index("estimator")
    assert set(table["test"]) == {"paired t"}
    assert list(table.index) == ["a", "c"]
    for name in "ac":
        expected = stats.ttest_rel(values[name][0], values["b"][0])
        assert table.loc[name, "p_value"] == pytest.approx(expected.pvalue)
        difference = values[name] - values["b"]
        assert table.loc[name, "difference"] == pytest.approx(difference.mean())
        assert table.loc[name, "std"] == pytest.approx(difference.std(ddof=1))
        assert table.loc[name, "wins"] == np.mean(difference < 0)
        assert table.loc[name, "n"] == 8


def test_several_splits_average_seeds_and_correct_the_variance():
    rng = np.random.default_rng(1)
    base, other = rng.normal(size=(2, 5, 3))
    table = paired_differences(tidy({"base": base, "other": other}, n_train=72, n_test=20))
    difference = (other - base).mean(axis=1)
    t = difference.mean() / np.sqrt((1 / 5 + 20 / 72) * difference.var(ddof=1))
    assert table["test"].item() == "corrected resampled t"
    assert table["n"].item() == 5
    assert table["p_value"].item() == pytest.approx(2 * stats.t.sf(abs(t), df=4))


def test_corrected_test_holds_its_level_where_the_plain_test_does_not():
    """Mean estimated on overlapping training sets: no difference between two equal methods."""
    rng = np.random.default_rng(0)
    plain, corrected = [], []
    for _ in range(300):
        data = rng.normal(size=(2, 50))
        differences = np.empty(20)
        for repeat in range(20):
            order = rng.permutation(50)
            train, test = order[:40], order[40:]
            a, b = ((column[test] - column[train].mean()) ** 2 for column in data)
            differences[repeat] = a.mean() - b.mean()
        plain.append(corrected_paired_t_test(differences, 0))
        corrected.append(corrected_paired_t_test(differences, 10 / 40))
    assert np.mean(np.array(plain) < 0.05) > 0.25
    assert np.mean(np.array(corrected) < 0.05) < 0.10


def test_holm_against_a_plain_loop():
    rng = np.random.default_rng(0)
    p_values = rng.uniform(size=7) ** 3
    order = sorted(range(7), key=lambda i: p_values[i])
    expected, running = {}, 0.0
    for rank, i in enumerate(order):
        running = max(running, (7 - rank) * p_values[i])
        expected[i] = min(running, 1.0)
    np.testing.assert_allclose(holm(p_values), [expected[i] for i in range(7)])


def test_holm_leaves_nan_out_of_the_family():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])


def test_holm_corrects_within_metric_and_band():
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(1, 6)) for name in "abcd"}
    results = pd.concat([tidy(values), tidy(values, band="few"), tidy(values, metric="mse")])
    table = paired_differences(results)
    for _, family in table.groupby(["metric", "band"]):
        np.testing.assert_allclose(family["p_holm"], holm(family["p_value"]))
    assert len(table) == 9


@pytest.mark.parametrize(
    ("metric", "values", "wins"),
    [
        ("mae", {"base": [2.0, 2.0, 2.0], "new": [1.0, 3.0, 2.0]}, 0.5),
        ("srcc", {"base": [0.2, 0.2, 0.2], "new": [0.1, 0.3, 0.4]}, 2 / 3),
        ("prediction_spread", {"base": [0.8, 0.8, 0.8], "new": [1.1, 1.3, 0.5]}, 1 / 3),
    ],
)
def test_wins_follow_the_direction_of_the_metric(metric, values, wins):
    table = paired_differences(tidy(values, metric=metric))
    assert table["wins"].item() == pytest.approx(wins)


def test_direction_of_own_metrics_is_asked_for():
    results = tidy({"a": [1.0, 2.0], "b": [2.0, 4.0]}, metric="profit")
    with pytest.raises(ValueError, match="greater profit better"):
        paired_differences(results)
    assert paired_differences(results, greater_is_better={"profit": True})["wins"].item() == 1


def test_no_p_value_without_spread():
    with pytest.warns(SmallSampleWarning, match="No p-value"):
        table = paired_differences(tidy({"a": [1.0], "b": [2.0]}))
    assert np.isnan(table["p_value"].item())
    with pytest.warns(SmallSampleWarning, match="No p-value"):
        table = paired_differences(tidy({"a": [1.0, 2.0], "b": [2.0, 3.0]}))
    assert np.isnan(table["p_holm"].item())


def test_equal_results_differ_by_nothing():
    table = paired_differences(tidy({"a": [1.0, 2.0], "b": [1.0, 2.0]}))
    assert table["p_value"].item() == 1
    assert table["wins"].item() == 0.5


def test_pairs_with_a_failed_run_are_left_out():
    table = paired_differences(tidy({"a": [1.0, 2.0, 4.0], "b": [2.0, np.nan, 4.5]}))
    assert table["n"].item() == 2
    assert table["n_incomplete"].item() == 1
    assert table["difference"].item() == pytest.approx(0.75)
    both = paired_differences(tidy({"a": [1.0, np.nan, 4.0], "b": [2.0, np.nan, 4.5]}))
    assert both["n_incomplete"].item() == 0  # a band that no test row of the run falls in


@pytest.mark.parametrize("drops_rows", [False, True])
@pytest.mark.parametrize("failed", [[(4, 1)], [(4, 0), (4, 1)], [(0, 0), (3, 1), (4, 1)]])
def test_runs_are_paired_before_they_are_averaged(failed, drops_rows):
    """The seeds of a split differ by much more than the two estimators do."""
    rng = np.random.default_rng(0)
    values, _ = with_failed_runs(rng, 5, 2, failed, drops_rows=drops_rows)
    values["a"] += [0.0, 100.0]
    values["b"] += [0.0, 100.0]
    results = tidy(values)
    table = paired_differences(results.dropna(subset="value") if drops_rows else results)
    table = table.set_index("estimator")
    differences = []
    for split in range(5):
        of_split = [
            values["b"][split, seed] - values["a"][split, seed]
            for seed in range(2)
            if (split, seed) not in failed
        ]
        if of_split:
            differences.append(np.mean(of_split))
    assert table.loc["b", "difference"] == pytest.approx(np.mean(differences))
    assert table.loc["b", "std"] == pytest.approx(np.std(differences, ddof=1))
    assert table.loc["b", "n"] == len(differences)
    assert table.loc["b", "n_incomplete"] == len(failed)
    assert table.loc["c", "n_incomplete"] == 0
    assert table.loc["c", "n"] == 5


def test_an_estimator_without_a_pair_is_counted():
    with pytest.warns(SmallSampleWarning, match="No p-value where there are fewer than two"):
        table = paired_differences(tidy({"a": [1.0, 2.0], "b": [np.nan, np.nan]}))
    assert table[["n", "n_incomplete"]].to_numpy().tolist() == [[0, 2]]
    assert np.isnan(table["difference"].item())
    assert np.isnan(table["wins"].item())


def test_only_a_baseline_gives_an_empty_table():
    table = paired_differences(tidy({"a": [1.0, 2.0]}))
    assert table.empty
    assert "p_holm" in table


def test_unknown_baseline_is_named():
    with pytest.raises(ValueError, match="No estimator is named 'c'"):
        paired_differences(tidy({"a": [1.0], "b": [2.0]}), baseline="c")
    with pytest.raises(ValueError, match=r"No estimator is named 'c'; there are \[1, 2\]"):
        paired_differences(tidy({1: [1.0], 2: [2.0]}), baseline="c")


def test_frontier_against_a_plain_loop():
    rng = np.random.default_rng(0)
    overall, tail = rng.uniform(size=(2, 30))
    names = [f"m{i}" for i in range(30)]
    results = pd.concat(
        [
            tidy({n: [v] for n, v in zip(names, overall, strict=True)}),
            tidy({n: [v] for n, v in zip(names, tail, strict=True)}, band="few"),
        ]
    )
    expected = set()
    for i, name in enumerate(names):
        better = [j for j in range(30) if overall[j] < overall[i] and tail[j] < tail[i]]
        if not better:
            expected.add(name)
    table = frontier(results)
    assert set(table.loc[table["on_frontier"], "estimator"]) == expected
    assert table["overall"].is_monotonic_increasing


def test_frontier_of_classifiers_prefers_greater_accuracy():
    results = pd.concat(
        [
            tidy({"a": [0.9], "b": [0.8], "c": [0.7]}, metric="accuracy"),
            tidy({"a": [0.1], "b": [0.5], "c": [0.4]}, metric="accuracy", band="few"),
        ]
    )
    table = frontier(results).set_index("estimator")
    assert table["on_frontier"].to_dict() == {"a": True, "b": True, "c": False}


def test_frontier_keeps_ties_and_skips_what_has_no_tail():
    results = pd.concat(
        [
            tidy({"a": [1.0], "b": [1.0], "c": [0.5]}),
            tidy({"a": [2.0], "b": [2.0], "c": [np.nan]}, band="few"),
        ]
    )
    table = frontier(results)
    assert list(table["estimator"]) == ["a", "b"]
    assert table["on_frontier"].all()


def test_frontier_says_what_is_missing():
    results = tidy({"a": [1.0]})
    with pytest.raises(ValueError, match=r"no mae in the band 'few': .*\('mae', 'overall'\)"):
        frontier(results)
    with pytest.raises(ValueError, match="profit"):
        frontier(results, overall="profit")


def test_frontier_of_own_metrics():
    results = tidy({"a": [3.0], "b": [2.0], "c": [1.0]}, metric="profit")
    options = {"overall": "profit", "tail": ("profit", "overall")}
    for greater, best in ((True, ["a"]), (False, ["c"])):
        table = frontier(results, **options, greater_is_better={"profit": greater})
        assert list(table.loc[table["on_frontier"], "estimator"]) == best
    with pytest.raises(ValueError, match="Is a greater profit better"):
        frontier(results, **options)
