"""Progress bars that suit the place: of text in terminals, widgets in notebooks that have them."""

import warnings

from tqdm import TqdmWarning


def progress_class():
    """The class of tqdm's bars for this place.

    It is looked up when a bar is shown, not when ltlearn is imported, and without the warning that
    a notebook lacks widgets: bars are of text there, too.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)
        from tqdm.auto import tqdm
    return tqdm


def progress_bar(iterable=None, **kwargs):
    """A bar of tqdm's with these arguments; it stays quiet where there is nothing to do.

    Where it is not known how much there is, the bar waits for a moment.
    """
    total = kwargs.get("total")
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    if total == 0:
        kwargs["disable"] = True
    elif total is None:
        kwargs["delay"] = 0.1
    return progress_class()(iterable, **kwargs)
