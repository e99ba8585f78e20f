"""Prepared runs on one GPU: is ltlearn fast there, and what do recipes reach from scratch?

Command::

    benchmarks/gpu_session.sh PART [--data FOLDER] [--out FOLDER] [--jobs N] [--seconds 330]
    benchmarks/gpu_session.sh PART --prepare [--data FOLDER] [--out FOLDER]

PART is ``check`` (tests and speed, ``gpu.py``), ``cifar`` or ``siblings`` (CIFAR-100-LT from
scratch, ``cifar100_lt.py``) or ``photos`` (quality scores, ``gpu_photos.py``). The shell script
keeps off the network. Each part is a list of runs, in order of worth, each a process of its own and
several at once, so that the GPU is busy. After ``--seconds``, what still runs is stopped; the same
command goes on from there, also on another machine that has the files of OUT, in the middle of a
fit. So a part takes any number of sessions of less than six minutes.

``--prepare`` needs no GPU. It draws the images of a part from the data that ``_data.py`` and
``_images.py`` describe, in DATA, and writes one file of at most 40 MB to OUT; the other command
then takes that folder as DATA. ``check`` has nothing to prepare.

OUT gets ``gpu_PART.jsonl``, the measurements, with ``.meta.json``; ``gpu_PART.json``, with the
device, versions, tables, and what failed; and ``gpu_PART.tar``, of fits that go on. ``--smoke``
runs the first few rows at toy size, on a CPU with ``--device cpu``; its numbers mean nothing and
go to ``gpu_PART_smoke.*``.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import cifar100_lt
import gpu
import gpu_photos
import torch
from _data import CACHE, DEFAULT_DATA
from _deadline import Failure, pack, run_until, unpack
from _results import noted, read_notes
from _runs import read_runs

PARTS = ("check", "cifar", "siblings", "photos")
SECONDS = 330
# Fits at once. What is timed runs alone.
JOBS = {"check": 1, "cifar": 4, "siblings": 4, "photos": 3}
SMOKE_SIZE = 16  # of the largest class


class Settings(NamedTuple):
    """What all runs of a part share."""

    part: str
    data: Path
    out: Path
    device: str
    smoke: bool
    network: str | None
    checkpoint: str | None
    lr: float | None
    unfinished: Path | None = None  # folder of fits that go on

    def path(self, suffix):
        return self.out / f"gpu_{self.part}{'_smoke' if self.smoke else ''}{suffix}"


def prepare(settings):
    """Write the images of a part to the folder of the output; the path."""
    path = settings.out / f"{settings.part}.npz"
    if settings.part == "photos":
        gpu_photos.prepare(settings.data, path)
    elif settings.part == "check":
        raise SystemExit("check has nothing to prepare.")
    else:
        size = {"largest": SMOKE_SIZE} if settings.smoke else {}
        cifar100_lt.prepare(settings.part, settings.data, path, **size)
    return path


def list_keys(settings):
    if settings.part == "check":
        return gpu.list_keys(settings)
    if settings.part == "photos":
        return gpu_photos.list_keys(settings)
    return cifar100_lt.list_keys(settings.part, settings)


def run(key, settings):
    """One run; what is measured, with the device."""
    if settings.part == "check":
        result = gpu.run(key, settings)
    elif settings.part == "photos":
        result = gpu_photos.run(key, settings)
    else:
        result = cifar100_lt.run(settings.part, key, settings)
    return result | {"device": device_name(settings.device)}


def result_tables(path):
    """The tables of a file of measurements, by title, with the device in it."""
    part = path.stem.split("_")[1]
    tables, by_device = {}, {}
    for record in read_runs(path).values():
        by_device.setdefault(record["device"], []).append(record)
    for device, records in by_device.items():
        if part in ("check", "photos"):
            of_device = (gpu if part == "check" else gpu_photos).result_tables(records)
        else:
            of_device = cifar100_lt.result_tables(part, records)
        tables |= {f"{title}, on {device}": table for title, table in of_device.items()}
    return tables


def device_name(device):
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"


def run_missing(settings, argv, jobs, deadline):
    """Do what has not been done yet until the deadline; what failed, by key."""
    path, failed = settings.path(".jsonl"), {}
    finished = read_runs(path)
    missing = [key for key in list_keys(settings) if key not in finished]
    unpack(settings.path(".tar"), settings.unfinished)
    commands = [
        [__file__, *argv, "--one", json.dumps([*key]), "--unfinished", str(settings.unfinished)]
        for key in missing
    ]
    with noted(path), path.open("a") as file:
        for index, outcome in run_until(deadline, commands, jobs):
            if isinstance(outcome, Failure):
                failed[json.dumps(missing[index])] = str(outcome)
                continue
            line = {"key": missing[index], "result": json.loads(outcome.splitlines()[-1])}
            file.write(json.dumps(line) + "\n")
            file.flush()
    pack(settings.unfinished, settings.path(".tar"))
    return failed


def write_report(settings, failed):
    """Write the ``.json`` of a part, and return its tables as text."""
    path = settings.path(".jsonl")
    finished, wanted = read_runs(path), list_keys(settings)
    tables = result_tables(path)
    report = {
        "part": settings.part,
        "device": sorted({record["device"] for record in finished.values()}),
        "runs": read_notes(path),
        "finished": sum(key in finished for key in wanted),
        "wanted": len(wanted),
        "failed": failed,
        "tables": tables,
    }
    settings.path(".json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    text = [f"## {title}\n\n{table}\n" for title, table in tables.items()]
    text += [f"{key} failed: {message}" for key, message in failed.items()]
    return "\n".join([*text, f"{report['finished']} of {report['wanted']} runs are done."])


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    parser.add_argument("--prepare", action="store_true", help="draw the images of the part")
    parser.add_argument("--jobs", type=int, help="runs at once")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="a few rows at toy size")
    parser.add_argument("--network", help="of photos: a timm model")
    parser.add_argument("--checkpoint", help="of photos: a file with the network's weights")
    parser.add_argument("--lr", type=float, help="of photos: learning rate")
    parser.add_argument("--one", type=json.loads, metavar="KEY", help="do one run and print it")
    parser.add_argument("--unfinished", type=Path, metavar="FOLDER", help="with --one")
    return parser.parse_args(argv)


def main(argv=None):
    start = time.monotonic()
    args = parse(argv)
    settings = Settings(**{name: getattr(args, name) for name in Settings._fields})
    if args.prepare:
        path = prepare(settings)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
        return
    if args.one is not None:
        print(json.dumps(run(tuple(args.one), settings)))
        return
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device here; --device cpu --smoke tries a part out.")
    settings.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp())
    try:
        failed = run_missing(
            settings._replace(unfinished=folder),
            arguments(settings),
            args.jobs or JOBS[args.part],
            start + args.seconds,
        )
    finally:
        shutil.rmtree(folder)
    print(write_report(settings, failed))


def arguments(settings):
    """The command line of these settings."""
    argv = [settings.part, *(["--smoke"] if settings.smoke else [])]
    for name in ("data", "out", "device", "network", "checkpoint", "lr"):
        value = getattr(settings, name)
        argv += [] if value is None else [f"--{name}", str(value)]
    return argv


if __name__ == "__main__":
    main()
