"""Tables of numbers and categories, with gaps, as numbers without gaps."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import check_array

from ltlearn.data._columns import columns_of, warn_of_distinct_values

_MOST_CATEGORIES = 32


class TableEncoder:
    """Gaps become medians with a column that marks them, categories a column each.

    Columns of a data frame that are not numeric are categories; of those a column has beyond 32,
    the rarest count as one, as do those first seen at prediction. Arrays are numbers throughout.

    Parameters
    ----------
    X : data frame or ndarray of shape (n, d)
        Validated, but for gaps.

    Attributes
    ----------
    has_categories : bool

    Raises
    ------
    ValueError
        When a column holds dates or lengths of time; the message names it.

    Warns
    -----
    DistinctValuesWarning
        When hardly a value of a column of words occurs twice.
    """

    def __init__(self, X):
        self.has_categories, self._encoder = False, None
        if hasattr(X, "columns"):
            kinds = [_kind(X[name].dtype) for name in X.columns]
            dates = [name for name, kind in zip(X.columns, kinds, strict=True) if kind in "mM"]
            if dates:
                raise ValueError(
                    f"The columns {dates} hold dates or times. Turn them into numbers first, such "
                    "as days since some day, or month and weekday."
                )
            numeric = [kind in "biuf" for kind in kinds]
        else:
            numeric = [True] * X.shape[1]
        self.has_categories = not all(numeric)
        if not self.has_categories and not np.isnan(_floats(X)).any():
            return
        if self.has_categories:
            columns = columns_of(X)
            for j in np.flatnonzero(~np.array(numeric)):
                warn_of_distinct_values(columns.label(j), columns.codes(j)[0])
        fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        one_hot = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            max_categories=_MOST_CATEGORIES,
            sparse_output=False,
        )
        self._encoder = ColumnTransformer(
            [
                ("numbers", fill, np.flatnonzero(numeric)),
                ("categories", one_hot, np.flatnonzero(~np.array(numeric))),
            ]
        ).fit(X)

    def __call__(self, X):
        if self._encoder is None:
            return _floats(X)
        return np.asarray(self._encoder.transform(X), dtype=np.float64)


def check_table(X):
    """Raise where a table holds infinite numbers; gaps are fine."""
    if hasattr(X, "columns"):
        for name in X.columns:
            if _kind(X[name].dtype) == "f" and np.isinf(np.asarray(X[name], dtype=float)).any():
                raise ValueError(f"Input X contains infinity, in the column {name!r}.")


def _kind(dtype):
    return getattr(dtype, "kind", "O")


def _floats(X):
    return check_array(X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
