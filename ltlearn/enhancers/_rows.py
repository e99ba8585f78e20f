"""Rows of batches, of one or of many at once."""

from torch import Tensor


def rows_of(tensor: Tensor, index: Tensor) -> Tensor:
    """Samples ``index`` (..., M) of every batch of a tensor (..., B, *shape)."""
    if index.ndim == 1:
        return tensor.index_select(0, index)
    return tensor.take_along_dim(with_ndim(index, tensor.ndim), dim=index.ndim - 1)


def with_ndim(tensor: Tensor, ndim: int) -> Tensor:
    return tensor.view(*tensor.shape, *(1,) * (ndim - tensor.ndim))
