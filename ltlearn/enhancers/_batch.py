"""What an enhancer of one's own is given, and gives back."""

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Rows of a training step between the backbone and the head.

    An enhancer of one's own is a callable, or a :class:`torch.nn.Module`, from a batch to a batch.
    In every step of training it may change features, add rows, set weights, or add a term to the
    loss; ``batch._replace(...)`` makes a batch that differs in some of these. In validation and
    prediction it has no part. Estimators take such enhancers as ``enhancers=[...]``, call them in
    this order, after their own, and train the parameters of modules along with the network. Every
    fit works with copies of them. One with a method ``set_epoch`` is told the number of the epoch,
    from 0, at the start of each.

    Attributes
    ----------
    features : Tensor of shape (B, D)
        With the body for tables, D counts the features of all members side by side.
    target : dict of str to Tensor of shape (B, ...)
        Of :class:`~ltlearn.ELTARegressor` ``"score"`` (B,), of mean 0 and deviation 1 over the
        training rows, and with ``loss="emd"`` also ``"distribution"`` (B, K). Of
        :class:`~ltlearn.GranularClassifier` ``"label"``: codes (B,), int64, target classes before
        auxiliary ones; where inputs are mixed, and wherever an enhancer wants to, shares (B, C) of
        all classes.
    weight : Tensor of shape (B,)
        Of the rows in the task loss, which is the sum of weights times losses, divided by B. All 1
        where nothing is weighted.
    generator : torch.Generator
        Source of all that is drawn, on the device of the features.
    term : Tensor of shape (), default=None
        What is added to the loss; ``history_`` holds it by the name of the enhancer.

    See Also
    --------
    TailMixup : The enhancer of ELTA that adds rows.

    Examples
    --------
    Noise on the features, the more the rarer the score:

    >>> import torch
    >>> from ltlearn import ELTARegressor
    >>> def tail_noise(batch):
    ...     shape, device = batch.features.shape, batch.features.device
    ...     noise = torch.randn(shape, generator=batch.generator, device=device)
    ...     scale = 0.1 * batch.target["score"].abs().unsqueeze(1)
    ...     return batch._replace(features=batch.features + scale * noise)
    >>> model = ELTARegressor(enhancers=[tail_noise])
    """

    features: Tensor
    target: dict
    weight: Tensor
    generator: torch.Generator | None
    term: Tensor | None = None
