"""How much memory rows take."""

from numbers import Integral

from scipy import sparse


def n_bytes_of(X):
    """Bytes of an array, a sparse one or a data frame; 0 for what does not tell."""
    if sparse.issparse(X):
        parts = (getattr(X, name, None) for name in ("data", "indices", "indptr", "row", "col"))
        return sum(n_bytes_of(part) for part in parts if part is not None)
    if hasattr(X, "memory_usage"):  # pandas
        size = X.memory_usage()
        return int(getattr(size, "sum", lambda: size)())
    if hasattr(X, "estimated_size"):  # Polars
        return int(X.estimated_size())
    size = getattr(X, "nbytes", 0)
    return int(size) if isinstance(size, Integral) else 0
