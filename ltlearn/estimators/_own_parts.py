"""Losses and enhancers of a user's own, as parameters."""


def check_own_parts(loss, enhancers):
    """Raise an error for what cannot be called as it is."""
    if isinstance(loss, type):
        raise ValueError(
            f"loss={loss.__name__} is a class; pass an instance, {loss.__name__}(...)."
        )
    for number, enhancer in enumerate(enhancers):
        if isinstance(enhancer, type) or not callable(enhancer):
            raise ValueError(
                f"enhancers[{number}] is {enhancer!r}; it must be a function or an instance that "
                "takes and returns a ltlearn.enhancers.Batch."
            )
