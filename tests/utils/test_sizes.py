"""Sizes of rows of any kind, against those of the arrays that they are made of."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from ltlearn.utils._sizes import n_bytes_of

X = np.arange(60.0).reshape(20, 3)


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, pd.DataFrame])
def test_dense_rows(make):
    assert X.nbytes <= n_bytes_of(make(X)) <= X.nbytes + 1000  # for an index


def test_a_series_and_polars():
    assert n_bytes_of(pd.Series(X[:, 0])) >= 160
    pl = pytest.importorskip("polars")
    assert n_bytes_of(pl.DataFrame(X)) == X.nbytes


def test_sparse_rows():
    rows = sparse.csr_array(X)
    parts = (rows.data, rows.indices, rows.indptr)
    assert n_bytes_of(rows) == sum(part.nbytes for part in parts)


def test_what_does_not_tell():
    assert n_bytes_of(["a.png", "b.png"]) == 0
    assert n_bytes_of(None) == 0
