"""CIFAR-100-LT from scratch with ResNet-32 and a long schedule, where published results are.

Command::

    python benchmarks/cifar100_lt.py [--problems full siblings] [--seeds 3] [--epochs 200]
                                     [--device cuda] [--data FOLDER] [--out FOLDER]

It is meant for a GPU: on one CPU core, an epoch takes a minute or two.

- ``full``: all 100 classes with 500 to 5 training images (imbalance 100; 10,847 images in the order
  of the labels, as usual) and the whole test set. There is no auxiliary class left, so the rows are
  cross-entropy, balanced cross-entropy, and auxiliary classes synthesized from the training data.
  Published top-1 accuracies of this network on this problem: cross-entropy 41.4 and SADE 49.8
  (Zhang et al., NeurIPS 2022), GLMC 55.9 (Du et al., CVPR 2023).
- ``siblings``: the problem of ``granular.py``, 36 classes with 24 siblings as auxiliary classes, in
  the rows of its part ``images``. Every row sees each target image as often; beside the auxiliary
  rows stands balanced cross-entropy with as many updates.

Held fixed: ResNet-32, SGD with Nesterov momentum 0.9, learning rate 0.1 and weight decay 5e-4,
5 epochs of warm-up, then a cosine, batches of 128, random shifts and flips, AutoAugment for CIFAR,
and a square of 16 pixels erased. Seeds vary initialization, batches and augmentation, and in
``siblings`` the problem too.

Finished fits are kept in ``OUT/cifar100_lt.jsonl`` and not repeated. Tables go to
``OUT/cifar100_lt.md``: mean and standard deviation over seeds, and differences to balanced
cross-entropy, paired over seeds.
"""

import argparse
import itertools
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _comparators import PLAIN
from _data import CACHE, DEFAULT_DATA, load_cifar100
from _markdown import difference_text, markdown_table, mean_and_std
from _runs import read_runs, run_missing
from granular import (
    BASELINE,
    IMBALANCE,
    LARGEST_CLASS,
    Problem,
    Row,
    compare_with_baseline,
    draw_problem,
    epochs_for,
    fit_row,
    make_rows,
    measure,
)
from render import write_page
from torch import nn
from torch.nn import functional as F

from ltlearn.options import Training

BATCH_SIZE, ERASED_SIDE, SHIFT = 128, 16, 4
# Rounded down, as in the literature.
FULL_SIZES = [int(LARGEST_CLASS * IMBALANCE ** (-c / 99)) for c in range(100)]
COLUMNS = ["overall", "many", "medium", "few", "ece"]
LONGER = f"{BASELINE}, as many updates"


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut without weights."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.stride = n_out // n_in
        self.conv1 = nn.Conv2d(n_in, n_out, 3, self.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)

    def forward(self, x):
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        extra = residual.shape[1] - x.shape[1]
        shortcut = x[:, :, :: self.stride, :: self.stride]
        return F.relu(residual + F.pad(shortcut, (0, 0, 0, 0, extra // 2, extra - extra // 2)))


class ResNet32(nn.Module):
    """The residual network for CIFAR of He et al. (CVPR 2016); augments images in training."""

    def __init__(self):
        super().__init__()
        widths = [16] * 6 + [32] * 5 + [64] * 5
        blocks = [ResidualBlock(*pair) for pair in itertools.pairwise(widths)]
        stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.layers = nn.Sequential(stem, nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images):
        if self.training:
            images = augment(images)
        return self.layers((images / 255 - 0.5) / 0.25)


def augment(images):
    """Flip, shift and recolor at random, and erase a square, every image by itself.

    Images (B, C, H, W) have values from 0 to 255; AutoAugment is drawn for parts of a batch.
    """
    from torchvision.transforms import v2

    n, _, height, width = images.shape
    device = images.device
    flipped = torch.rand(n, 1, 1, 1, device=device) < 0.5
    images = torch.where(flipped, images.flip(3), images)

    padded = F.pad(images, (SHIFT,) * 4)
    top, left = torch.randint(0, 2 * SHIFT + 1, (2, n, 1), device=device)
    rows = top + torch.arange(height, device=device)
    columns = left + torch.arange(width, device=device)
    batch = torch.arange(n, device=device).view(-1, 1, 1)
    images = padded[batch, :, rows.unsqueeze(2), columns.unsqueeze(1)].movedim(3, 1)

    policy = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
    parts = [policy(part) for part in images.to(torch.uint8).chunk(max(1, n // 4))]
    images = torch.cat(parts).float()

    def is_erased(side):
        center = torch.randint(0, side, (n, 1), device=device)
        distance = torch.arange(side, device=device) - center
        return (distance >= -ERASED_SIDE // 2) & (distance < ERASED_SIDE // 2)

    erased = is_erased(height).unsqueeze(2) & is_erased(width).unsqueeze(1)
    return images.masked_fill(erased.unsqueeze(1), 127.5)


def full_problem(data):
    """All 100 classes, in the order of their labels, which is that of their names."""
    images, _ = load_cifar100(data)
    rows = [
        np.flatnonzero(images.y_train == name)[:size]
        for name, size in zip(np.unique(images.y_train), FULL_SIZES, strict=True)
    ]
    rows = np.concatenate(rows)
    X_train, X_test = (np.moveaxis(X, 3, 1) for X in (images.X_train, images.X_test))
    return Problem(X_train[rows], images.y_train[rows], X_test, images.y_test, {}, {})


def problem_and_rows(name, data, seed):
    if name == "siblings":
        problem = draw_problem("images", "cifar", data, seed)
        return problem, {**make_rows("images", problem), LONGER: Row()}
    rows = {
        "CE": Row(params=PLAIN),
        BASELINE: Row(),
        "+ synthesized, silencing 0.1": Row(params={"auxiliary": "synthesize"}),
    }
    return full_problem(data), rows


def run(name, epochs, seed, row_name, *, data, device):
    """Fit one row and measure it."""
    problem, rows = problem_and_rows(name, data, seed)
    row = rows[row_name]
    if row_name == LONGER:
        epochs = epochs_for(epochs, row, problem, "longer")
    model = row.cls(
        backbone=ResNet32,
        training=Training(
            optimizer="sgd",
            weight_decay=5e-4,
            lr_schedule="cosine",
            lr_warmup_epochs=min(5, epochs - 1),
        ),
        lr=0.1,
        batch_size=BATCH_SIZE,
        max_epochs=epochs,
        early_stopping=False,
        device=device,
        random_state=seed,
        verbose=1,
    ).set_params(**row.params)
    start = time.perf_counter()
    fit_row(model, row, problem)
    record = {"problem": name, "seed": seed, "row": row_name, "epochs": epochs}
    record |= {"n_train": len(problem.y), "n_test": len(problem.y_test)}
    record["seconds"] = time.perf_counter() - start
    record["updates"] = sum(epoch["train_batch_count"] for epoch in model.history_)
    proba = model.predict_proba(problem.X_test)
    return record | measure(problem.y_test, proba, model.classes_, problem)


def make_table(records):
    """Markdown table of one problem."""
    frame = pd.DataFrame(records)
    differences = compare_with_baseline(frame)
    lines = []
    for name in dict.fromkeys(frame["row"]):
        rows = frame[frame["row"] == name]
        cells = [name, f"{rows['updates'].mean():.0f}"]
        cells += [mean_and_std(100 * rows[column]) for column in COLUMNS]
        if name == BASELINE:
            cells += ["", ""]
        else:
            cells += [difference_text(differences.loc[(name, band)]) for band in ("overall", "few")]
        lines.append(cells)
    return markdown_table(["", "updates", *COLUMNS, "Δ overall", "Δ few"], lines)


def result_tables(path):
    """The tables of a file of measurements, by title."""
    problems = {}
    for (name, epochs, *_), record in read_runs(path).items():
        problems.setdefault((name, epochs), []).append(record)
    tables = {}
    for (name, epochs), records in problems.items():
        n_seeds = len({record["seed"] for record in records})
        tables[f"CIFAR-100-LT, {name}, {epochs} epochs, {n_seeds} seeds"] = make_table(records)
    return tables


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--problems", nargs="+", choices=["full", "siblings"], default=["full", "siblings"]
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("There is no CUDA device; --device cpu runs this on the CPU, for days.")
    path = args.out / "cifar100_lt.jsonl"
    for name in args.problems:
        _, rows = problem_and_rows(name, args.data, 0)
        keys = [(name, args.epochs, seed, row) for seed in range(args.seeds) for row in rows]
        run_missing(partial(run, data=args.data, device=args.device), keys, 1, path)
        print(write_page(path), flush=True)


if __name__ == "__main__":
    main()
