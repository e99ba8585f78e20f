"""CIFAR-100-LT from scratch with ResNet-32 and a long schedule, where published results are.

The parts ``cifar`` and ``siblings`` of ``gpu_session.py``, which runs them and says how.

- ``cifar``: all 100 classes with 500 to 5 training images (imbalance 100; 10,847 images, drawn
  without replacement) and the whole test set. Rows: balanced cross-entropy as the control; the
  recipe, two views with a consistency loss, balanced softmax, MaxNorm and averaged weights; GLMC,
  two views with class weights that grow, on the same images; the recipe without or with one part;
  and the control with as many passes through the network as the recipe. Published top-1 accuracies
  of this network on this problem: cross-entropy 41.4 and SADE 49.8 (Zhang et al., NeurIPS 2022),
  GLMC 55.9 (Du et al., CVPR 2023), which takes the best epoch by test images; here it is the last.
- ``siblings``: the first problem of ``granular.py``, 36 classes with 24 siblings as auxiliary
  classes. Every row sees each target image as often; beside the auxiliary rows stands balanced
  cross-entropy with as many updates. The last column compares few-shot accuracy after that row has
  had its log class shares subtracted once more, times the factor (up to 3) that is best for it
  among those that leave its overall accuracy no lower than the auxiliary row's.

Held fixed: images, ResNet-32, SGD with Nesterov momentum 0.9, 200 epochs with a warm-up and a
cosine, batches of 128, random shifts and flips, AutoAugment for CIFAR, a square of 16 pixels
erased. One view has learning rate 0.1, weight decay 5e-4 and 5 epochs of warm-up, two views 0.04,
2.5e-3 and 10: GLMC's published 0.01 and 5e-3 at batches of 64, whose loss is a sum over the views
where it is a mean here. Seeds vary initialization, batches and augmentation. Nothing is chosen by
test rows.
"""

import hashlib
import io
import itertools
import json
import shutil
import time
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from _comparators import PLAIN
from _data import load_cifar100
from _markdown import difference_text, markdown_table, mean_and_std
from granular import (
    BASELINE,
    EXTRA_TAU,
    IMBALANCE,
    LARGEST_CLASS,
    Problem,
    Row,
    compare_with_baseline,
    draw_problem,
    epochs_for,
    fit_row,
    measure,
)
from image_recipes import GROWING
from PIL import Image
from torch import nn
from torch.nn import functional as F

from ltlearn import GranularClassifier
from ltlearn.calibration import adjust_proba
from ltlearn.exceptions import CheckpointError, EmptyBandWarning
from ltlearn.images import RECIPES, InputSpec, Recipe
from ltlearn.options import Architecture, Training

EPOCHS, SEEDS, BATCH_SIZE = 200, 3, 128
COLUMNS = ["overall", "many", "medium", "few", "worst", "ece"]
CHECKPOINT_SECONDS = 20


# Networks


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
    """The residual network for CIFAR of He et al. (CVPR 2016)."""

    input_spec = InputSpec(3, (32, 32), mean=(0.5,) * 3, std=(0.25,) * 3, crop_pct=1.0)
    width = 16

    def __init__(self):
        super().__init__()
        widths = [factor * self.width for factor in [1] * 6 + [2] * 5 + [4] * 5]
        blocks = [ResidualBlock(*pair) for pair in itertools.pairwise(widths)]
        convolution = nn.Conv2d(3, self.width, 3, padding=1, bias=False)
        stem = nn.Sequential(convolution, nn.BatchNorm2d(self.width), nn.ReLU())
        self.layers = nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images):
        return self.layers(images)


class TinyResNet32(ResNet32):
    """As deep, with two channels: to see that all runs."""

    width = 2


# Images


def drawn_sizes(largest=LARGEST_CLASS):
    """Training images of the 100 classes in the order of their labels, rounded down as usual."""
    return [max(1, int(largest * IMBALANCE ** (-c / 99))) for c in range(100)]


class Packed(NamedTuple):
    """A problem as it is kept in a file."""

    problem: Problem
    # First digits of the SHA-256 of the row numbers, sorted, as 8 bytes each, most significant
    # first; of "siblings", of the labels and images themselves.
    hash: str


def prepare(name, data, path, largest=LARGEST_CLASS):
    """Draw the images of a part from all of CIFAR-100 and keep them in a file.

    Parameters
    ----------
    name : {"cifar", "siblings"}
    data : pathlib.Path
        The folder that ``_data.py`` describes.
    path : pathlib.Path
    largest : int
        Training images of the largest class, for ``"cifar"``.
    """
    if name == "siblings":
        problem = draw_problem("images", "cifar", data, 0)
        drawn = [
            label.encode() + X.tobytes() for X, label in zip(problem.X, problem.y, strict=True)
        ]
    else:
        problem, drawn = _all_classes(data, largest)
    digest = hashlib.sha256(b"".join(sorted(drawn))).hexdigest()[:12]
    arrays = {"neighbors": json.dumps(problem.neighbors), "hash": digest}
    parts = {"train": (problem.X, problem.y), "test": (problem.X_test, problem.y_test)}
    parts |= {"auxiliary": problem.auxiliary["neighbors"]} if name == "siblings" else {}
    for part, (X, y) in parts.items():
        arrays[f"X_{part}"], arrays[f"y_{part}"] = pack_images(X), y
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def read_prepared(path):
    """A :class:`Packed` problem from its file."""
    with np.load(path) as file:
        parts = {
            name[2:]: (unpack_images(file[name], len(file[f"y_{name[2:]}"])), file[f"y_{name[2:]}"])
            for name in file.files
            if name.startswith("X_")
        }
        neighbors, digest = json.loads(str(file["neighbors"])), str(file["hash"])
    auxiliary = {"neighbors": parts["auxiliary"]} if "auxiliary" in parts else {}
    problem = Problem(*parts["train"], *parts["test"], auxiliary, neighbors)
    return Packed(problem, digest)


def _all_classes(data, largest):
    """The problem and the row numbers drawn for it, as bytes."""
    images, _ = load_cifar100(data)
    rng = np.random.default_rng(0)
    rows = [
        rng.choice(np.flatnonzero(images.y_train == name), size, replace=False)
        for name, size in zip(np.unique(images.y_train), drawn_sizes(largest), strict=True)
    ]
    rows = np.concatenate(rows)
    X_train, X_test = (np.moveaxis(X, 3, 1) for X in (images.X_train, images.X_test))
    problem = Problem(X_train[rows], images.y_train[rows], X_test, images.y_test, {}, {})
    return problem, [int(row).to_bytes(8, "big") for row in rows]


def pack_images(X):
    """Images (n, 3, 32, 32) uint8 side by side in one lossless picture, as bytes (m,) uint8."""
    columns = 100
    n_rows = -(-len(X) // columns)
    padded = np.zeros((n_rows * columns, *X.shape[1:]), np.uint8)
    padded[: len(X)] = X
    grid = padded.reshape(n_rows, columns, *X.shape[1:]).transpose(0, 3, 1, 4, 2)
    picture = Image.fromarray(grid.reshape(n_rows * 32, columns * 32, 3))
    file = io.BytesIO()
    picture.save(file, "WEBP", lossless=True, method=2)
    return np.frombuffer(file.getvalue(), np.uint8)


def unpack_images(content, n):
    """The first n images (n, 3, 32, 32) of :func:`pack_images`."""
    picture = np.asarray(Image.open(io.BytesIO(content.tobytes()), formats=["WEBP"]))
    n_rows, columns = (side // 32 for side in picture.shape[:2])
    grid = picture.reshape(n_rows, 32, columns, 32, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(grid.reshape(-1, 3, 32, 32)[:n])


# Rows


PLAIN_IMAGES = Recipe(auto_augment="cifar10", cutout=0.5)
ONE_VIEW = {"augmentation": PLAIN_IMAGES}
TWO_VIEWS = {
    "augmentation": RECIPES["glmc"],
    "lr": 0.04,
    "training__weight_decay": 2.5e-3,
    "training__lr_warmup_epochs": 10,
}
RECIPE = {**TWO_VIEWS, "training__head_max_norm": 1.0, "training__weight_averaging": "ema"}
LONGER, PASSES = f"{BASELINE}, as many updates", f"{BASELINE}, as many passes"
NEIGHBORS = "+ neighbors, silencing 0.1"


class Plan(NamedTuple):
    """Parameters of a row, and its epochs as a multiple of the others'."""

    params: dict
    epochs: float = 1


def _without(*names):
    return Plan({name: value for name, value in RECIPE.items() if name not in names})


# In order of worth; the first three are fitted with all seeds before the others are.
CIFAR_ROWS = {
    "recipe": Plan(RECIPE),
    BASELINE: Plan(ONE_VIEW),
    "GLMC": Plan({**TWO_VIEWS, **GROWING}),
    "recipe, SAM 0.05": Plan({**RECIPE, "training__sam_radius": 0.05}),
    "recipe, no MaxNorm": _without("training__head_max_norm"),
    "recipe, no averaging": _without("training__weight_averaging"),
    "recipe, cosine head": Plan(
        {**_without("training__head_max_norm").params, "architecture": Architecture(head="cosine")}
    ),
    "recipe, growing weights": Plan({**RECIPE, **GROWING}),
    "recipe, tau fitted": Plan({**RECIPE, "logit_adjustment": "auto"}),
    "recipe, a tenth of the decay": Plan({**RECIPE, "training__weight_decay": 2.5e-4}),
    "recipe, no AutoAugment, no cutout": Plan(
        {**RECIPE, "augmentation": Recipe(consistency_weight=4.0)}
    ),
    "recipe, one view, mixup and cutmix": Plan(
        {
            **RECIPE,
            "augmentation": Recipe(
                auto_augment="cifar10", cutout=0.5, mixup_alpha=1.0, cutmix_alpha=1.0
            ),
        },
        epochs=2,
    ),
    "RegMixup": Plan(
        {
            "augmentation": Recipe(
                auto_augment="cifar10", cutout=0.5, mixup_alpha=10.0, clean_weight=1.0
            )
        }
    ),
    f"{BASELINE} + synthesized, silencing 0.1": Plan({**ONE_VIEW, "auxiliary": "synthesize"}),
    PASSES: Plan(ONE_VIEW, epochs=2),
    "recipe, three networks": Plan({**RECIPE, "n_estimators": 3}),
    "CE": Plan({**ONE_VIEW, **PLAIN}),
}
SIBLING_ROWS = {
    NEIGHBORS: Row(data="neighbors"),
    LONGER: Row(),
    BASELINE: Row(),
    "+ neighbors (silencing 1)": Row(data="neighbors", params={"silencing": 1.0}),
    "CE": Row(params=PLAIN),
}


def list_keys(name, settings):
    """Arguments of all runs, in order of worth."""
    rows = list(CIFAR_ROWS if name == "cifar" else SIBLING_ROWS)
    if settings.smoke:
        return [(row, 0) for row in rows[:2]]
    return [(row, seed) for part in (rows[:3], rows[3:]) for seed in range(SEEDS) for row in part]


def prepared(name, settings):
    return settings.data / f"{name}.npz"


def make_model(params, epochs, settings):
    return GranularClassifier(
        backbone=TinyResNet32 if settings.smoke else ResNet32,
        training=Training(
            optimizer="sgd",
            weight_decay=5e-4,
            lr_schedule="cosine",
            lr_warmup_epochs=5,
            checkpoint_seconds=CHECKPOINT_SECONDS,
        ),
        lr=0.1,
        batch_size=BATCH_SIZE,
        max_epochs=epochs,
        early_stopping=False,
        device=settings.device,
        **ONE_VIEW,
    ).set_params(**params)


def run(name, key, settings):
    """Fit one row and measure it."""
    row_name, seed = key
    problem, digest = read_prepared(prepared(name, settings))
    epochs = 1 if settings.smoke else EPOCHS
    if name == "cifar":
        plan = CIFAR_ROWS[row_name]
        row, epochs = Row(params=plan.params), round(epochs * plan.epochs)
    else:
        row = SIBLING_ROWS[row_name]
        neighbors = {"auxiliary__neighbors": problem.neighbors} if row.data else {}
        row = row._replace(params={**row.params, **neighbors})
        epochs = epochs_for(epochs, row, problem, "longer" if row_name == LONGER else "epochs")
    model = make_model(row.params, epochs, settings).set_params(random_state=seed)
    if settings.smoke:
        model.set_params(training__lr_warmup_epochs=0)
    start = time.perf_counter()
    model = fit_or_go_on(model, row, problem, settings.unfinished / f"{row_name}, seed {seed}")
    record = {"seed": seed, "row": row_name, "epochs": epochs, "drawn": digest}
    record |= {"n_train": len(problem.y), "n_test": len(problem.y_test)}
    record["seconds"] = time.perf_counter() - start
    record["updates"] = sum(epoch["train_batch_count"] for epoch in model.history_)
    proba = model.predict_proba(problem.X_test)
    record |= _measured(proba, model, problem, 0)
    if row_name == LONGER:
        record["trade"] = [
            [after["few"], after["overall"]]
            for after in (_measured(proba, model, problem, tau) for tau in EXTRA_TAU)
        ]
    return record


def fit_or_go_on(model, row, problem, folder):
    """The fitted model; a fit that was killed goes on from its folder, which is gone in the end."""
    model.set_params(checkpoint=folder)
    try:
        fit_row(model, row, problem)
    except CheckpointError:  # of another version, or damaged
        shutil.rmtree(folder)
        fit_row(model, row, problem)
    shutil.rmtree(folder)
    return model


def _measured(proba, model, problem, tau):
    share = np.unique(problem.y, return_counts=True)[1] / len(problem.y)
    adjusted = adjust_proba(proba, share, tau=tau) if tau else proba
    y_pred = model.classes_[adjusted.argmax(axis=1)]
    recall = pd.Series(y_pred == problem.y_test).groupby(problem.y_test).mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmptyBandWarning)  # at toy size
        values = measure(problem.y_test, adjusted, model.classes_, problem)
    return values | {"worst": float(recall.min())}


# Tables


def few_at_overall(trade, overall):
    """The best few-shot accuracy among trades that keep an overall accuracy.

    Where none does, it is that of the one with the best overall accuracy.
    """
    kept = [few for few, after in trade if after >= overall]
    return max(kept) if kept else max(trade, key=lambda pair: pair[1])[0]


def result_tables(name, records):
    """The table of a part, by title."""
    frame = pd.DataFrame(records)
    has_baseline = BASELINE in set(frame["row"])
    differences = compare_with_baseline(frame) if has_baseline else None
    trades = {r["seed"]: r["trade"] for r in records if "trade" in r}
    lines = []
    for row in [each for each in (CIFAR_ROWS | SIBLING_ROWS) if each in set(frame["row"])]:
        rows = frame[frame["row"] == row]
        cells = [row, str(len(rows)), f"{rows['updates'].mean():.0f}"]
        cells.append(f"{rows['seconds'].mean():.0f}")
        cells += [mean_and_std(100 * rows[column]) for column in COLUMNS]
        for band in ("overall", "few"):
            known = has_baseline and (row, band) in differences.index
            cells.append(difference_text(differences.loc[(row, band)]) if known else "")
        if name == "siblings":
            gains = [
                100 * (few - few_at_overall(trades[seed], overall))
                for seed, few, overall in zip(
                    rows["seed"], rows["few"], rows["overall"], strict=True
                )
                if row.startswith("+") and seed in trades
            ]
            cells.append(f"{np.mean(gains):+.1f}" if gains else "")
        lines.append(cells)
    header = ["", "seeds", "updates", "s", *COLUMNS, "Δ overall", "Δ few"]
    header += ["Δ few to as many updates, at equal overall"] if name == "siblings" else []
    problems = {"cifar": "CIFAR-100-LT, 100 classes", "siblings": "CIFAR-100-LT, 36 classes"}
    drawn = " and ".join(sorted(set(frame["drawn"])))
    n_images, n_epochs = frame["n_train"].max(), frame["epochs"].min()
    title = f"{problems[name]}: {n_images} images (drawn {drawn}), {n_epochs} epochs"
    return {title: markdown_table(header, lines)}
