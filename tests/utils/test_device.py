"""Devices that are right or refused by name."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from ltlearn import BackboneFeatures, ELTARegressor
from ltlearn.data._batches import WholeBatches
from ltlearn.data._epochs import ShuffledEpochs
from ltlearn.data._tensors import TensorData
from ltlearn.features import _frozen
from ltlearn.networks._network import Network
from ltlearn.objectives._elta import ELTAObjective
from ltlearn.training._net import ObjectiveNet
from ltlearn.utils._device import resolve_device

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype(np.float32)


@pytest.mark.parametrize("device", ["mps", "xpu", torch.device("mps", 0)])
def test_other_kinds_are_refused_by_name(device):
    name = torch.device(device).type
    with pytest.raises(ValueError, match=f"{name}.*does not compute on"):
        resolve_device(device)
    with pytest.raises(ValueError, match=name):
        ELTARegressor(device=device).fit(X, X[:, 0])
    images = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    features = BackboneFeatures(backbone=nn.Flatten(), image_size=16, device=device).fit(images)
    with pytest.raises(ValueError, match=name):
        features.transform(images)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_modules_that_come_in_other_types(dtype):
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    expected = ELTARegressor(
        backbone=copy.deepcopy(module).to(dtype).float(), loss="mse", max_epochs=1, random_state=0
    ).fit(X, X[:, 0])
    for backbone in (module.to(dtype), lambda: copy.deepcopy(module).to(dtype)):
        model = ELTARegressor(backbone=backbone, loss="mse", max_epochs=1, random_state=0)
        np.testing.assert_array_equal(model.fit(X, X[:, 0]).predict(X), expected.predict(X))
    assert module[0].weight.dtype == dtype


def test_frozen_modules_stay_where_they_are_shared(monkeypatch):
    module = nn.Linear(3, 2).eval()
    assert _frozen.on_device(module, torch.device("cpu")) is module  # in place
    meta = torch.device("meta")  # any that is not the CPU
    moved = _frozen.on_device(module, meta)
    assert moved.weight.device == meta
    assert module.weight.device.type == "cpu"
    assert _frozen.on_device(module, meta) is moved
    before = len(_frozen._ELSEWHERE)
    del module
    assert len(_frozen._ELSEWHERE) == before - 1


@pytest.mark.parametrize(("n", "batch_size"), [(40, 7), (41, 20), (40, 100), (3, 1)])
def test_batches_of_one_size(n, batch_size):
    data = TensorData(torch.arange(float(n))[:, None], {}, ShuffledEpochs(n, 0))
    batches = WholeBatches(data, batch_size, has_equal_sizes=True)
    for _ in range(3):
        sizes = [len(rows) for rows, _ in batches]
        assert len(set(sizes)) == 1
        assert sizes[0] <= batch_size
        assert n - sum(sizes) < len(sizes)
    seen = {float(row) for _ in range(30) for rows, _ in batches for row in rows}
    assert len(seen) == n


@pytest.mark.parametrize(("n", "batch_size", "n_parts"), [(41, 20, 4), (100, 33, 2), (7, 2, 5)])
def test_parts_of_batches_of_one_size(n, batch_size, n_parts):
    data = TensorData(torch.arange(float(n))[:, None], {}, ShuffledEpochs(n, 0))
    batches = WholeBatches(data, batch_size, has_equal_sizes=True, n_parts=n_parts)
    sizes = [len(rows) for rows, _ in batches]
    assert len(set(sizes)) == 1
    parts = {len(part) for part in torch.arange(sizes[0]).tensor_split(min(n_parts, sizes[0]))}
    assert len(parts) == 1
    assert n - sum(sizes) < len(sizes) * (1 + n_parts)


@pytest.mark.parametrize(
    ("device", "backbone", "expected"),
    [
        ("cuda", nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), [torch.channels_last]),
        ("cuda", nn.Flatten(), []),
        ("cpu", nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), []),
    ],
    ids=["convolutions", "none", "on the CPU"],
)
def test_convolutions_on_a_gpu_are_channels_last(device, backbone, expected, monkeypatch):
    formats, to = [], nn.Module.to

    def noted(self, *args, memory_format=None, **kwargs):
        if memory_format is None:
            return to(self, *args, **kwargs)
        formats.append(memory_format)
        return self

    monkeypatch.setattr(nn.Module, "to", noted)
    network = Network(
        build_backbone=lambda shape: backbone,
        build_head=lambda n: nn.Linear(n, 1),
        input_shape=(3, 4, 4),
    )
    net = ObjectiveNet(network, criterion=ELTAObjective, device=device, train_split=None)
    with net._current_init_context("module"):
        net.initialize_module()
    assert formats == expected
