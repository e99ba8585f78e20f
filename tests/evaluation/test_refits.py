import re
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.utils import check_random_state

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.calibration import RecalibrationMap
from ltlearn.evaluation import _refits, tail_report
from ltlearn.evaluation._band_results import measure_bands
from ltlearn.evaluation._outcomes import Outcome
from ltlearn.evaluation._provenance import is_stranger, predicts_otherwise
from ltlearn.exceptions import LTLearnWarning, RefitWarning, SmallSampleWarning
from ltlearn.metrics import LabelBands


def make_rows(seed, n=240, n_test=200):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n + n_test, 2))
    y = np.exp(X[:, 0]) + 0.3 * rng.normal(size=len(X))
    return {"X_train": X[:n], "y_train": y[:n], "X": X[n:], "y": y[n:]}


@pytest.fixture
def rows():
    return make_rows(0)


class Seeded(RegressorMixin, BaseEstimator):
    """Ridge regression on random features, which its seed chooses; notes every fit."""

    log = []

    def __init__(self, n_features=10, shrink=1.0, random_state=None):
        self.n_features = n_features
        self.shrink = shrink
        self.random_state = random_state

    def fit(self, X, y):
        rng = check_random_state(self.random_state)
        self.weights_ = rng.normal(size=(X.shape[1] + 1, self.n_features))
        Z = self._features(X)
        self.coef_ = np.linalg.solve(Z.T @ Z + np.eye(Z.shape[1]), Z.T @ y)
        self.log.append((self, self.get_params()))
        return self

    def _features(self, X):
        return np.c_[np.tanh(X @ self.weights_[:-1] + self.weights_[-1]), np.ones(len(X))]

    def predict(self, X):
        return self.shrink * (self._features(X) @ self.coef_)


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(Seeded, "log", [])
    return Seeded.log


class Recording(Ridge):
    """Keeps label bands of the rows that it was trained on, as ELTARegressor does."""

    def fit(self, X, y, X_val=None, y_val=None):
        n = len(y) if X_val is not None else len(y) - 20
        self.label_bands_ = LabelBands.from_density(y[:n])
        return super().fit(X[:n], y[:n])


def row(report, band):
    return report.to_frame().set_index("band").loc[band]


def test_nothing_but_seeds_changes(rows, log):
    def model(seed):
        return Seeded(n_features=7, random_state=seed)

    estimator = model(1).fit(rows["X_train"], rows["y_train"])
    report = tail_report(estimator, **rows, baseline=model(2), n_refits=3)
    assert report.n_fits == (4, 4, 4)
    assert report.covers_seeds
    assert len(log) == 8  # the estimator, the baseline, three refits of each
    params = [params for _, params in log]
    assert {p["n_features"] for p in params} == {7}
    assert len({p["random_state"] for p in params}) == 8
    assert "4 of the estimator and 4 of the baseline" in repr(report)
    assert report.verdict.startswith("Few-shot MAE")


def test_nested_seeds_change_too(rows, log):
    def model(seed):
        scaler = QuantileTransformer(n_quantiles=50, subsample=60, random_state=seed)
        return Pipeline([("scale", scaler), ("model", Seeded(random_state=seed))])

    estimator = model(1).fit(rows["X_train"], rows["y_train"])
    given = estimator[0].quantiles_
    tail_report(estimator, **rows, baseline=estimator, n_refits=2)
    assert len(log) == 5
    assert len({params["random_state"] for _, params in log}) == 5
    np.testing.assert_array_equal(estimator[0].quantiles_, given)


def test_values_are_means_over_the_fits(rows, log):
    estimator = Seeded(random_state=1).fit(rows["X_train"], rows["y_train"])
    baseline = Seeded(n_features=3, random_state=2).fit(rows["X_train"], rows["y_train"])
    report = tail_report(estimator, **rows, baseline=baseline, n_refits=4)
    y, bands = rows["y"], LabelBands.from_density(rows["y_train"])
    codes = bands.assign(y)
    values = {}
    for name, n_features in (("estimator", 10), ("baseline", 3)):
        fits = [model for model, params in log if params["n_features"] == n_features]
        assert len(fits) == 5
        for band, chosen in (("overall", codes >= 0), ("few", codes == 2), ("many", codes == 0)):
            errors = [np.mean(np.abs(f.predict(rows["X"]) - y)[chosen]) for f in fits]
            values[name, band] = np.mean(errors)
            assert row(report, band)[name] == pytest.approx(np.mean(errors))
    for band in ("overall", "few", "many"):
        change = values["estimator", band] / values["baseline", band] - 1
        assert row(report, band)["change_from_baseline"] == pytest.approx(change)
    given = [mean_absolute_error(y, model.predict(rows["X"])) for model in (estimator, baseline)]
    assert f"given are one of these fits each: overall {given[0]:.4g} and {given[1]:.4g}, few" in (
        repr(report)
    )


@pytest.mark.parametrize("held_out", [True, False])
def test_the_control_starts_from_every_fit_of_the_baseline(rows, log, held_out):
    baseline = Seeded(random_state=2).fit(rows["X_train"], rows["y_train"])
    other = make_rows(1)
    validation = {"X_val": other["X"], "y_val": other["y"]} if held_out else {}
    report = tail_report(baseline, **rows, **validation, baseline=baseline, n_refits=2)
    assert report.n_fits == (3, 3, 3)
    if held_out:
        fits = [log[0][0], *(model for model, _ in log[2:3] + log[-1:])]
        errors = []
        for model in fits:
            stretch = RecalibrationMap().fit(model.predict(other["X"]), other["y"])
            errors.append(mean_absolute_error(rows["y"], stretch.predict(model.predict(rows["X"]))))
        assert row(report, "overall")["baseline + stretch"] == pytest.approx(np.mean(errors))


def test_false_verdicts():
    """Six fits of either side that differ by their seeds, with training and test rows of their own
    each time: a verdict is false, in whatever band, in 5 % at most."""
    false = []
    for number in range(250):
        rows, rng = make_rows(number, n_test=300), np.random.default_rng(number)
        seeds = rng.integers(2**31 - 1, size=12)
        fits = [
            Seeded(random_state=int(s)).fit(rows["X_train"], rows["y_train"]).predict(rows["X"])
            for s in seeds
        ]
        outcomes = [Outcome(rows["y"], predicted) for predicted in fits]
        models = {"estimator": outcomes[:6], "baseline": outcomes[6:]}
        bands = LabelBands.from_density(rows["y_train"])
        results = measure_bands(bands, models, 100, 0.95, rng)
        false.append(any(band.changes[0].sign for band in results))
    assert 0 < np.mean(false) <= 0.05


def test_reports_of_two_seeds_and_of_two_models():
    """Fits of one model that differ by their seeds are no better nor worse, where test rows alone
    would mislead; fits of a better model are told apart."""
    false, misled, found = [], [], []
    validation = {"X_val": make_rows(1000)["X"], "y_val": make_rows(1000)["y"]}
    for number in range(20):
        rows = make_rows(number, n_test=300) | validation
        first, second, worse = (
            Seeded(shrink=shrink, random_state=3 * number + i).fit(rows["X_train"], rows["y_train"])
            for i, shrink in enumerate((1.0, 1.0, 0.5))
        )
        options = {"random_state": number, "n_resamples": 100}
        report = tail_report(first, **rows, baseline=second, n_refits=5, **options)
        false.append(any(report.signs["baseline"].values()))
        report = tail_report(first, **rows, baseline=second, n_refits=0, **options)
        misled.append(any(report.signs["baseline"].values()))
        report = tail_report(first, **rows, baseline=worse, n_refits=5, **options)
        found.append(report.signs["baseline"]["few"] == -1)
    assert np.sum(false) <= 3  # a rate of 5 % exceeds that in 2 of 100 cases
    assert np.mean(misled) > 0.3
    assert np.mean(found) >= 0.9


def test_without_training_rows_it_is_about_these_two_fits(rows, log):
    train = rows.pop("X_train"), rows["y_train"]
    estimator, baseline = (Seeded(random_state=seed).fit(*train) for seed in (1, 2))
    rows = {**rows, "baseline": baseline}
    for report in (tail_report(estimator, **rows), tail_report(estimator, **rows, n_refits=0)):
        assert report.n_fits == (1, 1, 1)
        assert not report.covers_seeds
        assert report.verdict.startswith("Between these two fits, few-shot MAE")
        assert "Seeds are not counted" in repr(report)
    with pytest.raises(ValueError, match="n_refits=2 needs training rows: pass X_train"):
        tail_report(estimator, **rows, n_refits=2)
    assert len(log) == 2


def test_without_seeds_one_refit_checks_the_rows(rows):
    class Counted(LinearRegression):
        n_fits = 0

        def fit(self, X, y, sample_weight=None):
            Counted.n_fits += 1
            return super().fit(X, y, sample_weight)

    estimator = Counted().fit(rows["X_train"], rows["y_train"])
    report = tail_report(estimator, **rows, baseline=Counted(positive=True))
    assert Counted.n_fits == 3  # the estimator twice, the baseline once
    assert report.n_fits == (1, 1, 1)
    assert report.covers_seeds
    assert "1 of the estimator, which no random_state changes" in repr(report)


def other_rows(rows, n):
    return {**rows, "X_train": rows["X_train"][:n], "y_train": rows["y_train"][:n]}


@pytest.mark.parametrize(
    ("estimator", "evidence"),
    [
        (Recording(), "fitted to 220 rows, X_train has 100"),
        (KNeighborsRegressor(), "fitted to 240 rows, X_train has 100"),
        (LinearRegression(), "fitted once more, it predicts otherwise"),
        (make_pipeline(StandardScaler(), Ridge()), "more like each other than like it"),
    ],
)
def test_training_rows_of_another_fit(rows, estimator, evidence):
    estimator = clone(estimator).fit(rows["X_train"], rows["y_train"])
    own = tail_report(estimator, **rows, baseline=LinearRegression())
    assert own.covers_seeds
    with pytest.warns(RefitWarning, match=evidence):
        report = tail_report(estimator, **other_rows(rows, 100), baseline=LinearRegression())
    assert not report.covers_seeds
    assert report.n_fits[0] == 1
    assert "the estimator could not be refitted as it was fitted" in repr(report)


def test_labels_of_another_fit(rows, log):
    other = Seeded(random_state=1).fit(rows["X_train"], rows["y_train"] + 10)
    with pytest.warns(RefitWarning, match="more like each other than like it"):
        report = tail_report(other, **rows, baseline=Seeded(random_state=2))
    assert report.verdict.startswith("Between these two fits")
    assert row(report, "overall")["change_from_baseline"] > 1


def test_other_columns_and_other_class_counts(rows):
    narrow = {**rows, "X_train": rows["X_train"][:, :1]}
    estimator = Ridge().fit(rows["X_train"], rows["y_train"])
    with pytest.warns(RefitWarning, match="fitted to 2 columns, X_train has 1"):
        tail_report(estimator, **narrow, baseline=estimator)

    class Counting(LogisticRegression):
        def fit(self, X, y):
            self.class_counts_ = np.unique(y, return_counts=True)[1]
            return super().fit(X, y)

    data = {**rows, "y_train": rows["y_train"] > 1, "y": rows["y"] > 1}
    estimator = Counting().fit(data["X_train"], data["y_train"])
    for n_refits in (0, 2):
        with pytest.warns(RefitWarning, match="more rows of (True|False) than y_train holds"):
            tail_report(estimator, **other_rows(data, 200), baseline=estimator, n_refits=n_refits)
    more = {
        **data,
        "X_train": np.vstack([data["X_train"], data["X"][:40]]),
        "y_train": np.concatenate([data["y_train"], data["y"][:40]]),
    }
    with pytest.warns(RefitWarning, match="a refit has other class_counts_"):
        tail_report(estimator, **more, baseline=estimator)


def test_a_warning_names_the_line_that_asked_for_the_report(rows):
    estimator = KNeighborsRegressor().fit(rows["X_train"], rows["y_train"])
    with pytest.warns(RefitWarning) as record:
        tail_report(estimator, **other_rows(rows, 100), baseline=LinearRegression())
    assert [warning.filename for warning in record] == [__file__]


def test_weights_of_the_fit_are_missed_and_can_be_given(rows, log):
    weight = np.where(rows["y_train"] > 2, 30.0, 1.0)
    weighted = Ridge().fit(rows["X_train"], rows["y_train"], sample_weight=weight)
    with pytest.warns(RefitWarning, match=r'sample_weight or X_aux, fit_params=\{"estimator": \{'):
        tail_report(weighted, **rows, baseline=Ridge())
    params = {"estimator": {"sample_weight": weight}, "baseline": {"sample_weight": weight}}
    report = tail_report(weighted, **rows, baseline=Ridge(), fit_params=params)
    assert report.n_fits[:2] == (6, 6)
    expected = mean_absolute_error(rows["y"], weighted.predict(rows["X"]))
    assert row(report, "overall")["estimator"] == pytest.approx(expected)
    assert row(report, "overall")["baseline"] == pytest.approx(expected)
    for wrong in ({"model": {}}, {"baseline": None}):
        with pytest.raises(ValueError, match=r"got (dict for 'model'|NoneType for 'baseline')"):
            tail_report(weighted, **rows, baseline=Ridge(), fit_params=wrong)


def test_auxiliary_rows_of_the_fit_are_missed_and_can_be_given(rows):
    rng = np.random.default_rng(0)
    y = (rows["y"] > 1).astype(int) + (rows["y"] > 3)
    y_train = (rows["y_train"] > 1).astype(int) + (rows["y_train"] > 3)
    data = {"X_train": rows["X_train"], "y_train": y_train, "X": rows["X"], "y": y}
    auxiliary = {"X_aux": Whole(rng.normal(2, 1, size=(50, 2))), "y_aux": Whole(np.full(50, 7))}
    model = GranularClassifier(
        hidden_layer_sizes=(4,), max_epochs=1, early_stopping=False, random_state=0
    ).fit(data["X_train"], data["y_train"], **auxiliary)
    with pytest.warns(RefitWarning, match="a refit has other auxiliary_classes_"):
        report = tail_report(model, **data, n_resamples=100)
    assert not report.covers_seeds
    params = {"estimator": auxiliary}
    report = tail_report(model, **data, fit_params=params, n_refits=1, n_resamples=100)
    assert report.n_fits == (2, 2)


@pytest.mark.parametrize("with_validation", [True, False])
def test_validation_rows_go_to_refits_if_they_went_to_the_fit(rows, with_validation):
    other = make_rows(1)
    validation = {"X_val": other["X"], "y_val": other["y"]}
    model = Recording().fit(
        rows["X_train"], rows["y_train"], **(validation if with_validation else {})
    )
    report = tail_report(model, **rows, **validation, baseline=model)
    assert report.n_fits == (6, 6, 6)
    expected = mean_absolute_error(rows["y"], model.predict(rows["X"]))
    assert row(report, "overall")["estimator"] == pytest.approx(expected)


class TestBudget:
    def test_fits_that_take_long_are_not_repeated(self, rows, log, monkeypatch):
        estimator = Seeded(random_state=1).fit(rows["X_train"], rows["y_train"])
        monkeypatch.setattr(_refits, "BUDGET_SECONDS", 0.0)
        report = tail_report(estimator, **rows, baseline=estimator)
        assert len(log) == 2  # the first refit tells
        assert not report.covers_seeds
        assert "n_refits=5 refits both, in about 2 minutes" in repr(report)
        assert tail_report(estimator, **rows, baseline=estimator, n_refits=2).covers_seeds
        assert len(log) == 6

    def test_a_baseline_fitted_here_tells_before_any_refit(self, rows, log, monkeypatch):
        estimator = Seeded(random_state=1).fit(rows["X_train"], rows["y_train"])
        monkeypatch.setattr(_refits, "BUDGET_SECONDS", 0.0)
        tail_report(estimator, **rows, baseline=clone(estimator))
        assert len(log) == 2

    @pytest.mark.parametrize(("seconds", "refits"), [(11.9, True), (12.1, False)])
    def test_recorded_durations_tell_without_a_fit(self, rows, log, seconds, refits):
        estimator = Seeded(random_state=1).fit(rows["X_train"], rows["y_train"])
        estimator.history_ = [{"dur": seconds - 1.0}, {"dur": 1.0}]
        other = clone(estimator).fit(rows["X_train"], rows["y_train"])
        other.history_ = [{"dur": 12.0}]
        report = tail_report(make_pipeline(estimator), **rows, baseline=make_pipeline(other))
        assert report.covers_seeds == refits
        assert len(log) == (12 if refits else 2)

    def test_networks_record_durations(self, rows):
        model = ELTARegressor(hidden_layer_sizes=(4,), max_epochs=2, random_state=0)
        model.fit(rows["X_train"], rows["y_train"])
        assert _refits.recorded_seconds(make_pipeline(model)) > 0
        assert _refits.recorded_seconds(Ridge()) == 0


def test_refits_that_fail(rows):
    class Once(Seeded):
        n_fits = 0

        def fit(self, X, y):
            Once.n_fits += 1
            if Once.n_fits > 1:
                raise RuntimeError(f"no more of {object()}")
            return super().fit(X, y)

    estimator = Once(random_state=0).fit(rows["X_train"], rows["y_train"])
    with pytest.warns(RefitWarning, match="RuntimeError: no more of <object object>"):
        report = tail_report(estimator, **rows, baseline=Ridge())
    assert not report.covers_seeds
    with pytest.raises(RuntimeError, match="no more of"):
        tail_report(estimator, **rows, baseline=Ridge(), n_refits=2)


def test_what_is_no_estimator(rows):
    model = Ridge().fit(rows["X_train"], rows["y_train"])
    with pytest.raises(TypeError, match=r"^estimator must be an estimator, got object\.$"):
        tail_report(object(), **rows, baseline=model)
    with pytest.raises(TypeError, match=r"^baseline must be an estimator, got function\.$"):
        tail_report(model, **rows, baseline=lambda X: X)


@pytest.mark.parametrize("pipeline", [False, True])
def test_of_a_search_the_best_estimator_counts(rows, log, pipeline):
    def search():
        found = GridSearchCV(Seeded(random_state=3), {"n_features": [2, 9]}, cv=2)
        return make_pipeline(StandardScaler(), found) if pipeline else found

    estimator = search().fit(rows["X_train"], rows["y_train"])
    del log[:]
    report = tail_report(estimator, **rows, baseline=estimator, n_refits=2)
    assert {params["n_features"] for _, params in log} == {9}
    assert len(log) == 4
    assert report.n_fits == (3, 3, 3)
    del log[:]
    searched = tail_report(estimator, **rows, baseline=search(), n_refits=2)
    assert len(log) == 5 + 4  # the search, then refits of what it found
    assert searched.n_fits == (3, 3, 3)
    given = tail_report(estimator, **rows, baseline=search(), n_refits=0)
    expected = mean_absolute_error(rows["y"], estimator.predict(rows["X"]))
    assert row(given, "overall")["estimator"] == pytest.approx(expected)
    assert row(given, "overall")["baseline"] == pytest.approx(expected)


def test_a_search_without_a_best_estimator(rows):
    search = GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2, refit=False)
    search.fit(rows["X_train"], rows["y_train"])
    with pytest.raises(ValueError, match="GridSearchCV with refit=False has no best_estimator_"):
        tail_report(search, **rows, baseline=Ridge())


def test_a_search_over_enhancers_finds_its_baseline(rows):
    model = ELTARegressor(
        hidden_layer_sizes=(4,), max_epochs=1, early_stopping=False, random_state=0
    )
    search = GridSearchCV(model, {"mixup_strength": [0.1, 0.5]}, cv=2)
    search.fit(rows["X_train"], rows["y_train"])
    report = tail_report(search, **rows, n_refits=0)
    plain = search.best_estimator_.without_enhancers().fit(rows["X_train"], rows["y_train"])
    expected = mean_absolute_error(rows["y"], plain.predict(rows["X"]))
    assert row(report, "overall")["baseline"] == pytest.approx(expected)


def test_the_same_predictions_are_no_change(rows):
    model = Ridge().fit(rows["X_train"], rows["y_train"])
    report = tail_report(model, **rows, baseline=Ridge())
    assert set(report.signs["baseline"].values()) == {0}
    overall = row(report, "overall")
    assert overall["change_from_baseline_low"] == pytest.approx(0, abs=1e-12)
    assert overall["change_from_baseline_high"] == pytest.approx(0, abs=1e-12)


def test_a_model_without_enhancers_is_said_to_be_its_own_baseline():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 2)), rng.exponential(size=90)
    settings = {"backbone": "mlp", "hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0}
    for strength in (0.0, 0.5):
        model = ELTARegressor(mixup_strength=strength, **settings).fit(X[:50], y[:50])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LTLearnWarning)
            report = tail_report(model, X[50:], y[50:], X_train=X[:50], y_train=y[:50], n_refits=0)
        same = [note for note in report.notes if "predict the same" in note]
        assert len(same) == (strength == 0)


def test_a_ratio_that_is_the_same_in_every_row(rows):
    class Off(RegressorMixin, BaseEstimator):
        """Knows the labels, but for a share of their distance from 10."""

        def __init__(self, share=1.0):
            self.share = share

        def fit(self, X, y):
            self.is_fitted_ = True
            return self

        def predict(self, X):
            return rows["y"] + self.share * (10 - rows["y"])

    report = tail_report(Off(0.2).fit(0, 0), rows["X"], rows["y"], y_train=rows["y_train"],
                         baseline=Off(1.0).fit(0, 0))  # fmt: skip
    changes = report.to_frame().filter(regex="^change_from_baseline(_low|_high)?$")
    np.testing.assert_allclose(changes, -0.8)
    assert re.match(r".*few-shot MAE -80.0% \[-80.0, -80.0\]", report.verdict)


def test_distributions_in_a_pipeline(rows):
    rng = np.random.default_rng(0)

    def votes(y):
        return rng.multinomial(20, [0.1, 0.2, 0.4, 0.2, 0.1], size=len(y))

    model = ELTARegressor(
        hidden_layer_sizes=(4,), max_epochs=1, early_stopping=False, random_state=0
    )
    data = {**rows, "y_train": votes(rows["y_train"]), "y": votes(rows["y"])}
    pipeline = make_pipeline(StandardScaler(), model).fit(data["X_train"], data["y_train"])
    assert pipeline[-1].loss_ == "emd"
    with pytest.warns(SmallSampleWarning, match="Fewer than 10 test rows in: few"):
        report = tail_report(pipeline, **data, n_refits=1, n_resamples=100)
    assert report.n_fits == (2, 2, 2)
    assert np.isfinite(report.to_frame()["estimator"]).all()


def test_arguments_of_a_step(rows):
    weight = np.where(rows["y_train"] > 2, 30.0, 1.0)
    model = make_pipeline(StandardScaler(), Ridge())
    weighted = clone(model).fit(rows["X_train"], rows["y_train"], ridge__sample_weight=weight)
    params = {"estimator": {"ridge__sample_weight": weight}}
    report = tail_report(weighted, **rows, baseline=model, fit_params=params)
    assert report.covers_seeds
    expected = mean_absolute_error(rows["y"], weighted.predict(rows["X"]))
    assert row(report, "overall")["estimator"] == pytest.approx(expected)
    expected = mean_absolute_error(
        rows["y"], model.fit(rows["X_train"], rows["y_train"]).predict(rows["X"])
    )
    assert row(report, "overall")["baseline"] == pytest.approx(expected)


class TestStrangers:
    """Refits that agree with each other tell a stranger by little, but not by rounding."""

    def test_scores(self, rows):
        y = 1e6 + rows["y"]
        refits = [Outcome(y, y)] * 5
        for shift, expected in ((1e-9, False), (0.01, True)):
            assert is_stranger([Outcome(y, y + shift), *refits]) == expected
            assert predicts_otherwise(Outcome(y, y + shift), refits[0]) == expected

    def test_labels(self):
        classes = np.array([0, 1])
        y = np.repeat(classes, 50)
        refits = [Outcome(y, y, classes)] * 5
        for n_flipped, expected in ((2, False), (3, True)):
            flipped = np.where(np.arange(100) < n_flipped, 1 - y, y)
            assert is_stranger([Outcome(y, flipped, classes), *refits]) == expected

    def test_probabilities(self):
        classes, y = np.array([0, 1]), np.repeat([0, 1], 50)

        def outcome(p):
            return Outcome(y, y, classes, np.column_stack([np.full(100, p), np.full(100, 1 - p)]))

        refits = [outcome(p) for p in (0.5, 0.51, 0.52, 0.53, 0.54)]  # up to 0.04 apart
        for p, expected in ((0.45, False), (0.60, False), (0.37, True), (0.67, True)):
            assert is_stranger([outcome(p), *refits]) == expected
        assert not is_stranger([outcome(0.9), *refits[:2]])  # too few to tell
