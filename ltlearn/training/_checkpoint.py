"""Trainings on disk, so that a fit that is killed goes on where it was.

A fit has a folder: ``fit.json`` says which fit it is, and a file per training of it (a round of
self-training is one, and so is a new head) holds all that the next epochs depend on. Files are
replaced as a whole, so what is there is always an end of an epoch.
"""

import json
import os
import time
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from ltlearn.exceptions import CheckpointError, CheckpointWarning, SavedFileError
from ltlearn.persistence._archive import read_archive, replace_file, write_archive
from ltlearn.persistence._hashing import content_hash
from ltlearn.persistence._values import NotSavableError, Reader, Writer

_FORMAT = 1
_CURRENT = ContextVar("checkpoint of the fit", default=None)

_DELETE = "Delete it to start again, or choose another folder"


def current_checkpoint():
    """The :class:`FitCheckpoint` of the fit that runs in this context, or None."""
    return _CURRENT.get()


@contextmanager
def checkpointed_by(checkpoint):
    """Let a function fit with a checkpoint; None for one without."""
    token = _CURRENT.set(checkpoint)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class FitCheckpoint:
    """The folder of one fit.

    Parameters
    ----------
    folder : path-like
    parts : dict of str to str
        Hashes of all that decides on the fit, by what an error calls them.
    draw_seed : callable
        Gives the seed to store; it is not called where one is stored already.
    seconds : float, default=0.0
        Least time between two writes.

    Attributes
    ----------
    seed : int

    Raises
    ------
    CheckpointError
        When the folder cannot be used or holds another fit. Nothing is changed then.
    """

    def __init__(self, folder, parts, draw_seed, seconds=0.0):
        self.folder = Path(folder)
        self.seconds = seconds
        path = self.folder / "fit.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            known = json.loads(path.read_bytes()) if path.exists() else None
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} is no checkpoint or is damaged. {_DELETE}.") from error
        except OSError as error:
            raise CheckpointError(f"checkpoint={str(folder)!r} cannot be used: {error}.") from error
        if known is None:
            self.seed = draw_seed()
            self._describe(path, {"format": _FORMAT, "seed": self.seed, "parts": parts})
        else:
            self.seed = self._check(path, known, parts)

    def stage(self, name):
        """The :class:`StageCheckpoint` of one training."""
        return StageCheckpoint(self.folder / f"{name.replace(' ', '-')}.state", self.seconds)

    def _describe(self, path, content):
        try:
            replace_file(path, json.dumps(content, indent=1).encode())
        except OSError as error:
            raise CheckpointError(
                f"checkpoint={str(self.folder)!r} cannot be written: {error}. Nothing was trained."
            ) from error

    def _check(self, path, known, parts):
        """The seed of a fit that is known, if it is the same one."""
        is_ours = isinstance(known, dict) and isinstance(known.get("parts"), dict)
        if not is_ours or type(known.get("seed")) is not int or known.get("format") != _FORMAT:
            raise CheckpointError(
                f"{path} is no checkpoint that this version of ltlearn reads. {_DELETE}."
            )
        stored = known["parts"]
        odd = sorted(
            name for name in stored.keys() | parts.keys() if stored.get(name) != parts.get(name)
        )
        if odd:
            raise CheckpointError(
                f"checkpoint={str(self.folder)!r} holds another fit, which differs in "
                f"{', '.join(odd)}. Nothing was changed there. Choose another folder, delete this "
                "one, or go on with the data and parameters that it was started with."
            )
        return known["seed"]


class StageCheckpoint:
    """The file of one training.

    Parameters
    ----------
    path : pathlib.Path
    seconds : float
        Least time between two writes, but for the last one.
    """

    def __init__(self, path, seconds):
        self.path = path
        self.seconds = seconds
        self._written = time.monotonic()
        self._has_warned = False

    def read(self):
        """The state that was written last, or None.

        Raises
        ------
        CheckpointError
            When the file is damaged or of another kind.
        """
        if not self.path.exists():
            return None
        try:
            description, tensors = read_archive(self.path)
            if description.get("checkpoint") != _FORMAT:
                raise SavedFileError(f"{self.path} is no checkpoint.")
            return Reader(tensors).decode(description.get("state"), "state")
        except (SavedFileError, OSError) as error:
            raise CheckpointError(f"{error} {_DELETE}; other trainings are kept.") from error

    def write(self, make_state, *, at_once=False):
        """Write a state, if the last write is long enough ago.

        Where it cannot be written, a warning says so once, and training goes on.

        Parameters
        ----------
        make_state : callable
            Gives a dict of plain values and tensors.
        at_once : bool, default=False
            Whether to write in any case.
        """
        if not at_once and time.monotonic() - self._written < self.seconds:
            return
        writer = Writer()
        try:
            state = writer.encode(make_state(), "state")
        except NotSavableError as error:
            raise CheckpointError(
                f"A checkpoint cannot hold {error.what} ({error.where}). Train without one."
            ) from error
        try:
            write_archive(self.path, {"checkpoint": _FORMAT, "state": state}, writer.tensors)
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"The checkpoint {self.path} cannot be written: {error}. What was written "
                    "before is kept; training goes on.",
                    CheckpointWarning,
                    stacklevel=2,
                )
        self._written = time.monotonic()


def folder_of(checkpoint, parts, is_apart):
    """The folder of a fit: the one asked for, or one in it that is named after the fit.

    Parameters
    ----------
    checkpoint : path-like
    parts : dict of str to str
    is_apart : bool
        Whether other fits may use the same folder.
    """
    if not is_apart:
        return Path(checkpoint)
    return Path(os.fspath(checkpoint)) / content_hash(parts)[:24]
