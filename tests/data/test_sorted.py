"""Columns in order, a part at a time."""

import numpy as np
import pytest

from ltlearn.data import _sorted, _views
from ltlearn.data._sorted import SortedColumn, sorted_columns
from ltlearn.data._views import RowView

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(_sorted, "_VALUES_AT_ONCE", 7)
    monkeypatch.setattr(_views, "_NUMBERS_AT_ONCE", 40)


@pytest.mark.parametrize("most_readings", [1, 2, 32])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16])
def test_columns_are_sorted_and_missing_values_left_out(kind, most_readings, monkeypatch):
    monkeypatch.setattr(_sorted, "_MOST_READINGS", most_readings)
    X = rng.integers(-50, 50, (31, 6)).astype(kind)
    if kind is not np.int16:
        X[3, 1] = X[30, 1] = np.nan
        X[:, 4] = np.nan
    index = rng.permutation(31)[:25]
    for table in (X, RowView(X, index)):
        found = {j: known.tolist() for j, known in sorted_columns(table, np.array([0, 1, 4, 5]))}
        rows = np.asarray(table)
        for j, known in found.items():
            assert known == sorted(v for v in rows[:, j].tolist() if v == v)
        assert list(found) == [0, 1, 4, 5]


@pytest.mark.parametrize("n", [1, 2, 7, 8, 50])
def test_what_is_known_of_them_is_that_of_all_values_at_once(n):
    known = np.sort(rng.integers(0, 20, n) / 8)
    column, values = SortedColumn(known, np.exp), np.exp(known)
    assert column.n_values == len(set(values.tolist()))
    np.testing.assert_array_equal(column.values(), np.unique(values))
    shares = np.linspace(0, 1, 13)
    np.testing.assert_array_equal(column.quantile(shares), np.quantile(values, shares))
    np.testing.assert_allclose(column.deviation(), values.std(), rtol=1e-12, atol=1e-15)
    assert column.share_of_last() == np.mean(values == values.max())
