"""Public docstrings say what the code does: parameters, fitted attributes, examples."""

import importlib
import inspect

import numpy as np
import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc
from sklearn.linear_model import Ridge

import ltlearn

PUBLIC_MODULES = [
    "ltlearn",
    "ltlearn.networks",
    "ltlearn.calibration",
    "ltlearn.curation",
    "ltlearn.datasets",
    "ltlearn.enhancers",
    "ltlearn.evaluation",
    "ltlearn.images",
    "ltlearn.losses",
    "ltlearn.metrics",
    "ltlearn.model_selection",
    "ltlearn.networks",
    "ltlearn.options",
    "ltlearn.plotting",
    "ltlearn.stacking",
    "ltlearn.weighting",
]


def public_objects():
    seen = {}
    for name in PUBLIC_MODULES:
        module = importlib.import_module(name)
        for attribute in module.__all__:
            value = getattr(module, attribute)
            if inspect.isclass(value) or inspect.isfunction(value):
                seen.setdefault(f"{value.__module__}.{attribute}", value)
    return list(seen.items())


PUBLIC_OBJECTS = public_objects()


def documented(value):
    return ClassDoc(value) if inspect.isclass(value) else FunctionDoc(value)


def names_of(section):
    """Names in a numpydoc section; "X, y : array" stands for both."""
    return [name.strip(" *") for entry in section for name in entry.name.split(",")]


def arguments_of(function):
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize(("name", "value"), PUBLIC_OBJECTS, ids=[n for n, _ in PUBLIC_OBJECTS])
def test_every_parameter_is_documented_in_order(name, value):
    if inspect.isclass(value) and issubclass(value, Warning | Exception | tuple):
        pytest.skip("its constructor is that of a built-in class")
    assert names_of(documented(value)["Parameters"]) == arguments_of(value)


@pytest.mark.parametrize(("name", "value"), PUBLIC_OBJECTS, ids=[n for n, _ in PUBLIC_OBJECTS])
def test_there_is_a_summary_and_an_example(name, value):
    doc = documented(value)
    assert doc["Summary"], name
    assert " ".join(doc["Summary"]).endswith((".", "?")), doc["Summary"]
    assert ">>>" in "\n".join(doc["Examples"]), name


SHARED_DIFFERENTLY = {
    "enhancers",
    "loss",
    "backbone",
    "batch_size",
    "max_epochs",
    "random_state",
    "augmentation",
    "warm_start",
    "lr",
    "hidden_layer_sizes",
    "dropout",
    "early_stopping",
}


def test_shared_parameters_are_documented_alike():
    one, other = (
        {p.name: (p.type, p.desc) for p in ClassDoc(cls)["Parameters"]}
        for cls in (ltlearn.ELTARegressor, ltlearn.GranularClassifier)
    )
    shared = set(one) & set(other)
    assert len(shared) > 15
    assert {name for name in shared if one[name] != other[name]} == SHARED_DIFFERENTLY


PUBLIC_METHODS = [
    (f"{name}.{method_name}", method)
    for name, value in PUBLIC_OBJECTS
    if inspect.isclass(value)
    for method_name, method in vars(value).items()
    if inspect.isfunction(method)
    and not method_name.startswith(("_", "set_"))
    and method_name not in ("extra_repr", "get_metadata_routing")
]


@pytest.mark.parametrize(("name", "method"), PUBLIC_METHODS, ids=[n for n, _ in PUBLIC_METHODS])
def test_every_argument_of_a_method_is_documented(name, method):
    assert names_of(FunctionDoc(method)["Parameters"]) == arguments_of(method)


def fitted_estimators():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y, classes = X[:, 0], np.repeat(["a", "b", "c"], 20)
    yield ltlearn.ELTARegressor(max_epochs=1).fit(X, y)
    yield ltlearn.GranularClassifier(max_epochs=1).fit(X, classes)
    yield ltlearn.PLDAClassifier().fit(X, classes)
    yield ltlearn.TailLogisticClassifier().fit(X, classes)
    heads = [("plda", ltlearn.PLDAClassifier())]
    yield ltlearn.TailStackingClassifier(heads).fit(X, classes)
    yield ltlearn.TailStackingRegressor([("ridge", Ridge())]).fit(X, y)


@pytest.mark.parametrize("estimator", list(fitted_estimators()), ids=lambda e: type(e).__name__)
def test_fitted_attributes_are_those_documented(estimator):
    properties = [n for n, v in inspect.getmembers(type(estimator)) if isinstance(v, property)]
    names = [*vars(estimator), *properties]
    fitted = {name for name in names if name.endswith("_") and not name.startswith("_")}
    in_docstring = set(names_of(ClassDoc(type(estimator))["Attributes"]))
    conditional = {"feature_names_in_", "estimators_"}
    assert fitted - conditional == in_docstring - conditional
