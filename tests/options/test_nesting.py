"""Option objects nest in the estimators as scikit-learn's parameters do."""

import inspect
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from ltlearn import ELTARegressor, GranularClassifier, options
from ltlearn.options import Auxiliary, Bins, Enhancers, Training

ESTIMATORS = [ELTARegressor, GranularClassifier]
KINDS = [getattr(options, name) for name in options.__all__]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_none_stands_for_the_defaults(estimator):
    params = estimator().get_params()
    assert params["training"] is None
    for name, value in Training().get_params().items():
        assert params[f"training__{name}"] == value
    assert estimator().get_params(deep=False).keys() == {n for n in params if "__" not in n}


def test_options_are_set_by_nested_names():
    model = ELTARegressor().set_params(training__layer_decay=0.75, bins__n_bins=7)
    assert (model.training.layer_decay, model.bins.n_bins) == (0.75, 7)
    assert model.training.optimizer == "adamw"
    assert model.enhancers is None
    model.set_params(training__optimizer="sgd")
    assert (model.training.layer_decay, model.training.optimizer) == (0.75, "sgd")
    with pytest.raises(ValueError, match="Invalid parameter 'layer_dcay' for estimator Training"):
        model.set_params(training__layer_dcay=0.5)


def test_setting_an_option_leaves_other_estimators_alone():
    shared = Training(layer_decay=0.5)
    one, other = ELTARegressor(training=shared), GranularClassifier(training=shared)
    one.set_params(training__layer_decay=0.9)
    assert one.training.layer_decay == 0.9
    assert shared.layer_decay == other.training.layer_decay == 0.5


def test_an_object_and_its_options_in_one_call():
    model = ELTARegressor().set_params(training=Training(optimizer="sgd"), training__compile=True)
    assert (model.training.optimizer, model.training.compile) == ("sgd", True)


def test_clone_and_pickle_keep_options():
    model = ELTARegressor(enhancers=Enhancers(tail_temperature=0.1), bins=Bins(n_bins=5))
    for copied in (clone(model), pickle.loads(pickle.dumps(model))):
        assert copied.enhancers is not model.enhancers
        assert copied.enhancers.tail_temperature == 0.1
        assert copied.get_params()["bins__n_bins"] == 5
    assert (
        repr(model)
        == "ELTARegressor(bins=Bins(n_bins=5), enhancers=Enhancers(tail_temperature=0.1))"
    )


def test_a_short_form_of_auxiliary_has_options_too():
    model = GranularClassifier(auxiliary="synthesize")
    assert model.get_params()["auxiliary__synthesize"]
    model.set_params(auxiliary__max_samples=3)
    assert model.auxiliary.get_params() == {
        **Auxiliary().get_params(),
        "synthesize": True,
        "max_samples": 3,
    }


def test_grid_search_reaches_options(skewed_regression):
    X, y = skewed_regression
    grid = {"enhancers__tail_temperature": [0.1, 5.0], "training__weight_decay": [0.0]}
    search = GridSearchCV(ELTARegressor(max_epochs=2, random_state=0), grid, cv=2).fit(X, y)
    assert search.best_estimator_.enhancers.tail_temperature in (0.1, 5.0)
    by_hand = ELTARegressor(
        max_epochs=2,
        random_state=0,
        enhancers=Enhancers(
            **{"tail_temperature": search.best_params_["enhancers__tail_temperature"]}
        ),
        training=Training(weight_decay=0.0),
    ).fit(X, y)
    np.testing.assert_array_equal(search.predict(X), by_hand.predict(X))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"training": Training(layer_decay=2.0)}, "'layer_decay' parameter of Training"),
        ({"training": {"layer_decay": 0.5}}, "'training' parameter of ELTARegressor"),
        ({"bins": Bins(n_bins=1)}, "'n_bins' parameter of Bins"),
        ({"training": Training(scoring="accuracy")}, "scoring='accuracy' is not for ELTARegressor"),
        ({"training": Training(label_smoothing=0.1)}, "training.label_smoothing=0.1 is not for"),
    ],
)
def test_wrong_options_are_named(skewed_regression, params, message):
    with pytest.raises(ValueError, match=message):
        ELTARegressor(**params).fit(*skewed_regression)


@pytest.mark.parametrize("kind", [*ESTIMATORS, *KINDS])
def test_every_parameter_has_a_constraint(kind):
    assert set(kind._parameter_constraints) == set(inspect.signature(kind).parameters)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_constructors_stay_short(estimator):
    assert len(inspect.signature(estimator).parameters) <= 28
