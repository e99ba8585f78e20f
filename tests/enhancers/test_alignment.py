import math

import pytest
import torch

from ltlearn.enhancers import SimilarityAlignment, label_similarity


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def loop_similarity(scores):
    label_range = max(scores) - min(scores)
    return [[1 - abs(a - b) / label_range if label_range else 1.0 for b in scores] for a in scores]


def loop_alignment(features, scores):
    similarity = loop_similarity(scores)
    norms = [math.sqrt(sum(x * x for x in row)) for row in features]
    total = 0.0
    for i, row in enumerate(features):
        for j, other in enumerate(features):
            cosine = sum(a * b for a, b in zip(row, other, strict=True)) / (norms[i] * norms[j])
            total += (cosine - similarity[i][j]) ** 2
    return total / len(features) ** 2


@pytest.mark.parametrize("scores", [[1.0, 2.5, 7.0, 2.5], [4.0, 4.0, 4.0, 4.0]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_matches_loops(scores, dtype):
    features = torch.randn(4, 3, dtype=dtype, generator=seeded())
    tensor = torch.tensor(scores, dtype=dtype)
    torch.testing.assert_close(
        label_similarity(tensor), torch.tensor(loop_similarity(scores), dtype=dtype)
    )
    torch.testing.assert_close(
        SimilarityAlignment()(features, tensor),
        torch.tensor(loop_alignment(features.tolist(), scores), dtype=dtype),
    )


def test_gradcheck():
    features = torch.randn(5, 3, dtype=torch.float64, generator=seeded(), requires_grad=True)
    scores = torch.randn(5, dtype=torch.float64, generator=seeded(1))
    assert torch.autograd.gradcheck(lambda f: SimilarityAlignment()(f, scores), features)


def test_bfloat16_is_computed_in_float32():
    features, scores = torch.randn(6, 4, generator=seeded()), torch.randn(6, generator=seeded(1))
    loss = SimilarityAlignment()(features.bfloat16(), scores.bfloat16())
    expected = SimilarityAlignment()(features.bfloat16().float(), scores.bfloat16().float())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)


def test_does_not_depend_on_the_unit_of_the_scores():
    features = torch.randn(6, 4, dtype=torch.float64, generator=seeded())
    scores = torch.randn(6, dtype=torch.float64, generator=seeded(1))
    torch.testing.assert_close(
        SimilarityAlignment()(features, scores), SimilarityAlignment()(features, 1e6 * scores - 7)
    )


@pytest.mark.parametrize("n_samples", [0, 1, 2])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e18])
@pytest.mark.parametrize("equal", [False, True])
def test_degenerate_batches_are_finite_and_attached(n_samples, scale, equal):
    features = (scale * torch.randn(n_samples, 3, generator=seeded())).requires_grad_()
    scores = torch.zeros(n_samples) if equal else torch.arange(n_samples) * 1e30
    loss = SimilarityAlignment()(features, scores)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(features.grad).all()


def test_a_zero_feature_gets_a_moderate_gradient():
    """Units that are all dead behind a ReLU are common and must not blow up the step."""
    features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    SimilarityAlignment()(features, torch.tensor([1.0, 2.0, 3.0])).backward()
    assert features.grad.abs().max() < 1


def test_large_batches_use_a_random_subset():
    features = torch.randn(40, 3, generator=seeded()).requires_grad_()
    scores = torch.randn(40, generator=seeded(1))
    alignment = SimilarityAlignment(max_rows=10)
    loss = alignment(features, scores, generator=seeded())
    loss.backward()
    rows = features.grad.abs().sum(1) > 0
    assert rows.sum() == 10
    torch.testing.assert_close(loss, SimilarityAlignment()(features[rows], scores[rows]))
    assert alignment(features, scores, generator=seeded()) == loss
    assert alignment(features, scores, generator=seeded(1)) != loss


def test_subsets_are_unbiased_over_rows():
    generator = seeded()
    scores = torch.randn(12, generator=generator)
    counts = torch.zeros(12)
    for _ in range(600):
        features = torch.randn(12, 3, generator=generator).requires_grad_()
        SimilarityAlignment(max_rows=4)(features, scores, generator=generator).backward()
        counts += features.grad.abs().sum(1) > 0
    assert counts.sum() == 600 * 4
    assert ((counts - 200).abs() < 60).all()


def test_bad_input_raises():
    with pytest.raises(ValueError, match="max_rows must be a positive integer"):
        SimilarityAlignment(max_rows=0)
    with pytest.raises(ValueError, match="Expected features"):
        SimilarityAlignment()(torch.zeros(4, 2), torch.zeros(4, 1))
    with pytest.raises(ValueError, match="scores must have shape"):
        label_similarity(torch.zeros(4, 1))
