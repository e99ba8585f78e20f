"""Files of two parts: a description in JSON, and tensors in the format safetensors.

A file is a zip archive of two members that are stored as they are. So nothing in it can expand, no
name in it becomes a path, and neither format can hold code.
"""

import contextlib
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path

from ltlearn.exceptions import SavedFileError

DESCRIPTION, TENSORS = "description.json", "tensors.safetensors"

# A description holds names, settings and histories, no arrays of numbers.
_LARGEST_DESCRIPTION = 100 * 2**20


def write_archive(path, description, tensors):
    """Write a file, all of it or nothing: what was at ``path`` stays until the new one is whole.

    Parameters
    ----------
    path : path-like
    description : dict
        Of what JSON holds.
    tensors : dict of str to torch.Tensor
    """
    from safetensors.torch import save

    text = json.dumps(description, allow_nan=False).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(DESCRIPTION, text)
        archive.writestr(TENSORS, save(tensors))
    replace_file(path, content.getbuffer())


def replace_file(path, content):
    """Put ``content`` in place of a file at once, on the disk before the old one goes.

    Raises
    ------
    OSError
        When it cannot be written; what was there stays.
    """
    replace_by(path, lambda file: file.write(content))


def replace_by(path, write):
    """As :func:`replace_file`, with a function that writes into the open file."""
    path = Path(path)
    try:
        _replace(path, write)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{path} cannot be written ({error.strerror or error}); a file that was there is as it "
            "was",
        ) from error
    _sync_folder(path.parent)


def _replace(path, write):
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read_archive(path):
    """Description and tensors of a file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    description : dict
    tensors : dict of str to torch.Tensor

    Raises
    ------
    FileNotFoundError
    SavedFileError
        When the file is of another kind, damaged, or not as :func:`write_archive` writes it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist(), os.path.getsize(path))
            description, tensors = archive.read(DESCRIPTION), archive.read(TENSORS)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise SavedFileError(
            f"{path} is no file that ltlearn saved, or is damaged: {error}."
        ) from error
    return _parsed(path, description), _tensors(path, tensors)


def _check_members(path, members, size):
    names = [member.filename for member in members]
    if sorted(names) != [DESCRIPTION, TENSORS]:
        shown = ", ".join(map(repr, names[:5]))
        raise SavedFileError(
            f"{path} is no file that ltlearn saved: it holds {shown or 'nothing'} where there "
            f"should be {DESCRIPTION!r} and {TENSORS!r} alone."
        )
    for member in members:
        is_stored = member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1
        if not is_stored or member.file_size != member.compress_size:
            raise SavedFileError(
                f"{path} is no file that ltlearn saved: {member.filename} is compressed or "
                "encrypted."
            )
    sizes = {member.filename: member.file_size for member in members}
    if sum(sizes.values()) > size or sizes[DESCRIPTION] > _LARGEST_DESCRIPTION:
        raise SavedFileError(f"{path} is no file that ltlearn saved: its sizes cannot be right.")


def _parsed(path, text):
    try:
        description = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise SavedFileError(f"{path} is damaged: {DESCRIPTION} is no valid JSON ({error}).") from (
            None if isinstance(error, RecursionError) else error
        )
    if not isinstance(description, dict):
        raise SavedFileError(f"{path} is damaged: {DESCRIPTION} holds no object.")
    return description


def _refuse_constant(name):
    raise ValueError(f"it has the constant {name}")


def _tensors(path, content):
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise SavedFileError(f"{path} is damaged: {TENSORS} cannot be read ({error}).") from error


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder):
    """Have the renaming on the disk, where folders can be opened for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
