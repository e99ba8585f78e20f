import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from ltlearn.evaluation import tail_drift
from ltlearn.evaluation._shares import beyond_extremes, counted, difference
from ltlearn.metrics import ClassBands, LabelBands

RNG = np.random.default_rng(0)


def rows(n, scale=1.0, shift=0.0, rng=RNG):
    y = scale * rng.exponential(size=n)
    X = rng.normal(size=(n, 3)) + shift
    return {"X": X, "y": y, "y_pred": 0.5 + 0.8 * y}


OLD = rows(3000)


class TestShares:
    @pytest.mark.parametrize(("hits", "n"), [(0, 20), (1, 20), (7, 30), (30, 30), (400, 5000)])
    @pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
    def test_wilson_of_scipy(self, hits, n, level):
        expected = binomtest(hits, n).proportion_ci(level, method="wilson")
        share = counted(hits, n, level)
        np.testing.assert_allclose(share, [hits / n, expected.low, expected.high], atol=1e-12)

    def test_newcombes_published_example(self):
        """Table II (a), method 10: 56/70 less 48/80."""
        change = difference(counted(56, 70, 0.95), counted(48, 80, 0.95))
        np.testing.assert_allclose(change, [0.2, 0.0524, 0.3339], atol=5e-5)

    @pytest.mark.parametrize("k", [1, 2, 3])
    def test_shares_beyond_extremes_by_simulation(self, k):
        """Of a uniform variable the share beyond the extremes is known of every sample."""
        drawn = np.sort(np.random.default_rng(1).uniform(size=(20000, 30)), axis=1)
        beyond = {
            1: drawn[:, 0],
            2: drawn[:, 0] + 1 - drawn[:, -1],
            3: drawn[:, 1] + 1 - drawn[:, -1],
        }[k]
        share = beyond_extremes(k, 30, 0.9)
        np.testing.assert_allclose(share[1:], np.quantile(beyond, [0.05, 0.95]), rtol=0.06)
        assert share.value == pytest.approx(beyond.mean(), rel=0.03)


def test_numbers_by_counting():
    new = rows(800, scale=1.5, shift=1.0)
    drift = tail_drift(OLD, new)
    bands = LabelBands.from_density(OLD["y"])
    assert drift.bands == bands
    frame = drift.to_frame().set_index(["part", "where"])
    for part, key in (("labels", "y"), ("predictions", "y_pred")):
        for code, name in enumerate(bands.names):
            row = frame.loc[(part, name)]
            assert row["reference"] == np.mean(bands.assign(OLD[key]) == code)
            assert row["new"] == np.mean(bands.assign(new[key]) == code)
            assert row["change"] == row["new"] - row["reference"]
            assert row["n_new"] == np.sum(bands.assign(new[key]) == code)
        outside = frame.loc[(part, "outside the reference")]
        assert outside["new"] == np.mean((new[key] > OLD[key].max()) | (new[key] < OLD[key].min()))
    for j in range(3):
        row = frame.loc[("inputs", f"column {j}")]
        low, high = OLD["X"][:, j].min(), OLD["X"][:, j].max()
        assert row["n_new"] == np.sum((new["X"][:, j] < low) | (new["X"][:, j] > high))
        assert row["reference"] == pytest.approx(2 / 3001)
    # Bonferroni: eleven intervals of half an eleventh of 5 % on either side.
    few = [np.sum(bands.assign(side["y"]) == 2) for side in (OLD, new)]
    level = 1 - 0.05 / 11
    old_share, new_share = counted(few[0], 3000, level), counted(few[1], 800, level)
    np.testing.assert_allclose(
        frame.loc[("labels", "few"), ["change", "change_low", "change_high"]].astype(float),
        difference(new_share, old_share),
    )


@pytest.mark.parametrize(("n_old", "n_new"), [(40, 400), (300, 100)])
def test_unchanged_sources_are_rarely_called_changed(n_old, n_new):
    rng = np.random.default_rng(2)
    alarms = [
        tail_drift(rows(n_old, rng=rng), rows(n_new, rng=rng)).has_changed for _ in range(150)
    ]
    # At most 5 %; four deviations of 150 draws above that.
    assert np.mean(alarms) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 150)


def test_real_changes_are_found():
    rng = np.random.default_rng(3)
    for _ in range(10):
        labels = tail_drift({"y": OLD["y"]}, {"y": rows(500, scale=2, rng=rng)["y"]})
        assert "Labels in 'few'" in " ".join(labels.findings)
        inputs = tail_drift({"X": OLD["X"]}, {"X": rows(500, shift=2, rng=rng)["X"]})
        assert inputs.to_frame()["changed"].all()
        assert inputs.bands is None


def test_predictions_alone_ask_for_labels():
    new = rows(500, scale=2)
    drift = tail_drift(
        {"y_pred": OLD["y_pred"]},
        {"y_pred": new["y_pred"]},
        bands=LabelBands.from_density(OLD["y"]),
    )
    assert set(drift.to_frame()["part"]) == {"predictions"}
    assert "label a sample of the new rows" in repr(drift)
    assert "Some labels" not in repr(drift)


def test_nothing_changed_is_said():
    drift = tail_drift(OLD, OLD)
    assert not drift.has_changed
    assert "No share has changed measurably" in drift.findings[0]
    assert drift.advice == ()
    assert "0 of 11 shares changed" in repr(drift)


def test_classes():
    old = np.repeat(["a", "b", "c"], [500, 60, 10])
    new = np.repeat(["a", "c", "d"], [200, 40, 30])
    drift = tail_drift({"y": old}, {"y": new})
    assert isinstance(drift.bands, ClassBands)
    frame = drift.to_frame().set_index("where")
    assert frame.loc["few", "new"] == 70 / 270
    assert frame.loc["outside the reference", "n_new"] == 30
    assert frame.loc["outside the reference", "reference"] == 0  # no class occurs once
    assert frame.loc["outside the reference", "changed"]
    votes = RNG.multinomial(50, [0.2, 0.3, 0.5], size=300)
    scores = tail_drift({"y": votes}, {"y": votes[:50] @ [1, 2, 3] / 50})
    assert isinstance(scores.bands, LabelBands)
    with pytest.raises(ValueError, match="one class a row"):
        tail_drift({"y": old}, {"y": np.ones((3, 3))})


def test_kinds_of_columns():
    n = 200
    old = pd.DataFrame(
        {
            "number": np.arange(n, dtype=float),
            "gaps": np.where(np.arange(n) % 9, 1.0, np.nan),
            "whole": pd.array([1, 2, None, 4] * 50, dtype="Int64"),
            "word": ["x", "y"] * 100,
            "kind": pd.Categorical(["p", None] * 100),
            "day": pd.date_range("2020-01-01", periods=n),
            "flag": [True, False] * 100,
        }
    )
    same = tail_drift({"X": old}, {"X": old.sample(100, random_state=0)})
    assert (same.to_frame()["n_new"] == 0).all()
    new = old.iloc[:100].copy()
    new["number"] = np.where(np.arange(100) < 30, np.nan, new["number"])  # none was
    new["gaps"] = np.where(np.arange(100) < 20, np.nan, 5.0)  # as before, but beyond
    new.loc[:9, "whole"] = 9
    new.loc[:19, "word"] = "z"
    new.loc[:39, "day"] = pd.Timestamp("2030-01-01")
    frame = tail_drift({"X": old}, {"X": new}).to_frame().set_index("where")
    expected = {"number": 30, "gaps": 80, "whole": 10, "word": 20, "kind": 0, "day": 40, "flag": 0}
    assert frame["n_new"].to_dict() == expected
    assert frame["changed"].to_dict() == {k: v >= 10 for k, v in expected.items()}


def test_names_that_occur_once_expect_new_ones():
    """Half of the reference's names occur once, so that half of the new ones are expected new."""
    names = np.array([f"n{i}" for i in range(400)] + ["common"] * 400, dtype=object)[:, None]
    others = np.array([f"m{i}" for i in range(100)] + ["common"] * 100, dtype=object)[:, None]
    frame = tail_drift({"X": names}, {"X": others}).to_frame()
    assert frame.loc[0, "reference"] == frame.loc[0, "new"] == 0.5
    assert not frame.loc[0, "changed"]


def test_wide_tables_show_what_changed():
    old, new = RNG.normal(size=(500, 40)), RNG.normal(size=(200, 40))
    new[:, 7:19] += 9
    drift = tail_drift({"X": old}, {"X": new})
    assert len(drift.to_frame()) == 40
    assert repr(drift).count(" yes") == 12
    assert repr(drift).count("inputs  ") == 12
    assert repr(tail_drift({"X": old}, {"X": old})).count("inputs  ") == 5


def test_html_shows_the_same_and_escapes():
    old = pd.DataFrame({"<b>": [1.0] * 50})
    drift = tail_drift({"X": old}, {"X": old + 1})
    html = drift._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert html.count("<li>") == len(drift.findings) + len(drift.advice)


@pytest.mark.parametrize(
    ("reference", "new", "message"),
    [
        ({}, {}, "nothing to compare"),
        ({"y": [1.0, 2.0]}, {"X": [[1.0]]}, r"\['y'\] and new has \['X'\]"),
        ({"y": [1.0], "z": 3}, {"y": [1.0]}, r"reference has \['z'\]"),
        ({"y": [1.0, 2.5], "y_pred": [1.0]}, {"y": [1.0]}, "one number of rows"),
        ({"y": []}, {"y": [1.0]}, "at least one row"),
        ({"y": [1.0, 2.5]}, {"y": [np.nan]}, r"new\['y'\] contains NaN"),
        ({"y_pred": [1.0]}, {"y_pred": [1.0]}, "pass bands=model.label_bands_"),
        ({"X": np.ones((3, 2))}, {"X": np.ones((3, 1))}, "2 and 1"),
        ({"X": np.ones((3, 2, 2))}, {"X": np.ones((3, 2, 2))}, r"reference\['X'\] must be a table"),
    ],
)
def test_bad_input(reference, new, message):
    with pytest.raises(ValueError, match=message):
        tail_drift(reference, new)


@pytest.mark.parametrize("y", [[0.5], [0.5] * 20, ["a"], [0.1, 7.0]])
def test_degenerate_labels(y):
    drift = tail_drift({"y": y, "X": np.ones((len(y), 1))}, {"y": y, "X": np.ones((len(y), 1))})
    assert "nan" not in repr(drift)
    assert np.isfinite(drift.to_frame().select_dtypes("number").to_numpy()).all()
    assert not drift.has_changed
