"""Scales of rows against dense computations."""

import numpy as np
import pytest

from ltlearn.stacking._rows import Auxiliary, Rows, scale_rows
from ltlearn.stacking._scaling import ScaledRows, Scaler, Scalers


def powered(X, power):
    return np.sign(X) * np.abs(X) ** power


def rows_of(n, d, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)) @ rng.normal(size=(5, d)) + 0.3 * rng.normal(size=(n, d)) + 1
    return X.astype(dtype)


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_columns_are_standardized_after_the_power(power, weighted):
    X = rows_of(40, 4)
    times = np.random.default_rng(1).integers(1, 4, 40) if weighted else np.ones(40, int)
    weight = times.astype(float) if weighted else None
    again = np.repeat(powered(X, power), times, axis=0)
    expected = (powered(X, power) - again.mean(axis=0)) / again.std(axis=0)
    scaler = Scaler(X, weight, power=power, n_components=4)
    np.testing.assert_allclose(scaler(X), expected)


@pytest.mark.parametrize("shape", [(60, 20), (12, 20)], ids=["tall", "wide"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_components_are_those_of_a_dense_decomposition(shape, dtype):
    X, new = rows_of(*shape, dtype), rows_of(9, shape[1], dtype, seed=1)
    found = Scaler(X, n_components=6)
    Z, Z_new = (np.asarray(Scaler(X)(part), np.float64) for part in (X, new))
    _, length, axes = np.linalg.svd(Z, full_matrices=False)
    expected = Z_new @ axes[:6].T
    # Each axis may point either way.
    atol = 1e-8 if dtype == np.float64 else 1e-2
    np.testing.assert_allclose(np.abs(found(new)), np.abs(expected), atol=atol)
    np.testing.assert_allclose((found(X) ** 2).sum(axis=0), length[:6] ** 2, rtol=atol)
    assert found(X).dtype == dtype


def test_weights_are_repeated_rows():
    X = rows_of(30, 12)
    times = np.random.default_rng(0).integers(1, 4, 30)
    weighted = Scaler(X, times.astype(float), n_components=3)
    repeated = Scaler(np.repeat(X, times, axis=0), n_components=3)
    np.testing.assert_allclose(np.abs(weighted(X)), np.abs(repeated(X)), atol=1e-8)


def test_components_end_where_rows_have_no_variance():
    X = rows_of(4, 30)  # three directions around their mean
    scaled = Scaler(X, n_components=10)
    assert scaled(X).shape == (4, 3)
    Z = Scaler(X)(X)
    np.testing.assert_allclose(scaled(X) @ scaled(X).T, Z @ Z.T, atol=1e-8)
    assert np.isfinite(Scaler(np.ones((3, 8)), n_components=2)(np.ones((2, 8)))).all()


def test_few_columns_stay_what_they_are():
    X = rows_of(50, 6)
    for n_components in (None, 6, 9):
        np.testing.assert_array_equal(Scaler(X, n_components=n_components)(X), Scaler(X)(X))


def test_parts_of_rows_are_those_of_all_and_computed_once():
    X, calls = rows_of(20, 4), []

    class Counting(Scalers):
        def __call__(self, *scale):
            calls.append(scale)
            return super().__call__(*scale)

    rows = ScaledRows(X, Counting(X))
    part = rows.take(np.array([3, 5, 7, 11])).take(np.array([2, 0]))
    np.testing.assert_array_equal(part.at(0.5, None), Scaler(X, power=0.5)(X)[[7, 3]])
    np.testing.assert_array_equal(rows.at(0.5, None)[[7, 3]], part.at(0.5, None))
    assert calls == [(0.5, None)]


def test_auxiliary_rows_are_on_the_scale_of_the_target_rows():
    X, aux = rows_of(20, 4), 5 + rows_of(6, 4, np.float32)
    rows, auxiliary = scale_rows(
        Rows(X, np.arange(20) % 2, None, 2), Auxiliary(aux, np.arange(6) % 2, np.array(["a", "b"]))
    )
    expected = Scaler(X, n_components=2)(aux.astype(np.float64))
    np.testing.assert_allclose(auxiliary.X.at(1.0, 2), expected)
    assert len(rows.take(np.arange(3)).X.at(1.0, 2)) == 3
