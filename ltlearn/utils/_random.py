"""Reproducible randomness that leaves the user's generators alone."""

import random
import threading
from contextlib import contextmanager

import numpy as np
import torch

# The default generators are shared by all threads of a process, so only one thread at a time may
# borrow them.
_LOCK = threading.RLock()


@contextmanager
def isolated_generators(seed, device):
    """Seed the default generators inside the block and put their states back after it.

    Covers torch (the CPU and ``device``), NumPy's legacy generator and :mod:`random`: weight
    initialization, dropout and whatever a user's own module draws from.

    Parameters
    ----------
    seed : int
    device : torch.device
    """
    on_cuda = device.type == "cuda"
    with _LOCK, torch.random.fork_rng(devices=[device.index] if on_cuda else []):
        python_state, numpy_state = random.getstate(), np.random.get_state()
        # torch.manual_seed would also seed the CUDA devices that were not forked.
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def draw_seed(random_state):
    """Draw a seed that fits every generator from a ``numpy.random.RandomState``."""
    return int(random_state.randint(np.iinfo(np.int32).max))
