"""Two processes train one model, and both know all of it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ltlearn
from ltlearn.training._parallel import current_group

SCRIPT = Path(__file__).parent / "two_processes.py"


def documented_script():
    """The script of the guide, which says how to start it."""
    page = (Path(__file__).parents[2] / "docs" / "guide" / "machines.md").read_text()
    assert "`torchrun --nproc-per-node 2 train.py`" in page
    blocks = page.split("```{code-block} python\n")[1:]
    (script,) = (block.split("```")[0] for block in blocks if "init_process_group" in block)
    return script


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where one process, two that train together and two of torchrun left what came out."""
    folder = tmp_path_factory.mktemp("processes")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    (folder / "train.py").write_text(
        documented_script().replace("model.ltlearn", "trained.ltlearn")
    )
    commands = [[str(SCRIPT), str(folder)], [*torchrun, "train.py"]]
    runs = [
        subprocess.Popen(
            [sys.executable, *command],
            env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]  # fmt: skip
    printed = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], printed
    return folder


@pytest.fixture(scope="module")
def outcomes(folder):
    """What came out in one process (-1) and in each of two."""
    return {rank: np.load(folder / f"{rank}.npz") for rank in (-1, 0, 1)}


def names_of(outcome):
    return [name for name in outcome if f"history of {name}" in outcome]


def test_both_processes_hold_the_same_model(outcomes):
    names = names_of(outcomes[0])
    assert len(names) == 11
    for name in names:
        np.testing.assert_array_equal(outcomes[0][name], outcomes[1][name])
        first, second = (outcomes[rank][f"history of {name}"] for rank in (0, 1))
        np.testing.assert_array_equal(first, second)
        assert np.isfinite(outcomes[0][name]).all()


def test_it_is_that_of_one_process_where_nothing_acts_within_a_batch(outcomes):
    names = names_of(outcomes[-1])
    assert names == ["scores", "quantiles", "classes", "members", "search"]
    for name in names:
        one, two = outcomes[-1], outcomes[0]
        assert one[f"history of {name}"].shape == two[f"history of {name}"].shape
        np.testing.assert_allclose(
            two[f"history of {name}"], one[f"history of {name}"], rtol=2e-4, atol=1e-6
        )
        np.testing.assert_allclose(two[name], one[name], rtol=1e-3, atol=1e-4)


def test_errors_say_what_to_change(outcomes):
    assert "larger batch_size, or fewer processes" in str(outcomes[0]["tiny batches"])
    assert "torch.distributed is initialized" in str(outcomes[1]["checkpoint"])
    for rank in (0, 1):
        assert "of process 1 differ from those of process 0 in X, y." in str(
            outcomes[rank]["own rows"]
        )
        assert " in y." in str(outcomes[rank]["other labels"])
        assert " in batch_size." in str(outcomes[rank]["other parameters"])


def test_early_stopping_stops_early(outcomes):
    for name in ("mixup, early stopping", "feature mixup, early stopping"):
        assert len(outcomes[0][f"history of {name}"]) < 30


def test_every_row_is_in_one_process(outcomes):
    """In batches of 16 rows, or 15, of which each has half."""
    rows = [outcomes[rank]["rows seen"] for rank in (0, 1)]
    expected = np.random.default_rng(0).normal(size=(90, 3))[:, 0]
    order = np.argsort(np.concatenate(rows))
    scaled = np.concatenate(rows)[order]
    np.testing.assert_allclose(
        (scaled - scaled.mean()) / scaled.std(),
        (np.sort(expected) - expected.mean()) / expected.std(),
        atol=1e-5,
    )
    for rank in (0, 1):
        assert set(outcomes[rank]["sizes seen"]) <= {7, 8}


def test_where_one_process_stops_all_do(outcomes):
    assert [int(outcomes[rank]["epochs"]) for rank in (0, 1)] == [2, 2]


def test_the_first_process_can_save_the_whole_model(folder, outcomes):
    model = ltlearn.load(folder / "model.ltlearn")
    rows = np.random.default_rng(0).normal(size=(90, 3))
    np.testing.assert_array_equal(model.predict(rows), outcomes[1]["of the saved model"])


def test_the_script_of_the_guide_trains_and_saves_under_torchrun(folder):
    model = ltlearn.load(folder / "trained.ltlearn")
    assert model.n_iter_ == 5


def test_alone_there_is_no_group():
    assert not torch.distributed.is_initialized()
    assert current_group() is None
