"""What does a model lose where it was trained on no such labels, and does it lose elsewhere?

Command::

    python benchmarks/stress.py [--sets deliveries ...] [--jobs 1] [--data FOLDER]

The splitters of ``ltlearn.model_selection`` take a stretch of the labels out of training: the upper
tenth, all of it or nine of ten rows; the middle 30 %; 5 % at one of three places. Every model is
fitted with and without these rows (the latter: a row of the table; the former: what it is compared
with), and both are tested on the same rows. Shown are the mean absolute errors on test rows in the
stretch and on the others, as ratios to those with all rows: means and standard deviations over
three splits, for blind spots over the three places.

Held fixed: 3,000 random rows of a set, a fifth of them tested. Models: ridge, gradient boosting and
``ELTARegressor`` as they come, with at most 30 epochs for the last. Finished runs are kept in
``results/cache/stress.jsonl``; the numbers go to ``results/stress.json``, the table to
``results/stress.md``.
"""

import argparse
import json
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from _data import CACHE, DEFAULT_DATA
from _results import RESULTS, noted
from _runs import read_runs, run_missing
from _tables import TABLES, load_table
from render import write_page
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import ELTARegressor
from ltlearn.metrics import expected_score
from ltlearn.model_selection import BlindSpotSplit, ExtrapolationSplit, InterpolationSplit

N_ROWS, N_SPLITS = 3000, 3
PROTOCOLS = {
    "top tenth removed": ExtrapolationSplit(N_SPLITS, share=0.1, random_state=0),
    "top tenth thinned": ExtrapolationSplit(N_SPLITS, share=0.1, kept=0.1, random_state=0),
    "middle removed": InterpolationSplit(N_SPLITS, share=0.3, random_state=0),
    "blind spot": BlindSpotSplit(N_SPLITS, share=0.05, random_state=0),
}
MODELS = {
    "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 7))),
    "boosting": HistGradientBoostingRegressor(random_state=0),
    "ELTARegressor": ELTARegressor(
        backbone="mlp", loss="mse", max_epochs=30, device="cpu", random_state=0
    ),
}


ERRORS = "errors (split, [without, with], [in, elsewhere])"


def measure(name, protocol, data):
    """Errors by model and split: [in the stretch, elsewhere], without the stretch and with it."""
    torch.set_num_threads(1)
    table = load_table(name, data)
    rows = np.random.default_rng(0).permutation(len(table.X))[:N_ROWS]
    X, y = table.X[rows], table.y[rows]
    y = expected_score(y) if y.ndim == 2 else y
    splitter = PROTOCOLS[protocol]
    errors = {model: [] for model in MODELS}
    for (train, test), inside in zip(splitter.split(X, y), splitter.in_stretch(y), strict=True):
        everything = np.setdiff1d(np.arange(len(y)), test)
        for model, estimator in MODELS.items():
            misses = [
                np.abs(y[test] - estimator.fit(X[part], y[part]).predict(X[test]))
                for part in (train, everything)
            ]
            in_stretch = inside[test]
            errors[model].append(
                [[float(m[in_stretch].mean()), float(m[~in_stretch].mean())] for m in misses]
            )
    return errors


def format_table(results):
    """Markdown: errors without the stretch as ratios to those with it."""
    lines = [
        "| set | stretch | model | MAE in it, all rows | in it, ratio | elsewhere, ratio |",
        "|---|---|---|---:|---:|---:|",
    ]
    for (name, protocol), errors in results.items():
        for model, by_split in errors.items():
            without, whole = np.moveaxis(np.array(by_split), 1, 0)
            ratios = without / whole
            spread = ratios.std(axis=0, ddof=1)
            cells = [f"{m:.2f} ± {s:.2f}" for m, s in zip(ratios.mean(axis=0), spread, strict=True)]
            cells = [f"{whole[:, 0].mean():.4g}", *cells]
            lines.append(f"| {name} | {protocol} | {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def result_tables(path):
    """Tables by title."""
    results = {}
    for record in json.loads(path.read_text()):
        errors = results.setdefault((record["set"], record["stretch"]), {})
        errors[record["model"]] = record[ERRORS]
    return {"Errors where labels were taken out": format_table(results)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sets = ["deliveries", "diamonds", "check_times"]
    parser.add_argument("--sets", nargs="+", default=sets, choices=list(TABLES))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    keys = list(product(args.sets, PROTOCOLS))
    finished = CACHE / "stress.jsonl"
    run_missing(partial(measure, data=args.data), keys, args.jobs, finished)
    runs = read_runs(finished)
    records = [
        {"set": name, "stretch": protocol, "model": model, ERRORS: by_split}
        for name, protocol in keys
        for model, by_split in runs[name, protocol].items()
    ]
    path = args.out / "stress.json"
    with noted(path, [finished]):
        path.write_text("[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n")
    print(write_page(path))


if __name__ == "__main__":
    main()
