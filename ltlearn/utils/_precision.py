"""In which floating-point type a network computes."""

from contextlib import nullcontext

import torch


def resolve_precision(precision, device):
    """The type that matrix products and convolutions are computed in.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"`` is bfloat16 on CUDA devices that have it in hardware, and float32 elsewhere.
    device : torch.device

    Returns
    -------
    dtype : torch.dtype
    """
    if precision == "auto":
        fast = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if fast else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def autocast(dtype, device):
    """Context in which a network's forward pass computes in ``dtype``.

    It is entered in every step, so float32 costs nothing where it already is what is computed in.
    """
    if dtype == torch.float32 and not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
