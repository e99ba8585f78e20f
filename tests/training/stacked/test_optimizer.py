"""Every member of a stacked optimizer against a torch optimizer of its own."""

import pytest
import torch
from torch.nn.utils import clip_grad_norm_

from ltlearn.training.stacked._optimizer import StackedOptimizer, is_stackable, shared_options

KINDS = {
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "adam": (torch.optim.Adam, {"fused": True}),
    "adam unfused": (torch.optim.Adam, {"betas": (0.8, 0.9)}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "sgd": (torch.optim.SGD, {}),
}
RATES = [(1e-2, 0.0), (1e-2, 0.0), (1e-2, 0.3), (5e-2, 0.3)]


class Alone:
    """Parameters of one member and its optimizer."""

    def __init__(self, values, kind, lr, weight_decay):
        cls, options = KINDS[kind]
        self.parameters = [value.clone().requires_grad_() for value in values]
        self.optimizer = cls(self.parameters, lr=lr, weight_decay=weight_decay, **options)

    def step(self, gradients, max_norm=None):
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        if max_norm is not None:
            clip_grad_norm_(self.parameters, max_norm)
        self.optimizer.step()


class Pair:
    """The same members alone and stacked."""

    def __init__(self, kind):
        self.generator = torch.Generator().manual_seed(0)
        self.stacked = [
            torch.randn(4, *shape, generator=self.generator) for shape in [(3, 2), (2,)]
        ]
        self.alone = [
            Alone([values[i] for values in self.stacked], kind, *rates)
            for i, rates in enumerate(RATES)
        ]
        self.optimizer = StackedOptimizer(self.stacked, [member.optimizer for member in self.alone])

    def step(self, taking_part=None, max_norms=None):
        for values in self.stacked:
            values.grad = torch.randn(values.shape, generator=self.generator)
        for i, member in enumerate(self.alone):
            if taking_part is None or taking_part[i]:
                max_norm = None if max_norms is None else max_norms[i]
                member.step([values.grad[i] for values in self.stacked], max_norm)
        if max_norms is not None:
            self.optimizer.clip_gradients(torch.tensor(max_norms))
        self.optimizer.step(taking_part)

    def check(self):
        for i, member in enumerate(self.alone):
            for values, own in zip(self.stacked, member.parameters, strict=True):
                torch.testing.assert_close(values[i], own.detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_members_move_as_alone(kind):
    pair = Pair(kind)
    for _ in range(4):
        pair.step()
    pair.check()


@pytest.mark.parametrize("kind", KINDS)
def test_members_may_sit_out_and_leave(kind):
    pair = Pair(kind)
    pair.step((True, False, True, True))
    pair.step((False, True, True, False))
    pair.step()
    pair.step((True, False, True, True))
    pair.check()
    pair.alone = [pair.alone[i] for i in (0, 1, 3)]
    pair.stacked = [values[[0, 1, 3]] for values in pair.stacked]
    pair.optimizer.select([0, 1, 3], pair.stacked)
    pair.step()
    pair.step((False, True, True))
    pair.check()


@pytest.mark.parametrize("kind", ["adamw", "nesterov"])
def test_rates_that_change(kind):
    pair = Pair(kind)
    for share in (1.0, 0.5, 0.1):
        rates = [share * lr for lr, _ in RATES]
        for member, rate in zip(pair.alone, rates, strict=True):
            member.optimizer.param_groups[0]["lr"] = rate
        pair.optimizer.set_rates(rates)
        pair.step()
        pair.step()
    pair.check()


def test_gradients_are_clipped_member_by_member():
    pair = Pair("sgd")
    for _ in range(3):
        pair.step(max_norms=[0.1, 1.0, 1e6, float("inf")])
    pair.check()


def test_parameters_without_gradient_stay():
    pair = Pair("adamw")
    before = pair.stacked[1].clone()
    pair.stacked[0].grad = torch.ones_like(pair.stacked[0])
    pair.optimizer.step()
    assert torch.equal(pair.stacked[1], before)
    assert not torch.equal(pair.stacked[0][0], pair.alone[0].parameters[0])


def test_what_can_be_stacked():
    parameter = torch.zeros(2, requires_grad=True)
    plain = torch.optim.AdamW([parameter], lr=0.1)
    assert is_stackable(plain)
    assert not is_stackable(torch.optim.Adagrad([parameter]))
    two = torch.optim.AdamW([{"params": [parameter]}, {"params": [torch.zeros(1)], "lr": 1.0}])
    assert not is_stackable(two)
    parameter.grad = torch.ones(2)
    same = shared_options(plain) == shared_options(torch.optim.AdamW([parameter], weight_decay=0.5))
    assert same
    assert shared_options(plain) != shared_options(torch.optim.AdamW([parameter], eps=1e-5))
    assert shared_options(plain) != shared_options(torch.optim.Adam([parameter], lr=0.1))
    plain.step()
    assert not is_stackable(plain)
