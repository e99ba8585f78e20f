import math

import numpy as np
import pytest
import torch

from ltlearn.losses import BalancedCrossEntropy, NeighborSilencingLoss

COUNTS = [120, 30, 4, 50, 20, 1]
NEIGHBORS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=bool)
N_TARGET = 3
DIRECTIONS = ["both", "auxiliary", "target"]


def is_silenced(y, j, direction):
    if y < N_TARGET <= j:
        return bool(NEIGHBORS[y, j - N_TARGET]) and direction != "auxiliary"
    if j < N_TARGET <= y:
        return bool(NEIGHBORS[j, y - N_TARGET]) and direction != "target"
    return False


def loop_silencing(row, y, silencing, direction, tau, smoothing=0.0):
    adjusted = [z + tau * math.log(n / sum(COUNTS)) for z, n in zip(row, COUNTS, strict=True)]
    total, heard = 0.0, []
    for j, z in enumerate(adjusted):
        silenced = is_silenced(y, j, direction)
        total += (silencing if silenced else 1.0) * math.exp(z)
        if not silenced or silencing == 1:
            heard.append(z)
    own = math.log(total) - adjusted[y]
    spread = sum(math.log(total) - z for z in heard) / len(heard)
    return (1 - smoothing) * own + smoothing * spread


@pytest.fixture
def logits():
    return torch.randn(12, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


TARGET = torch.arange(12) % 6


@pytest.mark.parametrize("silencing", [0, 0.1, 0.7, 1])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("tau", [0.0, 1.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_matches_loop(logits, silencing, direction, tau, smoothing):
    loss = NeighborSilencingLoss(
        COUNTS,
        NEIGHBORS,
        silencing=silencing,
        direction=direction,
        tau=tau,
        label_smoothing=smoothing,
        reduction="none",
    )
    expected = [
        loop_silencing(row, y, silencing, direction, tau, smoothing)
        for row, y in zip(logits.tolist(), TARGET.tolist(), strict=True)
    ]
    np.testing.assert_allclose(loss(logits, TARGET), expected, rtol=1e-6)


@pytest.mark.parametrize("silencing", [0, 0.1])
def test_mixed_labels_each_have_their_own_mask(logits, silencing):
    loss = NeighborSilencingLoss(COUNTS, NEIGHBORS, silencing=silencing, reduction="none")
    soft = torch.zeros(12, 6, dtype=torch.float64)
    expected = []
    for k, row in enumerate(logits.tolist()):
        first, second, share = k % 6, (k + 3) % 6, (k + 1) / 20
        soft[k, first], soft[k, second] = share, 1 - share
        expected.append(
            share * loop_silencing(row, first, silencing, "both", 1.0)
            + (1 - share) * loop_silencing(row, second, silencing, "both", 1.0)
        )
    np.testing.assert_allclose(loss(logits, soft), expected, rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_is_balanced_cross_entropy_without_silencing(logits, smoothing, direction):
    options = {"label_smoothing": smoothing, "reduction": "none"}
    silencing = NeighborSilencingLoss(
        COUNTS, NEIGHBORS, silencing=1, direction=direction, **options
    )
    balanced = BalancedCrossEntropy(COUNTS, **options)
    torch.testing.assert_close(silencing(logits, TARGET), balanced(logits, TARGET))
    soft = logits.softmax(1)
    torch.testing.assert_close(silencing(logits, soft), balanced(logits, soft))


def test_is_the_masked_softmax_with_full_silencing(logits):
    loss = NeighborSilencingLoss(COUNTS, NEIGHBORS, silencing=0, reduction="none")
    values = loss(logits, TARGET)
    prior = torch.tensor(COUNTS, dtype=torch.float64) / sum(COUNTS)
    for value, row, y in zip(values, logits, TARGET.tolist(), strict=True):
        kept = [j for j in range(6) if not is_silenced(y, j, "both")]
        log_softmax = (row[kept] + prior[kept].log()).log_softmax(0)
        assert value.item() == pytest.approx(-log_softmax[kept.index(y)].item(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("size", [100.0, 1e30])
def test_a_fully_silenced_class_has_no_influence_however_large(dtype, smoothing, size):
    loss = NeighborSilencingLoss(COUNTS, NEIGHBORS, silencing=0, label_smoothing=smoothing)
    small = torch.zeros(1, 6, dtype=dtype)
    large = small.clone()
    large[0, 3] = size
    large.requires_grad_()
    value = loss(large, torch.tensor([0]))
    value.backward()
    assert value == loss(small, torch.tensor([0]))
    assert large.grad[0, 3] == 0
    assert large.grad[0, 0] < 0


def test_value_falls_with_silencing(logits):
    values = torch.stack(
        [
            NeighborSilencingLoss(COUNTS, NEIGHBORS, silencing=silencing)(logits, TARGET)
            for silencing in (0, 1e-6, 0.1, 0.5, 1)
        ]
    )
    assert (values.diff() > 0).all()


def test_without_neighbors_it_is_balanced_cross_entropy(logits):
    for neighbors in (np.zeros((3, 3), dtype=bool), np.zeros((6, 0), dtype=bool)):
        torch.testing.assert_close(
            NeighborSilencingLoss(COUNTS, neighbors, silencing=0)(logits, TARGET),
            BalancedCrossEntropy(COUNTS)(logits, TARGET),
        )


def test_a_class_may_be_silenced_by_all_others():
    """The softmax of a target class whose every rival is a neighbor is certain."""
    loss = NeighborSilencingLoss([5, 5, 5], [[True, True]], silencing=0, reduction="none")
    values = loss(torch.randn(3, 3), torch.tensor([0, 0, 0]))
    torch.testing.assert_close(values, torch.zeros(3), atol=1e-6, rtol=0)


def test_priors_follow_updated_counts_and_absent_classes_stay_finite(logits):
    loss = NeighborSilencingLoss(COUNTS, NEIGHBORS)
    loss.update_class_counts([120, 30, 4, 50, 0, 0])
    assert loss(logits, TARGET) == NeighborSilencingLoss([120, 30, 4, 50, 4, 4], NEIGHBORS)(
        logits, TARGET
    )


@pytest.mark.parametrize(
    ("neighbors", "options", "message"),
    [
        (NEIGHBORS, {"silencing": 1.5}, r"silencing must lie in \[0, 1\]"),
        (NEIGHBORS, {"silencing": math.nan}, r"silencing must lie in \[0, 1\]"),
        (NEIGHBORS, {"direction": "none"}, "direction must be one of"),
        (NEIGHBORS[:2], {}, "neighbors must have shape"),
        (NEIGHBORS[0], {}, "neighbors must have shape"),
    ],
)
def test_bad_options_raise(neighbors, options, message):
    with pytest.raises(ValueError, match=message):
        NeighborSilencingLoss(COUNTS, neighbors, **options)


@pytest.mark.parametrize("value", [0.3, -1, 2, float("nan")])
def test_similarities_are_no_relation(value):
    with pytest.raises(ValueError, match="similarity >= threshold"):
        NeighborSilencingLoss([5, 5, 5], [[value], [0]])
