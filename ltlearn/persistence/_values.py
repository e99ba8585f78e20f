"""Values as JSON and tensors, and back.

Plain values are written as they are; all others as an object of JSON with a key that says what they
are. Classes are not known here: a :class:`Writer` is told which objects it may take apart and a
:class:`Reader` how to put them together again, each by a name.
"""

import math
from contextlib import contextmanager

import numpy as np
import torch

from ltlearn.exceptions import SavedFileError

_SCALAR_TYPES = {
    name: getattr(np, name)
    for name in (
        *("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    )
}
_TYPES = {**_SCALAR_TYPES, "object": object, "str": str, "int": int, "float": float, "bool": bool}

# Functions of NumPy that transformers take.
_FUNCTIONS = {
    f"numpy.{name}": getattr(np, name)
    for name in (
        *("log", "log2", "log10", "log1p", "exp", "exp2", "expm1", "sqrt", "cbrt", "square"),
        *("abs", "arcsinh", "sinh", "arctanh", "tanh", "sign", "negative", "reciprocal"),
    )
}

# Arrays of texts that take more bytes are no wider than their texts.
_LARGE_TEXTS = 2**20

# Deeper nesting is no value of ours.
_DEEPEST = 200


class NotSavableError(TypeError):
    """A value has no form in a file. ``where`` is the way to it, ``what`` it is."""

    def __init__(self, where, what):
        super().__init__(f"{where}: {what}")
        self.where, self.what = where, what


class Writer:
    """Take values apart.

    Parameters
    ----------
    describe : callable, default=None
        From an object and where it is to its name and its state, a dict; or to None for what has
        no form in a file.

    Attributes
    ----------
    tensors : dict of str to torch.Tensor
        What the JSON refers to.
    """

    def __init__(self, describe=None):
        self.describe = describe
        self.tensors = {}
        self._numbers, self._open, self._kept = {}, set(), []

    def encode(self, value, where="value"):
        """JSON of a value; errors call it ``where``."""
        if value is None or isinstance(value, bool | str):
            return str(value) if isinstance(value, str) else value
        if type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if type(value) is list:
            return [self.encode(each, _place(where, i, each)) for i, each in enumerate(value)]
        if type(value) is tuple:
            return {"tuple": self.encode(list(value), where)}
        if type(value) is dict:
            return {"dict": [self._item(*item, where) for item in value.items()]}
        return self._encode_other(value, where)

    def _item(self, key, value, where):
        return [self.encode(key, f"a key of {where}"), self.encode(value, f"{where}[{key!r}]")]

    def _encode_other(self, value, where):
        if isinstance(value, np.generic) and value.dtype.name in _scalar_names():
            return {"scalar": value.dtype.str, "value": self.encode(value.item(), where)}
        if isinstance(value, torch.dtype):
            return {"torch type": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {"device": str(value)}
        if isinstance(value, np.dtype) and value.kind in "biufO":
            return {"numpy dtype": value.str}
        if isinstance(value, type) and _TYPES.get(value.__name__) is value:
            return {"type": value.__name__}
        if isinstance(value, slice):
            return {"slice": self.encode([value.start, value.stop, value.step], where)}
        if callable(value) and isinstance(value, np.ufunc):
            return self._function(value, where)
        number = self._numbers.get(id(value))
        if number is not None:
            if number in self._open:
                raise NotSavableError(where, "an object that holds itself")
            return {"same": number}
        number = self._numbers[id(value)] = len(self._numbers)
        self._kept.append(value)
        self._open.add(number)
        node = {**self._encode_shared(value, where), "number": number}
        self._open.discard(number)
        return node

    def _encode_shared(self, value, where):
        """What several values may refer to: it is written once."""
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, torch.Tensor):
            kind = "parameter" if isinstance(value, torch.nn.Parameter) else "tensor"
            return {kind: self._store(value.detach().cpu().contiguous().clone())}
        if isinstance(value, np.random.RandomState):
            name, keys, position, has_gauss, gauss = value.get_state()
            if name == "MT19937":
                state = [int(position), int(has_gauss), float(gauss)]
                return {"random state": self.encode(state), "keys": self.encode(keys)}
        found = None if self.describe is None else self.describe(value, where)
        if found is None:
            raise NotSavableError(where, f"an object of the class {_name(type(value))}")
        name, state = found
        encoded = {key: self.encode(each, f"{where}.{key}") for key, each in state.items()}
        return {"object": name, "state": encoded}

    def _array(self, values, where):
        if values.dtype.kind in "US":
            values = values.astype(str)
            texts = values.ravel().tolist()
            return {"texts": texts, "shape": list(values.shape), "dtype": values.dtype.str}
        if values.dtype == object:
            entries = self.encode(values.ravel().tolist(), where)
            return {"objects": entries, "shape": list(values.shape)}
        if values.dtype.name not in _scalar_names():
            raise NotSavableError(where, f"an array of the type {values.dtype}")
        by_columns = values.flags.f_contiguous and not values.flags.c_contiguous
        values = values.T if by_columns else values
        native = np.array(values, dtype=values.dtype.newbyteorder("="), order="C")
        name = self._store(torch.from_numpy(native))
        return {"array": name, "by columns": True} if by_columns else {"array": name}

    def _store(self, tensor):
        name = f"t{len(self.tensors)}"
        self.tensors[name] = tensor
        return name

    def _function(self, value, where):
        name = f"numpy.{value.__name__}"
        if _FUNCTIONS.get(name) is not value:
            raise NotSavableError(where, f"the function {value.__name__}")
        return {"function": name}


class Reader:
    """Put values together.

    Parameters
    ----------
    tensors : dict of str to torch.Tensor
    build : callable, default=None
        From the name of a class, a state and where it is to an object.
    """

    def __init__(self, tensors, build=None):
        self.tensors = tensors
        self.build = build
        self._numbered = {}
        self._depth = 0

    def decode(self, node, where="value"):
        """The value of JSON; errors call it ``where``.

        Raises
        ------
        SavedFileError
            When it is not as a :class:`Writer` writes it.
        """
        if node is None or isinstance(node, bool | int | float | str):
            return node
        with self._deeper(where):
            if isinstance(node, list):
                return [self.decode(each, f"{where}[{i}]") for i, each in enumerate(node)]
            return self._decode_tagged(node, where)

    def _decode_tagged(self, node, where):
        kinds = [kind for kind in _DECODERS if kind in node]
        if len(kinds) != 1:
            raise SavedFileError(f"{where} is of no kind that this version of ltlearn knows.")
        value = _DECODERS[kinds[0]](self, node, where)
        if "number" in node:
            number = _expect(node["number"], int, where)
            if number in self._numbered:
                raise SavedFileError(f"{where} has a number that is given already.")
            self._numbered[number] = value
        return value

    def _float(self, node, where):
        values = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
        return _pick(values, node["float"], where)

    def _tuple(self, node, where):
        return tuple(self.decode(_expect(node["tuple"], list, where), where))

    def _dict(self, node, where):
        items = _expect(node["dict"], list, where)
        if not all(isinstance(item, list) and len(item) == 2 for item in items):
            raise SavedFileError(f"{where} has an entry that is no pair.")
        result = {}
        for key, value in items:
            key = self.decode(key, f"a key of {where}")
            try:
                result[key] = self.decode(value, f"{where}[{key!r}]")
            except TypeError:
                raise SavedFileError(f"{where} has a key that cannot be one.") from None
        return result

    def _scalar(self, node, where):
        kinds = {np.dtype(kind).str: kind for kind in _SCALAR_TYPES.values()}
        kind = _pick(kinds, node["scalar"], where)
        value = self.decode(node.get("value"), where)
        if type(value) not in (bool, int, float):
            raise SavedFileError(f"{where} is no number.")
        try:
            return kind(value)
        except (ValueError, OverflowError) as error:
            raise SavedFileError(f"{where}: {error}.") from None

    def _torch_type(self, node, where):
        names = ("float16", "bfloat16", "float32", "float64", "int32", "int64", "uint8", "bool")
        return _pick({name: getattr(torch, name) for name in names}, node["torch type"], where)

    def _device(self, node, where):
        try:
            return torch.device(_expect(node["device"], str, where))
        except RuntimeError as error:
            raise SavedFileError(f"{where}: {error}") from None

    def _numpy_dtype(self, node, where):
        dtypes = {np.dtype(kind).str: np.dtype(kind) for kind in (*_SCALAR_TYPES.values(), object)}
        return _pick(dtypes, node["numpy dtype"], where)

    def _type(self, node, where):
        return _pick(_TYPES, node["type"], where)

    def _slice(self, node, where):
        ends = self.decode(node["slice"], where)
        if not (isinstance(ends, list) and len(ends) == 3):
            raise SavedFileError(f"{where} is no slice.")
        return slice(*(end if end is None else _expect(end, (int, str), where) for end in ends))

    def _function(self, node, where):
        return _pick(_FUNCTIONS, node["function"], where)

    def _same(self, node, where):
        return _pick(self._numbered, node["same"], where)

    def _array(self, node, where):
        values = self._tensor_named(node["array"], where).numpy()
        return values.T if node.get("by columns") is True else values

    def _tensor(self, node, where):
        return self._tensor_named(node["tensor"], where)

    def _parameter(self, node, where):
        return torch.nn.Parameter(self._tensor_named(node["parameter"], where))

    def _tensor_named(self, name, where):
        return _pick(self.tensors, name, where)

    def _texts(self, node, where):
        texts = _expect(node["texts"], list, where)
        dtype = _expect(node.get("dtype"), str, where)
        longest = max(map(len, texts), default=0) if all(type(t) is str for t in texts) else -1
        if longest < 0 or dtype[1:2] != "U" or not dtype[2:].isdigit() or len(dtype) > 12:
            raise SavedFileError(f"{where} is no array of texts.")
        width = int(dtype[2:])
        if 4 * width * len(texts) > _LARGE_TEXTS:  # a few words of a file must not ask for more
            width = min(width, max(longest, 1))
        return self._shaped(np.array(texts, dtype=f"<U{width}"), node, where)

    def _objects(self, node, where):
        entries = self.decode(_expect(node["objects"], list, where), where)
        values = np.empty(len(entries), dtype=object)
        for i, entry in enumerate(entries):
            values[i] = entry
        return self._shaped(values, node, where)

    def _shaped(self, values, node, where):
        shape = _expect(node.get("shape"), list, where)
        is_shape = all(type(n) is int and n >= 0 for n in shape)
        if not is_shape or math.prod(shape) != len(values):
            raise SavedFileError(f"{where} has the shape {shape} and {len(values)} entries.")
        return values.reshape(shape)

    def _random_state(self, node, where):
        state, keys = self.decode(node["random state"], where), self.decode(node.get("keys"), where)
        # NumPy must not see anything else: some of its versions crash then.
        are_keys = isinstance(keys, np.ndarray) and keys.dtype.kind in "iu" and keys.shape == (624,)
        kinds = [type(each) for each in state] if isinstance(state, list | tuple) else None
        is_state = kinds == [int, int, float] and 0 <= state[0] <= 624 and state[1] in (0, 1)
        if not (are_keys and is_state):
            raise SavedFileError(f"{where} is no state of a random generator.")
        generator = np.random.RandomState(0)
        try:
            generator.set_state(("MT19937", keys, *state))
        except (TypeError, ValueError, OverflowError) as error:
            raise SavedFileError(f"{where}: {error}") from None
        return generator

    def _object(self, node, where):
        name = _expect(node["object"], str, where)
        state = _expect(node.get("state"), dict, where)
        if self.build is None:
            raise SavedFileError(f"{where} is an object of the class {name!r}.")
        state = {key: self.decode(each, f"{where}.{key}") for key, each in state.items()}
        return self.build(name, state, where)

    @contextmanager
    def _deeper(self, where):
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                raise SavedFileError(f"{where[:80]}... is nested too deeply.")
            yield
        finally:
            self._depth -= 1


_DECODERS = {
    "float": Reader._float,
    "tuple": Reader._tuple,
    "dict": Reader._dict,
    "scalar": Reader._scalar,
    "torch type": Reader._torch_type,
    "device": Reader._device,
    "numpy dtype": Reader._numpy_dtype,
    "type": Reader._type,
    "slice": Reader._slice,
    "function": Reader._function,
    "same": Reader._same,
    "array": Reader._array,
    "tensor": Reader._tensor,
    "parameter": Reader._parameter,
    "texts": Reader._texts,
    "objects": Reader._objects,
    "random state": Reader._random_state,
    "object": Reader._object,
}


def _expect(value, kind, where):
    if not isinstance(value, kind) or isinstance(value, bool):
        raise SavedFileError(f"{where} is not as ltlearn writes it.")
    return value


def _pick(choices, key, where):
    if not isinstance(key, str | int) or isinstance(key, bool) or key not in choices:
        raise SavedFileError(f"{where} refers to {str(key)[:80]!r}, which there is not.")
    return choices[key]


def _place(where, position, entry):
    """What an entry of a list is called: by its name, where it is one of named steps."""
    is_named = type(entry) is tuple and entry and isinstance(entry[0], str)
    return f"{where}[{(entry[0] if is_named else position)!r}]"


def _scalar_names():
    return {np.dtype(kind).name for kind in _SCALAR_TYPES.values()}


def _name(cls):
    return f"{cls.__module__}.{cls.__qualname__}"
