"""Cross-entropy with larger margins for rarer classes."""

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ltlearn.losses._class_balanced import ClassBalancedWeights
from ltlearn.losses._class_counts import check_class_counts
from ltlearn.losses._reduction import at_least_float32, check_reduction, reduce_loss
from ltlearn.losses._targets import NO_LABEL, expected_label_loss


class LDAMLoss(nn.Module):
    r"""Label-distribution-aware margin loss, with deferred re-weighting.

    .. math:: L(y) = -v_y \log
        \frac{e^{s (z_y - \Delta_y)}}{e^{s (z_y - \Delta_y)} + \sum_{j \ne y} e^{s z_j}},
        \qquad \Delta_c \propto n_c^{-1/4}

    and :math:`\sum_c t_c L(c)` for a soft target t [1]_. The class weights v are 1 until
    `drw_epoch`, from there on those of `ClassBalancedWeights`: call `set_epoch` at the start of
    every epoch.

    Parameters
    ----------
    class_counts : array-like of shape (C,)
        Training samples :math:`n_c` of each class. A class without samples counts as much as the
        rarest class that has some.
    max_margin : float, default=0.5
        Margin of the rarest class, at least 0, in units of the logits.
    scale : float, default=30.0
        :math:`s > 0`. Margin and scale presuppose logits that are cosines, of normalized features
        and normalized class vectors.
    drw_epoch : int or None, default=None
        First epoch, counted from 0, with class weights; None is never. The paper re-weights the
        last fifth of the epochs, 160 to 199.
    beta : float, default=0.9999
        Of `ClassBalancedWeights`.
    reduction : {"mean", "sum", "none"}, default="mean"
        ``"mean"`` divides by B, also with sample and class weights, where the published code
        divides by the sum of the class weights in the batch.

    Attributes
    ----------
    margins : Tensor of shape (C,)
        :math:`\Delta`, a buffer.
    reweighting : bool
        Whether the class weights are in use.

    Raises
    ------
    ValueError
        For a number outside its range, an unknown reduction, and counts that are negative, not
        finite, all zero or not one-dimensional.

    References
    ----------
    .. [1] Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
       NeurIPS 2019, eqs. 12-13 and algorithm 1.

    Examples
    --------
    >>> import torch
    >>> loss = LDAMLoss([1000, 10], drw_epoch=2)
    >>> loss.margins
    tensor([0.1581, 0.5000])
    >>> for epoch in range(3):
    ...     loss.set_epoch(epoch)
    ...     print(f"{loss(torch.tensor([[0.5, 0.1]]), torch.tensor([0])):.6f}")
    0.000705
    0.000705
    0.000015
    """

    margins: Tensor

    def __init__(
        self,
        class_counts: ArrayLike,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        drw_epoch: int | None = None,
        beta: float = 0.9999,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if not max_margin >= 0:
            raise ValueError(f"max_margin must be at least 0, got {max_margin!r}.")
        if not scale > 0:
            raise ValueError(f"scale must be positive, got {scale!r}.")
        margins = check_class_counts(class_counts).pow(-0.25)
        margins = max_margin * margins / margins.max()
        self.register_buffer("margins", margins.to(torch.get_default_dtype()))
        self.class_weights = ClassBalancedWeights(class_counts, beta=beta)
        self.scale = scale
        self.drw_epoch = drw_epoch
        self.reduction = check_reduction(reduction)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Turn the class weights on from epoch `drw_epoch`, off before it.

        Parameters
        ----------
        epoch : int
            Current epoch, counted from 0.
        """
        self.reweighting = self.drw_epoch is not None and epoch >= self.drw_epoch

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
        values = expected_label_loss(
            self._label_losses, at_least_float32(logits), target, len(self.margins)
        )
        return reduce_loss(values, sample_weight, self.reduction)

    def _label_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        is_own = torch.arange(len(self.margins), device=labels.device) == labels.unsqueeze(1)
        narrowed = logits - torch.where(is_own, self.margins, 0)
        values = F.cross_entropy(
            self.scale * narrowed, labels, reduction="none", ignore_index=NO_LABEL
        )
        return values * self.class_weights(labels) if self.reweighting else values

    def extra_repr(self) -> str:
        return (
            f"n_classes={len(self.margins)}, scale={self.scale}, drw_epoch={self.drw_epoch}, "
            f"reduction={self.reduction!r}"
        )
