"""Epochs and batches, against plain Python."""

import numpy as np
import pytest
import torch

from ltlearn.data import _targets
from ltlearn.data._batches import WholeBatches, n_batches
from ltlearn.data._epochs import FixedLengthEpochs, ShuffledEpochs
from ltlearn.data._tensors import TensorData


def data(n, epoch_index=None):
    return TensorData(torch.arange(n).float()[:, None], {"y": torch.arange(n)}, epoch_index)


@pytest.mark.parametrize(("n", "batch_size"), [(1, 4), (4, 4), (5, 4), (17, 4), (100, 7), (33, 32)])
def test_an_epoch_holds_every_row_once_in_even_batches(n, batch_size):
    batches = list(WholeBatches(data(n, ShuffledEpochs(n, seed=0)), batch_size))
    sizes = [len(X) for X, _ in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(batches) == n_batches(n, batch_size) == max(1, int(np.ceil(n / batch_size)))
    assert sorted(torch.cat([X[:, 0] for X, _ in batches]).tolist()) == list(range(n))


def test_inputs_and_targets_stay_together():
    for X, target in WholeBatches(data(50, ShuffledEpochs(50, seed=3)), 8):
        assert X[:, 0].long().tolist() == target["y"].tolist()


@pytest.mark.parametrize("rows_at_once", [1, 20, 2**16])
@pytest.mark.parametrize(("n", "batch_size"), [(1, 4), (50, 8), (48, 8), (33, 32)])
def test_targets_are_prepared_for_batches_of_equal_size_at_once(
    monkeypatch, n, batch_size, rows_at_once
):
    monkeypatch.setattr(_targets, "_ROWS_AT_ONCE", rows_at_once)
    shapes = []

    def prepare(target):
        shapes.append(target["y"].shape)
        return {"total": target["y"].sum(1), "first": target["y"][:, :1]}

    batches = list(WholeBatches(data(n, ShuffledEpochs(n, seed=0)), batch_size, prepare))
    assert len(batches) == n_batches(n, batch_size) == sum(count for count, _ in shapes)
    assert sum(count * size for count, size in shapes) == n
    assert all(count == 1 or count * size <= rows_at_once for count, size in shapes)
    for X, target in batches:
        assert target["total"].item() == X.sum().item()
        assert target["first"].tolist() == X[:1, 0].tolist()


def test_data_without_targets_have_batches():
    batches = list(WholeBatches(TensorData(torch.zeros(10, 1)), 4))
    assert [len(X) for X, _ in batches] == [4, 3, 3]


def test_without_an_epoch_index_rows_come_in_order():
    rows = torch.cat([target["y"] for _, target in WholeBatches(data(10), 4)])
    assert rows.tolist() == list(range(10))


def test_shuffled_epochs_differ_and_repeat_with_the_seed():
    epochs, again = ShuffledEpochs(30, seed=5), ShuffledEpochs(30, seed=5)
    first, second = epochs().tolist(), epochs().tolist()
    assert first != second
    assert [again().tolist(), again().tolist()] == [first, second]


@pytest.mark.parametrize(("n", "length"), [(10, 4), (10, 10), (7, 20), (3, 1)])
def test_fixed_length_epochs_deal_all_rows_before_any_row_again(n, length):
    epochs = FixedLengthEpochs(n, length, seed=0)
    dealt = torch.cat([epochs() for _ in range(12)])
    assert len(dealt) == 12 * length
    for start in range(0, len(dealt) - n + 1, n):
        assert sorted(dealt[start : start + n].tolist()) == list(range(n))


def test_targets_of_another_length_are_refused():
    with pytest.raises(ValueError, match="'y' has 2 rows, X has 3"):
        TensorData(torch.zeros(3, 1), {"y": torch.zeros(2)})
