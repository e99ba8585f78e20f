"""Batched searches against scikit-learn's, fit by fit."""

import pickle
import time

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.model_selection import BatchedGridSearchCV, BatchedRandomizedSearchCV

RNG = np.random.default_rng(0)
X = RNG.normal(size=(130, 4))
Y = np.exp(X[:, 0] + 0.3 * X[:, 1] + 0.1 * RNG.normal(size=130))
LABELS = np.digitize(X[:, 0], [0.3, 1.0])
TIMES = ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time")


def regressor(**params):
    return ELTARegressor(
        backbone="mlp", loss="mse", hidden_layer_sizes=(6,), max_epochs=3, random_state=0
    ).set_params(**params)


def assert_same_search(search, other, tolerance=1e-9):
    """All of what the two found out is the same."""
    results, expected = search.cv_results_, other.cv_results_
    assert list(results) == list(expected)
    for name in set(results) - {*TIMES, "params"}:
        if results[name].dtype.kind == "f":
            np.testing.assert_allclose(results[name], expected[name], tolerance, tolerance)
        else:
            assert results[name].tolist() == expected[name].tolist(), name
    assert results["params"] == expected["params"]
    public = {name for name in vars(other) if name.endswith("_") and name != "refit_time_"}
    assert public <= set(vars(search))
    if hasattr(other, "best_params_"):
        assert search.best_params_ == other.best_params_


def fit_both(estimator, grid, y=Y, tolerance=1e-9, fit_params=None, **settings):
    searches = [
        cls(estimator, grid, **{"cv": 3, **settings}).fit(X, y, **(fit_params or {}))
        for cls in (BatchedGridSearchCV, GridSearchCV)
    ]
    assert_same_search(*searches, tolerance)
    return searches


@pytest.mark.usefixtures("in_float64")
class TestGrid:
    def test_one_score(self):
        grid = {"mixup_strength": [0.0, 0.2], "lr": [1e-3, 1e-2]}
        search, other = fit_both(regressor(), grid)
        np.testing.assert_allclose(search.predict(X), other.predict(X))
        assert search.score(X, Y) == pytest.approx(other.score(X, Y))

    def test_several_scores_and_training_scores(self):
        fit_both(
            regressor(),
            [{"lr": [1e-3, 1e-2]}, {"mixup_strength": [0.3], "training__weight_decay": [0.1]}],
            scoring={"r2": "r2", "mae": "neg_mean_absolute_error"},
            refit="mae",
            return_train_score=True,
        )

    def test_a_scorer_and_a_choice_of_ones_own(self):
        def scoring(estimator, X, y):
            return {"error": -np.abs(estimator.predict(X) - y).max()}

        def last(results):
            return len(results["params"]) - 1

        search, _ = fit_both(regressor(), {"lr": [1e-3, 1e-2]}, scoring=scoring, refit=last)
        assert search.best_index_ == 1

    def test_no_refit(self):
        search, _ = fit_both(regressor(), {"lr": [1e-3, 1e-2]}, refit=False)
        assert not hasattr(search, "best_estimator_")

    def test_classes(self):
        model = GranularClassifier(hidden_layer_sizes=(6,), max_epochs=3, random_state=0)
        grid = {"logit_adjustment": [0.0, 1.0], "class_weight": [None, "balanced"]}
        fit_both(model, grid, y=LABELS, scoring="neg_log_loss", tolerance=1e-6)

    def test_shapes_that_differ_and_what_cannot_be_stacked(self):
        grid = [
            {"hidden_layer_sizes": [(6,), (4, 3)], "lr": [1e-3, 1e-2]},
            {"training__accumulation_steps": [2]},
        ]
        fit_both(regressor(), grid)

    def test_another_estimator_as_a_candidate(self):
        pipeline = Pipeline([("scale", StandardScaler()), ("model", regressor())])
        fit_both(pipeline, {"model": [Ridge(), regressor(), regressor(lr=1e-2)]})

    def test_around_the_estimator(self):
        wrapped = TransformedTargetRegressor(regressor(), func=np.log, inverse_func=np.exp)
        fit_both(wrapped, {"regressor__lr": [1e-3, 1e-2]})

    def test_weights_and_validation_rows(self):
        weight = RNG.uniform(size=130)
        fit_params = {"sample_weight": weight, "X_val": Whole(X[:30]), "y_val": Whole(Y[:30])}
        fit_both(regressor(max_epochs=8), {"lr": [1e-3, 1e-2]}, fit_params=fit_params)

    def test_groups(self):
        groups = RNG.integers(8, size=130)
        grid = {"lr": [1e-3, 1e-2]}
        fit_both(regressor(), grid, cv=GroupKFold(3), fit_params={"groups": groups})

    def test_folds_without_a_seed_are_drawn_once(self):
        search = BatchedGridSearchCV(regressor(), {"lr": [1e-3, 1e-3]}, cv=KFold(3, shuffle=True))
        results = search.fit(X, Y).cv_results_
        assert results["split0_test_score"][0] == results["split0_test_score"][1]

    def test_inside_cross_validation(self):
        scores = [
            cross_validate(cls(regressor(), {"lr": [1e-3, 1e-2]}, cv=2), X, Y, cv=2)["test_score"]
            for cls in (BatchedGridSearchCV, GridSearchCV)
        ]
        np.testing.assert_allclose(*scores)

    def test_randomized(self):
        choices = {"lr": [1e-3, 3e-3, 1e-2], "mixup_strength": [0.0, 0.1, 0.2]}
        searches = [
            cls(regressor(), choices, n_iter=4, cv=2, random_state=0).fit(X, Y)
            for cls in (BatchedRandomizedSearchCV, RandomizedSearchCV)
        ]
        assert_same_search(*searches)


class Counting(TransformerMixin, BaseEstimator):
    """Counts its fits."""

    fits = []

    def __init__(self, power=1):
        self.power = power

    def fit(self, X, y=None):
        self.fits.append((self.power, len(X)))
        return self

    def transform(self, X):
        return X**self.power


def test_transformers_are_fitted_once_a_fold_and_setting():
    pipeline = make_pipeline(Counting(), PolynomialFeatures(2), regressor())
    grid = {"eltaregressor__lr": [1e-3, 1e-2, 1e-1], "counting__power": [1, 3]}
    Counting.fits.clear()
    search = BatchedGridSearchCV(pipeline, grid, cv=3, refit=False).fit(X, Y)
    assert sorted(Counting.fits) == [(p, n) for p in (1, 3) for n in (86, 87, 87)]
    expected = GridSearchCV(pipeline, grid, cv=3, refit=False).fit(X, Y)
    assert_same_search(search, expected, tolerance=1e-3)


def test_the_pipeline_that_is_refitted_has_no_memory():
    pipeline = make_pipeline(StandardScaler(), regressor())
    search = BatchedGridSearchCV(pipeline, {"eltaregressor__lr": [1e-3]}, cv=2).fit(X, Y)
    assert search.best_estimator_.memory is None
    assert pipeline.memory is None
    assert pickle.loads(pickle.dumps(search)).predict(X[:3]).shape == (3,)


def test_fits_that_fail():
    grid = {"lr": [1e-3, 1e30]}
    with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4"):
        search = BatchedGridSearchCV(regressor(), grid, cv=2, error_score=-7.0).fit(X, Y)
    assert search.cv_results_["mean_test_score"][1] == -7.0
    assert search.best_params_ == {"lr": 1e-3}
    with pytest.raises(FloatingPointError):
        BatchedGridSearchCV(regressor(), grid, cv=2, error_score="raise").fit(X, Y)


def test_two_processes():
    grid = {"lr": [1e-3, 1e-2], "mixup_strength": [0.0, 0.1]}
    searches = [
        BatchedGridSearchCV(regressor(), grid, cv=2, n_jobs=n_jobs).fit(X, Y) for n_jobs in (1, 2)
    ]
    assert_same_search(*searches, tolerance=1e-4)


def test_it_says_what_trains_together(capsys):
    grid = [{"lr": [1e-3, 1e-2]}, {"training__accumulation_steps": [2]}]
    BatchedGridSearchCV(regressor(), grid, cv=2, refit=False, verbose=2).fit(X, Y)
    said = capsys.readouterr()
    assert "4 trainings in stacks of [4]" in said.out
    assert "2 trained alone: steps are compiled or accumulate gradients" in said.out
    assert "6/6" in said.err


def test_fit_times_leave_out_what_others_took():
    search = BatchedGridSearchCV(regressor(), {"lr": [1e-3] * 8}, cv=3, refit=False)
    start = time.perf_counter()
    times = search.fit(X, Y).cv_results_["mean_fit_time"]
    assert 3 * times.sum() < time.perf_counter() - start


def test_parameters_are_those_of_scikit_learn():
    for cls, other in (
        (BatchedGridSearchCV, GridSearchCV),
        (BatchedRandomizedSearchCV, RandomizedSearchCV),
    ):
        ours, theirs = (each(Ridge(), {"alpha": [1.0]}) for each in (cls, other))
        assert set(ours.get_params(deep=False)) == set(theirs.get_params(deep=False))
        assert isinstance(clone(ours), other)


def test_estimators_that_are_not_ours():
    searches = [
        cls(Ridge(), {"alpha": [0.1, 1.0]}, cv=3).fit(X, Y)
        for cls in (BatchedGridSearchCV, GridSearchCV)
    ]
    assert_same_search(*searches)


@pytest.mark.usefixtures("in_float64")
class TestPublishedParts:
    """Fits of one search, stacked, give what they give alone."""

    def test_anchors_by_density(self):
        grid = {"enhancers__sampler": ["distance", "density"], "mixup_strength": [0.1, 0.3]}
        fit_both(regressor(enhancers__density_power=2.0), grid)

    @pytest.mark.parametrize("backbone", ["mlp", "tabular"])
    def test_bounded_heads(self, backbone):
        model = regressor(backbone=backbone, architecture__head="sigmoid", mixup_strength=0.2)
        if backbone == "tabular":
            model.set_params(architecture__n_members=2, dropout=0.0)
        fit_both(model, {"lr": [1e-3, 1e-2]}, tolerance=1e-6)

    def test_one_root_a_batch_and_rank_correlation(self):
        model = regressor(
            loss="emd", bins__emd_form="batch", training__scoring="srcc", early_stopping=True
        )
        searches = fit_both(model, {"lr": [1e-3, 1e-2], "mixup_strength": [0.0, 0.2]})
        for one, other in zip(*(s.best_estimator_.history_ for s in searches), strict=True):
            assert one["valid_srcc"] == pytest.approx(other["valid_srcc"])

    def test_weights_of_validation_rows(self):
        given = {
            "X_val": Whole(X[:40]),
            "y_val": Whole(Y[:40]),
            "sample_weight_val": Whole(RNG.uniform(size=40)),
        }
        fit_both(regressor(), {"lr": [1e-3, 1e-2]}, fit_params=given)
