"""Tables in Parquet files and in arrays of Zarr train as the same numbers in memory do."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from ltlearn import ELTARegressor, GranularClassifier, TailLogisticClassifier
from ltlearn.calibration import ConformalRegressor
from ltlearn.data import _views
from ltlearn.datasets import _mapping, map_table
from ltlearn.datasets._mapping import as_file, is_stored
from ltlearn.evaluation import compare
from ltlearn.exceptions import CheckpointError
from ltlearn.model_selection import BatchedGridSearchCV

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 5)).astype(np.float32)
X_GAPS = np.where(rng.random((300, 5)) < 0.1, np.nan, X)
y = np.exp(X[:, 0] / 2)


class Stored:
    """An array that tells what is read of it, and cannot become one as a whole."""

    chunks = (40, 5)

    def __init__(self, values):
        self.values, self.largest = values, 0
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __len__(self):
        return len(self.values)

    def __getitem__(self, key):
        part = self.values[key]
        self.largest = max(self.largest, len(part))
        return part

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("it is read as a whole")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(_mapping, "_BYTES_AT_ONCE", 2000)
    monkeypatch.setattr(_views, "LARGE", 1000)
    monkeypatch.setattr(_views, "_FEW", 500)


MODELS = {
    "tables": (lambda: ELTARegressor(max_epochs=1, random_state=0), X_GAPS, y),
    "mlp": (lambda: ELTARegressor(max_epochs=1, random_state=0, backbone="mlp"), X, y),
    "classes": (lambda: GranularClassifier(max_epochs=1, random_state=0), X, (y > 1.5).astype(int)),
}


@pytest.mark.parametrize("name", MODELS)
def test_stored_arrays_train_part_by_part(name):
    make, values, labels = MODELS[name]
    expected = make().fit(values, labels)
    stored = Stored(values)
    found = make().fit(stored, labels)
    np.testing.assert_array_equal(found.predict(stored), expected.predict(values))
    assert stored.largest == 80  # two chunks of 40 rows of 20 bytes, of 100 rows at once


def in_zarr(values, folder):
    zarr = pytest.importorskip("zarr")
    stored = zarr.open_array(
        str(folder / "X.zarr"), mode="w", shape=values.shape, chunks=(64, 2), dtype=values.dtype
    )
    stored[:] = values
    return stored


def in_hdf5(values, folder):
    h5py = pytest.importorskip("h5py")
    return h5py.File(folder / "X.h5", "w").create_dataset("X", data=values, chunks=(64, 2))


def in_hdf5_without_chunks(values, folder):
    h5py = pytest.importorskip("h5py")
    return h5py.File(folder / "X.h5", "w").create_dataset("X", data=values)


STORES = [in_zarr, in_hdf5, in_hdf5_without_chunks]


@pytest.mark.parametrize("name", ["tables", "mlp"])
@pytest.mark.parametrize("store", STORES)
def test_arrays_of_zarr_and_h5py(store, name, tmp_path):
    make, values, labels = MODELS[name]
    stored = store(values, tmp_path)
    assert is_stored(stored)
    expected = make().fit(values, labels, X_val=values[:50], y_val=labels[:50])
    found = make().fit(stored, labels, X_val=stored[:50], y_val=labels[:50])
    np.testing.assert_array_equal(found.predict(stored), expected.predict(values))
    np.testing.assert_array_equal(map_table(stored, tmp_path / "X.npy"), values.astype(np.float32))


def test_checkpoints_know_the_values_of_stored_arrays(tmp_path):
    stored = in_hdf5(X, tmp_path)
    model = MODELS["mlp"][0]().set_params(checkpoint=tmp_path / "fit")
    expected = model.fit(stored, y).predict(X)
    np.testing.assert_array_equal(model.fit(X, y).predict(X), expected)
    stored[7, 0] += 1
    with pytest.raises(CheckpointError, match=" X"):
        model.fit(stored, y)


WHOLE = {
    "calibrator": lambda X: ConformalRegressor(MODELS["mlp"][0](), cv=2).fit(X, y).predict(X),
    "search": lambda X: (
        BatchedGridSearchCV(MODELS["mlp"][0](), {"lr": [0.001, 0.01]}, cv=2).fit(X, y).predict(X)
    ),
    "comparison": lambda X: compare({"ridge": Ridge()}, X, y, cv=2, controls=[])["value"],
    "head": lambda X: TailLogisticClassifier(cv=2, random_state=0).fit(X, y > 1.5).predict_proba(X),
}


@pytest.mark.parametrize("store", STORES[:2])
@pytest.mark.parametrize("name", WHOLE)
def test_what_takes_rows_in_any_order_loads_them(name, store, tmp_path):
    np.testing.assert_array_equal(WHOLE[name](store(X, tmp_path)), WHOLE[name](X))


@pytest.mark.parametrize("kind", ["int8", "uint16", "int64", "float16", "float64", "bool"])
def test_numbers_of_other_kinds_keep_their_values(kind):
    values = (10 * X).astype(kind)
    found = as_file(Stored(values), is_table=True)
    assert isinstance(found, np.memmap)
    assert found.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(found, values)


def test_what_is_stored():
    assert is_stored(Stored(X))
    for other in (X, X.tolist(), pd.DataFrame(X), np.memmap, None):
        assert not is_stored(other)


def test_stored_arrays_that_are_no_tables():
    with pytest.raises(ValueError, match=r"X.*two dimensions"):
        ELTARegressor().fit(Stored(X[:, :, None]), y)
    with pytest.raises(ValueError, match="holds <U1"):
        as_file(Stored(np.array([["a"], ["b"]])), is_table=True)
    with_nan = Stored(X_GAPS)
    with pytest.raises(ValueError, match="NaN"):
        ELTARegressor(backbone="mlp").fit(with_nan, y)


@pytest.fixture
def parquet_file(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(X_GAPS, columns=list("abcde")).assign(
        whole=pd.array(np.where(rng.random(300) < 0.1, None, np.arange(300)), dtype="Int32"),
        flag=rng.random(300) < 0.5,
        kind="text",
        day=pd.Timestamp("2020-01-01"),
    )
    frame.to_parquet(tmp_path / "table.parquet", row_group_size=70)
    return tmp_path / "table.parquet", frame


def test_columns_of_parquet_files(parquet_file, tmp_path):
    path, frame = parquet_file
    names = ["whole", "c", "flag", "a"]
    table = map_table(path, tmp_path / "X.npy", columns=names, dtype="float64")
    expected = frame[names].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    assert isinstance(table, np.memmap)
    assert not table.flags.writeable
    np.testing.assert_array_equal(table, expected)
    again = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(again, table)
    model = ELTARegressor(max_epochs=1, random_state=0)
    np.testing.assert_array_equal(
        model.fit(table, y).predict(table), model.fit(expected, y).predict(expected)
    )


def test_errors_of_map_table(parquet_file, tmp_path):
    path, _ = parquet_file
    target = tmp_path / "X.npy"
    target.write_bytes(b"old")
    for names, match in ((["a", "no"], "no column 'no'"), (["a", "kind"], "'kind'.*no numbers")):
        with pytest.raises(ValueError, match=match):
            map_table(path, target, columns=names)
    with pytest.raises(ValueError, match=r"'day'.*timestamp"):
        map_table(path, target, columns=["day"])
    with pytest.raises(ValueError, match=r"end in \.npy"):
        map_table(path, tmp_path / "X.bin", columns=["a"])
    with pytest.raises(ValueError, match="dtype"):
        map_table(path, target, columns=["a"], dtype="int8")
    with pytest.raises(ValueError, match="columns are for Parquet"):
        map_table(X, target, columns=["a"])

    class Breaks(Stored):
        def __getitem__(self, key):
            if key.start:
                raise OSError("the disk is gone")
            return super().__getitem__(key)

    with pytest.raises(OSError, match=r"X.npy cannot be written \(the disk is gone\)"):
        map_table(Breaks(X), target)
    assert target.read_bytes() == b"old"
