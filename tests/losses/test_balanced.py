import math

import numpy as np
import pytest
import torch

from ltlearn.losses import BalancedCrossEntropy


def loop_balanced(logits, target, counts, tau, smoothing=0.0):
    values = []
    for row, y in zip(logits.tolist(), target.tolist(), strict=True):
        adjusted = [z + tau * math.log(n / sum(counts)) for z, n in zip(row, counts, strict=True)]
        log_sum = math.log(sum(math.exp(z) for z in adjusted))
        losses = [log_sum - z for z in adjusted]
        values.append((1 - smoothing) * losses[y] + smoothing * sum(losses) / len(losses))
    return values


@pytest.mark.parametrize("tau", [0.0, 1.0, 1.7])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_matches_loop(tau, smoothing):
    counts = [500, 60, 7, 1]
    logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 1, 2, 3, 3, 0])
    loss = BalancedCrossEntropy(counts, tau=tau, label_smoothing=smoothing, reduction="none")
    expected = loop_balanced(logits, target, counts, tau, smoothing)
    np.testing.assert_allclose(loss(logits, target), expected, rtol=1e-6)


@pytest.mark.parametrize("counts", [[4, 4, 4], torch.tensor([0.1, 0.1, 0.1]), np.array([9, 9, 9])])
def test_equal_counts_are_plain_cross_entropy(counts):
    logits, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    torch.testing.assert_close(
        BalancedCrossEntropy(counts)(logits, target),
        torch.nn.functional.cross_entropy(logits, target),
    )


def test_minimizer_is_the_balanced_posterior():
    """With features that say nothing, the fitted logits are equal whatever the counts."""
    target = torch.tensor([0] * 90 + [1] * 10)
    logits = torch.zeros(2, requires_grad=True)
    BalancedCrossEntropy([90, 10])(logits.expand(100, 2), target).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(2), atol=1e-6, rtol=0)


def test_an_absent_class_counts_as_the_rarest_present_one():
    absent, rare = BalancedCrossEntropy([50, 5, 0]), BalancedCrossEntropy([50, 5, 5])
    torch.testing.assert_close(absent.log_share, rare.log_share)


def test_update_class_counts():
    logits, target = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    loss = BalancedCrossEntropy([1, 1, 1])
    loss.update_class_counts([100, 10, 0])
    assert loss(logits, target) == BalancedCrossEntropy([100, 10, 0])(logits, target)
    with pytest.raises(ValueError, match=r"class_counts must have shape \(3,\)"):
        loss.update_class_counts([1, 2])


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, 2]], r"must have shape \(C,\)"),
        ([1, -1], "not negative"),
        ([1.0, math.nan], "finite"),
        ([0, 0], "not all zero"),
        ([], "not all zero"),
    ],
)
def test_bad_counts_raise(counts, message):
    with pytest.raises(ValueError, match=message):
        BalancedCrossEntropy(counts)


def test_bad_smoothing_raises():
    with pytest.raises(ValueError, match="label_smoothing"):
        BalancedCrossEntropy([1, 1], label_smoothing=1.0)
