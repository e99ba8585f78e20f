"""Are rows of other classes worth collecting for classifiers of frozen features?

Command::

    python benchmarks/auxiliary_heads.py [--sets SET ...] [--heads HEAD ...] [--seeds N]

Four classifiers without auxiliary classes, with random ones, and with the neighbors of the target
classes, on the problems ``cifar`` and ``fashion`` of ``granular.py``: frozen features (1280) of
EfficientNet-Lite0, classes of 500 to 5 images, up to 500 images of each auxiliary class.

- :class:`~ltlearn.TailLogisticClassifier` trains them as further classes of the softmax,
- :class:`~ltlearn.PLDAClassifier` counts them in the covariance and the spread of class means,
- :class:`~ltlearn.GranularClassifier` trains them beside the others, with the logits of neighbors
  silenced to a tenth or not,
- ``TailStackingClassifier`` hands them to heads of these three kinds.

Held fixed: all settings are the defaults; nothing is chosen on test rows. Every seed draws which
class is how rare, which images it keeps, and the auxiliary images. Differences are paired over
seeds, each to the same classifier without auxiliary classes; p-values are from paired t-tests,
corrected by Holm's method over the rows of a classifier.

Finished fits are kept in ``OUT/auxiliary_heads.jsonl`` and not repeated; delete the file after
changing the code.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _data import CACHE, DEFAULT_DATA
from _markdown import difference_text, markdown_table, mean_and_std
from _runs import read_runs, run_missing
from classes import compare_with, measure
from granular import draw_problem
from render import write_page

from ltlearn import (
    GranularClassifier,
    PLDAClassifier,
    TailLogisticClassifier,
    TailStackingClassifier,
    Whole,
)
from ltlearn.options import Auxiliary

SETS = ["cifar", "fashion"]
HEADS = ["TailLogisticClassifier", "PLDAClassifier", "GranularClassifier", "TailStackingClassifier"]
SILENCED = "neighbors, silencing 0.1"
LEGEND = """\
Accuracy in percent, mean ± standard deviation over seeds; *CE* is the cross-entropy on the test
rows, *s* CPU seconds of the fit. Δ are points, to the same classifier without auxiliary classes.
"""


def list_rows():
    """Pairs of a classifier and its auxiliary data."""
    rows = [(head, kind) for head in HEADS for kind in ("none", "random", "neighbors")]
    rows.insert(rows.index(("GranularClassifier", "neighbors")) + 1, (HEADS[2], SILENCED))
    return rows


def make_model(head, kind, problem, seed):
    if head == "GranularClassifier":
        neighbors = "auto" if kind in ("none", "random") else problem.neighbors
        silencing = 0.1 if kind == SILENCED else 1.0
        return GranularClassifier(
            auxiliary=Auxiliary(neighbors=neighbors),
            silencing=silencing,
            device="cpu",
            random_state=seed,
        )
    kinds = [TailLogisticClassifier, PLDAClassifier, TailStackingClassifier]
    return {each.__name__: each for each in kinds}[head](random_state=seed)


def run(name, seed, head, kind, *, data):
    """Fit one row and measure it; a record."""
    torch.set_num_threads(1)
    problem = draw_problem("features", name, data, seed)
    model = make_model(head, kind, problem, seed)
    auxiliary = {}
    if kind != "none":
        X_aux, y_aux = problem.auxiliary[kind.partition(",")[0]]
        auxiliary = {"X_aux": Whole(X_aux), "y_aux": Whole(y_aux)}
    start = time.process_time()
    model.fit(problem.X, problem.y, **auxiliary)
    seconds = time.process_time() - start
    scores = np.log(np.maximum(model.predict_proba(problem.X_test), 1e-12))
    record = {"data": name, "seed": seed, "head": head, "row": kind, "seconds": seconds}
    record |= {"n_train": len(problem.y), "n_test": len(problem.y_test)}
    return record | measure(scores, np.unique(problem.y), problem)


def result_tables(path):
    """The tables of a file of measurements, by title."""
    frame = pd.DataFrame(read_runs(path).values())
    tables = {}
    for (name, head), rows in frame.groupby(["data", "head"], sort=False):
        n_rows = rows.groupby("seed")["row"].nunique()
        rows = rows[rows["seed"].isin(n_rows.index[n_rows == n_rows.max()])]
        title = f"{name}, {head}, {rows['seed'].nunique()} seeds"
        tables[title] = _table(rows)
    return tables


def _table(frame):
    differences = compare_with(frame, "none")
    lines = []
    for kind in dict.fromkeys(frame["row"]):
        rows = frame[frame["row"] == kind]
        line = [kind, *(mean_and_std(100 * rows[band]) for band in ("overall", "few"))]
        line += [f"{rows['ce'].mean():.3f}", f"{rows['seconds'].mean():.1f}"]
        if kind == "none":
            line += [""] * 2
        else:
            line += [difference_text(differences.loc[(kind, band)]) for band in ("overall", "few")]
        lines.append(line)
    return markdown_table(["classes", "overall", "few", "CE", "s", "Δ overall", "Δ few"], lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--heads", nargs="+", default=HEADS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    keys = [
        (name, seed, head, kind)
        for seed in range(args.seeds)
        for name in args.sets
        for head, kind in list_rows()
        if head in args.heads
    ]
    path = args.out / "auxiliary_heads.jsonl"
    run_missing(partial(run, data=args.data), keys, args.jobs, path)
    print(write_page(path))


if __name__ == "__main__":
    main()
