"""A network applied in blocks of one size: a row comes out the same whatever rows are beside it."""

from functools import partial

import torch

from ltlearn.data._tensors import TensorData
from ltlearn.networks._network import apply_in_batches
from ltlearn.utils._precision import autocast

# A row alone takes as long as a whole block, but products of few rows are slow.
_FEWEST, _MOST = 64, 256
_MOST_ELSEWHERE = 1024  # on accelerators, where small blocks would leave them idle
_WORK = 2**25  # multiplications in a block


def block_size(network, device):
    """Rows of a block: a power of 2, that depends on the network and the kind of device alone.

    Parameters
    ----------
    network : Network
    device : torch.device
    """
    if device.type != "cpu":
        return _MOST_ELSEWHERE
    n_members = getattr(network.backbone, "n_members", 1)
    work = n_members * sum(values.numel() for values in network.parameters())
    n_rows = max(_FEWEST, min(_MOST, _WORK // max(1, work)))
    return 1 << (n_rows.bit_length() - 1)


def apply_steadily(network, method, data, batch_size, device):
    """Outputs (n, ...) of a method of a network in evaluation mode, in float32.

    Parameters
    ----------
    network : Network
        On ``device``.
    method : str
    data : TensorData or its like
    batch_size : int
        Rows that are read at once from data of other kinds.
    device : torch.device
    """
    call, size = getattr(network, method), block_size(network, device)
    if type(data) is TensorData and data.device == device:
        with torch.inference_mode(), autocast(torch.float32, device):
            return apply_in_blocks(call, data.X, size)
    blockwise = partial(apply_in_blocks, call, size=size)
    precision = torch.float32
    return apply_in_batches(
        blockwise, data, batch_size=batch_size, device=device, precision=precision
    )


def apply_in_blocks(function, X, size):
    """Outputs (n, ...) of a function of batches.

    How a matrix product is rounded depends on its shape, which is always the same here. The last
    block is filled up with copies of its last row.

    Parameters
    ----------
    function : callable
        From a batch (B, ...) to a tensor (B, ...), every row by itself.
    X : torch.Tensor of shape (n, ...)
    size : int
        B.
    """
    if not len(X):
        return function(X)
    *whole, last = X.split(size)
    parts = [function(block) for block in whole]
    missing = last[-1:].expand(size - len(last), *last.shape[1:])
    parts.append(function(torch.cat([last, missing]))[: len(last)])
    return parts[0] if len(parts) == 1 else torch.cat(parts)
