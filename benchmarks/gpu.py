"""How fast is fit on a GPU, beside a training loop written by hand, and do the tests pass there?

The part ``check`` of ``gpu_session.py``, which runs it and says how.

(a) The tests marked ``cuda``, among them that no training step waits for the device. (b) End to end
on images that are on the device as 8-bit pixels, computing in bfloat16: ResNet-50 and ViT-B/14 at
224 x 224, Swin-V2-B at 256 x 256, random weights, squared error. (c) The MLP of tables (128-64) on
50,000 x 32 numbers, in float32. Held fixed: data, network, preparation of the images, fused AdamW,
learning rate, batches; no validation. The raw loop is also run in the memory format
``channels_last``, which suits convolutions. The enhanced row has mixup of strength 0.25 and
alignment. (d) A search of 64 candidates x 3 folds with the MLP on 1,000 rows, 10 epochs each, by
``BatchedGridSearchCV`` and by ``GridSearchCV``.

The contenders of a case take turns within one process. Its table gives images (rows) a second over
the epochs after the first, as medians over repeats; ratios to the raw loop, paired within a repeat;
seconds of the whole fit, start included; and the peak of allocated memory. Wanted: at least 0.95 of
the raw loop for the plain estimator, at most 3 % lost by the enhancers, and a search at least 15
times as fast.
"""

import gc
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV
from torch import nn

from ltlearn import ELTARegressor
from ltlearn.images import Normalize, eval_transform
from ltlearn.model_selection import BatchedGridSearchCV
from ltlearn.networks import MLP, timm_backbone
from ltlearn.options import Training
from ltlearn.utils._precision import autocast, resolve_precision

LR, WEIGHT_DECAY = 1e-3, 1e-4
ENHANCERS = {"mixup_strength": 0.25, "alignment_weight": 1.0}
N_COLUMNS, HIDDEN = 32, (128, 64)
REPEATS, EPOCHS = 2, 3
PROJECT = Path(__file__).parents[1]


class Case(NamedTuple):
    """What is trained: a timm model on ``n`` images of ``side`` pixels, or the MLP on rows."""

    backbone: str
    n: int
    batch_size: int
    side: int | None = None

    @property
    def precision(self):
        return "float32" if self.side is None else "bfloat16"


CASES = {
    "resnet50": Case("resnet50", n=2048, batch_size=128, side=224),
    "swinv2_base": Case("swinv2_base_window8_256", n=1024, batch_size=64, side=256),
    "vit_base_14": Case("vit_base_patch14_dinov2", n=1024, batch_size=64, side=224),
    "mlp_256": Case("mlp", n=50_000, batch_size=256),
    "mlp_2048": Case("mlp", n=50_000, batch_size=2048),
}
SMOKE_CASES = {
    "test_resnet": Case("test_resnet", n=16, batch_size=8, side=32),
    "mlp": Case("mlp", n=64, batch_size=16),
}


class Measured(NamedTuple):
    """Seconds of each epoch and of the whole fit; GiB of allocated memory at its peak, on a GPU."""

    epochs: list
    fit: float
    memory: float | None


def make_data(case):
    """Images (n, 3, side, side) uint8 or rows (n, 32) float32, and scores (n,)."""
    rng = np.random.default_rng(0)
    if case.side is None:
        X = rng.normal(size=(case.n, N_COLUMNS)).astype(np.float32)
    else:
        X = rng.integers(256, size=(case.n, 3, case.side, case.side), dtype=np.uint8)
    return X, np.exp(rng.normal(size=case.n)).astype(np.float32)


def fit_raw(case, X, y, epochs, device, memory_format=torch.contiguous_format):
    """The loop a practitioner writes: data on the device, whole batches; seconds of each epoch."""
    torch.manual_seed(0)
    if case.side is None:
        backbone, n_features = MLP(N_COLUMNS, HIDDEN), HIDDEN[-1]
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        transform = normalize = nn.Identity()
    else:
        backbone = timm_backbone(case.backbone, pretrained=False, img_size=case.side)
        n_features, spec = backbone.model.num_features, backbone.input_spec
        transform, normalize = eval_transform(spec), Normalize(spec.mean, spec.std).to(device)
    network = nn.Sequential(backbone, nn.Linear(n_features, 1))
    network.to(device, memory_format=memory_format).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True
    )
    X, y = torch.from_numpy(X).to(device), torch.from_numpy((y - y.mean()) / y.std()).to(device)
    precision = resolve_precision(case.precision, device)
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        losses = []
        for rows in torch.randperm(len(X)).to(device).split(case.batch_size):
            optimizer.zero_grad()
            with autocast(precision, device):
                inputs = normalize(transform(X[rows])).contiguous(memory_format=memory_format)
                loss = nn.functional.mse_loss(network(inputs).squeeze(1).float(), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        torch.stack(losses).mean().item()
        seconds.append(time.perf_counter() - start)
    return seconds


def fit_raw_channels_last(case, X, y, epochs, device):
    return fit_raw(case, X, y, epochs, device, torch.channels_last)


def fit_ltlearn(case, X, y, epochs, device, mixup_strength=0.0, alignment_weight=0.0):
    """Seconds of each epoch of the estimator."""
    params = {"pretrained": False, "img_size": case.side}
    model = ELTARegressor(
        backbone=case.backbone,
        backbone_params=None if case.side is None else params,
        hidden_layer_sizes=HIDDEN,
        lr=LR,
        training=Training(weight_decay=WEIGHT_DECAY, precision=case.precision),
        batch_size=case.batch_size,
        max_epochs=epochs,
        early_stopping=False,
        device=device,
        mixup_strength=mixup_strength,
        alignment_weight=alignment_weight,
        random_state=0,
    )
    model.fit(X, y)
    return [row["dur"] for row in model.history_]


def fit_enhanced(case, X, y, epochs, device):
    return fit_ltlearn(case, X, y, epochs, device, **ENHANCERS)


CONTENDERS = {
    "raw torch loop": fit_raw,
    "raw torch loop, channels_last": fit_raw_channels_last,
    "ELTARegressor": fit_ltlearn,
    "ELTARegressor, mixup and alignment": fit_enhanced,
}


def contenders_for(case):
    return [name for name in CONTENDERS if case.side is not None or "channels_last" not in name]


def measure(fit, case, data, epochs, device):
    on_gpu = device.type == "cuda"
    if on_gpu:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    seconds = fit(case, *data, epochs, device)
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if on_gpu else None
    return Measured(seconds, time.perf_counter() - start, memory)


def run_case(case, repeats, epochs, device):
    """One dict a contender: speed, ratio to the raw loop, what the enhancers cost."""
    data = make_data(case)
    names = contenders_for(case)
    measured = {name: [] for name in names}
    for repeat in range(repeats + 1):  # the first round warms up
        for name in names:
            result = measure(CONTENDERS[name], case, data, epochs, device)
            if repeat:
                measured[name].append(result)
    speed = {
        name: np.array([case.n / statistics.median(result.epochs[1:]) for result in results])
        for name, results in measured.items()
    }
    return [
        {
            "contender": name,
            "rows_per_second": float(np.median(speed[name])),
            "ratio_to_raw": float(np.median(speed[name] / speed["raw torch loop"])),
            "ratio_to_plain": float(np.median(speed[name] / speed["ELTARegressor"])),
            "fit_seconds": statistics.median(result.fit for result in measured[name]),
            "peak_gib": measured[name][-1].memory,
        }
        for name in names
    ]


def format_case(rows):
    lines = [
        "| contender | a second | times the raw loop | seconds of fit | peak memory, GiB |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        memory = "–" if row["peak_gib"] is None else f"{row['peak_gib']:.2f}"
        lines.append(
            f"| {row['contender']} | {row['rows_per_second']:,.0f} | {row['ratio_to_raw']:.3f} "
            f"| {row['fit_seconds']:.1f} | {memory} |"
        )
    cost = 1 - rows[-1]["ratio_to_plain"]
    return "\n".join([*lines, f"\nMixup and alignment cost {100 * cost:.1f} % of the speed."])


# The tests, the search


def run_tests(smoke):
    """How many tests of a GPU passed and failed, and which failed."""
    files = sorted((PROJECT / "tests").rglob("test_*.py"))
    files = [str(file) for file in files if "mark.cuda" in file.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(files[:1] if smoke else files)], cwd=PROJECT, capture_output=True, text=True
    )
    lines = done.stdout.strip().splitlines()
    counts = {
        kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1])
    }
    return {"counts": counts, "failed": [line for line in lines if line.startswith("FAILED")]}


def run_search(device, smoke):
    """Seconds of both searches."""
    n_values = 2 if smoke else 8
    grid = {
        "lr": np.geomspace(5e-4, 5e-3, n_values).tolist(),
        "mixup_strength": np.linspace(0, 0.35, n_values).tolist(),
    }
    X, y = make_data(Case("mlp", n=200 if smoke else 1000, batch_size=256))
    model = ELTARegressor(
        backbone="mlp",
        hidden_layer_sizes=HIDDEN,
        loss="mse",
        max_epochs=2 if smoke else 10,
        early_stopping=False,
        device=device,
        random_state=0,
    )
    model.fit(X, y)  # starts the device
    seconds = {}
    for search in (BatchedGridSearchCV, GridSearchCV):
        start = time.perf_counter()
        search(model, grid, cv=3, refit=False).fit(X, y)
        seconds[search.__name__] = time.perf_counter() - start
    return {"candidates": n_values**2, "seconds": seconds}


# What a session runs


def list_keys(settings):
    """Arguments of all runs, in order of worth."""
    if settings.smoke:
        return [("tests",), ("search",), *((name,) for name in SMOKE_CASES)]
    first = ["tests", "resnet50", "mlp_256", "search"]
    return [(name,) for name in [*first, *(name for name in CASES if name not in first)]]


def run(key, settings):
    (name,) = key
    device = torch.device(settings.device)
    if name == "tests":
        return run_tests(settings.smoke)
    if name == "search":
        return run_search(device, settings.smoke)
    case = (SMOKE_CASES if settings.smoke else CASES)[name]
    repeats, epochs = (1, 2) if settings.smoke else (REPEATS, EPOCHS)
    rows = run_case(case, repeats, epochs, device)
    return {"case": name, "batch_size": case.batch_size, "precision": case.precision, "rows": rows}


def result_tables(records):
    """The tables, by title."""
    tables = {}
    for record in records:
        if "counts" in record:
            counts = ", ".join(f"{n} {kind}" for kind, n in record["counts"].items())
            tables["Tests of a GPU"] = "\n".join([f"{counts}.", *record["failed"]])
        elif "seconds" in record:
            stacked, sequential = record["seconds"].values()
            title = f"Search, {record['candidates']} candidates x 3 folds"
            tables[title] = (
                f"BatchedGridSearchCV {stacked:.1f} s, GridSearchCV {sequential:.1f} s: "
                f"{sequential / stacked:.1f} times as fast."
            )
        else:
            title = f"{record['case']}: batches of {record['batch_size']}, {record['precision']}"
            tables[title] = format_case(record["rows"])
    return tables
