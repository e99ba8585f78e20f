"""Under bfloat16 autocast every loss gives what it gives without: products, too, are exact."""

import pytest
import torch

from ltlearn.losses import (
    BalancedCrossEntropy,
    EMDLoss,
    FocalLoss,
    LDAMLoss,
    NeighborSilencingLoss,
    QuantileLoss,
    quantile_levels,
)
from ltlearn.objectives._elta import ELTAObjective

N_ROWS, N_CLASSES = 40, 5
COUNTS = [900, 80, 20, 5, 60]
NEIGHBORS = torch.tensor([[True], [False], [True], [False]])
LOSSES = {
    "balanced": BalancedCrossEntropy(COUNTS, label_smoothing=0.1),
    "focal": FocalLoss(gamma=1.5),
    "ldam": LDAMLoss(COUNTS, scale=3.0, drw_epoch=0, beta=0.99),
    "silencing": NeighborSilencingLoss(COUNTS, NEIGHBORS, silencing=0.3),
    "emd": EMDLoss(),
    "emd, batch": EMDLoss(form="batch"),
    "quantile": QuantileLoss(quantile_levels(N_CLASSES)),
}


def value_and_gradient(loss, outputs, *args):
    outputs = outputs.clone().requires_grad_()
    value = loss(outputs, *args)
    value.backward()
    return value.detach(), outputs.grad


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("is_soft", [False, True])
def test_losses(name, is_soft):
    loss = LOSSES[name]
    outputs, weight = 2 * torch.randn(N_ROWS, N_CLASSES), torch.rand(N_ROWS)
    target = torch.randn(N_ROWS, N_CLASSES).softmax(dim=1)
    if name == "quantile":
        target = torch.randn(N_ROWS)
    elif not is_soft and not name.startswith("emd"):
        target = target.argmax(dim=1)
    expected = value_and_gradient(loss.double(), outputs.double(), _double(target), weight.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = value_and_gradient(loss.float(), outputs, target, weight)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-6)


def _double(target):
    return target.double() if target.is_floating_point() else target


def test_scores_of_bins():
    objective = ELTAObjective(centers=torch.linspace(-2, 3, 20), ranks=True)
    outputs = torch.randn(N_ROWS, 20)
    target = {"score": torch.randn(N_ROWS), "distribution": torch.rand(N_ROWS, 20).softmax(dim=1)}
    expected = (outputs.double().softmax(1) * objective.centers.double()).sum(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = objective.scores(outputs)
        terms = objective.validation_terms(outputs, target)
    torch.testing.assert_close(scores.double(), expected, rtol=1e-5, atol=1e-6)
    error = (expected - target["score"].double()).abs().mean()
    torch.testing.assert_close(terms["mae"].double(), error, rtol=1e-5, atol=0)
