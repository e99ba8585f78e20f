import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ltlearn.networks._dropout import use_generator
from ltlearn.networks._members import MemberDropout, MemberHead, MemberLinear

SHAPES = list(itertools.product([True, False], repeat=2))


def loop_linear(layer, X):
    """Member by member, row by row."""
    members = []
    for m in range(len(layer.bias)):
        outputs = []
        for x in X if X.ndim == 2 else X[m]:
            x = x if layer.scale is None else x * layer.scale[m]
            weight = layer.weight if layer.weight.ndim == 2 else layer.weight[m]
            outputs.append(weight @ x + layer.bias[m])
        members.append(torch.stack(outputs))
    return torch.stack(members)


@pytest.mark.parametrize(("shares_matrix", "scales_inputs"), SHAPES)
@pytest.mark.parametrize("shape", [(5, 4), (3, 5, 4)])
def test_linear_matches_loop(shares_matrix, scales_inputs, shape):
    layer = MemberLinear(3, 4, 6, shares_matrix=shares_matrix, scales_inputs=scales_inputs)
    layer = layer.double()
    X = torch.randn(shape, dtype=torch.float64)
    outputs = layer(X)
    assert outputs.shape == (3, 5, 6)
    torch.testing.assert_close(outputs, loop_linear(layer, X))


@pytest.mark.parametrize(("shares_matrix", "scales_inputs"), SHAPES)
def test_gradients(shares_matrix, scales_inputs):
    layer = MemberLinear(2, 3, 2, shares_matrix=shares_matrix, scales_inputs=scales_inputs)
    layer = layer.double()
    for shape in ((4, 3), (2, 4, 3)):
        X = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda *_: layer(X), (X, *layer.parameters()))  # noqa: B023


def test_one_member_is_a_linear_layer():
    layer = MemberLinear(1, 4, 3, shares_matrix=True)
    X = torch.randn(5, 4)
    torch.testing.assert_close(layer(X)[0], F.linear(X, layer.weight, layer.bias[0]))


def test_members_start_apart_and_within_the_usual_bound():
    layer = MemberLinear(3, 25, 50)
    for values in (layer.weight, layer.bias):
        assert values.abs().max() <= 0.2
        assert values.abs().max() > 0.19
    shared = MemberLinear(3, 25, 50, shares_matrix=True, scales_inputs=True)
    outputs = shared(torch.randn(1, 25)).squeeze(1)
    assert ((outputs[0] - outputs[1]).abs() > 1e-3).any()
    assert shared.scale.std().item() == pytest.approx(1, abs=0.25)


def test_layers_run_with_stacked_parameters_under_vmap():
    heads = [MemberHead(2, 6, 3, hidden_size=4) for _ in range(3)]
    features = torch.randn(5, 6)
    stacked, _ = torch.func.stack_module_state(heads)

    def apply(parameters):
        return torch.func.functional_call(heads[0], parameters, (features,))

    expected = torch.stack([head(features) for head in heads])
    torch.testing.assert_close(torch.vmap(apply)(stacked), expected)


def test_head_reads_every_members_own_features():
    head = MemberHead(3, 12, 2)
    features = torch.randn(5, 12)
    outputs = head(features)
    assert outputs.shape == (5, 3, 2)
    changed = features.clone()
    changed[:, 4:8] += 1
    is_other = (head(changed) != outputs).any(-1).any(0)
    assert is_other.tolist() == [False, True, False]


def test_dropout_takes_the_same_of_all_members():
    dropout = MemberDropout(0.25)
    X = torch.rand(4, 50, 40) + 1
    dropped = dropout(X)
    is_kept = dropped != 0
    assert (is_kept == is_kept[:1]).all()
    torch.testing.assert_close(dropped[is_kept], (X / 0.75)[is_kept])
    assert is_kept.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert torch.equal(dropout.eval()(X), X)
    assert torch.equal(MemberDropout(0.0)(X), X)


def seeded_dropout(seed=7, **changes):
    dropout = MemberDropout(0.5)
    vars(dropout).update(changes)
    use_generator(dropout, torch.Generator().manual_seed(seed))
    return dropout


def test_dropout_draws_from_its_own_generator():
    state = torch.get_rng_state()
    masks = [seeded_dropout(seed).mask(30, 20) for seed in (7, 7, 8)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    np.testing.assert_array_equal(np.unique(masks[0]), [0, 2])


def test_what_is_dropped_does_not_depend_on_the_batches():
    whole = seeded_dropout(rows_at_once=16).mask(50, 3)
    dropout = seeded_dropout(rows_at_once=16)
    torch.testing.assert_close(torch.cat([dropout.mask(n, 3) for n in (1, 0, 15, 20, 14)]), whole)


def test_rows_are_dropped_anew_until_the_generator_changes():
    dropout = seeded_dropout(rows_at_once=10)
    first = dropout.mask(10, 8)
    assert not torch.equal(dropout.mask(10, 8), first)
    dropout.mask(3, 8)
    use_generator(dropout, torch.Generator().manual_seed(7))
    assert torch.equal(dropout.mask(10, 8), first)


def test_head_drops_features_of_all_members_alike():
    head = MemberHead(2, 6, 1, dropout=0.5)
    features = torch.randn(4, 6)
    use_generator(head, torch.Generator().manual_seed(0))
    outputs = head(features)
    use_generator(head, torch.Generator().manual_seed(0))
    mask = head.dropout.mask(4, 3)
    expected = head.layers(features.view(4, 2, 3).transpose(0, 1) * mask)
    torch.testing.assert_close(outputs, expected.transpose(0, 1))


@pytest.mark.parametrize("n_samples", [0, 1])
def test_degenerate_batches(n_samples):
    layer = MemberLinear(2, 3, 4, shares_matrix=True, scales_inputs=True)
    outputs = layer(torch.zeros(n_samples, 3))
    assert outputs.shape == (2, n_samples, 4)
    outputs.sum().backward()
    assert all(values.grad.isfinite().all() for values in layer.parameters())


def test_layers_say_what_they_are():
    assert repr(MemberLinear(2, 3, 4, shares_matrix=True)) == (
        "MemberLinear(n_members=2, n_inputs=3, n_outputs=4, shares_matrix=True, "
        "scales_inputs=False)"
    )
    assert repr(MemberDropout(0.1)) == "MemberDropout(p=0.1)"
