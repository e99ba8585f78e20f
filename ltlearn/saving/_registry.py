"""The classes that files may hold, by name: how each is taken apart and put together.

No other class is ever looked up, whatever a file says.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from ltlearn.exceptions import SavedFileError
from ltlearn.saving._own import ADDED, MOVED, OWN
from ltlearn.saving._scikit_learn import SCIKIT_LEARN

# What estimators may carry besides parameters and what they learned; it concerns later fits only.
LEFT_OUT = {"_metadata_request", "_skl_callbacks", "_has_twins"}

# What forests set when they are made, beside their parameters.
LEFT_OUT |= {"estimator", "estimator_params", "class_weight"}


class Entry(NamedTuple):
    """How a class is saved.

    Parameters
    ----------
    module : str
        Where the class is found.
    kinds : dict of str to Kind
        What its attributes may be; of estimators, those that ``fit`` sets.
    check : callable, default=None
        Raises ValueError where the attributes of an object do not fit each other.
    """

    module: str
    kinds: dict
    check: Callable | None = None


REGISTRY = {name: Entry(*entry) for name, entry in {**SCIKIT_LEARN, **OWN}.items()}


def class_named(name):
    """The class that a name in the list stands for."""
    return getattr(import_module(REGISTRY[name].module), name)


def describe(value):
    """Name and state of an object of a class in the list, else None.

    The state of an estimator is its parameters and what it has learned; that of other objects their
    attributes or, of named tuples and data classes, their fields.

    Raises
    ------
    AttributeError
        When it has an attribute that the list does not know.
    """
    name = type(value).__name__
    if name not in REGISTRY or type(value) is not class_named(name):
        return None
    kinds, attributes = REGISTRY[name].kinds, _attributes(value)
    if not _is_estimator(type(value)):
        _known(attributes, kinds, name)
        return name, attributes
    params = value.get_params(deep=False)
    learned = {k: v for k, v in attributes.items() if k not in params and k not in LEFT_OUT}
    _known(learned, kinds, name)
    return name, {"parameters": params, "learned": learned}


def build(name, state, where):
    """The object that :func:`describe` took apart.

    Raises
    ------
    SavedFileError
        When the class is not in the list, or an attribute is unknown or of another kind.
    """
    if name not in REGISTRY:
        raise SavedFileError(
            f"{where} is an object of the class {name!r}, which is not among those that files may "
            "hold."
        )
    entry, cls = REGISTRY[name], class_named(name)
    try:
        built = _built(cls, state, entry, where)
        if entry.check is not None:
            entry.check(built)
    except SavedFileError:
        raise
    except Exception as error:  # whatever a class says of values that do not fit each other
        raise SavedFileError(f"{where} ({name}) cannot be put together: {error}") from error
    return built


def _built(cls, state, entry, where):
    if _is_estimator(cls):
        if state.keys() != {"parameters", "learned"} or not all(
            isinstance(part, dict) and all(isinstance(key, str) for key in part)
            for part in state.values()
        ):
            raise SavedFileError(f"{where} is no {cls.__name__} as ltlearn writes it.")
        params, moved = _split_moved(cls, state["parameters"])
        unknown = params.keys() - set(inspect.signature(cls).parameters)
        if unknown:
            raise SavedFileError(f"{where}: {cls.__name__} has no parameter {min(unknown)!r}.")
        built = cls(**params)
        if moved:
            now = built.get_params()
            built.set_params(**{name: v for name, v in moved.items() if v != now[name]})
            built._validate_options()
        if hasattr(cls, "_parameter_constraints"):
            built._validate_params()
        _check_kinds(state["learned"], entry.kinds, where)
        added = ADDED.get(cls.__name__, {}) if state["learned"] else {}
        vars(built).update({**added, **state["learned"]})
        return built
    _check_kinds(state, entry.kinds, where)
    if _has_fields(cls):
        return cls(**state)
    built = object.__new__(cls)
    vars(built).update({**ADDED.get(cls.__name__, {}), **state})
    return built


def _split_moved(cls, params):
    """Parameters as they are, and by their new names those that an older file has elsewhere."""
    new_names = MOVED.get(cls.__name__, {})
    moved = {new: params[old] for old, new in new_names.items() if old in params}
    return {name: value for name, value in params.items() if name not in new_names}, moved


def _check_kinds(state, kinds, where):
    for key, value in state.items():
        if key not in kinds:
            raise SavedFileError(f"{where} has an attribute {key[:80]!r}, which is not known.")
        if not kinds[key].holds(value):
            raise SavedFileError(f"{where}.{key} must be {kinds[key].text}.")


def _known(attributes, kinds, name):
    unknown = sorted(attributes.keys() - kinds.keys())
    if unknown:
        raise AttributeError(f"a {name} with the attribute {unknown[0]}, which no file knows")


def _attributes(value):
    if hasattr(value, "_asdict"):
        return value._asdict()
    return dict(vars(value))


def _is_estimator(cls):
    return hasattr(cls, "_get_param_names")


def _has_fields(cls):
    return hasattr(cls, "_fields") or hasattr(cls, "__dataclass_fields__")
