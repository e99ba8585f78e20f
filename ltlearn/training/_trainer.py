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
    checkpoint : StageCheckpoint or None
        Where the state is written after epochs, where the net is trained alone.
    on_interrupt : {"raise", "keep"}
        What Ctrl-C does to a net that is trained alone.
    """

    net: Any
    data: Any
    valid: Any = None
    observers: Any = ()
    seed: int = 0
    draws_globally: bool = True
    threads: Callable = nullcontext
    keeps_optimizer: bool = False
    checkpoint: Any = None
    on_interrupt: str = "raise"


def train(plan):
    """Train a net and return it, by the trainer of this context or else alone."""
    trainer = _TRAINER.get()
    if trainer is None:
        return train_alone(plan)
    (outcome,) = trainer([plan])
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def train_many(plans, otherwise):
    """Train nets by the trainer of this context, or else by another one.

    Parameters
    ----------
    plans : list of TrainingPlan
    otherwise : callable
        A trainer, see :func:`trained_by`.

    Returns
    -------
    outcomes : list
        For each the net, or the error that ended its training.
    """
    trainer = _TRAINER.get()
    return (otherwise if trainer is None else trainer)(plans)


def train_alone(plan):
    """Train a net by its own loop and return it."""
    net, checkpoint = plan.net, plan.checkpoint
    state = None if checkpoint is None else checkpoint.read()
    if state is not None and state["is_finished"]:
        return net.restore(state)
    with plan.threads():
        net.fit_data(
            plan.data,
            plan.valid,
            plan.observers,
            seed=plan.seed,
            draws_globally=plan.draws_globally,
            checkpoint=checkpoint,
            resumed=state,
            on_interrupt=plan.on_interrupt,
        )
    if not plan.keeps_optimizer:
        net.optimizer_.state.clear()
    if checkpoint is not None and not net.was_interrupted:
        checkpoint.write(lambda: {"is_finished": True, **net.training_state()}, at_once=True)
    return net


@contextmanager
def trained_by(trainer):
    """Let a function train in this context.

    Parameters
    ----------
    trainer : callable
        From a list of :class:`TrainingPlan` to a list of trained nets, or of the errors that ended
        their training.
    """
    token = _TRAINER.set(trainer)
    try:
        yield
    finally:
        _TRAINER.reset(token)
