"""Optional packages are imported where they are used, through one helper."""

import importlib


def import_optional_dependency(name, extra):
    """Import ``name``, or say which extra of ltlearn installs it.

    Parameters
    ----------
    name : str
        Module to import, e.g. ``"matplotlib.pyplot"``.
    extra : str
        The extra of ltlearn that installs it.

    Returns
    -------
    module : types.ModuleType

    Raises
    ------
    ImportError
        When the module cannot be imported. The original error is kept as its cause.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name.split('.')[0]} is needed for this and could not be imported. "
            f'Install it with: pip install "ltlearn[{extra}]"'
        ) from error
