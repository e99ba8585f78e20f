"""Do auxiliary classes help a long tail, beyond balanced cross-entropy and simple controls?

Command::

    python benchmarks/granular.py PART [--seeds N] [--jobs N] [--data FOLDER] [--out FOLDER]

with ``features``, ``linear`` or ``images`` for PART.

Two long-tailed image sets with imbalance 100, drawn anew for every seed: which class is how rare,
and which images it keeps.

- ``fashion``: T-shirt, Pullover, Dress, Sandal, Sneaker and Bag of Fashion-MNIST with 500 to 5
  images. Neighbors: Shirt of T-shirt and Pullover, Coat of Pullover, Boot of Sandal and Sneaker.
  Random auxiliary class: Trouser, the only one left, with three times as many images an epoch.
- ``cifar``: 3 of the 5 classes of 12 superclasses of CIFAR-100 with 500 to 5 images. Neighbors: the
  other 2 classes of the same superclass. Random auxiliary classes: 24 of the 8 other superclasses.

``features`` trains one hidden layer (128) on frozen features of EfficientNet-Lite0 (ImageNet), on
images enlarged to 96 pixels, for 40 and 20 epochs. That is more than test accuracy needs; so
``linear`` asks whether gains are more than relief from overfitting: it trains no hidden layer for
10 epochs, the best of a few choices for balanced cross-entropy on two other seeds. ``images``
trains a small convolutional network (3 layers, 32-64-128 channels) end to end, with random flips
and shifts. It is meant to fit a CPU; schedules are far shorter than published ones, and so are the
accuracies.

Held fixed: network, AdamW with a cosine schedule that ends with the last epoch, batches of 64, no
early stopping, 50 images of each auxiliary class an epoch (of 500, drawn afresh). Auxiliary rows
are trained in two ways. With *equal epochs* they see every target image as often as balanced
cross-entropy does and make more updates; beside them stands balanced cross-entropy with as many
updates. With *equal updates* they see the target images less often; beside them stands balanced
cross-entropy that stops when it has seen as many.

The test images are those of the original test sets, as many of each class: overall accuracy is
balanced accuracy. The last column exposes what mere trading of head against tail accuracy would
give: balanced cross-entropy has its log class shares subtracted once more, times the smallest
factor (up to 3) with which its few-shot accuracy reaches that of the row, and the row's overall
accuracy is compared with what is left of its own; in brackets the seeds in which the row is better,
of those in which balanced cross-entropy gets there at all. Differences are paired over seeds, each
of which is a problem of its own; p-values are from paired t-tests, corrected by Holm's method over
the rows of a table.

Finished fits are kept in ``OUT/granular_<part>.jsonl`` and not repeated; delete the file after
changing the code. Tables go to ``OUT/granular_<part>.md``. Where the data come from is said in
``_data.py``. On one core, ``features`` takes about half an hour, ``linear`` a quarter of an hour
and ``images`` somewhat more than an hour.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from _comparators import (
    PLAIN,
    FocalClassifier,
    LDAMClassifier,
    MergingClassifier,
    ResamplingClassifier,
)
from _data import (
    CACHE,
    DEFAULT_DATA,
    load_images,
    long_tailed_counts,
)
from _markdown import difference_text, markdown_table, mean_and_std, star
from _runs import read_runs, run_missing
from render import write_page
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from torch import nn

from ltlearn import GranularClassifier, Whole
from ltlearn.calibration import adjust_proba
from ltlearn.evaluation import paired_differences
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import ClassBands, expected_calibration_error, shot_accuracy
from ltlearn.options import Training

LARGEST_CLASS, IMBALANCE, AUXILIARY_SAMPLES, BATCH_SIZE = 500, 100, 50, 64
EPOCHS = {
    ("features", "fashion"): 40,
    ("features", "cifar"): 20,
    ("linear", "fashion"): 10,
    ("linear", "cifar"): 10,
    ("images", "fashion"): 60,
    ("images", "cifar"): 24,
}
SEEDS = {"features": 10, "linear": 10, "images": 3}
BASELINE, LOGISTIC = "balanced CE", "logistic"
LEGEND = """\
Accuracies and differences in points, ± the standard deviation over seeds. Δ are paired
differences to balanced CE, with p-values of paired t-tests, corrected by Holm's method. The last
column compares overall accuracy after balanced CE has been pushed, after training, to the same
few-shot accuracy; in brackets the seeds in which the row is better, of those in which it gets
there.
"""
EXTRA_TAU = np.linspace(0, 3, 31)
BANDS = ("overall", "many", "medium", "few")
SUMMARY_ROWS = [
    BASELINE,
    "CE",
    "+ random auxiliary",
    "+ neighbors, silencing 0.1",
    "logistic + logit adjustment",
]


class Problem(NamedTuple):
    """One draw of a long-tailed problem."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    auxiliary: dict  # "neighbors" and "random" -> (X_aux, y_aux)
    neighbors: dict  # target class -> auxiliary classes


class Row(NamedTuple):
    """How a row of the tables is trained."""

    cls: type = GranularClassifier
    params: dict = {}
    data: str | None = None  # which auxiliary data it sees

    @property
    def has_longer_epochs(self):
        return self.data is not None or "auxiliary" in self.params


# Problems


def draw_problem(part, name, data, seed):
    images, superclasses = load_images(part, name, data)
    rng = np.random.default_rng(seed)
    if name == "fashion":
        targets = ["T-shirt", "Pullover", "Dress", "Sandal", "Sneaker", "Bag"]
        near, far = ["Shirt", "Coat", "Boot"], ["Trouser"]
        neighbors = {
            "T-shirt": ["Shirt"],
            "Pullover": ["Shirt", "Coat"],
            "Sandal": ["Boot"],
            "Sneaker": ["Boot"],
        }
    else:
        order = rng.permutation(sorted(superclasses))
        members = [rng.permutation(superclasses[name]).tolist() for name in order]
        targets = [name for classes in members[:12] for name in classes[:3]]
        near = [name for classes in members[:12] for name in classes[3:]]
        far = rng.choice(np.concatenate(members[12:]), len(near), replace=False).tolist()
        neighbors = {name: classes[3:] for classes in members[:12] for name in classes[:3]}

    def take(names, counts):
        rows = [
            rng.permutation(np.flatnonzero(images.y_train == name))[:count]
            for name, count in zip(names, counts, strict=True)
        ]
        return images.X_train[np.concatenate(rows)], images.y_train[np.concatenate(rows)]

    counts = long_tailed_counts(len(targets), LARGEST_CLASS, IMBALANCE)
    X, y = take(rng.permutation(targets), counts)
    auxiliary = {
        kind: take(names, [LARGEST_CLASS] * len(names))
        for kind, names in (("neighbors", near), ("random", far))
    }
    test = np.isin(images.y_test, targets)
    return Problem(X, y, images.X_test[test], images.y_test[test], auxiliary, neighbors)


def shuffle_anchors(neighbors):
    """The same relation with the auxiliary classes shifted: every one next to wrong targets."""
    names = list(dict.fromkeys(name for row in neighbors.values() for name in row))
    shifted = dict(zip(names, np.roll(names, len(names) // 2).tolist(), strict=True))
    return {target: [shifted[name] for name in row] for target, row in neighbors.items()}


# Rows


def make_rows(part, problem):
    def row(data=None, cls=GranularClassifier, **params):
        return Row(cls, params, data)

    near = {"data": "neighbors", "auxiliary__neighbors": problem.neighbors}
    n_near, n_far = (len(np.unique(problem.auxiliary[kind][1])) for kind in ("neighbors", "random"))
    rows = {
        "CE": row(**PLAIN),
        BASELINE: row(),
        "+ random auxiliary": row(
            "random", silencing=1.0, auxiliary__max_samples=AUXILIARY_SAMPLES * n_near // n_far
        ),
        "+ neighbors (silencing 1)": row(**near, silencing=1.0),
        "+ neighbors, silencing 0.1": row(**near),
        "neighbors merged into anchors": row(**near, cls=MergingClassifier),
    }
    if part == "images":
        return rows
    shuffled = shuffle_anchors(problem.neighbors)
    return rows | {
        "+ neighbors, silencing 0.1, auxiliary": row(
            **near, auxiliary__silencing_direction="auxiliary"
        ),
        "+ neighbors, silencing 0.1, target": row(**near, auxiliary__silencing_direction="target"),
        "+ neighbors, silencing 0": row(**near, silencing=0.0),
        "+ neighbors found by similarity, silencing 0.1": row("neighbors"),
        "+ neighbors shuffled, silencing 0.1": row("neighbors", auxiliary__neighbors=shuffled),
        "+ synthesized, silencing 0.1": row(auxiliary="synthesize"),
        "class-balanced resampling": row(cls=ResamplingClassifier, **PLAIN),
        "LDAM, deferred weights": row(cls=LDAMClassifier, **PLAIN),
        "focal": row(cls=FocalClassifier, **PLAIN),
    }


def make_references():
    """Classifiers of scikit-learn."""
    boosting = HistGradientBoostingClassifier(
        max_iter=30, class_weight="balanced", early_stopping=False, random_state=0
    )
    logistic = {"C": 0.01, "max_iter": 300}
    return {
        LOGISTIC: make_pipeline(StandardScaler(), LogisticRegression(**logistic)),
        "logistic, balanced": make_pipeline(
            StandardScaler(), LogisticRegression(**logistic, class_weight="balanced")
        ),
        "nearest class mean": make_pipeline(Normalizer(), NearestCentroid()),
        "boosting on 64 components, balanced": make_pipeline(PCA(64, random_state=0), boosting),
    }


class SmallCNN(nn.Module):
    """Three convolutions and the mean over positions; shifts and flips images in training."""

    def __init__(self, shape):
        super().__init__()
        layers, n_channels = [], shape[0]
        for width, stride in ((32, 2), (64, 1), (128, 2)):
            convolution = nn.Conv2d(n_channels, width, 3, stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
            n_channels = width
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images):
        images = (images / 255 - 0.5) / 0.25
        if self.training:
            images = self._augment(images)
        return self.layers(images.contiguous(memory_format=torch.channels_last))

    def _augment(self, images):
        flipped = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
        images = torch.where(flipped, images.flip(3), images)
        top, left = torch.randint(0, 9, (2,)).tolist()
        height, width = images.shape[2:]
        padded = nn.functional.pad(images, (4, 4, 4, 4), mode="reflect")
        return padded[:, :, top : top + height, left : left + width]


# Fits


def make_model(part, row, seed, epochs):
    return row.cls(
        backbone=SmallCNN if part == "images" else "mlp",
        hidden_layer_sizes=() if part == "linear" else (128,),
        lr=3e-3 if part == "images" else 1e-3,
        batch_size=BATCH_SIZE,
        max_epochs=epochs,
        early_stopping=False,
        dropout=0.0,
        training=Training(lr_schedule="cosine", feature_mixup=0.0),
        device="cpu",
        random_state=seed,
    ).set_params(**row.params)


def fit_row(model, row, problem):
    """Fit the model to the problem, with the auxiliary data of the row."""
    auxiliary = {}
    if row.data is not None:
        X_aux, y_aux = problem.auxiliary[row.data]
        auxiliary = {"X_aux": Whole(X_aux), "y_aux": Whole(y_aux)}
    return model.fit(problem.X, problem.y, **auxiliary)


def epochs_for(epochs, row, problem, schedule):
    """Epochs of a row in a schedule, where ``epochs`` are those of balanced cross-entropy."""
    if row.params.get("auxiliary") == "synthesize":
        model = GranularClassifier(auxiliary="synthesize", max_epochs=1, early_stopping=False)
        n_classes = len(model.fit(problem.X, problem.y).auxiliary_classes_)
    else:
        n_classes = len(np.unique(problem.auxiliary["neighbors"][1]))
    share = len(problem.y) / (len(problem.y) + AUXILIARY_SAMPLES * n_classes)
    return max(1, round(epochs * {"epochs": 1, "updates": share, "longer": 1 / share}[schedule]))


def measure(y_true, proba, classes, problem):
    y_pred = classes[proba.argmax(axis=1)]
    bands = ClassBands.from_labels(problem.y)
    return {
        "overall": float(np.mean(y_pred == y_true)),
        **shot_accuracy(y_true, y_pred, bands=bands),
        "ece": expected_calibration_error(y_true, proba, labels=classes),
    }


def run(part, name, budget, seed, row_name, schedule, *, data):
    """Fit one row and measure it; a list of records."""
    torch.set_num_threads(1)
    problem = draw_problem(part, name, data, seed)
    record = {"data": name, "seed": seed, "row": row_name, "schedule": schedule}
    record |= {"n_train": len(problem.y), "n_test": len(problem.y_test)}
    start = time.process_time()
    if row_name in make_references():
        model = make_references()[row_name].fit(problem.X, problem.y)
    else:
        row = make_rows(part, problem)[row_name]
        epochs = epochs_for(budget * EPOCHS[part, name], row, problem, schedule)
        model = fit_row(make_model(part, row, seed, epochs), row, problem)
        record["epochs"] = epochs
        record["updates"] = sum(epoch["train_batch_count"] for epoch in model.history_)
    record["seconds"] = time.process_time() - start
    proba = model.predict_proba(problem.X_test)
    share = np.unique(problem.y, return_counts=True)[1] / len(problem.y)

    def measured(tau):
        adjusted = adjust_proba(proba, share, tau=tau) if tau else proba
        return measure(problem.y_test, adjusted, model.classes_, problem)

    records = [record | measured(0)]
    if row_name == LOGISTIC:
        records.append(record | {"row": f"{LOGISTIC} + logit adjustment"} | measured(1))
    if (row_name, schedule) == (BASELINE, "epochs"):
        records[0]["trade"] = [
            [tau, measured(tau)["few"], measured(tau)["overall"]] for tau in EXTRA_TAU
        ]
    return records


def list_runs(part, names, seeds, budget, data):
    """Arguments of all runs."""
    keys = []
    for name in names:
        rows = make_rows(part, draw_problem(part, name, data, 0))
        runs = [(BASELINE, "updates"), (BASELINE, "longer")]
        for row_name, row in rows.items():
            runs += [(row_name, "epochs")] + [(row_name, "updates")] * row.has_longer_epochs
        if part != "images":
            runs += [(row_name, "epochs") for row_name in make_references()]
        keys += [(part, name, budget, seed, *run) for seed in range(seeds) for run in runs]
    return keys


# Tables


def in_schedule(records, schedule):
    """The records of one schedule, a DataFrame, and the name that the control has in it."""
    frame = pd.DataFrame(records)
    control_schedule, control = {
        "epochs": ("longer", f"{BASELINE}, as many updates"),
        "updates": ("updates", f"{BASELINE}, as many target images"),
    }[schedule]
    of_baseline = frame["row"] == BASELINE
    is_control = of_baseline & (frame["schedule"] == control_schedule)
    in_two_schedules = frame["row"].isin(frame.loc[frame["schedule"] == "updates", "row"])
    own_schedule = np.where(in_two_schedules & ~of_baseline, schedule, "epochs")
    frame.loc[is_control, "row"] = control
    return frame[is_control | (frame["schedule"] == own_schedule)], control


def make_table(records, schedule):
    """Markdown table of one data set in one schedule."""
    frame, control = in_schedule(records, schedule)
    differences = compare_with_baseline(frame)
    trades = frame[frame["row"] == BASELINE].set_index("seed")["trade"]
    order = ["CE", BASELINE, control]
    order += [name for name in dict.fromkeys(frame["row"]) if name not in order]
    lines = []
    for name in order:
        rows = frame[frame["row"] == name].set_index("seed")
        values = [_rounded(rows[column]) for column in ("epochs", "updates")]
        values += [mean_and_std(100 * rows[band]) for band in BANDS]
        values.append(f"{100 * rows['ece'].mean():.1f}")
        if name == BASELINE:
            values += [""] * 3
        else:
            values += [
                difference_text(differences.loc[(name, band)]) for band in ("overall", "few")
            ]
            values.append(_at_equal_few(rows, trades))
        lines.append([name, *values])
    header = ["", "epochs", "updates", *BANDS, "ECE", "Δ overall", "Δ few"]
    return markdown_table([*header, "Δ overall at equal few"], lines)


def read_problems(path):
    """Records by part, data set and budget, from a file of measurements."""
    problems = {}
    for (part, name, budget, *_), records in read_runs(path).items():
        problems.setdefault((part, name, budget), []).extend(records)
    return problems


def result_tables(path):
    """The tables of a file of measurements, by title."""
    tables = {}
    for (part, name, budget), records in read_problems(path).items():
        n_seeds = len({record["seed"] for record in records})
        shorter = "" if budget == 1 else f" ({budget:g} of the usual epochs)"
        for schedule in ("epochs", "updates"):
            title = f"{name}, {part}, equal {schedule}{shorter}, {n_seeds} seeds"
            tables[title] = make_table(records, schedule)
    return tables


def summary(folder):
    """Accuracy overall / few-shot of the baseline, and paired differences to it, in points."""
    columns = {}
    for part in SEEDS:
        for (_, name, _), records in read_problems(folder / f"granular_{part}.jsonl").items():
            frame, _ = in_schedule(records, "epochs")
            columns[f"{part}, {name}"] = frame, compare_with_baseline(frame)
    rows = []
    for row in SUMMARY_ROWS:
        cells = []
        for frame, differences in columns.values():
            of_row = frame[frame["row"] == row]
            if of_row.empty:
                cells.append("–")
            elif row == BASELINE:
                cells.append(
                    f"{100 * of_row['overall'].mean():.1f} / {100 * of_row['few'].mean():.1f}"
                )
            else:
                cells.append(
                    " / ".join(_marked(differences.loc[(row, band)]) for band in ("overall", "few"))
                )
        rows.append([row, *cells])
    return markdown_table(["", *columns], rows)


def _marked(row):
    return f"{100 * row['difference']:+.1f}{star(row['p_holm'] < 0.05)}"


def compare_with_baseline(frame):
    """Paired differences of accuracies over seeds, by row and band."""
    results = frame.rename(columns={"row": "estimator"}).melt(
        ["estimator", "seed", "n_train", "n_test"], list(BANDS), var_name="band"
    )
    results = results.assign(kind="estimator", split=0, metric="accuracy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)  # of a single seed
        differences = paired_differences(results, baseline=BASELINE)
    return differences.set_index(["estimator", "band"])


def _at_equal_few(rows, trades):
    gains = []
    for seed, row in rows.iterrows():
        _, few, overall = np.transpose(trades[seed])
        reached = np.flatnonzero(few >= row["few"])
        if len(reached):
            gains.append(100 * (row["overall"] - overall[reached[0]]))
    if not gains:
        return "not reached"
    return f"{np.mean(gains):+.1f} ({sum(gain > 0 for gain in gains)} of {len(gains)})"


def _rounded(values):
    return "" if values.isna().any() else f"{values.mean():.0f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=SEEDS)
    parser.add_argument(
        "--sets", nargs="+", choices=["fashion", "cifar"], default=["fashion", "cifar"]
    )
    parser.add_argument("--seeds", type=int, help="default: 3 for images, 10 otherwise")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--budget", type=float, default=1.0, help="factor of all epochs")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    seeds = args.seeds or SEEDS[args.part]
    keys = list_runs(args.part, args.sets, seeds, args.budget, args.data)
    path = args.out / f"granular_{args.part}.jsonl"
    run_missing(partial(run, data=args.data), keys, args.jobs, path)
    print(write_page(path))
    records = [record for records in read_runs(path).values() for record in records]
    minutes = sum(record["seconds"] for record in records) / 60
    print(f"{minutes:.0f} CPU minutes of fits")


if __name__ == "__main__":
    main()
