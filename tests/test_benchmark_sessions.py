"""The prepared runs on a GPU, at toy size on a CPU: they prepare, run, stop and go on."""

import hashlib
import importlib
import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ltlearn.exceptions import CheckpointError

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
N_TRAIN, N_TEST = 16, 1  # images of a class


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture
def session(load, monkeypatch, tmp_path):
    """Run a part of the session within this process; what it has printed."""
    script = load("gpu_session")
    shared = ["--device", "cpu", "--smoke", "--out", str(tmp_path / "out")]

    def run(part, *arguments, allowed=99):
        started = []

        def run_here(deadline, commands, jobs):
            for index, (_, *argv) in enumerate(commands[:allowed]):
                started.append(argv)
                args = script.parse(argv)
                settings = {name: getattr(args, name) for name in script.Settings._fields}
                result = script.run(tuple(args.one), script.Settings(**settings))
                yield index, "a line before\n" + json.dumps(result)

        monkeypatch.setattr(script, "run_until", run_here)
        script.main([part, *shared, *map(str, arguments)])
        return len(started)

    run.out = tmp_path / "out"
    return run


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """A folder like that of CIFAR-100, with few images."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("data") / "cifar100"
    folder.mkdir()
    for part, n in (("train", N_TRAIN), ("test", N_TEST)):
        labels = rng.permutation(np.repeat(np.arange(100), n)).astype(np.uint8)
        pixels = rng.integers(256, size=(len(labels), 8, 8, 3), dtype=np.uint8)
        np.save(folder / f"{part}_labels.npy", labels)
        np.save(folder / f"{part}_images.npy", pixels.repeat(4, axis=1).repeat(4, axis=2))
    names = [f"class {number:02}" for number in range(100)]
    superclasses = {f"super {k}": names[5 * k : 5 * k + 5] for k in range(20)}
    meta = {"classes": names, "superclasses": superclasses}
    (folder / "classes.json").write_text(json.dumps(meta))
    return folder.parent


class TestPrepare:
    def test_all_classes(self, load, cifar, tmp_path):
        script, path = load("cifar100_lt"), tmp_path / "cifar.npz"
        script.prepare("cifar", cifar, path, largest=6)
        problem, digest = script.read_prepared(path)

        pixels = np.load(cifar / "cifar100" / "train_images.npy")
        labels = np.load(cifar / "cifar100" / "train_labels.npy")
        row_of = {np.moveaxis(image, 2, 0).tobytes(): row for row, image in enumerate(pixels)}
        rows = [row_of[image.tobytes()] for image in problem.X]
        assert len(set(rows)) == len(rows)
        assert [f"class {label:02}" for label in labels[rows]] == problem.y.tolist()
        counts = np.unique(problem.y, return_counts=True)[1]
        assert counts.tolist() == [max(1, int(6 * 100 ** (-c / 99))) for c in range(100)]
        numbers = np.sort(rows).astype(">i8").tobytes()
        assert digest == hashlib.sha256(numbers).hexdigest()[:12]
        np.testing.assert_array_equal(
            problem.X_test,
            np.moveaxis(np.load(cifar / "cifar100" / "test_images.npy"), 3, 1),
        )
        script.prepare("cifar", cifar, path, largest=6)
        assert script.read_prepared(path).hash == digest

    def test_siblings_are_those_of_the_first_problem(self, load, cifar, tmp_path):
        script, path = load("cifar100_lt"), tmp_path / "siblings.npz"
        script.prepare("siblings", cifar, path)
        read, _ = script.read_prepared(path)
        drawn = load("granular").draw_problem("images", "cifar", cifar, 0)
        for name in ("X", "y", "X_test", "y_test", "neighbors"):
            np.testing.assert_array_equal(getattr(read, name), getattr(drawn, name))
        for kept, wanted in zip(
            read.auxiliary["neighbors"], drawn.auxiliary["neighbors"], strict=True
        ):
            np.testing.assert_array_equal(kept, wanted)

    def test_the_sizes_are_those_of_the_literature(self, load):
        assert sum(load("cifar100_lt").drawn_sizes()) == 10_847

    def test_there_is_nothing_to_prepare_for_speed(self, session):
        with pytest.raises(SystemExit, match="nothing to prepare"):
            session("check", "--prepare")


def test_the_network_is_that_of_the_literature(load):
    network = load("cifar100_lt").ResNet32()
    n_weights = sum(values.numel() for values in network.parameters())
    assert round(n_weights / 1e6, 2) == 0.46
    assert network.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 64)


class TestParts:
    """Each part prepares, stops after one run, goes on, and then has nothing left to do."""

    def check(self, session, part, data, n_runs):
        assert session(part, "--data", data, allowed=1) == 1
        report = json.loads((session.out / f"gpu_{part}_smoke.json").read_text())
        assert (report["finished"], report["wanted"]) == (1, n_runs)
        assert session(part, "--data", data) == n_runs - 1
        table = (session.out / f"gpu_{part}_smoke.json").read_text()
        assert session(part, "--data", data) == 0
        assert (session.out / f"gpu_{part}_smoke.json").read_text() == table
        report = json.loads(table)
        assert (report["finished"], report["failed"]) == (n_runs, {})
        assert report["device"] == ["CPU"]
        assert "torch" in report["runs"][0]["versions"]
        assert len(list(session.out.glob("gpu_*"))) <= 8
        return report["tables"]

    @pytest.mark.parametrize("part", ["cifar", "siblings"])
    def test_from_scratch(self, session, cifar, part):
        session(part, "--prepare", "--data", cifar)
        (title,) = tables = self.check(session, part, session.out, 2)
        rows = {"cifar": ["recipe", "balanced CE"], "siblings": ["+ neighbors, silencing 0.1"]}
        assert all(f"| {row} |" in tables[title] for row in rows[part])
        assert "worst" in tables[title]
        assert "drawn" in title

    def test_photos(self, session, load):
        """Also with processes of its own, which a deadline stops before they have begun."""
        rng = np.random.default_rng(0)
        session.out.mkdir()
        np.savez(
            session.out / "photos.npz",
            X=rng.integers(256, size=(40, 64, 64, 3), dtype=np.uint8),
            y=rng.beta(5, 1, size=40),
            house=np.repeat(np.arange(20), 2),
        )
        script = load("gpu_session")
        command = ["photos", "--device", "cpu", "--smoke", "--jobs", "2"]
        command += ["--out", str(session.out), "--data", str(session.out)]
        script.main([*command, "--seconds", "0.01"])
        report = json.loads((session.out / "gpu_photos_smoke.json").read_text())
        assert (report["finished"], report["failed"]) == (0, {})
        script.main(command)
        report = json.loads((session.out / "gpu_photos_smoke.json").read_text())
        assert (report["finished"], report["failed"]) == (2, {})
        (table,) = report["tables"].values()
        assert all(f"| {row} |" in table for row in ("plain MSE", "plain MSE + stretch"))
        assert session("photos", "--data", session.out) == 0

    def test_what_is_tried_out_does_not_count(self, load, session, cifar):
        script = load("gpu_session")
        paths = [
            script.Settings("cifar", cifar, session.out, "cpu", smoke, None, None, None).path(".x")
            for smoke in (False, True)
        ]
        assert [path.name for path in paths] == ["gpu_cifar.x", "gpu_cifar_smoke.x"]

    def test_speed(self, session):
        tables = self.check(session, "check", session.out, 4)
        text = "\n".join([*tables, *tables.values()])
        for part in ("Tests of a GPU", "Search, 4 candidates", "raw torch loop", "peak memory"):
            assert part in text

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to run on")
    def test_it_says_that_there_is_no_gpu(self, load, tmp_path):
        with pytest.raises(SystemExit, match="no CUDA device"):
            load("gpu_session").main(["check", "--out", str(tmp_path)])

    def test_the_script_keeps_off_the_network(self, tmp_path):
        python = tmp_path / "python"
        python.write_text('#!/bin/sh\necho "$HF_HUB_OFFLINE" "$@"\n')
        python.chmod(0o755)
        done = subprocess.run(
            [BENCHMARKS / "gpu_session.sh", "cifar", "--out", "a folder"],
            env={**os.environ, "PYTHON": str(python)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split(maxsplit=1)[0] == "1"
        assert done.stdout.strip().endswith("gpu_session.py cifar --out a folder")


class TestDeadline:
    def outcomes(self, load, commands, seconds=60, jobs=2):
        deadline = time.monotonic() + seconds
        commands = [["-c", command] for command in commands]
        return dict(load("_deadline").run_until(deadline, commands, jobs))

    def test_what_is_printed_and_what_fails(self, load):
        commands = ["print(1)", "raise ValueError('too wide')", "print(3)"]
        outcomes = self.outcomes(load, commands)
        assert (outcomes[0], outcomes[2]) == ("1\n", "3\n")
        assert str(outcomes[1]) == "ValueError: too wide"

    def test_what_is_late_is_killed_with_what_it_started(self, load, tmp_path):
        path = tmp_path / "alive"
        child = f"import time; time.sleep(4); open({str(path)!r}, 'w')"
        start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
        assert self.outcomes(load, [start, start], seconds=1) == {}
        time.sleep(4)
        assert not path.exists()

    def test_only_so_many_at_once(self, load, tmp_path):
        """Each leaves a file while it runs and says how many it saw."""
        command = (
            f"import os, pathlib, time; folder = pathlib.Path({str(tmp_path)!r}); "
            "own = folder / str(os.getpid()); own.touch(); time.sleep(0.2); "
            "print(len(list(folder.iterdir()))); own.unlink()"
        )
        seen = [int(text) for text in self.outcomes(load, [command] * 4).values()]
        assert max(seen) <= 2

    def test_files_survive(self, load, tmp_path):
        script = load("_deadline")
        folder, path = tmp_path / "unfinished", tmp_path / "some.tar"
        (folder / "one, seed 0").mkdir(parents=True)
        script.pack(folder, path)
        assert not path.exists()
        (folder / "one, seed 0" / "state").write_bytes(b"123")
        script.pack(folder, path)
        script.unpack(path, tmp_path / "elsewhere")
        assert (tmp_path / "elsewhere" / "one, seed 0" / "state").read_bytes() == b"123"


class Stub:
    """Counts epochs in its checkpoint; is killed after each but the second."""

    def __init__(self, version):
        self.version = version

    def set_params(self, checkpoint):
        self.folder = checkpoint

    def fit(self, X, y):
        self.folder.mkdir(exist_ok=True)
        state = self.folder / f"state {self.version}"
        if any(path != state for path in self.folder.iterdir()):
            raise CheckpointError("another fit")
        if not state.exists():
            state.touch()
            raise KeyboardInterrupt


class TestGoingOn:
    @pytest.fixture
    def fit(self, load, tmp_path):
        script = load("cifar100_lt")
        problem = script.Problem(*[np.zeros(1)] * 4, {}, {})
        folder = tmp_path / "recipe, seed 0"
        return lambda stub: script.fit_or_go_on(stub, script.Row(), problem, folder), folder

    def test_a_fit_that_was_killed_goes_on_and_cleans_up(self, fit):
        fit, folder = fit
        with pytest.raises(KeyboardInterrupt):
            fit(Stub(1))
        assert [path.name for path in folder.iterdir()] == ["state 1"]
        fit(Stub(1))
        assert not folder.exists()

    def test_that_of_another_version_starts_anew(self, fit):
        fit, folder = fit
        with pytest.raises(KeyboardInterrupt):
            fit(Stub(1))
        with pytest.raises(KeyboardInterrupt):
            fit(Stub(2))
        assert [path.name for path in folder.iterdir()] == ["state 2"]


class TestTables:
    def test_few_shot_accuracy_at_equal_overall_accuracy(self, load):
        trade = [(0.1, 0.6), (0.3, 0.5), (0.4, 0.4), (0.35, 0.45)]
        few_at_overall = load("cifar100_lt").few_at_overall
        assert few_at_overall(trade, 0.45) == 0.35
        assert few_at_overall(trade, 0.55) == 0.1
        assert few_at_overall(trade, 0.7) == 0.1

    def record(self, row, seed, few, **more):
        record = {"row": row, "seed": seed, "overall": 0.5, "many": 0.6, "medium": 0.5, "few": few}
        record |= {"worst": 0.1, "ece": 0.05, "updates": 10, "seconds": 1.0, "epochs": 5}
        return record | {"n_train": 100, "n_test": 50, "drawn": "abc"} | more

    def test_of_some_rows(self, load):
        """What has run so far has a table, also without what it is compared with."""
        script = load("cifar100_lt")
        records = [self.record(script.NEIGHBORS, seed, 0.4) for seed in range(2)]
        (table,) = script.result_tables("siblings", records).values()
        assert "| 40.0 ± 0.0 |" in table
        records += [self.record(script.BASELINE, 0, 0.3)]
        records += [self.record(script.LONGER, 1, 0.3, trade=[[0.3, 0.6], [0.35, 0.5], [0.5, 0.4]])]
        (table,) = script.result_tables("siblings", records).values()
        row = next(line for line in table.splitlines() if script.NEIGHBORS in line)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[-2:] == ["+10.0", "+5.0"]
