import re

import numpy as np
import pytest

from ltlearn.evaluation import diagnose
from ltlearn.metrics import LabelBands, expected_score
from ltlearn.weighting import label_density

RNG = np.random.default_rng(0)
SKEWED = RNG.lognormal(size=2000)
VOTES = RNG.multinomial(50, [0.05, 0.05, 0.1, 0.3, 0.3, 0.1, 0.1], size=400)
CLASSES = np.repeat(list("abcdefgh"), [500, 200, 100, 50, 20, 10, 5, 1])


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (SKEWED, "regression"),
        (SKEWED.astype(np.float32)[:, None], "regression"),
        (VOTES, "distribution"),
        (CLASSES, "classification"),
        ([True, False] * 3, "classification"),
        (np.repeat([0, 1, 2], 10), "classification"),
        (np.repeat([0.0, 1.0, 2.0], 10), "classification"),
        (np.arange(100), "regression"),
        (np.repeat([0.5, 1.0], 50), "regression"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_task(y, task):
    assert diagnose(y).task == task


def test_task_can_be_said():
    whole = np.repeat([1, 2, 3, 4, 9], [50, 300, 200, 50, 2])
    assert 'task="regression"' in repr(diagnose(whole))
    diagnosis = diagnose(whole, task="regression")
    assert diagnosis.task == "regression"
    assert "Whole numbers" not in repr(diagnosis)
    assert diagnose(SKEWED.round(1), task="classification").task == "classification"


def test_numbers_for_scores():
    diagnosis = diagnose(SKEWED, validation_fraction=0.2)
    density = label_density(SKEWED)
    assert diagnosis.imbalance_ratio == pytest.approx(density.max() / density.min())
    bands = LabelBands.from_density(SKEWED)
    frame = diagnosis.to_frame().set_index("band")
    assert frame["n_samples"].to_dict() == bands.counts
    assert frame["share"].sum() == pytest.approx(1)
    np.testing.assert_allclose(frame["n_validation"], 0.2 * frame["n_samples"])
    border = SKEWED[bands.assign(SKEWED) == 2].min()
    width = SKEWED.max() - border
    assert frame.loc["few", "density"] == pytest.approx(bands.counts["few"] / width, rel=0.05)


def test_counts_of_the_tail_are_said_with_the_labels():
    y = np.concatenate([RNG.normal(5, 0.5, 500), [8.6, 9.0, 9.4]])
    text = " ".join(diagnose(y, validation_fraction=0.1).findings)
    few = LabelBands.from_density(y).assign(y) == 2
    top = np.sum(few & (y > 5))
    assert top >= 3
    assert f"{top} above" in text
    assert "too few to choose anything by tail error" in text


def test_a_validation_part_that_sees_the_tail():
    text = repr(diagnose(RNG.exponential(size=5000), validation_fraction=0.2))
    assert "enough to compare models there" in text
    assert "with X_val and y_val" in text


def test_no_tail_is_said():
    diagnosis = diagnose(np.linspace(0.1, 5.7, 300))
    assert "this is not a long tail" in repr(diagnosis)
    assert diagnosis.imbalance_ratio == pytest.approx(1, rel=0.2)


def test_logarithm_is_advised_only_where_it_helps():
    assert "np.log" in repr(diagnose(SKEWED))
    assert "np.log" not in repr(diagnose(SKEWED - 1))
    assert "np.log" not in repr(diagnose(RNG.normal(50, 3, 500)))


@pytest.mark.parametrize("level", [1.0, -3.0, 1e6, 1e-200])
def test_labels_that_differ_by_rounding_alone_are_equal(level):
    """Their range is no range to speak of: no share of it, no bins in it, no density."""
    y = level * (1 + 2e-16 * np.arange(300).repeat(2) % 3)
    assert 0 < np.ptp(y) < 1e-10 * abs(level)
    diagnosis = diagnose(y, task="regression")
    assert "nothing to predict" in repr(diagnosis)
    assert "crowd" not in repr(diagnosis)
    assert diagnosis.imbalance_ratio == 1
    assert diagnosis.advice == ()


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6, 1e-9])
def test_crowding_is_a_share_of_the_range(spread):
    """Evenly spread labels fill their range, whatever it is; normal ones 1 / (2 sqrt(pi) sd)."""
    text = repr(diagnose(7 + spread * np.linspace(0, 1, 600), task="regression"))
    share = float(re.search(r"over ([\d.]+)% of that range", text)[1])
    assert 95 <= share <= 100
    normal = 7 + spread * RNG.normal(size=4000)
    share = float(re.search(r"over ([\d.]+)% of", repr(diagnose(normal, task="regression")))[1])
    expected = 2 * np.sqrt(np.pi) * np.std(normal) / np.ptp(normal)
    assert share == pytest.approx(100 * expected, rel=0.1)


def test_borders_are_shown_in_digits_that_tell_them_apart():
    y = 5 + 1e-7 * RNG.exponential(size=1000)
    borders = re.findall(r"5\.\d+", " ".join(diagnose(y).to_frame()["labels"]))
    assert len(borders) >= 2
    assert all(y.min() < float(border) < y.max() for border in borders)


@pytest.mark.parametrize(
    ("y", "warns", "logarithm"),
    [
        (SKEWED, True, "func=np.log, inverse_func=np.exp"),
        (np.floor(3 * SKEWED), True, "func=np.log1p, inverse_func=np.expm1"),
        (SKEWED - 2 * SKEWED.min(), False, None),
        (SKEWED.max() + 0.1 - SKEWED, False, None),
        (RNG.uniform(0.1, 1, size=500), False, None),
    ],
)
def test_predictions_below_zero_are_warned_of(y, warns, logarithm):
    text = repr(diagnose(y, task="regression"))
    assert ("some predictions of a network may be" in text) == warns
    assert ("np.log" in text) == (logarithm is not None)
    assert logarithm is None or logarithm in text


def test_skewed_distributions_need_no_logarithm():
    votes = RNG.multinomial(50, [0.9, 0.05, 0.02, 0.02, 0.01], size=400)
    votes[:5] = [0, 0, 0, 0, 50]
    text = repr(diagnose(votes))
    assert "np.log" not in text
    assert "below 0" not in text


def test_distributions_count_as_their_expected_scores():
    centers = np.linspace(0, 1, 7)
    diagnosis = diagnose(VOTES, bin_centers=centers)
    scores = expected_score(VOTES, bin_centers=centers)
    assert diagnosis.n_bins == 7
    assert diagnosis.bands == LabelBands.from_density(scores)
    assert 'ELTARegressor(loss="emd")' in repr(diagnosis)


def test_numbers_for_classes():
    diagnosis = diagnose(CLASSES)
    frame = diagnosis.to_frame().set_index("band")
    assert diagnosis.imbalance_ratio == 500
    assert frame["n_samples"].to_dict() == {"many": 700, "medium": 170, "few": 16}
    assert frame["density"].to_dict() == pytest.approx(
        {"many": 350, "medium": 170 / 3, "few": 16 / 3}
    )
    assert frame.loc["few", "labels"] == "h, g, f"
    text = repr(diagnosis)
    assert "Single samples: h." in text
    assert "2 classes have fewer samples" in text


def test_suggested_bins_follow_freedman_and_diaconis():
    y = RNG.normal(size=200)
    edges = np.histogram_bin_edges(y, bins="fd")
    assert diagnose(y).n_bins == len(edges) - 1
    assert diagnose(SKEWED**3).n_bins == 50
    assert diagnose([0.5] * 99 + [1.5]).n_bins == 5


@pytest.mark.parametrize(
    "y", [[0.5], [0.5] * 20, ["a"], ["a"] * 20, [1, 2], ["a", "b"], [0.1, 7.0]]
)
def test_degenerate_labels(y):
    diagnosis = diagnose(y)
    assert diagnosis.n_samples == len(y)
    assert "nan" not in repr(diagnosis)
    assert len(diagnosis.to_frame()) >= 1
    if len(set(y)) == 1:
        assert "nothing to predict" in repr(diagnosis)


def test_html_shows_the_same_and_escapes():
    diagnosis = diagnose(np.repeat(["<b>", "c"], [30, 3]))
    html = diagnosis._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert html.count("<li>") == len(diagnosis.findings) + len(diagnosis.advice)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([], "empty"),
        ([0.5, np.nan], "NaN"),
        ([[1, -1], [1, 1]], "negative"),
        (np.ones((2, 2, 2)), "dim 3"),
        (np.array(["2020-01-01", "2021-01-01"], "datetime64[D]"), "y holds dates"),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        diagnose(y)


def test_two_targets_are_no_distributions():
    targets = np.column_stack([np.linspace(1e5, 9e5, 50), np.linspace(500.5, 900.5, 50)])
    with pytest.raises(ValueError, match=r"y has 2 columns .*diagnose one column each"):
        diagnose(targets)
    said = diagnose(targets, bin_centers=[1, 2])
    assert said.task == "distribution"
    shares = targets / targets.sum(axis=1, keepdims=True)
    assert repr(diagnose(shares)) == repr(said)


def test_distributions_are_no_classes():
    votes = np.eye(3)[np.repeat([0, 1, 2], 20)]
    with pytest.raises(ValueError, match="3 columns, which are score distributions"):
        diagnose(votes, task="classification")
    assert diagnose(votes, task="regression").task == "distribution"
