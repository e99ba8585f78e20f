"""How far does a budget of overall accuracy bring the rarest classes, by which classifier?

Command::

    python benchmarks/class_tail.py [--sets SET ...] [--rows ROW ...] [--seeds N] [--jobs N]

``TunedTailCV`` turns each classifier from the class shares of the training rows towards equal ones,
as far as its overall accuracy in three folds of the training rows allows: by 0, 2, 5 and 10 points,
and all the way (a budget of 100). Problems, seeds and test rows are those of part ``tables`` of
``classes.py``. Forests of 300 trees, random or extra, are turned by ``LogitAdjuster``.

Held fixed: a classifier is fitted once for all its budgets, and nothing is chosen on test rows.
Overall accuracy is that at the class shares of the training rows, which budgets are about: recalls
weighted by these. The rarest classes are the few-shot band.

Finished fits are kept in ``OUT/class_tail.jsonl`` and not repeated; delete the file after changing
the code.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _data import CACHE, DEFAULT_DATA
from _markdown import markdown_table, mean_and_std
from _runs import read_runs, run_missing
from classes import AUTO, FAST, N_TREES, SETS, draw
from render import write_page
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from ltlearn import TailStackingClassifier
from ltlearn.calibration import LogitAdjuster
from ltlearn.calibration._dials import turned
from ltlearn.metrics import ClassBands, shot_accuracy
from ltlearn.model_selection import TunedTailCV
from ltlearn.search._tail_frontier import best_class_setting, within_accuracy_budget

BUDGETS = (0.0, 0.02, 0.05, 0.1, 1.0)
FOLDS = 3
LEGEND = """\
Accuracy in percent, at the class shares of the training rows / of the rarest classes, means over
seeds. Δ are the stack's points in the rarest classes less those of the best forest at the same
budget, by the mean; ± the standard deviation over seeds.
"""


def make_rows(seed):
    forests = {
        "forest": RandomForestClassifier(N_TREES, random_state=seed),
        "extra trees": ExtraTreesClassifier(N_TREES, random_state=seed),
    }
    return {name: LogitAdjuster(forest) for name, forest in forests.items()} | {
        FAST: TailStackingClassifier("fast", random_state=seed),
        AUTO: TailStackingClassifier("auto", random_state=seed),
    }


def run(name, seed, row, *, data):
    """Fit one classifier and measure it at every budget; a record."""
    torch.set_num_threads(1)
    problem = draw("tables", name, data, seed)
    start = time.process_time()
    tuned = TunedTailCV(make_rows(seed)[row], cv=FOLDS, store_cv_results=True)
    tuned.fit(problem.X, problem.y)
    record = {"seconds": time.process_time() - start, "measure": tuned.tail_measure_}
    frontier, predictions, budgets = tuned.frontier_, tuned.cv_results_["prediction"], {}
    for budget in BUDGETS:
        within = within_accuracy_budget(frontier["overall"], budget)
        best = best_class_setting(frontier["tail_accuracy"], within, predictions)
        tail = frontier["tail"][best]
        y_pred = turned(tuned.estimator_, float(tail)).predict(problem.X_test)
        budgets[f"{budget:g}"] = {"tail": float(tail), **_measure(problem, y_pred)}
    return record | {"budgets": budgets}


def _measure(problem, y_pred):
    classes, counts = np.unique(problem.y, return_counts=True)
    recalls = [np.mean(y_pred[problem.y_test == label] == label) for label in classes]
    bands = shot_accuracy(problem.y_test, y_pred, bands=ClassBands.from_labels(problem.y))
    return {"overall": float(np.average(recalls, weights=counts)), "few": float(bands["few"])}


# Tables


def read_frame(path):
    """A line a set, seed, classifier and budget."""
    return pd.DataFrame(
        {"set": name, "seed": seed, "row": row, "budget": float(budget), **values}
        for (name, seed, row), record in read_runs(path).items()
        for budget, values in record["budgets"].items()
    )


def result_tables(path):
    """The tables of a file of measurements, by title."""
    frame = read_frame(path)
    tables = {}
    for name, of_set in frame.groupby("set", sort=False):
        tables[f"{name}, {of_set['seed'].nunique()} seeds"] = _table(of_set)
    return tables


def _table(frame):
    budgets = sorted(frame["budget"].unique())
    lines = []
    for row in dict.fromkeys(frame["row"]):
        means = frame[frame["row"] == row].groupby("budget")[["overall", "few"]].mean()
        cells = [f"{100 * m['overall']:.1f} / {100 * m['few']:.1f}" for _, m in means.iterrows()]
        lines.append([row, *cells])
    lines.append(["Δ", *(_lead(frame[frame["budget"] == budget]) for budget in budgets)])
    return markdown_table(["", *(f"budget {100 * budget:g}" for budget in budgets)], lines)


def _lead(frame):
    few = frame.pivot(index="seed", columns="row", values="few")
    rivals = few[["forest", "extra trees"]]
    return mean_and_std(100 * (few[AUTO] - rivals[rivals.mean().idxmax()]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=SETS["tables"])
    parser.add_argument("--rows", nargs="+", default=list(make_rows(0)))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    keys = [
        (name, seed, row)
        for seed in range(args.seeds)
        for name in args.sets
        for row in make_rows(0)
        if row in args.rows
    ]
    path = args.out / "class_tail.jsonl"
    run_missing(partial(run, data=args.data), keys, args.jobs, path)
    print(write_page(path))


if __name__ == "__main__":
    main()
