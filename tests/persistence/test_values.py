"""Values come back as they were: equal, of the same type, in the same layout."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch

from ltlearn.exceptions import SavedFileError
from ltlearn.persistence._archive import read_archive, replace_file, write_archive
from ltlearn.persistence._values import NotSavableError, Reader, Writer


def there_and_back(value, tmp_path):
    writer = Writer()
    write_archive(tmp_path / "file", {"value": writer.encode(value)}, writer.tensors)
    description, tensors = read_archive(tmp_path / "file")
    return Reader(tensors).decode(description["value"])


def assert_same(value, found):
    assert type(value) is type(found)
    if isinstance(value, np.ndarray):
        assert value.dtype == found.dtype
        assert value.flags.f_contiguous == found.flags.f_contiguous
        np.testing.assert_array_equal(value, found)
    elif isinstance(value, torch.Tensor):
        assert value.dtype == found.dtype
        torch.testing.assert_close(value, found, rtol=0, atol=0, equal_nan=True)
    elif isinstance(value, dict):
        assert list(value) == list(found)
        assert list(map(type, value)) == list(map(type, found))
        for key in value:
            assert_same(value[key], found[key])
    elif isinstance(value, list | tuple):
        assert len(value) == len(found)
        for each, other in zip(value, found, strict=True):
            assert_same(each, other)
    else:
        assert value == found or (value != value and found != found)
        assert not isinstance(value, float) or math.copysign(1, value) == math.copysign(1, found)


VALUES = [
    *(None, True, False, 0, -3, 2**80, 0.1, -0.0, 1e-310, 1e308, math.inf, -math.inf, math.nan),
    *("", "text", "\x00\u2028ä\U0001f600"),
    *([], (), {}, [1, [2.0, (None, "x")]], {"a": {"b": (1,)}, 1: 2, 0.5: 3, (1, "k"): 4, None: 5}),
    *(np.float32(0.1), np.float64(-0.0), np.float64("nan"), np.int8(-5), np.uint64(2**64 - 1)),
    *(np.bool_(True), np.float16(0.1)),
    *(np.dtype("float32"), np.dtype("int64"), np.float64, int, object, slice(1, None, 2)),
    *(torch.bfloat16, torch.device("cpu"), np.log1p),
    *(np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))),
    *(np.zeros((0, 3)), np.array(3.5), np.array([np.nan, -0.0, np.inf]), np.arange(3, dtype=">i4")),
    *(np.array([[True], [False]]), np.arange(4, dtype=np.uint16), np.float32([1e-40])),
    *(np.array(["a", "bcd", ""]), np.array([["ä"]]), np.array([None, "x", 1, 2.5], dtype=object)),
    np.arange(12)[::3].copy(),
    *(torch.arange(3), torch.tensor([0.1], dtype=torch.bfloat16), torch.ones(2, 2).T),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_there_and_back(value, tmp_path):
    found = there_and_back(value, tmp_path)
    if isinstance(value, np.ndarray) and value.dtype.byteorder == ">":
        value = value.astype(value.dtype.newbyteorder("="))
    assert_same(value, found)


def test_random_states_go_on(tmp_path):
    generator = np.random.RandomState(3)
    generator.normal(size=3)
    found = there_and_back(generator, tmp_path)
    np.testing.assert_array_equal(found.normal(size=5), generator.normal(size=5))


def test_what_is_shared_is_written_once_and_stays_shared(tmp_path):
    array = np.arange(1000.0)
    first, second = there_and_back([array, (array,)], tmp_path)
    assert first is second[0]
    assert (tmp_path / "file").stat().st_size < 9_000


class Point(NamedTuple):
    x: float


class Text(str):
    pass


@pytest.mark.parametrize(
    "value",
    [Point(1.0), {1}, b"x", 1j, np.datetime64("2020"), np.zeros(2, complex), len, object()],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_form(value):
    with pytest.raises(NotSavableError, match=r"place\['a'\]"):
        Writer().encode({"a": value}, "place")


def test_texts_of_subclasses_are_texts(tmp_path):
    assert_same("x", there_and_back(Text("x"), tmp_path))
    assert_same("x", there_and_back(np.str_("x"), tmp_path))


def test_what_holds_itself(tmp_path):
    class Node:
        pass

    node = Node()
    node.inner = node
    with pytest.raises(NotSavableError, match="holds itself"):
        Writer(lambda value, where: ("Node", vars(value))).encode(node)


def test_objects_are_built_by_whoever_reads(tmp_path):
    writer = Writer(lambda value, where: ("Point", value._asdict()))
    node = writer.encode([Point(1.5), Point(np.arange(2))])
    with pytest.raises(SavedFileError, match="class 'Point'"):
        Reader(writer.tensors).decode(node)
    found = Reader(writer.tensors, lambda name, state, where: Point(**state)).decode(node)
    assert found[0] == Point(1.5)
    np.testing.assert_array_equal(found[1].x, [0, 1])


def test_files_are_replaced_with_the_permissions_of_new_ones(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    replace_file(tmp_path / "file", b"abc")
    assert (tmp_path / "file").read_bytes() == b"abc"
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_texts_keep_the_width_of_their_array_where_it_is_small(tmp_path):
    for wide in (np.array(["a", "bc"], dtype="<U5"), np.array([], dtype="<U3")):
        assert there_and_back(wide, tmp_path).dtype == wide.dtype
    few = {"texts": ["a"], "shape": [1], "dtype": "<U999999999"}
    assert Reader({}).decode(few).dtype == "<U1"
