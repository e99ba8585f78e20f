import math

import numpy as np
import pytest
import torch

from ltlearn.losses import FocalLoss


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_matches_loop(gamma):
    logits = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = torch.arange(8) % 4
    expected = []
    for row, y in zip(logits.tolist(), target.tolist(), strict=True):
        p = math.exp(row[y]) / sum(math.exp(z) for z in row)
        expected.append(-((1 - p) ** gamma) * math.log(p))
    loss = FocalLoss(gamma=gamma, reduction="none")
    np.testing.assert_allclose(loss(logits, target), expected, rtol=1e-12)


def test_gamma_zero_is_cross_entropy():
    logits, target = torch.randn(6, 3), torch.arange(6) % 3
    torch.testing.assert_close(
        FocalLoss(gamma=0)(logits, target), torch.nn.functional.cross_entropy(logits, target)
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_certain_samples_have_zero_loss_and_gradient(gamma):
    logits = torch.tensor([[500.0, 0.0]], requires_grad=True)
    loss = FocalLoss(gamma=gamma)(logits, torch.tensor([0]))
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


def test_negative_gamma_raises():
    with pytest.raises(ValueError, match="gamma"):
        FocalLoss(gamma=-1)
