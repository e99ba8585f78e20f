"""Hashes of Python objects by content, the same in every session."""

import io
import pickle
import re
import sys
import warnings
import weakref
import zipfile
from types import CodeType, FunctionType, MethodType, ModuleType

import torch
from joblib.hashing import NumpyHasher
from torch import nn

# What a code object does, without where it was written; the last is new in Python 3.11.
_CODE = (
    *("co_code", "co_consts", "co_names", "co_varnames", "co_argcount", "co_posonlyargcount"),
    *("co_kwonlyargcount", "co_flags", "co_exceptiontable"),
)

# Lines of a TorchScript class that are in the order of a set.
_CONSTANTS = re.compile(rb"(^  \w+ : Final\[.*\n)+", re.MULTILINE)


def content_hash(value, strict=True):
    """Return a hash that equal values share, also in another session.

    Tensors and arrays, mapped ones too, count by type, shape and values, torch modules by class and
    all attributes, TorchScript by its archive. Functions count by name, code and what they enclose;
    classes by name, or by their members where they cannot be imported. All else counts by what
    pickle would store of it.

    Parameters
    ----------
    value : object
    strict : bool, default=True
        Values that differ must not share a hash: global variables that functions use count too,
        where these functions cannot be imported, and what cannot be pickled is an error. Otherwise
        it counts by its type.

    Returns
    -------
    str
    """
    return _ContentHasher(strict).hash(value)


class _ContentHasher(NumpyHasher):
    """A pickler whose output is hashed and never read."""

    def __init__(self, strict):
        super().__init__("sha256", coerce_mmap=True)
        self.strict = strict
        self.numbers = {}

    def save(self, obj):
        number = self.numbers.get(id(obj))
        if number is not None:
            return super().save(("seen", number))
        if isinstance(obj, (FunctionType, type, nn.Module)):
            # They may refer to themselves. The memo also keeps them alive, and so their id.
            self.numbers[id(obj)] = len(self.numbers)
        try:
            super().save(self._content(obj))
        except RecursionError:
            raise
        except Exception:  # whatever an object raises that cannot be pickled
            if self.strict:
                raise
            super().save((_name(type(obj)), getattr(obj, "__qualname__", None)))

    def _content(self, obj):
        """What to save in place of an object."""
        if isinstance(obj, torch.Tensor):
            values = obj.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            return "tensor", str(obj.dtype), tuple(obj.shape), values
        if isinstance(obj, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
            return "script", *_archive(obj)
        if isinstance(obj, nn.Module):
            return "module", type(obj), _state(obj)
        if isinstance(obj, type):
            return "class", _name(obj), *(() if _is_importable(obj) else _members(obj))
        if isinstance(obj, FunctionType):
            return "function", _name(obj), *self._function(obj)
        if isinstance(obj, CodeType):
            return "code", *(getattr(obj, name, None) for name in _CODE)
        if isinstance(obj, MethodType):
            return "method", obj.__func__, obj.__self__
        if isinstance(obj, property):
            return "property", obj.fget, obj.fset, obj.fdel
        if isinstance(obj, (classmethod, staticmethod)):
            return type(obj), obj.__func__
        if isinstance(obj, weakref.ref):
            return "reference", obj()
        if isinstance(obj, ModuleType):
            return "import", obj.__name__
        if isinstance(obj, (set, frozenset)):
            return type(obj), sorted(content_hash(item, self.strict) for item in obj)
        return obj

    def _function(self, obj):
        enclosed = [_enclosed(cell) for cell in obj.__closure__ or ()]
        yield from (obj.__code__, obj.__defaults__, obj.__kwdefaults__, enclosed, vars(obj))
        if self.strict and not _is_importable(obj):
            names = sorted(_global_names(obj.__code__) & obj.__globals__.keys())
            yield [(name, obj.__globals__[name]) for name in names]

    def save_global(self, obj, name=None, **kwargs):
        name = obj.__qualname__ if name is None else name
        module = pickle.whichmodule(obj, name)
        if _find(module, name) is not obj:
            raise pickle.PicklingError(f"{obj!r} is not {module}.{name}")
        # Objects without __module__ are found in whichever module was imported first.
        super().save((type(obj), getattr(obj, "__module__", None), name))

    def memoize(self, obj):
        # Equal tuples may be one object or several.
        if not isinstance(obj, tuple):
            super().memoize(obj)

    def _batch_setitems(self, items, *args):
        # In their order, unlike joblib: a sequence of modules is a dict.
        pickle._Pickler._batch_setitems(self, items, *args)


def _name(obj):
    return f"{obj.__module__}.{obj.__qualname__}"


def _find(module, name):
    found = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _is_importable(obj):
    """Whether its name stands for it, in every session."""
    return obj.__module__ != "__main__" and _find(obj.__module__, obj.__qualname__) is obj


def _state(module):
    """Attributes of a module, its hooks by their order: torch counts them over all modules."""
    state = dict(vars(module))
    hooks = {key: state[key] for key in state if "_hooks" in key and isinstance(state[key], dict)}
    order = {number: rank for rank, number in enumerate(sorted(set().union(*hooks.values())))}
    for key, found in hooks.items():
        state[key] = [(order[number], hook) for number, hook in found.items()]
    if isinstance(module, nn.RNNBase):
        state.pop("_flat_weight_refs", None)  # to its parameters; copies may lack it
    return state


def _archive(script):
    """What TorchScript stores, without line numbers and with constants in one order."""
    # Saved twice, since the first archive depends on who else holds the attributes.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated
        loaded = torch.jit.load(io.BytesIO(script.save_to_buffer()))
    with zipfile.ZipFile(io.BytesIO(loaded.save_to_buffer())) as archive:
        for name in archive.namelist():
            if not name.endswith((".debug_pkl", "serialization_id")):
                content = archive.read(name)
                if name.endswith(".py"):
                    content = _CONSTANTS.sub(_sort_lines, content)
                yield name, content


def _sort_lines(match):
    return b"".join(sorted(match[0].splitlines(keepends=True)))


def _members(cls):
    """Bases and members of a class, without what Python adds to it."""
    kinds = (FunctionType, classmethod, staticmethod, property)
    yield cls.__bases__
    for name, member in vars(cls).items():
        if name != "_abc_impl" and (not name.startswith("__") or isinstance(member, kinds)):
            yield name, member


def _enclosed(cell):
    try:
        return "value", cell.cell_contents
    except ValueError:  # nothing assigned yet
        return "empty"


def _global_names(code):
    """Names that a code object and those in it may look up."""
    inner = (_global_names(item) for item in code.co_consts if isinstance(item, CodeType))
    return set(code.co_names).union(*inner)
