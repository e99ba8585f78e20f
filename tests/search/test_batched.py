"""Batched searches against scikit-learn's, fit by fit."""

import gc
import pickle
import re
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import FitFailedWarning, UnsetMetadataPassedError
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
from sklearn.utils.fixes import parse_version
from skorch.callbacks import Callback
from torch import nn

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.model_selection import BatchedGridSearchCV, BatchedRandomizedSearchCV, TunedTailCV
from ltlearn.training.stacked._optimizer import StackedOptimizer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(130, 4))
Y = np.exp(X[:, 0] + 0.3 * X[:, 1] + 0.1 * RNG.normal(size=130))
LABELS = np.digitize(X[:, 0], [0.3, 1.0])
GROUPS = np.arange(130) % 7
WEIGHT = RNG.uniform(size=130) * (RNG.uniform(size=130) > 0.2)
RATES = {"lr": [1e-3, 1e-2]}
MEASURES = {"r2": "r2", "mae": "neg_mean_absolute_error"}
TIMES = ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time")


def regressor(**params):
    return ELTARegressor(
        backbone="mlp", loss="mse", hidden_layer_sizes=(6,), max_epochs=3, random_state=0
    ).set_params(**params)


def classifier(**params):
    return GranularClassifier(hidden_layer_sizes=(6,), max_epochs=3, random_state=0).set_params(
        **params
    )


def assert_same_search(search, other, tolerance=1e-9):
    """All of what the two found out is the same, in kind and in number."""
    results, expected = search.cv_results_, other.cv_results_
    assert list(results) == list(expected)
    assert results["params"] == expected["params"]
    for name in set(expected) - {"params"}:
        found, wanted = results[name], expected[name]
        assert type(found) is type(wanted), name
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), name
        np.testing.assert_array_equal(*map(np.ma.getmaskarray, (found, wanted)), name)
        if name in TIMES:
            assert (found >= 0).all()
        elif name.startswith("param_") or found.dtype.kind != "f":
            assert repr(found.tolist()) == repr(wanted.tolist()), name
        else:
            np.testing.assert_allclose(found, wanted, tolerance, tolerance, err_msg=name)
    assert set(vars(search)) == set(vars(other))
    for name in ("best_index_", "best_params_", "best_score_", "n_splits_", "multimetric_"):
        assert hasattr(search, name) == hasattr(other, name), name
        if isinstance(getattr(other, name, None), float):
            assert getattr(search, name) == pytest.approx(
                getattr(other, name), rel=tolerance, nan_ok=True
            )
        else:
            assert getattr(search, name, None) == getattr(other, name, None), name
    for name in ("classes_", "n_features_in_", "feature_names_in_"):
        found, wanted = (getattr(each, name, "no such") for each in (search, other))
        assert np.array_equal(found, wanted), name


def outcome(search, y, X, fit_params):
    """A fitted search or its error, and the warnings on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitted = search.fit(X, y, **fit_params)
        except Exception as error:
            fitted = error
    said = [
        re.sub(r"File .*|\^+|~+", "", f"{each.category.__name__}: {each.message}")
        for each in caught
    ]
    return fitted, sorted(text[:200] for text in said)


def fit_both(estimator, grid, y=Y, tolerance=1e-9, fit_params=None, X=X, **settings):
    """Fit our search and scikit-learn's; both also warn of the same."""
    (search, said), (other, expected) = (
        outcome(cls(estimator, grid, **{"cv": 3, **settings}), y, X, fit_params or {})
        for cls in (BatchedGridSearchCV, GridSearchCV)
    )
    for each in (search, other):
        if isinstance(each, Exception):
            raise each
    assert_same_search(search, other, tolerance)
    assert said == expected
    return search, other


def assert_both_refuse(estimator, grid, match, **settings):
    errors = []
    for cls in (BatchedGridSearchCV, GridSearchCV):
        with pytest.raises(Exception, match=match) as info:
            cls(estimator, grid, **{"cv": 3, **settings}).fit(X, Y)
        errors.append(info.type)
    assert errors[0] is errors[1]


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


@pytest.mark.usefixtures("in_float64")
class TestContract:
    """What scikit-learn's search does in the corners."""

    @pytest.mark.parametrize(
        ("scoring", "refit"),
        [("r2", True), ("r2", False), (["r2"], "r2"), (MEASURES, "mae"), (MEASURES, False)],
        ids=range(5),
    )
    def test_which_score_chooses(self, scoring, refit):
        settings = {"scoring": scoring, "refit": refit, "return_train_score": True}
        fit_both(regressor(max_epochs=1), RATES, cv=2, **settings)

    def test_settings_that_some_candidates_lack(self):
        grid = [
            {"lr": [1e-3, 1e-2]},
            {"mixup_strength": [0.1, "auto"], "enhancers__tail_temperature": [0.3]},
            {"loss": ["emd"], "bins__n_bins": [5]},
            {"hidden_layer_sizes": [(3,), (4, 4)], "reweighting": [None, "inverse"]},
            {"early_stopping": [True, False, "auto"]},
        ]
        fit_both(regressor(max_epochs=1), grid, cv=2)

    @pytest.mark.parametrize(
        ("grid", "error_score"),
        [
            ({"lr": [1e-3, 1e30, 1e-2]}, np.nan),
            ({"lr": [1e-3, 1e30, 1e-2]}, -3.0),
            ({"lr": [-1.0, 1e-3]}, np.nan),
            ({"loss": ["mse", "nonsense"]}, -3.0),
        ],
        ids=["diverges", "diverges, a number", "out of range", "unknown"],
    )
    def test_fits_that_fail(self, grid, error_score):
        fit_both(
            regressor(),
            grid,
            cv=2,
            scoring=["r2", "neg_mean_absolute_error"],
            refit="r2",
            error_score=error_score,
            return_train_score=True,
        )

    def test_all_fits_fail(self):
        assert_both_refuse(regressor(), {"lr": [1e30]}, "All the 3 fits failed")

    def test_a_failure_is_raised(self):
        grid = {"lr": [1e-3, 1e30]}
        assert_both_refuse(regressor(), grid, "1e[+]30", error_score="raise")

    def test_scorers_that_fail(self):
        def scoring(estimator, X, y):
            if estimator.lr > 5e-3:
                raise RuntimeError("no score")
            return 1.0

        fit_both(regressor(), RATES, scoring=scoring)
        fit_both(regressor(), RATES, scoring={"own": scoring, "r2": "r2"}, refit="r2")
        assert_both_refuse(regressor(), RATES, "no score", scoring=scoring, error_score="raise")

    @pytest.mark.parametrize(
        "fit_params",
        [
            {"sample_weight": WEIGHT.tolist()},
            {"sample_weight": None},
            {"X_val": X[:20], "y_val": Y[:20]},
            {"X_val": Whole(X[:20]), "y_val": Whole(Y[:20]), "sample_weight": WEIGHT},
        ],
        ids=["list", "none", "validation", "both"],
    )
    def test_arguments_of_fit(self, fit_params):
        fit_both(regressor(), RATES, fit_params=fit_params)

    @pytest.mark.parametrize("of", ["estimator", "pipeline"])
    def test_routing(self, of):
        validation = {"X_val": Whole(X[:20]), "y_val": Whole(Y[:20])}
        fit_params = {"sample_weight": WEIGHT, "groups": GROUPS, **validation}
        with config_context(enable_metadata_routing=True):
            model = regressor().set_fit_request(sample_weight=True, X_val=True, y_val=True)
            model.set_score_request(sample_weight=True)
            grid = RATES
            if of == "pipeline":
                if parse_version(sklearn.__version__) < parse_version("1.8"):
                    pytest.skip("weights of scores do not pass through pipelines before")
                scaler = StandardScaler().set_fit_request(sample_weight=True)
                steps = [("scaler", scaler), ("model", model)]
                model = Pipeline(steps, transform_input=["X_val"])
                grid = {"model__lr": RATES["lr"]}
            fit_both(model, grid, cv=GroupKFold(3), fit_params=fit_params)

    def test_routing_that_is_not_asked_for(self):
        with config_context(enable_metadata_routing=True):
            for cls in (BatchedGridSearchCV, GridSearchCV):
                with pytest.raises(UnsetMetadataPassedError):
                    cls(regressor(), RATES).fit(X, Y, sample_weight=WEIGHT)

    @pytest.mark.parametrize("kind", ["objects", "booleans", "list", "series"])
    def test_kinds_of_labels(self, kind):
        words = np.array(["a", "bb", "c"])[LABELS]
        y = {
            "objects": words.astype(object),
            "booleans": LABELS > 0,
            "list": LABELS.tolist(),
            "series": pd.Series(words, index=np.arange(130)[::-1]),
        }[kind]
        fit_both(
            classifier(),
            {"silencing": [0.0, 0.5], "class_weight": [None, "balanced"]},
            y=y,
            cv=2,
            scoring=["accuracy", "neg_log_loss", "balanced_accuracy"],
            refit="accuracy",
            fit_params={"X_aux": Whole(X[:30] + 1), "y_aux": Whole(np.full(30, 9))},
            tolerance=1e-6,
        )

    def test_weights_of_classes_by_name(self):
        words = np.array(["a", "bb", "c"])[LABELS]
        grid = {"class_weight": [{"a": 1.0, "bb": 2.0, "c": 3.0}, "balanced"]}
        fit_both(classifier(), grid, y=words, scoring="neg_log_loss", tolerance=1e-6)

    def test_kinds_of_rows(self):
        frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(130)[::-1])
        fit_both(regressor(), RATES, X=frame, y=pd.Series(Y, index=frame.index))
        fit_both(regressor(), RATES, X=X.tolist(), y=Y.tolist())
        for cls in (BatchedGridSearchCV, GridSearchCV):
            with pytest.raises(ValueError, match="Sparse data was passed"):
                cls(regressor(), RATES, cv=3).fit(sparse.csr_array(X), Y)

    def test_categories_and_gaps(self):
        frame = pd.DataFrame(X.copy(), columns=list("abcd"))
        frame["e"] = pd.Categorical(np.array(["u", "v"])[LABELS % 2])
        frame.loc[3, "a"] = np.nan
        model = ELTARegressor(max_epochs=1, hidden_layer_sizes=(6,), dropout=0.0, random_state=0)
        fit_both(model, RATES, X=frame, tolerance=1e-4)

    def test_score_distributions(self):
        votes = RNG.integers(1, 9, size=(130, 4)).astype(float)
        fit_both(regressor(loss="emd"), RATES, y=votes)

    @pytest.mark.parametrize("n_estimators", [1, 2])
    def test_the_global_generator_and_those_of_ones_own(self, n_estimators):
        """Fits draw their seeds one after the other, as they do when they train so."""
        searches = []
        for cls in (BatchedGridSearchCV, GridSearchCV):
            np.random.seed(3)  # noqa: NPY002 - the one that random_state=None draws from
            model = regressor(random_state=None, n_estimators=n_estimators)
            searches.append(cls(model, RATES, cv=3).fit(X, Y))
        assert_same_search(*searches)
        model = regressor(random_state=np.random.RandomState(3), n_estimators=n_estimators)
        fit_both(model, RATES)

    @pytest.mark.parametrize("pre_dispatch", [1, 5, "n_jobs"])
    def test_how_many_are_sent_at_once(self, pre_dispatch):
        fit_both(regressor(), RATES, pre_dispatch=pre_dispatch)

    def test_callbacks_and_own_losses(self, tmp_path):
        def loss(output, target):
            return (output - target).abs()

        fit_both(regressor(callbacks=[Callback()]), RATES)
        fit_both(regressor(loss=loss), RATES)

    def test_checkpoints(self, tmp_path):
        searches = [
            cls(regressor(checkpoint=tmp_path / cls.__name__), RATES, cv=2).fit(X, Y)
            for cls in (BatchedGridSearchCV, GridSearchCV)
        ]
        assert_same_search(*searches)
        assert len(list((tmp_path / "BatchedGridSearchCV").iterdir())) == 2 * 2 + 1

    def test_in_the_dial_and_around_it(self):
        model = regressor(loss="emd")
        searches = (cls(model, RATES, cv=2) for cls in (BatchedGridSearchCV, GridSearchCV))
        with pytest.warns(UserWarning, match="chosen by 130 held-out rows"):
            tuned, expected = (TunedTailCV(search, cv=2).fit(X, Y) for search in searches)
        assert tuned.tail_ == expected.tail_
        for name, values in expected.frontier_.items():
            np.testing.assert_allclose(tuned.frontier_[name], values)
        fit_both(TunedTailCV(model, cv=2), {"estimator__lr": [1e-3, 1e-2], "budget": [0.01, 0.1]})

    def test_searches_in_searches(self):
        inner = BatchedGridSearchCV(regressor(), RATES, cv=2)
        fit_both(inner, {"estimator__mixup_strength": [0.0, 0.2]}, cv=2)

    @pytest.mark.parametrize(
        ("grid", "settings", "match"),
        [
            ({"lrr": [1.0]}, {}, "Invalid parameter 'lrr'"),
            ({"lr": []}, {}, "non-empty"),
            ({"lr": 3.0}, {}, "list"),
            (RATES, {"n_jobs": 0}, "n_jobs == 0"),
            (RATES, {"n_jobs": "two"}, "'n_jobs' parameter of"),
            (RATES, {"error_score": "bad"}, "error_score"),
            (RATES, {"scoring": "nonsense"}, "scoring"),
            (RATES, {"scoring": ["r2"]}, "multi-metric scoring"),
            (RATES, {"cv": 1}, "n_splits|folds"),
            (RATES, {"cv": []}, "No fits were performed|empty"),
        ],
        ids=range(10),
    )
    def test_bad_settings(self, grid, settings, match):
        assert_both_refuse(regressor(), grid, match, **settings)

    def test_progress_of_scikit_learn(self):
        callback = pytest.importorskip("sklearn.callback")
        searches = []
        for cls in (BatchedGridSearchCV, GridSearchCV):
            pipeline = make_pipeline(StandardScaler(), regressor())
            search = cls(pipeline, {"eltaregressor__lr": RATES["lr"]}, cv=2)
            searches.append(search.set_callbacks(callback.ProgressBar()).fit(X, Y))
        assert_same_search(*searches)


def test_arrays_of_more_dimensions():
    images = RNG.uniform(size=(40, 3, 4, 4)).astype(np.float32)
    model = ELTARegressor(backbone=nn.Flatten(), loss="mse", max_epochs=1, random_state=0)
    fit_both(model, RATES, X=images, y=Y[:40], tolerance=1e-5)


class OwnBody(nn.Module):
    """Counts how many of it there are."""

    n_alive = n_most = 0

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        type(self).n_alive += 1
        type(self).n_most = max(self.n_most, self.n_alive)

    def __del__(self):
        type(self).n_alive -= 1

    def forward(self, inputs):
        return self.layer(inputs)


def test_of_networks_that_train_alone_there_is_one_at_a_time():
    gc.collect()
    OwnBody.n_alive = OwnBody.n_most = 0
    model = ELTARegressor(backbone=OwnBody, max_epochs=1, random_state=0)
    BatchedGridSearchCV(model, {"lr": [1e-3, 1e-2, 0.1]}, cv=3, refit=False).fit(X, Y)
    assert OwnBody.n_most <= 3  # rather than nine; garbage takes a while to be collected


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


@pytest.mark.parametrize("when", [0, 40])
def test_a_stack_that_fails_fails_for_its_members(monkeypatch, when):
    """Not for those that have left it: here they have trained for a single epoch."""
    step, n_steps = StackedOptimizer.step, []

    def fails(self, *args):
        n_steps.append(1)
        if len(n_steps) > when:
            raise MemoryError("no room")
        return step(self, *args)

    monkeypatch.setattr(StackedOptimizer, "step", fails)
    grid = {"max_epochs": [1, 30]}
    search = BatchedGridSearchCV(
        regressor(batch_size=20), grid, cv=2, refit=False, error_score=-7.0
    )
    if when == 0:
        with pytest.raises(ValueError, match=r"(?s)All the 4 fits failed.*no room"):
            search.fit(X, Y)
        return
    with pytest.warns(FitFailedWarning, match=r"(?s)2 fits failed out of a total of 4.*no room"):
        search.fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] != -7.0
    assert scores[1] == -7.0


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


def test_it_says_so_of_several_processes_too(capsys):
    grid = [{"lr": [1e-3, 1e-2]}, {"training__accumulation_steps": [2]}]
    BatchedGridSearchCV(regressor(), grid, cv=2, refit=False, n_jobs=2, verbose=2).fit(X, Y)
    said = capsys.readouterr()
    assert said.out.count("2 trainings in stacks of [2]") == 2
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
