"""Which device to compute on."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import torch

# Kinds of accelerators that torch has beside CUDA.
_OTHERS = ("mps", "xpu", "hpu", "mtia", "xla")


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
        When the name is not a device, or the device is not there, cannot compute, or is of a kind
        whose generators of random numbers cannot be kept apart from the user's.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f'device={device!r} is not a torch device. Use "auto", "cpu", "cuda" or "cuda:<index>".'
        ) from error
    if resolved.type in _OTHERS:
        raise ValueError(
            f"device={device!r} is of a kind that ltlearn does not compute on; use "
            'device="cpu" or a CUDA device.'
        )
    if resolved.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(
                f"device={device!r} was asked for, but torch sees no CUDA device. "
                'Use device="auto" or device="cpu".'
            )
        if resolved.index is None:
            resolved = torch.device("cuda", torch.cuda.current_device())
        elif resolved.index >= torch.cuda.device_count():
            raise ValueError(
                f"device={device!r} was asked for, but torch sees {torch.cuda.device_count()} CUDA "
                "devices, counted from 0."
            )
    elif resolved.type != "cpu":
        _check_that_it_computes(resolved)
    return resolved


def _check_that_it_computes(device):
    try:
        torch.ones(1, device=device).item()
    except (RuntimeError, NotImplementedError, AssertionError, ImportError) as error:
        raise ValueError(
            f'device="{device}" cannot be computed on here: {error}. Use device="auto" or "cpu".'
        ) from error


@contextmanager
def own_modes() -> Iterator[None]:
    """A context, or decorator, in which torch's modes are those of training.

    A ``fit`` inside of somebody's ``torch.inference_mode()``, ``torch.no_grad()`` or
    ``torch.autocast()`` has gradients, and the precision that it was asked for.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


class _DefaultDtype:
    """The default dtype of the whole process: float32 while any thread is inside.

    The user's comes back when the last one leaves, so that nobody has to wait for anybody, and
    no thread takes another's float32 for what the user wants.
    """

    def __init__(self):
        self.lock = threading.Lock()  # held for moments only
        self.n_inside = 0
        self.users = None
        self.own = threading.local()

    def enter(self):
        with self.lock:
            dtype = torch.get_default_dtype()
            if self.n_inside == 0 or dtype != torch.float32:
                self.users = dtype
                torch.set_default_dtype(torch.float32)
            self.n_inside += 1
            self.own.depth = getattr(self.own, "depth", 0) + 1

    def leave(self):
        with self.lock:
            self.n_inside -= 1
            self.own.depth -= 1
            if self.n_inside == 0:
                torch.set_default_dtype(self.users)

    def forget_other_threads(self):
        """In a child of fork, where there are none."""
        self.lock = threading.Lock()
        was_inside, self.n_inside = self.n_inside, getattr(self.own, "depth", 0)
        if was_inside and not self.n_inside:
            torch.set_default_dtype(self.users)


_DTYPE = _DefaultDtype()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_DTYPE.forget_other_threads)


@contextmanager
def torch_defaults() -> Iterator[None]:
    """A context in which new tensors are float32 on the CPU, whatever the user's defaults.

    The device is set only where it differs, since that slows down every call of torch.
    """
    _DTYPE.enter()
    try:
        is_cpu = torch.empty(0).device.type == "cpu"
        with nullcontext() if is_cpu else torch.device("cpu"):
            yield
    finally:
        _DTYPE.leave()
