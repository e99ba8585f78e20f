import math

import numpy as np
import pytest
import torch

from ltlearn.losses import ClassBalancedWeights, LDAMLoss

COUNTS = [400, 30, 5, 1]


def loop_ldam(logits, target, max_margin, scale):
    largest = min(COUNTS) ** -0.25
    values = []
    for row, y in zip(logits.tolist(), target.tolist(), strict=True):
        margin = max_margin * COUNTS[y] ** -0.25 / largest
        exponents = [scale * (z - margin * (j == y)) for j, z in enumerate(row)]
        values.append(math.log(sum(math.exp(e) for e in exponents)) - exponents[y])
    return values


@pytest.mark.parametrize("max_margin", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_matches_loop(max_margin, scale):
    logits = torch.rand(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = torch.arange(8) % 4
    loss = LDAMLoss(COUNTS, max_margin=max_margin, scale=scale, reduction="none")
    expected = loop_ldam(logits, target, max_margin, scale)
    np.testing.assert_allclose(loss(logits, target), expected, rtol=1e-5)


def test_deferred_reweighting_starts_at_its_epoch():
    logits, target = torch.rand(8, 4), torch.arange(8) % 4
    plain = LDAMLoss(COUNTS, reduction="none")(logits, target)
    weights = ClassBalancedWeights(COUNTS, beta=0.99)(target)
    loss = LDAMLoss(COUNTS, drw_epoch=3, beta=0.99, reduction="none")
    for epoch in (0, 2, 3, 7, 1):
        loss.set_epoch(epoch)
        expected = weights * plain if epoch >= 3 else plain
        torch.testing.assert_close(loss(logits, target), expected)


def test_never_reweights_by_default():
    loss = LDAMLoss(COUNTS)
    loss.set_epoch(10**6)
    assert not loss.reweighting


@pytest.mark.parametrize("options", [{"max_margin": -0.1}, {"scale": 0}, {"beta": 1.0}])
def test_bad_options_raise(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LDAMLoss(COUNTS, **options)
