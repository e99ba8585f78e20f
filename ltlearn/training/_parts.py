"""Batches that pass through a network in parts, whose gradients add up."""

from ltlearn.training._terms import summed_terms


def backward_in_parts(backward, batch, n_parts):
    """Add the gradient of a batch, part by part.

    Parameters
    ----------
    backward : callable
        From a batch and its share to the loss terms; adds that share of its gradient.
    batch : (torch.Tensor, dict of str to torch.Tensor)
    n_parts : int

    Returns
    -------
    terms : dict of str to torch.Tensor
        Means over all of the batch.
    """
    parts = _parts(batch, n_parts)
    shares = [len(X) / len(batch[0]) for X, _ in parts]
    terms = [backward(*each) for each in zip(parts, shares, strict=True)]
    return summed_terms(terms, shares)


def _parts(batch, n_parts):
    X, target = batch
    n = min(n_parts, len(X))
    split = {name: values.tensor_split(n) for name, values in target.items()}
    return [
        (part, {name: values[i] for name, values in split.items()})
        for i, part in enumerate(X.tensor_split(n))
    ]
