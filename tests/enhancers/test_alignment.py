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


@pytest.mark.parametrize("n_samples", [0, 1, 2, 330])
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


# Batches of more rows than this are summed up in the order of their scores.
LARGE = 330


def some_batch(n_samples, n_features, dtype=torch.float64):
    """Features and scores, of which some are equal and one feature is zero."""
    features = torch.randn(n_samples, n_features, dtype=dtype, generator=seeded())
    features[n_samples // 2] = 0
    scores = torch.randn(n_samples, dtype=dtype, generator=seeded(1)).mul(4).round()
    return features.requires_grad_(), scores


def over_all_pairs(features, scores):
    """The definition as autograd differentiates it."""
    length = features.norm(dim=1, keepdim=True)
    directions = features / torch.where(length > 1e-8, length, 1)
    return (directions @ directions.T - label_similarity(scores)).square().mean()


@pytest.mark.parametrize(
    ("n_samples", "n_features"), [(16, 3), (LARGE, 1), (LARGE, 5), (447, 16), (352, 40), (300, 320)]
)
def test_value_and_gradient_at_any_size(n_samples, n_features):
    features, scores = some_batch(n_samples, n_features)
    expected = over_all_pairs(features, scores)
    (expected_gradient,) = torch.autograd.grad(expected, features)
    loss = SimilarityAlignment()(features, scores)
    (gradient,) = torch.autograd.grad(loss, features)
    torch.testing.assert_close(loss, expected, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-13)
    in_float32 = SimilarityAlignment()(features.detach().float(), scores.float())
    torch.testing.assert_close(in_float32, expected.detach().float(), rtol=0, atol=5e-7)


def test_gradcheck_of_a_large_batch():
    features, scores = some_batch(LARGE, 2)
    direction = torch.randn(LARGE, 2, dtype=torch.float64, generator=seeded(2))

    def along(step):
        return SimilarityAlignment()(features.detach() + step * direction, scores)

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    features.detach()[LARGE // 2] = 1.0  # where the gradient exists
    assert torch.autograd.gradcheck(along, step)


@pytest.mark.parametrize("equal_scores", [False, True])
def test_perfect_alignment_of_a_large_batch_is_zero(equal_scores):
    features = torch.ones(LARGE, 2)
    scores = torch.zeros(LARGE)
    if not equal_scores:
        features[:100], scores[:100] = torch.tensor([1.0, -1.0]), 3.0
    loss = SimilarityAlignment()(features, scores)
    assert abs(loss) < 1e-6


@pytest.mark.parametrize("n_samples", [9, LARGE])
def test_weights_count_rows(n_samples):
    features, scores = some_batch(n_samples, 4)
    times = torch.randint(3, (n_samples,), generator=seeded(2))
    times[scores.argmax()] = 0  # the range of the labels is that of the rows that count
    repeated = SimilarityAlignment()(
        features.repeat_interleave(times, 0), scores.repeat_interleave(times)
    )
    (expected,) = torch.autograd.grad(repeated, features)
    weighted = SimilarityAlignment()(features, scores, times.double())
    (gradient,) = torch.autograd.grad(weighted, features)
    torch.testing.assert_close(weighted, repeated)
    torch.testing.assert_close(gradient, expected)
    nothing = SimilarityAlignment()(features, scores, torch.zeros(n_samples))
    nothing.backward()
    assert nothing == 0
    assert not features.grad.any()


@pytest.mark.parametrize("n_samples", [12, LARGE])
def test_vmap_is_a_loop_over_batches(n_samples):
    features = torch.randn(3, n_samples, 4, generator=seeded(), requires_grad=True)
    scores = torch.randn(3, n_samples, generator=seeded(1))
    weight = torch.rand(3, n_samples, generator=seeded(2))
    together = torch.func.vmap(SimilarityAlignment())(features, scores, weight)
    (gradient,) = torch.autograd.grad(together.sum(), features)
    apart = torch.stack(list(map(SimilarityAlignment(), features, scores, weight)))
    (expected,) = torch.autograd.grad(apart.sum(), features)
    torch.testing.assert_close(together, apart)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(("n_samples", "n_features"), [(9, 3), (LARGE, 5), (352, 3)])
def test_prepared_labels_of_many_batches(n_samples, n_features):
    """Also of batches whose labels are all equal, or increase."""
    features = torch.randn(3, n_samples, n_features, dtype=torch.float64, generator=seeded())
    scores = torch.randn(3, n_samples, dtype=torch.float64, generator=seeded(1))
    scores[1], scores[2] = 1.0, torch.arange(n_samples)
    prepared = SimilarityAlignment().prepare(scores, n_features)
    for number in range(3):
        own = features[number].clone().requires_grad_()
        expected = over_all_pairs(own, scores[number])
        (expected_gradient,) = torch.autograd.grad(expected, own)
        of_batch = {name: values[number] for name, values in prepared.items()}
        loss = SimilarityAlignment()(own, scores[number], prepared=of_batch)
        (gradient,) = torch.autograd.grad(loss, own)
        torch.testing.assert_close(loss, expected, rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("n_samples", [12, LARGE])
def test_autocast_changes_nothing(n_samples):
    features = torch.randn(n_samples, 8, generator=seeded(), requires_grad=True)
    scores = torch.randn(n_samples, generator=seeded(1))
    expected = SimilarityAlignment()(features, scores)
    (expected_gradient,) = torch.autograd.grad(expected, features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = SimilarityAlignment()(features, scores)
    (gradient,) = torch.autograd.grad(loss, features)
    assert torch.equal(loss, expected)
    assert torch.equal(gradient, expected_gradient)


def test_the_gradient_cannot_be_differentiated_without_a_word():
    features, scores = some_batch(6, 3)
    (gradient,) = torch.autograd.grad(
        SimilarityAlignment()(features, scores), features, create_graph=True
    )
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient.sum().backward()


def test_bad_input_raises():
    with pytest.raises(ValueError, match="Expected features"):
        SimilarityAlignment()(torch.zeros(4, 2), torch.zeros(4, 1))
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        SimilarityAlignment()(torch.zeros(4, 2), torch.zeros(4), torch.zeros(4, 1))
    with pytest.raises(ValueError, match="scores must have shape"):
        label_similarity(torch.zeros(4, 1))
