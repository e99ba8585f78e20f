import itertools
import math

import pytest
import torch
from scipy.stats import chisquare

from ltlearn.enhancers import MixupDraw, TailMixup, anchor_probabilities, partner_probabilities
from ltlearn.enhancers import _sampling as sampling
from ltlearn.enhancers._sampling import (
    candidate_log_weights,
    draw_anchors,
    draw_partners,
    invert_rows,
    partners_by_blocks,
    partners_by_race,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def loop_anchor_probabilities(scores, tail_temperature):
    mean = math.fsum(scores) / len(scores)
    weights = [math.exp(abs(mean - score) / tail_temperature) for score in scores]
    return [weight / math.fsum(weights) for weight in weights]


def loop_partner_probabilities(scores, pair_temperature, eps):
    rows = []
    for i, score in enumerate(scores):
        weights = [
            0.0 if i == j else math.exp(pair_temperature / (abs(score - other) + eps))
            for j, other in enumerate(scores)
        ]
        rows.append([weight / math.fsum(weights) for weight in weights])
    return rows


def assert_frequencies(counts, probabilities):
    """Chi-square test; cells expected fewer than five times are pooled."""
    expected = probabilities * counts.sum()
    small = expected < 5
    observed, expected = (
        torch.cat([values[~small], values[small].sum()[None]]) for values in (counts, expected)
    )
    assert observed[expected == 0].sum() == 0
    observed, expected = observed[expected > 0], expected[expected > 0]
    if len(observed) > 1:
        expected = expected * (observed.sum() / expected.sum())
        assert chisquare(observed.double(), expected).pvalue > 1e-4


SCORES = {
    "spread": [0.0, 0.4, 1.5, 1.7, 2.0, 6.0],
    "ties": [1.0, 1.0, 1.0, 2.0, 2.0, 5.0],
    "equal": [3.0] * 6,
}


@pytest.mark.parametrize("scores", SCORES.values(), ids=SCORES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_match_loops(scores, dtype):
    tensor = torch.tensor(scores, dtype=dtype)
    torch.testing.assert_close(
        anchor_probabilities(tensor, 0.7),
        torch.tensor(loop_anchor_probabilities(scores, 0.7), dtype=dtype),
    )
    torch.testing.assert_close(
        partner_probabilities(tensor, 1.5, 0.1),
        torch.tensor(loop_partner_probabilities(scores, 1.5, 0.1), dtype=dtype),
    )


@pytest.mark.parametrize(
    ("scores", "pair_temperature"),
    [
        (torch.randint(10, 101, (48,), generator=seeded()) / 10, 10.0),
        (torch.rand(48, generator=seeded()) * 6e6, 2.0),
        (torch.full((48,), 0.3), 10.0),
        (torch.randn(48, generator=seeded()).bfloat16(), 10.0),
    ],
    ids=["ratings", "prices", "equal", "bfloat16"],
)
def test_probabilities_stay_finite(scores, pair_temperature):
    anchors = anchor_probabilities(scores, 0.5)
    partners = partner_probabilities(scores, pair_temperature, 0.01)
    assert anchors.dtype == partners.dtype == torch.float32
    assert (partners.diagonal() == 0).all()
    torch.testing.assert_close(anchors.sum(), torch.tensor(1.0))
    torch.testing.assert_close(partners.sum(1), torch.ones(48))


def test_probabilities_of_tiny_batches():
    assert anchor_probabilities(torch.zeros(0), 0.5).shape == (0,)
    assert partner_probabilities(torch.zeros(0), 2.0).shape == (0, 0)
    assert anchor_probabilities(torch.ones(1), 0.5).tolist() == [1.0]
    assert partner_probabilities(torch.ones(1), 2.0).tolist() == [[0.0]]


def subset_probabilities(scores, tail_temperature):
    """Of every set of three anchors out of six, drawn one after the other; by sorted indices."""
    probabilities = loop_anchor_probabilities(scores, tail_temperature)
    expected = dict.fromkeys(itertools.combinations(range(6), 3), 0.0)
    for a, b, c in itertools.permutations(range(6), 3):
        first, second, third = (probabilities[k] for k in (a, b, c))
        expected[tuple(sorted((a, b, c)))] += (
            first * second / (1 - first) * third / (1 - first - second)
        )
    return expected


def assert_subset_frequencies(anchors, scores, tail_temperature):
    """Chi-square test of the rows of anchors (n, 3)."""
    expected = subset_probabilities(scores, tail_temperature)
    counts = dict.fromkeys(expected, 0)
    for row in anchors.tolist():
        counts[tuple(sorted(row))] += 1
    assert_frequencies(
        *(torch.tensor(list(v.values()), dtype=torch.float64) for v in (counts, expected))
    )


@pytest.mark.parametrize("scores", SCORES.values(), ids=SCORES)
def test_anchors_are_drawn_one_after_the_other_without_replacement(scores):
    tensor = torch.tensor(scores)
    distance = (tensor - tensor.mean()).abs()
    generator = seeded()
    drawn = torch.stack([draw_anchors(distance, 3, 1.5, generator) for _ in range(4000)])
    assert_subset_frequencies(drawn, scores, 1.5)


PARTNER_CASES = {
    **{name: (scores, 1.0) for name, scores in SCORES.items()},
    "steep": (torch.randn(60, generator=seeded(1)).tolist(), 2.0),
    "flat": (torch.randn(60, generator=seeded(2)).tolist(), 0.01),
    "isolated": ([*torch.randn(59, generator=seeded(3)).tolist(), 30.0], 2.0),
    "ratings": ((torch.randint(30, 50, (80,), generator=seeded(4)) / 10).tolist(), 10.0),
    "prices": ((torch.rand(50, generator=seeded(5)) * 1e6).tolist(), 2.0),
    "pair": ([1.0, 4.0], 2.0),
}


def partners_by_inversion(scores, anchors, pair_temperature, eps, generator):
    """Small batches on a CPU."""
    weights = candidate_log_weights(scores, anchors, pair_temperature, eps)
    return invert_rows(weights, generator)


every_sampler = pytest.mark.parametrize(
    "draw", [partners_by_inversion, partners_by_race, partners_by_blocks]
)


@every_sampler
@pytest.mark.parametrize("case", PARTNER_CASES)
@pytest.mark.parametrize("rank", [0, 1, "middle", -1])
def test_partner_frequencies(draw, case, rank):
    scores, pair_temperature = PARTNER_CASES[case]
    scores = torch.tensor(scores)
    anchor = scores.argsort()[len(scores) // 2 if rank == "middle" else rank]
    expected = partner_probabilities(scores.double(), pair_temperature, 0.05)[anchor]
    partners = draw(scores, anchor.expand(20_000), pair_temperature, 0.05, seeded())
    assert_frequencies(partners.bincount(minlength=len(scores)).double(), expected)


@every_sampler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_sample_is_its_own_partner(draw, dtype):
    scores = torch.randint(0, 5, (300,), generator=seeded()).to(dtype)
    anchors = torch.arange(300).repeat(20)
    partners = draw(scores, anchors, 2.0, 0.01, seeded())
    assert (partners != anchors).all()
    assert partners.min() >= 0
    assert partners.max() < 300


@every_sampler
def test_batches_are_drawn_independently(draw):
    batches = torch.tensor(
        [PARTNER_CASES[case][0][:50] for case in ("steep", "flat", "isolated", "prices")]
    )
    anchors = torch.tensor([[3], [0], [49], [20]])
    partners = draw(batches, anchors.expand(4, 10_000), 2.0, 0.05, seeded())
    for scores, anchor, drawn in zip(batches, anchors, partners, strict=True):
        expected = partner_probabilities(scores.double(), 2.0, 0.05)[anchor.item()]
        assert_frequencies(drawn.bincount(minlength=50).double(), expected)


def test_an_accelerator_takes_turns_where_the_batches_have_many_pairs(monkeypatch):
    scores = torch.randn(5, 6, generator=seeded())
    anchors = torch.arange(6).expand(5, 6)
    at_once = partners_by_race(scores, anchors, 2.0, 0.01, seeded())
    monkeypatch.setattr(sampling, "_MAX_PAIRS_ON_DEVICE", 80)
    n_pairs = []

    def recorded(scores, anchors, *settings):
        weights = candidate_log_weights(scores, anchors, *settings)
        n_pairs.append(weights.numel())
        return weights

    monkeypatch.setattr(sampling, "candidate_log_weights", recorded)
    in_turns = partners_by_race(scores, anchors, 2.0, 0.01, seeded())
    assert n_pairs == [72, 72, 36]
    assert in_turns.shape == at_once.shape == (5, 6)
    assert (in_turns != anchors).all()


def test_large_batches_take_the_block_path(monkeypatch):
    called = []
    for name in ("partners_by_blocks", "invert_rows"):
        monkeypatch.setitem(
            draw_partners.__globals__, name, lambda *_, name=name: called.append(name)
        )
    for n_samples in (64, 4096):
        draw_partners(torch.zeros(n_samples), torch.arange(n_samples // 4), 2.0, 0.01, None)
    assert called == ["invert_rows", "partners_by_blocks"]


@pytest.mark.parametrize("n_batches", [1000, 8000], ids=["by matrix", "by blocks"])
@pytest.mark.parametrize("case", SCORES)
def test_draws_of_many_batches_have_the_exact_distribution(n_batches, case):
    scores = torch.tensor(SCORES[case], dtype=torch.float64)
    mixup = TailMixup(0.5, tail_temperature=1.5, pair_temperature=1.0)
    draw = mixup.draw(scores.expand(n_batches, 6), seeded())
    assert draw.anchors.shape == draw.partners.shape == draw.share.shape == (n_batches, 3)
    assert_subset_frequencies(draw.anchors, SCORES[case], 1.5)
    probabilities = partner_probabilities(scores, 1.0, 0.01)
    for anchor in range(6):
        partners = draw.partners[draw.anchors == anchor]
        assert_frequencies(partners.bincount(minlength=6).double(), probabilities[anchor])
    weight = anchor_probabilities(scores, 1.5)
    first, second = weight[draw.anchors], weight[draw.partners]
    torch.testing.assert_close(draw.share, first / (first + second))


def test_every_batch_is_drawn_around_its_own_mean():
    """Batches of prices, of ratings and below zero: each as if it were drawn alone."""
    one = torch.tensor([0.0, 0.4, 1.5, 1.7, 2.0, 6.0], dtype=torch.float64)
    batches = torch.stack([one + 100, 7 - one, one - 40]).repeat(1500, 1)
    draw = TailMixup(0.5, tail_temperature=1.5).draw(batches, seeded())
    for which in range(3):
        anchors, partners, shares = (part[which::3] for part in draw)
        assert_subset_frequencies(anchors, batches[which].tolist(), 1.5)
        p = loop_anchor_probabilities(batches[which].tolist(), 1.5)
        for i, j, share in zip(
            *(part.flatten()[:300].tolist() for part in (anchors, partners, shares)), strict=True
        ):
            assert share == pytest.approx(p[i] / (p[i] + p[j]))


@pytest.mark.parametrize("shape", [(4, 7), (4, 7, 5), (4, 7, 2, 3)])
def test_mixing_of_many_batches_matches_a_loop(shape):
    values = torch.randn(shape, generator=seeded())
    draw = TailMixup(0.5).draw(torch.randn(4, 7, generator=seeded(1)), seeded())
    mixed = draw.mix(values)
    assert mixed.shape == (4, 11, *shape[2:])
    for batch in range(4):
        torch.testing.assert_close(mixed[batch, :7], values[batch])
        for k, (i, j, share) in enumerate(zip(*(part[batch] for part in draw), strict=True)):
            expected = share * values[batch, i] + (1 - share) * values[batch, j]
            torch.testing.assert_close(mixed[batch, 7 + k], expected)


def test_drawing_then_mixing_is_what_forward_does():
    features, scores = torch.randn(9, 3), torch.randn(9)
    draw = TailMixup().draw(scores, seeded())
    for mixed, tensor in zip(
        TailMixup()(features, scores, generator=seeded()), (features, scores), strict=True
    ):
        assert torch.equal(mixed, draw.mix(tensor))


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 1), (3, 0)])
def test_batches_without_partners_give_empty_draws(shape):
    draw = TailMixup(1.0).draw(torch.zeros(shape))
    assert isinstance(draw, MixupDraw)
    assert {part.shape for part in draw} == {(*shape[:-1], 0)}
    assert torch.equal(draw.mix(torch.ones(*shape, 2)), torch.ones(*shape, 2))


@pytest.mark.parametrize("n_samples", [5, 1200])
def test_mixed_rows_follow_the_formula(n_samples):
    """With one-hot features, every mixed row names its anchor, its partner and the share."""
    scores = torch.randn(n_samples, generator=seeded(), dtype=torch.float64)
    features = torch.eye(n_samples, dtype=torch.float64)
    labels = torch.randn(n_samples, 2, 3, generator=seeded(1), dtype=torch.float64)
    mixup = TailMixup(0.4, tail_temperature=0.8)
    mixed, mixed_scores, mixed_labels = mixup(features, scores, labels, generator=seeded())
    n_mixed = round(0.4 * n_samples)
    assert mixed.shape == (n_samples + n_mixed, n_samples)
    torch.testing.assert_close(mixed[:n_samples], features)
    torch.testing.assert_close(mixed_scores, mixed @ scores)
    torch.testing.assert_close(mixed_labels, torch.einsum("mb,bij->mij", mixed, labels))
    mean = scores.mean().item()
    for row in mixed[n_samples:]:
        i, j = row.nonzero().squeeze(1).tolist()
        weight_i, weight_j = (math.exp(abs(mean - scores[k].item()) / 0.8) for k in (i, j))
        assert row[i].item() == pytest.approx(weight_i / (weight_i + weight_j))
        assert row[j].item() == pytest.approx(weight_j / (weight_i + weight_j))


@pytest.mark.parametrize(
    ("n_samples", "strength", "n_mixed"),
    [(48, 1 / 48, 1), (10, 0.01, 1), (10, 0.25, 2), (10, 1.0, 10), (10, 0.0, 0), (2, 0.1, 1)],
)
def test_number_of_mixed_samples(n_samples, strength, n_mixed):
    features, scores = TailMixup(strength)(torch.randn(n_samples, 3), torch.randn(n_samples))
    assert features.shape == (n_samples + n_mixed, 3)
    assert scores.shape == (n_samples + n_mixed,)


@pytest.mark.parametrize("n_samples", [0, 1])
def test_a_batch_without_partners_is_returned_as_it_is(n_samples):
    tensors = (torch.randn(n_samples, 3), torch.randn(n_samples), torch.randn(n_samples, 4))
    for given, returned in zip(tensors, TailMixup(1.0)(*tensors), strict=True):
        assert torch.equal(given, returned)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str
)
@pytest.mark.parametrize("n_samples", [2, 48, 1000])
@pytest.mark.parametrize(
    "make_scores",
    [
        lambda n: torch.randint(10, 101, (n,), generator=seeded()) / 10,
        lambda n: torch.rand(n, generator=seeded()) * 6e4,
        lambda n: torch.full((n,), 4.2),
    ],
    ids=["ratings", "prices", "equal"],
)
def test_every_result_is_finite_and_between_the_originals(dtype, n_samples, make_scores):
    scores = make_scores(n_samples).to(dtype)
    features = torch.randn(n_samples, 3, generator=seeded()).to(dtype).requires_grad_()
    mixup = TailMixup(0.5, pair_temperature=10.0)
    mixed, mixed_scores, weights = mixup(
        features, scores, torch.ones(n_samples), generator=seeded()
    )
    mixed.float().sum().backward()
    assert mixed.dtype == mixed_scores.dtype == dtype
    assert torch.isfinite(mixed).all()
    assert torch.isfinite(features.grad).all()
    assert mixed_scores.min() == scores.min()
    assert mixed_scores.max() == scores.max()
    torch.testing.assert_close(weights, torch.ones(len(mixed)))


def test_gradient_flows_through_both_features():
    scores = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    features = torch.randn(3, 2, dtype=torch.float64, generator=seeded(), requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f: TailMixup(1.0)(f, scores, generator=seeded())[0], features
    )


def test_draws_and_shares_are_constants_for_labels_with_a_gradient():
    scores = torch.randn(6, dtype=torch.float64, generator=seeded(), requires_grad=True)
    mixed, mixed_scores = TailMixup(0.5)(
        torch.eye(6, dtype=torch.float64), scores, generator=seeded()
    )
    mixed_scores.sum().backward()
    torch.testing.assert_close(scores.grad, mixed.sum(0))


@pytest.mark.parametrize("n_samples", [50, 1500])
def test_a_generator_makes_it_reproducible_and_leaves_the_global_state(n_samples):
    tensors = (torch.randn(n_samples, 3), torch.randn(n_samples))
    state = torch.get_rng_state()
    first, second, other = (TailMixup()(*tensors, generator=seeded(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 1.5}, r"strength must lie in \[0, 1\]"),
        ({"strength": float("nan")}, r"strength must lie in \[0, 1\]"),
        ({"tail_temperature": 0.0}, "tail_temperature must be positive"),
        ({"pair_temperature": -1.0}, "pair_temperature must be positive"),
        ({"eps": 0.0}, "eps must be positive"),
        ({"pair_temperature": 1e37, "eps": 1e-3}, "must fit into float32"),
    ],
)
def test_bad_options_raise(options, message):
    with pytest.raises(ValueError, match=message):
        TailMixup(**options)


def test_bad_input_raises():
    with pytest.raises(ValueError, match="got shapes"):
        TailMixup()(torch.zeros(4, 2), torch.zeros(4, 1))
    with pytest.raises(ValueError, match="got shapes"):
        TailMixup()(torch.zeros(4, 2), torch.zeros(4), torch.zeros(3))
    with pytest.raises(TypeError, match="one_hot"):
        TailMixup()(torch.zeros(4, 2), torch.zeros(4), torch.zeros(4, dtype=torch.int64))
    for n_samples in (16, 1024):
        scores = torch.zeros(n_samples)
        scores[3] = float("nan")
        with pytest.raises(ValueError, match="scores that are finite"):
            TailMixup()(torch.zeros(n_samples, 2), scores)
    with pytest.raises(ValueError, match="scores must have shape"):
        anchor_probabilities(torch.zeros(3, 1), 1.0)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("n_samples", [64, 2048])
def test_the_host_never_waits_for_the_device(n_samples):
    tensors = (
        torch.randn(n_samples, 8, device="cuda", requires_grad=True),
        torch.randn(n_samples, device="cuda"),
    )
    batches = torch.randn(40, n_samples, device="cuda")
    mixup = TailMixup()

    def use():
        mixup(*tensors)[0].sum().backward()
        mixup.draw(batches).mix(batches)

    use()
    torch.cuda.set_sync_debug_mode("error")
    try:
        use()
    finally:
        torch.cuda.set_sync_debug_mode("default")
