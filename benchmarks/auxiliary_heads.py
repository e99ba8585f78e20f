"""Are rows of other classes worth collecting for classifiers of frozen features?

Command::

    python benchmarks/auxiliary_heads.py [--sets SET ...] [--heads HEAD ...] [--seeds N]

Classifiers without auxiliary classes, with random ones, with the neighbors of the target classes,
and with curated ones, on the problems ``cifar`` and ``fashion`` of ``granular.py``: frozen features
(1280) of EfficientNet-Lite0, classes of 500 to 5 images, up to 500 images of each auxiliary class.
Curated rows are those that ``FeatureFilter`` keeps of neighbors and random classes together, with
the classes that it finds near as neighbors. ``fashion16`` has the first 16 principal components of
the training rows instead, ``fashion_fifth`` a fifth of the rows of each class, at least 3.

- :class:`~ltlearn.TailLogisticClassifier` trains them as further classes of the softmax,
- :class:`~ltlearn.PLDAClassifier` counts them in the covariance and the spread of class means,
- :class:`~ltlearn.GranularClassifier` trains them beside the others, with the logits of neighbors
  silenced to a tenth or not,
- ``TailStackingClassifier`` hands them to heads of these three kinds, of which its network does not
  silence; *stack of three* has ``GranularClassifier`` in the place of that network.

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
from sklearn.decomposition import PCA

from ltlearn import (
    GranularClassifier,
    PLDAClassifier,
    TailLogisticClassifier,
    TailStackingClassifier,
    Whole,
)
from ltlearn.curation import Candidate, FeatureFilter
from ltlearn.options import Auxiliary

SETS = ["cifar", "fashion", "fashion16", "fashion_fifth"]
ALONE = {each.__name__: each for each in (TailLogisticClassifier, PLDAClassifier)}
NETWORK, STACK, OF_THREE = "GranularClassifier", "TailStackingClassifier", "stack of three"
HEADS = [*ALONE, NETWORK, STACK, OF_THREE]
KINDS = ("none", "random", "neighbors", "curated")
SILENCING = ", silencing "  # in the names of rows, before its weight
N_COMPONENTS, SMALLEST_CLASS = 16, 3
LEGEND = """\
Accuracy in percent, mean ± standard deviation over seeds; *CE* is the cross-entropy on the test
rows, *s* CPU seconds of the fit. Δ are points, to the same classifier without auxiliary classes in
the same seeds.
"""


def list_rows():
    """Pairs of a classifier and its auxiliary data."""
    rows = [(head, kind) for head in HEADS for kind in KINDS]
    silenced = [
        (head, f"{kind}{SILENCING}0.1")
        for head in (NETWORK, OF_THREE)
        for kind in ("neighbors", "curated")
    ]
    return sorted(rows + silenced, key=lambda row: HEADS.index(row[0]))


def draw(name, data, seed):
    """The problem of a seed, see :class:`granular.Problem`, with curated rows."""
    problem = draw_problem("features", "cifar" if name == "cifar" else "fashion", data, seed)
    if name == "fashion_fifth":
        problem = problem._replace(**_fifth(problem.X, problem.y))
    if name == "fashion16":
        reduce = PCA(N_COMPONENTS, random_state=0).fit(problem.X).transform
        auxiliary = {kind: (reduce(X), y) for kind, (X, y) in problem.auxiliary.items()}
        problem = problem._replace(
            X=reduce(problem.X), X_test=reduce(problem.X_test), auxiliary=auxiliary
        )
    return problem


def _fifth(X, y):
    rows = [np.flatnonzero(y == label) for label in dict.fromkeys(y)]
    kept = np.concatenate([part[: max(SMALLEST_CLASS, len(part) // 5)] for part in rows])
    return {"X": X[kept], "y": y[kept]}


def curate(problem):
    """Auxiliary rows, their classes, and which are neighbors of which target classes."""
    X, y = (
        np.concatenate([problem.auxiliary[kind][part] for kind in ("neighbors", "random")])
        for part in (0, 1)
    )
    judge = FeatureFilter("passthrough").fit(
        problem.X, problem.y, protected={"test": problem.X_test}
    )
    targets = np.unique(problem.y).tolist()
    pool = [
        Candidate(str(label), str(row), item)
        for row, (label, item) in enumerate(zip(y, X, strict=True))
    ]
    verdicts = judge.decide(pool, {str(label): targets for label in np.unique(y)})
    kept = [row for row, verdict in enumerate(verdicts) if verdict.keep]
    neighbors = {target: set() for target in targets}
    for row in kept:
        for target in verdicts[row].near:
            neighbors[target].add(str(y[row]))
    return X[kept], y[kept], {target: sorted(names) for target, names in neighbors.items()}


def make_model(head, silencing, neighbors, seed):
    if head in ALONE:
        return ALONE[head](random_state=seed)
    if head == STACK:
        return TailStackingClassifier(random_state=seed)
    network = GranularClassifier(
        auxiliary=Auxiliary(neighbors=neighbors),
        silencing=silencing,
        device="cpu",
        random_state=seed,
    )
    if head == NETWORK:
        return network
    heads = [("logistic", TailLogisticClassifier()), ("plda", PLDAClassifier())]
    return TailStackingClassifier([*heads, ("network", network)], random_state=seed)


def run(name, seed, head, row, *, data):
    """Fit one row and measure it; a record."""
    torch.set_num_threads(1)
    problem = draw(name, data, seed)
    kind, _, silencing = row.partition(SILENCING)
    neighbors, auxiliary = "auto", {}
    if kind != "none":
        if kind == "curated":
            X_aux, y_aux, neighbors = curate(problem)
        else:
            X_aux, y_aux = problem.auxiliary[kind]
        if kind == "neighbors":
            neighbors = problem.neighbors
        if len(y_aux):
            auxiliary = {"X_aux": Whole(X_aux), "y_aux": Whole(y_aux)}
        else:
            neighbors = "auto"
    model = make_model(head, float(silencing or 1), neighbors, seed)
    start = time.process_time()
    model.fit(problem.X, problem.y, **auxiliary)
    seconds = time.process_time() - start
    scores = np.log(np.maximum(model.predict_proba(problem.X_test), 1e-12))
    record = {"data": name, "seed": seed, "head": head, "row": row, "seconds": seconds}
    record |= {"n_train": len(problem.y), "n_test": len(problem.y_test)}
    return record | measure(scores, np.unique(problem.y), problem)


def result_tables(path):
    """The tables of a file of measurements, by title."""
    frame = pd.DataFrame(read_runs(path).values())
    tables = {}
    for (name, head), rows in frame.groupby(["data", "head"], sort=False):
        tables[f"{name}, {head}"] = _table(rows)
    return tables


def _table(frame):
    differences = compare_with(frame, "none")
    lines = []
    for kind in dict.fromkeys(frame["row"]):
        rows = frame[frame["row"] == kind]
        line = [kind, str(rows["seed"].nunique())]
        line += [mean_and_std(100 * rows[band]) for band in ("overall", "few")]
        line += [f"{rows['ce'].mean():.3f}", f"{rows['seconds'].mean():.1f}"]
        if kind == "none":
            line += [""] * 2
        else:
            line += [difference_text(differences.loc[(kind, band)]) for band in ("overall", "few")]
        lines.append(line)
    return markdown_table(
        ["classes", "seeds", "overall", "few", "CE", "s", "Δ overall", "Δ few"], lines
    )


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
