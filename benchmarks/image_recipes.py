"""Which parts of published recipes for long-tailed images help a small network, at equal compute?

Command::

    python benchmarks/image_recipes.py [--sets fashion cifar] [--seeds 3] [--budget 0.5]
                                       [--jobs 1] [--data FOLDER] [--out FOLDER]

The problems and the small network are those of part ``images`` of ``granular.py``. The first two
rows are cross-entropy and balanced cross-entropy with SGD, weight decay 5e-4, a cosine, shifts and
flips. Each of the others turns one switch of the latter; the last two turn several. Rows that pass
every image through the network twice (SAM, RegMixup, two views) have half the epochs, three
networks a third, rows with auxiliary classes as many updates as the first, so that all rows compute
about as much; their seconds of CPU are in the table.

Held fixed: network, learning rate, batch size, bfloat16, problems by seed. Nothing is chosen by
test rows; τ is fitted on a tenth of the training rows. Schedules are far shorter than published
ones: what needs a long one, such as strong augmentation, is not shown at its best.

Finished fits are kept in ``OUT/image_recipes.jsonl`` and not repeated, the seeds one after another;
the complete run takes about forty minutes on one core.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from _data import CACHE, DEFAULT_DATA
from _markdown import difference_text, markdown_table, mean_and_std
from _runs import read_runs, run_missing
from granular import BASELINE as NEIGHBORS_BASELINE
from granular import (
    BATCH_SIZE,
    EPOCHS,
    SmallCNN,
    compare_with_baseline,
    draw_problem,
    epochs_for,
    fit_row,
    make_rows,
    measure,
)
from render import write_page

from ltlearn import GranularClassifier
from ltlearn.images import InputSpec, Recipe
from ltlearn.options import Architecture, Training

BASELINE = NEIGHBORS_BASELINE
COLUMNS = ("overall", "many", "medium", "few")
LEGEND = """\
Accuracies and differences in points, ± the standard deviation over seeds. Δ are paired differences
to balanced CE, with p-values of paired t-tests, corrected by Holm's method."""


class SpecifiedCNN(SmallCNN):
    """The small network for images that ltlearn scales, crops and flips."""

    def forward(self, images):
        return self.layers(images.contiguous(memory_format=torch.channels_last))


class SpecifiedCNN28(SpecifiedCNN):
    input_spec = InputSpec(1, (28, 28), mean=(0.5,), std=(0.25,), crop_pct=1.0)


class SpecifiedCNN32(SpecifiedCNN):
    input_spec = InputSpec(3, (32, 32), mean=(0.5,) * 3, std=(0.25,) * 3, crop_pct=1.0)


NETWORKS = {"fashion": SpecifiedCNN28, "cifar": SpecifiedCNN32}
# Predictions at the shares of the training rows: the weights have balanced them already.
GROWING = {
    "class_weight": "balanced",
    "logit_adjustment": 0.0,
    "prior": "train",
    "training__reweighting_growth": 2.0,
}
REGMIXUP = Recipe(mixup_alpha=10.0, clean_weight=1.0)
TWO_VIEWS = Recipe(consistency_weight=4.0)
COSINE = Architecture(head="cosine")
# By row: parameters, and how many passes through a network an image takes.
ROWS = {
    "CE": ({"logit_adjustment": 0.0, "prior": "train"}, 1),
    BASELINE: ({}, 1),
    "weight decay 5e-3": ({"training__weight_decay": 5e-3}, 1),
    "class weights that grow": (GROWING, 1),
    "cosine head": ({"architecture": COSINE}, 1),
    "MaxNorm 1": ({"training__head_max_norm": 1.0}, 1),
    "EMA": ({"training__weight_averaging": "ema"}, 1),
    "SWA": ({"training__weight_averaging": "swa"}, 1),
    "tau fitted": ({"logit_adjustment": "auto"}, 1),
    "AutoAugment and cutout": ({"augmentation": Recipe(auto_augment="cifar10", cutout=0.5)}, 1),
    "auxiliary neighbors, silencing 0.1": ({"auxiliary data": "neighbors"}, 1),
    "three networks": ({"n_estimators": 3}, 3),
    "RegMixup": ({"augmentation": REGMIXUP}, 2),
    "SAM 0.05": ({"training__sam_radius": 0.05}, 2),
    "two views": ({"augmentation": TWO_VIEWS}, 2),
    "GLMC: two views, decay 5e-3, growing weights": (
        {**GROWING, "training__weight_decay": 5e-3, "augmentation": TWO_VIEWS},
        2,
    ),
    "cosine head, EMA, RegMixup, tau fitted": (
        {
            "architecture": COSINE,
            "training__weight_averaging": "ema",
            "augmentation": REGMIXUP,
            "logit_adjustment": "auto",
        },
        2,
    ),
}


def make_model(name, seed, epochs, params):
    return GranularClassifier(
        backbone=NETWORKS[name],
        lr=0.05,
        batch_size=BATCH_SIZE,
        max_epochs=epochs,
        early_stopping=False,
        augmentation="standard",
        training=Training(
            optimizer="sgd",
            weight_decay=5e-4,
            lr_schedule="cosine",
            lr_warmup_epochs=min(1, epochs - 1),
            precision="bfloat16",
        ),
        device="cpu",
        random_state=seed,
    ).set_params(**params)


def run(name, budget, seed, row_name, *, data):
    """Fit one row and measure it."""
    torch.set_num_threads(1)
    problem = draw_problem("images", name, data, seed)
    params, passes = ROWS[row_name]
    params = dict(params)
    rows = make_rows("images", problem)
    neighbors = rows["+ neighbors, silencing 0.1"]
    row, schedule = rows[BASELINE], "epochs"
    if params.pop("auxiliary data", None):
        row, schedule = neighbors, "updates"
        params |= row.params
    epochs = epochs_for(budget * EPOCHS["images", name] / passes, neighbors, problem, schedule)
    start = time.process_time()
    model = fit_row(make_model(name, seed, epochs, params), row, problem)
    record = {"data": name, "seed": seed, "row": row_name, "epochs": epochs}
    record["seconds"] = time.process_time() - start
    record |= {"n_train": len(problem.y), "n_test": len(problem.y_test)}
    proba = model.predict_proba(problem.X_test)
    return record | measure(problem.y_test, proba, model.classes_, problem)


def make_table(records):
    """Markdown table of one data set."""
    frame = pd.DataFrame(records)
    differences = compare_with_baseline(frame)
    lines = []
    for name in [each for each in ROWS if each in set(frame["row"])]:
        rows = frame[frame["row"] == name]
        cells = [name, f"{rows['epochs'].mean():.0f}", f"{rows['seconds'].mean():.0f}"]
        cells += [mean_and_std(100 * rows[column]) for column in COLUMNS]
        if name == BASELINE:
            cells += ["", ""]
        else:
            cells += [difference_text(differences.loc[(name, band)]) for band in ("overall", "few")]
        lines.append(cells)
    return markdown_table(["", "epochs", "CPU s", *COLUMNS, "Δ overall", "Δ few"], lines)


def result_tables(path):
    """The tables of a file of measurements, by title."""
    by_data = {}
    for (name, *_), record in read_runs(path).items():
        by_data.setdefault(name, []).append(record)
    titles = {"fashion": "Fashion-MNIST-LT, 6 classes", "cifar": "CIFAR-LT, 36 classes"}
    tables = {}
    for name, records in by_data.items():
        n_seeds = len({record["seed"] for record in records})
        title = f"{titles[name]}, {n_seeds} seed{'s' if n_seeds > 1 else ''}"
        tables[title] = make_table(records)
    return tables


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.5, help="share of granular.py's epochs")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    path = args.out / "image_recipes.jsonl"
    keys = [
        (name, args.budget, seed, row)
        for seed in range(args.seeds)
        for name in args.sets
        for row in ROWS
    ]
    run_missing(partial(run, data=args.data), keys, args.jobs, path)
    print(write_page(path))


if __name__ == "__main__":
    main()
