"""From what a user passes as X to data that a network takes.

Inputs have the methods

- ``check(estimator, X, reset)``: an array with a row per sample, or an error;
- ``usable_rows(X)``: which of its rows can be trained on;
- ``fit(X)``: learn what there is to learn from the training rows;
- ``data(X, target, training)``: :class:`~ltlearn.data._tensors.TensorData` or its like;

and the attribute ``build_preparation``, see :class:`~ltlearn.networks._network.Network`.
"""

from functools import partial
from os import PathLike

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import validate_data

from ltlearn.data._column_scaling import ColumnScaler
from ltlearn.data._columns import ColumnReader, columns_of
from ltlearn.data._files import FileData
from ltlearn.data._powers import signed_power
from ltlearn.data._prepared import prepared_data
from ltlearn.data._views import RowView, chunks
from ltlearn.datasets._mapping import as_file


class TableInputs:
    """Rows of numbers for the built-in MLP, standardized with the training mean and deviation.

    Standardizing before the cast to float32 keeps the digits that matter of columns such as time
    stamps. Values further than ``limit`` deviations away are clipped, so that no outlier can
    overflow; and columns are divided by powers of 2 first, which changes nothing but that their
    squares are finite.

    Parameters
    ----------
    power : float, default=1.0
        Exponent p of ``sign(x) |x|^p``, taken of the columns first.
    """

    build_preparation = None
    limit = 1e6
    exponents = 0

    def __init__(self, power=1.0):
        self.power = power

    def check(self, estimator, X, reset):
        _refuse_files(X)
        if isinstance(X, RowView):  # of rows that are checked
            validate_data(estimator, X, reset=reset, skip_check_array=True)
            return X
        X = as_file(X, is_table=True)
        try:
            return validate_data(estimator, X, reset=reset, dtype=[np.float64, np.float32])
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{error}{_way_out(X)}") from error

    def _powers(self, X):
        with np.errstate(over="ignore", under="ignore"):
            scaled = np.ldexp(X, -self.exponents)
        largest = np.sqrt(np.finfo(scaled.dtype).max)
        return signed_power(np.clip(scaled, -largest, largest), self.power)

    def usable_rows(self, X):
        return np.arange(len(X))

    def fit(self, X):
        largest = [np.abs(rows).max(axis=0) for rows in chunks(X)]
        self.exponents = np.frexp(np.max(largest, axis=0))[1]
        self.scaler = StandardScaler()
        for rows in chunks(X):
            self.scaler.partial_fit(self._powers(rows))
        return self

    def data(self, X, target=None, training=False):
        return prepared_data(X, self._prepared, target, training)

    def _prepared(self, X):
        X = self._powers(X)
        with np.errstate(over="ignore"):
            # As the scaler does it; X is checked already.
            scaled = X - self.scaler.mean_.astype(X.dtype)
            scaled /= self.scaler.scale_.astype(X.dtype)
            np.clip(scaled, -self.limit, self.limit, out=scaled)
        return torch.from_numpy(np.ascontiguousarray(scaled, dtype=np.float32))


def _refuse_files(X):
    """A list of words is no table; it is most likely one of image files."""
    values = X if isinstance(X, list | tuple) else getattr(X, "values", X)
    one_dimensional = isinstance(values, list | tuple) or getattr(values, "ndim", None) == 1
    if one_dimensional and len(values) and isinstance(values[0], str | PathLike):
        raise ValueError(
            f"X is a list of words or files, beginning with {str(values[0])!r}; this backbone "
            "takes tables. For images name a backbone of images, such as "
            "backbone='tf_efficientnet_lite0.package', or compute features first: "
            "make_pipeline(BackboneFeatures(), ...)."
        )


def _way_out(X):
    """What to do about an X that is no table of numbers, as far as it can be told."""
    if issparse(X):
        return (
            " Make it dense where it is made, for instance by OneHotEncoder(sparse_output=False)."
        )
    if not (hasattr(X, "iloc") and hasattr(X, "columns")):
        return ""
    columns = columns_of(X)
    named = [columns.label(j) for j in range(len(columns)) if columns.looks_categorical(j)]
    if not named:
        return ""
    return (
        f': {named[0]} of X does not hold numbers. Use backbone="tabular", which takes '
        "categories, or turn them into numbers, for instance by "
        "OneHotEncoder(sparse_output=False)."
    )


class ColumnInputs:
    """Rows of numbers and categories, with gaps or without, for the body for tables.

    Parameters
    ----------
    categorical_features : "from_dtype", None or array-like
        Which columns are categories, see :class:`~ltlearn.data._columns.ColumnReader`.

    Attributes
    ----------
    n_pieces : int
        Of :class:`~ltlearn.data._column_scaling.ColumnScaler`; to be set before ``fit``.
    """

    build_preparation = None

    def __init__(self, categorical_features):
        self.reader = ColumnReader(categorical_features)

    def check(self, estimator, X, reset):
        _refuse_files(X)
        columns = columns_of(as_file(X, is_table=True))
        validate_data(estimator, X, reset=reset, skip_check_array=True)  # names and number
        return self.reader.read(columns, reset=reset)

    def usable_rows(self, X):
        return np.arange(len(X))

    def are_plain(self, X):
        """Whether all columns are numbers and none is missing."""
        has_gaps = (np.isnan(rows).any() for rows in chunks(X))
        return not (self.reader.is_categorical_.any() or any(has_gaps))

    def measured(self, X):
        """A checked X with 0 in place of categories, which have no size."""
        return np.where(self.reader.is_categorical_, 0, X)

    def fit(self, X):
        self.scaler = ColumnScaler(n_pieces=self.n_pieces).fit(X, self.reader.is_categorical_)
        return self

    def data(self, X, target=None, training=False):
        return prepared_data(X, self._prepared, target, training)

    def _prepared(self, X):
        return torch.from_numpy(self.scaler.transform(X))


class ArrayInputs:
    """Arrays of any number of dimensions for a user's own module, passed on as they are.

    Booleans and small integers such as uint8 images keep their type in memory and become float32
    batch by batch; all else becomes float32.
    """

    build_preparation = None

    def check(self, estimator, X, reset):
        X = as_file(X, is_table=False)
        X = validate_data(estimator, X, reset=reset, dtype="numeric", allow_nd=True)
        if reset:
            self.sample_shape = X.shape[1:]
        elif X.ndim != 1 + len(self.sample_shape):
            raise ValueError(f"samples have the shape {X.shape[1:]}, in fit {self.sample_shape}.")
        return X

    def usable_rows(self, X):
        return np.arange(len(X))

    def fit(self, X):
        return self

    def data(self, X, target=None, training=False):
        may_overflow = X.dtype.kind == "f" and X.dtype.itemsize > 4
        if may_overflow and not all(self._prepared(rows).isfinite().all() for rows in chunks(X)):
            raise ValueError("X has values too large for float32; scale them first.")
        return prepared_data(X, self._prepared, target, training)

    def _prepared(self, X):
        keeps_type = X.dtype in (np.uint8, np.int8, np.bool_)
        with np.errstate(over="ignore"):
            values = np.array(X, dtype=None if keeps_type else np.float32, order="C")
        return torch.from_numpy(values)


class ImageInputs:
    """Images in memory or in files, brought to the size and scale that a backbone takes.

    Pixels stay uint8 until they are on the device, where the network normalizes them.

    Parameters
    ----------
    spec : ltlearn.images.InputSpec
    recipe : ltlearn.images.Recipe or None
        Augmentation in training.
    num_workers : int
        Processes that decode files.
    on_bad_image : {"raise", "skip"}
    """

    def __init__(self, spec, recipe, num_workers, on_bad_image):
        self.spec = spec
        self.recipe = recipe
        self.num_workers = num_workers
        self.on_bad_image = on_bad_image

    @property
    def build_preparation(self):
        from ltlearn.images import Preparation

        return partial(Preparation, self.spec, self.recipe)

    def check(self, estimator, X, reset):
        from ltlearn.images import FileSource, as_image_source

        X = as_file(X, is_table=False)
        source = as_image_source(X, channels=self.spec.channels)
        return source.paths if isinstance(source, FileSource) else source.values

    def usable_rows(self, X):
        from ltlearn.images import readable_rows

        return readable_rows(X, self.on_bad_image) if X.dtype == object else np.arange(len(X))

    def fit(self, X):
        return self

    def data(self, X, target=None, training=False):
        from ltlearn import images

        evaluate = images.eval_transform(self.spec)
        if X.dtype != object:
            train = images.batch_transform(self.spec, self.recipe) if self.recipe else evaluate
            return prepared_data(X, self._pixels, target, training, (train, evaluate))
        train = images.train_transform(self.spec, self.recipe) if self.recipe else evaluate
        return FileData(
            images.FileSource(X, self.spec.channels),
            target,
            transforms=(train, evaluate),
            training=training and self.recipe is not None,
            num_workers=self.num_workers,
            input_shape=(self.spec.channels, *self.spec.size),
        )

    def _pixels(self, X):
        from ltlearn.images import ArraySource

        return ArraySource(X, self.spec.channels).batch(slice(None))
