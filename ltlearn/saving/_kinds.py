"""Kinds of values: what an attribute that comes from a file may be."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import torch


class Kind(NamedTuple):
    """What values of a kind are called, and whether a value is one."""

    text: str
    holds: Callable


def array(kinds, *n_dims):
    """Arrays whose type is of one of the kinds, in NumPy's letters, and number of dimensions."""
    words = {"f": "floats", "iu": "whole numbers", "b": "booleans"}.get(kinds, "values")
    shown = " or ".join(map(str, n_dims))
    return Kind(
        f"an array of {words} of {shown} dimensions",
        lambda v: isinstance(v, np.ndarray) and v.dtype.kind in kinds and v.ndim in n_dims,
    )


def optional(kind):
    return Kind(f"{kind.text} or None", lambda v: v is None or kind.holds(v))


def one_of(*kinds):
    text = " or ".join(kind.text for kind in kinds)
    return Kind(text, lambda v: any(kind.holds(v) for kind in kinds))


def sequence(kind):
    return Kind(
        f"a list, each {kind.text}",
        lambda v: isinstance(v, list | tuple) and all(map(kind.holds, v)),
    )


def mapping(key, kind):
    return Kind(
        f"a dict to {kind.text}",
        lambda v: (
            isinstance(v, dict) and all(map(key.holds, v)) and all(map(kind.holds, v.values()))
        ),
    )


def instance(*names):
    """Objects of classes by their names; those in a file are all built from the list of classes."""
    return Kind(
        " or ".join(names), lambda v: any(base.__name__ in names for base in type(v).__mro__)
    )


def choice(*values):
    return Kind(f"one of {values}", lambda v: isinstance(v, str) and v in values)


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_plain(value):
    if isinstance(value, list | tuple):
        return type(value) in (list, tuple) and all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    return value is None or isinstance(
        value, bool | int | float | str | np.generic | np.ndarray | np.dtype | slice | torch.Tensor
    )


NUMBER = Kind("a number", _is_number)
COUNT = Kind(
    "a whole number, not negative",
    lambda v: isinstance(v, Integral) and not isinstance(v, bool) and v >= 0,
)
WHOLE = Kind("a whole number", lambda v: isinstance(v, Integral) and not isinstance(v, bool))
TEXT = Kind("a text", lambda v: isinstance(v, str))
FLAG = Kind("True or False", lambda v: isinstance(v, bool | np.bool_))
PLAIN = Kind("numbers, texts and arrays", _is_plain)
MODEL = instance("BaseEstimator")
ANYTHING = Kind("anything", lambda v: True)
TENSOR = Kind("a tensor", lambda v: isinstance(v, torch.Tensor))
FLOATS1, FLOATS2 = array("f", 1), array("f", 2)
FLOATS12 = array("f", 1, 2)
WHOLES1 = array("iu", 1)
LABELS = array("biufUO", 1)
