import numpy as np
import pytest
import torch

from ltlearn.enhancers import SimilarityAlignment, TailMixup
from ltlearn.networks._dropout import use_generator
from ltlearn.networks._tabular import CategoryEncoding, NumericEmbedding, TabularBody

EDGES = [torch.tensor([-1.0, 0.0, 0.5, 2.0]), torch.tensor([-2.0, 2.0]), torch.tensor([1.0])]


def share_below(x, low, high):
    return min(max((x - low) / (high - low), 0.0), 1.0)


def loop_embedding(embedding, edges, X):
    rows = []
    for x in X.tolist():
        row = []
        for j, value in enumerate(x):
            vector = embedding.weight[j] * value + embedding.bias[j]
            for t, (low, high) in enumerate(zip(edges[j][:-1], edges[j][1:], strict=True)):
                share = share_below(value, low.item(), high.item())
                vector = vector + share * embedding.piece_weight[j, :, t]
            row.append(vector)
        rows.append(torch.cat(row))
    return torch.stack(rows)


def test_embedding_matches_loop():
    embedding = NumericEmbedding(EDGES, size=2).double()
    torch.nn.init.normal_(embedding.piece_weight)
    X = torch.tensor([[-3.0, 0.1, 1.0], [0.25, 5.0, -7.0], [0.5, -2.0, 0.0], [1.9, 2.0, 2.0]])
    expected = loop_embedding(embedding, EDGES, X.double())
    torch.testing.assert_close(embedding(X.double()), expected)


def test_embedding_starts_linear_and_learns_curves():
    embedding = NumericEmbedding([torch.linspace(-3, 3, 25)], size=1)
    X = torch.linspace(-3, 3, 200).unsqueeze(1)
    start = embedding(X).squeeze(1).detach()
    torch.testing.assert_close(start.diff(), start.diff().mean().expand(199), rtol=1e-3, atol=1e-5)
    target = X.sin() * X
    optimizer = torch.optim.LBFGS(embedding.parameters(), max_iter=200)

    def closure():
        optimizer.zero_grad()
        loss = (embedding(X) - target).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure() < 1e-3  # the chord of a 24-piece line is closer than that


def test_pieces_that_a_column_lacks_change_nothing():
    embedding = NumericEmbedding(EDGES)
    X = torch.randn(20, 3)
    before = embedding(X)
    with torch.no_grad():
        embedding.piece_weight[1, :, 1:] = 7
        embedding.piece_weight[2] = 7
    torch.testing.assert_close(embedding(X), before)


@pytest.mark.parametrize("edges", [[0.0, 0.0], [1.0, 0.5], [1.0, 1.0 + 1e-12], [0.0, 1e-42]])
def test_edges_must_increase(edges):
    with pytest.raises(ValueError, match="edges of every column must increase"):
        NumericEmbedding([torch.tensor(edges)])


def test_few_categories_are_indicators():
    encoding = CategoryEncoding([3, 4])
    codes = torch.tensor([[0.0, 0.0], [1.0, 3.0], [2.0, 1.0]])
    expected = [[0, 0, 0, 0, 0], [1, 0, 0, 0, 1], [0, 1, 1, 0, 0]]
    assert encoding(codes).tolist() == expected
    assert encoding.n_outputs == 5
    assert not list(encoding.parameters())


def test_many_categories_are_embedded():
    encoding = CategoryEncoding([3, 5, 6], max_indicators=4, size=2)
    codes = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 5.0]])
    outputs = encoding(codes)
    table = encoding.embedding
    expected = [
        torch.cat([torch.tensor([1.0, 0.0]), table[2], table[5]]),
        torch.cat([torch.tensor([0.0, 0.0]), table[0], table[10]]),
    ]
    torch.testing.assert_close(outputs, torch.stack(expected))
    assert encoding.n_outputs == outputs.shape[1]
    assert (table[[0, 5]] == 0).all()
    assert (table[[1, 2, 3, 4, 6, 7, 8, 9, 10]] != 0).all()


def make_body(dropout=0.0, **options):
    options = {"hidden_layer_sizes": (7, 5), "n_members": 3, **options}
    return TabularBody(EDGES, 2, [3, 90], dropout=dropout, **options)


def make_rows(n_samples=6):
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, 3, n_samples), rng.integers(0, 90, n_samples)], 1)
    return torch.from_numpy(np.hstack([rng.normal(size=(n_samples, 5)), codes])).float()


def loop_features(body, X, masks=()):
    """Member by member."""
    inputs = torch.cat([body.numeric(X[:, :3]), X[:, 3:5], body.categories(X[:, 5:])], 1)
    members = []
    for m in range(body.n_members):
        h = inputs * body.layers[0].scale[m] if body.n_members > 1 else inputs
        for number, layer in enumerate(body.layers):
            if number and masks:
                h = h * masks[number - 1]
            h = torch.relu(h @ layer.weight.T + layer.bias[m])
        members.append(h)
    return torch.cat(members, 1)


@pytest.mark.parametrize("n_members", [1, 3])
def test_body_matches_members_one_by_one(n_members):
    body, X = make_body(n_members=n_members), make_rows()
    features = body(X)
    assert features.shape == (6, 5 * n_members)
    torch.testing.assert_close(features, loop_features(body, X))


def test_body_drops_between_layers_in_training_only():
    body, X = make_body(dropout=0.5, hidden_layer_sizes=(7, 6, 5)), make_rows()

    def seed():
        use_generator(body, torch.Generator().manual_seed(0))

    seed()
    masks = [dropout.mask(6, size) for dropout, size in zip(body.dropouts, (7, 6), strict=True)]
    seed()
    torch.testing.assert_close(body(X), loop_features(body, X, masks))
    assert not torch.equal(body(X), body(X))
    body.eval()
    torch.testing.assert_close(body(X), loop_features(body, X))


def test_body_without_hidden_layers_gives_the_inputs_to_every_member():
    body, X = make_body(hidden_layer_sizes=()), make_rows()
    inputs = body.inputs(X)
    torch.testing.assert_close(body(X), inputs.repeat(1, 3))
    assert not len(body.dropouts)


@pytest.mark.parametrize(
    ("edges", "n_plain", "n_codes"), [([], 2, []), ([], 0, [3]), (EDGES[:1], 0, []), ([], 0, [])]
)
def test_any_kind_of_column_may_be_absent(edges, n_plain, n_codes):
    body = TabularBody(edges, n_plain, n_codes, hidden_layer_sizes=(4,), n_members=2)
    features = body(torch.zeros(3, len(edges) + n_plain + len(n_codes)))
    assert features.shape == (3, 8)
    features.sum().backward()


def test_mixup_mixes_every_member_alike():
    body, X = make_body(), make_rows()
    scores = torch.arange(6.0)
    draw = TailMixup(0.5).draw(scores)
    mixed = draw.mix(body(X)).view(9, 3, 5)
    alone = torch.stack([draw.mix(member) for member in body(X).view(6, 3, 5).unbind(1)], 1)
    torch.testing.assert_close(mixed, alone)


def test_alignment_takes_the_cosine_over_all_members():
    """A mean of the members' cosines, weighted by the lengths of their features."""
    features, scores = make_body()(make_rows()).detach(), torch.arange(6.0)
    members = features.view(6, 3, 5)
    lengths = members.norm(dim=2)
    expected = 0.0
    for i in range(6):
        for j in range(6):
            shares = lengths[i] * lengths[j] / (lengths[i].norm() * lengths[j].norm())
            cosines = torch.cosine_similarity(members[i], members[j], dim=1)
            similarity = 1 - abs(scores[i] - scores[j]) / 5
            expected += ((shares * cosines).sum() - similarity) ** 2 / 36
    torch.testing.assert_close(SimilarityAlignment()(features, scores), expected)


def test_state_dict_round_trip_and_double_precision():
    body, other, X = make_body(), make_body(), make_rows()
    other.load_state_dict(body.state_dict())
    assert torch.equal(other(X), body(X))
    torch.testing.assert_close(body.double()(X.double()).float(), other(X))


def test_bfloat16_autocast():
    body, X = make_body(), make_rows()
    with torch.autocast("cpu", torch.bfloat16):
        features = body(X)
    torch.testing.assert_close(features.float(), body(X), rtol=0.05, atol=0.05)
