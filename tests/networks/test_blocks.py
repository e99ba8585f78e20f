"""Predictions of tables: the same bits whatever rows are beside a row."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.networks._blocks import apply_in_blocks, block_size

RNG = np.random.default_rng(0)
X = RNG.normal(size=(700, 3))
LABELS = np.digitize(X[:, 0], [0.0, 1.0])
MODELS = {
    "body for tables": ELTARegressor(max_epochs=1, random_state=0),
    "own sizes": ELTARegressor(hidden_layer_sizes=(37,), max_epochs=1, random_state=0),
    "MLP": ELTARegressor(backbone="mlp", max_epochs=1, random_state=0),
    "classes": GranularClassifier(max_epochs=2, hidden_layer_sizes=(5,), random_state=0),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return copy.copy(MODELS[request.param]).fit(X[:300], LABELS[:300])


@pytest.mark.parametrize("method", ["_outputs", "embed"])
def test_rows_beside_a_row_change_nothing(model, method):
    predict = getattr(model, method)
    expected = predict(X)
    for rows in (
        slice(1),
        slice(3, 5),
        slice(63, 130),
        slice(None, None, -1),
        RNG.permutation(700),
    ):
        np.testing.assert_array_equal(predict(X[rows]), expected[rows])


def test_outputs_are_those_of_the_network(model):
    module = copy.deepcopy(model.net_.module_).double().eval()
    with torch.no_grad():
        expected = module(model._inputs.data(X).X.double()).numpy()
    np.testing.assert_allclose(model._outputs(X), expected, rtol=1e-4, atol=1e-5)


CHANGES = {
    "in place": lambda module: nn.init.ones_(module.head[-1].weight),
    "through data": lambda module: module.head[-1].weight.data.mul_(2),
    "a new layer": lambda module: module.backbone.__setitem__(1, nn.Tanh()),
    "training mode": lambda module: module.train(),
    "training mode of a layer": lambda module: module.backbone[2].train(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_the_network_are_seen(change):
    model = GranularClassifier(max_epochs=2, hidden_layer_sizes=(5, 4), dropout=0.5, random_state=0)
    model.fit(X[:60], LABELS[:60])
    CHANGES[change](model.net_.module_)
    test_outputs_are_those_of_the_network(model)


def test_nothing_is_kept_between_predictions(model):
    before = len(pickle.dumps(model))
    model.predict(X)
    assert len(pickle.dumps(model)) == before


class Recorded:
    def __init__(self):
        self.sizes = []

    def __call__(self, block):
        self.sizes.append(len(block))
        return 2 * block


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 30])
def test_all_blocks_are_of_one_size(n):
    rows, function = torch.randn(n, 2, 3), Recorded()
    assert torch.equal(apply_in_blocks(function, rows, 8), 2 * rows)
    assert function.sizes == [8] * -(-n // 8)


def test_no_rows():
    assert apply_in_blocks(torch.relu, torch.ones(0, 3), 8).shape == (0, 3)


def test_blocks_of_large_networks_are_small():
    class Layers(nn.Module):
        def __init__(self, *sizes, n_members=1):
            super().__init__()
            self.backbone = nn.Linear(*sizes)
            self.backbone.n_members = n_members

    cpu, other = torch.device("cpu"), torch.device("cuda")
    sizes = [block_size(Layers(n, 100), cpu) for n in (1, 1000, 2000, 100_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (256, 64)
    assert block_size(Layers(1000, 100, n_members=2), cpu) == sizes[2]
    assert all(size & (size - 1) == 0 for size in sizes)
    assert block_size(Layers(1, 1), other) == block_size(Layers(1000, 1000), other)
