"""Cross-entropy that turns from easy to hard samples."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltlearn.losses._reduction import at_least_float32, check_reduction, reduce_loss
from ltlearn.losses._targets import NO_LABEL, expected_label_loss


class FocalLoss(nn.Module):
    r"""Multi-class focal loss.

    .. math:: L(y) = -(1 - p_y)^\gamma \log p_y, \qquad p = \operatorname{softmax}(z)

    and :math:`\sum_c t_c L(c)` for a soft target t [1]_. For the class weights :math:`\alpha_y`
    of the paper, pass ``sample_weight``, for example from `ClassBalancedWeights`.

    Parameters
    ----------
    gamma : float, default=2.0
        :math:`\gamma \ge 0`; 0 is cross-entropy.
    reduction : {"mean", "sum", "none"}, default="mean"
        ``"mean"`` divides by B, also with sample weights.

    Raises
    ------
    ValueError
        For a negative gamma and an unknown reduction.

    References
    ----------
    .. [1] Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 4.

    Examples
    --------
    >>> import torch
    >>> FocalLoss(reduction="none")(torch.zeros(1, 2), torch.tensor([0]))
    tensor([0.1733])
    """

    def __init__(self, *, gamma: float = 2.0, reduction: str = "mean") -> None:
        super().__init__()
        if not gamma >= 0:
            raise ValueError(f"gamma must be at least 0, got {gamma!r}.")
        self.gamma = gamma
        self.reduction = check_reduction(reduction)

    def forward(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        logits : Tensor of shape (B, C)
        target : Tensor of shape (B,), integer, or (B, C), floating-point
            Class indices, or distributions over the classes.
        sample_weight : Tensor of shape (B,), optional

        Returns
        -------
        Tensor of shape () or, for ``reduction="none"``, (B,)
            Float32 or wider.

        Raises
        ------
        ValueError
            If the shapes do not agree.
        """
        values = expected_label_loss(self._label_losses, at_least_float32(logits), target)
        return reduce_loss(values, sample_weight, self.reduction)

    def _label_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        cross_entropy = F.cross_entropy(logits, labels, reduction="none", ignore_index=NO_LABEL)
        miss = -torch.expm1(-cross_entropy)
        # The power's slope at zero is infinite for gamma < 1; the loss itself is flat there.
        return miss.clamp_min(torch.finfo(miss.dtype).tiny).pow(self.gamma) * cross_entropy

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}, reduction={self.reduction!r}"
