"""A head that compares directions: cosines between features and a weight per class."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CosineHead(nn.Module):
    r"""Scaled cosines between features and one direction per class.

    .. math:: z_k = s \, \frac{f^\top w_k}{\|f\| \, \|w_k\|}

    All classes have weights of the same length, so that no frequent class can win by a large one,
    and weights that start from the directions of class means need few updates [1]_.

    Parameters
    ----------
    n_features : int
    n_classes : int
    scale : float, default=16.0
        :math:`s`.
    directions : Tensor of shape (n_classes, n_features), optional
        What the weights start from, such as :func:`class_mean_directions`; by default random.

    References
    ----------
    .. [1] Shi et al., "Long-Tail Learning with Foundation Model: Heavy Fine-Tuning Hurts", ICML
       2024.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.networks import CosineHead
    >>> head = CosineHead(2, 3, directions=torch.tensor([[1.0, 0], [0, 2], [-1, 0]]))
    >>> head(torch.tensor([[5.0, 0.0]])).tolist()
    [[16.0, 0.0, -16.0]]
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        scale: float = 16.0,
        directions: Tensor | None = None,
    ) -> None:
        super().__init__()
        if not 0 < scale < float("inf"):
            raise ValueError(f"scale must be positive and finite, got {scale!r}.")
        self.scale = scale
        if directions is None:
            directions = torch.randn(n_classes, n_features)
        if directions.shape != (n_classes, n_features):
            raise ValueError(
                f"directions must have shape ({n_classes}, {n_features}), got "
                f"{tuple(directions.shape)}."
            )
        self.weight = nn.Parameter(F.normalize(directions.detach().clone().float()))

    def forward(self, features: Tensor) -> Tensor:
        """Compare features with the direction of every class.

        Parameters
        ----------
        features : Tensor of shape (B, n_features)

        Returns
        -------
        logits : Tensor of shape (B, n_classes)
            In [-scale, scale].
        """
        return self.scale * F.linear(F.normalize(features), F.normalize(self.weight))

    def extra_repr(self) -> str:
        n_classes, n_features = self.weight.shape
        return f"n_features={n_features}, n_classes={n_classes}, scale={self.scale}"


def class_mean_directions(features: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Directions of the class means of features.

    Parameters
    ----------
    features : Tensor of shape (n, D)
    labels : Tensor of shape (n,), integer
    n_classes : int
        A class without rows, or whose mean is 0, gets the direction of the mean of all classes.

    Returns
    -------
    directions : Tensor of shape (n_classes, D)
        Of length 1, or 0 where all means are.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.networks import class_mean_directions
    >>> class_mean_directions(torch.tensor([[3.0, 0], [0, 1], [0, 3]]), torch.tensor([0, 1, 1]), 2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    totals = features.new_zeros(n_classes, features.shape[1]).index_add(0, labels, features)
    counts = torch.bincount(labels, minlength=n_classes).clamp(min=1)
    directions = F.normalize(totals / counts[:, None])
    is_lost = directions.norm(dim=1, keepdim=True) == 0
    return torch.where(is_lost, F.normalize(directions.mean(dim=0, keepdim=True)), directions)
