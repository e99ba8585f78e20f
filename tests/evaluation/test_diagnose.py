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
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        diagnose(y)


def test_distributions_are_no_classes():
    votes = np.eye(3)[np.repeat([0, 1, 2], 20)]
    with pytest.raises(ValueError, match="3 columns, which are score distributions"):
        diagnose(votes, task="classification")
    assert diagnose(votes, task="regression").task == "distribution"
