"""What every classification loss promises, whatever its formula."""

import pandas as pd
import pytest
import torch

from ltlearn.losses import BalancedCrossEntropy, FocalLoss, LDAMLoss, NeighborSilencingLoss

COUNTS = [100, 10, 1, 30, 0]
NEIGHBORS = [[True, False], [True, False], [False, False]]
MAKERS = {
    "balanced": lambda **options: BalancedCrossEntropy(COUNTS, **options),
    "balanced smoothed": lambda **options: BalancedCrossEntropy(
        COUNTS, label_smoothing=0.1, **options
    ),
    "silencing": lambda **options: NeighborSilencingLoss(COUNTS, NEIGHBORS, **options),
    "silencing hard": lambda **options: NeighborSilencingLoss(
        COUNTS, NEIGHBORS, silencing=0, label_smoothing=0.1, **options
    ),
    "ldam": lambda **options: LDAMLoss(COUNTS, scale=3, **options),
    "ldam reweighted": lambda **options: LDAMLoss(COUNTS, scale=3, drw_epoch=0, **options),
    "focal": lambda **options: FocalLoss(**options),
    "focal flat": lambda **options: FocalLoss(gamma=0.5, **options),
}
all_losses = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def batch(n_samples=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n_samples, 5, generator=generator, dtype=torch.float64).to(dtype)
    target = torch.randint(0, 5, (n_samples,), generator=generator)
    weight = torch.rand(n_samples, generator=generator, dtype=torch.float64).to(dtype)
    return logits, target, weight


def mixed_targets(target, share=0.3):
    """Mixup targets: two non-zero entries per row, one where both labels agree."""
    one_hot = torch.eye(5)[target]
    return share * one_hot + (1 - share) * one_hot.flip(0)


@all_losses
def test_reductions_and_weights(make):
    logits, target, weight = batch()
    values = make(reduction="none")(logits, target)
    assert values.shape == (8,)
    assert (values > 0).all()
    torch.testing.assert_close(make(reduction="sum")(logits, target), values.sum())
    torch.testing.assert_close(make()(logits, target), values.mean())
    torch.testing.assert_close(
        make(reduction="none")(logits, target, sample_weight=weight), weight * values
    )
    torch.testing.assert_close(
        make()(logits, target, sample_weight=weight), (weight * values).sum() / 8
    )


@all_losses
def test_one_hot_targets_equal_integer_targets(make):
    logits, target, _ = batch()
    loss = make(reduction="none")
    torch.testing.assert_close(loss(logits, torch.eye(5)[target]), loss(logits, target))
    torch.testing.assert_close(loss(logits, target.to(torch.int32)), loss(logits, target))


@all_losses
def test_mixed_targets_mix_the_losses_of_the_labels(make):
    logits, target, _ = batch()
    loss = make(reduction="none")
    expected = 0.3 * loss(logits, target) + 0.7 * loss(logits, target.flip(0))
    torch.testing.assert_close(loss(logits, mixed_targets(target)), expected)


@all_losses
def test_losses_of_samples_do_not_depend_on_the_batch(make):
    logits, target, _ = batch()
    loss = make(reduction="none")
    alone = torch.cat([loss(logits[k : k + 1], target[k : k + 1]) for k in range(8)])
    torch.testing.assert_close(loss(logits, target), alone)


@all_losses
@pytest.mark.parametrize("soft", [False, True])
def test_gradcheck(make, soft):
    logits, target, weight = batch(dtype=torch.float64)
    target = mixed_targets(target).double() if soft else target
    assert torch.autograd.gradcheck(lambda z: make()(z, target, weight), logits.requires_grad_())


@all_losses
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtypes(make, soft, dtype):
    logits, target, _ = batch(dtype=dtype)
    target = mixed_targets(target).to(dtype) if soft else target
    value = make()(logits.requires_grad_(), target)
    value.backward()
    assert value.dtype == torch.promote_types(dtype, torch.float32)
    assert logits.grad.dtype == dtype
    expected = make()(logits.detach().double(), target.double() if soft else target)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)


@all_losses
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("n_samples", [0, 1])
@pytest.mark.parametrize("weight", [None, 0.0])
def test_degenerate_batches_are_finite_and_attached(make, soft, n_samples, weight):
    logits, target, _ = batch(n_samples)
    target = mixed_targets(target) if soft else target
    weights = None if weight is None else torch.full((n_samples,), weight)
    value = make()(logits.requires_grad_(), target, weights)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()
    if weight == 0 or n_samples == 0:
        assert value == 0
        assert (logits.grad == 0).all()


@all_losses
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 200.0, 1e30])
def test_extreme_logits_are_finite(make, soft, dtype, size):
    logits = size * torch.cat([torch.eye(5), -torch.eye(5)]).to(dtype)
    logits = logits.repeat_interleave(5, dim=0).requires_grad_()
    target = torch.arange(5).repeat(10)
    value = make()(logits, mixed_targets(target) if soft else target)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@all_losses
def test_state_dict_round_trip(make):
    logits, target, _ = batch()
    saved, loaded = make(), make()
    for buffer in loaded.buffers():
        buffer.zero_()
    loaded.load_state_dict(saved.state_dict())
    assert loaded(logits, target) == saved(logits, target)
    assert not list(saved.parameters())


@all_losses
def test_bad_input_raises(make):
    logits, target, _ = batch()
    with pytest.raises(ValueError, match="logits must have shape"):
        make()(logits[0], target)
    with pytest.raises(ValueError, match="Integer targets must have shape"):
        make()(logits, target.unsqueeze(1))
    with pytest.raises(ValueError, match="Soft targets must have the shape"):
        make()(logits, torch.ones(8))
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        make()(logits, target, torch.ones(8, 1))
    with pytest.raises(ValueError, match="reduction must be one of"):
        make(reduction="average")


@all_losses
@pytest.mark.parametrize("label", [-100, -1, 5])
def test_labels_that_are_no_class_are_refused(make, label):
    with pytest.raises((IndexError, RuntimeError)):
        make()(torch.zeros(2, 5), torch.tensor([0, label]))


@pytest.mark.parametrize("name", [name for name in MAKERS if "focal" not in name])
@pytest.mark.parametrize("n_columns", [1, 4, 6])
def test_logits_of_other_classes_are_refused(name, n_columns):
    with pytest.raises(ValueError, match=r"logits must have shape \(B, 5\)"):
        MAKERS[name]()(torch.zeros(2, n_columns), torch.tensor([0, 0]))


def test_counts_and_relation_from_pandas():
    counts, neighbors = pd.Series(COUNTS, list("edcba")), pd.DataFrame(NEIGHBORS)
    logits, target, _ = batch()
    expected = NeighborSilencingLoss(COUNTS, NEIGHBORS)(logits, target)
    assert NeighborSilencingLoss(counts, neighbors)(logits, target) == expected
