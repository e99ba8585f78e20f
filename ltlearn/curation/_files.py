"""Files that survive an interruption: whole or absent, and a journal that can only grow."""

import csv
import hashlib
import json
import os
from datetime import datetime, timezone
from pathlib import Path

from ltlearn.exceptions import CurationError


def write_atomically(path, data):
    """Write a file so that a reader sees the old content or the new, never a part.

    Parameters
    ----------
    path : path-like
    data : bytes or str
        Text is encoded as UTF-8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_table(path, columns):
    """Rows of a CSV file, as dictionaries; empty where a cell is missing.

    Parameters
    ----------
    path : path-like
    columns : iterable of str
        Those that it must have.

    Returns
    -------
    rows : list of dict

    Raises
    ------
    ValueError
        When the file is not CSV in UTF-8, or lacks a column.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, restval="")
            missing = set(columns).difference(table.fieldnames or ())
            if missing:
                raise ValueError(f"{path} lacks the column {' and '.join(sorted(missing))}.")
            return list(table)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}.") from error


def plain_text(value):
    """What an answer from the network holds as text, such that any file can hold it."""
    return "" if value is None else str(value).encode("utf-8", "backslashreplace").decode()


def checksum(data):
    """SHA-256 of bytes or text, in hexadecimal."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def now():
    """Current time: ISO 8601, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class Journal:
    """Append-only JSON lines.

    An entry is on the disk when :meth:`append` returns. A last line cut short by an interruption
    is dropped when the journal is opened again.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    entries : list of dict
    """

    def __init__(self, path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = self.path.read_bytes() if self.path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            write_atomically(self.path, whole)
        try:
            self.entries = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise CurationError(
                f"{self.path} is damaged: {error}. Repair or remove the line, or start in a new "
                "folder."
            ) from error

    def append(self, **entry):
        """Write an entry through to the disk."""
        with open(self.path, "ab") as file:
            file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.entries.append(entry)
