"""How fast is fit on a GPU, beside a training loop written by hand?

Command::

    python benchmarks/gpu.py [--models resnet50 ...] [--repeats 3] [--json FILE]

(a) End to end on images that are on the device as 8-bit pixels, computing in bfloat16: ResNet-50
and ViT-B/14 at 224 x 224, Swin-V2-B at 256 x 256, random weights, squared error. (b) The MLP of
tables (128-64) on 50,000 x 32 numbers, in float32. Held fixed: data, network, preparation of the
images, fused AdamW, learning rate, batches; no validation. The raw loop is also run in the memory
format ``channels_last``, which suits convolutions. The enhanced row has mixup of strength 0.25 and
alignment.

The contenders take turns within one process. The table gives images (rows) a second over the epochs
after the first, as medians over repeats; ratios to the raw loop, paired within a repeat; seconds of
the whole fit, start included; and the peak of allocated memory. Wanted: at least 0.95 of the raw
loop for the plain estimator, and at most 3 % lost by the enhancers.

``--device cpu --smoke`` goes through all of it on a CPU with tiny networks; its numbers mean
nothing.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ltlearn import ELTARegressor
from ltlearn.images import Normalize, eval_transform
from ltlearn.networks import MLP, timm_backbone
from ltlearn.options import Training
from ltlearn.utils._precision import autocast, resolve_precision

LR, WEIGHT_DECAY = 1e-3, 1e-4
ENHANCERS = {"mixup_strength": 0.25, "alignment_weight": 1.0}
N_COLUMNS, HIDDEN = 32, (128, 64)


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
    "resnet50": Case("resnet50", n=4096, batch_size=128, side=224),
    "swinv2_base": Case("swinv2_base_window8_256", n=2048, batch_size=64, side=256),
    "vit_base_14": Case("vit_base_patch14_dinov2", n=2048, batch_size=64, side=224),
    "mlp_256": Case("mlp", n=50_000, batch_size=256),
    "mlp_2048": Case("mlp", n=50_000, batch_size=2048),
}
SMOKE_CASES = {
    "test_resnet": Case("test_resnet", n=32, batch_size=8, side=32),
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
    return "\n".join([*lines, f"\nMixup and alignment cost {100 * cost:.1f} % of the speed.\n"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="tiny networks, one repeat")
    parser.add_argument("--json", help="write the measurements to this file")
    args = parser.parse_args()
    if args.epochs < 2:
        parser.error("--epochs must be at least 2: the first epoch is not counted.")
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("This measures a GPU, and torch sees no CUDA device here.")
    cases = SMOKE_CASES if args.smoke else {title: CASES[title] for title in args.models}
    repeats = 1 if args.smoke else args.repeats
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}\n")
    report = {"device": name, "torch": torch.__version__, "cases": {}}
    for title, case in cases.items():
        rows = run_case(case, repeats, args.epochs, device)
        report["cases"][title] = {"n": case.n, "batch_size": case.batch_size, "rows": rows}
        print(f"### {title}: batches of {case.batch_size}, {case.precision}\n")
        print(format_case(rows), flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
