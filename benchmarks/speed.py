"""How much time do the estimators add to a training loop written by hand?

Command::

    python benchmarks/speed.py [--repeats 8] [--json FILE]

(a) ``fit`` of the MLP regressor on 50,000 x 32 numbers, layers 128-64, against the same training
written as a plain torch loop, plain skorch and scikit-learn's MLPRegressor; (b) what mixup at
strength 0.25 adds to a training step of ``ELTARegressor``: the time of an epoch, with all that
mixup does before and in its steps, divided by the steps. Held fixed: data, network, AdamW (Adam for
MLPRegressor, which has no other), fused where torch allows, learning rate, number of epochs, one
thread, no early stopping. Machines are noisy, so the contenders take turns within one process, the
tables give the least CPU time of all repeats, and only ratios within one run mean something.
"""

import argparse
import json
import time

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.utils._testing import ignore_warnings
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback
from torch import nn

from ltlearn import ELTARegressor
from ltlearn.networks import MLP

N_ROWS, N_COLUMNS, HIDDEN, LR = 50_000, 32, (128, 64), 1e-3


def make_data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, N_COLUMNS)).astype(np.float32)
    y = np.exp(X[:, :8].mean(axis=1) + 0.1 * rng.normal(size=N_ROWS)).astype(np.float32)
    return X, y


def make_module():
    torch.manual_seed(0)
    return nn.Sequential(MLP(N_COLUMNS, HIDDEN), nn.Linear(HIDDEN[-1], 1))


def fit_raw(X, y, batch_size, epochs):
    """The loop a practitioner writes: standardize, tensors in memory, whole batches."""
    X = torch.from_numpy((X - X.mean(axis=0)) / X.std(axis=0))
    y = torch.from_numpy((y - y.mean()) / y.std())
    module = make_module()
    optimizer = torch.optim.AdamW(module.parameters(), lr=LR, weight_decay=1e-4, fused=True)
    module.train()
    for _ in range(epochs):
        losses = []
        for rows in torch.randperm(len(X)).split(batch_size):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(module(X[rows]).squeeze(1), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        torch.stack(losses).mean().item()


def ltlearn_regressor(batch_size, epochs, **params):
    return ELTARegressor(
        hidden_layer_sizes=HIDDEN,
        lr=LR,
        batch_size=batch_size,
        max_epochs=epochs,
        early_stopping=False,
        random_state=0,
        device="cpu",
        **params,
    )


def fit_ltlearn(X, y, batch_size, epochs):
    ltlearn_regressor(batch_size, epochs, mixup_strength=0).fit(X, y)


def fit_skorch(X, y, batch_size, epochs):
    NeuralNetRegressor(
        make_module(),
        optimizer=torch.optim.AdamW,
        optimizer__fused=True,
        lr=LR,
        batch_size=batch_size,
        max_epochs=epochs,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
    ).fit(X, y[:, None])


@ignore_warnings(category=ConvergenceWarning)
def fit_mlp_regressor(X, y, batch_size, epochs):
    MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        learning_rate_init=LR,
        batch_size=batch_size,
        max_iter=epochs,
        tol=0.0,
        alpha=0.0,
    ).fit(X, y)


CONTENDERS = {
    "raw torch loop": fit_raw,
    "ELTARegressor": fit_ltlearn,
    "plain skorch": fit_skorch,
    "MLPRegressor": fit_mlp_regressor,
}


def time_fits(repeats, epochs):
    """Least CPU seconds an epoch by batch size and contender, and ratios to the raw loop."""
    X, y = make_data()
    rows = []
    for batch_size in (64, 256, 2048):
        seconds = {name: [] for name in CONTENDERS}
        for repeat in range(repeats + 1):  # the first round warms up
            for name, fit in CONTENDERS.items():
                start = time.process_time()
                fit(X, y, batch_size, epochs)
                if repeat:
                    seconds[name].append((time.process_time() - start) / epochs)
        least = {name: min(values) for name, values in seconds.items()}
        rows += [
            (batch_size, name, value, value / least["raw torch loop"])
            for name, value in least.items()
        ]
    return rows


class EpochClock(Callback):
    """Record the CPU seconds of every epoch."""

    def on_epoch_begin(self, net, **kwargs):
        self.start = time.process_time()

    def on_epoch_end(self, net, **kwargs):
        net.history.record("cpu_dur", time.process_time() - self.start)


def time_mixup(repeats, epochs):
    """Least CPU microseconds of a training step without and with mixup, by batch size."""
    X, y = make_data()
    rows = []
    for batch_size in (64, 256, 1024):
        step_times = {0.0: [], 0.25: []}
        for _ in range(repeats):
            for strength, times in step_times.items():
                model = ltlearn_regressor(
                    batch_size, epochs, mixup_strength=strength, callbacks=[EpochClock()]
                ).fit(X, y)
                times += [1e6 * row["cpu_dur"] / row["train_batch_count"] for row in model.history_]
        plain, mixed = (min(times) for times in step_times.values())
        rows.append((batch_size, plain, mixed, mixed / plain - 1))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--json", help="write the measurements to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)

    fits = time_fits(args.repeats, args.epochs)
    print("| batch | contender | CPU seconds an epoch | times the raw loop |\n|---|---|---|---|")
    for batch_size, name, seconds, ratio in fits:
        print(f"| {batch_size} | {name} | {seconds:.3f} | {ratio:.2f} |")
    steps = time_mixup(3 * args.repeats, args.epochs)
    print("\n| batch | plain step, CPU µs | with mixup 0.25, CPU µs | added |\n|---|---|---|---|")
    for batch_size, plain, mixed, overhead in steps:
        print(f"| {batch_size} | {plain:.0f} | {mixed:.0f} | {100 * overhead:+.0f} % |")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"fit": fits, "mixup": steps}, file, indent=1)


if __name__ == "__main__":
    main()
