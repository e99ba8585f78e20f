"""A local bank of images as a source of candidates."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ltlearn.curation._files import checksum, now, read_table
from ltlearn.curation._names import matching_names
from ltlearn.curation._types import Candidate
from ltlearn.exceptions import BadImageError
from ltlearn.images._decode import decode_image, read_bytes
from ltlearn.utils._typing import FilePath

RIGHTS = ("license", "license_url", "creator", "landing_page")


class FolderSource:
    """Images that lie in a folder already.

    Parameters
    ----------
    path : path-like
        - A folder with one sub-folder per class, named like the class; every file in it that is
          not hidden is a candidate.
        - Or a CSV file with the columns ``path`` (relative to the CSV file, or absolute) and
          ``class``, and optionally ``license``, ``license_url``, ``creator``, ``landing_page``.
    max_per_class : int, default=None
        Take no more than the first of each class, in the order of the CSV file or of the names.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from ltlearn.curation import FolderSource
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "sea_lion").mkdir()
    ...     Image.new("RGB", (8, 8)).save(f"{folder}/sea_lion/1.png")
    ...     source = FolderSource(folder)
    ...     candidates = list(source.fetch(["sea lions"], None))
    >>> [(candidate.name, Path(candidate.item).name) for candidate in candidates]
    [('sea lions', '1.png')]
    """

    def __init__(self, path: FilePath, *, max_per_class: int | None = None) -> None:
        if max_per_class is not None and max_per_class < 1:
            raise ValueError(f"max_per_class must be at least 1, or None; got {max_per_class}.")
        self.path = path
        self.max_per_class = max_per_class

    def __repr__(self):
        return f"FolderSource({str(self.path)!r}, max_per_class={self.max_per_class})"

    def class_names(self) -> list[str]:
        """Names of the classes in the bank, sorted."""
        return sorted(self.files())

    def fetch(self, names: Sequence[str], folder: Any) -> Iterator[Candidate]:
        """Yield the candidates of some classes, in the order of their files.

        Nothing is copied. Files that cannot be decoded are candidates with a ``problem``.

        Parameters
        ----------
        names : sequence of str
            Matched with the classes of the bank: exactly, or else in any case, spelling and plural.
        folder : ignored
            Nothing has to be kept.

        Yields
        ------
        candidate : Candidate
        """
        files = self.files()
        for name in names:
            matching = [entry for label in matching_names(name, files) for entry in files[label]]
            for path, rights in matching[: self.max_per_class]:
                yield _candidate(name, path, rights)

    def files(self) -> dict[str, Any]:
        """Files of each class.

        Returns
        -------
        files : dict
            Maps class names to lists of (path, what is said about the rights).

        Raises
        ------
        FileNotFoundError
            When the bank does not exist.
        ValueError
            When a CSV file lacks a column, a path or a class.
        """
        root = Path(self.path)
        if root.is_dir():
            return {
                folder.name: [
                    (file, {})
                    for file in sorted(folder.iterdir())
                    if file.is_file() and not file.name.startswith(".")
                ]
                for folder in sorted(root.iterdir())
                if folder.is_dir() and not folder.name.startswith(".")
            }
        files: dict[str, list[tuple[Path, dict[str, str]]]] = {}
        for row in read_table(root, ("path", "class")):
            if not (row["path"] and row["class"]):
                raise ValueError(
                    f"{root} has a row with the path {row['path']!r} and the class "
                    f"{row['class']!r}; it needs both."
                )
            rights = {column: row[column] for column in RIGHTS if row.get(column)}
            files.setdefault(row["class"], []).append((root.parent / row["path"], rights))
        return files


def _candidate(name, path, rights):
    digest = ""
    try:
        data = read_bytes(path)
        digest = checksum(data)
        decode_image(data, path.name)  # the source names its folder
    except BadImageError as error:
        return Candidate(name, str(path), None, str(error), digest, retrieved=now(), **rights)
    return Candidate(name, str(path), str(path), checksum=digest, retrieved=now(), **rights)
