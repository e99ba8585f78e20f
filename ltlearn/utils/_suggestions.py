"""Did you mean ...? What an unknown name was probably meant to be."""

import difflib


def did_you_mean(value, names, *, n=1):
    """A sentence that names what is closest to a value, to be put behind an error.

    Parameters
    ----------
    value : object
        What was given. Only strings are close to anything.
    names : iterable of str
        What it could have been. Of a nested name, such as ``"training__lr_schedule"``, the last
        part counts as well.
    n : int, default=1
        Most names to suggest.

    Returns
    -------
    sentence : str
        For example ``" Did you mean 'mse'?"``; empty if nothing is close.

    Examples
    --------
    >>> did_you_mean("msee", ["mse", "emd"])
    " Did you mean 'mse'?"
    >>> did_you_mean("layer_decay", ["lr", "training__layer_decay"])
    " Did you mean 'training__layer_decay'?"
    >>> did_you_mean("something else", ["mse", "emd"])
    ''
    """
    if not isinstance(value, str) or not value:
        return ""
    # Later names do not replace earlier ones of the same spelling: flat ones come first.
    spellings = {}
    for name in sorted(names, key=lambda name: name.count("__")):
        spellings.setdefault(_plain(name), name)
        spellings.setdefault(_plain(name.rpartition("__")[2]), name)
    close = difflib.get_close_matches(_plain(value), spellings, n=n, cutoff=0.7)
    found = dict.fromkeys(repr(spellings[each]) for each in close)
    return f" Did you mean {' or '.join(found)}?" if found else ""


def _plain(name):
    return name.lower().replace("-", "_").replace(" ", "_")
