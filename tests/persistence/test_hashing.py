"""Hashes by content: equal for what is equal, different for what behaves differently."""

import copy
import os
import subprocess
import sys
import threading
import types
from collections import OrderedDict
from functools import lru_cache, partial

import numpy as np
import pytest
import scipy.special
import torch
from torch import nn

from ltlearn.persistence._hashing import content_hash

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")

FACTOR = 1


def square(x):
    return x**2


class Recurrent(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.lstm = nn.LSTM(3, 4)
        self.listed = [torch.tensor(value)]


class Scripted(nn.Module):
    factor: int

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(2, 2)

    def scale(self, x):
        return x * self.factor

    def forward(self, x):
        return self.scale(self.linear(x))


class Rerouted(nn.Module):
    """Its ``forward`` is another of its methods, as in some models of timm."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.forward = self.scale

    def scale(self, x):
        return x * self.factor


def local(factor):
    class Local(nn.Module):
        def forward(self, x):
            return x * factor

    return Local()


def with_attribute(**attributes):
    module = nn.Linear(2, 2)
    vars(module).update(attributes)
    return module


def hooked(factor):
    module = nn.Linear(2, 2)
    module.register_forward_hook(lambda module, args, output: output * factor)
    return module


def bound(factor):
    module = nn.Linear(2, 2)
    module.forward = types.MethodType(lambda self, x: x * factor, module)
    return module


def normalized(dim):
    return nn.utils.parametrizations.weight_norm(nn.Linear(2, 2), dim=dim)


def sequence(*names):
    layers = {"relu": nn.ReLU(), "tanh": nn.Tanh()}
    return nn.Sequential(OrderedDict((name, layers[name]) for name in names))


def mutual(factor):
    def even(n):
        return n == 0 or odd(n - factor)

    def odd(n):
        return n != 0 and even(n - factor)

    return even


def unassigned():
    def function():
        return later

    if not function:
        later = 1
    return function


def scripted(factor):
    return torch.jit.script(Scripted(factor))


def traced(factor):
    return torch.jit.trace(Scripted(factor), torch.ones(1, 2))


MAKERS = {
    "recurrent": partial(Recurrent, 1.0),
    "recurrent, other list": partial(Recurrent, 2.0),
    "local": partial(local, 1),
    "local, other factor": partial(local, 2),
    "lambda": lambda: with_attribute(function=lambda x: x),
    "other lambda": lambda: with_attribute(function=lambda x: x + 1),
    "starred lambda": lambda: with_attribute(function=lambda *x: x),
    "import": lambda: with_attribute(function=lambda x, library=np: x),
    "hook": partial(hooked, 1),
    "other hook": partial(hooked, 2),
    "bound": partial(bound, 1),
    "otherwise bound": partial(bound, 2),
    "normalized": partial(normalized, 0),
    "otherwise normalized": partial(normalized, 1),
    "sequence": partial(sequence, "relu", "tanh"),
    "other order": partial(sequence, "tanh", "relu"),
    "script": partial(scripted, 2),
    "other script": partial(scripted, 3),
    "methods as attributes": partial(Rerouted, 2),
    "other methods as attributes": partial(Rerouted, 3),
    "mutual": partial(mutual, 1),
    "otherwise mutual": partial(mutual, 2),
    "empty cell": unassigned,
    "ufunc": lambda: scipy.special.expit,
    "other ufunc": lambda: np.sqrt,
    "set": lambda: {"a", "b", 3, None, square},
    "constant set": lambda: lambda x: x in {"a", "b", "c"},
}


def build(maker):
    torch.manual_seed(0)
    return maker()


def hash_all():
    return [content_hash(build(maker)) for maker in MAKERS.values()]


def test_different_things_have_different_hashes():
    values = [build(maker) for maker in (*MAKERS.values(), partial(traced, 2), partial(traced, 3))]
    assert len({content_hash(value) for value in values}) == len(values)


@pytest.mark.parametrize("name", MAKERS)
def test_equal_things_have_equal_hashes(name):
    value = build(MAKERS[name])
    if name != "script":  # one more script of a class has another name
        assert content_hash(build(MAKERS[name])) == content_hash(value)
    # The accessors of a parametrized layer refer to the first of its copies.
    copied = copy.deepcopy(value)
    assert content_hash(copy.deepcopy(copied)) == content_hash(copied)


def test_hashes_are_the_same_in_another_process():
    code = (
        "import warnings; warnings.simplefilter('ignore');"
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r});"
        "import test_hashing; print(test_hashing.hash_all())"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]


def test_global_variables_count_where_hashes_are_strict(monkeypatch):
    def scale(x):
        return x * FACTOR

    strict, lenient = content_hash(scale), content_hash(scale, strict=False)
    monkeypatch.setitem(globals(), "FACTOR", 2)
    assert content_hash(scale) != strict
    assert content_hash(scale, strict=False) == lenient


@pytest.mark.parametrize("make", [threading.Lock, lambda: (i for i in ())])
def test_what_cannot_be_pickled_counts_by_type_or_is_an_error(make):
    one, other = make(), make()
    with pytest.raises(TypeError, match="cannot pickle"):
        content_hash([one])
    hashes = [content_hash([item, 1], strict=False) for item in (one, other)]
    assert hashes[0] == hashes[1] != content_hash([one, 2], strict=False)


def test_local_functions_that_pickle_by_name_are_not_taken_for_each_other():
    cached = [lru_cache(lambda x, factor=factor: x * factor) for factor in (1, 2)]
    for function in cached:
        with pytest.raises(Exception, match="is not"):
            content_hash(function)


def test_mapped_arrays_count_as_their_values(tmp_path):
    values = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    assert content_hash(mapped) == content_hash(values)
    assert content_hash(mapped) != content_hash(values + 1)
