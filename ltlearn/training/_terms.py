"""Terms of the loss, by name, over the steps of an epoch."""

import torch

_STEPS_AT_ONCE = 64


def summed_terms(terms, shares):
    """Terms of parts of a batch, added up in shares; one that a part lacks is 0 there."""
    pairs = list(zip(shares, terms, strict=True))
    return {name: sum(share * part.get(name, 0) for share, part in pairs) for name in _names(terms)}


class StepTerms:
    """Terms of the steps of an epoch.

    They are put together a few at a time: numbers left lying about one by one would keep the memory
    between them from being used again.
    """

    def __init__(self):
        self.sizes, self._blocks, self._open = [], [], []

    def __len__(self):
        return len(self.sizes)

    def add(self, terms, size):
        """Terms of a batch of so many rows, by name."""
        self.sizes.append(size)
        self._open.append(terms)
        if len(self._open) == _STEPS_AT_ONCE:
            self._close()

    def means(self, group=None):
        """Means over all rows, as numbers; a term that a batch lacks is 0 there.

        With a group, over the rows of all its processes.
        """
        self._close()
        share = torch.tensor(self.sizes, dtype=torch.float64, device="cpu") / sum(self.sizes)
        means = {}
        for name in _names(self._blocks):
            values = [block.get(name, torch.zeros_like(block["loss"])) for block in self._blocks]
            means[name] = float(torch.cat(values).double().cpu() @ share)
        if group is not None:
            means = group.means(means, sum(self.sizes))
        return means

    def _close(self):
        if not self._open:
            return
        missing = torch.zeros_like(self._open[0]["loss"])
        block = {
            name: torch.stack([terms.get(name, missing) for terms in self._open])
            for name in _names(self._open)
        }
        self._blocks.append(block)
        self._open = []


def validation_terms(net, valid):
    """Terms of a net's validation rows, whose outputs are not held all at once where they are wide.

    Parameters
    ----------
    net : ObjectiveNet
    valid : TensorData or FileData
    """
    objective = net.criterion_
    if not hasattr(objective, "validation_rows"):
        return objective.validation_terms(net.apply_network(valid), valid.target)
    rows = net.apply_network(valid, then=objective.validation_rows)
    return objective.terms_of_rows(rows, valid.target)


def suspects(objective):
    """A sentence that names losses and enhancers of the user's own, if there are any."""
    names = getattr(objective, "own_names", [])
    if not names:
        return ""
    return f" See that {' and '.join(names)} and the gradients of it are finite everywhere."


def _names(terms):
    return dict.fromkeys(name for each in terms for name in each)
