"""Whether the files of an output folder are those that the curation saw, and lie where they may."""

from pathlib import Path

from ltlearn.curation._files import checksum
from ltlearn.exceptions import BadImageError, CurationError
from ltlearn.images._decode import read_bytes
from ltlearn.images._sources import as_paths_or_pixels


def file_checksums(blocks):
    """SHA-256 of the files in each block of data, by its name; blocks of pixels are left out.

    Parameters
    ----------
    blocks : dict of str to array-like
        Images, paths or feature rows.
    """
    found = {}
    for name, block in blocks.items():
        values = as_paths_or_pixels(block)
        if values.dtype == object:
            found[name] = [checksum(read_bytes(path)) for path in values]
    return found


def checked_files(rows, folder, bank):
    """Paths of the files of rows, by their keys.

    Parameters
    ----------
    rows : sequence of ManifestRow
    folder : pathlib.Path
        Where the manifest is.
    bank : path-like, sequence of path-like or None
        Folders beside it that files may lie in.

    Raises
    ------
    CurationError
        When a file lies elsewhere, cannot be read, or does not have the checksum of its row.
    """
    roots = [folder, *([] if bank is None else _as_list(bank))]
    roots = [Path(root).resolve() for root in roots]
    outside, changed, files = [], [], {}
    for row in rows:
        path = folder / row.file
        if not is_within(path, roots):
            outside.append(row)
        elif not has_checksum(path, row.checksum):
            changed.append(row)
        files[row.key] = str(path)
    if outside:
        _complain(
            folder,
            outside,
            f"whose files are outside {', '.join(map(str, roots))}",
            "If that is where the images come from, pass the folder that they lie in as bank=...",
        )
    if changed:
        _complain(
            folder,
            changed,
            "whose files are gone or have changed since they were judged",
            "Restore them, run the curation again, or reject them in the manifest.",
        )
    return files


def check_no_copies(rows, folder, protected):
    """Raise where a kept row is about a copy of protected data.

    Parameters
    ----------
    rows : sequence of ManifestRow
        Those kept.
    folder : pathlib.Path
    protected : dict of str to list of str
        Of :func:`file_checksums`.
    """
    name_of = {digest: name for name, digests in protected.items() for digest in digests}
    copies = [row for row in rows if row.checksum in name_of]
    if copies:
        _complain(
            folder,
            copies,
            f"that are copies of {name_of[copies[0].checksum]} images",
            "Auxiliary data must not hold them: set their decision to reject.",
        )


def has_checksum(path, expected):
    """Whether a file can be read and has the SHA-256 ``expected``."""
    try:
        return checksum(read_bytes(path)) == expected
    except BadImageError:
        return False


def is_within(path, roots):
    """Whether a path, links followed, is in one of some folders."""
    try:
        resolved = path.resolve()
    except (OSError, ValueError, RuntimeError):  # no file can have this name
        return False
    return any(resolved.is_relative_to(root) for root in roots)


def _as_list(folders):
    return list(folders) if isinstance(folders, (list, tuple)) else [folders]


def _complain(folder, rows, what, advice):
    first = rows[0]
    raise CurationError(
        f"{folder / 'manifest.csv'} keeps {len(rows)} candidates {what}, the first being "
        f"{first.file or first.source} of class {first.name!r}. {advice}"
    )
