import numpy as np
import pytest
import torch
from scipy.special import logit
from sklearn.metrics import mean_pinball_loss

from ltlearn.losses import QuantileLoss, pinball_per_sample, quantile_levels

LEVELS = [0.05, 0.3, 0.5, 0.9]


def batch(n_samples=7, n_levels=4, dtype=torch.float64, members=()):
    generator = torch.Generator().manual_seed(0)
    shape = (n_samples, *members, n_levels)
    prediction = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    target = torch.randn(n_samples, generator=generator, dtype=torch.float64).to(dtype)
    weight = torch.rand(n_samples, generator=generator, dtype=torch.float64).to(dtype)
    return prediction, target, weight


def loop_pinball(prediction, target, levels):
    values = []
    for row, y in zip(prediction.tolist(), target.tolist(), strict=True):
        losses = [
            level * (y - q) if y >= q else (1 - level) * (q - y)
            for level, q in zip(levels, row, strict=True)
        ]
        values.append(sum(losses) / len(losses))
    return values


def test_matches_loop():
    prediction, target, _ = batch()
    values = pinball_per_sample(prediction, target, torch.tensor(LEVELS, dtype=torch.float64))
    np.testing.assert_allclose(values, loop_pinball(prediction, target, LEVELS), rtol=1e-12)


def test_matches_scikit_learn():
    prediction, target, weight = batch(50)
    expected = np.mean(
        [
            mean_pinball_loss(target, prediction[:, k], alpha=level, sample_weight=weight)
            for k, level in enumerate(LEVELS)
        ]
    )
    value = QuantileLoss(LEVELS)(prediction, target, weight)
    np.testing.assert_allclose(value * 50 / weight.sum(), expected, rtol=1e-12)


def test_members_are_averaged():
    prediction, target, _ = batch(members=(3,))
    loss = QuantileLoss(LEVELS, reduction="none")
    each = torch.stack([loss(prediction[:, m], target) for m in range(3)])
    torch.testing.assert_close(loss(prediction, target), each.mean(0))


def test_least_at_the_quantiles_of_a_sample():
    """Gradient descent on constants finds the empirical quantiles."""
    y = torch.from_numpy(np.random.default_rng(0).lognormal(size=1001))
    constants = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([constants], max_iter=500, line_search_fn="strong_wolfe")
    loss = QuantileLoss(LEVELS)

    def closure():
        optimizer.zero_grad()
        value = loss(constants.expand(1001, 4), y)
        value.backward()
        return value

    optimizer.step(closure)
    quantiles = torch.from_numpy(np.quantile(y, LEVELS))
    reached = loss(constants.detach().expand(1001, 4), y)
    least = loss(quantiles.expand(1001, 4), y)
    assert least <= reached + 1e-12
    assert reached < least * 1.01
    np.testing.assert_allclose(constants.detach(), quantiles, rtol=0.1, atol=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_reductions_and_weights(dtype, reduction, weighted):
    prediction, target, weight = batch(dtype=dtype)
    values = np.array(loop_pinball(prediction, target, LEVELS))
    if weighted:
        values = values * weight.double().numpy()
    expected = {"mean": values.sum() / 7, "sum": values.sum(), "none": values}[reduction]
    loss = QuantileLoss(LEVELS, reduction=reduction)(
        prediction, target, weight if weighted else None
    )
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    np.testing.assert_allclose(loss.double(), expected, rtol=2e-5, atol=1e-6)


def test_gradcheck():
    prediction, target, weight = batch(members=(2,))
    loss = QuantileLoss(LEVELS)
    assert torch.autograd.gradcheck(lambda q: loss(q, target, weight), prediction.requires_grad_())


def test_gradient_where_a_quantile_is_hit_lies_between_those_beside_it():
    prediction = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    QuantileLoss(LEVELS)(prediction, torch.zeros(1, dtype=torch.float64)).backward()
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    assert (prediction.grad[0] >= -levels / 4).all()
    assert (prediction.grad[0] <= (1 - levels) / 4).all()


@pytest.mark.parametrize("n_samples", [0, 1])
@pytest.mark.parametrize("weight", [None, 0.0])
def test_degenerate_batches_are_finite_and_attached(n_samples, weight):
    prediction, target, _ = batch(n_samples)
    weights = None if weight is None else torch.full((n_samples,), weight)
    value = QuantileLoss(LEVELS)(prediction.requires_grad_(), target, weights)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(prediction.grad).all()
    if weight == 0 or n_samples == 0:
        assert value == 0


def test_levels_are_equally_spaced_in_their_logit():
    levels = quantile_levels()
    assert levels.dtype == torch.float64
    np.testing.assert_allclose(logit(levels.numpy()), np.arange(-24, 25) / 4, atol=1e-10)
    assert levels[24] == 0.5
    torch.testing.assert_close(QuantileLoss().levels, levels)


def test_follows_the_dtype_of_the_prediction_after_a_move():
    prediction, target, _ = batch(dtype=torch.float32)
    assert QuantileLoss(LEVELS).float()(prediction, target).dtype == torch.float32
    assert QuantileLoss(LEVELS)(prediction, target).dtype == torch.float32


def test_state_dict_round_trip():
    prediction, target, _ = batch()
    saved, loaded = QuantileLoss(LEVELS), QuantileLoss([0.1, 0.2, 0.3, 0.4])
    loaded.load_state_dict(saved.state_dict())
    assert loaded(prediction, target) == saved(prediction, target)


def test_bad_input_raises():
    prediction, target, _ = batch()
    loss = QuantileLoss(LEVELS)
    with pytest.raises(ValueError, match=r"prediction must have shape \(B, ..., 4\)"):
        loss(prediction[:, :3], target)
    with pytest.raises(ValueError, match=r"prediction must have shape \(B, ..., 4\)"):
        loss(prediction[0], target)
    with pytest.raises(ValueError, match=r"target must have shape \(7,\)"):
        loss(prediction, target.unsqueeze(1))
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        loss(prediction, target, torch.ones(7, 1))
    with pytest.raises(ValueError, match="reduction must be one of"):
        QuantileLoss(reduction="average")
    for levels in ([], [0.0, 0.5], [1.0], [float("nan")], [[0.5]]):
        with pytest.raises(ValueError, match="levels must be numbers between 0 and 1"):
            QuantileLoss(levels)
    for n_levels in (0, 2, -1):
        with pytest.raises(ValueError, match="n_levels must be a positive odd number"):
            quantile_levels(n_levels)
    with pytest.raises(ValueError, match="limit must be positive"):
        quantile_levels(limit=0)
