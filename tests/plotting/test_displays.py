"""What all displays have in common, and what each computes."""

import io
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import calibration_curve
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import ELTARegressor, GranularClassifier, plotting
from ltlearn.calibration import LogitAdjuster
from ltlearn.evaluation._measures import GREATER_IS_BETTER
from ltlearn.metrics import ClassBands, LabelBands, shot_accuracy
from ltlearn.model_selection import TunedTailCV
from ltlearn.options import Auxiliary, Bins
from ltlearn.plotting import (
    ErrorByLabelDisplay,
    FrontierDisplay,
    LabelDensityDisplay,
    NeighborDisplay,
    ReliabilityDisplay,
    ScoreHistogramDisplay,
    ShotAccuracyDisplay,
    TailFrontierDisplay,
    TrainingHistoryDisplay,
)
from ltlearn.plotting._frontier import _spread
from ltlearn.plotting._style import COLORS, HATCHES, LINESTYLES, MARKERS, axis_name
from ltlearn.weighting import label_density

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 3))
Y = np.exp(X[:, 0])
PREDICTED = Ridge().fit(X, Y).predict(X)
XC, YC = make_classification(
    600, n_informative=4, n_classes=3, weights=[0.85, 0.12, 0.03], random_state=0
)
YC = np.array(["head", "middle", "tail"])[YC]
BANDS = ClassBands.from_labels(YC)
CLASSIFIER = LogisticRegression().fit(XC, YC)
TUNED = TunedTailCV(LogitAdjuster(LogisticRegression()), cv=2).fit(XC, YC)
RESULTS = pd.DataFrame(
    {
        "estimator": ["plain", "mixup", "weights", "mean"] * 2,
        "kind": ["estimator", "estimator", "control", "control"] * 2,
        "split": 0,
        "seed": 0,
        "metric": "mae",
        "band": ["overall"] * 4 + ["few"] * 4,
        "value": [1.0, 1.1, 1.2, 9.0, 4.0, 3.0, 3.5, 9.0],
    }
)
HISTORY = [
    {"stage": "fit", "epoch": 1, "train_loss": 2.0, "train_task": 1.5, "valid_loss": 2.2},
    {"stage": "fit", "epoch": 2, "train_loss": 1.0, "train_task": 0.7, "valid_loss": 1.2},
    {"stage": "head retraining", "epoch": 1, "train_loss": 0.9, "valid_loss": 1.1},
]
MAKERS = {
    "density": lambda ax=None: LabelDensityDisplay.from_labels(Y, ax=ax),
    "error": lambda ax=None: ErrorByLabelDisplay.from_predictions(Y, PREDICTED, ax=ax),
    "histogram": lambda ax=None: ScoreHistogramDisplay.from_predictions(Y, PREDICTED, ax=ax),
    "shot": lambda ax=None: ShotAccuracyDisplay.from_predictions(
        YC, CLASSIFIER.predict(XC), bands=BANDS, ax=ax
    ),
    "reliability": lambda ax=None: ReliabilityDisplay.from_estimator(
        CLASSIFIER, XC, YC, bands=BANDS, ax=ax
    ),
    "frontier": lambda ax=None: FrontierDisplay.from_results(RESULTS, ax=ax),
    "tail frontier": lambda ax=None: TailFrontierDisplay.from_estimator(TUNED, ax=ax),
    "neighbors": lambda ax=None: NeighborDisplay.from_neighbors({"a": ["x"], "b": ["y"]}, ax=ax),
    "history": lambda ax=None: TrainingHistoryDisplay.from_history(HISTORY, ax=ax),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_convention(make):
    display = make()
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_xlabel()
    assert display.ax_.get_ylabel()
    display.figure_.savefig(io.BytesIO(), format="png")
    first = display.ax_
    assert display.plot() is display
    assert display.ax_ is not first
    _, ax = plt.subplots()
    assert make(ax=ax).ax_ is ax


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_missing_matplotlib_names_the_extra(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"ltlearn\[plot\]"):
        make()


def test_every_display_is_tried_here():
    made = {type(make()).__name__ for make in MAKERS.values()}
    assert made == set(plotting.__all__)


def test_styles_differ_in_more_than_color():
    for styles in (COLORS, LINESTYLES, MARKERS, HATCHES):
        assert len(set(styles)) == len(COLORS)


def test_neighboring_colors_differ_in_lightness():
    """Relative luminance as in WCAG, of neighbors among the first four."""
    channels = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLORS]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    low, high = np.sort([luminance[:3], luminance[1:4]], axis=0)
    assert np.all((high + 0.05) / (low + 0.05) > 2)


def test_label_density():
    bands = LabelBands.from_density(Y)
    display = LabelDensityDisplay.from_labels(Y)
    np.testing.assert_allclose(display.line_.get_ydata(), label_density(Y, at=display.grid))
    assert list(display.areas_) == [name for name in bands.names if bands.counts[name]]
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == [f"{name}: {bands.counts[name]:,} samples" for name in display.areas_]


def test_error_by_label_against_a_loop():
    display = ErrorByLabelDisplay.from_predictions(Y, PREDICTED, n_bins=7)
    low, width = Y.min(), (Y.max() - Y.min()) / 7
    expected = {}
    for true, predicted in zip(Y, PREDICTED, strict=True):
        expected.setdefault(min(int((true - low) / width), 6), []).append(abs(true - predicted))
    means = [np.mean(expected[number]) for number in sorted(expected)]
    np.testing.assert_allclose(display.errors, means)
    first = np.array(expected[0])
    assert display.standard_errors[0] == pytest.approx(first.std(ddof=1) / np.sqrt(len(first)))
    assert np.isfinite(display.standard_errors).all()


def test_errors_of_several_estimators_share_axes_and_one_density():
    forest = HistGradientBoostingRegressor(max_iter=5).fit(X, Y)
    first = ErrorByLabelDisplay.from_estimator(Ridge().fit(X, Y), X, Y, y_train=Y[:50])
    second = ErrorByLabelDisplay.from_estimator(forest, X, Y, name="boosting", ax=first.ax_)
    assert first.density_ is not None
    assert second.density_ is None
    texts = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert texts == ["Ridge", "boosting"]
    styles = [container.lines[0].get_linestyle() for container in first.ax_.containers]
    assert len(set(styles)) == 2


def test_shot_accuracy_beside_a_baseline():
    dull = np.full(len(YC), "head")
    display = ShotAccuracyDisplay.from_predictions(
        YC, CLASSIFIER.predict(XC), baseline_pred=dull, bands=BANDS, name="logistic"
    )
    expected = shot_accuracy(YC, CLASSIFIER.predict(XC), bands=BANDS)
    heights = [bar.get_height() for bar in display.bars_["logistic"]]
    assert heights == pytest.approx([CLASSIFIER.score(XC, YC), *expected.values()])
    assert [bar.get_height() for bar in display.bars_["baseline"]][1:] == [1, 0, 0]


def test_labels_and_predictions_may_be_columns():
    """An array (n, 1) compared with one of shape (n,) would be n x n comparisons."""
    flat = ShotAccuracyDisplay.from_estimator(CLASSIFIER, XC, YC, bands=BANDS)
    column = ShotAccuracyDisplay.from_predictions(
        YC[:, None], CLASSIFIER.predict(XC)[:, None], bands=BANDS
    )
    assert column.accuracies["model"] == flat.accuracies["LogisticRegression"]
    flat = ReliabilityDisplay.from_estimator(CLASSIFIER, XC, YC, bands=BANDS)
    column = ReliabilityDisplay.from_estimator(CLASSIFIER, XC, YC[:, None], bands=BANDS)
    assert repr(column.curves) == repr(flat.curves)


def test_a_name_of_its_own_for_the_baseline():
    options = {"baseline": CLASSIFIER, "bands": BANDS, "name": "baseline"}
    with pytest.raises(ValueError, match="pass another name"):
        ShotAccuracyDisplay.from_estimator(CLASSIFIER, XC, YC, **options)


def test_reliability_of_two_classes():
    true, proba = np.array(["a", "b"] * 20), RNG.uniform(size=40)
    options = {"classes": ["a", "b"], "bands": ClassBands(["a", "b"], [500, 5])}
    one = ReliabilityDisplay.from_predictions(true, proba, **options)
    two = ReliabilityDisplay.from_predictions(true, np.stack([1 - proba, proba], 1), **options)
    assert repr(one.curves) == repr(two.curves)
    with pytest.raises(ValueError, match="3 columns for 2 classes"):
        ReliabilityDisplay.from_predictions(true, np.ones((40, 3)) / 3, **options)


def test_shot_accuracy_shows_an_empty_band():
    rows = YC != "tail"
    display = ShotAccuracyDisplay.from_predictions(YC[rows], YC[rows], bands=BANDS)
    assert [text.get_text() for text in display.ax_.texts] == ["1.00", "1.00", "1.00", "no rows"]


class Remembering(ClassifierMixin, BaseEstimator):
    """A logistic regression that keeps its class counts."""

    def fit(self, X, y):
        self.classes_, self.class_counts_ = np.unique(y, return_counts=True)
        self.model_ = LogisticRegression().fit(X, y)
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def predict_proba(self, X):
        return self.model_.predict_proba(X)


@pytest.mark.parametrize("display", [ShotAccuracyDisplay, ReliabilityDisplay])
def test_class_bands_come_from_the_estimator(display):
    fitted = make_pipeline(StandardScaler(), Remembering()).fit(XC, YC)
    values = "curves" if display is ReliabilityDisplay else "accuracies"
    kept = getattr(display.from_estimator(fitted, XC, YC), values)
    given = getattr(display.from_estimator(fitted, XC, YC, bands=BANDS), values)
    assert repr(kept) == repr(given)
    with pytest.raises(ValueError, match=r"LogisticRegression does not keep.*bands=ClassBands"):
        display.from_estimator(CLASSIFIER, XC, YC)


def test_reliability_against_scikit_learn():
    proba = CLASSIFIER.predict_proba(XC)
    display = ReliabilityDisplay.from_predictions(
        YC, proba, classes=CLASSIFIER.classes_, bands=BANDS, n_bins=8
    )
    correct = CLASSIFIER.predict(XC) == YC
    for name, rows in {
        "overall": np.full(len(YC), True),
        "many": YC == "head",
        "few": BANDS.assign(YC) == 2,
    }.items():
        accuracy, confidence = calibration_curve(correct[rows], proba.max(axis=1)[rows], n_bins=8)
        np.testing.assert_allclose(display.curves[name][0], confidence)
        np.testing.assert_allclose(display.curves[name][1], accuracy)
        assert display.curves[name][2].sum() == rows.sum()


def test_frontier_line_and_names():
    display = FrontierDisplay.from_results(RESULTS)
    np.testing.assert_allclose(display.line_.get_xydata(), [[1.0, 4.0], [1.1, 3.0]])
    weights = {text.get_text(): text.get_weight() for text in display.texts_}
    assert weights == {"plain": "bold", "mixup": "bold", "weights": "normal"}
    assert set(display.points_) == {"estimator", "control"}
    assert len(FrontierDisplay.from_results(RESULTS, exclude=()).texts_) == 4


def test_settings_of_a_dial_are_a_curve_in_their_order():
    values = {0.0: (1.0, 4.0), 0.5: (1.3, 2.0), 10.0: (1.2, 5.0)}
    dial = pd.DataFrame(
        [
            {"estimator": f"mixup + tail={tail:g}", "kind": "dial", "band": band, "value": value}
            for tail, pair in reversed(values.items())
            for band, value in zip(("overall", "few"), pair, strict=True)
        ]
    ).assign(split=0, seed=0, metric="mae")
    display = FrontierDisplay.from_results(pd.concat([RESULTS, dial]))
    np.testing.assert_allclose(display.curves_["mixup"].get_xydata(), list(values.values()))
    assert "mixup + tail=0.5" not in {text.get_text() for text in display.texts_}
    assert [1.3, 2.0] in display.line_.get_xydata().tolist()
    assert FrontierDisplay.from_results(RESULTS).curves_ == {}


def test_frontier_axes_say_what_is_measured():
    display = FrontierDisplay.from_results(RESULTS)
    assert display.ax_.get_xlabel() == "Mean absolute error, all samples"
    assert display.ax_.get_ylabel() == "Mean absolute error, few-shot"
    of_ones_own = FrontierDisplay.from_results(
        RESULTS.assign(metric="cost"), overall="cost", tail="cost", greater_is_better={"cost": True}
    )
    assert of_ones_own.ax_.get_xlabel() == "cost, all samples"


@pytest.mark.parametrize(
    "metric", [name for name, up in GREATER_IS_BETTER.items() if up is not None]
)
def test_metrics_have_names_in_words(metric):
    assert axis_name(metric, "few") not in (f"{metric}, few-shot", f"{metric}, few")


def test_tail_frontier_shows_the_choice_and_the_budget():
    display = TailFrontierDisplay.from_estimator(TUNED)
    frontier = TUNED.frontier_
    points = np.c_[frontier["overall"], frontier["tail_accuracy"]]
    np.testing.assert_array_equal(display.line_.get_xydata(), points)
    within = points[:, 0] >= points[0, 0] - 0.02
    np.testing.assert_array_equal(display.within_.get_xydata(), points[within])
    np.testing.assert_array_equal(
        display.chosen_.get_xydata(), points[frontier["tail"] == TUNED.tail_]
    )
    assert display.limit_.get_xdata()[0] == pytest.approx(points[0, 0] - 0.02)
    assert "accuracy" in display.ax_.get_xlabel()


def test_tail_frontier_of_errors():
    frontier = {"tail": [0, 1], "overall": [2.0, 3.0], "tail_error": [5.0, 4.0]}
    frontier["within_budget"] = [True, False]
    display = TailFrontierDisplay(frontier=frontier, tail=0.0, limit=2.1).plot()
    assert display.ax_.get_xlabel() == "overall error"
    np.testing.assert_array_equal(display.within_.get_xydata(), [[2.0, 5.0]])


def test_frontier_of_own_metrics():
    results = RESULTS.replace({"metric": {"mae": "cost"}})
    options = {"overall": "cost", "tail": "cost", "greater_is_better": {"cost": False}}
    display = FrontierDisplay.from_results(results, **options)
    expected = FrontierDisplay.from_results(RESULTS)
    np.testing.assert_array_equal(display.line_.get_xydata(), expected.line_.get_xydata())


@pytest.mark.parametrize("n", [1, 2, 10, 18, 40])
def test_names_do_not_overlap(n):
    for heights in (np.full(n, 0.05), np.full(n, 0.95), np.sort(RNG.uniform(size=n))):
        spread = _spread(heights)
        gap = min(0.055, 1 / n)
        assert np.all(np.diff(spread) >= gap - 1e-9)
        assert spread[0] >= 0
        assert spread[-1] <= 1


def test_neighbors_from_dict_and_matrix():
    display = NeighborDisplay.from_neighbors(
        {"cat": ["lynx", "puma"], "dog": []}, targets=["dog", "cat"], auxiliary=["fish", "lynx"]
    )
    assert display.auxiliary_names == ["lynx", "puma", "fish"]
    np.testing.assert_array_equal(display.matrix, [[0, 0, 0], [1, 1, 0]])
    similarity = RNG.uniform(size=(2, 3))
    display = NeighborDisplay.from_neighbors(similarity, targets=["a", "b"])
    np.testing.assert_array_equal(display.im_.get_array(), similarity)
    assert len(display.figure_.axes) == 2  # with its color bar
    assert display.auxiliary_names == ["0", "1", "2"]
    frame = pd.DataFrame(similarity, index=["cat", "dog"], columns=["lynx", "puma", "wolf"])
    display = NeighborDisplay.from_neighbors(frame)
    assert display.target_names == ["cat", "dog"]
    assert display.auxiliary_names == ["lynx", "puma", "wolf"]
    assert NeighborDisplay.from_neighbors([[True, False]]).auxiliary_names == ["0", "1"]
    for empty in ({}, {"cat": []}, np.empty((2, 0))):
        with pytest.raises(ValueError, match=r"nothing to plot: \d target classes and 0 aux"):
            NeighborDisplay.from_neighbors(empty)
    with pytest.raises(ValueError, match="maps 'a' to 'xy'"):
        NeighborDisplay.from_neighbors({"a": "xy"})
    with pytest.raises(ValueError, match=r"bird.*not among targets"):
        NeighborDisplay.from_neighbors({"bird": ["x"]}, targets=["cat"])
    with pytest.raises(ValueError, match="has no neighbors_"):
        NeighborDisplay.from_estimator(CLASSIFIER)


def test_neighbors_of_a_fitted_classifier():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.repeat(["cat", "dog"], 20)
    X_aux, y_aux = rng.normal(size=(10, 3)), np.repeat(["lynx", "wolf"], 5)
    relation = {"cat": ["lynx"], "dog": ["wolf", "lynx"]}
    model = GranularClassifier(
        max_epochs=1, auxiliary=Auxiliary(neighbors=relation), random_state=0
    )
    display = NeighborDisplay.from_estimator(model.fit(X, y, X_aux=X_aux, y_aux=y_aux))
    (image,) = display.ax_.images
    np.testing.assert_array_equal(np.asarray(image.get_array(), dtype=bool), [[1, 0], [1, 1]])
    alone = GranularClassifier(max_epochs=1, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="2 target classes and 0 auxiliary classes"):
        NeighborDisplay.from_estimator(alone)


def test_history_of_stages():
    display = TrainingHistoryDisplay.from_history(HISTORY)
    assert list(display.lines_) == ["train_loss", "train_task", "valid_loss"]
    np.testing.assert_array_equal(display.lines_["train_loss"].get_ydata(), [2.0, 1.0, 0.9])
    assert np.isnan(display.lines_["train_task"].get_ydata()[2])
    assert display.stages == [("fit", 2), ("head retraining", 1)]
    assert [text.get_text() for text in display.ax_.texts] == ["fit", "head retraining"]
    with pytest.raises(ValueError, match=r"history has no .'nope'.; there are .*'train_task'"):
        TrainingHistoryDisplay.from_history(HISTORY, terms=["train_loss", "nope"])
    only = TrainingHistoryDisplay.from_history(HISTORY, terms=["valid_loss"])
    assert list(only.lines_) == ["valid_loss"]


def test_history_of_an_estimator():
    model = ELTARegressor(max_epochs=2, alignment_weight=0.1, early_stopping=True, random_state=0)
    pipeline = make_pipeline(StandardScaler(), model).fit(X, Y)
    display = TrainingHistoryDisplay.from_estimator(pipeline)
    losses = [row["train_loss"] for row in pipeline[-1].history_]
    np.testing.assert_array_equal(display.lines_["train_loss"].get_ydata(), losses)
    assert {"train_alignment", "valid_loss"} <= set(display.lines_)
    assert "train_batch_count" not in display.lines_
    with pytest.raises(ValueError, match="Ridge has no history_"):
        TrainingHistoryDisplay.from_estimator(Ridge().fit(X, Y))


def test_score_histogram():
    display = ScoreHistogramDisplay.from_predictions(Y, PREDICTED, n_bins=6)
    assert display.true_shares.sum() == pytest.approx(1)
    assert display.predicted_shares.sum() == pytest.approx(1)
    inside = (display.edges[2] <= Y) & (display.edges[3] > Y)
    assert display.true_shares[2] == pytest.approx(inside.mean())
    heights = [bar.get_height() for bar in display.bars_["predicted"]]
    np.testing.assert_allclose(heights, display.predicted_shares)


def test_score_histogram_of_distributions():
    votes = RNG.integers(1, 9, size=(400, 4))
    shares = votes / votes.sum(axis=1, keepdims=True)
    display = ScoreHistogramDisplay.from_predictions(votes, shares[::-1], bin_centers=[2, 4, 6, 8])
    np.testing.assert_allclose(display.true_shares, shares.mean(axis=0))
    np.testing.assert_allclose(display.edges, [1, 3, 5, 7, 9])
    model = ELTARegressor(max_epochs=1, bins=Bins(score_range=(2, 8)), random_state=0).fit(X, votes)
    display = ScoreHistogramDisplay.from_estimator(model, X, votes)
    np.testing.assert_allclose(display.edges, [1, 3, 5, 7, 9])
    predicted = model.predict_distribution(X).mean(axis=0)
    np.testing.assert_allclose(display.predicted_shares, predicted, atol=1e-6)
    ridge = Ridge().fit(X, shares @ [1, 2, 3, 4])
    assert len(ScoreHistogramDisplay.from_estimator(ridge, X, votes, n_bins=9).true_shares) == 9
