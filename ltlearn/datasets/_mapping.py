"""Tables that lie in files of other formats, as files that are mapped into memory."""

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ltlearn.persistence._archive import replace_by
from ltlearn.utils._optional import import_optional_dependency
from ltlearn.utils._typing import FilePath

# Bytes of a table that are read at once, unless a chunk of it has more.
_BYTES_AT_ONCE = 2**22

_NUMBERS = "biuf"  # kinds of types


def map_table(
    source: Any,
    path: FilePath,
    *,
    columns: Sequence[str] | None = None,
    dtype: Literal["float32", "float64"] = "float32",
) -> np.memmap:
    """Copy a table of numbers into a file that NumPy maps, a part of it at a time.

    Estimators read rows in random order and many times. From a mapped file that costs little, and
    only what is being worked on is in memory. From compressed formats every row would have to be
    unpacked with all its neighbors; so they are unpacked once.

    Parameters
    ----------
    source : str, path-like, or array
        A Parquet file, which needs pyarrow; or an array of two dimensions that is read by slices of
        rows, such as one of Zarr or HDF5.
    path : str or path-like
        The file to write, in the format of :func:`numpy.save`; it must end in ``.npy``. One that is
        there is replaced when the new one is whole.
    columns : sequence of str, default=None
        Of a Parquet file, in this order; by default all.
    dtype : {"float32", "float64"}, default="float32"
        Float32 keeps seven digits: take float64 for numbers such as time stamps.

    Returns
    -------
    table : numpy.memmap of shape (n_rows, n_columns)
        Read-only. What is missing in a Parquet file is NaN. It can be had again by
        ``numpy.load(path, mmap_mode="r")``.

    Raises
    ------
    ValueError
        For columns that are not there or do not hold numbers; the message names them.
    ImportError
        Where pyarrow is not installed.
    OSError
        When the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from ltlearn.datasets import map_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = map_table(np.arange(6.0).reshape(3, 2), os.path.join(folder, "table.npy"))
    ...     print(table.shape, table.dtype, table[1])
    (3, 2) float32 [2. 3.]
    """
    file_path, kind = Path(path), np.dtype(dtype)
    if file_path.suffix != ".npy":
        raise ValueError(f"path must end in .npy, got {str(file_path)!r}.")
    if kind not in (np.float32, np.float64):
        raise ValueError(f'dtype must be "float32" or "float64", got {str(kind)!r}.')
    if isinstance(source, str | os.PathLike):
        shape, parts = _of_parquet(source, columns, kind)
    elif columns is not None:
        raise ValueError("columns are for Parquet files; take those of an array before.")
    else:
        shape, parts = _of_table(source)

    def write(file):
        header = {"descr": kind.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        _write_rows(file, parts, kind)

    replace_by(file_path, write)
    return np.load(file_path, mmap_mode="r")


def is_stored(X):
    """Whether X is an array in a store of its own, which is read part by part."""
    if isinstance(X, np.ndarray) or hasattr(X, "columns"):
        return False
    return all(hasattr(X, name) for name in ("shape", "dtype", "chunks", "__getitem__"))


def as_file(X, *, is_table):
    """X, or a stored array as a memory-mapped one, in a file that goes with it.

    Parameters
    ----------
    X : object
        Unpacked is an array of Zarr, HDF5 or the like, of shape (n, ...).
    is_table : bool
        Whether it is to be a table, which has two dimensions and becomes one of floats. Other
        arrays keep their type, and what holds no numbers is not unpacked.
    """
    if not is_stored(X) or not (is_table or np.dtype(X.dtype).kind in _NUMBERS):
        return X
    shape, parts = _of_table(X) if is_table else _of_array(X)
    dtype = np.result_type(X.dtype, np.float32) if is_table else np.dtype(X.dtype)
    if 0 in shape:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="ltlearn-") as file:
        _write_rows(file, parts, dtype)
        file.flush()
        return np.memmap(file, dtype, mode="r", shape=shape)


def loaded(X):
    """X, or a stored array as one in memory, for what takes its rows in any order."""
    return np.asarray(X) if is_stored(X) else X


def _write_rows(file, parts, dtype):
    for rows in parts:
        file.write(np.ascontiguousarray(rows, dtype=dtype).data)


def _of_table(source):
    """Shape of a table in an array, and its rows in parts."""
    kind = np.dtype(source.dtype)
    if len(source.shape) != 2 or kind.kind not in _NUMBERS:
        raise ValueError(
            "A table has two dimensions and holds numbers; this one has the shape "
            f"{tuple(map(int, source.shape))} and holds {kind}."
        )
    return _of_array(source)


def _of_array(source):
    """Shape of an array, and its rows in parts."""
    shape = tuple(map(int, source.shape))
    chunks = getattr(source, "chunks", None)
    of_chunk = int(np.max(chunks[0])) if chunks else 1
    bytes_of_row = math.prod(shape[1:]) * np.dtype(source.dtype).itemsize
    at_once = max(1, _BYTES_AT_ONCE // max(1, bytes_of_row))
    step = of_chunk * max(1, at_once // of_chunk)
    return shape, (np.asarray(source[i : i + step]) for i in range(0, shape[0], step))


def _of_parquet(path, columns, dtype):
    """Shape of the table in a Parquet file, and its rows in parts."""
    parquet = import_optional_dependency("pyarrow.parquet", "parquet")
    types = import_optional_dependency("pyarrow.types", "parquet")
    file = parquet.ParquetFile(path)
    schema = file.schema_arrow
    columns = list(schema.names if columns is None else columns)
    unknown = [name for name in columns if name not in schema.names]
    if unknown:
        raise ValueError(f"{path} has no column {unknown[0]!r}; it has {schema.names}.")
    for name in columns:
        kind = schema.field(name).type
        if not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
            raise ValueError(
                f"The column {name!r} of {path} holds {kind}, no numbers. Name the others in "
                "columns=, and turn it into numbers first, such as codes or days."
            )
    step = max(1, _BYTES_AT_ONCE // (8 * max(1, len(columns))))

    def parts():
        with file:
            for batch in file.iter_batches(batch_size=step, columns=columns):
                rows = np.empty((batch.num_rows, len(columns)), dtype=dtype)
                for j, name in enumerate(columns):
                    column = batch.column(name).cast("float64")
                    rows[:, j] = column.to_numpy(zero_copy_only=False)
                yield rows

    return (file.metadata.num_rows, len(columns)), parts()
