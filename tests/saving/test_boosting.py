"""Gradient boosting as plain arrays: the same bits back, and no numbers that lead astray."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import ltlearn
from ltlearn.exceptions import SavedFileError
from ltlearn.persistence._archive import read_archive, write_archive

rng = np.random.default_rng(0)
X = np.where(rng.random((90, 4)) < 0.1, np.nan, rng.normal(size=(90, 4)))
SCORES = np.nan_to_num(X[:, 0]) + 0.3 * rng.normal(size=90)
CLASSES = np.array(["a", "b", "rare"])[np.digitize(SCORES, [0.0, 1.2])]
SMALL = {"max_iter": 4, "random_state": 0}
MODELS = {
    "classes": (HistGradientBoostingClassifier(**SMALL), CLASSES),
    "two classes": (HistGradientBoostingClassifier(**SMALL), SCORES > 0),
    "stopped": (HistGradientBoostingClassifier(early_stopping=True, **SMALL), CLASSES),
    "stumps": (HistGradientBoostingRegressor(max_depth=1, l2_regularization=1, **SMALL), SCORES),
    "leaves alone": (HistGradientBoostingRegressor(min_samples_leaf=80, **SMALL), SCORES),
    **{
        loss: (HistGradientBoostingRegressor(loss, quantile=0.3, **SMALL), np.exp(SCORES))
        for loss in ("absolute_error", "quantile", "gamma", "poisson")
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_the_same_bits(name, tmp_path):
    model, y = MODELS[name]
    model = clone(model).fit(X, y)
    ltlearn.save(model, tmp_path / "model")
    loaded = ltlearn.load(tmp_path / "model")
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, method):
            expected, found = (getattr(each, method)(X) for each in (model, loaded))
            np.testing.assert_array_equal(found, expected)
    assert loaded.n_iter_ == model.n_iter_
    np.testing.assert_array_equal(loaded.train_score_, model.train_score_)
    assert clone(loaded).fit(X, y).score(X, y) == model.score(X, y)


def test_what_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(TypeError, match="warm_start=True"):
        ltlearn.save(
            HistGradientBoostingRegressor(warm_start=True, max_iter=1).fit(X, SCORES),
            tmp_path / "m",
        )
    frame = pd.DataFrame({"kind": pd.Categorical(CLASSES), "x": X[:, 0]})
    with pytest.raises(TypeError, match="categories"):
        ltlearn.save(HistGradientBoostingRegressor(max_iter=1).fit(frame, SCORES), tmp_path / "m")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("boosting") / "model"
    ltlearn.save(HistGradientBoostingClassifier(**SMALL).fit(X, CLASSES), path)
    return path


ATTACKS = {
    "child far away": ("whole", (0, 0), 10**6, "a child is no node"),
    "a child of another tree": ("whole", (0, 1), 200, "a child is no node"),
    "its own child": ("whole", (0, 0), 0, "a child is no node"),
    "negative child": ("whole", (0, 0), -1, "negative"),
    "wraps around": ("whole", (0, 3), 2**32, "too large"),
    "no bin": ("whole", (0, 5), 2**8, "too large"),
    "column far away": ("whole", (0, 2), 4, "splits a column there is not"),
    "no threshold": ("real", (0, 0), float("nan"), "threshold is missing"),
    "no value": ("real", (1, 1), float("nan"), "not finite"),
    "half a leaf": ("flags", (0, 1), 1, "leaf has a child|not the child of one other"),
    "half true": ("flags", (0, 0), 2, "neither 0 nor 1"),
    "empty tree": ("sizes", (0, 0), 0, "other sizes"),
    "large tree": ("sizes", (0, 0), 10**6, "other sizes"),
    "sizes that cancel": ("sizes", (0, 0), -3, "other sizes"),
}


@pytest.mark.parametrize("name", [*ATTACKS, "columns", "classes", "trees", "baseline", "flags"])
def test_numbers_that_lead_astray(name, model_file, tmp_path):
    description, tensors = read_archive(model_file)
    learned = description["estimator"]["state"]["learned"]["dict"]
    named = dict(learned)
    trees = named["trees"]["state"]
    if name in ATTACKS:
        part, at, value, message = ATTACKS[name]
        key = trees[part]["array"]
        tensors[key] = tensors[key].clone()
        tensors[key][at] = value
    elif name == "columns":
        message = "splits a column there is not"
        item = next(item for item in learned if item[0] == "n_features_in_")
        item[1] = 1
    elif name == "classes":
        message = "its classes are others"
        named["classes_"]["texts"].append("more")
        named["classes_"]["shape"][0] += 1
    elif name == "trees":
        message = "it has no trees"
        learned[:] = [item for item in learned if item[0] != "trees"]
    elif name == "baseline":
        message = "its baseline is another"
        key = named["_baseline_prediction"]["array"]
        tensors[key] = tensors[key][:, :2].clone()
    else:
        message = "flags must have the shape"
        key = trees["flags"]["array"]
        tensors[key] = torch.cat([tensors[key], tensors[key]])
    write_archive(tmp_path / "changed", description, tensors)
    with pytest.raises(SavedFileError, match=message):
        ltlearn.load(tmp_path / "changed")
