"""Public functions say what they take and return; a checker reads the rest: ``mypy``."""

import importlib
import inspect
import pkgutil
import typing
from pathlib import Path

import pytest

import ltlearn

PACKAGE = Path(ltlearn.__file__).parent


def public_functions():
    """Functions in ``__all__`` of public modules, constructors and public methods of classes."""
    found = {}
    modules = [ltlearn]
    for info in pkgutil.walk_packages(ltlearn.__path__, "ltlearn."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            modules.append(importlib.import_module(info.name))
    for module in modules:
        for name in getattr(module, "__all__", []):
            value = getattr(module, name)
            if inspect.isfunction(value):
                found[f"{value.__module__}.{name}"] = value
            elif inspect.isclass(value):
                for method in dir(value):
                    if method in ("__init__", "__call__") or not method.startswith("_"):
                        function = plain_function(inspect.getattr_static(value, method))
                        if function is not None:
                            found[f"{function.__module__}.{function.__qualname__}"] = function
    return {
        name: function
        for name, function in found.items()
        if name.startswith("ltlearn.") and "<" not in function.__code__.co_filename
    }


def plain_function(member):
    """The function within a class method, a static method or what ``available_if`` makes."""
    for holder in ("__func__", "fn"):
        member = getattr(member, holder, member)
    return inspect.unwrap(member) if inspect.isfunction(member) else None


FUNCTIONS = public_functions()


def test_there_are_some():
    names = {name.rpartition(".")[2] for name in FUNCTIONS}
    assert {"fit", "predict", "__init__", "compare", "srcc", "plot", "predict_interval"} <= names


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_arguments_and_what_is_returned_have_types(function):
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    assert [p.name for p in parameters if p.annotation is p.empty] == []
    assert signature.return_annotation is not signature.empty


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_arguments_that_may_be_left_out_allow_their_default(function):
    hints = typing.get_type_hints(function, localns=names_for_checkers())
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is None and parameter.name in hints:
            hint = hints[parameter.name]
            assert hint is typing.Any or type(None) in typing.get_args(hint), parameter.name


def names_for_checkers():
    """Names that modules import for type checkers alone."""
    from matplotlib.axes import Axes
    from PIL import Image

    return {"Axes": Axes, "Image": Image}


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").read_bytes() == b""
