"""Cross-entropy for a balanced test distribution."""

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ltlearn.losses._class_counts import check_class_counts
from ltlearn.losses._reduction import at_least_float32, check_reduction, reduce_loss
from ltlearn.losses._targets import NO_LABEL, check_target


class BalancedCrossEntropy(nn.Module):
    r"""Cross-entropy on logits shifted by the log class prior.

    .. math:: L = -\log \operatorname{softmax}(z')_y, \qquad z'_j = z_j + \tau \log \pi_j

    Trained with it, the plain logits :math:`z` are those of a classifier for balanced classes:
    predict from them without the shift. Known as balanced softmax [1]_ and as the logit-adjusted
    loss [2]_.

    Parameters
    ----------
    class_counts : array-like of shape (C,)
        Training samples of each class, in any unit; :math:`\pi` is their share. A class without
        samples counts as much as the rarest class that has some.
    tau : float, default=1.0
        :math:`\tau`; 0 is plain cross-entropy.
    label_smoothing : float, default=0.0
        In [0, 1): this much of each label is spread evenly over all classes.
    reduction : {"mean", "sum", "none"}, default="mean"
        ``"mean"`` divides by B, also with sample weights.

    Attributes
    ----------
    log_share : Tensor of shape (C,)
        :math:`\log \pi`, a buffer.

    Raises
    ------
    ValueError
        For counts that are negative, not finite, all zero or not one-dimensional, for a smoothing
        outside [0, 1) and an unknown reduction.

    References
    ----------
    .. [1] Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020.
    .. [2] Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021, eq. 10.

    Examples
    --------
    >>> import torch
    >>> loss = BalancedCrossEntropy([90, 10], reduction="none")
    >>> loss(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor([0.1054, 2.3026])
    """

    log_share: Tensor
    member_numbers: tuple[str, ...] = ("tau",)

    def __init__(
        self,
        class_counts: ArrayLike,
        *,
        tau: float = 1.0,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing!r}.")
        counts = check_class_counts(class_counts)
        self.register_buffer("log_share", torch.zeros(len(counts)))
        self.update_class_counts(counts)
        self.tau = tau
        self.label_smoothing = label_smoothing
        self.reduction = check_reduction(reduction)

    def update_class_counts(self, class_counts: ArrayLike) -> None:
        """Replace the class counts, for example at the start of every epoch.

        Parameters
        ----------
        class_counts : array-like of shape (C,)

        Raises
        ------
        ValueError
            As for the constructor, and if the number of classes differs.
        """
        counts = check_class_counts(class_counts)
        if counts.shape != self.log_share.shape:
            raise ValueError(
                f"class_counts must have shape {tuple(self.log_share.shape)}, "
                f"got {tuple(counts.shape)}."
            )
        self.log_share.copy_((counts / counts.sum()).log())

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
        target = check_target(logits, target, len(self.log_share))
        values = self._sample_losses(self._adjust(logits), target)
        return reduce_loss(values, sample_weight, self.reduction)

    def _adjust(self, logits: Tensor) -> Tensor:
        return at_least_float32(logits) + self.tau * self.log_share

    def _sample_losses(self, adjusted: Tensor, target: Tensor) -> Tensor:
        if target.is_floating_point():
            target = target.to(adjusted.dtype)
        return F.cross_entropy(
            adjusted,
            target,
            reduction="none",
            label_smoothing=self.label_smoothing,
            ignore_index=NO_LABEL,
        )

    def extra_repr(self) -> str:
        return (
            f"n_classes={len(self.log_share)}, tau={self.tau}, "
            f"label_smoothing={self.label_smoothing}, reduction={self.reduction!r}"
        )
