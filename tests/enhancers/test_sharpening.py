import math

import pytest
import torch

from ltlearn.enhancers import AdaptiveSharpening, select_sharpening, sharpen
from ltlearn.exceptions import SmallSampleWarning


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def loop_sharpen(logits, scores, mean_score, beta):
    rows = []
    for row, score in zip(logits, scores, strict=True):
        factor = math.exp(beta * abs(mean_score - score))
        weights = [math.exp(z * factor) for z in row]
        rows.append([weight / sum(weights) for weight in weights])
    return rows


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.25])
def test_sharpen_matches_loop(beta):
    logits = torch.randn(5, 4, dtype=torch.float64, generator=seeded())
    scores = torch.randn(5, dtype=torch.float64, generator=seeded(1))
    expected = loop_sharpen(logits.tolist(), scores.tolist(), 0.3, beta)
    torch.testing.assert_close(
        sharpen(logits, scores, 0.3, beta), torch.tensor(expected, dtype=torch.float64)
    )


def test_sharpen_at_the_mean_is_the_softmax():
    logits = torch.randn(3, 4, generator=seeded())
    torch.testing.assert_close(sharpen(logits, torch.full((3,), 5.0), 5.0, 2.0), logits.softmax(1))


def test_gradcheck():
    logits = torch.randn(3, 4, dtype=torch.float64, generator=seeded(), requires_grad=True)
    scores = torch.randn(3, dtype=torch.float64, generator=seeded(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, s: sharpen(z, s, 0.1, 0.7), (logits, scores))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("distance", [0.0, 50.0, 1e6])
def test_sharpen_is_finite_for_every_distance_from_the_mean(dtype, distance):
    logits = torch.tensor([[0.0, 0.0, -1.0], [50.0, 3.0, -2.0], [0.0, 0.0, 0.0]], dtype=dtype)
    logits.requires_grad_()
    q = sharpen(logits, torch.full((3,), 5 + distance, dtype=dtype), 5.0, 1.25)
    q.square().sum().backward()
    assert q.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(q.sum(1), torch.ones(3, dtype=q.dtype))
    assert torch.isfinite(logits.grad).all()
    if distance:
        torch.testing.assert_close(q[0], torch.tensor([0.5, 0.5, 0.0], dtype=q.dtype))


def test_adaptive_sharpening_keeps_confident_samples():
    logits = torch.randn(50, 6, generator=seeded())
    scores = torch.randn(50, generator=seeded(1))
    q, keep = AdaptiveSharpening(0.8, 0.6)(logits, scores)
    torch.testing.assert_close(q, sharpen(logits, scores, scores.mean(), 0.8))
    assert keep.tolist() == [max(row) > 0.6 for row in q.tolist()]
    assert 0 < keep.sum() < 50
    q_given, _ = AdaptiveSharpening(0.8, 0.6)(logits, scores, mean_score=2.0)
    torch.testing.assert_close(q_given, sharpen(logits, scores, 2.0, 0.8))


@pytest.mark.parametrize(("threshold", "kept"), [(0.4, 3), (0.5, 2), (0.9, 1), (1.0, 0)])
def test_a_sample_at_the_threshold_is_not_kept(threshold, kept):
    """Probabilities of exactly 1/2, 1 and something between."""
    logits = torch.tensor([[0.0, 0.0], [0.0, 2e3], [0.0, 1.0]])
    q, keep = AdaptiveSharpening(0.0, threshold)(logits, torch.zeros(3))
    assert q[:2].amax(1).tolist() == [0.5, 1.0]
    assert keep.sum() == kept


def test_an_empty_batch_keeps_nothing():
    q, keep = AdaptiveSharpening()(torch.zeros(0, 4), torch.zeros(0))
    assert q.shape == (0, 4)
    assert keep.shape == (0,)
    assert keep.dtype == torch.bool


def select_by_brute_force(logits, scores, true_scores, betas, thresholds, min_kept):
    best = None
    for beta in betas:
        for threshold in thresholds:
            _, keep = AdaptiveSharpening(beta, threshold)(logits, scores)
            kept = [k for k, flag in enumerate(keep.tolist()) if flag]
            if len(kept) < min_kept:
                continue
            error = sum(abs(scores[k] - true_scores[k]).item() for k in kept) / len(kept)
            if best is None or error < best[0] - 1e-9:
                best = (error, (beta, threshold))
    return best[1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("min_kept", [1, 20, 60])
def test_selection_matches_brute_force(seed, min_kept):
    generator = seeded(seed)
    logits = 3 * torch.randn(200, 5, generator=generator)
    scores = torch.randn(200, generator=generator)
    true_scores = scores + torch.randn(200, generator=generator)
    betas, thresholds = [0.1, 0.5, 1.0], [0.5, 0.7, 0.9, 0.99]
    chosen = select_sharpening(
        logits, scores, true_scores, betas=betas, thresholds=thresholds, min_kept=min_kept
    )
    expected = select_by_brute_force(logits, scores, true_scores, betas, thresholds, min_kept)
    assert chosen == expected


@pytest.mark.parametrize(("min_kept", "threshold"), [(1, 0.85), (2, 0.7), (3, 0.6)])
def test_a_pair_that_keeps_just_enough_is_judged(min_kept, threshold):
    """The more confident, the better: so the best pair is the strictest one that is allowed."""
    logits = torch.tensor([[0.0, 2.0], [0.0, 1.0], [0.0, 0.5]])  # 0.88, 0.73 and 0.62
    scores, true_scores = torch.zeros(3), torch.tensor([0.0, 1.0, 2.0])
    chosen = select_sharpening(
        logits,
        scores,
        true_scores,
        betas=[1.0],
        thresholds=[0.85, 0.7, 0.6],
        min_kept=min_kept,
    )
    assert chosen == (1.0, threshold)


def test_equal_errors_go_to_the_pair_that_keeps_more_then_to_the_first():
    logits = torch.tensor([[0.0, 2.0], [0.0, 1.0]])
    scores, true_scores = torch.zeros(2), torch.ones(2)
    chosen = select_sharpening(
        logits, scores, true_scores, betas=[1.0, 2.0], thresholds=[0.8, 0.6, 0.5]
    )
    assert chosen == (1.0, 0.6)


def test_too_few_kept_samples_warn_and_fall_back_to_the_pair_that_keeps_most():
    logits = torch.tensor([[0.0, 2.0], [0.0, 1.0], [0.0, 0.1]])
    scores = true_scores = torch.zeros(3)
    with pytest.warns(SmallSampleWarning, match="keeps most, 2"):
        chosen = select_sharpening(
            logits, scores, true_scores, betas=[1.0], thresholds=[0.8, 0.7], min_kept=3
        )
    assert chosen == (1.0, 0.7)
    with pytest.warns(SmallSampleWarning, match="keeps most, 0"):
        select_sharpening(logits, scores, true_scores, betas=[1.0], thresholds=[0.99])


@pytest.mark.parametrize("options", [{"beta": -0.1}, {"beta": math.inf}, {"threshold": 1.1}])
def test_bad_options_raise(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        AdaptiveSharpening(**options)


def test_bad_input_raises():
    logits, scores = torch.zeros(4, 3), torch.zeros(4)
    with pytest.raises(ValueError, match="Expected logits"):
        sharpen(logits, scores[:1], 0.0, 1.0)
    with pytest.raises(ValueError, match="scores must have shape"):
        sharpen(logits, scores[:, None], 0.0, 1.0)
    with pytest.raises(ValueError, match="same shape"):
        select_sharpening(logits, scores, scores[:2])
    with pytest.raises(ValueError, match="must not be empty"):
        select_sharpening(logits, scores, scores, betas=[])
    with pytest.raises(ValueError, match="min_kept"):
        select_sharpening(logits, scores, scores, min_kept=0)
