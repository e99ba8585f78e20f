import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ltlearn.data._column_scaling import LIMIT, ColumnScaler

NAN = np.nan


def fit(matrix, is_categorical=None, **options):
    matrix = np.asarray(matrix, dtype=np.float64)
    if is_categorical is None:
        is_categorical = np.zeros(matrix.shape[1], dtype=bool)
    return ColumnScaler(**options).fit(matrix, np.asarray(is_categorical, dtype=bool))


def prepare(matrix, *args, **options):
    return fit(matrix, *args, **options).transform(np.asarray(matrix, dtype=np.float64))


def squashed(x, center, scale):
    z = (x - center) / scale
    return z / (1 + (z / 3) ** 2) ** 0.5


def test_numbers_are_scaled_by_their_quartiles_and_squashed():
    x = np.random.default_rng(0).lognormal(3, 2, 101)
    quartiles = np.quantile(x, [0.25, 0.75])
    expected = squashed(x, np.median(x), (quartiles[1] - quartiles[0]) / 1.35)
    np.testing.assert_allclose(prepare(x[:, None])[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_the_deviation_stands_in_for_quartiles_that_agree():
    x = np.array([0.0] * 80 + [1.0, 2.0, 5.0, 40.0])
    np.testing.assert_allclose(prepare(x[:, None])[:, 0], squashed(x, 0, x.std()), rtol=1e-6)


def test_edges_are_quantiles_of_the_training_rows():
    x = np.random.default_rng(0).normal(size=500)
    scaler = fit(x[:, None], n_pieces=10)
    quantiles = np.quantile(x, np.linspace(0, 1, 11))
    (edges,) = scaler.layout_.edges
    np.testing.assert_allclose(
        edges, scaler.transform(quantiles[:, None])[:, 0], rtol=1e-5, atol=1e-5
    )
    counts = np.random.default_rng(0).poisson(30, 300).astype(float)
    (edges,) = fit(counts[:, None], n_pieces=200).layout_.edges
    assert len(edges) <= len(np.unique(counts)) * 2
    assert (np.diff(edges) > 0).all()


def test_few_values_have_an_edge_each():
    counts = np.repeat([0.0, 1.0, 2.0, 7.0], [900, 90, 9, 1])
    scaler = fit(counts[:, None], n_pieces=4)
    (edges,) = scaler.layout_.edges
    at = scaler.transform(np.array([[0.0], [1.0], [2.0], [7.0]]))[:, 0]
    np.testing.assert_allclose(edges, at, atol=1e-5)


def test_two_values_become_zero_and_one():
    X = np.array([[5.0, -1e9], [7.0, 1e9], [5.0, 1e9], [6.0, 3e9]])
    scaler = fit(X[:3])
    assert scaler.layout_ == ([], 2, [])
    np.testing.assert_allclose(scaler.transform(X), [[0, 0], [1, 1], [0, 1], [0.5, 1]])


def test_one_value_is_left_out():
    X = np.array([[3.0, 1.0, NAN], [3.0, 2.0, NAN], [3.0, 4.0, NAN]])
    scaler = fit(X)
    assert len(scaler.layout_.edges) == 1
    assert scaler.layout_[1:] == (1, [])  # the gaps of the last column, which are everywhere
    assert scaler.transform(X).shape == (3, 2)
    assert prepare([[1.0], [1.0]]).shape == (2, 0)


def test_gaps_are_neutral_and_marked():
    X = np.array([[1.0, 0.0, 3.0], [2.0, 1.0, 5.0], [NAN, NAN, 8.0], [4.0, 1.0, 9.0]])
    scaler = fit(X)
    prepared = scaler.transform(X)
    assert len(scaler.layout_.edges) == 2
    assert scaler.layout_.n_plain == 3
    np.testing.assert_allclose(prepared[2, [0, 2]], [0, 2 / 3])  # the median, the mean
    np.testing.assert_array_equal(prepared[:, 3:], [[0, 0], [0, 0], [1, 1], [0, 0]])
    # Without gaps in training there is nothing to learn of them.
    np.testing.assert_array_equal(scaler.transform(np.full((1, 3), NAN))[0, 1], 0)


def test_gaps_do_not_move_what_is_learned_of_the_others():
    x = np.random.default_rng(0).lognormal(size=50)
    with_gaps = np.concatenate([x, np.full(70, NAN)])
    scaler, other = fit(x[:, None]), fit(with_gaps[:, None])
    np.testing.assert_array_equal(other.layout_.edges[0], scaler.layout_.edges[0])
    np.testing.assert_array_equal(
        other.transform(x[:, None])[:, 0], scaler.transform(x[:, None])[:, 0]
    )


def test_categories_of_two_rows_have_a_place():
    codes = np.array([[0, 0, 1, 2, 2, 2, NAN, NAN, 4], [0, 0, 0, 1, 1, 1, 1, 1, NAN]]).T
    scaler = fit(codes, [True, True])
    assert scaler.layout_ == ([], 0, [4, 3])
    np.testing.assert_array_equal(
        scaler.transform(codes).T,
        [[1, 1, 0, 2, 2, 2, 3, 3, 0], [1, 1, 1, 2, 2, 2, 2, 2, 0]],
    )
    new = np.array([[-1.0, -1.0], [3.0, 2.0], [100.0, 100.0]])  # known to the reader or not
    np.testing.assert_array_equal(scaler.transform(new), 0)


def test_order_of_what_comes_out():
    X = np.array(
        [[0, 5.0, 1, 1.5], [1, 6.0, 1, 2.5], [0, NAN, 0, 0.5], [1, 9.0, 0, 9.5], [0, 2.0, 0, 1.0]]
    )
    scaler = fit(X, [False, False, True, False])
    prepared = scaler.transform(X)
    assert len(scaler.layout_.edges) == 2
    assert scaler.layout_[1:] == (2, [3])
    np.testing.assert_array_equal(
        prepared[:, 2:], [[0, 0, 2], [1, 0, 2], [0, 1, 1], [1, 0, 1], [0, 0, 1]]
    )


def test_many_columns_are_not_embedded():
    X = np.random.default_rng(0).normal(size=(40, 5))
    embedded, plain = fit(X, max_embedded=5), fit(X, max_embedded=4)
    assert len(embedded.layout_.edges) == 5
    assert plain.layout_ == ([], 5, [])
    np.testing.assert_array_equal(embedded.transform(X), plain.transform(X))


def test_time_stamps_keep_the_digits_that_matter():
    seconds = 1.7e9 + np.arange(0, 1, 0.001)
    prepared = prepare(seconds[:, None])[:, 0]
    assert len(np.unique(prepared)) == 1000
    np.testing.assert_allclose(prepared, prepare(np.arange(1000.0)[:, None])[:, 0], atol=1e-4)


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e-154, 1.0, 1e154, 1e300])
def test_any_unit_gives_the_same(size):
    x = np.array([-90.0, -3.0, -1.0, 0.0, 1.0, 2.0, 4.0, 160.0])
    scaled = prepare(size * x[:, None])
    np.testing.assert_allclose(scaled, prepare(x[:, None]), rtol=1e-3)
    gaps = prepare(size * np.array([[1.0], [2.0], [2.0]]))
    np.testing.assert_allclose(gaps, [[0], [1], [1]])


def test_extreme_rows_stay_within_the_limit():
    extremes = np.array([[-1.7e308], [1.7e308], [0.0], [NAN], [5e-324]])
    for x in ([1e-300, 2e-300, 3e-300], [1.0, 2.0, 3.0], [-1.7e308, 0.0, 1.7e308], [0.0, 1.0]):
        prepared = fit(np.array(x)[:, None]).transform(extremes)
        assert np.isfinite(prepared).all()
        assert (np.abs(prepared) <= LIMIT).all()


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 12), st.integers(1, 3)),
        elements=st.floats(allow_infinity=False, allow_subnormal=True),
    )
)
def test_anything_finite_becomes_finite_and_keeps_its_order(X):
    scaler = fit(X)
    prepared = scaler.transform(X)
    assert prepared.dtype == np.float32
    assert prepared.shape == (len(X), scaler.layout_.n_columns)
    assert np.isfinite(prepared).all()
    for edges in scaler.layout_.edges:
        assert (np.diff(edges) > 0).all()
    for j in range(X.shape[1]):
        x = X[~np.isnan(X[:, j]), j]
        if len(np.unique(x)) > 1:
            column = fit(x[:, None]).transform(np.sort(x)[:, None])[:, 0]
            assert (np.diff(column) >= 0).all()


def test_rows_may_come_one_by_one():
    rng = np.random.default_rng(0)
    X = np.hstack([rng.normal(size=(30, 3)), rng.integers(0, 4, size=(30, 1))])
    X[rng.random(X.shape) < 0.1] = NAN
    scaler = fit(X, [False, False, False, True])
    one_by_one = np.vstack([scaler.transform(row[None]) for row in X])
    np.testing.assert_array_equal(one_by_one, scaler.transform(X))
