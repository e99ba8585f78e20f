"""Pull the similarity of features towards the similarity of labels."""

from numbers import Integral

import torch
from torch import Tensor, nn

from ltlearn.enhancers._scores import check_scores
from ltlearn.losses._reduction import at_least_float32


def label_similarity(scores: Tensor) -> Tensor:
    r"""Similarity of every pair of labels, relative to the range of the batch.

    .. math:: S_{ij} = 1 - |s_i - s_j| / (\max s - \min s)

    Parameters
    ----------
    scores : Tensor of shape (B,)
        Labels.

    Returns
    -------
    Tensor of shape (B, B)
        In [0, 1] with unit diagonal; float32 or wider. Equal labels have similarity 1, also when
        all labels of the batch are equal.

    Raises
    ------
    ValueError
        If `scores` is not one-dimensional.

    Examples
    --------
    >>> import torch
    >>> label_similarity(torch.tensor([1.0, 2.0, 5.0]))
    tensor([[1.0000, 0.7500, 0.0000],
            [0.7500, 1.0000, 0.2500],
            [0.0000, 0.2500, 1.0000]])
    """
    scores = check_scores(scores)
    if len(scores) == 0:
        return scores.new_zeros(0, 0)
    distance = (scores.unsqueeze(1) - scores).abs()
    label_range = distance.max()
    return 1 - distance / torch.where(label_range > 0, label_range, 1)


# Features no longer than this count as zero: they have no direction to align.
_SHORTEST = 1e-8


class SimilarityAlignment(nn.Module):
    r"""Feature-label similarity alignment, a loss term on features (ELTA's FLSA).

    .. math:: L = \frac{1}{B^2} \sum_{ij} \big(\cos(f_i, f_j) - S_{ij}\big)^2

    with the label similarity S of `label_similarity` [1]_.

    Parameters
    ----------
    max_rows : int, default=512
        Batches with more samples contribute a random subset of this many, redrawn at every call,
        as the cost grows with the square of their number.

    Raises
    ------
    ValueError
        If `max_rows` is not a positive integer.

    References
    ----------
    .. [1] Liu et al., "ELTA: An Enhancer against Long-Tail for Aesthetics-oriented Models",
       ICML 2024.

    Examples
    --------
    >>> import torch
    >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> SimilarityAlignment()(features, torch.tensor([3.0, 3.0, 8.0]))
    tensor(0.)
    """

    def __init__(self, max_rows: int = 512):
        super().__init__()
        if not (isinstance(max_rows, Integral) and max_rows > 0):
            raise ValueError(f"max_rows must be a positive integer, got {max_rows!r}.")
        self.max_rows = max_rows

    def forward(
        self, features: Tensor, scores: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Compute the loss term.

        Parameters
        ----------
        features : Tensor of shape (B, D)
            A row of zeros has cosine 0 with every row, itself included.
        scores : Tensor of shape (B,)
        generator : torch.Generator, optional
            Draws the subset; on the device of `features`. The global generator by default.

        Returns
        -------
        Tensor of shape ()
            Float32 or wider; zero, attached to the graph, for an empty batch.

        Raises
        ------
        ValueError
            If the shapes are not (B, D) and (B,).
        """
        if features.ndim != 2 or scores.shape != features.shape[:1]:
            raise ValueError(
                "Expected features (B, D) and scores (B,), got shapes "
                f"{tuple(features.shape)} and {tuple(scores.shape)}."
            )
        if len(features) > self.max_rows:
            rows = torch.randperm(len(features), generator=generator, device=features.device)
            rows = rows[: self.max_rows]
            features, scores = features[rows], scores[rows]
        features = at_least_float32(features)
        # Dividing zero features by 1, not by a tiny number, keeps their gradient moderate.
        length = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        directions = features / torch.where(length > _SHORTEST, length, 1)
        error = directions @ directions.T - label_similarity(scores)
        return error.square().sum() / max(error.numel(), 1)

    def extra_repr(self) -> str:
        return f"max_rows={self.max_rows}"
