"""Reproducible randomness that leaves the user's generators alone.

What ltlearn draws itself comes from generators of its own, one a purpose. Only what draws from the
default generators of torch, NumPy and :mod:`random` without being asked, such as a user's own
module, has to borrow these: for a moment, since they belong to all threads of the process.
"""

import os
import random
import threading
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.utils import check_random_state

from ltlearn.utils._device import torch_defaults

# Only one thread at a time may borrow the default generators.
_LOCK = threading.RLock()


def _renew_lock():
    """A child of fork has none of the threads that may have held the lock."""
    global _LOCK
    _LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class DefaultGenerators:
    """States of the default generators, to go on with whenever these are borrowed.

    Covers torch (the CPU and ``device``), NumPy's legacy generator and :mod:`random`. While they
    are borrowed, torch's default dtype is float32 and its default device the CPU.

    Parameters
    ----------
    seed : int
    device : torch.device
    """

    def __init__(self, seed, device):
        self.seed = seed
        self.device = device
        self.states = None

    @contextmanager
    def borrowed(self):
        """Draws in the block go on where those of the last block ended."""
        with _LOCK:
            users = self._get()
            try:
                self._seed() if self.states is None else self._set(self.states)
                with torch_defaults():
                    yield
            finally:
                self.states = self._get()
                self._set(users)

    def _seed(self):
        # torch.manual_seed would also seed other devices.
        torch.default_generator.manual_seed(self.seed)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(self.seed)
        random.seed(self.seed)
        np.random.seed(self.seed)

    def _get(self):
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return torch.get_rng_state(), cuda, random.getstate(), np.random.get_state()

    def _set(self, states):
        cpu, cuda, python, numpy = states
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, self.device)
        random.setstate(python)
        np.random.set_state(numpy)


def isolated_generators(seed, device):
    """Seed the default generators inside the block and put their states back after it.

    Parameters
    ----------
    seed : int
    device : torch.device
    """
    return DefaultGenerators(seed, device).borrowed()


def seed_for(seed, purpose, number=0):
    """A seed of its own for each purpose, and for each round of it.

    Parameters
    ----------
    seed : int
        Non-negative.
    purpose : str
        Such as ``"weights"``.
    number : int, default=0
        Which round.

    Returns
    -------
    seed : int
        Below 2**32, as unrelated to those of other purposes as a random number.
    """
    sequence = np.random.SeedSequence([seed, number, *purpose.encode()])
    return int(sequence.generate_state(1)[0])


def draw_seed(random_state):
    """Draw a seed that fits every generator from a ``numpy.random.RandomState``."""
    return int(random_state.randint(np.iinfo(np.int32).max))


def draw_seeds(random_state, n):
    """``n`` independent seeds, and the generator they came from for draws in NumPy."""
    generator = check_random_state(random_state)
    return generator, [draw_seed(generator) for _ in range(n)]
