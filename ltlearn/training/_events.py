"""Which callbacks want to hear of batches: most do not, and telling them takes time."""

from skorch.callbacks import Callback

_ENDS = ("on_batch_begin", "on_batch_end")


def batch_events(callbacks):
    """Events of a batch that some callback has a method for; with any of a batch's ends, both.

    Parameters
    ----------
    callbacks : list of (str, skorch callback)

    Returns
    -------
    events : set of str
    """
    events = {
        name
        for name in (*_ENDS, "on_grad_computed")
        for _, callback in callbacks
        if getattr(type(callback), name) is not getattr(Callback, name) or name in vars(callback)
    }
    return events | set(_ENDS) if events & set(_ENDS) else events
