import numpy as np
import pytest
import torch

from ltlearn.losses import ClassBalancedWeights

COUNTS = [5000, 120, 7, 1]


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999, 0.9999])
def test_matches_formula(beta):
    raw = np.array([(1 - beta) / (1 - beta**n) for n in COUNTS])
    weight = ClassBalancedWeights(COUNTS, beta=beta).weight
    np.testing.assert_allclose(weight, raw * len(COUNTS) / raw.sum(), rtol=1e-5)


def test_limits_are_equal_and_inverse_weights():
    assert ClassBalancedWeights(COUNTS, beta=0).weight.tolist() == [1.0] * 4
    inverse = 1 / np.array(COUNTS)
    np.testing.assert_allclose(
        ClassBalancedWeights(COUNTS, beta=1 - 1e-12).weight, 4 * inverse / inverse.sum(), rtol=1e-3
    )


def test_weights_of_integer_and_soft_targets():
    balance = ClassBalancedWeights(COUNTS)
    target = torch.tensor([3, 0, 0, 2], dtype=torch.int32)
    assert torch.equal(balance(target), balance.weight[target.long()])
    soft = torch.tensor([[0.25, 0.0, 0.0, 0.75]], dtype=torch.float64)
    torch.testing.assert_close(balance(soft), 0.25 * balance.weight[:1] + 0.75 * balance.weight[3:])


def test_an_absent_class_counts_as_the_rarest_present_one():
    weight = ClassBalancedWeights([100, 5, 0]).weight
    assert torch.isfinite(weight).all()
    assert weight[2] == weight[1]


def test_bad_input_raises():
    with pytest.raises(ValueError, match=r"beta must lie in \[0, 1\)"):
        ClassBalancedWeights(COUNTS, beta=1)
    with pytest.raises(ValueError, match="Soft targets must have shape"):
        ClassBalancedWeights(COUNTS)(torch.ones(4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_soft_targets_under_autocast(dtype):
    """A product in bfloat16 would be off by up to 0.4 %."""
    balance = ClassBalancedWeights(COUNTS, beta=0.99)
    target = torch.rand(50, 4).softmax(dim=1).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weights = balance(target)
    assert weights.dtype == torch.float32
    table = balance.weight.tolist()
    expected = [sum(t * w for t, w in zip(row, table, strict=True)) for row in target.tolist()]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
