"""Two processes of a group train one model, and both know all of it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ltlearn.training._parallel import current_group

SCRIPT = Path(__file__).parent / "two_processes.py"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What came out in one process (-1) and in each of two."""
    folder = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), str(rank)],
            env=environment, stderr=subprocess.PIPE, text=True,
        )
        for rank in (-1, 0, 1)
    ]  # fmt: skip
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    return {rank: np.load(folder / f"{rank}.npz") for rank in (-1, 0, 1)}


def names_of(outcome):
    return [name for name in outcome if f"history of {name}" in outcome]


def test_both_processes_hold_the_same_model(outcomes):
    names = names_of(outcomes[0])
    assert len(names) == 6
    for name in names:
        np.testing.assert_array_equal(outcomes[0][name], outcomes[1][name])
        first, second = (outcomes[rank][f"history of {name}"] for rank in (0, 1))
        np.testing.assert_array_equal(first, second)
        assert np.isfinite(outcomes[0][name]).all()


def test_it_is_that_of_one_process_where_nothing_acts_within_a_batch(outcomes):
    names = names_of(outcomes[-1])
    assert names == ["scores", "quantiles", "classes"]
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


def test_alone_there_is_no_group():
    assert not torch.distributed.is_initialized()
    assert current_group() is None
