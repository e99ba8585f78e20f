import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from ltlearn.losses import EMDLoss, emd_per_sample


def random_distributions(n_rows, n_bins, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_rows, n_bins, generator=generator, dtype=torch.float64).softmax(1).to(dtype)


def loop_emd(p, q, r):
    values = []
    for p_row, q_row in zip(p.tolist(), q.tolist(), strict=True):
        p_cdf = q_cdf = total = 0.0
        for p_k, q_k in zip(p_row, q_row, strict=True):
            p_cdf += p_k
            q_cdf += q_k
            total += abs(p_cdf - q_cdf) ** r
        values.append((total / len(p_row)) ** (1 / r))
    return values


@pytest.mark.parametrize("r", [1, 1.5, 2, 3])
def test_emd_matches_loop(r):
    p, q = random_distributions(5, 7, seed=0), random_distributions(5, 7, seed=1)
    np.testing.assert_allclose(emd_per_sample(p, q, r), loop_emd(p, q, r), rtol=1e-12)


def test_emd_matches_scipy_at_r_1():
    p, q = random_distributions(4, 6, seed=0), random_distributions(4, 6, seed=1)
    bins = np.arange(6)
    expected = [wasserstein_distance(bins, bins, a, b) / 6 for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(emd_per_sample(p, q, r=1), expected, rtol=1e-12)


@pytest.mark.parametrize("r", [1, 2, 3])
def test_emd_is_a_metric(r):
    p, q, m = (random_distributions(20, 5, seed=seed) for seed in range(3))
    assert (emd_per_sample(p, p, r) == 0).all()
    assert torch.equal(emd_per_sample(p, q, r), emd_per_sample(q, p, r))
    assert (
        emd_per_sample(p, q, r) <= emd_per_sample(p, m, r) + emd_per_sample(m, q, r) + 1e-12
    ).all()


def test_point_masses_at_both_ends():
    ends = torch.eye(10)[[0, 9]]
    torch.testing.assert_close(emd_per_sample(ends, ends.flip(0)), torch.full((2,), 0.9**0.5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_matches_loop(dtype, reduction, weighted):
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    target = random_distributions(6, 5, dtype)
    weight = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 1.0], dtype=dtype)
    values = np.array(loop_emd(logits.double().softmax(1), target.double(), 2))
    if weighted:
        values = values * weight.double().numpy()
    expected = {"mean": values.sum() / 6, "sum": values.sum(), "none": values}[reduction]
    loss = EMDLoss(reduction=reduction)(logits, target, weight if weighted else None)
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    np.testing.assert_allclose(loss.double(), expected, rtol=2e-5, atol=1e-6)


def test_batch_form_takes_one_root_over_the_batch():
    logits = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = random_distributions(4, 5)
    weight = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    values = np.array(loop_emd(logits.softmax(1), target, 2))
    loss = EMDLoss(form="batch")
    np.testing.assert_allclose(loss(logits, target), np.sqrt((values**2).mean()))
    np.testing.assert_allclose(
        loss(logits, target, weight), np.sqrt((weight.numpy() * values**2).mean())
    )


@pytest.mark.parametrize("form", ["sample", "batch"])
@pytest.mark.parametrize("r", [1.5, 2, 3])
def test_gradcheck(form, r):
    logits = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = random_distributions(3, 4)
    weight = torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
    loss = EMDLoss(r=r, form=form)
    assert torch.autograd.gradcheck(lambda z: loss(z, target, weight), logits.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("form", ["sample", "batch"])
@pytest.mark.parametrize("r", [1, 1.5, 2, 3])
def test_gradient_is_zero_at_zero_loss(dtype, form, r):
    logits = torch.zeros(2, 4, dtype=dtype, requires_grad=True)
    loss = EMDLoss(r=r, form=form)(logits, torch.full((2, 4), 0.25, dtype=dtype))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e-4])
def test_gradient_stays_bounded_near_zero_loss(scale):
    logits = (scale * torch.tensor([[1.0, -1.0, 0.5, 0.0]])).requires_grad_()
    EMDLoss()(logits, torch.full((1, 4), 0.25)).backward()
    assert logits.grad.abs().max() < 1


@pytest.mark.parametrize("form", ["sample", "batch"])
@pytest.mark.parametrize("weight", [None, 0.0])
@pytest.mark.parametrize("n_samples", [0, 1])
def test_degenerate_batches_are_finite_and_attached(form, weight, n_samples):
    logits = torch.randn(n_samples, 3, requires_grad=True)
    target = random_distributions(n_samples, 3, torch.float32)
    weights = None if weight is None else torch.full((n_samples,), weight)
    loss = EMDLoss(form=form)(logits, target, weights)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_extreme_logits_are_finite():
    logits = torch.tensor([[1e38, -1e38, 0.0]], requires_grad=True)
    loss = EMDLoss()(logits, torch.eye(3)[[1]])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r": 0.5}, "at least 1"),
        ({"form": "root"}, "form must be"),
        ({"reduction": "median"}, "reduction must be one of"),
        ({"form": "batch", "reduction": "none"}, "no per-sample values"),
    ],
)
def test_bad_options_raise(options, message):
    with pytest.raises(ValueError, match=message):
        EMDLoss(**options)


def test_shape_mismatches_raise_instead_of_broadcasting():
    logits, target = torch.zeros(4, 3), torch.full((4, 3), 1 / 3)
    with pytest.raises(ValueError, match="same shape"):
        EMDLoss()(logits, target[:1])
    for form in ("sample", "batch"):
        with pytest.raises(ValueError, match="sample_weight must have shape"):
            EMDLoss(form=form)(logits, target, torch.ones(4, 1))
