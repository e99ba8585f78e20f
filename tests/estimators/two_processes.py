"""A fit in one of two processes; a script for ``test_two_processes.py``, run with a rank."""

import os
import sys
import warnings
from datetime import timedelta

import numpy as np
import torch
from torch import distributed

from ltlearn import ELTARegressor, GranularClassifier, Whole
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
}
OTHERS = {
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


def outputs(model):
    return np.ravel(model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X))


def error_of(fit):
    try:
        fit()
    except ValueError as error:
        return str(error)
    return ""


def main(folder, rank):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = {}
    if rank >= 0:
        store = f"file://{folder}/store"
        distributed.init_process_group(
            "gloo", init_method=store, rank=rank, world_size=2, timeout=timedelta(seconds=120)
        )
        small = {**SMALL, "batch_size": 1}
        found["tiny batches"] = error_of(
            lambda: ELTARegressor(max_epochs=1, **PLAIN, **small).fit(X, SCORES)
        )
        found["checkpoint"] = error_of(
            lambda: ELTARegressor(checkpoint=folder, **PLAIN, **SMALL).fit(X, SCORES)
        )
    for name, fit in (EQUAL if rank < 0 else {**EQUAL, **OTHERS}).items():
        model = fit()
        found[name] = outputs(model)
        terms = [[row["train_loss"], row.get("valid_loss", 0.0)] for row in model.history_]
        found[f"history of {name}"] = np.array(terms)
    np.savez(os.path.join(folder, f"{rank}.npz"), **found)
    if rank >= 0:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
