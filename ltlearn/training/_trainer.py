"""Who trains a net: its own loop, or whoever trains several nets at once."""

from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

_TRAINER = ContextVar("trainer", default=None)


@dataclass
class TrainingPlan:
    """All that the training of a net depends on.

    Parameters
    ----------
    net : ObjectiveNet
        Initialized.
    data, valid : TensorData or FileData
        ``valid`` may be None.
    observers : list of skorch callbacks
    seed : int
    draws_globally : bool
        As for :meth:`ObjectiveNet.fit_data`.
    threads : callable
        Makes the context that says how many threads to compute in.
    keeps_optimizer : bool
        Whether the state of the optimizer is of further use; it takes twice the memory of the
        weights.
    """

    net: Any
    data: Any
    valid: Any = None
    observers: Any = ()
    seed: int = 0
    draws_globally: bool = True
    threads: Callable = nullcontext
    keeps_optimizer: bool = False


def train(plan):
    """Train a net and return it, by the trainer of this context or else alone."""
    trainer = _TRAINER.get()
    return train_alone(plan) if trainer is None else trainer(plan)


def train_alone(plan):
    """Train a net by its own loop and return it."""
    net = plan.net
    with plan.threads():
        net.fit_data(
            plan.data,
            plan.valid,
            plan.observers,
            seed=plan.seed,
            draws_globally=plan.draws_globally,
        )
    if not plan.keeps_optimizer:
        net.optimizer_.state.clear()
    return net


@contextmanager
def trained_by(trainer):
    """Let a function from a :class:`TrainingPlan` to the net train in this context."""
    token = _TRAINER.set(trainer)
    try:
        yield
    finally:
        _TRAINER.reset(token)
