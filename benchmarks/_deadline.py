"""Processes that have until a deadline, and the unfinished work that they leave behind."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

PAUSE = 0.1  # seconds between two looks at the processes


class Failure(Exception):
    """What a process said last before it failed."""


def run_until(deadline, commands, jobs):
    """Run Python commands in processes, in order, some at a time; kill what is late.

    Parameters
    ----------
    deadline : float
        Of ``time.monotonic()``.
    commands : list of list of str
        Arguments of the interpreter.
    jobs : int
        Processes at a time.

    Yields
    ------
    index : int
        Of a command that has ended.
    outcome : str or Failure
        What it printed.
    """
    waiting, running = list(enumerate(commands)), {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            while (waiting or running) and time.monotonic() < deadline:
                while waiting and len(running) < jobs:
                    index, command = waiting.pop(0)
                    running[index] = _Process(command, Path(folder) / str(index))
                for index in [index for index, process in running.items() if process.has_ended]:
                    yield index, running.pop(index).outcome()
                time.sleep(PAUSE)
        finally:
            for process in running.values():
                process.kill()


class _Process:
    """A process whose output goes to files, so that it never waits for a reader."""

    def __init__(self, command, stem):
        self.paths = [stem.with_suffix(suffix) for suffix in (".out", ".errors")]
        with self.paths[0].open("w") as out, self.paths[1].open("w") as errors:
            # In a group of its own, so that what it starts is killed with it.
            self.process = subprocess.Popen(
                [sys.executable, *command], stdout=out, stderr=errors, start_new_session=True
            )

    @property
    def has_ended(self):
        return self.process.poll() is not None

    def outcome(self):
        code = self.process.wait()
        text, errors = (path.read_text(errors="replace") for path in self.paths)
        if code == 0:
            return text
        return Failure((errors.strip().splitlines() or [f"ended with {code}"])[-1])

    def kill(self):
        if not self.has_ended:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def unpack(path, folder):
    """Bring back what :func:`pack` has left in a file, if it is there."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    if path.exists():
        with tarfile.open(path) as file:
            file.extractall(folder, filter="data")


def pack(folder, path):
    """Put the files of a folder into one, if there are any."""
    path.unlink(missing_ok=True)
    if not any(each.is_file() for each in Path(folder).rglob("*")):
        return
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        file.add(folder, arcname=".")
    part = path.with_suffix(".part")
    part.write_bytes(content.getvalue())
    part.replace(path)
