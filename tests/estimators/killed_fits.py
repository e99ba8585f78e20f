"""Fits that are killed at random and called again; a script for ``test_checkpoints.py``.

Every fit runs in a child of this process, which has imported all there is to import. Prints a line
for every scenario: its name, how often it was killed, and whether all that came out is the same.
"""

import json
import os
import signal
import sys
import tempfile
import time
import warnings

import numpy as np
import torch

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.options import Enhancers, Training

torch.set_num_threads(1)
generator = np.random.default_rng(int(sys.argv[1]))
rng = np.random.default_rng(0)
X = rng.normal(size=(80, 3))
SCORES = X[:, 0] + 0.3 * rng.normal(size=80)
CLASSES = np.digitize(SCORES, [0.5, 1.3])
SMALL = {"hidden_layer_sizes": (8, 8), "max_epochs": 6, "random_state": 0}
AUXILIARY = {"X_aux": Whole(X[:20] + 2), "y_aux": Whole(np.repeat([7, 8], 10))}

SCENARIOS = {
    "mixup, early stopping": lambda folder: ELTARegressor(
        mixup_strength=0.5, early_stopping=True, checkpoint=folder, **SMALL
    ).fit(X, SCORES),
    "self-training, head retraining": lambda folder: ELTARegressor(
        loss="emd",
        early_stopping=True,
        alignment_weight=0.1,
        enhancers=Enhancers(
            self_training_rounds=1, head_retraining_epochs=3, confidence_threshold=0.05
        ),
        checkpoint=folder,
        **SMALL,
    ).fit(X, SCORES, X_unlabeled=X[:40] + 0.1),
    "auxiliary data, early stopping": lambda folder: GranularClassifier(
        early_stopping=True, calibrate_temperature=True, checkpoint=folder, **SMALL
    ).fit(X, CLASSES, **AUXILIARY),
    "averages, accumulation, a module": lambda folder: GranularClassifier(
        backbone=Module,
        training=Training(
            weight_averaging="swa", accumulation_steps=2, optimizer="sgd", lr_schedule="cosine",
            head_warmup_epochs=2, sam_radius=0.05,
        ),
        checkpoint=folder,
        **{**SMALL, "hidden_layer_sizes": "auto"},
    ).fit(X, CLASSES),
    "members": lambda folder: ELTARegressor(
        n_estimators=2, backbone="mlp", loss="mse", checkpoint=folder, **SMALL
    ).fit(X, SCORES),
}  # fmt: skip


class Module(torch.nn.Module):
    """Draws from torch's default generator and has batch normalization."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.3)
        )

    def forward(self, rows):
        return self.layers(rows)


def fit_in_a_child(fit, folder, output):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = fit(folder)
        outputs = model.predict(X) if hasattr(model, "score_mean_") else model.predict_proba(X)
        np.save(output, outputs)
        status = 0
    finally:
        os._exit(status)


def finished(pid):
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return False
    if os.WEXITSTATUS(status):
        raise SystemExit("a fit failed")
    return True


def output_of(fit, folder, root):
    output = os.path.join(root, "output.npy")
    finished(fit_in_a_child(fit, folder, output))
    return np.load(output)


def survives(fit, n_kills, root):
    """Whether a fit that is killed so often, and its finished checkpoint, give the same."""
    whole = os.path.join(root, "whole")
    start = time.monotonic()
    expected = output_of(fit, whole, root)
    duration = time.monotonic() - start
    killed, equal, number = 0, [], 0
    while killed < n_kills:
        number += 1
        folder = os.path.join(root, f"killed-{number}")
        while killed < n_kills:
            pid = fit_in_a_child(fit, folder, os.path.join(root, "output.npy"))
            time.sleep(generator.uniform(0, 0.8 * duration))
            os.kill(pid, signal.SIGKILL)
            if finished(pid):
                break
            killed += 1
        equal.append(np.array_equal(output_of(fit, folder, root), expected))
    equal.append(np.array_equal(output_of(fit, whole, root), expected))
    return killed, all(equal)


def main(n_kills):
    for warm_up in (ELTARegressor, GranularClassifier):  # imports, so that children need none
        warm_up(**{**SMALL, "max_epochs": 1}).fit(X, CLASSES).predict(X)
    with tempfile.TemporaryDirectory() as root:
        for name, fit in SCENARIOS.items():
            folder = os.path.join(root, name.replace(" ", "-"))
            os.mkdir(folder)
            killed, equal = survives(fit, n_kills, folder)
            print(json.dumps({"name": name, "killed": killed, "equal": bool(equal)}), flush=True)


if __name__ == "__main__":
    main(n_kills=4)
