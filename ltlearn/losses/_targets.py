"""Integer and soft classification targets, handled alike by every loss."""

from collections.abc import Callable

import torch
from torch import Tensor

# What F.cross_entropy may ignore: no label at all, where its default would let -100 pass.
NO_LABEL = torch.iinfo(torch.int64).min


def check_target(logits: Tensor, target: Tensor, n_classes: int | None = None) -> Tensor:
    """Return integer targets (B,) as int64 and soft ones (B, C) as they are, or raise."""
    if logits.ndim != 2 or n_classes not in (None, logits.shape[1]):
        expected = "C" if n_classes is None else n_classes
        raise ValueError(f"logits must have shape (B, {expected}), got {tuple(logits.shape)}.")
    if target.is_floating_point():
        if target.shape != logits.shape:
            raise ValueError(
                f"Soft targets must have the shape of the logits, {tuple(logits.shape)}, "
                f"got {tuple(target.shape)}."
            )
        return target
    if target.shape != logits.shape[:1]:
        raise ValueError(
            f"Integer targets must have shape ({len(logits)},), got {tuple(target.shape)}."
        )
    return target.long()


def expected_label_loss(
    label_loss: Callable[[Tensor, Tensor], Tensor],
    logits: Tensor,
    target: Tensor,
    n_classes: int | None = None,
) -> Tensor:
    """Per-sample loss (B,) of a loss defined for labels: ``sum_c t_c L(c)`` for a soft target t.

    ``label_loss(logits (n, C), labels (n,)) -> (n,)`` is evaluated once per non-zero entry of the
    target: two per sample for mixup and cutmix.
    """
    target = check_target(logits, target, n_classes)
    if not target.is_floating_point():
        return label_loss(logits, target)
    rows, labels = target.nonzero(as_tuple=True)
    values = label_loss(logits[rows], labels)
    share = target[rows, labels].to(values.dtype)
    return values.new_zeros(len(logits)).index_add(0, rows, share * values)
