import warnings
from dataclasses import replace

import numpy as np
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import mean_absolute_error, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from ltlearn import GranularClassifier, Whole, metrics
from ltlearn.calibration import LogitAdjuster, RecalibrationMap, adjust_proba
from ltlearn.evaluation import tail_report
from ltlearn.evaluation._verdict import BandResult, Estimate, TailReport
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import ClassBands, LabelBands


@pytest.fixture(scope="module")
def skewed():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 3))
    y = np.exp(X[:, 0]) + 0.3 * rng.normal(size=1200)
    return {
        "X_train": X[:500],
        "y_train": y[:500],
        "X_val": X[500:800],
        "y_val": y[500:800],
        "X": X[800:],
        "y": y[800:],
    }


@pytest.fixture(scope="module")
def imbalanced():
    X, y = make_classification(
        1200, n_informative=5, n_classes=3, weights=[0.8, 0.17, 0.03], random_state=0
    )
    y = np.array(["head", "middle", "tail"])[y]
    return {"X_train": X[:300], "y_train": y[:300], "X": X[300:], "y": y[300:]}


class Constant(RegressorMixin, BaseEstimator):
    """Predicts y_pred, whatever X is."""

    def __init__(self, y_pred=None):
        self.y_pred = y_pred

    def fit(self, X, y):
        self.is_fitted_ = True
        return self

    def predict(self, X):
        return self.y_pred


class Enhanced(RegressorMixin, BaseEstimator):
    """Has an enhancer that adds ``shift`` to every prediction, and keeps its bands."""

    def __init__(self, shift=1.0):
        self.shift = shift

    def fit(self, X, y, X_val=None, y_val=None):
        self.X_val_ = X_val
        self.label_bands_ = LabelBands.from_density(y)
        self.model_ = Ridge().fit(X, y)
        return self

    def predict(self, X):
        return self.model_.predict(X) + self.shift

    def without_enhancers(self):
        return clone(self).set_params(shift=0.0)


def row(report, band):
    return report.to_frame().set_index("band").loc[band]


def test_regression_values(skewed):
    data = skewed
    model = HistGradientBoostingRegressor(max_iter=20).fit(data["X_train"], data["y_train"])
    base = Ridge().fit(data["X_train"], data["y_train"])
    report = tail_report(model, **data, baseline=base)
    bands = LabelBands.from_density(data["y_train"])
    stretch = RecalibrationMap().fit(base.predict(data["X_val"]), data["y_val"])
    y = data["y"]
    predictions = {
        "estimator": model.predict(data["X"]),
        "baseline": base.predict(data["X"]),
        "baseline + stretch": stretch.predict(base.predict(data["X"])),
    }
    assert report.models == tuple(predictions)
    for name, predicted in predictions.items():
        shots = metrics.shot_errors(y, predicted, bands=bands)
        assert row(report, "overall")[name] == pytest.approx(mean_absolute_error(y, predicted))
        for band, errors in shots.items():
            assert row(report, band)["n_samples"] == errors["n_samples"]
            assert row(report, band)[name] == pytest.approx(errors["mae"])
    few = row(report, "few")
    change = few["estimator"] / few["baseline"] - 1
    assert few["change_from_baseline"] == pytest.approx(change)
    assert few["change_from_baseline_low"] < change < few["change_from_baseline_high"]
    assert "fitted to the validation rows." in repr(report)


def test_without_validation_rows_the_control_is_cross_fitted(skewed):
    """No row's stretched prediction depends on its own label."""
    y, n = skewed["y"], len(skewed["y"])
    predicted = Ridge().fit(skewed["X_train"], skewed["y_train"]).predict(skewed["X"])
    model = Constant(predicted).fit(None, None)
    options = {"baseline": model, "y_train": skewed["y_train"], "n_resamples": 100}
    report = tail_report(model, np.zeros((n, 1)), y, **options)
    assert "cross-fitted" in repr(report)
    assert "about 200" not in repr(report)
    few = slice(0, 100)
    base = Constant(predicted[few]).fit(None, None)
    small = tail_report(base, np.zeros((100, 1)), y[few], baseline=base, y_train=y)
    assert "It had 80 rows to learn from and needs about 200." in repr(small)
    fitted_on_all = RecalibrationMap().fit(predicted, y).predict(predicted)
    leaky = mean_absolute_error(y, fitted_on_all)
    assert row(report, "overall")["baseline + stretch"] == pytest.approx(leaky, rel=0.05)
    assert row(report, "overall")["baseline + stretch"] != leaky


def test_classification_values(imbalanced):
    data = imbalanced
    model = LogisticRegression(class_weight="balanced").fit(data["X_train"], data["y_train"])
    base = LogisticRegression().fit(data["X_train"], data["y_train"])
    report = tail_report(model, data["X"], data["y"], baseline=base, y_train=data["y_train"])
    y = data["y"]
    prior = [np.mean(data["y_train"] == c) for c in base.classes_]
    adjusted = adjust_proba(base.predict_proba(data["X"]), prior)
    predictions = {
        "estimator": model.predict(data["X"]),
        "baseline": base.predict(data["X"]),
        "baseline + logit_adjustment": base.classes_[adjusted.argmax(axis=1)],
    }
    bands = ClassBands.from_labels(data["y_train"])
    for name, predicted in predictions.items():
        assert row(report, "overall")[name] == pytest.approx(np.mean(predicted == y))
        recall = recall_score(y, predicted, average="macro")
        assert row(report, "balanced")[name] == pytest.approx(recall)
        for band, accuracy in metrics.shot_accuracy(y, predicted, bands=bands).items():
            assert row(report, band)[name] == pytest.approx(accuracy)
    few = row(report, "few")
    assert few["change_from_baseline"] == pytest.approx(few["estimator"] - few["baseline"])
    assert "few-shot accuracy +" in report.verdict
    assert "points" in report.verdict
    assert "calibration error" in repr(report)


@pytest.mark.parametrize(
    "balanced",
    [
        GranularClassifier(max_epochs=2, random_state=0),
        LogisticRegression(class_weight="balanced"),
        make_pipeline(StandardScaler(), LogitAdjuster(LogisticRegression())),
    ],
)
def test_no_control_for_what_is_balanced_already(imbalanced, balanced):
    model = clone(balanced).fit(imbalanced["X_train"], imbalanced["y_train"])
    report = tail_report(model, **imbalanced, baseline=balanced, n_refits=0)
    assert report.models == ("estimator", "baseline")
    assert "refer to balanced classes already" in repr(report)


def test_the_control_divides_by_the_prior_of_the_baseline(imbalanced):
    data = imbalanced
    base = LogisticRegression(class_weight={"head": 0.5}).fit(data["X_train"], data["y_train"])
    report = tail_report(base, **data, baseline=base)
    weights = np.where(base.classes_ == "head", 0.5, 1.0)
    prior = weights * [np.mean(data["y_train"] == c) for c in base.classes_]
    proba = adjust_proba(base.predict_proba(data["X"]), prior)
    expected = np.mean(base.classes_[proba.argmax(axis=1)] == data["y"])
    assert row(report, "overall")["baseline + logit_adjustment"] == pytest.approx(expected)


def test_no_control_without_probabilities(imbalanced):
    data = imbalanced
    base = LinearSVC().fit(data["X_train"], data["y_train"])
    report = tail_report(base, data["X"], data["y"], baseline=base, y_train=data["y_train"])
    assert report.models == ("estimator", "baseline")
    assert report.verdict.endswith("no measurable change.")


def test_classes_that_one_side_lacks(imbalanced):
    data = imbalanced
    seen = data["y_train"] != "tail"
    model = DummyClassifier().fit(data["X_train"][seen], data["y_train"][seen])
    for rows in (data["y"] != "head", data["y"] != "middle"):
        X, y = data["X"][rows], data["y"][rows]
        report = tail_report(model, X, y, baseline=model, y_train=data["y_train"][seen])
        assert row(report, "overall")["estimator"] == pytest.approx(np.mean(y == "head"))


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: make_pipeline(StandardScaler(), m)])
@pytest.mark.parametrize("whole", [lambda values: values, Whole])
def test_as_many_validation_as_training_rows(imbalanced, wrap, whole):
    """The network standardizes its inputs itself, so that scaling them changes nothing."""
    data = imbalanced
    network = GranularClassifier(max_epochs=2, random_state=0)
    model = wrap(network).fit(data["X_train"], data["y_train"])
    validation = {"X_val": data["X"][:300], "y_val": data["y"][:300]}
    report = tail_report(
        model, **data, **{name: whole(values) for name, values in validation.items()}, n_refits=0
    )
    plain = network.without_enhancers()
    validation = {name: Whole(values) for name, values in validation.items()}
    plain.fit(data["X_train"], data["y_train"], **validation)
    assert row(report, "overall")["baseline"] == plain.score(data["X"], data["y"])


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: make_pipeline(StandardScaler(), m)])
def test_default_baseline_is_the_estimator_without_its_enhancers(skewed, wrap):
    data = skewed
    model = wrap(Enhanced(shift=2.0)).fit(data["X_train"], data["y_train"])
    report = tail_report(model, **data)
    plain = wrap(Enhanced(shift=0.0)).fit(data["X_train"], data["y_train"])
    expected = mean_absolute_error(data["y"], plain.predict(data["X"]))
    assert row(report, "overall")["baseline"] == pytest.approx(expected)
    assert "worse overall" in report.verdict
    with pytest.raises(ValueError, match="pass X_train and y_train"):
        tail_report(model, data["X"], data["y"])


def test_bands_come_from_the_estimator_or_from_y_train(skewed):
    data = skewed
    model = Enhanced(0.0).fit(data["X_train"], data["y_train"])
    kept = tail_report(model, data["X"], data["y"], baseline=model)
    given = tail_report(model, data["X"], data["y"], baseline=model, y_train=data["y_train"])
    assert kept.to_frame().equals(given.to_frame())
    forest = RandomForestRegressor(3).fit(data["X_train"], data["y_train"])
    with pytest.raises(ValueError, match=r"RandomForestRegressor does not keep.*pass y_train"):
        tail_report(forest, data["X"], data["y"], baseline=model)


def test_estimators_of_other_libraries(imbalanced):
    data = imbalanced
    model = make_imblearn_pipeline(RandomOverSampler(random_state=0), LogisticRegression())
    model.fit(data["X_train"], data["y_train"])
    report = tail_report(model, **data, baseline=LogisticRegression())
    base = LogisticRegression().fit(data["X_train"], data["y_train"])
    assert row(report, "overall")["baseline"] == base.score(data["X"], data["y"])


def test_score_distributions_count_as_expected_scores(skewed):
    votes = np.random.default_rng(0).integers(1, 9, size=(400, 3))
    shares = votes / votes.sum(axis=1, keepdims=True)
    centers = [0.0, 1.0, 5.0]
    scores = shares @ centers
    X = np.zeros((400, 1))
    model = Constant(np.full(400, 2.0)).fit(None, None)
    report = tail_report(
        model, X, votes, baseline=model, y_train=votes, bin_centers=centers, n_resamples=100
    )
    assert row(report, "overall")["estimator"] == pytest.approx(np.abs(scores - 2).mean())


def test_few_rows_get_no_interval(skewed):
    data = skewed
    bands = LabelBands.from_density(data["y_train"])
    codes = bands.assign(data["y"])
    rows = np.concatenate([np.flatnonzero(codes == 0)[:50], np.flatnonzero(codes == 2)[:3]])
    model = Ridge().fit(data["X_train"], data["y_train"])
    with pytest.warns(SmallSampleWarning, match="Fewer than 10 test rows in: few"):
        report = tail_report(
            model, data["X"][rows], data["y"][rows], baseline=model, y_train=data["y_train"]
        )
    assert np.isnan(row(report, "few")["estimator_low"])
    assert np.isfinite(row(report, "few")["estimator"])
    assert "3 test rows are too few to tell about the tail" in report.verdict
    head = rows[:50]
    report = tail_report(
        model, data["X"][head], data["y"][head], baseline=model, y_train=data["y_train"]
    )
    assert report.verdict.endswith("no measurable change, and no test row is in the tail.")


def test_a_perfect_baseline(skewed):
    y, n = skewed["y"], len(skewed["y"])
    perfect = Constant(y).fit(None, None)
    off = Constant(y + 0.5).fit(None, None)
    options = {"y_train": skewed["y_train"], "n_resamples": 100}
    report = tail_report(off, np.zeros((n, 1)), y, baseline=perfect, **options)
    assert row(report, "overall")["change_from_baseline"] == pytest.approx(0.5)
    assert np.isfinite(report.to_frame().drop(columns="band").to_numpy(float)).all()


def test_same_seed_same_report(skewed):
    data = skewed
    model = Ridge().fit(data["X_train"], data["y_train"])
    base = Ridge(100).fit(data["X_train"], data["y_train"])
    reports = [tail_report(model, **data, baseline=base, random_state=s) for s in (0, 0, 1)]
    assert repr(reports[0]) == repr(reports[1])
    assert not reports[0].to_frame().equals(reports[2].to_frame())


def synthetic_report(tail, overall, *, control=None, metric="mae", n_tail=50, covers_seeds=True):
    """A report from changes (value, low, high), in the direction of the metric."""
    models = ("estimator", "baseline", "baseline + stretch")[: 3 if control else 2]
    values = (Estimate(1.0, 0.9, 1.1),) * len(models)
    changes = [overall, tail]
    pairs = [
        (change, *([against] if control else []))
        for change, against in zip(changes, reversed(control or (None, None)), strict=True)
    ]
    results = tuple(
        BandResult(band, n, values, tuple(Estimate(*change) for change in pair))
        for band, n, pair in zip(("overall", "few"), (500, n_tail), pairs, strict=True)
    )
    n_fits = (1,) * len(models)
    return TailReport(metric, models, n_fits, covers_seeds, results, ())


LESS, SAME, MORE = (-0.08, -0.12, -0.03), (0.01, -0.01, 0.03), (0.2, 0.1, 0.3)


@pytest.mark.parametrize(
    ("tail", "overall", "control", "expected"),
    [
        (SAME, SAME, None, ": no measurable change."),
        (SAME, LESS, None, ": better overall, no measurable change in the tail."),
        (LESS, SAME, None, ": better in the tail."),
        (LESS, MORE, None, ": better in the tail, worse overall."),
        (MORE, LESS, None, ": worse in the tail, better overall."),
        (
            LESS,
            SAME,
            (LESS, LESS),
            ": better in the tail; better than the stretch control in both.",
        ),
        (LESS, SAME, (LESS, SAME), ": better in the tail; better than the stretch control there."),
        (
            LESS,
            SAME,
            (LESS, MORE),
            ": better in the tail; better than the stretch control there, though not overall.",
        ),
        (LESS, SAME, (SAME, SAME), ", but the stretch control does as well there."),
        (
            LESS,
            SAME,
            (SAME, LESS),
            ", but the stretch control does as well there, though worse overall.",
        ),
        (LESS, SAME, (MORE, SAME), "; the stretch control does better in the tail."),
        (SAME, SAME, (MORE, MORE), "; the stretch control does better in the tail and overall."),
        (SAME, SAME, (SAME, SAME), ": no measurable change."),
        (SAME, SAME, (LESS, LESS), ": no measurable change."),
    ],
)
def test_verdict(tail, overall, control, expected):
    verdict = synthetic_report(tail, overall, control=control).verdict
    assert verdict.endswith(expected)
    assert verdict.startswith(f"Few-shot MAE {100 * tail[0]:+.1f}% [")


@pytest.mark.parametrize(
    ("tail", "overall", "many", "medium", "expected"),
    [
        (SAME, SAME, MORE, SAME, ": no measurable change in the tail or overall, worse in many."),
        (
            SAME,
            SAME,
            MORE,
            LESS,
            ": no measurable change in the tail or overall, worse in many, better in medium.",
        ),
        (LESS, SAME, MORE, SAME, ": better in the tail, worse in many."),
        (LESS, MORE, MORE, SAME, ": better in the tail, worse overall."),
        (LESS, LESS, LESS, MORE, ": better in the tail and overall, worse in medium."),
    ],
)
def test_verdict_on_other_bands(tail, overall, many, medium, expected):
    report = synthetic_report(tail, overall)
    others = [
        BandResult(band, 99, report.results[0].values, (Estimate(*change),))
        for band, change in (("many", many), ("medium", medium))
    ]
    results = (report.results[0], *others, report.results[1])
    assert replace(report, results=results).verdict.endswith(expected)


@pytest.mark.parametrize(
    ("n_tail", "shares"), [(40, {"many": 1 / 6, "few": 1 / 2}), (5, {"many": 1 / 3})]
)
def test_intervals_of_changes_hold_in_all_bands_together(skewed, n_tail, shares):
    """Their widths at two levels are as the quantiles of t, corrected for the bands that count."""
    codes = LabelBands.from_density(skewed["y_train"]).assign(skewed["y"])
    rows = np.sort(np.r_[np.flatnonzero(codes != 2), np.flatnonzero(codes == 2)[:n_tail]])
    model = Ridge().fit(skewed["X_train"], skewed["y_train"])
    base = Ridge(300).fit(skewed["X_train"], skewed["y_train"])
    levels, frames = (0.95, 0.6), []
    for level in levels:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            report = tail_report(
                model,
                skewed["X"][rows],
                skewed["y"][rows],
                baseline=base,
                y_train=skewed["y_train"],
                confidence_level=level,
            )
        frames.append(report.to_frame().set_index("band"))

    def ratio_of_margins(band, name, shift):
        margins = [
            np.log(np.divide(*(frame.loc[band, [f"{name}_high", f"{name}_low"]] + shift)))
            for frame in frames
        ]
        return margins[0] / margins[1]

    def ratio_of_quantiles(band, share):
        df = frames[0].loc[band, "n_samples"] - 1
        wide, narrow = (stats.t.isf((1 - level) * share / 2, df) for level in levels)
        return wide / narrow

    for band, share in shares.items():
        change = ratio_of_margins(band, "change_from_baseline", 1)  # a ratio less one
        assert change == pytest.approx(ratio_of_quantiles(band, share))
        value = ratio_of_margins(band, "estimator", 0)
        assert value == pytest.approx(ratio_of_quantiles(band, 1))


def test_verdict_on_accuracy_turns_the_sign():
    report = synthetic_report(MORE, LESS, metric="accuracy")
    assert report.verdict == (
        "Few-shot accuracy +20.0 points [+10.0, +30.0], overall -8.0 points [-12.0, -3.0]: "
        "better in the tail, worse overall."
    )


def test_fits_whose_seeds_are_not_counted_are_these_two():
    report = synthetic_report(LESS, SAME, covers_seeds=False)
    assert report.verdict == (
        "Between these two fits, few-shot MAE -8.0% [-12.0, -3.0], overall +1.0% [-1.0, +3.0]: "
        "better in the tail."
    )


def test_signs_are_those_of_the_intervals():
    report = synthetic_report(MORE, LESS, control=(SAME, MORE))
    assert report.signs == {
        "baseline": {"overall": -1, "few": 1},
        "baseline + stretch": {"overall": 1, "few": 0},
    }
    frame = report.to_frame().set_index("band")
    for model, signs in report.signs.items():
        assert frame[f"change_from_{model}_sign"].to_dict() == signs
        for band, sign in signs.items():
            low, high = frame.loc[band, [f"change_from_{model}_{end}" for end in ("low", "high")]]
            assert sign == (1 if low > 0 else -1 if high < 0 else 0)


def test_text_and_html_show_every_band(skewed):
    data = skewed
    model = Ridge().fit(data["X_train"], data["y_train"])
    report = tail_report(model, **data, baseline=Ridge(100))
    for text in (repr(report), report._repr_html_()):
        assert report.verdict in text
        for band in ("overall", "many", "medium", "few"):
            assert band in text
        assert all(note in text for note in report.notes)
    assert report._repr_html_().count("<tr>") == 5


def test_the_figure_shows_changes_and_intervals(skewed):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    data = {name: skewed[name] for name in ("X", "y", "X_train", "y_train")}
    model = Ridge(alpha=1000).fit(skewed["X_train"], skewed["y_train"])
    report = tail_report(model, baseline=Ridge(), n_resamples=100, **data)
    figure, ax = pyplot.subplots()
    assert report.plot(ax) is ax
    frame = report.to_frame()
    for container, name in zip(ax.containers, report.models[1:], strict=True):
        assert container.get_label() == f"from {name}"
        points, _, (lines,) = container
        values = 100 * frame[f"change_from_{name}"]
        np.testing.assert_allclose(points.get_ydata(), values)
        ends = np.array(lines.get_segments())[:, :, 1]
        low, high = (frame[f"change_from_{name}_{side}"] for side in ("low", "high"))
        np.testing.assert_allclose(ends, 100 * np.stack([low, high], axis=1))
    assert [text.get_text().split()[0] for text in ax.get_xticklabels()] == list(frame["band"])
    pyplot.close(figure)


def test_what_is_asked_of_the_arguments(skewed, imbalanced):
    data = skewed
    model = Ridge().fit(data["X_train"], data["y_train"])
    with pytest.raises(NotFittedError):
        tail_report(Ridge(), data["X"], data["y"], baseline=model)
    with pytest.raises(ValueError, match="Ridge has no enhancers"):
        tail_report(model, **data)
    with pytest.raises(ValueError, match="at least 10 test rows"):
        tail_report(model, data["X"][:5], data["y"][:5], baseline=model)

    class Stranger(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.array(["alien", "head"])
            return self

        def predict(self, X):
            return np.full(len(X), "alien")

        def predict_proba(self, X):
            return np.full((len(X), 2), 0.5)

    with pytest.raises(ValueError, match=r"classes that are not in the data.*alien"):
        tail_report(Stranger().fit(None, None), **imbalanced, baseline=Stranger())


def test_labels_that_do_not_fit(skewed, imbalanced):
    data = imbalanced
    model = LogisticRegression().fit(data["X_train"], data["y_train"])
    X, y, options = data["X"], data["y"], {"baseline": model, "y_train": data["y_train"]}
    with pytest.raises(ValueError, match="must all be strings or all be numbers"):
        tail_report(model, X, np.zeros(len(X), int), **options)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        tail_report(model, X, y[1:], **options)
    flat = tail_report(model, X, y, **options)
    with pytest.warns(DataConversionWarning):
        column = tail_report(model, X, y[:, None], **options)
    assert repr(column) == repr(flat)
    ridge = Ridge().fit(skewed["X_train"], skewed["y_train"])
    unlabeled = {name: part for name, part in skewed.items() if name != "y_val"}
    with pytest.raises(ValueError, match="X_val and y_val belong together"):
        tail_report(ridge, **unlabeled, baseline=ridge)
