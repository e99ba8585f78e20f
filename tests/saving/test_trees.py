"""Trees and forests as plain arrays: the same bits back, and no numbers that lead astray."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
    export_text,
)

import ltlearn
from ltlearn import ELTARegressor, TailStackingClassifier, TailStackingRegressor
from ltlearn.exceptions import SavedFileError
from ltlearn.persistence._archive import read_archive, write_archive
from ltlearn.stacking._quantile_forest import QuantileForest

pytestmark = [
    pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning"),
    pytest.mark.filterwarnings("ignore::ltlearn.exceptions.EmptyBandWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

rng = np.random.default_rng(0)
X = rng.normal(size=(90, 4))
GAPS = np.where(rng.random((90, 4)) < 0.1, np.nan, X)
SCORES = X[:, 0] + 0.3 * rng.normal(size=90)
CLASSES = np.array(["a", "b", "rare"])[np.digitize(SCORES, [0.0, 1.2])]
FRAME = pd.DataFrame(GAPS, columns=list("abcd")).assign(
    kind=pd.Categorical(np.array(["u", "v", "w"])[rng.integers(0, 3, 90)])
)
SEED = {"random_state": 0}
MODELS = {
    "classes": (DecisionTreeClassifier(**SEED), CLASSES),
    "best first": (ExtraTreeClassifier(max_leaf_nodes=7, **SEED), CLASSES),
    "pruned": (DecisionTreeRegressor(ccp_alpha=0.01, **SEED), SCORES),
    "one node": (DecisionTreeRegressor(max_depth=1, min_samples_leaf=90, **SEED), SCORES),
    "monotone": (DecisionTreeRegressor(monotonic_cst=[1, 0, 0, 0], **SEED), SCORES),
    "extra tree": (ExtraTreeRegressor(max_features=2, **SEED), SCORES),
    "extra trees": (ExtraTreesClassifier(9, bootstrap=True, oob_score=True, **SEED), CLASSES),
    "forest": (RandomForestClassifier(5, max_samples=0.5, class_weight="balanced"), CLASSES),
    "extra trees of scores": (ExtraTreesRegressor(5, **SEED), SCORES),
    "forest of scores": (RandomForestRegressor(9, oob_score=True, **SEED), SCORES),
    "absolute error": (RandomForestRegressor(2, criterion="absolute_error", **SEED), SCORES),
    "two targets": (RandomForestRegressor(3, **SEED), np.stack([SCORES, X[:, 1]], 1)),
    "two kinds of classes": (RandomForestClassifier(3, **SEED), np.stack([CLASSES, CLASSES], 1)),
    "a tree of both": (DecisionTreeClassifier(**SEED), np.stack([CLASSES, SCORES > 0], 1)),
}


def reloaded(model, folder):
    ltlearn.save(model, folder / "model")
    return ltlearn.load(folder / "model")


@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores")
@pytest.mark.parametrize("name", MODELS)
def test_trees_and_forests(name, tmp_path):
    model, y = MODELS[name]
    data = X if name in ("monotone", "extra tree", "absolute error") else GAPS
    model = clone(model).fit(data, y)
    loaded = reloaded(model, tmp_path)
    for method in ("predict", "predict_proba", "apply", "decision_path"):
        if hasattr(model, method):
            expected, found = (np_of(getattr(each, method)(data)) for each in (model, loaded))
            np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(loaded.feature_importances_, model.feature_importances_)
    assert repr(loaded) == repr(model)
    trees = getattr(model, "estimators_", [model])
    for one, other in zip(trees, getattr(loaded, "estimators_", [loaded]), strict=True):
        before, after = one.tree_.__getstate__(), other.tree_.__getstate__()
        np.testing.assert_array_equal(after.pop("nodes"), before.pop("nodes"))
        np.testing.assert_array_equal(after.pop("values"), before.pop("values"))
        assert before == after  # depth and number of nodes
        if one.n_outputs_ == 1:
            assert export_text(one) == export_text(other)
    assert clone(loaded).fit(data, y)


def np_of(values):
    if isinstance(values, list):
        return np.concatenate(values, axis=1)
    if isinstance(values, tuple):  # of a forest: paths, and where its trees begin
        values = values[0]
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def test_quantile_forests(tmp_path):
    model = QuantileForest(12, random_state=0).fit(X, SCORES, rng.random(90))
    loaded = reloaded(model, tmp_path)
    levels = [0.05, 0.5, 0.9]
    np.testing.assert_array_equal(
        loaded.predict_quantiles(X, levels), model.predict_quantiles(X, levels)
    )


STACKS = {
    "classes of a table": (TailStackingClassifier("fast", cv=2, **SEED), CLASSES),
    "all heads for classes": (TailStackingClassifier(cv=2, **SEED), CLASSES),
    "scores": (TailStackingRegressor(tail=0.5, cv=2, **SEED), SCORES),
    "boosting": (
        TailStackingClassifier(
            [("boosting", HistGradientBoostingClassifier(max_iter=3))], cv=2, **SEED
        ),
        CLASSES,
    ),
    "own heads": (
        TailStackingRegressor(
            [
                ("forest", RandomForestRegressor(3)),
                ("network", ELTARegressor(max_epochs=1, hidden_layer_sizes=(4,))),
            ],
            **SEED,
        ),
        SCORES,
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_stacks_on_tables(name, tmp_path):
    model, y = STACKS[name]
    data = X if name in ("own heads", "boosting") else FRAME
    model = clone(model).fit(data, y)
    if name == "all heads for classes":  # also those that are worth nothing here
        model.factors_ = dict.fromkeys(model.factors_, 1.0)
    loaded = reloaded(model, tmp_path)
    for method, args in {"predict": (), "predict_proba": (), "predict_quantiles": ([0.5],)}.items():
        if hasattr(model, method):
            expected, found = (getattr(each, method)(data, *args) for each in (model, loaded))
            np.testing.assert_array_equal(found, expected)


# Hostile files


@pytest.fixture(scope="module")
def forest_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("forest") / "model"
    forest = RandomForestClassifier(2, max_depth=3, **SEED).fit(X, CLASSES)
    ltlearn.save(forest, path)
    return path


def tree_node(description):
    models = dict(description["estimator"]["state"]["learned"]["dict"])["estimators_"]
    return dict(models[0]["state"]["learned"]["dict"])["tree_"]["state"]


def change(name, at, value):
    """A change of an array of the first tree; ``at`` is where, or None for all of it."""

    def apply(state, tensors):
        key = state[name]["array"]
        tensors[key] = tensors[key].clone()
        if at is None:
            tensors[key] = value(tensors[key]).contiguous()
        else:
            tensors[key][at] = value

    return apply


def swap_children(state, tensors):
    """Two nodes become each other's parents, out of reach of the first."""
    key = state["whole"]["array"]
    tensors[key] = whole = tensors[key].clone()
    inner = (whole[:, 0] != -1).nonzero().squeeze(1)
    last = inner[-1]
    whole[last, :2] = torch.tensor([int(inner[-2]), int(last)])


INNER, LEAF = 0, -1  # the first node is one with children, the last one is a leaf
TREES = {
    "child far away": (change("whole", (INNER, 0), 10**9), "a child is no node"),
    "negative child": (change("whole", (INNER, 1), -2), "a child is no node"),
    "its own child": (change("whole", (INNER, 0), 0), "a child is no node"),
    "a child before": (change("whole", (1, 0), 1), "comes before its parent"),
    "circle": (swap_children, "comes before its parent"),
    "two parents": (
        lambda state, tensors: change("whole", (INNER, 0), 2)(state, tensors),
        "not the child of one other",
    ),
    "half a leaf": (change("whole", (LEAF, 1), 1), "a leaf has a child"),
    "a leaf with a left child": (change("whole", (LEAF, 0), 1), "comes before|is no node"),
    "column far away": (change("whole", (INNER, 2), 4), "splits a column there is not"),
    "negative column": (change("whole", (INNER, 2), -1), "splits a column there is not"),
    "negative rows": (change("whole", (LEAF, 3), -1), "fewer than no rows"),
    "no threshold": (change("real", (INNER, 0), float("nan")), "threshold is missing"),
    "infinite value": (change("values", (LEAF, 0, 0), float("inf")), "not finite"),
    "third way": (change("missing_go_left", LEAF, 2), "neither left nor right"),
    "short values": (change("values", None, lambda v: v[:-1]), "values must have the shape"),
    "narrow values": (change("values", None, lambda v: v[:, :, :2]), "values must have the shape"),
    "whole values": (change("values", None, torch.Tensor.long), "values must be"),
    "half as precise": (change("values", None, torch.Tensor.float), "must be of the type"),
    "small numbers": (change("whole", None, torch.Tensor.int), "must be of the type"),
    "no nodes": (change("whole", None, lambda v: v[:0]), "no node"),
    "few columns": (change("whole", None, lambda v: v[:, :3]), "whole must have the shape"),
    "no outputs": (change("n_classes", None, lambda v: v[:0]), "no output"),
    "no classes": (change("n_classes", LEAF, 0), "no class"),
    "many classes": (change("n_classes", LEAF, 2**40), "values must have the shape"),
}


def loading_fails(description, tensors, folder, match):
    write_archive(folder / "changed", description, tensors)
    with pytest.raises(SavedFileError, match=match):
        ltlearn.load(folder / "changed")


@pytest.mark.parametrize("name", TREES)
def test_trees_that_lead_astray(name, forest_file, tmp_path):
    description, tensors = read_archive(forest_file)
    attack, message = TREES[name]
    attack(tree_node(description), tensors)
    loading_fails(description, tensors, tmp_path, message)


def set_item(items, name, value):
    for item in items:
        if item[0] == name:
            item[1] = value


MODEL_CHANGES = {
    "fewer columns": ("tree", "n_features_in_", 2, "its columns are others"),
    "no columns": ("tree", None, None, "its columns are others"),
    "other classes": ("tree", "n_classes_", 2, "its classes are others"),
    "other outputs": ("tree", "n_outputs_", 2, "its outputs are others"),
    "forest of fewer columns": ("forest", "n_features_in_", 2, "another n_features_in_"),
    "forest of more outputs": ("forest", "n_outputs_", 2, "another n_outputs_"),
    "forest of other classes": ("forest", "n_classes_", 2, "its classes are others"),
    "no trees": ("forest", "estimators_", [], "it has no trees"),
}


@pytest.mark.parametrize("name", MODEL_CHANGES)
def test_trees_of_other_columns_or_classes_than_their_model(name, forest_file, tmp_path):
    description, tensors = read_archive(forest_file)
    forest = description["estimator"]["state"]["learned"]["dict"]
    tree = dict(forest)["estimators_"][0]["state"]["learned"]["dict"]
    whose, attribute, value, message = MODEL_CHANGES[name]
    if attribute is None:
        tree[:] = [item for item in tree if item[0] != "n_features_in_"]
    else:
        set_item(tree if whose == "tree" else forest, attribute, value)
    loading_fails(description, tensors, tmp_path, message)


def test_random_numbers_in_trees_end_in_a_model_or_one_kind_of_error(forest_file, tmp_path):
    """And what loads gives predictions: nothing runs in a circle or out of memory."""
    generator = np.random.default_rng(0)
    for _ in range(100):
        description, tensors = read_archive(forest_file)
        state = tree_node(description)
        name = ["whole", "real", "values", "missing_go_left"][generator.integers(4)]
        key = state[name]["array"]
        values = tensors[key] = tensors[key].clone()
        at = generator.integers(values.numel())
        values.view(-1)[at] = int(generator.integers(-3, 12)) % 256
        write_archive(tmp_path / "changed", description, tensors)
        try:
            loaded = ltlearn.load(tmp_path / "changed")
        except SavedFileError:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shares that do not add up
            assert loaded.predict(X).shape == (90,)
            assert loaded.decision_path(X)[0].shape[0] == 90


SHARES = {
    "column far away": ("indices", 0, 10**6, "column there is not"),
    "negative column": ("indices", 0, -1, "column there is not"),
    "rows that go back": ("indptr", 1, 10**6, "fewer than no numbers"),
    "rows that begin late": ("indptr", 0, 1, "rows are others"),
    "an end beyond": ("indptr", -1, 10**6, "rows are others"),
}


@pytest.mark.parametrize("name", [*SHARES, "shape", "lengths", "labels"])
def test_sparse_matrices_that_lead_astray(name, tmp_path):
    model = QuantileForest(2, random_state=0).fit(X, SCORES)
    ltlearn.save(model, tmp_path / "model")
    description, tensors = read_archive(tmp_path / "model")
    learned = description["estimator"]["state"]["learned"]["dict"]
    shares, message = dict(learned)["_shares"]["state"], "leaves are others"
    if name in SHARES:
        part, at, value, message = SHARES[name]
        key = shares[part]["array"]
        tensors[key] = tensors[key].clone()
        tensors[key][at] = value
    elif name == "shape":
        shares["shape"]["tuple"][1] = 2**40
    elif name == "lengths":
        key, message = shares["data"]["array"], "numbers than columns"
        tensors[key] = tensors[key][:-1].clone()
    else:
        key = dict(learned)["_labels"]["array"]
        tensors[key] = tensors[key][:-1].clone()
    loading_fails(description, tensors, tmp_path, message)
