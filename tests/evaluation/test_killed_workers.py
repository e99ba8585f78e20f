"""Comparisons and searches lose no more than the fits of a worker that is killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed")

SCRIPT = Path(__file__).parent / "killed_workers.py"
N_SCENARIOS = 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes come from a fork server")
def test_killed_workers(tmp_path):
    """In a process of its own, so that waiting for ever would be a failure."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(SCRIPT), "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result for result in results if result["problems"]] == []
    assert len(results) == N_SCENARIOS
