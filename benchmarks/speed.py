"""How much time do the estimators add to a loop written by hand, and what do stacks save?

Command::

    python benchmarks/speed.py [PART ...] [--rounds 5] [--resume] [--out FOLDER]

Parts: ``fit``, 50,000 x 32 numbers (10,000 for the body for tables), layers 128-64 or those of the
body, with a validation set, early stopping that never stops, and the history, against the same
arithmetic in a plain torch loop; ``enhancers``, what mixup 0.25 and alignment 0.1 add to a fit of
the MLP without validation rows; ``small``, 300 rows and 20 epochs likewise; ``predict``, against
float32 in batches of 1,024 rows; ``search``, 16 candidates (learning rate and mixup) x 3 folds by
``BatchedGridSearchCV`` and ``GridSearchCV``, the MLP for 10 epochs and the body for tables, with
its default size, for 5; ``ensemble``, eight networks by ``n_estimators`` and by eight fits;
``rounding``, how far scores of a search in float32 move when its fits are stacked, and when instead
one rounding error is put into the inputs (1,000 rows, 100 epochs, 8 candidates x 3 folds).

Held fixed: data, network, AdamW (fused), rates, epochs, one thread. Machines are noisy, so
contenders take turns within one process, and numbers are medians over rounds of ratios of CPU time
within a round. Two processes cannot be measured so: ``n_jobs=2`` is taken to need half the time of
one, the least it can. Every row is appended to ``OUT/speed.jsonl``; the tables show its last run.
``--resume`` leaves out rows that are there already.
"""

import argparse
import copy
import json
import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _data import CACHE
from _markdown import markdown_table
from _results import noted
from render import write_page
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.utils._testing import ignore_warnings
from torch import nn

from ltlearn import ELTARegressor
from ltlearn.model_selection import BatchedGridSearchCV
from ltlearn.networks import MLP
from ltlearn.options import Training

N_COLUMNS, HIDDEN, LR = 32, (128, 64), 1e-3
BATCHES = (64, 256, 1024, 4096)
GRID = {"lr": [5e-4, 1e-3, 2e-3, 4e-3], "mixup_strength": [0.0, 0.1, 0.2, 0.3]}
BODIES = {"mlp": "MLP", "tabular": "body for tables"}


def make_data(n_rows, n_columns=N_COLUMNS):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_columns)).astype(np.float32)
    y = np.exp(X[:, :8].mean(axis=1) + 0.1 * rng.normal(size=n_rows))
    return X, y


def model_of(backbone, **params):
    """Of the MLP the score, of the body for tables the quantiles, as by default."""
    fixed = {"loss": "mse", "hidden_layer_sizes": HIDDEN, "lr": LR} if backbone == "mlp" else {}
    fixed |= {"backbone": backbone, "mixup_strength": 0.0, "random_state": 0, "device": "cpu"}
    return ELTARegressor(**fixed).set_params(**params)


# What interleaved rounds tell


def seconds_of(contenders, rounds, warms_up=True):
    """CPU seconds by contender, a list of rounds; one to warm up, before these, is left out."""
    seconds = {name: [] for name in contenders}
    for number in range(-warms_up, rounds):
        for name, run in contenders.items():
            start = time.process_time()
            run()
            if number >= 0:
                seconds[name].append(time.process_time() - start)
    return seconds


def ratio(seconds, name, base):
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[base], strict=True))


# fit, enhancers, small


def raw_loop(network, loss_of, X, y, *, batch_size, epochs, X_val=None, y_val=None, max_norm=None):
    """The loop a practitioner writes: whole batches, a validation loss, the best weights."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=1e-4, fused=True)
    history, best, best_loss = [], None, np.inf
    for _ in range(epochs):
        network.train()
        losses = []
        for rows in torch.randperm(len(X)).tensor_split(-(-len(X) // batch_size)):
            optimizer.zero_grad()
            loss = loss_of(network(X[rows]), y[rows])
            loss.backward()
            if max_norm is not None:
                nn.utils.clip_grad_norm_(network.parameters(), max_norm)
            optimizer.step()
            losses.append(loss.detach())
        row = {"train_loss": torch.stack(losses).mean().item()}
        if X_val is not None:
            network.eval()
            with torch.inference_mode():
                outputs = torch.cat([network(part) for part in X_val.split(max(batch_size, 1024))])
                row["valid_loss"] = loss_of(outputs, y_val).item()
                middle = outputs.median(-1).values.view(len(y_val), -1).mean(1)
                row["valid_mae"] = (middle - y_val).abs().mean().item()
            if row["valid_loss"] < best_loss:
                best, best_loss = copy.deepcopy(network.state_dict()), row["valid_loss"]
        history.append(row)
    if best is not None:
        network.load_state_dict(best)
    return history


def squared_error(outputs, y):
    return nn.functional.mse_loss(outputs.squeeze(1), y)


def raw_mlp(X, y, batch_size, epochs, validates=True):
    network = nn.Sequential(MLP(X.shape[1], HIDDEN), nn.Linear(HIDDEN[-1], 1))
    scaled = torch.from_numpy(((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32))
    target = torch.from_numpy(((y - y.mean()) / y.std()).astype(np.float32))
    n = len(X) // 10 if validates else 0
    held_out = {"X_val": scaled[:n], "y_val": target[:n]} if n else {}
    settings = {"batch_size": batch_size, "epochs": epochs, **held_out}
    raw_loop(network, squared_error, scaled[n:], target[n:], **settings)


class MembersOnly(nn.Module):
    """Quantiles of every member, as the loss of the body for tables takes them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, X):
        return self.network.apply_head(self.network.features(X))


def raw_tabular(fitted, X, y, batch_size, epochs):
    """By the layers, the preparation and the loss of a fitted model."""
    prepared = fitted._inputs.fit(X).data(X).X
    target = torch.from_numpy(((y - y.mean()) / y.std()).astype(np.float32))
    n, pinball = len(X) // 10, fitted.net_.criterion_.pinball
    settings = {"X_val": prepared[:n], "y_val": target[:n], "max_norm": 1.0}
    network = MembersOnly(copy.deepcopy(fitted.net_.module_))
    settings |= {"batch_size": batch_size, "epochs": epochs}
    raw_loop(network, pinball, prepared[n:], target[n:], **settings)


def measure_fit(rounds, is_done):
    for backbone in BODIES:
        X, y = make_data(50_000 if backbone == "mlp" else 10_000)
        fitted = model_of(backbone, max_epochs=1).fit(X, y)
        for batch_size in BATCHES:
            if is_done(backbone, batch_size):
                continue
            epochs = (2 if batch_size < 1024 else 4) if backbone == "mlp" else 3
            training = Training(n_iter_no_change=10**6)
            settings = {"batch_size": batch_size, "max_epochs": epochs}
            model = model_of(backbone, training=training, **settings)
            raw = partial(raw_mlp, X, y, batch_size, epochs)
            if backbone == "tabular":
                raw = partial(raw_tabular, fitted, X, y, batch_size, epochs)

            def ours(model=model, X=X, y=y):
                model.fit(X, y)

            seconds = seconds_of({"raw": raw, "ours": ours}, rounds)
            yield backbone, batch_size, ratio(seconds, "ours", "raw")


def measure_enhancers(rounds, is_done):
    X, y = make_data(50_000)
    for batch_size in BATCHES:
        if is_done(batch_size):
            continue
        epochs = 2 if batch_size < 1024 else 4
        kinds = {
            "plain": {},
            "mixup": {"mixup_strength": 0.25},
            "alignment": {"alignment_weight": 0.1},
        }
        models = {
            name: model_of(
                "mlp", batch_size=batch_size, max_epochs=epochs, early_stopping=False, **kind
            )
            for name, kind in kinds.items()
        }
        fits = {name: (lambda model=model: model.fit(X, y)) for name, model in models.items()}
        seconds = seconds_of(fits, rounds)
        added = (ratio(seconds, name, "plain") - 1 for name in ("mixup", "alignment"))
        yield batch_size, *added


@ignore_warnings(category=ConvergenceWarning)
def fit_mlp_regressor(X, y, batch_size, epochs):
    MLPRegressor(
        hidden_layer_sizes=HIDDEN, batch_size=batch_size, max_iter=epochs, tol=0.0, alpha=0.0
    ).fit(X, y)


def measure_small(rounds, is_done):
    if is_done("plain, one epoch"):  # the last of its rows, which are measured together
        return
    X, y = make_data(300, 10)
    settings = {"batch_size": 16, "max_epochs": 20, "early_stopping": False}
    contenders = {
        "raw": lambda: raw_mlp(X, y, 16, 20, validates=False),
        "plain": lambda: model_of("mlp", **settings).fit(X, y),
        "mixup 0.1": lambda: model_of("mlp", **settings, mixup_strength=0.1).fit(X, y),
        "MLPRegressor": lambda: fit_mlp_regressor(X, y, 16, 20),
        "plain, one epoch": lambda: model_of("mlp", **{**settings, "max_epochs": 1}).fit(X, y),
    }
    seconds = seconds_of(contenders, 4 * rounds)
    for name, each in seconds.items():
        yield name, 1e3 * statistics.median(each), ratio(seconds, name, "raw")


# predict


def measure_predict(rounds, is_done):
    for backbone, n_rows in (("mlp", 500_000), ("mlp", 1), ("tabular", 20_000), ("tabular", 1)):
        if is_done(backbone, n_rows):
            continue
        X, y = make_data(max(n_rows, 1000))
        model = model_of(backbone, max_epochs=1).fit(X[:1000], y[:1000])
        X = X[:n_rows].astype(np.float64)
        n_calls = 200 if n_rows == 1 else 1

        def in_float32(model=model, X=X, n_calls=n_calls):
            network = model.net_.module_.eval()
            for _ in range(n_calls):
                prepared = model._inputs.data(X).X
                with torch.inference_mode():
                    torch.cat([network(part) for part in prepared.split(1024)]).numpy()

        def ours(model=model, X=X, n_calls=n_calls):
            for _ in range(n_calls):
                model.predict(X) if model.loss_ == "mse" else model._member_outputs(X)

        seconds = seconds_of({"float32": in_float32, "ours": ours}, rounds)
        milliseconds = 1e3 * statistics.median(seconds["ours"]) / n_calls
        yield backbone, n_rows, milliseconds, ratio(seconds, "ours", "float32")


# search, ensemble, rounding


def measure_search(rounds, is_done, sizes=(300, 1000, 3000, 8000)):
    for backbone, epochs in (("mlp", 10), ("tabular", 5)):
        for n_rows in sizes:
            if is_done(backbone, n_rows):
                continue
            X, y = make_data(n_rows, 10)
            model = model_of(backbone, max_epochs=epochs, early_stopping=False)
            searches = {
                cls.__name__: cls(model, GRID, cv=3, refit=False)
                for cls in (GridSearchCV, BatchedGridSearchCV)
            }
            fits = {name: (lambda s=s, X=X, y=y: s.fit(X, y)) for name, s in searches.items()}
            n_rounds = max(1, rounds // 2 if backbone == "mlp" else rounds // 4)
            seconds = seconds_of(fits, n_rounds, warms_up=n_rows == sizes[0])
            times = ratio(seconds, "GridSearchCV", "BatchedGridSearchCV")
            yield backbone, n_rows, statistics.median(seconds["GridSearchCV"]), times


def measure_ensemble(rounds, is_done, n_estimators=8):
    X, y = make_data(1000, 10)
    for backbone, epochs in (("mlp", 20), ("tabular", 3)):
        if is_done(backbone):
            continue
        model = model_of(backbone, max_epochs=epochs)

        def one_by_one(model=model):
            for seed in range(n_estimators):
                model.set_params(random_state=seed, n_estimators=1).fit(X, y)

        def together(model=model):
            model.set_params(random_state=0, n_estimators=n_estimators).fit(X, y)

        seconds = seconds_of({"fits": one_by_one, "ensemble": together}, rounds)
        yield backbone, ratio(seconds, "fits", "ensemble")


def measure_rounding(rounds, is_done):
    """Largest and median change of R² by learning rate, of stacking and of one rounding error."""
    X, y = make_data(1000, 10)
    grid = {"lr": [1e-3, 3e-3, 1e-2, 3e-2], "mixup_strength": [0.0, 0.1]}
    if is_done(grid["lr"][-1], "inputs one rounding error off"):  # the last of its rows
        return
    model = model_of("mlp", max_epochs=100)

    def scores(search, X):
        found = search(model, grid, cv=3, refit=False).fit(X, y).cv_results_
        splits = np.stack([found[f"split{number}_test_score"] for number in range(3)])
        return splits.reshape(3, len(grid["lr"]), -1)

    plain, signs = scores(GridSearchCV, X), np.random.default_rng(1).choice([-1, 1], X.shape)
    others = {
        "stacked": scores(BatchedGridSearchCV, X),
        "inputs one rounding error off": scores(
            GridSearchCV, np.nextafter(X, np.float32(np.inf) * signs.astype(np.float32))
        ),
    }
    for number, lr in enumerate(grid["lr"]):
        for name, other in others.items():
            change = np.abs(other - plain)[:, number]
            yield lr, name, float(change.max()), float(np.median(change))


# What measures each part, row by row, and how many columns say what a row is of.
PARTS = {
    "fit": (measure_fit, 2),
    "enhancers": (measure_enhancers, 1),
    "small": (measure_small, 1),
    "predict": (measure_predict, 2),
    "search": (measure_search, 2),
    "ensemble": (measure_ensemble, 1),
    "rounding": (measure_rounding, 2),
}


# Tables


def read_parts(path):
    """The rows of every part, as last measured, by its name."""
    parts = {}
    for line in map(json.loads, path.read_text().splitlines()):
        row, n_keys = line["row"], PARTS[line["part"]][1]
        parts.setdefault(line["part"], {})[tuple(row[:n_keys])] = row
    found = {name: list(rows.values()) for name, rows in parts.items()}
    if "search" in found:
        found["search"].sort(key=lambda row: (list(BODIES).index(row[0]), row[1]))
    return found


def result_tables(path):
    """The tables of a file of measurements, by title."""
    parts, tables = read_parts(path), {}
    if "fit" in parts:
        by_body = {}
        for backbone, batch_size, times in parts["fit"]:
            by_body.setdefault(backbone, {})[batch_size] = f"{times:.2f}"
        rows = [[BODIES[name], *own.values()] for name, own in by_body.items()]
        header = ["", *(f"batch {batch_size}" for batch_size in BATCHES)]
        tables["CPU time of a fit, times that of the raw loop"] = markdown_table(header, rows)
    if "enhancers" in parts:
        rows = [
            [str(batch_size), f"{100 * mixup:+.0f} %", f"{100 * alignment:+.0f} %"]
            for batch_size, mixup, alignment in parts["enhancers"]
        ]
        header = ["batch", "mixup 0.25", "alignment 0.1"]
        tables["Added to a fit of the MLP"] = markdown_table(header, rows)
    if "small" in parts:
        rows = [[name, f"{each:.1f}", f"{times:.2f}"] for name, each, times in parts["small"]]
        header = ["300 rows, 20 epochs", "CPU ms", "times the raw loop"]
        tables["Small fits"] = markdown_table(header, rows)
    if "predict" in parts:
        rows = [
            [BODIES[name], f"{n_rows:,}", f"{each:.2f}", f"{times:.2f}"]
            for name, n_rows, each, times in parts["predict"]
        ]
        header = ["", "rows", "CPU ms", "times float32 in batches"]
        tables["Prediction"] = markdown_table(header, rows)
    if "search" in parts:
        rows = [
            [BODIES[name], f"{n_rows:,}", f"{each:.1f}", f"{times:.2f}", f"{times / 2:.2f}"]
            for name, n_rows, each, times in parts["search"]
        ]
        header = ["", "rows", "GridSearchCV, CPU s", "times as fast", "as n_jobs=2 at best"]
        tables["BatchedGridSearchCV, 16 candidates x 3 folds"] = markdown_table(header, rows)
    if "ensemble" in parts:
        rows = [[BODIES[name], f"{times:.2f}"] for name, times in parts["ensemble"]]
        tables["Eight networks by n_estimators, 1,000 rows"] = markdown_table(
            ["", "times as fast as eight fits"], rows
        )
    if "rounding" in parts:
        rows = [
            [f"{lr:g}", name, f"{largest:.1e}", f"{middle:.1e}"]
            for lr, name, largest, middle in parts["rounding"]
        ]
        header = ["lr", "change", "largest", "median"]
        tables["Changes of R² in float32, 6 fits a row"] = markdown_table(header, rows)
    return tables


def summary(folder):
    """Ratios of fits and searches."""
    parts = read_parts(folder / "speed.jsonl")
    rows = []
    for backbone, name in BODIES.items():
        fits = {batch: times for body, batch, times in parts.get("fit", []) if body == backbone}
        searches = {n: times for body, n, _, times in parts.get("search", []) if body == backbone}
        rows.append(
            [
                name,
                " / ".join(f"{fits[batch]:.2f}" for batch in BATCHES if batch in fits) or "–",
                " / ".join(f"{times:.1f}" for times in searches.values()) or "–",
            ]
        )
    header = [
        "",
        "fit, times the raw loop, batch " + " / ".join(map(str, BATCHES)),
        "search, times as fast, 300 / 1,000 / 3,000 / 8,000 rows",
    ]
    return markdown_table(header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=[], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--resume", action="store_true", help="leave out rows that are there")
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"There are no parts {sorted(unknown)}, but {list(PARTS)}.")
    torch.set_num_threads(1)
    path = args.out / "speed.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = read_parts(path) if args.resume and path.exists() else {}
    for part in args.parts or PARTS:
        measure, n_keys = PARTS[part]
        done = {tuple(row[:n_keys]) for row in known.get(part, [])}
        for row in measure(args.rounds, lambda *key, done=done: key in done):
            print(part, *row, flush=True)
            with noted(path), path.open("a") as file:
                file.write(json.dumps({"part": part, "rounds": args.rounds, "row": row}) + "\n")
    write_page(path)


if __name__ == "__main__":
    main()
