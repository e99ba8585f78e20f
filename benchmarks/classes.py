"""Which classifier for a long tail of classes, on embeddings and on tables?

Command::

    python -m pip install -e ".[rivals]"
    python benchmarks/classes.py PART [--sets SET ...] [--rows ROW ...] [--seeds N] [--jobs N]

with ``features`` or ``tables`` for PART.

- ``features``: frozen features (1280) of EfficientNet-Lite0 (ImageNet), on images enlarged to 96
  pixels. ``cifar`` and ``fashion`` are the problems of ``granular.py``; ``cifar100`` has all
  classes of CIFAR-100 with 500 to 5 images.
- ``tables``: four UCI tables of numeric columns made long-tailed: classes in random order, from at
  most 300 rows down by a factor of 50, at least 3.

Every seed draws which class is how rare and which rows it keeps; test rows are as many of each
class. So overall accuracy is balanced accuracy.

Held fixed: nothing is chosen on test rows. *LA* is post-hoc logit adjustment, with the log class
shares or with a multiple τ of them that held-out rows choose, in three folds that keep rare classes
in training; class weights and SMOTE (of 2 neighbors) stand without it. Forests have 300 trees; a
probability of 0 counts as one vote. Logistic regression sees the 256 principal components of
standardized columns, with which it is no worse than with all. On tables
``TailStackingClassifier("fast")`` is extra trees with fitted τ, on features logistic regression of
plain or square-rooted columns.

The last columns compare with the best simple control, by mean overall accuracy: paired differences
over seeds, and the difference in overall accuracy at equal few-shot accuracy, for which the log
class shares are taken off the control's scores by the factor (-1 to 3) that gives it the row's
few-shot accuracy; in brackets the seeds in which the row is better, of those in which the control
gets there at all. p-values are from paired t-tests, corrected by Holm's method over the rows.

Finished fits are kept in ``OUT/classes_<part>.jsonl`` and not repeated; delete the file after
changing the code.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _data import CACHE, DEFAULT_DATA, load_images, load_table, long_tailed_counts
from _markdown import difference_text, markdown_table, mean_and_std, star
from _runs import read_runs, run_missing
from granular import Problem, draw_problem
from render import write_page
from scipy.special import softmax
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler, normalize

from ltlearn import (
    GranularClassifier,
    PLDAClassifier,
    TailLogisticClassifier,
    TailStackingClassifier,
)
from ltlearn.calibration import adjust_proba
from ltlearn.evaluation import paired_differences
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import ClassBands, expected_calibration_error, shot_accuracy
from ltlearn.stacking._scores import balanced_scores

SETS = {
    "features": ["cifar", "fashion", "cifar100"],
    "tables": ["letter", "penbased", "optdigits", "segment"],
}
LARGEST_CLASS, IMBALANCE, SMALLEST_CLASS = 300, 50, 3
FEWEST_NEIGHBORS = SMALLEST_CLASS - 1  # SMOTE's 5 by default are more than the rarest class has
N_TREES = 300
EXTRA_TAU = np.linspace(-1, 3, 41)
BANDS = ("overall", "many", "medium", "few")
AUTO, FAST = (f'TailStackingClassifier("{heads}")' for heads in ("auto", "fast"))
# Rows that every tail method should beat, by part.
CONTROLS = {
    "features": [
        "logistic + LA",
        "logistic + LA, tau",
        "LDA",
        "class means, cosine",
        "nearest neighbors + LA, tau",
    ],
    "tables": [
        "logistic + LA, tau",
        "forest + LA",
        "extra trees + LA",
        "forest, class weights",
        "forest, SMOTE",
        "forest + LA, tau",
        "boosting + LA",
    ],
}
FORMER_DEFAULTS = {
    "hidden_layer_sizes": (128, 64),
    "dropout": 0.0,
    "lr": 1e-3,
    "max_epochs": 100,
    "early_stopping": True,
    "training__lr_schedule": "constant",
    "training__feature_mixup": 0.0,
}
LEGEND = """\
Accuracy in percent, mean ± standard deviation over seeds. *Worst* is the lowest recall of a class,
*ECE* the expected calibration error in percent, *CE* the cross-entropy on the test rows, *s* CPU
seconds of the fit with all choices it makes. Δ are points, to the control named last in the title.
"""


# Problems


def draw(part, name, data, seed):
    """The problem of a seed, see :class:`granular.Problem`."""
    if part == "tables":
        return _draw_table(*load_table(name, data), seed)
    if name != "cifar100":
        return draw_problem("features", name, data, seed)
    images, _ = load_images("features", "cifar", data)
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.unique(images.y_train))
    counts = long_tailed_counts(len(classes), 500, 100)
    rows = np.concatenate(
        [
            rng.permutation(np.flatnonzero(images.y_train == label))[:count]
            for label, count in zip(classes, counts, strict=True)
        ]
    )
    return Problem(images.X_train[rows], images.y_train[rows], images.X_test, images.y_test, {}, {})


def _draw_table(X, y, seed):
    rng = np.random.default_rng(seed)
    classes, sizes = np.unique(y, return_counts=True)
    n_test = min(200, int(0.3 * sizes.min()))
    largest = min(LARGEST_CLASS, sizes.min() - n_test)
    counts = np.maximum(long_tailed_counts(len(classes), largest, IMBALANCE), SMALLEST_CLASS)
    train, test = [], []
    for label, count in zip(rng.permutation(classes), counts, strict=True):
        rows = rng.permutation(np.flatnonzero(y == label))
        test.append(rows[:n_test])
        train.append(rows[n_test : n_test + count])
    train, test = rng.permutation(np.concatenate(train)), np.concatenate(test)
    return Problem(X[train], y[train], X[test], y[test], {}, {})


# Rows


def make_rows(part, seed):
    """Unfitted classifiers by the name of the row, cheap ones first."""

    def fitted_tau(name, classifier):
        return TailStackingClassifier([(name, classifier)], random_state=seed)

    logistic = TailLogisticClassifier(power=1.0, calibrate=False, random_state=seed)
    rows = {
        "logistic + LA": logistic,
        "logistic + LA, tau": TailLogisticClassifier(power=1.0, random_state=seed),
        "PLDA": PLDAClassifier(random_state=seed),
    }
    if part == "features":
        shrunken = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        neighbors = make_pipeline(Normalizer(), KNeighborsClassifier(10))
        rows |= {
            "LDA": make_pipeline(StandardScaler(), shrunken),
            "class means, cosine": _CosineMeans(),
            "nearest neighbors + LA, tau": fitted_tau("neighbors", neighbors),
        }
    else:
        from imblearn.over_sampling import SMOTE

        forest = RandomForestClassifier(N_TREES, random_state=seed)
        trees = ExtraTreesClassifier(N_TREES, random_state=seed)
        rows |= {
            "forest + LA": forest,
            "extra trees + LA": trees,
            "forest + LA, tau": fitted_tau("forest", forest),
            "forest, class weights": _AsFitted(
                RandomForestClassifier(N_TREES, class_weight="balanced", random_state=seed)
            ),
            "forest, SMOTE": _AsFitted(
                forest, SMOTE(k_neighbors=FEWEST_NEIGHBORS, random_state=seed)
            ),
            "boosting + LA": HistGradientBoostingClassifier(
                early_stopping=False, random_state=seed
            ),
            "GranularClassifier, former defaults": GranularClassifier(
                device="cpu", random_state=seed
            ).set_params(**FORMER_DEFAULTS),
        }
    return rows | {
        "GranularClassifier": GranularClassifier(device="cpu", random_state=seed),
        FAST: TailStackingClassifier("fast", random_state=seed),
        AUTO: TailStackingClassifier("auto", random_state=seed),
    }


class _AsFitted:
    """A classifier whose probabilities stay as they are, after class weights or resampling."""

    def __init__(self, classifier, sampler=None):
        self.classifier = classifier
        self.sampler = sampler

    def fit(self, X, y):
        if self.sampler is not None:
            X, y = self.sampler.fit_resample(X, y)
        self.model_ = clone(self.classifier).fit(X, y)
        self.prediction_prior_ = np.full(len(np.unique(y)), 1 / len(np.unique(y)))
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)


class _CosineMeans:
    """Cosines between rows and class means, of standardized columns."""

    def fit(self, X, y):
        self.scaler_ = StandardScaler().fit(X)
        X = normalize(self.scaler_.transform(X))
        self.means_ = normalize(np.stack([X[y == label].mean(axis=0) for label in np.unique(y)]))
        self.prediction_prior_ = np.full(len(self.means_), 1 / len(self.means_))
        return self

    def predict_proba(self, X):
        return softmax(16 * normalize(self.scaler_.transform(X)) @ self.means_.T, axis=1)


def list_rows(part, name):
    """Names of the rows of a data set; on ``cifar100`` few, for their time."""
    if name == "cifar100":
        return ["logistic + LA", "logistic + LA, tau", AUTO]
    return list(make_rows(part, 0))


def run(part, name, seed, row_name, *, data):
    """Fit one row and measure it; a record."""
    torch.set_num_threads(1)
    problem = draw(part, name, data, seed)
    model = make_rows(part, seed)[row_name]
    start = time.process_time()
    model.fit(problem.X, problem.y)
    seconds = time.process_time() - start
    classes, counts = np.unique(problem.y, return_counts=True)
    if hasattr(model, "prediction_prior_"):  # balanced, and calibrated
        scores = np.log(np.maximum(model.predict_proba(problem.X_test), 1e-12))
    elif hasattr(model, "decision_function"):  # without the rounding of probabilities
        scores = model.decision_function(problem.X_test) - np.log(counts)
    else:
        scores = balanced_scores(model, problem.X_test, classes, counts)
    record = {"data": name, "seed": seed, "row": row_name, "seconds": seconds}
    record |= {"n_train": len(problem.y), "n_test": len(problem.y_test)}
    record |= measure(scores, classes, problem)
    if row_name in CONTROLS[part]:
        shifted = [measure(scores - t * np.log(counts), classes, problem) for t in EXTRA_TAU]
        record["trade"] = [
            [t, at_t["overall"], at_t["few"]] for t, at_t in zip(EXTRA_TAU, shifted, strict=True)
        ]
    return record


def measure(scores, classes, problem):
    """Accuracies and calibration of log probabilities at balanced classes."""
    proba = adjust_proba(softmax(scores, axis=1), np.ones(len(classes)))
    y_pred = classes[proba.argmax(axis=1)]
    hits = y_pred == problem.y_test
    bands = ClassBands.from_labels(problem.y)
    return {
        "overall": float(np.mean(hits)),
        **shot_accuracy(problem.y_test, y_pred, bands=bands),
        "worst": float(min(hits[problem.y_test == label].mean() for label in classes)),
        "ece": expected_calibration_error(problem.y_test, proba, labels=classes),
        "ce": float(log_loss(problem.y_test, np.maximum(proba, 1e-12), labels=classes)),
    }


# Tables


def read_problems(path):
    """Records by part and data set, from a file of measurements."""
    problems = {}
    for (part, name, *_), record in read_runs(path).items():
        problems.setdefault((part, name), []).append(record)
    return {key: _complete(pd.DataFrame(records)) for key, records in problems.items()}


def _complete(frame):
    """Seeds in which every row is measured."""
    n_rows = frame["row"].nunique()
    counts = frame.groupby("seed")["row"].nunique()
    return frame[frame["seed"].isin(counts.index[counts == n_rows])]


def best_control(part, frame):
    """The control of the highest mean overall accuracy."""
    controls = frame[frame["row"].isin(CONTROLS[part])]
    return controls.groupby("row")["overall"].mean().idxmax()


def result_tables(path):
    """The tables of a file of measurements, by title."""
    tables = {}
    for (part, name), frame in read_problems(path).items():
        control = best_control(part, frame)
        title = f"{name}, {frame['seed'].nunique()} seeds, against {control}"
        tables[title] = make_table(frame, control)
    return tables


def make_table(frame, control):
    """Markdown table of one data set."""
    differences = compare_with(frame, control)
    trades = frame[frame["row"] == control].set_index("seed")["trade"]
    lines = []
    for name in dict.fromkeys(frame["row"]):
        rows = frame[frame["row"] == name].set_index("seed")
        values = [mean_and_std(100 * rows[column]) for column in (*BANDS, "worst")]
        values += [f"{100 * rows['ece'].mean():.1f}", f"{rows['ce'].mean():.3f}"]
        values.append(f"{rows['seconds'].mean():.1f}")
        if name == control:
            values += [""] * 3
        else:
            values += [difference_text(differences.loc[(name, b)]) for b in ("overall", "few")]
            values.append(_at_equal_few(rows, trades))
        lines.append([name, *values])
    header = ["", *BANDS, "worst", "ECE", "CE", "s", "Δ overall", "Δ few"]
    return markdown_table([*header, "Δ overall at equal few"], lines)


def compare_with(frame, control):
    """Paired differences of accuracies over seeds, by row and band."""
    results = frame.rename(columns={"row": "estimator"}).melt(
        ["estimator", "seed", "n_train", "n_test"], list(BANDS), var_name="band"
    )
    results = results.assign(kind="estimator", split=0, metric="accuracy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)  # of a single seed
        differences = paired_differences(results, baseline=control)
    return differences.set_index(["estimator", "band"])


def _at_equal_few(rows, trades):
    gains = []
    for seed, row in rows.iterrows():
        _, overall, few = np.transpose(trades[seed])
        reached = few >= row["few"]
        if reached.any():
            gains.append(100 * (row["overall"] - overall[reached].max()))
    if not gains:
        return "not reached"
    spread = f" ± {np.std(gains, ddof=1):.1f}" if len(gains) > 1 else ""
    return f"{np.mean(gains):+.1f}{spread} ({sum(gain > 0 for gain in gains)} of {len(gains)})"


def summary(folder):
    """Overall / few-shot accuracy of the best control, and differences to it, in points."""
    columns = {}
    for part in SETS:
        for (_, name), frame in read_problems(folder / f"classes_{part}.jsonl").items():
            control = best_control(part, frame)
            columns[name] = frame, control, compare_with(frame, control)
    names = ["best control", "GranularClassifier", FAST, AUTO]
    rows = []
    for row in names:
        cells = []
        for frame, control, differences in columns.values():
            if row == "best control":
                of_row = frame[frame["row"] == control]
                means = [100 * of_row[band].mean() for band in ("overall", "few")]
                cells.append(f"{control}: {means[0]:.1f} / {means[1]:.1f}")
            elif row in set(frame["row"]):
                pair = [differences.loc[(row, band)] for band in ("overall", "few")]
                cells.append(" / ".join(_marked(difference) for difference in pair))
            else:
                cells.append("–")
        rows.append([row, *cells])
    return markdown_table(["", *columns], rows)


def _marked(row):
    return f"{100 * row['difference']:+.1f}{star(row['p_holm'] < 0.05)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=SETS)
    parser.add_argument("--sets", nargs="+", help="default: all of the part")
    parser.add_argument("--rows", nargs="+", help="default: all of the part")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    keys = [
        (args.part, name, seed, row)
        for seed in range(args.seeds)
        for name in args.sets or SETS[args.part]
        for row in list_rows(args.part, name)
        if args.rows is None or row in args.rows
    ]
    path = args.out / f"classes_{args.part}.jsonl"
    run_missing(partial(run, data=args.data), keys, args.jobs, path)
    print(write_page(path))


if __name__ == "__main__":
    main()
