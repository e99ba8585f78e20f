"""Data frames of every kind, and other packages around our estimators or below them."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import ELTARegressor, GranularClassifier, TailStackingClassifier
from ltlearn.calibration import LogitAdjuster
from ltlearn.evaluation import compare, tail_report
from ltlearn.exceptions import DistinctValuesWarning, LTLearnWarning

N = 60


@pytest.fixture(scope="module")
def table():
    """A frame with numbers, gaps and words in the oldest of pandas' types, and a score."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "area": rng.normal(size=N),
            "rooms": rng.integers(1, 6, N).astype(float),
            "district": rng.choice(["north", "south", "old town"], N).astype(object),
        }
    )
    frame.loc[::7, "rooms"] = np.nan
    frame.loc[::11, "district"] = None
    y = frame["area"] + frame["rooms"].fillna(0) + (frame["district"] == "north")
    return frame, y.to_numpy()


def nullable(frame):
    return frame.astype({"area": "Float64", "rooms": "Int64", "district": "string"})


def arrow(frame):
    pa = pytest.importorskip("pyarrow")
    types = {"area": pa.float64(), "rooms": pa.int64(), "district": pa.string()}
    return frame.astype({name: pd.ArrowDtype(kind) for name, kind in types.items()})


def categories(frame):
    return frame.astype({"district": "category"})


def polars(frame):
    pl = pytest.importorskip("polars")
    columns = {name: frame[name].astype(object).where(frame[name].notna(), None) for name in frame}
    return pl.DataFrame({name: column.tolist() for name, column in columns.items()})


FRAMES = [nullable, arrow, categories, polars]


def predictions(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LTLearnWarning)  # few rows
        return estimator.fit(X, y).predict(X)


@pytest.mark.parametrize("convert", FRAMES)
def test_mixed_columns_of_every_kind_of_frame_are_the_same_table(table, convert):
    frame, y = table
    model = ELTARegressor(max_epochs=2, random_state=0)
    np.testing.assert_allclose(
        predictions(model, convert(frame), y), predictions(model, frame, y), rtol=1e-6
    )


@pytest.mark.parametrize("convert", FRAMES)
@pytest.mark.parametrize(
    "estimator",
    [
        GranularClassifier(backbone="tabular", max_epochs=2, random_state=0),
        TailStackingClassifier("fast", random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_classes_from_every_kind_of_frame(table, convert, estimator):
    frame, y = table
    classes = np.where(y > 4, "high", "low")
    expected = predictions(estimator, frame, classes)
    np.testing.assert_array_equal(predictions(estimator, convert(frame), classes), expected)


@pytest.mark.parametrize("convert", FRAMES)
def test_numbers_from_every_kind_of_frame(table, convert):
    frame, y = table
    frame = frame.assign(rooms=frame["rooms"].fillna(0))
    numbers = convert(frame)[["area", "rooms"]]
    model = ELTARegressor(backbone="mlp", max_epochs=2, random_state=0)
    expected = predictions(model, frame[["area", "rooms"]].to_numpy(), y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        np.testing.assert_allclose(predictions(model, numbers, y), expected, rtol=1e-6)


@pytest.mark.parametrize("convert", [nullable, arrow, categories])
def test_compare_takes_frames(table, convert):
    frame, y = table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LTLearnWarning)
        tables = [
            compare({"model": ELTARegressor(max_epochs=1)}, X, y, cv=2, controls=["ridge"])
            for X in (convert(frame), frame)
        ]
    one, other = (
        table.set_index(["estimator", "split", "metric", "band"])["value"] for table in tables
    )
    pd.testing.assert_series_equal(one, other, rtol=1e-5)


@pytest.fixture(scope="module")
def imbalanced():
    return make_classification(300, 4, n_redundant=0, weights=[0.85], random_state=0)


def test_resamplers_of_imbalanced_learn(imbalanced):
    over_sampling = pytest.importorskip("imblearn.over_sampling")
    pipeline = pytest.importorskip("imblearn.pipeline")
    X, y = imbalanced
    sampler = over_sampling.RandomOverSampler(random_state=0)
    network = GranularClassifier(max_epochs=3, random_state=0)
    fitted = pipeline.make_pipeline(sampler, network).fit(X, y)
    resampled = network.fit(*sampler.fit_resample(X, y))
    np.testing.assert_array_equal(fitted.predict_proba(X), resampled.predict_proba(X))
    # Inside, after the sampler, the adjuster sees balanced classes and has nothing to do.
    inside = pipeline.make_pipeline(sampler, LogitAdjuster(LogisticRegression())).fit(X, y)
    plain = pipeline.make_pipeline(sampler, LogisticRegression()).fit(X, y)
    np.testing.assert_allclose(inside.predict_proba(X), plain.predict_proba(X))


def test_optuna_finds_what_a_grid_finds(table):
    optuna = pytest.importorskip("optuna")
    frame, y = table
    X = frame[["area"]].to_numpy()

    def score(lr):
        model = ELTARegressor(backbone="mlp", lr=lr, max_epochs=2, random_state=0)
        return cross_val_score(model, X, y, cv=2).mean()

    rates = [1e-3, 1e-2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few rows; experimental samplers
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.GridSampler({"lr": rates}, seed=0)
        )
        study.optimize(lambda trial: score(trial.suggest_float("lr", 1e-4, 1e-1)), n_trials=2)
        assert study.best_params["lr"] == max(rates, key=score)


def test_mapie_takes_a_fitted_network():
    regression = pytest.importorskip("mapie.regression")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = X[:, 0] + 0.1 * rng.normal(size=400)
    model = ELTARegressor(backbone="mlp", max_epochs=5, random_state=0).fit(X[:200], y[:200])
    conformal = regression.SplitConformalRegressor(model, confidence_level=0.9, prefit=True)
    conformal.conformalize(X[200:300], y[200:300])
    predicted, intervals = conformal.predict_interval(X[300:])
    np.testing.assert_array_equal(predicted, model.predict(X[300:]))
    # The rank of split conformal prediction: 91 of 100 residuals.
    width = np.sort(np.abs(model.predict(X[200:300]) - y[200:300]))[90]
    np.testing.assert_allclose(intervals[:, 1, 0] - predicted, width)


@pytest.fixture(scope="module")
def fitted_pipeline():
    """A pipeline whose score depends on the first of three columns alone."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = np.exp(X[:, 0])
    model = ELTARegressor(backbone="mlp", max_epochs=20, random_state=0)
    return make_pipeline(StandardScaler(), model).fit(X, y), X, y


def test_permutation_importance_of_the_tail(fitted_pipeline):
    pipeline, X, y = fitted_pipeline
    from ltlearn.metrics import make_band_scorer

    importance = permutation_importance(
        pipeline, X, y, scoring=make_band_scorer("mae", "few"), n_repeats=2, random_state=0
    ).importances_mean
    assert importance[0] > 5 * np.abs(importance[1:]).max()


def test_shap_values_add_up_to_predictions(fitted_pipeline):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            shap = pytest.importorskip("shap")
        except AttributeError as error:  # its compiler beside some versions of coverage
            pytest.skip(f"importing SHAP fails: {error}")
        pipeline, X, _ = fitted_pipeline
        explainer = shap.PermutationExplainer(pipeline.predict, X[:10], seed=0)
        explained = explainer(X[10:13], max_evals=8, silent=True)
    total = explained.values.sum(axis=1) + explained.base_values
    np.testing.assert_allclose(total, pipeline.predict(X[10:13]), rtol=1e-5)
    assert (np.abs(explained.values).argmax(axis=1) == 0).all()


def test_the_recipe_for_mlflow_names_what_there_is(fitted_pipeline):
    pipeline, X, y = fitted_pipeline
    report = tail_report(
        pipeline, X, y, baseline=pipeline, X_train=X, y_train=y, n_refits=0, n_resamples=100
    )
    assert report.to_frame().set_index("band")["estimator"]["few"] >= 0
    assert all({"train_loss", "epoch"} <= set(row) for row in pipeline[-1].history_)
    assert "eltaregressor__training__lr_schedule" in pipeline.get_params(deep=True)


@pytest.mark.parametrize("convert", [lambda frame: frame, arrow, polars])
def test_titles_among_the_categories_are_named(convert):
    """By each estimator that takes mixed columns; once told, a fit is silent."""
    rng = np.random.default_rng(0)
    kinds = rng.choice(["drama", "comedy"], 120).astype(object)
    frame = pd.DataFrame({"length": rng.normal(size=120), "kind": kinds})
    frame["title"] = np.array([f"film {i}" for i in range(120)], dtype=object)
    if convert is arrow:
        pa = pytest.importorskip("pyarrow")
        frame = frame.astype({"title": pd.ArrowDtype(pa.string())})
    elif convert is polars:
        pl = pytest.importorskip("polars")
        frame = pl.DataFrame({name: frame[name].tolist() for name in frame})
    y = rng.normal(size=120)
    for estimator, labels in (
        (ELTARegressor(max_epochs=1, random_state=0), y),
        (GranularClassifier(backbone="tabular", max_epochs=1, random_state=0), y > 0),
        (TailStackingClassifier("fast", cv=2, random_state=0), y > 0),
    ):
        with pytest.warns(DistinctValuesWarning, match="Hardly a value of column 'title'"):
            estimator.fit(frame, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DistinctValuesWarning)
        ELTARegressor(max_epochs=1, categorical_features=["kind", "title"]).fit(frame, y)
