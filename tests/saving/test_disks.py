"""Folders that cannot be written, disks that are full: a clear message, and the last file stays."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import ltlearn

resource = pytest.importorskip("resource")  # not on every system

X = np.random.default_rng(0).normal(size=(40, 3))
NOBODY = 65534


@pytest.fixture
def folder():
    """One that anybody may look into, with a file in it."""
    path = tempfile.mkdtemp(prefix="ltlearn-test-")
    os.chmod(path, 0o755)
    ltlearn.save(StandardScaler().fit(X), os.path.join(path, "model"))
    yield path
    os.chmod(path, 0o755)
    shutil.rmtree(path)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have no such permissions here")
def test_a_folder_that_is_read_only(folder):
    path = os.path.join(folder, "model")
    with open(path, "rb") as file:
        before = file.read()
    os.chmod(folder, stat.S_IREAD | stat.S_IEXEC | stat.S_IRGRP | stat.S_IXGRP | 0o5)
    is_root = os.geteuid() == 0  # who may write anywhere
    try:
        if is_root:
            os.seteuid(NOBODY)
        with pytest.raises(PermissionError, match=r"model cannot be written \(Permission denied\)"):
            ltlearn.save(StandardScaler().fit(2 * X), path)
    finally:
        if is_root:
            os.seteuid(0)
    with open(path, "rb") as file:
        assert file.read() == before
    assert os.listdir(folder) == ["model"]


def test_a_folder_that_there_is_not(tmp_path):
    with pytest.raises(FileNotFoundError, match="model cannot be written"):
        ltlearn.save(StandardScaler().fit(X), tmp_path / "no" / "model")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="model cannot be written"):
        ltlearn.save(StandardScaler().fit(X), tmp_path / "file" / "model")
    assert (tmp_path / "file").read_text() == ""


RUNS_FULL = """
import resource, signal, sys
import numpy as np
from sklearn.linear_model import Ridge
import ltlearn

model = Ridge().fit(np.zeros((2, 20_000)), [0.0, 1.0])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    ltlearn.save(model, sys.argv[1])
except OSError as error:
    print(error)
"""


def test_a_disk_that_runs_full_in_the_middle_of_a_file(folder):
    """Writing stops after some bytes, as on a disk without more of them."""
    path = os.path.join(folder, "model")
    with open(path, "rb") as file:
        before = file.read()
    done = subprocess.run(
        [sys.executable, "-c", RUNS_FULL, path], check=True, capture_output=True, text=True
    )
    assert "model cannot be written (File too large); a file that was there is" in done.stdout
    with open(path, "rb") as file:
        assert file.read() == before
    assert os.listdir(folder) == ["model"]
    np.testing.assert_array_equal(ltlearn.load(path).mean_, X.mean(0))
