"""How much time do the estimators add to a training loop written by hand?

Command::

    python benchmarks/speed.py [--repeats 8] [--out FOLDER]

(a) ``fit`` of the MLP regressor on 50,000 x 32 numbers, layers 128-64, against the same training
written as a plain torch loop, plain skorch and scikit-learn's MLPRegressor; (b) what mixup at
strength 0.25 adds to a training step of ``ELTARegressor``: the time of an epoch, with all that
mixup does before and in its steps, divided by the steps. Held fixed: data, network, AdamW (Adam for
MLPRegressor, which has no other), fused where torch allows, learning rate, number of epochs, one
thread, no early stopping. Machines are noisy, so the contenders take turns within one process, the
tables give the least CPU time of all repeats, and only ratios within one run mean something. Every
run is appended to ``OUT/speed.jsonl``; the tables of all go to ``OUT/speed.md``.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from _data import CACHE
from _markdown import markdown_table
from _results import noted
from render import write_page
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
        backbone="mlp",
        loss="mse",
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


def read_runs(path):
    """The runs of a file: those of all contenders, those of some, and the remark on the latter."""
    runs = [json.loads(line) for line in path.read_text().splitlines()]
    return [run for run in runs if "remark" not in run], [run for run in runs if "remark" in run]


def fit_ratios(runs):
    """Times the raw loop, in the order of the runs, by batch size and contender."""
    ratios = {}
    for batch_size, name, _, ratio in (row for run in runs for row in run["fit"]):
        if name != "raw torch loop":
            ratios.setdefault((batch_size, name), []).append(ratio)
    return ratios


def mixup_overheads(runs):
    """Share of a plain step that mixup adds, in the order of the runs, by batch size."""
    overheads = {}
    for batch_size, _, _, overhead in (row for run in runs for row in run["mixup"]):
        overheads.setdefault(batch_size, []).append(overhead)
    return overheads


def result_tables(path):
    """The tables of a file of measurements, by title."""
    runs, repeats = read_runs(path)
    fits = [
        [str(batch_size), name, ", ".join(f"{ratio:.2f}" for ratio in ratios)]
        for (batch_size, name), ratios in fit_ratios(runs).items()
    ]
    steps = [
        [
            str(batch_size),
            ", ".join(f"{100 * overhead:.0f} %" for overhead in overheads),
            f"{100 * statistics.median(overheads):.0f} %",
        ]
        for batch_size, overheads in mixup_overheads(runs).items()
    ]
    again = [
        [f"{run['remark']}, {run['rounds']} rounds", str(batch_size), f"{ratio:.2f}"]
        for run in repeats
        for (batch_size, _), (ratio,) in fit_ratios([run]).items()
    ]
    tables = {
        "CPU time of fit, times the raw torch loop, run by run": markdown_table(
            ["batch", "contender", "runs"], fits
        ),
        "Added to a training step by mixup 0.25, run by run": markdown_table(
            ["batch", "runs", "median"], steps
        ),
    }
    if again:
        header = ["run", "batch", "times the raw torch loop"]
        tables["ELTARegressor, repeats with fewer contenders"] = markdown_table(header, again)
    return tables


def summary(folder):
    """Lowest and highest of all runs."""
    runs, _ = read_runs(folder / "speed.jsonl")
    ratios, overheads = fit_ratios(runs), mixup_overheads(runs)
    names = [name for name in CONTENDERS if name != "raw torch loop"]
    rows = []
    for batch_size in sorted({*overheads, *(batch_size for batch_size, _ in ratios)}):
        cells = [_span(ratios.get((batch_size, name)), "{:.2f} to {:.2f}") for name in names]
        added = [100 * overhead for overhead in overheads.get(batch_size, [])]
        rows.append([str(batch_size), *cells, _span(added, "{:.0f} to {:.0f} %")])
    return markdown_table(["batch", *names, "mixup 0.25 adds to a step"], rows)


def _span(values, text):
    return text.format(min(values), max(values)) if values else "–"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    torch.set_num_threads(1)

    fits = time_fits(args.repeats, args.epochs)
    rows = [
        [str(batch_size), name, f"{seconds:.3f}", f"{ratio:.2f}"]
        for batch_size, name, seconds, ratio in fits
    ]
    print(
        markdown_table(["batch", "contender", "CPU seconds an epoch", "times the raw loop"], rows)
    )
    steps = time_mixup(3 * args.repeats, args.epochs)
    rows = [
        [str(batch_size), f"{plain:.0f}", f"{mixed:.0f}", f"{100 * overhead:+.0f} %"]
        for batch_size, plain, mixed, overhead in steps
    ]
    header = ["batch", "plain step, CPU µs", "with mixup 0.25, CPU µs", "added"]
    print(f"\n{markdown_table(header, rows)}")
    path = args.out / "speed.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with noted(path), path.open("a") as file:
        file.write(json.dumps({"rounds": args.repeats, "fit": fits, "mixup": steps}) + "\n")
    write_page(path)


if __name__ == "__main__":
    main()
