import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from ltlearn.data._columns import UNSEEN, ColumnReader, columns_of
from ltlearn.exceptions import DistinctValuesWarning

NAN = np.nan


def mixed_frame():
    return pd.DataFrame(
        {
            "size": [1.5, NAN, 3.0, -2.0],
            "count": pd.array([3, None, 1, 2], dtype="Int64"),
            "is_new": [True, False, True, True],
            "color": pd.Categorical(["red", "blue", None, "red"], categories=["red", "blue", "x"]),
            "city": ["Rome", None, "Oslo", "Rome"],
            "note": pd.Series(["b", 1, None, "a"], dtype=object),
        }
    )


def read(X, categorical_features="from_dtype"):
    reader = ColumnReader(categorical_features)
    return reader.read(columns_of(X), reset=True), reader


def again(reader, X):
    return reader.read(columns_of(X), reset=False)


def decoded(matrix, reader, j):
    return [None if np.isnan(code) else reader.categories_[j][int(code)] for code in matrix[:, j]]


def test_a_mixed_frame_with_gaps():
    matrix, reader = read(mixed_frame())
    assert reader.is_categorical_.tolist() == [False, False, False, True, True, True]
    np.testing.assert_array_equal(
        matrix[:, :3], [[1.5, 3, 1], [NAN, NAN, 0], [3, 1, 1], [-2, 2, 1]]
    )
    assert decoded(matrix, reader, 3) == ["red", "blue", None, "red"]
    assert decoded(matrix, reader, 4) == ["Rome", None, "Oslo", "Rome"]
    assert decoded(matrix, reader, 5) == ["b", 1, None, "a"]
    assert reader.categories_[3:] == [["blue", "red"], ["Oslo", "Rome"], [1, "a", "b"]]
    assert matrix.dtype == np.float64


def test_codes_do_not_depend_on_the_order_of_rows():
    frame = mixed_frame()
    matrix, _ = read(frame)
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(read(frame.iloc[order])[0], matrix[order])


def test_new_rows_take_the_known_codes():
    matrix, reader = read(mixed_frame())
    shuffled = mixed_frame().iloc[[3, 1, 0, 2]]
    np.testing.assert_array_equal(again(reader, shuffled), matrix[[3, 1, 0, 2]])
    new = mixed_frame().assign(city=["Bonn", "Oslo", None, "Rome"])
    new["color"] = ["red", "green", None, "x"]  # of another type
    codes = again(reader, new)
    np.testing.assert_array_equal(codes[:, 4], [UNSEEN, 0, NAN, 1])
    np.testing.assert_array_equal(codes[:, 3], [1, UNSEEN, NAN, UNSEEN])


def test_rows_of_an_array_find_the_categories_of_a_frame():
    matrix, reader = read(mixed_frame())
    array = mixed_frame().astype(object).to_numpy()
    np.testing.assert_array_equal(again(reader, array), matrix)


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_nullable_and_arrow_backed_columns(backend):
    pytest.importorskip("pyarrow")
    frame = mixed_frame().drop(columns="note")
    matrix, reader = read(frame)
    converted = frame.convert_dtypes(dtype_backend=backend)
    if backend == "pyarrow":
        converted["color"] = frame["color"].astype("str").astype("string[pyarrow]")
        converted.loc[2, "color"] = None
    np.testing.assert_array_equal(read(converted)[0], matrix)
    np.testing.assert_array_equal(again(reader, converted), matrix)


def test_arrow_dictionaries_and_decimals():
    pa = pytest.importorskip("pyarrow")
    decimals = pd.ArrowDtype(pa.decimal128(5, 2))
    dictionary = pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    frame = pd.DataFrame(
        {
            "a": pd.array(["x", None, "y"], dtype=dictionary),
            "b": pd.array([Decimal("1.25"), None, Decimal(2)], dtype=decimals),
        }
    )
    matrix, reader = read(frame)
    assert reader.categories_ == [["x", "y"], None]
    np.testing.assert_array_equal(matrix, [[0, 1.25], [NAN, NAN], [1, 2]])


def test_objects_that_are_numbers_are_numbers():
    frame = pd.DataFrame(
        {
            "a": pd.Series([1, 2.5, None], dtype=object),
            "b": pd.Series([Decimal(1), Decimal("0.5"), Decimal(3)], dtype=object),
            "c": pd.Series([True, False, None], dtype=object),
            "d": pd.Series([None, None, None], dtype=object),
        }
    )
    matrix, reader = read(frame)
    assert not reader.is_categorical_.any()
    np.testing.assert_array_equal(matrix, [[1, 1, 1, NAN], [2.5, 0.5, 0, NAN], [NAN, 3, NAN, NAN]])


def test_object_arrays_of_numbers_stay_numbers():
    X = np.array([[1, 2.5], [None, 3], [NAN, True]], dtype=object)
    matrix, reader = read(X)
    assert not reader.is_categorical_.any()
    np.testing.assert_array_equal(matrix, [[1, 2.5], [NAN, 3], [NAN, 1]])
    X[0, 0] = pd.NA
    np.testing.assert_array_equal(read(X)[0], [[NAN, 2.5], [NAN, 3], [NAN, 1]])


def test_numbers_keep_their_digits_and_arrays_their_memory():
    stamps = 1.7e9 + np.arange(6).reshape(3, 2) / 1e6
    assert read(stamps)[0] is stamps
    floats = np.ones((3, 2), dtype=np.float32)
    assert read(floats)[0] is floats
    big = np.array([[2**53 - 1, 1], [0, 1]], dtype=np.int64)
    np.testing.assert_array_equal(read(big)[0], big)
    frame = pd.DataFrame({"stamp": pd.array([2**53 - 1, None], dtype="Int64")})
    np.testing.assert_array_equal(read(frame)[0], [[2**53 - 1], [NAN]])


@pytest.mark.parametrize(
    "wanted", ["from_dtype", None, [], [True, False, False, False], [0, 2], ["a", "c"], ("c",)]
)
def test_which_columns_are_categories_agrees_with_boosting(wanted):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 5, size=(60, 4)).astype(float), columns=list("abcd"))
    frame["b"] = frame["b"].astype("category")
    boosting = HistGradientBoostingRegressor(categorical_features=wanted, max_iter=1)
    boosting.fit(frame, np.arange(60))
    expected = boosting.is_categorical_
    expected = np.zeros(4, dtype=bool) if expected is None else expected
    np.testing.assert_array_equal(read(frame, wanted)[1].is_categorical_, expected)


def test_arrays_have_categories_where_they_are_said_to_be():
    X = np.array([["b", 1.5, 3], ["a", 2.5, 3], ["b", 3.5, None]], dtype=object)
    expected = [[1, 1.5, 0], [0, 2.5, 0], [1, 3.5, NAN]]
    for wanted in ([0, 2], [True, False, True]):
        np.testing.assert_array_equal(read(X, wanted)[0], expected)
    numbers = np.array([[7.0, 0.5], [3.0, 1.5], [NAN, 2.5], [7.0, 3.5]])
    matrix, reader = read(numbers, [0])
    np.testing.assert_array_equal(matrix, [[1, 0.5], [0, 1.5], [NAN, 2.5], [1, 3.5]])
    assert reader.categories_ == [[3.0, 7.0], None]
    np.testing.assert_array_equal(again(reader, [[5, 0], [3, 0]]), [[UNSEEN, 0], [0, 0]])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([True, False], "mask of 2 entries, X has 6 columns"),
        ([6], "position 6; the columns of X are 0 to 5"),
        ([-1], "position -1; the columns of X are 0 to 5"),
        (["size", "town"], "names 'town', which is no column of X"),
        ([1.5], "must hold booleans, positions or names"),
        ([[True]], 'must be "from_dtype", None, or one-dimensional'),
        ("size", 'must be "from_dtype", None, or one-dimensional'),
    ],
)
def test_wrong_categorical_features(wanted, message):
    with pytest.raises(ValueError, match=message):
        read(mixed_frame(), wanted)


def test_names_need_a_frame():
    with pytest.raises(ValueError, match="X has no column names"):
        read(np.zeros((3, 2)), ["a"])


DATES = {
    "datetime": pd.Series(pd.to_datetime(["2020-01-01", "2021-01-01"])),
    "zoned": pd.Series(pd.to_datetime(["2020-01-01", "2021-01-01"], utc=True)),
    "timedelta": pd.Series(pd.to_timedelta([1, 2], unit="D")),
    "period": pd.Series(pd.period_range("2020", periods=2, freq="M")),
    "interval": pd.Series(pd.interval_range(0, 2)),
    "objects": pd.Series([datetime.date(2020, 1, 1), None], dtype=object),
    "stamps": pd.Series([pd.Timestamp("2020-01-01"), pd.NaT], dtype=object),
    "complex": pd.Series([1j, 2.0]),
}


@pytest.mark.parametrize("name", DATES)
@pytest.mark.parametrize("wanted", ["from_dtype", None])
def test_dates_and_the_like_are_refused_by_name(name, wanted):
    frame = pd.DataFrame({"good": [1.0, 2.0], "bad": DATES[name]})
    message = r"Column 'bad' of X holds values of .* turn dates into numbers"
    with pytest.raises(ValueError, match=message):
        read(frame, wanted)
    _, reader = read(pd.DataFrame({"good": [1.0], "bad": [2.0]}))
    with pytest.raises(ValueError, match=message):
        again(reader, frame)


def test_arrow_dates_are_refused_by_name():
    pa = pytest.importorskip("pyarrow")
    column = pd.Series(["2020-01-01"]).astype("datetime64[s]").astype(pd.ArrowDtype(pa.date32()))
    with pytest.raises(ValueError, match="Column 'day' of X"):
        read(pd.DataFrame({"day": column}))


def test_arrays_of_dates_are_refused():
    with pytest.raises(ValueError, match="X holds dates or times"):
        read(np.array([["2020-01-01"]], dtype="datetime64[D]"))


def test_columns_that_are_no_numbers_are_named():
    with pytest.raises(ValueError, match=r"'Rome': column 'city' of X does not hold numbers"):
        read(mixed_frame()[["size", "city"]], None)
    with pytest.raises(ValueError, match=r"'z': column 1 of X does not hold numbers"):
        read(np.array([["1", "2"], ["3", "z"]]))
    with pytest.raises(TypeError, match=r"'datetime.date': column 0 of X does not hold numbers"):
        read(np.array([[datetime.date(2020, 1, 1), 1]], dtype=object))
    _, reader = read(mixed_frame()[["size"]])
    with pytest.raises(ValueError, match=r"'big': column 'size' of X does not hold numbers"):
        again(reader, pd.DataFrame({"size": pd.Categorical(["big"])}))


def test_infinite_numbers_are_refused_by_name():
    with pytest.raises(ValueError, match=r"contains infinity .* column 'size'"):
        read(mixed_frame().assign(size=[1, np.inf, 2, 3]))
    with pytest.raises(ValueError, match=r"contains infinity .* column 1"):
        read(np.array([[1.0, -np.inf]]))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros(3), "Expected 2D array"),
        (np.zeros((0, 2)), "0 sample"),
        (pd.DataFrame({"a": []}, dtype=float), "0 sample"),
        (np.zeros((2, 0)), "0 feature"),
        (pd.DataFrame(index=range(3)), "0 feature"),
        (np.zeros((2, 2), dtype=complex), "Complex data not supported"),
    ],
)
def test_tables_without_shape_are_refused(X, message):
    with pytest.raises(ValueError, match=message):
        read(X)


def test_what_was_passed_is_left_alone():
    frame, copy = mixed_frame(), mixed_frame()
    read(frame)
    pd.testing.assert_frame_equal(frame, copy)


@pytest.mark.parametrize("dtype", [object, "string", "category"])
class TestDistinctValues:
    def column(self, n, n_alone, dtype):
        """``n_alone`` of ``n`` rows have a value of their own, the others one of two."""
        values = [f"title {i}" if i < n_alone else "ab"[i % 2] for i in range(n)]
        size = np.arange(float(n))
        return pd.DataFrame({"size": size, "title": pd.Series([*values], dtype=dtype)})

    def test_titles_are_named(self, dtype):
        with pytest.warns(DistinctValuesWarning, match=r"column 'title' .* leave the column out"):
            read(self.column(200, 200, dtype))
        with pytest.warns(DistinctValuesWarning):
            read(self.column(1000, 801, dtype))

    def test_codes_few_rows_and_columns_that_are_asked_for_are_not(self, dtype):
        read(self.column(1000, 800, dtype))
        read(self.column(99, 99, dtype))
        read(self.column(200, 200, dtype), ["title"])
        again(read(self.column(200, 100, dtype))[1], self.column(200, 200, dtype))

    def test_rows_without_a_value_do_not_count(self, dtype):
        frame = self.column(300, 300, dtype)
        frame["title"] = frame["title"].where(frame["size"] < 99)
        read(frame)
        frame = self.column(300, 300, dtype)
        frame["title"] = frame["title"].where(frame["size"] < 100)
        with pytest.warns(DistinctValuesWarning):
            read(frame)
