"""Which device to compute on."""

from contextlib import contextmanager, nullcontext

import torch


def resolve_device(device):
    """Turn ``"auto"`` or a device name into a ``torch.device`` that exists here.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` takes the current CUDA device when there is one, else the CPU.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        When the name is not a device, or CUDA is asked for and not available.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f'device={device!r} is not a torch device. Use "auto", "cpu", "cuda" or "cuda:<index>".'
        ) from error
    if resolved.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(
                f"device={device!r} was asked for, but torch sees no CUDA device. "
                'Use device="auto" or device="cpu".'
            )
        if resolved.index is None:
            resolved = torch.device("cuda", torch.cuda.current_device())
    return resolved


@contextmanager
def torch_defaults():
    """A context in which new tensors are float32 on the CPU, whatever the user's defaults.

    The device is set only where it differs, since that slows down every call of torch.
    """
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        is_cpu = torch.empty(0).device.type == "cpu"
        with nullcontext() if is_cpu else torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(dtype)
