"""Large tables are read where they are, and nothing but the memory they take tells it."""

import numpy as np
import pytest
import torch

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.data import _views
from ltlearn.data._epochs import ShuffledEpochs
from ltlearn.data._prepared import PreparedData
from ltlearn.data._tensors import TensorData
from ltlearn.data._views import (
    JoinedRows,
    RowView,
    chunks,
    is_large,
    is_mapped,
    join_rows,
    some_rows,
    take_rows,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4)).astype(np.float32)
y = np.exp(X[:, 0])


def test_views_are_the_rows():
    index = rng.permutation(120)[:50]
    view = RowView(X, index)
    np.testing.assert_array_equal(np.asarray(view), X[index])
    assert (view.shape, len(view), view.dtype) == ((50, 4), 50, np.float32)
    for key in (slice(3, 9), np.array([4, 0]), [1], slice(None, 0)):
        np.testing.assert_array_equal(view[key], X[index][key])
    np.testing.assert_array_equal(view[:, 2], X[index, 2])
    inner = RowView(view, np.array([7, 3, 3]))
    assert inner.values is X
    np.testing.assert_array_equal(inner, X[index][[7, 3, 3]])


def test_views_of_more_dimensions_are_the_rows():
    images, index = rng.integers(0, 255, size=(30, 2, 5, 3), dtype=np.uint8), rng.permutation(30)
    view = RowView(images, index)
    assert (view.shape, view.ndim, view.size, view.itemsize) == ((30, 2, 5, 3), 4, 900, 1)
    np.testing.assert_array_equal(view[3:7], images[index[3:7]])
    np.testing.assert_array_equal(view, images[index])


def test_joined_rows_are_those_of_both():
    second = X[:50].astype(np.float64) + 1
    expected, index = np.concatenate([X, second]), rng.permutation(170)[:90]
    joined = JoinedRows(RowView(X, np.arange(120)), second)
    assert (joined.shape, joined.dtype, len(joined)) == ((170, 4), np.float64, 170)
    for key in (slice(110, 130), slice(None, 0), slice(None), index, [169, 0], np.arange(3)):
        np.testing.assert_array_equal(joined[key], expected[key])
    np.testing.assert_array_equal(joined, expected)
    np.testing.assert_array_equal(take_rows(joined, index), expected[index])
    np.testing.assert_array_equal(RowView(joined, index)[5:9], expected[index[5:9]])
    np.testing.assert_array_equal(JoinedRows(second, joined), np.concatenate([second, expected]))


def test_few_rows_are_joined_in_memory(monkeypatch):
    assert isinstance(join_rows(X, X), np.ndarray)
    paths = np.array(["a", "b"], dtype=object)
    assert join_rows(paths, paths[:1]).tolist() == ["a", "b", "a"]
    monkeypatch.setattr(_views, "LARGE", 100)
    for first, second in ((X, X[:2]), (X[:2], X)):
        assert isinstance(join_rows(first, second), JoinedRows)


def test_what_is_mapped(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    index = np.arange(5)
    of_mapped = [mapped, np.asarray(mapped), mapped[3:].T, RowView(mapped, index)]
    of_mapped += [JoinedRows(X, mapped), RowView(JoinedRows(mapped, X), index)]
    assert all(map(is_mapped, of_mapped))
    others = [X, X[2:], mapped[index], RowView(X, index), JoinedRows(X, X), np.array(mapped)]
    assert not any(map(is_mapped, others))


def test_some_rows_are_few():
    wide = np.zeros((4000, 1000), np.float32)
    assert len(some_rows(wide)) <= 2**19 // 1000
    assert some_rows(X) is X


def test_only_large_arrays_of_numbers_are_viewed(monkeypatch):
    monkeypatch.setattr(_views, "LARGE", 4 * 4 * 60)
    monkeypatch.setattr(_views, "_FEW", 4 * 4 * 60)
    half = np.arange(60)
    assert isinstance(take_rows(X, half), np.ndarray)
    more = take_rows(X, np.arange(61))
    assert isinstance(more, RowView)
    assert isinstance(take_rows(more, half), np.ndarray)
    is_taken = np.arange(120) % 4 > 0
    np.testing.assert_array_equal(take_rows(X, is_taken), X[is_taken])
    assert isinstance(take_rows(X, is_taken), RowView)
    assert is_large(X[:, :, None])
    for small in (X.astype(object), X.astype(str), X[:60], np.zeros((3, 4, 5), bool)):
        assert not is_large(small)


def test_chunks_are_all_rows(monkeypatch):
    monkeypatch.setattr(_views, "_NUMBERS_AT_ONCE", 200)
    parts = list(chunks(X))
    assert [len(part) for part in parts] == [50, 50, 20]
    np.testing.assert_array_equal(np.concatenate(parts), X)


def test_prepared_data_gives_the_batches_of_tensors():
    def prepare(rows):
        return torch.from_numpy(2 * rows)

    target = {"score": torch.arange(120.0)}
    lazy, eager = (
        PreparedData(RowView(X, np.arange(120)), prepare, target, ShuffledEpochs(120, 0)),
        TensorData(torch.from_numpy(2 * X), target, ShuffledEpochs(120, 0)),
    )
    assert lazy.input_shape == eager.input_shape
    for data, other in ((lazy, eager), (lazy.to("cpu"), eager.to("cpu"))):
        index = data.epoch_index()
        assert torch.equal(index, other.epoch_index())
        pairs = zip(data.batches(index, 7), other.batches(index, 7), strict=True)
        for (rows, targets), (expected, expected_targets) in pairs:
            assert torch.equal(rows, expected)
            assert torch.equal(targets["score"], expected_targets["score"])
    assert torch.equal(lazy.X, eager.X)
    assert lazy.with_target({}).target == {}
    assert lazy.without_augmentation().epoch_index is None


def test_views_of_large_tables_are_small(monkeypatch):
    monkeypatch.setattr(_views, "LARGE", 100)
    monkeypatch.setattr(_views, "_FEW", 100)
    view = take_rows(X, rng.permutation(120)[:40])
    assert view.index.dtype == np.int32
    monkeypatch.setattr(_views, "_FEW", 16 * 10)
    assert isinstance(take_rows(view, np.arange(11)), RowView)  # a view stays one, however small
    few = take_rows(view, np.arange(10))
    assert isinstance(few, np.ndarray)
    np.testing.assert_array_equal(few, np.asarray(view)[:10])


def fitted(make, monkeypatch, is_lazy, *data, **kwargs):
    with monkeypatch.context() as context:
        context.setattr(_views, "LARGE", 8 if is_lazy else 2**40)
        context.setattr(_views, "_FEW", 8)
        model = make().fit(*data, **kwargs)
        return model, model.predict(X)


MODELS = {
    "tables": (lambda: ELTARegressor(max_epochs=2, random_state=0, early_stopping=True), y),
    "mlp": (lambda: ELTARegressor(max_epochs=2, random_state=0, backbone="mlp"), y),
    "classes": (lambda: GranularClassifier(max_epochs=2, random_state=0), (y > 2).astype(int)),
}


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS)
def test_estimators_predict_the_same(name, kind, tmp_path, monkeypatch):
    make, labels = MODELS[name]
    weight = 1 + np.arange(120) % 3
    data = X.astype(kind)
    np.save(tmp_path / "X.npy", data)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    _, expected = fitted(make, monkeypatch, False, data, labels, weight)
    _, found = fitted(make, monkeypatch, True, mapped, labels, weight)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
def test_self_training_and_auxiliary_rows_of_large_tables(monkeypatch):
    def elta():
        return ELTARegressor(loss="emd", max_epochs=1, random_state=0)

    for make, labels, more in (
        (elta, y, {"X_unlabeled": X[:40] + 0.1}),
        (MODELS["classes"][0], MODELS["classes"][1], {"X_aux": X[:30] + 1, "y_aux": ["a"] * 30}),
    ):
        labels = labels if make is elta else np.array(["x", "y"])[labels]
        _, expected = fitted(make, monkeypatch, False, X, labels, **more)
        _, found = fitted(make, monkeypatch, True, X, labels, **more)
        np.testing.assert_array_equal(found, expected)
