"""The copy that predicts in float64 follows its network."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from ltlearn import GranularClassifier
from ltlearn.networks import _exact
from ltlearn.networks._cosine import CosineHead
from ltlearn.networks._dropout import Dropout
from ltlearn.networks._members import MemberHead
from ltlearn.networks._tabular import TabularBody

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.digitize(X[:, 0], [0.0, 1.0])


@pytest.fixture
def model():
    return GranularClassifier(max_epochs=2, hidden_layer_sizes=(5,), random_state=0).fit(X, Y)


def expected(model):
    """Outputs in float64, computed without what is kept."""
    module = copy.deepcopy(model.net_.module_).double().eval()
    with torch.no_grad():
        return module(model._inputs.data(X).X.double()).numpy()


def outputs(model):
    return model._outputs(X)


CHANGES = {
    "in place": lambda module: nn.init.ones_(module.head[-1].weight),
    "through data": lambda module: module.head[-1].weight.data.mul_(2),
    "a new tensor": lambda module: setattr(
        module.head[-1], "bias", nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    ),
    "a new layer": lambda module: module.backbone.__setitem__(1, nn.Tanh()),
    "a buffer": lambda module: module.register_buffer("own", torch.ones(1)),
    "another type": lambda module: module.half(),
    "training mode": lambda module: module.train(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_the_network_are_seen(model, change):
    np.testing.assert_allclose(outputs(model), expected(model), rtol=1e-13)
    CHANGES[change](model.net_.module_)
    np.testing.assert_allclose(outputs(model), expected(model), rtol=1e-13)


def test_one_copy_serves_many_calls(model, monkeypatch):
    made = []

    class Counted(_exact.ExactNetwork):
        def __init__(self, network):
            made.append(network)
            super().__init__(network)

    monkeypatch.setattr("ltlearn.training._net.ExactNetwork", Counted)
    for _ in range(3):
        model.predict(X)
        model.embed(X[:1])
    assert len(made) == 1
    model.fit(X, Y).predict(X)
    assert len(made) == 2


def test_copies_are_not_pickled(model):
    before = len(pickle.dumps(model))
    proba = model.predict_proba(X)
    assert len(pickle.dumps(model)) == before
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), proba)
    assert copy.deepcopy(model).net_._exact is None


class HoldsLayersInAList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(3, 3)]
        self.first = self.layers[0]

    def forward(self, X):
        return self.layers[0](X)


def tied():
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Tanh(), layer)


edges = [torch.linspace(-2, 2, 5)]
NETWORKS = {
    "tied layers": tied,
    "float64 already": lambda: nn.Sequential(nn.Linear(3, 2)).double(),
    "normalization": lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)),
    "recurrent": lambda: nn.Sequential(nn.GRU(3, 2)),
    "parametrized": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)),
    "a module of the user's": HoldsLayersInAList,
    "for tables": lambda: nn.Sequential(
        TabularBody(edges, 1, [4], hidden_layer_sizes=(6, 5), n_members=2, dropout=0.5),
        MemberHead(2, 10, 3, hidden_size=4, dropout=0.5, bounds=(0.0, 1.0)),
    ),
    "cosine": lambda: nn.Sequential(Dropout(0.5), CosineHead(3, 2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_copies_are_whole_and_apart(name):
    network = NETWORKS[name]()
    rows = torch.tensor([[0.5, -1.0, 2.0], [-3.0, 0.25, 1.0], [1.5, 0.0, 0.0]]).double()
    before = copy.deepcopy(network.state_dict())
    exact = _exact.ExactNetwork(network).network
    by_hand = copy.deepcopy(network).double().eval()
    assert not exact.training
    assert network.training
    assert len(list(exact.parameters())) == len(list(network.parameters()))
    with torch.no_grad():
        for values in network.parameters():
            values.add_(1.0)
        outputs, expected = (
            each[0] if isinstance(each, tuple) else each
            for each in (module(rows) for module in (exact, by_hand))
        )
        assert torch.equal(outputs, expected)
        for values in exact.parameters():
            values.zero_()
    for key, values in network.named_parameters():
        assert torch.equal(values, before[key] + 1)
