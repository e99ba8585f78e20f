"""What the baseline makes of its inputs, as a table for the controls that need one."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ltlearn.evaluation._fitting import seeded_clone
from ltlearn.utils._compat import _routing_enabled, _safe_indexing
from ltlearn.utils._frames import as_pandas

_MOST_DENSE_CELLS = 5e7  # of a sparse matrix that is made dense
_MOST_LEVELS = 50  # of a categorical column; rarer ones are one level together
_OTHER = "(other)"
_READER = "table reader"


class NoTableError(ValueError):
    """The inputs are no table of numbers and categories."""


def is_numeric_table(X):
    """Whether all controls can be fitted to ``X`` as it is."""
    if issparse(X) or len(getattr(X, "shape", ())) != 2:
        return False
    dtypes = X.dtypes if hasattr(X, "columns") else [X.dtype]
    return all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes)


class TableReader(TransformerMixin, BaseEstimator):
    """Bring a table of any columns into one of numbers and categories.

    Sparse matrices become dense. Of columns that are not all numbers, those become categories that
    hold booleans, strings or other labels; levels beyond the 50 most frequent of the training rows,
    and those seen once there, are taken together. Columns in which most values differ (names,
    paths, texts), those without values, dates and others are left out. Missing values stay missing.

    Attributes
    ----------
    categories_ : dict
        Number of each categorical column to the levels it keeps; None for plain numbers.
    numeric_ : list of int
        Numbers of the columns of numbers.
    """

    def fit(self, X, y=None):
        X = _as_two_dimensional(X)
        self.numeric_, self.categories_ = [], None
        if is_numeric_table(X):
            return self
        self.categories_ = {}
        for number in range(X.shape[1]):
            column = X.iloc[:, number]
            kind = getattr(column.dtype, "kind", "O")
            if kind in "biuf" and column.notna().any():
                self.numeric_.append(number)
            elif kind in "OU":  # Arrow's strings are the latter
                labels = _as_labels(column)
                counts = labels.value_counts()
                if 1 <= len(counts) <= max(labels.notna().sum() / 2, 2):
                    kept = counts[counts > 1].index[:_MOST_LEVELS]
                    self.categories_[number] = sorted(kept)
        if not (self.numeric_ or self.categories_):
            raise NoTableError("no column holds numbers or categories")
        return self

    def transform(self, X):
        check_is_fitted(self)
        X = _as_two_dimensional(X)
        if self.categories_ is None:
            return X
        import pandas as pd

        columns = {}
        for number in range(X.shape[1]):
            column = X.iloc[:, number]
            if number in self.numeric_:
                columns[f"x{number}"] = column.to_numpy(dtype=np.float64, na_value=np.nan)
            elif number in self.categories_:
                levels, labels = self.categories_[number], _as_labels(column)
                labels = labels.where(labels.isin(levels) | labels.isna(), _OTHER)
                columns[f"x{number}"] = pd.Categorical(labels, categories=[*levels, _OTHER])
        return pd.DataFrame(columns)


def _as_two_dimensional(X):
    """A dense array of numbers or a DataFrame."""
    if issparse(X):
        if np.prod(X.shape, dtype=float) > _MOST_DENSE_CELLS:
            raise NoTableError(f"a sparse matrix of shape {X.shape} is too large to be made dense")
        X = X.toarray()
    if len(getattr(X, "shape", ())) != 2:
        raise NoTableError("it is not two-dimensional")
    X = as_pandas(X)
    if is_numeric_table(X):
        return X
    import pandas as pd

    if isinstance(X, pd.DataFrame):
        return X
    return pd.DataFrame(np.asarray(X, dtype=object)).infer_objects()


def _as_labels(column):
    """A column as strings, or None where they are missing."""
    column = column.astype(object)
    return column.where(column.isna(), column.map(str)).where(column.notna(), None)


def steps_before_the_last(estimator):
    """Transformers that stand before the model in a pipeline, also inside meta-estimators.

    Resamplers are left out: they are part of what is to be compared.
    """
    steps = []
    while estimator is not None:
        if isinstance(estimator, Pipeline):
            steps += [step for step in estimator.steps[:-1] if not hasattr(step[1], "fit_resample")]
            estimator = estimator.steps[-1][1]
        else:
            inner = getattr(estimator, "estimator", None)
            estimator = getattr(estimator, "regressor", None) if inner is None else inner
    named = {}
    for name, step in steps:
        if step is not None and step != "passthrough":
            named[name if name not in named else f"{name}-{len(named)}"] = step
    return list(named.items())


@dataclass(eq=False)
class Preprocessing:
    """The steps before the last of the baseline, for the controls.

    The tables of the last split are kept for the controls that follow on it.

    Attributes
    ----------
    steps : list of (str, transformer)
    """

    steps: list
    _latest: Any = None

    def __getstate__(self):
        return {**vars(self), "_latest": None}

    def params(self, params):
        """Those of the arguments of the baseline's ``fit`` that its steps before the last take."""
        names = [name for name, _ in self.steps]
        if not names:
            return {}
        if _routing_enabled():
            pipeline = Pipeline([*self.steps, (_READER, "passthrough")])
            consumed = pipeline.get_metadata_routing().consumes("fit", params)
            return {name: params[name] for name in consumed}
        return {key: value for key, value in params.items() if key.split("__")[0] in names}

    def tables(self, split, X, y, params):
        """Tables of the training, validation and test rows, and the seconds they took.

        The one of the validation rows is None where there are none.
        """
        key = (split.index, split.seed, id(X))
        if self._latest is None or self._latest[0] != key:
            start = time.perf_counter()
            pipeline = seeded_clone(Pipeline([*self.steps, (_READER, TableReader())]), split.seed)
            train = pipeline.fit_transform(_safe_indexing(X, split.train), y[split.train], **params)
            seconds = time.perf_counter() - start
            others = [
                pipeline.transform(_safe_indexing(X, rows)) if len(rows) else None
                for rows in (split.validation, split.test)
            ]
            self._latest = key, (train, *others, seconds)
        return self._latest[1]


def describe_table(table):
    """Number of columns, and the numbers of those that hold categories."""
    if not hasattr(table, "columns"):
        return table.shape[1], []
    categorical = [
        number for number, dtype in enumerate(table.dtypes) if getattr(dtype, "kind", "O") == "O"
    ]
    return table.shape[1], categorical


def find_table(X, y, baseline, split, params):
    """How controls can be given a table.

    Parameters
    ----------
    X : array-like of n_samples rows
    y : ndarray of shape (n_samples,)
    baseline : estimator
    split : Split
        Its training rows are tried.
    params : callable
        Arguments of the baseline's ``fit`` for a split.

    Returns
    -------
    preprocessing : Preprocessing or None
        None where ``X`` is a table as it is.
    table : tuple or None
        Number of columns and numbers of the categorical ones; None where there is no table.
    reason : str or None
        Why there is no table.
    """
    preprocessing = Preprocessing(steps_before_the_last(baseline))
    if not preprocessing.steps and is_numeric_table(X):
        return None, (X.shape[1], []), None
    try:
        train = preprocessing.tables(split, X, y, preprocessing.params(params(split)))[0]
    except Exception as error:  # whatever a step raises
        return preprocessing, None, f"{type(error).__name__}: {error}"
    return preprocessing, describe_table(train), None
