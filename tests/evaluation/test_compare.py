import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import FitFailedWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, recall_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.validation import has_fit_parameter

from ltlearn import GranularClassifier, Whole, metrics
from ltlearn.calibration import RecalibrationMap, adjust_proba
from ltlearn.evaluation import _checkpoint, compare, paired_differences, summarize
from ltlearn.exceptions import EmptyBandWarning, SmallSampleWarning
from ltlearn.metrics import LabelBands, expected_score
from ltlearn.weighting import label_density_weights

pytestmark = pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")

ROWS = np.random.default_rng(0).permutation(300)
TRAIN, VALIDATION, TEST = ROWS[:180], ROWS[180:220], ROWS[220:]
SPLIT = [(TRAIN, VALIDATION, TEST)]


@pytest.fixture(scope="module")
def skewed():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    return X, np.exp(X[:, 0] + 0.3 * rng.normal(size=300))


@pytest.fixture(scope="module")
def imbalanced():
    X, y = make_classification(
        300, n_informative=4, n_classes=3, weights=[0.75, 0.2, 0.05], random_state=0
    )
    return X, np.array(["head", "middle", "tail"])[y]


class Recorder(RegressorMixin, BaseEstimator):
    """Predicts a constant and keeps what it was given."""

    calls = []

    def __init__(self, random_state=None, inner=None):
        self.random_state = random_state
        self.inner = inner

    def fit(self, X, y, sample_weight=None):
        self.calls.append({"X": X, "y": y, "estimator": self})
        self.is_fitted_ = True
        return self

    def predict(self, X):
        return np.zeros(len(X))


class ValidationRecorder(Recorder):
    def fit(self, X, y, *, X_val=None, y_val=None, extra=None):
        super().fit(X, y)
        self.calls[-1] |= {"X_val": X_val, "y_val": y_val, "extra": extra}
        return self


@pytest.fixture
def calls():
    Recorder.calls.clear()
    return Recorder.calls


class Failing(RegressorMixin, BaseEstimator):
    def __init__(self, random_state=0):
        self.random_state = random_state

    def fit(self, X, y):
        if self.random_state == 1:
            raise RuntimeError("diverged")
        self.is_fitted_ = True
        return self

    def predict(self, X):
        return np.zeros(len(X))


def value_of(results, estimator, metric, band="overall"):
    rows = results[
        (results["estimator"] == estimator)
        & (results["metric"] == metric)
        & (results["band"] == band)
    ]
    return rows["value"].item()


def test_regression_metrics_against_a_direct_computation(skewed):
    X, y = skewed
    results = compare({"ridge": Ridge()}, X, y, cv=SPLIT, controls=False)
    predicted = Ridge().fit(X[TRAIN], y[TRAIN]).predict(X[TEST])
    true, error = y[TEST], np.abs(predicted - y[TEST])
    assert value_of(results, "ridge", "mae") == pytest.approx(mean_absolute_error(true, predicted))
    assert value_of(results, "ridge", "mse") == pytest.approx(np.mean(error**2))
    assert value_of(results, "ridge", "srcc") == metrics.srcc(true, predicted)
    assert value_of(results, "ridge", "plcc") == metrics.plcc(true, predicted)
    spread = metrics.prediction_spread(true, predicted)
    assert value_of(results, "ridge", "prediction_spread") == spread
    score_range = (y[TRAIN].min(), y[TRAIN].max())
    balanced = metrics.balanced_mae(true, predicted, score_range=score_range)
    assert value_of(results, "ridge", "balanced_mae") == pytest.approx(balanced)
    low, high = np.percentile(y[TRAIN], [20, 80])
    assert value_of(results, "ridge", "mae", "0-20") == pytest.approx(error[true <= low].mean())
    assert value_of(results, "ridge", "mae", "80-100") == pytest.approx(error[true >= high].mean())
    few = LabelBands.from_density(y[TRAIN]).assign(true) == 2
    assert value_of(results, "ridge", "mae", "few") == pytest.approx(error[few].mean())
    assert value_of(results, "ridge", "mse", "few") == pytest.approx((error[few] ** 2).mean())


def test_classification_metrics_against_a_direct_computation(imbalanced):
    X, y = imbalanced
    results = compare({"lr": LogisticRegression()}, X, y, cv=SPLIT, controls=False)
    model = LogisticRegression().fit(X[TRAIN], y[TRAIN])
    predicted, proba = model.predict(X[TEST]), model.predict_proba(X[TEST])
    true = y[TEST]
    recall = recall_score(true, predicted, average=None)
    assert value_of(results, "lr", "accuracy") == pytest.approx(accuracy_score(true, predicted))
    assert value_of(results, "lr", "balanced_accuracy") == pytest.approx(recall.mean())
    counts = dict(zip(*np.unique(y[TRAIN], return_counts=True), strict=True))
    assert counts["head"] > 100 >= counts["middle"] >= 20 > counts["tail"]
    for band, expected in zip(("many", "medium", "few"), recall, strict=True):
        assert value_of(results, "lr", "accuracy", band) == pytest.approx(expected)
    picked = proba[np.arange(len(true)), np.searchsorted(model.classes_, true)]
    assert value_of(results, "lr", "log_loss") == pytest.approx(-np.log(picked).mean())
    ece = metrics.expected_calibration_error(true, proba)
    assert value_of(results, "lr", "ece") == pytest.approx(ece)


def test_recalibrations_start_from_the_baselines_validation_predictions(skewed):
    X, y = skewed
    estimators = {"strong": Ridge(0.1), "weak": Ridge(300.0)}
    methods = ["stretch", "linear", "isotonic", "cubic"]
    results = compare(estimators, X, y, cv=SPLIT, baseline="weak", controls=methods)
    model = Ridge(300.0).fit(X[TRAIN], y[TRAIN])
    for method in methods:
        recalibration = RecalibrationMap(method)
        recalibration.fit(model.predict(X[VALIDATION]), y[VALIDATION])
        predicted = recalibration.predict(model.predict(X[TEST]))
        expected = mean_absolute_error(y[TEST], predicted)
        assert value_of(results, f"weak + {method}", "mae") == pytest.approx(expected)
    names = list(results["estimator"].unique())
    assert names == ["strong", "weak", *(f"weak + {method}" for method in methods)]


def test_recalibration_on_few_rows_is_warned_of(skewed):
    X, y = skewed
    with pytest.warns(SmallSampleWarning, match="fitted to 40 validation rows"):
        compare({"a": Ridge()}, X, y, cv=SPLIT, controls=["stretch"])


def test_logit_adjustment_uses_the_prior_of_the_training_labels(imbalanced):
    X, y = imbalanced
    results = compare(
        {"lr": LogisticRegression()}, X, y, cv=SPLIT, controls=["logit_adjustment", "logistic"]
    )
    model = LogisticRegression().fit(X[TRAIN], y[TRAIN])
    prior = [np.mean(y[TRAIN] == c) for c in model.classes_]
    proba = adjust_proba(model.predict_proba(X[TEST]), prior)
    expected = accuracy_score(y[TEST], model.classes_[proba.argmax(axis=1)])
    assert value_of(results, "lr + logit_adjustment", "accuracy") == pytest.approx(expected)
    assert set(results["estimator"]) == {
        "lr",
        "lr + logit_adjustment",
        "logistic",
        "logistic + logit_adjustment",
    }


def test_logit_adjustment_of_what_is_balanced_already(imbalanced):
    X, y = imbalanced
    plain = GranularClassifier(max_epochs=3, prior="train")
    estimators = {
        "balanced": GranularClassifier(max_epochs=3),
        "plain": make_pipeline(StandardScaler(), plain),
        "weighted": LogisticRegression(class_weight="balanced"),
    }
    for baseline in estimators:
        options = {"baseline": baseline, "controls": ["logit_adjustment"]}
        results = compare(estimators, X, y, cv=SPLIT, **options)
        adjusted = results[results["estimator"] == f"{baseline} + logit_adjustment"]
        # Without its training prior "plain" is what "balanced" is, but for the scaling of X.
        same = results[results["estimator"] == baseline.replace("plain", "balanced")]
        np.testing.assert_allclose(adjusted["value"], same["value"], rtol=1e-4)


def test_logit_adjustment_of_a_classifier_trained_with_weights(imbalanced):
    X, y = imbalanced
    weight = np.where(y[TRAIN] == "head", 0.2, 1.0)
    options = {"controls": ["logit_adjustment"], "metrics": ["log_loss"]}
    fit_params = {"lr": {"logisticregression__sample_weight": weight}}
    model = make_pipeline(StandardScaler(), LogisticRegression())
    results = compare({"lr": model}, X, y, cv=SPLIT, fit_params=fit_params, **options)
    model.fit(X[TRAIN], y[TRAIN], **fit_params["lr"])
    prior = [weight[y[TRAIN] == c].sum() for c in model.classes_]
    proba = adjust_proba(model.predict_proba(X[TEST]), prior)
    expected = log_loss(y[TEST], proba, labels=model.classes_)
    assert value_of(results, "lr + logit_adjustment", "log_loss") == pytest.approx(expected)


def test_probabilities_in_single_precision(imbalanced):
    """Rows that sum to 1 in float32 only would make log_loss warn, which is an error here."""
    X, y = imbalanced
    model = GranularClassifier(max_epochs=3, random_state=0)
    results = compare({"a": model}, X, y, cv=SPLIT, controls=False, metrics=["log_loss"])
    model.fit(X[TRAIN], y[TRAIN], X_val=X[VALIDATION], y_val=y[VALIDATION])
    proba = model.predict_proba(X[TEST])
    picked = proba[np.arange(len(TEST)), np.searchsorted(model.classes_, y[TEST])]
    assert value_of(results, "a", "log_loss") == pytest.approx(-np.log(picked).mean())


def test_references_are_fitted_on_the_training_rows(skewed):
    X, y = skewed
    results = compare({"a": Ridge()}, X, y, cv=SPLIT, metrics=["mae"])
    expected = {
        "mean": np.full(len(TEST), y[TRAIN].mean()),
        "median": np.full(len(TEST), np.median(y[TRAIN])),
    }
    for name, weight in {
        "hgb": None,
        "hgb_density_weights": label_density_weights(y[TRAIN]),
    }.items():
        model = HistGradientBoostingRegressor(random_state=0)
        validation = (
            {"X_val": X[VALIDATION], "y_val": y[VALIDATION]}
            if has_fit_parameter(model, "X_val")
            else {}
        )
        model.fit(X[TRAIN], y[TRAIN], sample_weight=weight, **validation)
        expected[name] = model.predict(X[TEST])
    for name, predicted in expected.items():
        error = mean_absolute_error(y[TEST], predicted)
        assert value_of(results, name, "mae") == pytest.approx(error)
    kinds = results.drop_duplicates("estimator").set_index("estimator")["kind"]
    assert kinds.pop("a") == "estimator"
    assert set(kinds) == {"control"}


def test_all_controls_of_a_classifier(imbalanced):
    X, y = imbalanced
    results = compare({"rf": RandomForestClassifier(10)}, X, y, cv=SPLIT, metrics=["accuracy"])
    assert set(results["estimator"]) == {
        *("rf", "rf + logit_adjustment", "rf + temperature"),
        *("logistic", "logistic + logit_adjustment", "logistic_balanced", "logistic_tuned"),
        *("forest", "forest + logit_adjustment", "extra_trees", "extra_trees + logit_adjustment"),
        *("hgb", "hgb + logit_adjustment", "hgb_balanced", "nearest_mean"),
    }
    assert results["value"].between(0, 1).all()


def test_every_estimator_sees_the_same_rows(skewed, calls):
    X, y = skewed
    estimators = {"plain": Recorder(), "validating": ValidationRecorder()}
    results = compare(estimators, X, y, cv=3, seeds=(0, 1), controls=False, metrics=["mae"])
    assert len(calls) == 12
    for plain, validating in zip(calls[::2], calls[1::2], strict=True):
        np.testing.assert_array_equal(plain["X"], validating["X"])
        assert "X_val" not in plain
        seen = {tuple(row) for row in validating["X"]}
        assert not seen & {tuple(row) for row in validating["X_val"]}
        np.testing.assert_array_equal(validating["y_val"].shape, (20,))
    assert set(results["n_train"]) == {180}
    assert set(results["n_validation"]) == {20}
    assert set(results["n_test"]) == {100}


def test_a_number_of_seeds_is_told_what_to_pass(skewed):
    X, y = skewed[:2]
    with pytest.raises(ValueError, match=r"'seeds' .* For 5 of them, pass range\(5\)\."):
        compare({"ridge": Ridge()}, X, y, seeds=5)


def test_seeds_share_splits_but_not_validation_rows(skewed, calls):
    X, y = skewed
    compare({"a": ValidationRecorder()}, X, y, cv=[(TRAIN, TEST)], seeds=(3, 4), controls=False)
    first, second = calls
    together = [np.vstack([call["X"], call["X_val"]]) for call in calls]
    np.testing.assert_array_equal(*(np.sort(rows, axis=0) for rows in together))
    assert not np.array_equal(first["X_val"], second["X_val"])


def test_every_random_state_gets_the_seed(skewed, calls):
    X, y = skewed
    model = make_pipeline(StandardScaler(), Recorder(5, inner=RandomForestRegressor()))
    compare({"a": model}, X, y, cv=SPLIT, seeds=(7, 8), controls=False, metrics=["mae"])
    for call, seed in zip(calls, (7, 8), strict=True):
        assert call["estimator"].random_state == seed
        assert call["estimator"].inner.random_state == seed
    assert model[-1].random_state == 5


@pytest.mark.parametrize("request_validation", [None, False, True])
@pytest.mark.parametrize("make", [make_pipeline, make_imblearn_pipeline])
def test_pipelines_transform_the_validation_rows(skewed, calls, make, request_validation):
    X, y = skewed
    last = ValidationRecorder()
    with config_context(enable_metadata_routing=request_validation is not None):
        if request_validation is not None:
            last.set_fit_request(X_val=request_validation, y_val=request_validation)
        model = make(StandardScaler(), last)
        compare({"a": model}, X, y, cv=SPLIT, controls=False, metrics=["mae"])
    scaler = StandardScaler().fit(X[TRAIN])
    np.testing.assert_allclose(calls[0]["X"], scaler.transform(X[TRAIN]))
    np.testing.assert_allclose(calls[0]["X_val"], scaler.transform(X[VALIDATION]))
    np.testing.assert_array_equal(calls[0]["y_val"], y[VALIDATION])


def test_steps_before_the_last_are_fitted_alike_for_validation_rows(skewed, calls):
    X, y = skewed
    weight = np.linspace(0, 1, len(TRAIN))
    model = make_pipeline(StandardScaler(), ValidationRecorder())
    fit_params = {"a": {"standardscaler__sample_weight": weight}}
    compare({"a": model}, X, y, cv=SPLIT, controls=False, fit_params=fit_params)
    scaler = StandardScaler().fit(X[TRAIN], sample_weight=weight)
    np.testing.assert_allclose(calls[0]["X"], scaler.transform(X[TRAIN]))
    np.testing.assert_allclose(calls[0]["X_val"], scaler.transform(X[VALIDATION]))


@pytest.mark.parametrize("routing", [True, False])
def test_estimators_of_ltlearn_in_pipelines(imbalanced, routing):
    """Validation rows may be as many as training rows, and more than one thing be routed."""
    X, y = imbalanced
    half = [(ROWS[:120], ROWS[120:240], ROWS[240:])]
    auxiliary = {"X_aux": Whole(X[:40] + 1), "y_aux": Whole(np.repeat(["x", "y"], 20))}
    direct = GranularClassifier(max_epochs=3, random_state=0)
    with config_context(enable_metadata_routing=routing):
        models = {"direct": direct, "scaled": make_pipeline(StandardScaler(), direct)}
        fit_params = {"scaled": {}}
        if routing:
            last = clone(direct).set_fit_request(X_aux=True, y_aux=True)
            models["scaled"] = make_pipeline(StandardScaler(), last, transform_input=["X_aux"])
            fit_params["scaled"] = auxiliary
        options = {"controls": False, "metrics": ["balanced_accuracy"], "fit_params": fit_params}
        fit_params["direct"] = fit_params["scaled"]
        results = compare(models, X, y, cv=half, **options)
    # The network standardizes its inputs itself, so that scaling them changes nothing.
    assert value_of(results, "scaled", "balanced_accuracy") == value_of(
        results, "direct", "balanced_accuracy"
    )


def test_a_frozen_estimator_is_measured_as_it_is(imbalanced):
    X, y = imbalanced
    model = RandomForestClassifier(5, random_state=3).fit(X[TRAIN], y[TRAIN])
    results = compare({"a": FrozenEstimator(model)}, X, y, cv=SPLIT, seeds=(1,), controls=False)
    assert value_of(results, "a", "accuracy") == pytest.approx(model.score(X[TEST], y[TEST]))


@pytest.mark.parametrize("routing", [True, False])
def test_samplers_leave_the_validation_rows_alone(imbalanced, routing):
    X, y = imbalanced
    model = make_imblearn_pipeline(
        StandardScaler(), RandomOverSampler(), HistGradientBoostingClassifier(max_iter=20)
    )
    with config_context(enable_metadata_routing=routing):
        results = compare({"a": model}, X, y, cv=SPLIT, controls=["logit_adjustment"])
    scaler = StandardScaler().fit(X[TRAIN])
    resampled = RandomOverSampler(random_state=0).fit_resample(scaler.transform(X[TRAIN]), y[TRAIN])
    direct = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    validation = {}
    if has_fit_parameter(direct, "X_val"):
        validation = {"X_val": scaler.transform(X[VALIDATION]), "y_val": y[VALIDATION]}
    direct.fit(*resampled, **validation)
    expected = direct.score(scaler.transform(X[TEST]), y[TEST])
    assert value_of(results, "a", "accuracy") == pytest.approx(expected)


def test_boosting_without_early_stopping_gets_no_validation_rows(skewed):
    X, y = skewed
    model = HistGradientBoostingRegressor(max_iter=5, early_stopping=False)
    results = compare({"a": model}, X, y, cv=SPLIT, controls=False, metrics=["mae"])
    predicted = clone(model).set_params(random_state=0).fit(X[TRAIN], y[TRAIN]).predict(X[TEST])
    assert value_of(results, "a", "mae") == mean_absolute_error(y[TEST], predicted)


def test_fit_params_are_passed_whole(skewed, calls):
    X, y = skewed
    extra = np.arange(len(X))  # as long as X: scikit-learn would slice it
    fit_params = {"a": {"extra": extra}, "b": lambda split: {"extra": split.train}}
    estimators = {"a": ValidationRecorder(), "b": ValidationRecorder()}
    compare(estimators, X, y, cv=SPLIT, controls=False, fit_params=fit_params)
    np.testing.assert_array_equal(calls[0]["extra"], extra)
    np.testing.assert_array_equal(calls[1]["extra"], TRAIN)


def test_fit_params_may_hold_the_only_validation_rows(skewed, calls):
    X, y = skewed
    fit_params = {"a": {"X_val": X[VALIDATION], "y_val": y[VALIDATION]}}
    options = {"cv": [(TRAIN, TEST)], "validation_fraction": 0, "controls": False}
    compare({"a": ValidationRecorder()}, X, y, fit_params=fit_params, **options)
    np.testing.assert_array_equal(calls[0]["X"], X[TRAIN])
    np.testing.assert_array_equal(calls[0]["X_val"], X[VALIDATION])
    np.testing.assert_array_equal(calls[0]["y_val"], y[VALIDATION])


class Votes(RegressorMixin, BaseEstimator):
    """Predicts the mean of the training distributions."""

    def fit(self, X, y, X_val=None, y_val=None):
        assert y.ndim == 2
        assert y_val.shape == (len(X_val), y.shape[1])
        self.mean_ = y.mean(axis=0)
        return self

    def predict_distribution(self, X):
        return np.tile(self.mean_, (len(X), 1))

    def predict(self, X):
        return expected_score(self.predict_distribution(X), bin_centers=[0, 1, 5])


@pytest.mark.parametrize(
    "wrap", [lambda model: model, lambda m: make_pipeline(StandardScaler(), m)]
)
def test_score_distributions(skewed, wrap):
    X, _ = skewed
    votes = np.random.default_rng(0).integers(1, 9, size=(len(X), 3))
    estimators = {"votes": wrap(Votes()), "ridge": Ridge()}
    with np.errstate(all="raise"):
        results = compare(
            estimators, X, votes, cv=SPLIT, bin_centers=[0, 1, 5], controls=["stretch", "mean"]
        )
    shares = votes / votes.sum(axis=1, keepdims=True)
    scores = shares @ [0, 1, 5]
    mean = np.tile(shares[TRAIN].mean(axis=0), (len(TEST), 1))
    assert value_of(results, "votes", "emd") == pytest.approx(metrics.emd(shares[TEST], mean))
    assert set(results.loc[results["metric"] == "emd", "estimator"]) == {"votes"}
    ridge = Ridge().fit(X[TRAIN], scores[TRAIN]).predict(X[TEST])
    expected = mean_absolute_error(scores[TEST], ridge)
    assert value_of(results, "ridge", "mae") == pytest.approx(expected)


def test_own_metrics(skewed):
    X, y = skewed

    def largest(y_true, y_pred):
        return np.max(np.abs(y_true - y_pred))

    def by_sign(y_true, y_pred):
        return {"low": y_pred[y_true < 1].mean(), "high": y_pred[y_true >= 1].mean()}

    functions = {"largest": largest, "by_sign": by_sign}
    results = compare({"ridge": Ridge()}, X, y, cv=SPLIT, controls=False, metrics=functions)
    predicted = Ridge().fit(X[TRAIN], y[TRAIN]).predict(X[TEST])
    assert set(results["metric"]) == {"largest", "by_sign"}
    assert value_of(results, "ridge", "largest") == largest(y[TEST], predicted)
    assert value_of(results, "ridge", "by_sign", "high") == predicted[y[TEST] >= 1].mean()


def test_same_results_in_parallel(skewed):
    X, y = skewed
    estimators = {"rf": RandomForestRegressor(5), "ridge": Ridge()}
    options = {"cv": SPLIT, "seeds": (0, 1), "controls": ["stretch", "hgb"]}
    one, two = (compare(estimators, X, y, n_jobs=n, **options) for n in (1, 2))
    pd.testing.assert_frame_equal(
        one.drop(columns="fit_seconds"), two.drop(columns="fit_seconds"), check_exact=True
    )


def test_leaves_the_global_generator_and_torch_threads_alone(skewed):
    X, y = skewed
    threads, state = torch.get_num_threads(), np.random.get_state()[1].copy()  # noqa: NPY002
    compare({"rf": RandomForestRegressor(3)}, X, y, cv=2, controls=False)
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_failed_runs_are_reported_and_the_rest_kept(skewed):
    X, y = skewed
    estimators = {"ridge": Ridge(), "failing": Failing()}
    with pytest.warns(FitFailedWarning, match="1 runs failed.*failing: RuntimeError: diverged"):
        results = compare(
            estimators, X, y, cv=SPLIT, seeds=(0, 1), controls=False, metrics=["mae", "srcc"]
        )
    failed = results[results["error"].notna()]
    assert set(failed["estimator"]) == {"failing"}
    assert list(failed["metric"]) == ["mae", "srcc"]
    assert failed["value"].isna().all()
    summary = summarize(results)
    of_ridge = summary[(summary["estimator"] == "ridge") & (summary["band"] == "overall")]
    assert of_ridge[["n", "n_dropped"]].to_numpy().tolist() == [[1, 1]] * 2  # what both have


def test_when_all_fail_there_is_an_error(skewed):
    X, y = skewed
    with pytest.raises(ValueError, match=r"Every run failed.*diverged"):
        compare({"a": Failing()}, X, y, cv=SPLIT, seeds=(1,), controls=False)


def test_checkpoint_resumes_and_notices_changes(skewed, calls, tmp_path):
    X, y = skewed
    path = tmp_path / "runs.jsonl"

    def again(estimators, X=X, **options):
        calls.clear()
        defaults = {"cv": 2, "metrics": ["mae"], "controls": False, "checkpoint": path}
        return compare(estimators, X, y, **{**defaults, **options})

    first = again({"a": Recorder(), "ridge": Ridge()})
    assert len(calls) == 2
    pd.testing.assert_frame_equal(again({"a": Recorder(), "ridge": Ridge()}), first)
    assert len(calls) == 0
    again({"a": Recorder()}, seeds=(0, 1))
    assert len(calls) == 2
    for change in (
        {"estimators": {"a": Recorder(inner=Ridge())}},
        {"estimators": {"b": Recorder()}},
        {"estimators": {"a": Recorder()}, "X": X + 1},
        {"estimators": {"a": Recorder()}, "metrics": ["srcc"]},
        {"estimators": {"a": Recorder()}, "fit_params": {"a": {"sample_weight": None}}},
        {"estimators": {"a": Recorder()}, "validation_fraction": 0.2},
    ):
        again(**change)
        assert len(calls) == 2


def test_checkpoint_notices_other_versions(skewed, calls, tmp_path, monkeypatch):
    X, y = skewed
    options = {"cv": SPLIT, "metrics": ["mae"], "controls": False, "checkpoint": tmp_path / "runs"}
    found = _checkpoint.version
    for n_fits, changed in enumerate(("none", "scikit-learn", "torch", "numpy"), start=1):

        def version(name, changed=changed):
            return found(name) + (name == changed) * "!"

        monkeypatch.setattr(_checkpoint, "version", version)
        for _ in range(2):
            compare({"a": Recorder()}, X, y, **options)
            assert len(calls) == n_fits
    monkeypatch.setattr(_checkpoint, "__version__", "another")
    compare({"a": Recorder()}, X, y, **options)
    assert len(calls) == 5


def test_checkpoint_tries_failed_runs_again(skewed, tmp_path):
    X, y = skewed
    options = {"cv": SPLIT, "seeds": (0, 1), "controls": False, "checkpoint": tmp_path / "runs"}
    for _ in range(2):
        with pytest.warns(FitFailedWarning, match="1 runs failed"):
            compare({"a": Failing()}, X, y, **options)
    assert len((tmp_path / "runs").read_text().splitlines()) == 1


def test_references_are_left_out_where_there_is_no_table(skewed):
    X, y = skewed
    images = X.reshape(-1, 2, 2)
    model = Recorder()
    left_out = "no table .*not two-dimensional.*so the controls ridge, hgb, .* are left out"
    for inputs in (images, [str(row) for row in X]):
        with pytest.warns(UserWarning, match=left_out):
            results = compare({"a": model}, inputs, y, cv=SPLIT, metrics=["mae"])
        assert set(results["estimator"]) == {
            *("a", "mean", "median"),
            *(f"a + {method}" for method in ("stretch", "linear", "isotonic", "cubic")),
        }
        mean = mean_absolute_error(y[TEST], np.full(len(TEST), y[TRAIN].mean()))
        assert value_of(results, "mean", "mae") == pytest.approx(mean)


def test_data_frames_and_missing_values(skewed):
    X, y = skewed
    frame = pd.DataFrame(X.copy(), columns=list("abcd"))
    frame.iloc[::7, 1] = np.nan
    results = compare(
        {"hgb": HistGradientBoostingRegressor()}, frame, y, cv=SPLIT, controls=["ridge"]
    )
    assert results["value"].notna().all()


def test_a_baseline_without_probabilities(imbalanced):
    X, y = imbalanced
    with pytest.warns(UserWarning, match="no predict_proba, so the control logit_adjustment is"):
        results = compare({"svm": LinearSVC()}, X, y, cv=SPLIT, controls=["logit_adjustment"])
    assert set(results["estimator"]) == {"svm"}
    assert set(results["metric"]) == {"accuracy", "balanced_accuracy"}


def test_own_controls_come_after_the_others(skewed):
    X, y = skewed
    results = compare(
        {"a": Ridge()},
        X,
        y,
        cv=SPLIT,
        controls={"forest": RandomForestRegressor(3)},
        metrics=["mae"],
    )
    names = list(results["estimator"].unique())
    assert names[-1] == "forest"
    assert "hgb" in names
    assert set(results.loc[results["estimator"] == "forest", "kind"]) == {"control"}


def test_bands_without_test_rows_are_named(skewed):
    X, y = skewed
    head = TEST[y[TEST] < np.median(y)]
    with pytest.warns(EmptyBandWarning, match="80-100, few"):
        results = compare({"a": Ridge()}, X, y, cv=[(TRAIN, head)], controls=False)
    assert np.isnan(value_of(results, "a", "mae", "few"))
    assert np.isfinite(value_of(results, "a", "mae"))


def test_a_class_only_in_the_test_rows(imbalanced):
    X, y = imbalanced
    train = np.flatnonzero(y != "tail")[:150]
    test = np.setdiff1d(np.arange(len(y)), train)
    results = compare(
        {"lr": LogisticRegression()}, X, y, cv=[(train, test)], controls=["logit_adjustment"]
    )
    assert np.isfinite(results["value"]).all()
    assert value_of(results, "lr", "accuracy", "few") == 0


def test_rare_classes_stay_in_the_training_rows(calls):
    y = np.repeat(["a", "b", "c"], [40, 9, 1])
    X = np.arange(50.0)[:, None]

    class Classes(ClassifierMixin, Recorder):
        def predict(self, X):
            return np.full(len(X), "a")

    test = np.arange(0, 49, 7)
    cv = [(np.setdiff1d(np.arange(50), test), test)]
    for seed in range(10):
        options = {"seeds": (seed,), "controls": False, "validation_fraction": 0.4}
        compare({"a": Classes()}, X, y, cv=cv, metrics=["accuracy"], **options)
        labels = calls[-1]["y"]
        assert set(labels) == {"a", "b", "c"}
        assert abs(np.sum(labels == "a") - 0.6 * 34) <= 1


def test_splitters_and_masks(skewed, calls):
    X, y = skewed
    mask = np.arange(300) % 3 == 0
    compare({"a": Recorder()}, X, y, cv=[(~mask, mask)], controls=False, validation_fraction=0)
    np.testing.assert_array_equal(calls[0]["X"], X[~mask])
    results = compare({"a": Recorder()}, X, y, cv=KFold(4), controls=False, metrics=["mae"])
    assert list(results["split"].unique()) == [0, 1, 2, 3]


def test_paired_differences_of_a_comparison(skewed):
    X, y = skewed
    results = compare(
        {"a": Ridge(300), "b": Ridge()}, X, y, cv=3, controls=["mean"], metrics=["srcc"]
    )
    table = paired_differences(results).set_index("estimator")
    assert table.loc["mean", "difference"] < 0
    assert list(table.index) == ["b", "mean"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "b"}, "baseline 'b' is not among"),
        ({"controls": ["strech"]}, "Unknown controls .'strech'.; there are"),
        ({"metrics": ["acuracy"]}, "Unknown metrics"),
        ({"validation_fraction": 0, "controls": ["stretch"]}, "need validation rows"),
        ({"controls": {"a": Ridge()}}, "share the names .'a'."),
        ({"cv": [(TRAIN,)]}, "has 1 parts"),
        ({"cv": [(TRAIN, TRAIN)]}, "share rows"),
        ({"cv": [(TRAIN, TRAIN[:5], TEST)]}, "share rows"),
        ({"cv": [(TRAIN, [])]}, "no test row"),
        ({"cv": [(TRAIN, [0.5])]}, "row numbers"),
        ({"cv": [(TRAIN, [-1])]}, "from 0 to 299"),
        ({"cv": []}, "no split"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": 3}, "'seeds' .*Iterable.* Got 3"),
        ({"metrics": {"x": "f1_macro"}}, r"'x' must be a function .y_true, y_pred., got 'f1_macro"),
        ({"fit_params": {"A": {}}}, r"fit_params names .'A'., but what is fitted is .'a', 'mean"),
        ({"fit_params": {"a": {"X_val": [0]}}}, "fit_params of 'a' hold .'X_val'.*in cv"),
        ({"fit_params": {"a": lambda split: {"ridge__y_val": [0]}}}, "hold .'ridge__y_val'."),
    ],
)
def test_errors_say_what_to_do(skewed, options, message):
    X, y = skewed
    with pytest.raises(ValueError, match=message):
        compare({"a": Ridge()}, X, y, **{"cv": 2, **options})


@pytest.mark.parametrize("estimators", [[Ridge()], Ridge(), ("ridge", Ridge())])
def test_estimators_need_names(skewed, estimators):
    with pytest.raises(
        TypeError, match=r"dict of name to estimator, such as .* got (list|Ridge|tuple)"
    ):
        compare(estimators, *skewed)


def test_no_estimators(skewed):
    with pytest.raises(ValueError, match="estimators is empty"):
        compare({}, *skewed)


def test_progress_bar_on_request(skewed, capsys):
    X, y = skewed
    compare({"a": Ridge()}, X, y, cv=2, controls=False)
    assert capsys.readouterr().err == ""
    compare({"a": Ridge()}, X, y, cv=2, controls=False, verbose=1)
    assert "2/2" in capsys.readouterr().err


def test_one_torch_thread_inside_and_the_same_as_before_outside():
    from ltlearn.evaluation._fitting import one_torch_thread

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_torch_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
