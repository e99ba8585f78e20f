"""Who trains a net: the loop of the net itself, or whoever trains several at once."""

from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

_TRAINER = ContextVar("trainer", default=None)


@dataclass
class TrainingPlan:
    """All that the training of a net depends on.

    Parameters
    ----------
    make_net : callable
        Makes the net, untrained or to go on with.
    isolated : callable
        Makes the context in which the net is made and trained, with generators of its own.
    data, valid : TensorData or FileData
        ``valid`` may be None.
    observers : list of skorch callbacks
    keeps_optimizer : bool
        Whether the state of the optimizer is of further use; it takes twice the memory of the
        weights.
    """

    make_net: Callable
    isolated: Callable
    data: Any
    valid: Any
    observers: list
    keeps_optimizer: bool = False


def train(plan):
    """Train a net and return it, by the trainer of this context or else alone."""
    trainer = _TRAINER.get()
    return train_alone(plan) if trainer is None else trainer(plan)


def train_alone(plan):
    """Train a net by its own loop and return it."""
    with plan.isolated():
        net = plan.make_net()
        net.fit_data(plan.data, plan.valid, plan.observers)
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
