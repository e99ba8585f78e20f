"""Ensembles against the fits that they are made of, each done by itself."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.evaluation import compare
from ltlearn.exceptions import NonFiniteLossError
from ltlearn.model_selection import BatchedGridSearchCV
from ltlearn.plotting import TrainingHistoryDisplay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(130, 4))
Y = np.exp(X[:, 0] + 0.3 * X[:, 1] + 0.1 * RNG.normal(size=130))
VOTES = RNG.multinomial(20, [0.1, 0.2, 0.4, 0.3], size=130)
LABELS = np.digitize(X[:, 0] + 0.5 * X[:, 1], [0.3, 1.0])
X_NEW, MORE = RNG.normal(size=(20, 4)), RNG.normal(size=(50, 4))


def regressor(**params):
    model = ELTARegressor(
        backbone="mlp", hidden_layer_sizes=(6, 4), max_epochs=3, random_state=0, n_estimators=3
    )
    return model.set_params(**params)


def classifier(**params):
    model = GranularClassifier(
        hidden_layer_sizes=(6, 4), max_epochs=3, random_state=0, n_estimators=3
    )
    return model.set_params(**params)


def alone(model, y, **fit_params):
    """A fit of its own for each seed of a fitted ensemble."""
    seeds = [member.random_state for member in model.estimators_]
    assert len(set(seeds)) == model.n_estimators == len(seeds)
    return [
        clone(model).set_params(n_estimators=1, random_state=seed).fit(X, y, **fit_params)
        for seed in seeds
    ]


def assert_mean(found, values, tolerance=1e-7):
    assert np.ptp(values, axis=0).max() > 1e-3  # or they would not differ
    np.testing.assert_allclose(found, np.mean(values, axis=0), rtol=tolerance, atol=tolerance)


WEIGHT = RNG.uniform(size=130) * (RNG.uniform(size=130) > 0.1)
VALIDATION = {"X_val": X_NEW, "y_val": np.exp(X_NEW[:, 0]), "sample_weight_val": np.arange(20.0)}
REGRESSORS = {
    "plain": ({}, {}),
    "mixup": ({"mixup_strength": 0.3, "alignment_weight": 0.1, "dropout": 0.2}, {}),
    "weights": ({"reweighting": "inverse"}, {"sample_weight": WEIGHT}),
    "stopping": ({"max_epochs": 30, "lr": 0.03, "training__n_iter_no_change": 1}, {}),
    "validation rows": ({"max_epochs": 8, "lr": 0.03}, VALIDATION),
    "head retraining": ({"enhancers__head_retraining_epochs": 2}, {}),
    "no hold-out": ({"early_stopping": False}, {}),
}


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("setting", REGRESSORS)
def test_scores_are_averages(setting):
    params, fit_params = REGRESSORS[setting]
    model = regressor(loss="mse", **params).fit(X, Y, **fit_params)
    each = [one.predict(X_NEW) for one in alone(model, Y, **fit_params)]
    assert_mean(model.predict(X_NEW), each)
    scores, std = model.predict(X_NEW, return_std=True)
    np.testing.assert_allclose(scores, model.predict(X_NEW), rtol=1e-12)
    deviation = np.sqrt(sum((one - scores) ** 2 for one in each) / 2)
    np.testing.assert_allclose(std, deviation, rtol=1e-6)
    assert [row["member"] for row in model.history_] == sorted(
        row["member"] for row in model.history_
    )
    assert model.n_iter_ == max(member.n_iter_ for member in model.estimators_)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("loss", ["emd", "quantile"])
@pytest.mark.parametrize("tail", [0.0, 0.5])
def test_distributions_are_mixed(loss, tail):
    model = regressor(loss=loss, max_epochs=6).fit(X, Y)
    each = [one.set_params(tail=tail) for one in alone(model, Y)]
    model.set_params(tail=tail)
    assert_mean(model.predict(X_NEW), [one.predict(X_NEW) for one in each])
    levels = np.linspace(0.0005, 0.9995, 1000)
    draws = np.concatenate([one.predict_quantiles(X_NEW, levels) for one in each], axis=1)
    at = [0.1, 0.5, 0.9]
    # Members of other bins share a bin's probability between two, which widens it a little.
    unit = (Y.max() - Y.min()) / 40 if loss == "emd" else 0.01
    quantiles = model.predict_quantiles(X_NEW, at)
    np.testing.assert_allclose(quantiles, np.quantile(draws, at, axis=1).T, atol=unit)
    median = model.predict(X_NEW, prediction="median")
    np.testing.assert_array_equal(median, quantiles[:, 1])
    medians = np.stack([one.predict(X_NEW, prediction="median") for one in each])
    _, std = model.predict(X_NEW, prediction="median", return_std=True)
    np.testing.assert_allclose(std, medians.std(axis=0, ddof=1), rtol=1e-6)
    shares = model.predict_distribution(X_NEW)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    if loss == "emd":
        np.testing.assert_allclose(shares @ model.bin_centers_, model.predict(X_NEW))


@pytest.mark.usefixtures("in_float64")
def test_rating_distributions_and_self_training():
    model = regressor(enhancers__confidence_threshold=0.1, enhancers__sharpening=1.1)
    unlabeled = {"X_unlabeled": Whole(MORE)}
    model.fit(X, VOTES, **unlabeled)
    each = alone(model, VOTES, **unlabeled)
    assert_mean(
        model.predict_distribution(X_NEW), [one.predict_distribution(X_NEW) for one in each]
    )
    assert [picked["member"] for picked in model.pseudo_labels_] == [0, 1, 2]
    assert model.bin_centers_.tolist() == [1, 2, 3, 4]


def test_the_body_for_tables():
    model = regressor(backbone="auto", architecture__n_members=2).fit(X, Y)
    each = [one.predict(X_NEW) for one in alone(model, Y)]
    assert_mean(model.predict(X_NEW), each, tolerance=2e-4)
    assert model.embed(X_NEW).shape == (20, 3 * 4)


AUXILIARY = {"X_aux": Whole(MORE + 1), "y_aux": Whole(np.repeat([7, 8], 25))}
CLASSIFIERS = {
    "plain": ({}, {}),
    "temperature": ({"calibrate_temperature": True}, {}),
    "auto": ({"logit_adjustment": "auto"}, {}),
    "auxiliary": ({"auxiliary__max_samples": 10}, AUXILIARY),
    "synthesized": ({"auxiliary": "synthesize"}, {}),
    "class weights": ({"class_weight": "balanced"}, {"sample_weight": WEIGHT}),
    "power": ({"architecture__feature_power": "auto"}, {}),
    "cosine": ({"architecture__head": "cosine"}, {}),
}


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("setting", CLASSIFIERS)
def test_probabilities_are_averages(setting):
    params, fit_params = CLASSIFIERS[setting]
    model = classifier(**params).fit(X, LABELS, **fit_params)
    each = alone(model, LABELS, **fit_params)
    for prior in ("balanced", "train", [0.2, 0.3, 0.5]):
        for one in (model, *each):
            one.set_params(prior=prior)
        mean = [one.predict_proba(X_NEW) for one in each]
        assert_mean(model.predict_proba(X_NEW), mean, tolerance=3e-7)
        priors = np.mean([one.prediction_prior_ for one in each], axis=0)
        np.testing.assert_allclose(model.prediction_prior_, priors)
    np.testing.assert_array_equal(model.predict(X_NEW), model.predict_proba(X_NEW).argmax(axis=1))
    scores = model.decision_function(X_NEW)
    np.testing.assert_allclose(
        np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True),
        model.predict_proba(X_NEW),
        rtol=1e-5,
    )
    counted = WEIGHT > 0 if "sample_weight" in fit_params else slice(None)
    np.testing.assert_array_equal(model.class_counts_, np.bincount(LABELS[counted]))


def test_two_classes_have_one_number_a_row():
    model = classifier().fit(X, LABELS > 0)
    proba = model.predict_proba(X_NEW)
    odds = np.log(proba[:, 1] / proba[:, 0])
    np.testing.assert_allclose(model.decision_function(X_NEW), odds, rtol=1e-4, atol=1e-5)


def test_members_train_together(capsys):
    regressor(verbose=2).fit(X, Y)
    assert "3 trainings in stacks of [3]" in capsys.readouterr().out


class Counter(Callback):
    def initialize(self):
        self.n_epochs = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1


def test_members_that_cannot_train_together_train_one_by_one():
    model = regressor(callbacks=[Counter()], early_stopping=False).fit(X, Y)
    assert_mean(model.predict(X_NEW), [one.predict(X_NEW) for one in alone(model, Y)], 1e-12)
    for member in model.estimators_:
        (counter,) = (each for _, each in member.net_.callbacks_ if isinstance(each, Counter))
        assert counter.n_epochs == 3


class TestWarmStart:
    def test_members_go_on(self):
        model = regressor(warm_start=True).fit(X, Y)
        each = alone(model, Y)
        before = [pickle.dumps(member) for member in model.estimators_]
        first = model.estimators_
        model.set_params(lr=0.01).fit(X, Y)
        for one in each:
            one.set_params(lr=0.01).fit(X, Y)
        assert_mean(model.predict(X_NEW), [one.predict(X_NEW) for one in each], 1e-12)
        for kept, member in zip(before, first, strict=True):
            np.testing.assert_array_equal(pickle.loads(kept).predict(X_NEW), member.predict(X_NEW))

    @pytest.mark.parametrize(("first", "second"), [(1, 2), (3, 1), (3, 2)])
    def test_with_as_many_members_as_there_are(self, first, second):
        model = regressor(warm_start=True, n_estimators=first).fit(X, Y)
        predicted = model.predict(X_NEW)
        with pytest.raises(ValueError, match=f"n_estimators={second}, but warm_start=True"):
            model.set_params(n_estimators=second).fit(X, Y)
        np.testing.assert_array_equal(model.predict(X_NEW), predicted)


def test_a_fit_that_fails_changes_nothing():
    model = regressor(loss="mse").fit(X, Y)
    predicted = model.predict(X_NEW)
    with pytest.raises(NonFiniteLossError):
        model.set_params(lr=1e30).fit(2 * X, Y)
    np.testing.assert_array_equal(model.predict(X_NEW), predicted)


def test_refits_of_another_size_leave_nothing_behind():
    model = regressor().fit(X, Y)
    one = model.set_params(n_estimators=1).fit(X, Y).predict(X_NEW)
    assert not hasattr(model, "estimators_")
    fresh = regressor(n_estimators=1).fit(X, Y)
    np.testing.assert_array_equal(fresh.predict(X_NEW), one)
    model.set_params(n_estimators=2).fit(X, Y)
    assert not hasattr(model, "net_")
    assert len(model.estimators_) == 2


def test_pickling_and_repetition():
    model = classifier().fit(X, LABELS)
    proba = model.predict_proba(X_NEW)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X_NEW), proba)
    np.testing.assert_array_equal(clone(model).fit(X, LABELS).predict_proba(X_NEW), proba)


def test_embeddings_stand_side_by_side():
    model = classifier().fit(X, LABELS)
    expected = [member.embed(X_NEW) for member in model.estimators_]
    np.testing.assert_array_equal(model.embed(X_NEW), np.concatenate(expected, axis=1))


def test_the_spread_of_one_is_refused_by_name():
    with pytest.raises(ValueError, match="return_std=True asks for the spread of several"):
        regressor(n_estimators=1).fit(X, Y).predict(X_NEW, return_std=True)


def test_bad_input_is_refused_as_by_one():
    with pytest.raises(ValueError, match="y_val"):
        regressor().fit(X, Y, X_val=X_NEW)
    with pytest.raises(ValueError, match="4 features"):
        regressor().fit(X, Y).predict(X_NEW[:, :3])
    with pytest.raises(ValueError, match="'n_estimators' parameter"):
        regressor(n_estimators=0).fit(X, Y)


@pytest.mark.usefixtures("in_float64")
def test_candidates_folds_and_members_train_together(capsys):
    grid = {"lr": [1e-3, 1e-2], "n_estimators": [1, 3]}
    model = regressor(loss="mse")
    search = BatchedGridSearchCV(model, grid, cv=2, verbose=2).fit(X, Y)
    assert "stacks of [16]" in capsys.readouterr().out
    expected = GridSearchCV(model, grid, cv=2).fit(X, Y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], rtol=1e-9
    )


def test_comparisons_seed_members():
    results = compare({"one": regressor(n_estimators=2)}, X, Y, cv=2, seeds=[0, 1], controls=False)
    errors = results.query("metric == 'mae' and band == 'overall'")
    assert errors["error"].isna().all()
    assert errors["value"].nunique() == 4


def test_histories_are_plotted_member_by_member():
    pytest.importorskip("matplotlib")
    display = TrainingHistoryDisplay.from_estimator(regressor().fit(X, Y))
    assert display.stages == [(f"member {number}, fit", 3) for number in range(3)]
