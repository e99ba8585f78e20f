"""Rows of comparisons for settings of a dial, and predictions made for each metric."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, mean_absolute_error, mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import ELTARegressor, PLDAClassifier, metrics
from ltlearn.calibration import RecalibrationMap, TailDial
from ltlearn.evaluation import compare, paired_differences
from ltlearn.evaluation._statistics import holm
from ltlearn.model_selection import TunedTailCV

pytestmark = [
    pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning"),
    pytest.mark.filterwarnings("ignore::ltlearn.exceptions.EmptyBandWarning"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 2))
Y = np.exp(X[:, 0] + 0.5 * RNG.normal(size=300))
TRAIN, VALIDATION, TEST = np.split(RNG.permutation(300), [180, 220])
SPLIT = [(TRAIN, VALIDATION, TEST)]


class LogQuantiles(RegressorMixin, BaseEstimator):
    """Least squares of the logarithm, with logistic quantiles."""

    n_fits = 0

    def __init__(self, spread=0.3):
        self.spread = spread

    def fit(self, X, y):
        type(self).n_fits += 1
        if self.spread < 0:
            raise ValueError("negative spread")
        self.inner_ = LinearRegression().fit(X, np.log(y))
        return self

    def predict(self, X):
        return np.exp(self.inner_.predict(X))

    def predict_quantiles(self, X, levels):
        return np.exp(self.inner_.predict(X)[:, None] + self.spread * logit(np.asarray(levels)))


DIAL = TailDial(LogQuantiles())


def value_of(results, name, metric, band="overall"):
    chosen = results[
        (results["estimator"] == name) & (results["metric"] == metric) & (results["band"] == band)
    ]
    return chosen["value"].item()


@pytest.mark.parametrize("wrap", [clone, lambda model: make_pipeline(StandardScaler(), model)])
def test_each_metric_takes_what_is_predicted_for_it(wrap):
    model = wrap(DIAL)
    results = compare({"dial": model}, X, Y, cv=SPLIT, controls=False)
    fitted = model.fit(X[TRAIN], Y[TRAIN])
    for tail in (0.0, 0.5, None):
        name = "dial" if tail is None else f"dial + tail={tail:g}"
        median, mean, own = (
            fitted.predict(X[TEST], tail=tail, prediction=each) for each in ("median", "mean", None)
        )
        expected = {
            "mae": mean_absolute_error(Y[TEST], median),
            "mse": mean_squared_error(Y[TEST], mean),
            "srcc": metrics.srcc(Y[TEST], own),
            "balanced_mae": metrics.balanced_mae(
                Y[TEST], median, score_range=(Y[TRAIN].min(), Y[TRAIN].max())
            ),
        }
        for metric, value in expected.items():
            assert value_of(results, name, metric) == pytest.approx(value)
    assert value_of(results, "dial", "mae") != value_of(results, "dial + tail=0.5", "mae")


def test_a_row_per_setting_and_one_fit():
    before = LogQuantiles.n_fits
    results = compare({"dial": DIAL}, X, Y, cv=SPLIT, controls=False, tails=[0.1, 0.4])
    assert LogQuantiles.n_fits == before + 1
    kinds = results.drop_duplicates("estimator").set_index("estimator")["kind"].to_dict()
    assert kinds == {"dial": "estimator", "dial + tail=0.1": "dial", "dial + tail=0.4": "dial"}
    assert results.groupby("estimator")["metric"].nunique().nunique() == 1


def test_recalibration_maps_what_each_metric_takes():
    results = compare({"dial": DIAL}, X, Y, cv=SPLIT, controls=["stretch"], tails=None)
    fitted = clone(DIAL).fit(X[TRAIN], Y[TRAIN])
    for metric, prediction, function in (
        ("mae", "median", mean_absolute_error),
        ("mse", "mean", mean_squared_error),
    ):
        held_out, tested = (
            fitted.predict(X[rows], prediction=prediction) for rows in (VALIDATION, TEST)
        )
        mapped = RecalibrationMap("stretch").fit(held_out, Y[VALIDATION]).predict(tested)
        expected = function(Y[TEST], mapped)
        assert value_of(results, "dial + stretch", metric) == pytest.approx(expected)


def test_classes_from_the_training_shares_to_equal_ones():
    codes = np.repeat([0, 1, 2], [200, 75, 25])
    rows = np.random.default_rng(1).normal(size=(300, 3)) + 1.5 * np.eye(3)[codes]
    labels = np.array(["a", "b", "c"])[codes]
    models = {"plda": PLDAClassifier(), "logistic": LogisticRegression()}
    results = compare(models, rows, labels, cv=SPLIT, controls=False, tails=[0, 0.5, 1])
    shares = np.unique(labels[TRAIN], return_counts=True)[1] / len(TRAIN)
    for tail in (0, 0.5, 1):
        fitted = PLDAClassifier(prior=shares ** (1 - tail), random_state=0)
        fitted.fit(rows[TRAIN], labels[TRAIN])
        expected = accuracy_score(labels[TEST], fitted.predict(rows[TEST]))
        assert value_of(results, f"plda + tail={tail}", "accuracy") == pytest.approx(expected)
    assert not any("logistic +" in name for name in results["estimator"])


def test_what_has_no_dial_or_has_chosen_its_setting_has_no_such_rows():
    models = {
        "mse": ELTARegressor(backbone="mlp", max_epochs=1),
        "tuned": TunedTailCV(DIAL, budget=0.1),
    }
    results = compare(models, X, Y, cv=SPLIT, controls=False)
    assert set(results["estimator"]) == {"mse", "tuned"}
    tuned = TunedTailCV(DIAL, budget=0.1)
    tuned.fit(X[TRAIN], Y[TRAIN], X_val=X[VALIDATION], y_val=Y[VALIDATION])
    expected = mean_absolute_error(Y[TEST], tuned.predict(X[TEST], prediction="median"))
    assert value_of(results, "tuned", "mae") == pytest.approx(expected)


def test_failed_runs_have_no_settings():
    models = {"dial": DIAL, "broken": TailDial(LogQuantiles(spread=-1))}
    with pytest.warns(FitFailedWarning, match="negative spread"):
        results = compare(models, X, Y, cv=SPLIT, controls=False, tails=[0.5])
    assert set(results["estimator"]) == {"dial", "dial + tail=0.5", "broken"}


def test_other_settings_are_not_taken_from_the_checkpoint(tmp_path):
    options = {"cv": SPLIT, "controls": False, "checkpoint": tmp_path / "runs"}
    first = compare({"dial": DIAL}, X, Y, tails=[0.1], **options)
    again = compare({"dial": DIAL}, X, Y, tails=[0.1], **options)
    pd.testing.assert_frame_equal(first, again)
    other = compare({"dial": DIAL}, X, Y, tails=[0.2], **options)
    assert set(other["estimator"]) == {"dial", "dial + tail=0.2"}


def test_settings_are_corrected_apart():
    results = compare(
        {"dial": DIAL, "other": LinearRegression()},
        X,
        Y,
        cv=3,
        controls=["median"],
        tails=[0.1, 0.2, 0.3],
        metrics=["mae"],
    )
    table = paired_differences(results)
    for band, group in table.groupby("band"):
        for is_dial, part in group.groupby(group["kind"] == "dial"):
            assert len(part) == (3 if is_dial else 2), band
            np.testing.assert_allclose(part["p_holm"], holm(part["p_value"]))


@pytest.mark.parametrize("tails", [[-1], ["a"], 0.5, [np.nan]])
def test_bad_settings(tails):
    with pytest.raises(ValueError, match="tails"):
        compare({"dial": DIAL}, X, Y, cv=SPLIT, controls=False, tails=tails)
