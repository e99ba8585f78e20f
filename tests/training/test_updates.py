"""Direct updates against the steps of torch's optimizers."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, LRScheduler
from torch import nn

from ltlearn import ELTARegressor
from ltlearn.training import _net
from ltlearn.training._updates import DirectUpdate

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
Y = np.exp(X[:, 0])


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def optimizer_of(module, kind, **options):
    first, last = module[0], module[2]
    groups = [
        {"params": list(first.parameters()), "lr": 0.01, "weight_decay": 0.3},
        {"params": list(last.parameters()), "lr": 0.1},
    ]
    return kind(groups, **{"fused": True, **options})


def find_gradients(module, step):
    data = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
    module(data).square().mean().backward()


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_steps_are_those_of_the_optimizer(kind):
    one, other = network(), network()
    theirs, ours = optimizer_of(one, kind, maximize=True), optimizer_of(other, kind, maximize=True)
    update = None
    for step in range(6):
        for module, optimizer in ((one, theirs), (other, ours)):
            optimizer.param_groups[1]["lr"] = 0.1 / (1 + step)
            module[0].bias.requires_grad_(step > 3)
            optimizer.zero_grad()
            find_gradients(module, step)
        theirs.step()
        if update is None or not update.step():
            assert step in (0, 4)  # where the bias has a gradient at last
            ours.step()
            update = DirectUpdate.after_step_of(ours)
        update.clear_gradients()
        assert all(p.grad is None for p in other.parameters())
        for first, second in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(first, second)
    for first, second in zip(one.parameters(), other.parameters(), strict=True):
        assert theirs.state[first]["step"] == ours.state[second]["step"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda optimizer: optimizer.register_step_pre_hook(lambda *args: None),
        lambda optimizer: optimizer.register_step_post_hook(lambda *args: None),
        lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1),
    ],
)
def test_optimizers_that_do_more_are_left_alone(spoil):
    module = network()
    optimizer = optimizer_of(module, torch.optim.AdamW)
    find_gradients(module, 0)
    optimizer.step()
    assert DirectUpdate.after_step_of(optimizer) is not None
    spoil(optimizer)
    assert DirectUpdate.after_step_of(optimizer) is None


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (torch.optim.SGD, {"lr": 0.1}),
        (torch.optim.AdamW, {"fused": False}),
        (torch.optim.Adam, {"amsgrad": True}),
        (type("Own", (torch.optim.AdamW,), {}), {}),
    ],
)
def test_other_optimizers_are_left_alone(kind, options):
    module = network()
    optimizer = (
        optimizer_of(module, kind, **options)
        if kind is not torch.optim.SGD
        else kind(module.parameters(), **options)
    )
    find_gradients(module, 0)
    optimizer.step()
    assert DirectUpdate.after_step_of(optimizer) is None


class Events(Callback):
    def initialize(self):
        self.counts = {"begin": 0, "end": 0}
        return self

    def on_batch_begin(self, net, batch, training, **kwargs):
        self.counts["begin"] += 1

    def on_batch_end(self, net, batch, training, loss, **kwargs):
        self.counts["end"] += 1
        net.history.record_batch("own", float(loss))


class OwnEvents(Callback):
    """Its method is an attribute of the instance."""

    def initialize(self):
        self.n_seen = 0
        self.on_grad_computed = self._count
        return self

    def _count(self, net, named_parameters, **kwargs):
        self.n_seen += all(values.grad is not None for _, values in named_parameters)


SETTINGS = {
    "plain": {},
    "clipping": {"training__max_grad_norm": 0.1},
    "adam": {"training__optimizer": "adam"},
    "warm-up of the head": {"training__head_warmup_epochs": 2},
    "schedule": {"training__lr_schedule": "cosine", "training__lr_warmup_epochs": 1},
    "scheduler of torch": {"callbacks": [LRScheduler("StepLR", step_size=1, gamma=0.5)]},
    "uphill": {"training__sam_radius": 0.1, "dropout": 0.2},
    "averages": {"training__weight_averaging": "swa"},
    "parts": {"training__accumulation_steps": 2},
    "body for tables": {"backbone": "tabular", "architecture__n_members": 2, "dropout": 0.2},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_fits_are_the_same_bit_by_bit(setting, monkeypatch):
    model = ELTARegressor(
        backbone="mlp", hidden_layer_sizes=(6, 4), max_epochs=4, random_state=0, warm_start=True
    ).set_params(**SETTINGS[setting])
    direct = [model.fit(X, Y).predict(X) for _ in range(2)]

    class Never:
        @staticmethod
        def after_step_of(optimizer):
            return None

    monkeypatch.setattr(_net, "DirectUpdate", Never)
    other = ELTARegressor().set_params(**model.get_params())
    for expected in direct:
        np.testing.assert_array_equal(other.fit(X, Y).predict(X), expected)


def test_callbacks_hear_of_every_batch():
    callbacks = [Events(), OwnEvents()]
    model = ELTARegressor(
        backbone="mlp", max_epochs=3, batch_size=30, early_stopping=False, callbacks=callbacks
    ).fit(X, Y)
    heard = {type(each): each for _, each in model.net_.callbacks_}
    assert heard[Events].counts == {"begin": 9, "end": 9}
    assert heard[OwnEvents].n_seen == 9
