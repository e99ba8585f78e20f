"""Terms of the loss, by name, over the steps of an epoch."""

import torch


def summed_terms(terms, shares):
    """Terms of parts of a batch, added up in shares; one that a part lacks is 0 there."""
    pairs = list(zip(shares, terms, strict=True))
    return {name: sum(share * part.get(name, 0) for share, part in pairs) for name in _names(terms)}


def mean_terms(steps, sizes, group=None):
    """Means over all rows of the terms of batches, as numbers; one that a batch lacks is 0.

    With a group, over the rows of all its processes.
    """
    share = torch.tensor(sizes, dtype=torch.float64, device="cpu") / sum(sizes)
    missing = torch.zeros_like(steps[0]["loss"])
    means = {
        name: float(torch.stack([each.get(name, missing) for each in steps]).double().cpu() @ share)
        for name in _names(steps)
    }
    if group is not None:
        means = dict(zip(means, group.mean([*means.values()], sum(sizes)), strict=True))
    return means


def suspects(objective):
    """A sentence that names losses and enhancers of the user's own, if there are any."""
    names = getattr(objective, "own_names", [])
    if not names:
        return ""
    return f" See that {' and '.join(names)} and the gradients of it are finite everywhere."


def _names(terms):
    return dict.fromkeys(name for each in terms for name in each)
