"""Errors about names and words say what was probably meant."""

import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

from ltlearn import (
    BackboneFeatures,
    ELTARegressor,
    GranularClassifier,
    PLDAClassifier,
    TailStackingClassifier,
)
from ltlearn.calibration import ConformalRegressor, LogitAdjuster, RecalibrationMap
from ltlearn.evaluation import compare, diagnose
from ltlearn.losses import BalancedCrossEntropy, NeighborSilencingLoss
from ltlearn.metrics import make_band_scorer
from ltlearn.model_selection import BatchedGridSearchCV, ExtrapolationSplit
from ltlearn.options import Training
from ltlearn.utils._suggestions import did_you_mean


@pytest.mark.parametrize(
    ("value", "names", "expected"),
    [
        ("msee", ["mse", "emd"], "'mse'"),
        ("MSE", ["mse", "emd"], "'mse'"),
        ("sqrt-inverse", ["inverse", "sqrt_inverse"], "'sqrt_inverse'"),
        ("layer_decay", ["lr", "training__layer_decay"], "'training__layer_decay'"),
        # A flat name goes before a nested one that ends alike.
        ("dropuot", ["body__dropout", "dropout"], "'dropout'"),
    ],
)
def test_the_closest_name_is_suggested(value, names, expected):
    assert did_you_mean(value, names) == f" Did you mean {expected}?"


@pytest.mark.parametrize("value", ["nothing like it", "", 3, None, ["mse"]])
def test_nothing_is_suggested_where_nothing_is_close(value):
    assert did_you_mean(value, ["mse", "emd"]) == ""


@pytest.mark.parametrize(
    ("construct", "meant"),
    [
        (lambda: ELTARegressor(mixup_strenght=0.1), "mixup_strength"),
        (lambda: ELTARegressor(n_iter_no_change=3), "training__n_iter_no_change"),
        (lambda: GranularClassifier(logit_adjust=1.0), "logit_adjustment"),
        (lambda: Training(lr_scheduler="cosine"), "lr_schedule"),
        (lambda: LogitAdjuster(PLDAClassifier(), taus=1), "tau"),
        (lambda: ConformalRegressor(ELTARegressor(), confidence=0.9), "confidence_level"),
        (lambda: BackboneFeatures(img_size=96), "image_size"),
        (lambda: TailStackingClassifier(head="fast"), "heads"),
    ],
)
def test_unknown_argument_of_a_constructor(construct, meant):
    with pytest.raises(TypeError, match=rf"has no parameter .* Did you mean '{meant}'\?"):
        construct()


def test_an_argument_like_no_other_gets_the_list():
    with pytest.raises(TypeError, match=r"has no parameter 'xyz'\. It has method\."):
        RecalibrationMap(xyz=1)


@pytest.mark.parametrize(
    ("estimator", "params", "meant"),
    [
        (ELTARegressor(), {"mixup": 0.1}, None),
        (ELTARegressor(), {"mixup_strenght": 0.1}, "mixup_strength"),
        (ELTARegressor(), {"training__layer_dacay": 0.5}, "layer_decay"),
        (ELTARegressor(), {"layer_decay": 0.5}, "training__layer_decay"),
        (LogitAdjuster(GranularClassifier()), {"estimator__silencng": 0}, "silencing"),
        (PLDAClassifier(), {"shrinkge": 0.5}, "shrinkage"),
        (BatchedGridSearchCV(ELTARegressor(), {}), {"param_grids": {}}, "param_grid"),
    ],
)
def test_unknown_name_in_set_params(estimator, params, meant):
    with pytest.raises(ValueError, match="Invalid parameter") as raised:
        clone(estimator).set_params(**params)
    found = re.findall(r"Did you mean '(\w+)'\?", str(raised.value))
    assert found == ([] if meant is None else [meant])


@pytest.mark.parametrize(
    ("params", "meant"),
    [
        ({"loss": "msee"}, "mse"),
        ({"reweighting": "sqrt-inverse"}, "sqrt_inverse"),
        ({"prediction": "Median"}, "median"),
        ({"training__lr_schedule": "cosin"}, "cosine"),
    ],
)
def test_unknown_word_for_a_parameter(params, meant):
    X, y = load_diabetes(return_X_y=True)
    model = ELTARegressor().set_params(**params)
    with pytest.raises(ValueError, match=rf"Got '\w.*Did you mean '{meant}'\?"):
        model.fit(X, y)


def test_unknown_word_for_an_argument_of_a_function():
    with pytest.raises(ValueError, match=r"Did you mean 'regression'\?"):
        diagnose([1.0, 2.0, 3.0], task="regresion")


X, Y = np.zeros((20, 1)), np.arange(20.0)


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: compare({"r": Ridge()}, X, Y, cv=2, controls=["rigde"]), "ridge"),
        (lambda: compare({"r": Ridge()}, X, Y, cv=2, metrics=["MAE"]), "mae"),
        (lambda: compare({"network": Ridge()}, X, Y, cv=2, fit_params={"netwrok": {}}), "network"),
        (lambda: make_band_scorer("mae", "Few"), "few"),
        (lambda: ELTARegressor(augmentation="standart").fit(X, Y), "standard"),
        (lambda: BalancedCrossEntropy([3, 1], reduction="none_"), "none"),
        (lambda: NeighborSilencingLoss([3, 1], [[0, 1]], direction="auxilary"), "auxiliary"),
        (lambda: list(ExtrapolationSplit(tail="uper").split(X, Y)), "upper"),
    ],
)
def test_unknown_word_that_a_function_checks_itself(call, meant):
    with pytest.raises(ValueError, match=rf"Did you mean '{meant}'\?"):
        call()


def test_numbers_get_no_suggestion():
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(ValueError, match="mixup_strength") as raised:
        ELTARegressor(mixup_strength=2.0).fit(X, y)
    assert "Did you mean" not in str(raised.value)


@pytest.mark.parametrize(
    "estimator", [ELTARegressor(), Training(), TailStackingClassifier(), PLDAClassifier()]
)
def test_the_html_representation_links_to_the_page(estimator):
    name = type(estimator).__name__
    assert f"ltlearn.readthedocs.io/en/stable/api/{name}.html" in estimator._repr_html_()
