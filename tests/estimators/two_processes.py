"""Fits in one process, and in each of two that train together.

A script for ``test_two_processes.py``, run with a folder for what comes out. The two are forked
from this one, which has imported all there is to import.
"""

import os
import sys
import traceback
import warnings
from datetime import timedelta

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import distributed

import ltlearn
from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.model_selection import BatchedGridSearchCV
from ltlearn.options import Architecture, Training

rng = np.random.default_rng(0)
X = rng.normal(size=(90, 3))
SCORES = X[:, 0] + 0.3 * rng.normal(size=90)
CLASSES = np.digitize(SCORES, [0.0, 1.2])
SMALL = {"hidden_layer_sizes": (8,), "dropout": 0.0, "batch_size": 16, "random_state": 0}
PLAIN = {"mixup_strength": 0.0, "backbone": "mlp", "loss": "mse"}

# Without anything that acts within a batch, or draws row by row, the parts do not matter.
EQUAL = {
    "scores": lambda: ELTARegressor(
        max_epochs=12, early_stopping=True, training=Training(max_grad_norm=0.5), **PLAIN, **SMALL
    ).fit(X, SCORES, sample_weight=1 + np.arange(90) % 2),
    "quantiles": lambda: ELTARegressor(max_epochs=4, mixup_strength=0.0, **SMALL).fit(X, SCORES),
    "classes": lambda: GranularClassifier(
        max_epochs=4, calibrate_temperature=True, training=Training(feature_mixup=0.0), **SMALL
    ).fit(X, CLASSES, X_aux=Whole(X[:20] + 2), y_aux=Whole(np.repeat([7, 8], 10))),
    # Nets that train stacked do so in every process, on all rows.
    "members": lambda: members(max_epochs=4, mixup_strength=0.5),
    "search": lambda: (
        BatchedGridSearchCV(
            ELTARegressor(max_epochs=3, early_stopping=False, **PLAIN, **SMALL),
            {"lr": [0.001, 0.01]},
            cv=2,
        )
        .fit(X, SCORES)
        .best_estimator_
    ),
}
STOPPED = {"max_epochs": 30, "early_stopping": True, **{**SMALL, "lr": 0.05}}
OTHERS = {
    "mixup, early stopping": lambda: ELTARegressor(
        backbone="mlp", mixup_strength=0.5, training=Training(n_iter_no_change=3), **STOPPED
    ).fit(X, SCORES),
    "feature mixup, early stopping": lambda: GranularClassifier(
        training=Training(feature_mixup=0.5, n_iter_no_change=3), **STOPPED
    ).fit(X, CLASSES, X_aux=Whole(X[:20] + 2), y_aux=Whole(np.repeat([7, 8], 10))),
    "a loss that learns": lambda: ELTARegressor(
        max_epochs=3, **{**PLAIN, "loss": LearnedScale()}, **SMALL
    ).fit(X, SCORES),
    "mixup, alignment, dropout": lambda: ELTARegressor(
        **{**SMALL, "dropout": 0.3}, max_epochs=3, mixup_strength=0.5, alignment_weight=0.1
    ).fit(X, SCORES),
    "feature mixup, batch normalization": lambda: GranularClassifier(
        max_epochs=3, architecture=Architecture(batch_norm_head=True), **SMALL
    ).fit(X, CLASSES),
    "no seed": lambda: ELTARegressor(max_epochs=2, **PLAIN, **{**SMALL, "random_state": None}).fit(
        X, SCORES
    ),
}


def members(**params):
    return ELTARegressor(n_estimators=2, **{**PLAIN, **params}, **SMALL).fit(X, SCORES)


class LearnedScale(torch.nn.Module):
    """Squared error in units that are learned."""

    def __init__(self):
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.zeros(()))

    def forward(self, outputs, target):
        return (outputs - target).square() / self.log_scale.exp() + self.log_scale


class SeenRows(Callback):
    """Notes the first column of all rows of the first epoch's batches, batch by batch."""

    def __init__(self, seen):
        self.seen = seen

    def on_batch_begin(self, net, batch, training, **kwargs):
        if len(net.history) == 1:
            self.seen.append(batch[0][:, 0].double().numpy())


class StopsInOneProcess(Callback):
    """Asks for the end of training after two epochs, in the last process."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2 and distributed.get_rank() == 1:
            raise KeyboardInterrupt


def outputs(model):
    return np.ravel(model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X))


def error_of(fit):
    try:
        fit()
    except ValueError as error:
        return str(error)
    return ""


def in_a_group(folder, rank):
    """What only makes sense in a group."""
    small = {**SMALL, "batch_size": 1}
    yield (
        "tiny batches",
        error_of(lambda: ELTARegressor(max_epochs=1, **PLAIN, **small).fit(X, SCORES)),
    )
    yield (
        "checkpoint",
        error_of(lambda: ELTARegressor(checkpoint=folder, **PLAIN, **SMALL).fit(X, SCORES)),
    )
    model = ELTARegressor(max_epochs=1, **PLAIN, **SMALL)
    yield "own rows", error_of(lambda: model.fit(X[rank::2], SCORES[rank::2]))
    yield "other labels", error_of(lambda: model.fit(X, SCORES + rank))
    others = ELTARegressor(max_epochs=1, **PLAIN, **{**SMALL, "batch_size": 16 + rank})
    yield "other parameters", error_of(lambda: others.fit(X, SCORES))
    seen = []
    params = {"max_epochs": 5, "callbacks": [SeenRows(seen), StopsInOneProcess()]}
    model = ELTARegressor(early_stopping=False, **params, **PLAIN, **SMALL).fit(X, SCORES)
    yield "rows seen", np.concatenate(seen)
    yield "sizes seen", np.array([len(rows) for rows in seen])
    yield "epochs", np.array(model.n_iter_)
    model = ELTARegressor(max_epochs=1, **PLAIN, **SMALL).fit(X, SCORES)
    if rank == 0:
        ltlearn.save(model, os.path.join(folder, "model.ltlearn"))
    yield "of the saved model", outputs(model)


def fit_all(folder, rank):
    found = {}
    if rank >= 0:
        store = distributed.FileStore(os.path.join(folder, "store"), 2)
        distributed.init_process_group(
            "gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=120)
        )
        found = dict(in_a_group(folder, rank))
    for name, fit in (EQUAL if rank < 0 else {**EQUAL, **OTHERS}).items():
        model = fit()
        found[name] = outputs(model)
        terms = [[row["train_loss"], row.get("valid_loss", 0.0)] for row in model.history_]
        found[f"history of {name}"] = np.array(terms)
    np.savez(os.path.join(folder, f"{rank}.npz"), **found)
    if rank >= 0:
        distributed.destroy_process_group()


def fork(function, *args):
    pid = os.fork()
    if not pid:
        status = 1
        try:
            function(*args)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def main(folder):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    members(max_epochs=1)  # imports, for all of them
    pids = [fork(fit_all, folder, rank) for rank in (0, 1)]
    fit_all(folder, -1)
    if any(os.waitpid(pid, 0)[1] for pid in pids):
        raise SystemExit("a process of the group failed")


if __name__ == "__main__":
    main(sys.argv[1])
