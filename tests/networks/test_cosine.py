"""The cosine head against a plain loop, and the directions of class means."""

import math

import pytest
import torch

from ltlearn.networks import CosineHead, class_mean_directions


def test_logits_are_scaled_cosines():
    features, directions = torch.randn(5, 4), torch.randn(3, 4)
    logits = CosineHead(4, 3, scale=7.0, directions=directions)(features)
    for i in range(5):
        for k in range(3):
            f, w = features[i].tolist(), directions[k].tolist()
            dot = sum(a * b for a, b in zip(f, w, strict=True))
            expected = 7 * dot / math.hypot(*f) / math.hypot(*w)
            assert logits[i, k].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_length_of_neither_side_matters():
    head, features = CosineHead(4, 3), torch.randn(5, 4)
    before = head(features)
    with torch.no_grad():
        head.weight *= torch.tensor([[5.0], [0.1], [2.0]])
    torch.testing.assert_close(head(3 * features), before)


def test_rows_of_zeros_have_finite_logits_and_gradients():
    head, features = CosineHead(4, 3), torch.zeros(2, 4, requires_grad=True)
    head(features).sum().backward()
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_gradients():
    head = CosineHead(3, 2).double()
    features = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(head, features)


def test_directions_are_those_of_a_loop():
    features, labels = torch.randn(9, 4), torch.tensor([0, 0, 0, 0, 2, 2, 2, 3, 3])
    directions = class_mean_directions(features, labels, 4)
    for label in (0, 2, 3):
        mean = sum(features[i] for i in range(9) if labels[i] == label)
        torch.testing.assert_close(directions[label], mean / mean.norm())
    middle = directions[[0, 2, 3]].sum(dim=0)
    torch.testing.assert_close(directions[1], middle / middle.norm())  # no rows of its own


def test_bad_options_raise():
    with pytest.raises(ValueError, match="scale must be positive"):
        CosineHead(3, 2, scale=0.0)
    with pytest.raises(ValueError, match=r"directions must have shape \(2, 3\)"):
        CosineHead(3, 2, directions=torch.zeros(3, 2))
