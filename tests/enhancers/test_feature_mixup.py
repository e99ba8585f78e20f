"""Mixing of rows and losses against plain loops, and the distribution of the share."""

import math
import random

import pytest
import torch
from scipy import stats

from ltlearn.enhancers import FeatureMixup
from ltlearn.losses import BalancedCrossEntropy, NeighborSilencingLoss


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def loop_loss(logits, labels, counts, silenced, weight, silencing):
    """Neighbor-silencing loss of one row for one label, over classes in a plain loop."""
    total = 0.0
    for k, count in enumerate(counts):
        w = silencing if silenced[labels][k] else 1.0
        total += w * math.exp(logits[k]) * count / sum(counts)
    own = logits[labels] + math.log(counts[labels] / sum(counts))
    return weight * (math.log(total) - own)


@pytest.mark.parametrize("n_samples", [2, 5, 8])
@pytest.mark.parametrize("silencing", [1.0, 0.1])
def test_the_mixed_loss_is_that_of_a_plain_loop(n_samples, silencing):
    """Two target classes and an auxiliary one next to the second."""
    counts = [30, 5, 10]
    silenced = [[False] * 3, [False, False, True], [False, True, False]]
    features = torch.randn(n_samples, 4, generator=seeded(), dtype=torch.float64)
    labels = torch.randint(3, (n_samples,), generator=seeded(1))
    weight = torch.rand(n_samples, generator=seeded(2), dtype=torch.float64)
    network = torch.nn.Linear(4, 3, dtype=torch.float64)
    loss = NeighborSilencingLoss(counts, [[False], [True]], silencing=silencing)

    mixed, draw = FeatureMixup(0.5)(features, seeded(3))
    logits, partners = network(mixed), draw.partners
    found = draw.expected(
        loss(logits, labels, weight), loss(logits, labels[partners], weight[partners])
    )

    share, expected = draw.share, 0.0
    for i in range(n_samples):
        j = n_samples - 1 - i
        row = [share * a + (1 - share) * b for a, b in zip(features[i], features[j], strict=True)]
        z = network(torch.stack(row)).tolist()
        for label, part, w in ((labels[i], share, weight[i]), (labels[j], 1 - share, weight[j])):
            args = (counts, silenced, w.item(), silencing)
            expected += part * loop_loss(z, label.item(), *args) / n_samples
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_mixed_rows_are_between_both():
    features = torch.randn(7, 3, 2, generator=seeded())
    mixed, draw = FeatureMixup(1.0)(features, seeded(1))
    assert 0 < draw.share < 1
    for i in range(7):
        expected = draw.share * features[i] + (1 - draw.share) * features[6 - i]
        torch.testing.assert_close(mixed[i], expected)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_the_share_has_the_beta_distribution(alpha):
    generator = seeded()
    shares = [FeatureMixup(alpha).draw(2, generator).share for _ in range(3000)]
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.001


@pytest.mark.parametrize("n_samples", [0, 1])
def test_a_batch_without_partners_stays_as_it_is(n_samples):
    features = torch.randn(n_samples, 3)
    mixed, draw = FeatureMixup()(features)
    torch.testing.assert_close(mixed, features)
    assert draw.partners.tolist() == list(range(n_samples))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_the_kind_of_numbers_is_kept(dtype):
    mixed, _ = FeatureMixup()(torch.ones(4, 2, dtype=dtype))
    assert mixed.dtype == dtype
    torch.testing.assert_close(mixed, torch.ones(4, 2, dtype=dtype))


def test_the_gradient_reaches_both_rows():
    features = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: FeatureMixup()(f, seeded())[0], features)


def test_a_generator_makes_it_reproducible_and_leaves_the_global_state():
    state = torch.get_rng_state()
    shares = [FeatureMixup().draw(3, seeded(seed)).share for seed in (0, 0, 1)]
    assert shares[0] == shares[1] != shares[2]
    assert torch.equal(torch.get_rng_state(), state)


def test_shares_may_come_from_pythons_generator():
    shares = [FeatureMixup().draw(3, random.Random(seed)).share for seed in (0, 0, 1)]
    assert shares[0] == shares[1] != shares[2]


def test_losses_of_a_mixed_label_are_those_of_the_soft_label():
    """Where the loss treats all labels alike, mixing losses is mixing labels."""
    logits, labels = torch.randn(6, 3, generator=seeded()), torch.tensor([0, 1, 2, 2, 1, 0])
    draw = FeatureMixup().draw(6, seeded())
    loss = BalancedCrossEntropy([5, 3, 1])
    soft = draw.mix(torch.nn.functional.one_hot(labels, 3).float())
    mixed = draw.expected(loss(logits, labels), loss(logits, labels[draw.partners]))
    torch.testing.assert_close(mixed, loss(logits, soft))


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("inf"), float("nan")])
def test_bad_options_raise(alpha):
    with pytest.raises(ValueError, match="alpha must be positive"):
        FeatureMixup(alpha)
