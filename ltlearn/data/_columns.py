"""From a data frame or an array to a matrix of numbers and codes of categories.

Numbers keep the digits of float64; NaN marks what is missing, of either kind of column.
"""

import warnings

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array

from ltlearn.data._views import chunks
from ltlearn.exceptions import DistinctValuesWarning
from ltlearn.utils._frames import as_pandas

# What a category is called that fit has not seen.
UNSEEN = -1.0

_NUMPY_NUMBERS = "biuf"

# A column of words holds names or texts when, of so many rows at least, more than this share have a
# value that no other row has.
_FEWEST_ROWS = 100
_LARGEST_SHARE_ALONE = 0.8


class ColumnReader:
    """Read tables whose columns are numbers or categories.

    Parameters
    ----------
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns are categories. ``"from_dtype"``: those of a data frame that hold categories
        or strings, or objects other than numbers; none of an array. None: none. Else a boolean mask
        over the columns, or positions or names of columns.

    Attributes
    ----------
    is_categorical_ : ndarray of shape (n_columns,), dtype bool
    categories_ : list
        For every column the categories that its codes 0, 1, ... stand for; None for numbers.
    """

    def __init__(self, categorical_features="from_dtype"):
        self.categorical_features = categorical_features

    def read(self, columns, *, reset):
        """A matrix of numbers, and codes in place of categories.

        Parameters
        ----------
        columns : object
            What :func:`columns_of` gives, of shape (n, n_columns).
        reset : bool
            Whether to learn which columns are categories, and which categories there are.

        Returns
        -------
        matrix : ndarray of shape (n, n_columns), dtype float64 or float32
            NaN where a number or a category is missing, ``UNSEEN`` for categories that were not
            there when the reader learned.

        Raises
        ------
        ValueError or TypeError
            For columns that are neither, such as dates; the message names the column.
        """
        # Columns that a user names are meant to be categories.
        guessed = isinstance(self.categorical_features, str)
        if reset:
            self.is_categorical_ = self._find_categorical(columns)
            self.categories_ = [None] * len(columns)
        if not self.is_categorical_.any() and columns.matrix is not None:
            return _checked(columns.matrix, columns)
        matrix = np.empty(columns.shape)
        for j, is_categorical in enumerate(self.is_categorical_):
            if not is_categorical:
                matrix[:, j] = columns.numbers(j)
                continue
            codes, categories = columns.codes(j)
            if reset:
                if guessed:
                    warn_of_distinct_values(columns.label(j), codes)
                self.categories_[j], codes = _in_order(codes, categories)
                matrix[:, j] = codes
            else:
                known = {category: k for k, category in enumerate(self.categories_[j])}
                # The code -1 of what is missing picks the last entry.
                table = [float(known.get(category, UNSEEN)) for category in categories]
                matrix[:, j] = np.array([*table, np.nan])[codes]
        return _checked(matrix, columns)

    def _find_categorical(self, columns):
        n_columns = len(columns)
        wanted = self.categorical_features
        if isinstance(wanted, str) and wanted == "from_dtype":
            return np.array([columns.looks_categorical(j) for j in range(n_columns)], dtype=bool)
        mask = np.zeros(n_columns, dtype=bool)
        if wanted is None:
            return mask
        wanted = np.asarray(wanted)
        if wanted.ndim != 1:
            raise ValueError(
                'categorical_features must be "from_dtype", None, or one-dimensional: a mask over '
                f"the columns, or positions or names of columns; got {self.categorical_features!r}."
            )
        if not len(wanted):
            return mask
        if wanted.dtype.kind == "b":
            if len(wanted) != n_columns:
                raise ValueError(
                    f"categorical_features is a mask of {len(wanted)} entries, X has {n_columns} "
                    "columns."
                )
            return wanted.copy()
        if wanted.dtype.kind in "iu":
            outside = wanted[(wanted < 0) | (wanted >= n_columns)]
            if len(outside):
                raise ValueError(
                    f"categorical_features has the position {outside[0]}; the columns of X are 0 "
                    f"to {n_columns - 1}."
                )
            mask[wanted] = True
            return mask
        if not all(isinstance(name, str) for name in wanted):
            raise ValueError(
                "categorical_features must hold booleans, positions or names of columns; got "
                f"{self.categorical_features!r}."
            )
        if columns.names is None:
            raise ValueError(
                "categorical_features holds names of columns, but X has no column names. Pass a "
                "data frame, or positions."
            )
        unknown = [name for name in wanted.tolist() if name not in columns.names]
        if unknown:
            raise ValueError(
                f"categorical_features names {unknown[0]!r}, which is no column of X; they are "
                f"{columns.names}."
            )
        return np.isin(columns.names, wanted)


class _ArrayColumns:
    """Columns of an array or of nested lists.

    ``matrix`` is all of them where they are numbers as they stand, else None.
    """

    names = None

    def __init__(self, X):
        if getattr(getattr(X, "dtype", None), "kind", None) in ("m", "M"):
            raise ValueError(f"X holds dates or times ({X.dtype}). {_DATES_ADVICE}")
        if issparse(X):
            raise TypeError(
                "Sparse data was passed as X, but dense data is required. Pass X.toarray(), or "
                "make it dense where it is made, as by OneHotEncoder(sparse_output=False); or pass "
                "the categories themselves in a data frame."
            )
        X = check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
        self.values = X
        self.shape = X.shape
        self.matrix = None
        if X.dtype.kind in _NUMPY_NUMBERS:
            self.matrix = X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)

    def __len__(self):
        return self.shape[1]

    def label(self, j):
        return f"column {j}"

    def looks_categorical(self, j):
        return False

    def numbers(self, j):
        return _as_numbers(self.values[:, j], self.label(j))

    def codes(self, j):
        return _codes(self.values[:, j].tolist())


class _FrameColumns:
    """Columns of a pandas data frame."""

    matrix = None

    def __init__(self, X):
        self.frame = X
        self.shape = X.shape
        names = list(X.columns)
        self.names = names if all(isinstance(name, str) for name in names) else None
        self.kinds = [self._kind(j) for j in range(X.shape[1])]

    def __len__(self):
        return self.shape[1]

    def label(self, j):
        return f"column {self.frame.columns[j]!r}"

    def looks_categorical(self, j):
        if self.kinds[j] == "other":
            self._refuse(j)
        return self.kinds[j] == "category"

    def numbers(self, j):
        if self.kinds[j] == "other":
            self._refuse(j)
        column = self.frame.iloc[:, j]
        if self.kinds[j] == "category":
            return _as_numbers(column.to_numpy(dtype=object), self.label(j))
        return column.to_numpy(dtype=np.float64, na_value=np.nan)

    def codes(self, j):
        codes, categories = self.frame.iloc[:, j].factorize()
        return codes, categories.tolist()

    def _kind(self, j):
        import pandas as pd

        column, types = self.frame.iloc[:, j], pd.api.types
        dtype = column.dtype
        if types.is_complex_dtype(dtype):
            return "other"
        if isinstance(dtype, pd.SparseDtype):
            dtype = dtype.subtype
        if types.is_bool_dtype(dtype) and not isinstance(dtype, pd.CategoricalDtype):
            return "number"
        if types.is_numeric_dtype(dtype):
            return "number"
        if isinstance(dtype, pd.CategoricalDtype):
            return "category"
        if types.is_object_dtype(dtype):
            inferred = types.infer_dtype(column, skipna=True)
            if inferred in _NUMBERS_AS_OBJECTS:
                return "number"
            is_date = any(word in inferred for word in ("date", "time", "period", "interval"))
            return "other" if is_date or inferred == "complex" else "category"
        is_dictionary = str(dtype).startswith("dictionary")  # of pyarrow
        return "category" if types.is_string_dtype(dtype) or is_dictionary else "other"

    def _refuse(self, j):
        column = self.frame.iloc[:, j]
        kind = column.dtype
        if isinstance(kind, np.dtype) and kind.kind == "O":
            kind = type(column.dropna().iloc[0]).__name__
        name = self.label(j).removeprefix("column ")
        raise ValueError(f"Column {name} of X holds values of the type {kind}. {_DATES_ADVICE}")


_NUMBERS_AS_OBJECTS = {
    "boolean",
    "decimal",
    "empty",
    "floating",
    "integer",
    "integer-na",
    "mixed-integer-float",
}

_DATES_ADVICE = (
    "Columns must be numbers or categories: turn dates into numbers (such as days since a day, the "
    "month, the hour) first, and leave out what is neither."
)


def columns_of(X):
    """Columns of a data frame, an array or nested lists; an error where there are none."""
    X = as_pandas(X)
    is_frame = hasattr(X, "iloc") and hasattr(X, "columns")
    return _FrameColumns(X) if is_frame else _ArrayColumns(X)


def warn_of_distinct_values(label, codes):
    """Warn about a column of categories of which hardly any occurs twice.

    Parameters
    ----------
    label : str
        Of the column, as in "column 'title'".
    codes : ndarray of shape (n,), dtype int
        Of categories; -1 where the value is missing.
    """
    counts = np.bincount(codes[codes >= 0])
    if counts.sum() < _FEWEST_ROWS or (counts == 1).sum() <= _LARGEST_SHARE_ALONE * counts.sum():
        return
    # Without counts, so that the folds of a search say it once.
    warnings.warn(
        f"Hardly a value of {label} occurs twice, so as a category it teaches nothing. Names, "
        "identifiers and free text: leave the column out, or turn it into numbers first, for "
        "instance by an embedding of the text.",
        DistinctValuesWarning,
        stacklevel=1,
    )


def _checked(matrix, columns):
    """The matrix, if it has rows and columns and no infinite number."""
    parts = [np.isinf(rows).any(axis=0) for rows in chunks(matrix)]
    is_infinite = np.any(parts, axis=0)
    if is_infinite.any():
        label = columns.label(np.flatnonzero(is_infinite)[0])
        raise ValueError(
            "Input X contains infinity or a value too large for "
            f"{matrix.dtype!r}: {label}. Values may be missing (NaN), but not infinite."
        )
    return check_array(matrix, dtype=None, ensure_all_finite=False, input_name="X")


def _as_numbers(values, label):
    """Values of an object or string array as float64; what is missing becomes NaN."""
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return np.array([_as_number(value, label) for value in values.tolist()])


def _as_number(value, label):
    if _is_missing(value):
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{error}: {label} of X does not hold numbers. If it holds categories, pass a data "
            "frame whose column has the type category or str, or list the column in "
            "categorical_features."
        ) from None


def _is_missing(value):
    """Whether a value is None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    is_itself = value == value
    return not isinstance(is_itself, bool | np.bool_) or not is_itself


def _codes(values):
    """Codes (-1 for what is missing) and the categories they stand for, in order of appearance."""
    known = {}
    codes = [-1 if _is_missing(v) else known.setdefault(v, len(known)) for v in values]
    return np.array(codes, dtype=np.int64), list(known)


def _in_order(codes, categories):
    """Categories sorted, and codes to match as floats, NaN for what is missing."""
    order = sorted(range(len(categories)), key=lambda k: _sort_key(categories[k]))
    place = np.full(len(categories) + 1, np.nan)
    place[order] = np.arange(len(categories))
    return [categories[k] for k in order], place[codes]


def _sort_key(category):
    """Numbers by size, all else by its text."""
    is_number = isinstance(category, int | float | np.number | np.bool_)
    return (0, float(category), "") if is_number else (1, 0.0, str(category))
