"""Class weights from the effective number of samples."""

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ltlearn.losses._class_counts import check_class_counts


class ClassBalancedWeights(nn.Module):
    r"""Weights inverse to the effective number of samples of a class, for any loss.

    .. math:: w_c \propto \frac{1 - \beta}{1 - \beta^{n_c}}, \qquad \sum_c w_c = C

    [1]_. Called with a target, it gives the ``sample_weight`` of every loss of this package; as
    ``weight`` it fits `torch.nn.CrossEntropyLoss`.

    Parameters
    ----------
    class_counts : array-like of shape (C,)
        Training samples :math:`n_c` of each class. A class without samples counts as much as the
        rarest class that has some.
    beta : float, default=0.9999
        :math:`\beta` in [0, 1): 0 weights all classes alike; near 1, weights are inverse to the
        counts.

    Attributes
    ----------
    weight : Tensor of shape (C,)
        :math:`w`, a buffer.

    Raises
    ------
    ValueError
        For a beta outside [0, 1), and counts that are negative, not finite, all zero or not
        one-dimensional.

    References
    ----------
    .. [1] Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019,
       eqs. 3-4.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.losses import FocalLoss
    >>> balance = ClassBalancedWeights([1000, 10])
    >>> balance.weight
    tensor([0.0208, 1.9792])
    >>> logits, target = torch.zeros(2, 2), torch.tensor([0, 1])
    >>> FocalLoss(reduction="none")(logits, target, sample_weight=balance(target))
    tensor([0.0036, 0.3430])
    """

    weight: Tensor

    def __init__(self, class_counts: ArrayLike, *, beta: float = 0.9999) -> None:
        super().__init__()
        if not 0 <= beta < 1:
            raise ValueError(f"beta must lie in [0, 1), got {beta!r}.")
        self.beta = beta
        counts = check_class_counts(class_counts)
        log_beta = math.log(beta) if beta > 0 else -math.inf
        weight = -1 / torch.expm1(counts * log_beta)
        self.register_buffer("weight", (weight / weight.mean()).to(torch.get_default_dtype()))

    def forward(self, target: Tensor) -> Tensor:
        """Weight of each sample.

        Parameters
        ----------
        target : Tensor of shape (B,), integer, or (B, C), floating-point
            Class indices, or distributions over the classes, which get their mean weight.

        Returns
        -------
        Tensor of shape (B,)

        Raises
        ------
        ValueError
            If soft targets do not have C columns.
        """
        if not target.is_floating_point():
            return self.weight[target.long()]
        if target.ndim != 2 or target.shape[1] != len(self.weight):
            raise ValueError(
                f"Soft targets must have shape (B, {len(self.weight)}), got {tuple(target.shape)}."
            )
        # Not a matrix product, which autocast would compute in half precision.
        return (target.to(self.weight.dtype) * self.weight).sum(dim=1)

    def extra_repr(self) -> str:
        return f"n_classes={len(self.weight)}, beta={self.beta}"
