"""Balanced cross-entropy in which neighboring classes do not compete."""

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ltlearn.losses._balanced import BalancedCrossEntropy
from ltlearn.losses._class_counts import as_tensor
from ltlearn.losses._targets import expected_label_loss
from ltlearn.utils._suggestions import did_you_mean

DIRECTIONS = ("both", "auxiliary", "target")


class NeighborSilencingLoss(BalancedCrossEntropy):
    r"""Balanced cross-entropy with the competition between neighboring classes turned down.

    For a sample of class y,

    .. math:: L(y) = -\log \frac{e^{z'_y}}{\sum_j w_{yj} e^{z'_j}}, \qquad
        z'_j = z_j + \tau \log \pi_j

    with :math:`w_{yj} = \lambda_s` if y and j are a neighboring pair of a target and an auxiliary
    class, else 1 [1]_. A soft target t gives :math:`\sum_c t_c L(c)`, each label with weights of
    its own, as mixup and cutmix need.

    Parameters
    ----------
    class_counts : array-like of shape (C_target + C_auxiliary,)
        Training samples of each class, target classes first, in any unit; see
        `BalancedCrossEntropy`.
    neighbors : array-like of shape (C_target, C_auxiliary), bool
        Which auxiliary classes are neighbors of which target classes.
    silencing : float, default=0.1
        :math:`\lambda_s` in [0, 1]; 0 leaves neighbors out of the softmax, 1 is balanced
        cross-entropy.
    direction : {"both", "auxiliary", "target"}, default="both"
        Whose samples ignore their neighbors: those of all classes, of auxiliary or of target
        classes only.
    tau : float, default=1.0
        :math:`\tau`; 0 turns the prior off.
    label_smoothing : float, default=0.0
        In [0, 1): this much of each label y is spread evenly over the classes that are not
        silenced for y, y included.
    reduction : {"mean", "sum", "none"}, default="mean"
        ``"mean"`` divides by B, also with sample weights.

    Attributes
    ----------
    log_share : Tensor of shape (C_target + C_auxiliary,)
        :math:`\log \pi`, a buffer.
    silenced : Tensor of shape (C, C), bool
        Row y marks the classes silenced for samples of class y, a buffer. All False where
        `silencing` is 1.

    Raises
    ------
    ValueError
        For neighbors of another shape or other than 0 and 1, a silencing outside [0, 1], an
        unknown direction, and whatever `BalancedCrossEntropy` refuses.

    Notes
    -----
    Time and memory of soft targets grow with their number of non-zero entries times C: use
    `label_smoothing` instead of smoothed targets. On an accelerator, soft targets make the host
    wait for the device.

    References
    ----------
    .. [1] Zhao et al., "Granularity Matters in Long-Tail Learning", CVPR 2025.

    Examples
    --------
    Of three target classes and one auxiliary class, the last two are neighbors.

    >>> import torch
    >>> neighbors = torch.tensor([[False], [False], [True]])
    >>> loss = NeighborSilencingLoss([5, 5, 5, 5], neighbors, silencing=0.0, reduction="none")
    >>> loss(torch.zeros(2, 4), torch.tensor([0, 2])).exp()
    tensor([4., 3.])
    """

    silenced: Tensor
    member_numbers: tuple[str, ...] = ("tau", "silencing", "log_silencing")

    def __init__(
        self,
        class_counts: ArrayLike,
        neighbors: ArrayLike,
        *,
        silencing: float = 0.1,
        direction: str = "both",
        tau: float = 1.0,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            class_counts, tau=tau, label_smoothing=label_smoothing, reduction=reduction
        )
        if not 0 <= silencing <= 1:
            raise ValueError(f"silencing must lie in [0, 1], got {silencing!r}.")
        if direction not in DIRECTIONS:
            hint = did_you_mean(direction, DIRECTIONS)
            raise ValueError(f"direction must be one of {DIRECTIONS}, got {direction!r}.{hint}")
        relation = as_tensor(neighbors)
        neighbors = relation.bool()
        if not (neighbors == relation).all():
            raise ValueError(
                "neighbors must be boolean, or 0 and 1: turn similarities into a relation first, "
                "for example by similarity >= threshold."
            )
        n_classes = len(self.log_share)
        if neighbors.ndim != 2 or sum(neighbors.shape) != n_classes:
            raise ValueError(
                "neighbors must have shape (C_target, C_auxiliary) with C_target + C_auxiliary = "
                f"{n_classes}, the number of class counts, got {tuple(neighbors.shape)}."
            )
        silenced = torch.zeros(n_classes, n_classes, dtype=torch.bool, device=neighbors.device)
        n_target = len(neighbors)
        if silencing < 1 and direction != "auxiliary":
            silenced[:n_target, n_target:] = neighbors
        if silencing < 1 and direction != "target":
            silenced[n_target:, :n_target] = neighbors.T
        self.register_buffer("silenced", silenced)
        self.silencing = silencing
        self.log_silencing = math.log(silencing) if silencing > 0 else -math.inf
        self.direction = direction

    def _sample_losses(self, adjusted: Tensor, target: Tensor) -> Tensor:
        return expected_label_loss(self._label_losses, adjusted, target)

    def _label_losses(self, adjusted: Tensor, labels: Tensor) -> Tensor:
        silenced = self.silenced[labels]
        # No class silences itself, so that at least one finite term is left in every sum.
        log_partition = torch.where(silenced, adjusted + self.log_silencing, adjusted).logsumexp(
            dim=1
        )
        own = adjusted.gather(1, labels.unsqueeze(1)).squeeze(1)
        if self.label_smoothing == 0:
            return log_partition - own
        n_heard = (~silenced).sum(dim=1)
        mean_heard = adjusted.masked_fill(silenced, 0).sum(dim=1) / n_heard
        return log_partition - torch.lerp(own, mean_heard, self.label_smoothing)

    def extra_repr(self) -> str:
        return f"silencing={self.silencing}, direction={self.direction!r}, {super().extra_repr()}"
