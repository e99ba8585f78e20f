"""The controls of a comparison, each computed once more by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import make_classification
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.exceptions import FitFailedWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error
from sklearn.model_selection import (
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.fixes import parse_version

from ltlearn import ELTARegressor
from ltlearn.calibration import LogitAdjuster, adjust_proba
from ltlearn.evaluation import compare
from ltlearn.evaluation._controls import choose_controls
from ltlearn.model_selection import RareClassStratifiedKFold

pytestmark = pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")

ROWS = np.random.default_rng(0).permutation(300)
TRAIN, VALIDATION, TEST = ROWS[:180], ROWS[180:220], ROWS[220:]
SPLIT = [(TRAIN, VALIDATION, TEST)]
RNG = np.random.default_rng(0)
X, CODE = make_classification(
    300, n_informative=4, n_classes=3, weights=[0.7, 0.2, 0.1], random_state=0
)
Y = np.array(["head", "middle", "tail"])[CODE]
BINARY = np.where(CODE == 0, "head", "rest")
SCORES = np.exp(X[:, 0] + 0.3 * RNG.normal(size=300))
WIDE = np.hstack([X, RNG.normal(size=(300, 90))])


def value_of(results, estimator, metric="accuracy", band="overall"):
    rows = results[
        (results["estimator"] == estimator)
        & (results["metric"] == metric)
        & (results["band"] == band)
    ]
    return rows["value"].item()


def run(X, y, *controls, baseline=None, **options):
    baseline = DecisionTreeClassifier(max_depth=3) if baseline is None else baseline
    options = {"cv": SPLIT, "controls": list(controls), **options}
    return compare({"base": baseline}, X, y, **options)


def predict_with_floor(proba, prior, classes, floor, tau=1.0):
    """Classes after flooring and adjustment, in plain loops."""
    labels = []
    for row in proba:
        lifted = [max(p, min(floor, q)) / q**tau for p, q in zip(row, prior, strict=True)]
        labels.append(classes[lifted.index(max(lifted))])
    return np.array(labels)


PRIOR = np.array([np.mean(label == Y[TRAIN]) for label in np.unique(Y)])


@pytest.mark.parametrize(
    ("name", "model"),
    [("forest", RandomForestClassifier(300)), ("extra_trees", ExtraTreesClassifier(300))],
)
def test_trees_with_floored_logit_adjustment(name, model):
    results = run(X, Y, name)
    model.set_params(random_state=0).fit(X[TRAIN], Y[TRAIN])
    expected = predict_with_floor(model.predict_proba(X[TEST]), PRIOR, model.classes_, 1 / 300)
    assert value_of(results, name) == model.score(X[TEST], Y[TEST])
    adjusted = value_of(results, f"{name} + logit_adjustment")
    assert adjusted == pytest.approx(accuracy_score(Y[TEST], expected))
    floored = np.maximum(model.predict_proba(X[TEST]), np.minimum(1 / 300, PRIOR)) / PRIOR
    floored /= floored.sum(axis=1, keepdims=True)
    true = floored[np.arange(len(TEST)), np.searchsorted(model.classes_, Y[TEST])]
    loss = value_of(results, f"{name} + logit_adjustment", "log_loss")
    assert loss == pytest.approx(-np.log(true).mean())
    if name == "forest":
        assert (model.predict_proba(X[TEST]) == 0).any()  # so that the floor counts


def tuned(models, X, y, root=False):
    """The (loss, tau, model) of least class-balanced loss of held-out rows, in plain loops."""
    found = []
    folds = list(RareClassStratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
    for model, floor in models:
        best = (math.inf, None)
        held_out = [(clone(model).fit(X[train], y[train]), train, test) for train, test in folds]
        for tau in np.linspace(0, 3, 61):
            losses = {label: [] for label in np.unique(y)}
            for fitted, train, test in held_out:
                prior = np.array([np.mean(label == y[train]) for label in fitted.classes_])
                proba = np.maximum(fitted.predict_proba(X[test]), np.minimum(floor, prior))
                scores = proba / prior**tau
                scores /= scores.sum(axis=1, keepdims=True)
                for row, label in zip(scores, y[test], strict=True):
                    losses[label].append(-math.log(row[list(fitted.classes_).index(label)]))
            loss = np.mean([np.mean(values) for values in losses.values()])
            best = min(best, (loss, tau))
        found.append((*best, model))
        if len(found) > 1 and found[-1][0] > found[-2][0]:
            break
    return min(found, key=lambda item: item[0])


@pytest.mark.parametrize("name", ["logistic_tuned", "logistic_sqrt_tuned"])
def test_logistic_regression_tuned_by_held_out_loss(name):
    def root(X):
        return np.where(X < 0, -np.sqrt(np.abs(X)), np.sqrt(np.abs(X)))

    prepare = root if "sqrt" in name else (lambda X: X)
    models = [
        (make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000)), 1e-7)
        for C in (0.001, 0.01, 0.1, 1, 10)
    ]
    _, tau, model = tuned(models, prepare(X[TRAIN]), Y[TRAIN])
    model.fit(prepare(X[TRAIN]), Y[TRAIN])
    proba = adjust_proba(model.predict_proba(prepare(X[TEST])), PRIOR, tau=tau)
    result = value_of(run(X, Y, name), name, "log_loss")
    assert result == pytest.approx(log_loss(Y[TEST], proba, labels=model.classes_), rel=0.02)


def test_neighbors_with_tau():
    def directions(X):
        X = (X - X[TRAIN].mean(axis=0)) / X[TRAIN].std(axis=0)
        return X / np.linalg.norm(X, axis=1, keepdims=True)

    Z = directions(X)
    models = [(make_pipeline(StandardScaler(), FunctionTransformer(unit), neighbors), 1 / 10)
              for neighbors in [KNeighborsClassifier(10)]]  # fmt: skip
    _, tau, _ = tuned(models, X[TRAIN], Y[TRAIN])
    model = KNeighborsClassifier(10).fit(Z[TRAIN], Y[TRAIN])
    expected = predict_with_floor(model.predict_proba(Z[TEST]), PRIOR, model.classes_, 0.1, tau)
    result = value_of(run(X, Y, "knn_tuned"), "knn_tuned")
    assert result == pytest.approx(accuracy_score(Y[TEST], expected), abs=0.02)


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def test_class_means_by_angle():
    scaler = StandardScaler().fit(X[TRAIN])
    train, test = scaler.transform(X[TRAIN]), scaler.transform(X[TEST])
    means = {}
    for label in np.unique(Y):
        rows = [row / math.sqrt(sum(row**2)) for row in train[Y[TRAIN] == label]]
        means[label] = np.mean(rows, axis=0)
    expected = [
        max(means, key=lambda label: row @ means[label] / math.sqrt(sum(means[label] ** 2)))
        for row in test
    ]
    assert value_of(run(X, Y, "cosine_means"), "cosine_means") == np.mean(expected == Y[TEST])


def test_discriminant_analysis_with_uniform_priors():
    """The posterior of equal priors, from the fitted means and covariance."""
    scaler = StandardScaler().fit(X[TRAIN])
    train, test = scaler.transform(X[TRAIN]), scaler.transform(X[TEST])
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(train, Y[TRAIN])
    inverse = np.linalg.inv(model.covariance_)
    distances = [[(row - mean) @ inverse @ (row - mean) for mean in model.means_] for row in test]
    expected = model.classes_[np.argmin(distances, axis=1)]
    assert value_of(run(X, Y, "lda"), "lda") == accuracy_score(Y[TEST], expected)


def test_discriminant_analysis_of_a_class_of_one():
    y = np.where(np.arange(300) == TRAIN[0], "single", Y)
    assert np.isfinite(value_of(run(X, y, "lda", "cosine_means", "logistic_tuned"), "lda"))


@pytest.mark.parametrize(
    ("name", "model"),
    [("hgb", HistGradientBoostingRegressor()),
     ("hgb_absolute_error", HistGradientBoostingRegressor(loss="absolute_error"))],
)  # fmt: skip
def test_boosted_regression_of_both_errors(name, model):
    model.set_params(random_state=0).fit(X[TRAIN], SCORES[TRAIN])
    expected = mean_absolute_error(SCORES[TEST], model.predict(X[TEST]))
    results = run(X, SCORES, name, baseline=Ridge(), metrics=["mae"])
    assert value_of(results, name, "mae") == pytest.approx(expected)


def test_temperature_is_that_of_scikit_learn():
    if parse_version(sklearn.__version__) < parse_version("1.8"):
        pytest.skip("no temperature scaling in this version of scikit-learn")
    results = run(X, Y, "temperature", baseline=LogisticRegression(C=100))
    inner = LogisticRegression(C=100).fit(X[TRAIN], Y[TRAIN])
    scaled = CalibratedClassifierCV(FrozenEstimator(inner), method="temperature", cv=2)
    scaled.fit(X[VALIDATION], Y[VALIDATION])
    expected = log_loss(Y[TEST], scaled.predict_proba(X[TEST]), labels=inner.classes_)
    assert value_of(results, "base + temperature", "log_loss") == pytest.approx(expected, rel=1e-3)
    assert value_of(results, "base + temperature") == value_of(results, "base")


def test_temperature_against_a_grid():
    results = run(X, Y, "temperature", baseline=LogisticRegression(C=100))
    inner = LogisticRegression(C=100).fit(X[TRAIN], Y[TRAIN])

    def loss(rows, temperature):
        scores = np.log(inner.predict_proba(X[rows])) / temperature
        proba = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return log_loss(Y[rows], proba, labels=inner.classes_)

    grid = np.exp(np.linspace(-2, 2, 801))
    best = min(grid, key=lambda temperature: loss(VALIDATION, temperature))
    assert abs(best - 1) > 0.05
    result = value_of(results, "base + temperature", "log_loss")
    assert result == pytest.approx(loss(TEST, best), rel=1e-3)


def test_threshold_of_highest_balanced_accuracy():
    results = run(X, BINARY, "tuned_threshold", baseline=LogisticRegression(),
                  metrics=["accuracy", "balanced_accuracy", "log_loss"])  # fmt: skip
    inner = LogisticRegression().fit(X[TRAIN], BINARY[TRAIN])

    def balanced(rows, threshold):
        predicted = inner.predict_proba(X[rows])[:, 1] >= threshold
        rest = BINARY[rows] == "rest"
        return (np.mean(predicted[rest]) + np.mean(~predicted[~rest])) / 2

    scores = inner.predict_proba(X[VALIDATION])[:, 1]
    grid = np.linspace(scores.min(), scores.max(), 100)  # as scikit-learn tries
    best = max(grid, key=lambda threshold: balanced(VALIDATION, threshold))
    result = value_of(results, "base + tuned_threshold", "balanced_accuracy")
    assert result == pytest.approx(balanced(TEST, best), abs=0.03)
    of_control = results[results["estimator"] == "base + tuned_threshold"]
    assert "log_loss" not in set(of_control["metric"])


def test_a_threshold_is_for_two_classes():
    with pytest.raises(ValueError, match=r"'tuned_threshold' is for two classes; y has 3"):
        run(X, Y, "tuned_threshold")
    results = run(X, BINARY, controls=True, metrics=["accuracy"])
    assert "base + tuned_threshold" in set(results["estimator"])


def test_a_post_hoc_control_that_fails_does_not_take_the_estimator_along():
    head = VALIDATION[BINARY[VALIDATION] == "head"]
    with pytest.warns(FitFailedWarning, match="1 runs failed.*both classes"):
        results = run(X, BINARY, "tuned_threshold", "temperature", cv=[(TRAIN, head, TEST)])
    assert np.isfinite(value_of(results, "base"))
    assert np.isfinite(value_of(results, "base + temperature"))
    assert np.isnan(value_of(results, "base + tuned_threshold"))


def test_without_validation_rows():
    options = {"validation_fraction": 0, "cv": [(TRAIN, TEST)], "metrics": ["accuracy"]}
    with pytest.warns(UserWarning, match="no validation rows, so the control temperature is left"):
        results = run(X, Y, controls=True, **options)
    assert "base + logit_adjustment" in set(results["estimator"])
    with pytest.raises(ValueError, match=r"\['temperature'\] need validation rows"):
        run(X, Y, "temperature", validation_fraction=0, cv=2)


def names_of(controls, X, y, baseline=None):
    from ltlearn.evaluation._outcomes import Target
    from ltlearn.evaluation._splits import Split

    baseline = DecisionTreeClassifier() if baseline is None else baseline
    splits = [Split(0, 0, TRAIN, VALIDATION, TEST)]
    target = Target.from_labels(y, baseline)
    _, references = choose_controls(controls, baseline, target, X, splits, lambda split: {})
    return {reference.name for reference in references}


def test_controls_are_chosen_by_the_kind_of_data():
    both = {"logistic", "logistic_balanced", "logistic_tuned", "nearest_mean"}
    table = {"forest", "extra_trees", "hgb", "hgb_balanced"}
    embeddings = {"logistic_sqrt_tuned", "lda", "cosine_means", "knn_tuned"}
    assert names_of(True, X, Y) == both | table
    assert names_of(True, WIDE, Y) == both | embeddings
    assert names_of(["forest", "lda"], WIDE, Y) == {"forest", "lda"}
    mixed = pd.DataFrame(WIDE).assign(color=np.resize(["red", "blue"], 300))
    assert names_of(True, mixed, Y) == both | table
    constant = {"mean", "median"}
    assert names_of(True, X, SCORES, Ridge()) == {
        *constant, "ridge", "hgb", "hgb_absolute_error", "hgb_density_weights",
    }  # fmt: skip
    assert names_of(True, WIDE, SCORES, Ridge()) == {*constant, "ridge", "hgb"}
    assert names_of(False, X, Y) == set()


def test_controls_are_fitted_to_what_the_baselines_steps_give():
    cube = FunctionTransformer(lambda X: np.exp(X[:, :3]))
    baseline = make_pipeline(cube, StandardScaler(), Ridge())
    results = run(X, SCORES, "ridge", "hgb", "mean", baseline=baseline, metrics=["mae"])
    direct = compare({"base": Ridge()}, np.exp(X[:, :3]), SCORES, cv=SPLIT, metrics=["mae"],
                     controls=["hgb", "ridge", "mean"])  # fmt: skip
    for name in ("ridge", "mean", "hgb"):
        expected = value_of(direct, name, "mae")
        assert value_of(results, name, "mae") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda steps: make_imblearn_pipeline(*steps, RandomOverSampler(), DecisionTreeClassifier()),
        lambda steps: GridSearchCV(make_pipeline(*steps, DecisionTreeClassifier()), {}, cv=2),
        lambda steps: make_pipeline(
            *steps[:1], make_pipeline(*steps[1:], DecisionTreeClassifier())
        ),
        lambda steps: FrozenEstimator(
            make_pipeline(*steps, DecisionTreeClassifier()).fit(X[TRAIN], Y[TRAIN])
        ),
        lambda steps: LogitAdjuster(make_pipeline(*steps, None, DecisionTreeClassifier())),
    ],
)
def test_steps_are_found_inside_other_estimators_and_resamplers_left_out(wrap):
    steps = [FunctionTransformer(lambda X: X[:, :3]), FunctionTransformer(np.exp)]
    results = run(X, Y, "logistic", baseline=wrap(steps), metrics=["accuracy"])
    direct = run(np.exp(X[:, :3]), Y, "logistic", metrics=["accuracy"])
    assert value_of(results, "logistic") == value_of(direct, "logistic")


def test_steps_inside_a_transformed_target():
    inner = make_pipeline(FunctionTransformer(lambda X: X[:, 1:]), Ridge())
    baseline = TransformedTargetRegressor(inner, func=np.log, inverse_func=np.exp)
    results = run(X, SCORES, "ridge", baseline=baseline, metrics=["mae"])
    direct = run(X[:, 1:], SCORES, "ridge", baseline=Ridge(), metrics=["mae"])
    assert value_of(results, "ridge", "mae") == pytest.approx(value_of(direct, "ridge", "mae"))


class Counting(FunctionTransformer):
    fits = []

    def fit(self, X, y=None, sample_weight=None):
        self.fits.append((len(X), sample_weight))
        return super().fit(X, y)


@pytest.mark.parametrize("routing", [False, True])
def test_steps_get_their_arguments_and_are_fitted_once_a_split_for_all_controls(routing):
    Counting.fits.clear()
    weight = RNG.uniform(size=90)
    splits = [(TRAIN[:90], VALIDATION, TEST), (TRAIN[90:], VALIDATION, TEST)]
    with sklearn.config_context(enable_metadata_routing=routing):
        step = Counting()
        key = "sample_weight" if routing else "counting__sample_weight"
        if routing:
            step.set_fit_request(sample_weight=True)
        baseline = make_pipeline(step, Ridge())
        if routing:
            baseline[-1].set_fit_request(sample_weight=False)
        run(X, SCORES, "ridge", "hgb", "hgb_absolute_error", baseline=baseline, cv=splits,
            fit_params={"base": {key: weight}}, metrics=["mae"])  # fmt: skip
    assert len(Counting.fits) == 4  # of two splits, for the baseline and for its controls
    assert all(size == 90 and given is weight for size, given in Counting.fits)


def mixed_frame():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(X[:, :3].copy(), columns=["a", "b", "c"])
    frame.loc[::7, "b"] = np.nan
    frame["color"] = np.array(["red", "green", "blue"])[CODE]
    frame.loc[::5, "color"] = None
    frame["size"] = pd.Categorical(rng.choice(["s", "l"], 300), ordered=True)
    frame["flag"] = rng.choice([True, False], 300)
    frame["count"] = pd.array(rng.integers(0, 9, 300), dtype="Int64")
    frame.loc[3, "count"] = pd.NA
    frame["name"] = [f"row {i}" for i in range(300)]
    frame["date"] = pd.date_range("2020-01-01", periods=300)
    frame["nothing"] = np.nan
    return frame


def test_mixed_columns_with_gaps():
    """Every control of tables, also where a level appears in the test rows alone."""
    frame = mixed_frame()
    frame.loc[TEST[0], "color"] = "never seen"
    baseline = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["color"])),
        LogisticRegression(),
    )
    takes_all = HistGradientBoostingClassifier()
    plain = frame.drop(columns=["name", "date", "nothing"]).astype({"color": "category"})
    results = compare(
        {"boosting": takes_all, "encoded": baseline}, plain, Y, cv=SPLIT, metrics=["accuracy"]
    )
    values = results[results["band"] == "overall"].set_index("estimator")["value"]
    assert values.notna().all()
    assert "forest + logit_adjustment" in values
    # Color tells the class but for a fifth of the rows, which only those that read it know.
    assert values[["forest", "hgb", "logistic", "nearest_mean"]].min() > values["encoded"] - 0.1
    raw = names_of(True, frame, Y)
    assert {"forest", "hgb", "logistic_tuned"} <= raw


def test_reading_a_mixed_table_column_by_column():
    from ltlearn.evaluation._preprocessing import TableReader

    frame = mixed_frame()
    frame["rare"] = ["often", "once", *["often"] * 298]
    reader = TableReader().fit(frame.iloc[:200])
    table = reader.transform(frame.iloc[200:])
    assert list(table.columns) == ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x10"]
    expected = frame.iloc[200:].reset_index(drop=True)
    for number in (0, 1, 2, 6):
        values = expected.iloc[:, number].astype("Float64").to_numpy(float, na_value=np.nan)
        np.testing.assert_array_equal(table[f"x{number}"], values)
    for given, label in zip(table["x3"], expected["color"], strict=True):
        assert pd.isna(given) if pd.isna(label) else given == label
    np.testing.assert_array_equal(table["x5"], expected["flag"])
    assert reader.categories_[10] == ["often"]
    assert reader.transform(frame.iloc[:2])["x10"].tolist() == ["often", "(other)"]


def test_sparse_and_object_tables():
    dense = np.where(np.abs(X) > 1, X, 0)
    expected = run(dense, Y, "logistic", "forest", metrics=["accuracy"])
    for inputs in (csr_array(dense), dense.astype(object)):
        results = run(inputs, Y, "logistic", "forest", metrics=["accuracy"],
                      baseline=LogisticRegression())  # fmt: skip
        for name in ("logistic", "forest"):
            assert value_of(results, name) == value_of(expected, name)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (pd.DataFrame({"path": [f"{i}.png" for i in range(300)]}), "no column holds numbers"),
        (csr_array((300, 10**6)), "too large to be made dense"),
        (X.reshape(300, 2, 10), "not two-dimensional"),
    ],
)
def test_where_there_is_no_table(inputs, reason):
    class Constant(Ridge):
        def fit(self, X, y):
            self.coef_ = y.mean()
            return self

        def predict(self, X):
            return np.full(X.shape[0], self.coef_)

    with pytest.warns(UserWarning, match=f"X is no table .*{reason}.*the control ridge is left"):
        results = run(inputs, SCORES, "ridge", "median", baseline=Constant(), metrics=["mae"])
    expected = mean_absolute_error(SCORES[TEST], np.full(len(TEST), np.median(SCORES[TRAIN])))
    assert value_of(results, "median", "mae") == pytest.approx(expected)


def test_steps_that_fail_cost_the_controls_with_a_reason():
    def fail(X):
        raise RuntimeError("no such file")

    baseline = make_pipeline(FunctionTransformer(fail), Ridge())
    estimators = {"base": baseline, "ridge on X": Ridge()}
    with (
        pytest.warns(UserWarning, match="RuntimeError: no such file.*ridge, hgb are left out"),
        pytest.warns(FitFailedWarning),
    ):
        compare(estimators, X, SCORES, cv=SPLIT, controls=["ridge", "hgb"], metrics=["mae"])


@pytest.mark.parametrize(
    "model",
    [
        TunedThresholdClassifierCV(LogisticRegression()),
        CalibratedClassifierCV(LogisticRegression(), method="sigmoid"),
        CalibratedClassifierCV(LogisticRegression(), method="temperature"),
    ],
)
def test_calibrated_and_thresholded_classifiers_as_estimators_and_controls(model):
    if parse_version(sklearn.__version__) < parse_version("1.8") and (
        getattr(model, "method", None) == "temperature"
    ):
        pytest.skip("no temperature scaling in this version of scikit-learn")
    estimators = {"own": model, "other": clone(model)}
    results = compare(estimators, X, BINARY, cv=SPLIT, controls=["logit_adjustment"])
    fitted = clone(model)
    if hasattr(fitted, "random_state"):
        fitted.set_params(random_state=0)
    fitted.fit(X[TRAIN], BINARY[TRAIN])
    for name in ("own", "other"):
        assert value_of(results, name) == fitted.score(X[TEST], BINARY[TEST])
    proba = adjust_proba(fitted.predict_proba(X[TEST]), [
        np.mean(BINARY[TRAIN] == label) for label in fitted.classes_])  # fmt: skip
    expected = log_loss(BINARY[TEST], proba, labels=fitted.classes_)
    assert value_of(results, "own + logit_adjustment", "log_loss") == pytest.approx(expected)


def test_an_adjuster_that_tunes_itself_keeps_to_the_training_rows():
    adjuster = LogitAdjuster(LogisticRegression(), tau="auto")
    results = run(X, Y, baseline=adjuster, metrics=["log_loss"])
    fitted = adjuster.fit(X[TRAIN], Y[TRAIN])
    expected = log_loss(Y[TEST], fitted.predict_proba(X[TEST]), labels=fitted.classes_)
    assert value_of(results, "base", "log_loss") == pytest.approx(expected)
    frozen = LogitAdjuster(
        FrozenEstimator(LogisticRegression().fit(X[TRAIN], Y[TRAIN])), tau="auto"
    )
    assert np.isfinite(value_of(run(X, Y, baseline=frozen), "base", "log_loss"))


def test_own_network_with_preprocessing_has_all_controls():
    frame = mixed_frame().drop(columns=["name", "date", "nothing"])
    columns = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["color", "size", "flag"]), ("passthrough", ["a", "c"])
    )
    model = make_pipeline(columns, ELTARegressor(max_epochs=2))
    results = compare({"elta": model}, frame, SCORES, cv=2, metrics=["mae"])
    assert {"mean", "median", "ridge", "hgb"} <= set(results["estimator"])
    assert results[results["band"] == "overall"]["value"].notna().all()


def test_predictions_of_cross_validation_are_untouched():
    """The tuned control leaves the estimator it is given as it was."""
    from ltlearn.evaluation._reference_models import TunedAdjuster

    inner = LogisticRegression()
    tuner = TunedAdjuster(inner, {"C": [0.1, 1.0]})
    assert cross_val_predict(tuner, X, Y, cv=2).shape == Y.shape
    assert inner.C == 1.0
    assert not hasattr(inner, "coef_")
