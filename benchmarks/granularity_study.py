"""Is the gap between head and tail smaller when classes are finer?

Command::

    python benchmarks/granularity_study.py [--jobs 2] [--data FOLDER] [--out FOLDER]

The observation behind auxiliary classes is that it is. Tested here on CIFAR-100 with its 20 coarse
classes of 5 fine ones, in long tails of 20 classes with 500 to 5 training images; which class is
how rare, and which images it keeps, is drawn anew for every seed. Two comparisons with the coarse
labels in which nothing else changes:

- the same images, relabeled: the 100 fine classes (a fifth of the images each), whose probabilities
  are added up to those of the coarse classes in the end; and, as a control, every coarse class
  split at random into five, which makes labels as many but no finer;
- as many classes of the same sizes: 20 fine classes, one of each coarse class, which are finer but
  no closer to each other; and the 20 fine classes of 4 coarse ones, which are finer and closer.

Test images are those of the original test set of the classes in question, as many of each class.
Many, medium and few are by the 20 classes' training images: over 100, 20 to 100, under 20. Gap is
the accuracy for many minus that for few, and retention the share few/many, since a gap depends on
the level. Differences are paired over seeds, with p-values from paired t-tests corrected by Holm's
method over the rows of a table.

``features`` trains one hidden layer (128) on frozen features of EfficientNet-Lite0, by
cross-entropy and by balanced cross-entropy, with 10 seeds; ``images`` the small convolutional
network of ``granular.py`` by balanced cross-entropy (by plain cross-entropy it recognizes hardly
anything of the tail so soon), with 3 seeds. Held fixed: AdamW with a cosine schedule,
batches of 64, epochs (20 and 24), no early stopping.

Finished fits are kept in ``OUT/granularity_study.jsonl`` and not repeated; delete the file after
changing the code. Tables go to ``OUT/granularity_study.md``. All takes about 15 minutes on one
core.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _comparators import PLAIN
from _data import CACHE, DEFAULT_DATA, long_tailed_counts
from _markdown import markdown_table, mean_and_std, p_value_text, star
from _runs import read_runs, run_missing
from granular import (
    BATCH_SIZE,
    IMBALANCE,
    LARGEST_CLASS,
    SmallCNN,
    load_images,
)
from render import write_page

from ltlearn import GranularClassifier
from ltlearn.evaluation import paired_differences
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import ClassBands, shot_accuracy
from ltlearn.options import Training

LABELS = {
    "coarse": "20 coarse classes",
    "fine": "same images: 100 fine classes",
    "random": "same images: 100 random parts",
    "apart": "20 fine classes, one of each coarse",
    "close": "20 fine classes of 4 coarse",
}
LOSSES = {"CE": PLAIN, "balanced CE": {}}
EPOCHS = {"features": 20, "images": 24}
SEEDS = {"features": 10, "images": 3}
LEGEND = """\
Accuracies in percent, ± the standard deviation over seeds. Gap: many minus few; retention: few as
a share of many. Δ are paired differences to the coarse labels, with p-values of paired t-tests,
corrected by Holm's method.
"""
COLUMNS = ["overall", "many", "medium", "few", "gap", "retention"]


def draw(images, superclasses, labels, seed):
    """Training rows with labels and groups, and the test rows with groups.

    Predictions are scored by groups: the 20 classes whose sizes fall from 500 to 5.
    """
    rng = np.random.default_rng(seed)
    coarse = rng.permutation(sorted(superclasses)).tolist()
    # Multiples of five, so that fine classes can share them.
    counts = 5 * np.maximum(1, long_tailed_counts(20, LARGEST_CLASS, IMBALANCE) // 5)
    if labels == "apart":
        groups = [[rng.choice(superclasses[name])] for name in coarse]
    elif labels == "close":
        members = [name for superclass in coarse[:4] for name in superclasses[superclass]]
        groups = [[name] for name in rng.permutation(members)]
    else:
        groups = [superclasses[name] for name in coarse]
    rows, fine = [], []
    for members, count in zip(groups, counts, strict=True):
        for name in members:
            of_class = rng.permutation(np.flatnonzero(images.y_train == name))
            rows.append(of_class[: count // len(members)])
            fine.append(np.full(len(rows[-1]), name))
    rows, fine = np.concatenate(rows), np.concatenate(fine)
    group_of = {name: members[0] for members in groups for name in members}
    y_group = np.array([group_of[name] for name in fine])
    y = y_group
    if labels == "fine":
        y = fine
    elif labels == "random":
        y = np.empty(len(rows), dtype=object)
        for name in np.unique(y_group):
            of_group = rng.permutation(np.flatnonzero(y_group == name))
            y[of_group] = [f"{name} {part % 5}" for part in range(len(of_group))]
            group_of |= {f"{name} {part}": name for part in range(5)}
        y = y.astype(str)
    test = np.isin(images.y_test, list(group_of))
    y_test = np.array([group_of[name] for name in images.y_test[test]])
    return images.X_train[rows], y, y_group, images.X_test[test], y_test, group_of


def run(part, loss, labels, seed, budget, *, data):
    """Train on one kind of labels and measure accuracies."""
    torch.set_num_threads(1)
    images, superclasses = load_images(part, "cifar", data)
    X, y, y_group, X_test, y_test, group_of = draw(images, superclasses, labels, seed)
    start = time.process_time()
    model = GranularClassifier(
        backbone="mlp" if part == "features" else SmallCNN,
        hidden_layer_sizes=(128,),
        lr=1e-3 if part == "features" else 3e-3,
        dropout=0.0,
        training=Training(lr_schedule="cosine", feature_mixup=0.0),
        batch_size=BATCH_SIZE,
        max_epochs=max(1, round(budget * EPOCHS[part])),
        early_stopping=False,
        device="cpu",
        random_state=seed,
        **LOSSES[loss],
    ).fit(X, y)
    seconds = time.process_time() - start
    groups = np.unique(y_group)
    membership = np.array([group_of[name] for name in model.classes_])[:, None] == groups
    y_pred = groups[(model.predict_proba(X_test) @ membership).argmax(axis=1)]
    shots = shot_accuracy(y_test, y_pred, bands=ClassBands.from_labels(y_group))
    return {
        "overall": float(np.mean(y_pred == y_test)),
        **shots,
        "gap": shots["many"] - shots["few"],
        "retention": shots["few"] / shots["many"],
        "n_train": len(y),
        "n_test": len(y_test),
        "seconds": seconds,
    }


def compare_with_coarse(frame):
    """Paired differences of gap and retention over seeds, by labels and metric."""
    results = frame.rename(columns={"labels": "estimator"}).melt(
        ["estimator", "seed", "n_train", "n_test"], ["gap", "retention"], var_name="metric"
    )
    results = results.assign(kind="estimator", split=0, band="overall")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)  # of a single seed
        return paired_differences(
            results, baseline="coarse", greater_is_better={"gap": False, "retention": True}
        ).set_index(["estimator", "metric"])


def make_table(frame):
    """Markdown table of one part and loss."""
    differences = compare_with_coarse(frame)
    lines = []
    for labels, title in LABELS.items():
        rows = frame[frame["labels"] == labels]
        cells = [mean_and_std(100 * rows[column]) for column in COLUMNS]
        for metric in ("gap", "retention"):
            if labels == "coarse":
                cells += ["", ""]
            else:
                row = differences.loc[(labels, metric)]
                cells += [f"{100 * row['difference']:+.1f}", p_value_text(row["p_holm"])]
        lines.append([title, *cells])
    return markdown_table(["labels", *COLUMNS, "Δ gap", "p", "Δ retention", "p"], lines)


def read_parts(path):
    """Runs by part, loss and budget, each a DataFrame, from a file of measurements."""
    runs = read_runs(path)
    frame = pd.DataFrame(list(runs), columns=["part", "loss", "labels", "seed", "budget"])
    frame = frame.join(pd.DataFrame(list(runs.values())))
    return dict(list(frame.groupby(["part", "loss", "budget"], sort=False)))


def result_tables(path):
    """The tables of a file of measurements, by title."""
    tables = {}
    for (part, loss, budget), rows in read_parts(path).items():
        shorter = "" if budget == 1 else f" ({budget:g} of the usual epochs)"
        tables[f"{part}, {loss}{shorter}, {rows['seed'].nunique()} seeds"] = make_table(rows)
    return tables


def summary(folder):
    """The gap, and in brackets its paired difference to that of coarse labels, in points."""
    parts = read_parts(folder / "granularity_study.jsonl")
    differences = {key: compare_with_coarse(frame) for key, frame in parts.items()}
    rows = []
    for labels, title in LABELS.items():
        cells = []
        for key, frame in parts.items():
            gap = f"{100 * frame.loc[frame['labels'] == labels, 'gap'].mean():.1f}"
            if labels != "coarse":
                row = differences[key].loc[(labels, "gap")]
                gap += f" ({100 * row['difference']:+.1f}{star(row['p_holm'] < 0.05)})"
            cells.append(gap)
        rows.append([title, *cells])
    return markdown_table(["labels", *(f"{part}, {loss}" for part, loss, _ in parts)], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=int, help="default: 10 for features, 3 for images")
    parser.add_argument("--budget", type=float, default=1.0, help="factor of all epochs")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    parts = [("features", "CE"), ("features", "balanced CE"), ("images", "balanced CE")]
    keys = [
        (part, loss, labels, seed, args.budget)
        for part, loss in parts
        for seed in range(args.seeds or SEEDS[part])
        for labels in LABELS
    ]
    path = args.out / "granularity_study.jsonl"
    run_missing(partial(run, data=args.data), keys, args.jobs, path)
    print(write_page(path))
    seconds = sum(result["seconds"] for result in read_runs(path).values())
    print(f"{seconds / 60:.0f} CPU minutes of fits")


if __name__ == "__main__":
    main()
