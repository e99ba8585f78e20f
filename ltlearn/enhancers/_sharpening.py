"""Sharpen predicted distributions and select pseudo-labels for self-training."""

import itertools
import math
import warnings
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ltlearn.enhancers._scores import check_scores
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.losses._reduction import at_least_float32, check_sample_weight


def sharpen(logits: Tensor, scores: Tensor, mean_score: Tensor | float, beta: float) -> Tensor:
    r"""Sharpen each predicted distribution, the more the farther its score is from the mean.

    .. math:: q_i = \operatorname{softmax}\big(z_i \exp(\beta \, |\bar s - \hat s_i|)\big)

    Parameters
    ----------
    logits : Tensor of shape (B, K)
        :math:`z`.
    scores : Tensor of shape (B,)
        Predicted scores :math:`\hat s`, in the inverse unit of `beta`.
    mean_score : float or Tensor of shape ()
        :math:`\bar s`, the mean predicted score.
    beta : float
        :math:`\beta \ge 0`; 0 gives the plain softmax.

    Returns
    -------
    Tensor of shape (B, K)
        Distributions; finite for all finite input; float32 or wider.

    Raises
    ------
    ValueError
        If the shapes are not (B, K) and (B,).

    Examples
    --------
    >>> import torch
    >>> sharpen(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([5.0, 7.0]), 5.0, 1.0)
    tensor([[2.6894e-01, 7.3106e-01],
            [6.1760e-04, 9.9938e-01]])
    """
    scores = check_scores(scores)
    if logits.ndim != 2 or len(logits) != len(scores):
        raise ValueError(
            "Expected logits (B, K) and scores (B,), got shapes "
            f"{tuple(logits.shape)} and {tuple(scores.shape)}."
        )
    logits = at_least_float32(logits)
    # With the largest logit at zero and a finite factor, overflow ends at -inf, never at inf.
    largest_exponent = math.log(torch.finfo(scores.dtype).max) - 1
    factor = (beta * (mean_score - scores).abs()).clamp(max=largest_exponent).exp()
    centered = logits - logits.amax(dim=1, keepdim=True)
    return (centered * factor.unsqueeze(1)).softmax(dim=1)


class AdaptiveSharpening(nn.Module):
    r"""Select confident pseudo-labels after adaptive sharpening (ELTA's APDS).

    A sample is kept if the largest entry of its sharpened distribution (see `sharpen`) exceeds
    the threshold, so that samples predicted in the tails pass more easily [1]_.

    Parameters
    ----------
    beta : float, default=1.25
        Strength of the sharpening, at least 0, in inverse units of the scores.
    threshold : float, default=0.75
        In [0, 1].

    Raises
    ------
    ValueError
        For a number outside its range.

    See Also
    --------
    select_sharpening : Chooses both numbers on labelled held-out data.

    Notes
    -----
    The defaults are the published ones, for scores from 1 to 10.

    References
    ----------
    .. [1] Liu et al., "ELTA: An Enhancer against Long-Tail for Aesthetics-oriented Models",
       ICML 2024.

    Examples
    --------
    >>> import torch
    >>> logits, scores = torch.tensor([[0.0, 0.5], [0.0, 0.5]]), torch.tensor([5.0, 7.0])
    >>> q, keep = AdaptiveSharpening()(logits, scores, mean_score=5.0)
    >>> keep
    tensor([False,  True])
    """

    def __init__(self, beta: float = 1.25, threshold: float = 0.75) -> None:
        super().__init__()
        if not (beta >= 0 and math.isfinite(beta)):
            raise ValueError(f"beta must be at least 0 and finite, got {beta!r}.")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must lie in [0, 1], got {threshold!r}.")
        self.beta = beta
        self.threshold = threshold

    def forward(
        self, logits: Tensor, scores: Tensor, mean_score: Tensor | float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sharpen and select.

        Parameters
        ----------
        logits : Tensor of shape (B, K)
        scores : Tensor of shape (B,)
            Predicted scores.
        mean_score : float or Tensor of shape (), optional
            Mean predicted score; by default that of `scores`. Pass the mean over all samples when
            they come in batches.

        Returns
        -------
        q : Tensor of shape (B, K)
            Sharpened distributions.
        keep : Tensor of shape (B,), bool
            Which samples are confident enough to become pseudo-labels.
        """
        if mean_score is None:
            mean_score = at_least_float32(scores).mean()
        q = sharpen(logits, scores, mean_score, self.beta)
        return q, q.amax(dim=1) > self.threshold

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


def select_sharpening(
    logits: Tensor,
    scores: Tensor,
    true_scores: Tensor,
    *,
    betas: Iterable[float] = (1.0, 1.1, 1.2, 1.25),
    thresholds: Iterable[float] = (0.70, 0.75, 0.80, 0.85, 0.90),
    min_kept: int = 1,
    sample_weight: Tensor | None = None,
) -> tuple[float, float]:
    """Choose beta and threshold of `AdaptiveSharpening` on labelled held-out samples.

    Of all pairs that keep at least `min_kept` samples, the one whose kept samples have the lowest
    mean absolute error. Of equal errors the pair that keeps more samples wins, of these the one
    that comes first, thresholds varying faster.

    Parameters
    ----------
    logits : Tensor of shape (B, K)
    scores : Tensor of shape (B,)
        Predicted scores; the mean score is theirs.
    true_scores : Tensor of shape (B,)
    betas, thresholds : iterables of float
        The grid; by default the published one.
    min_kept : int, default=1
        Fewest kept samples that a pair may be judged by.
    sample_weight : Tensor of shape (B,), optional
        Positive weights of the samples in the error.

    Returns
    -------
    beta : float
    threshold : float

    Raises
    ------
    ValueError
        If the grid is empty, `min_kept` is less than 1 or the shapes disagree.

    Warns
    -----
    SmallSampleWarning
        If no pair keeps `min_kept` samples; the pair that keeps most is returned then, of equal
        ones the one with the lowest error.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[0.0, 3.0], [0.0, 0.7], [3.0, 0.0]])
    >>> scores, true_scores = torch.tensor([8.0, 6.0, 2.0]), torch.tensor([8.1, 4.0, 2.0])
    >>> select_sharpening(logits, scores, true_scores, betas=[0.0], thresholds=[0.6, 0.8])
    (0.0, 0.8)
    """
    if min_kept < 1:
        raise ValueError(f"min_kept must be at least 1, got {min_kept!r}.")
    if true_scores.shape != scores.shape:
        raise ValueError(
            "scores and true_scores must have the same shape (B,), got "
            f"{tuple(scores.shape)} and {tuple(true_scores.shape)}."
        )
    grid = list(itertools.product(betas, thresholds))
    if not grid:
        raise ValueError("betas and thresholds must not be empty.")
    error = (at_least_float32(scores) - true_scores).abs()
    weight = torch.ones_like(error) if sample_weight is None else sample_weight.to(error.dtype)
    check_sample_weight(weight, len(error))

    enough, too_few = [], []
    for beta, threshold in grid:
        _, keep = AdaptiveSharpening(beta, threshold)(logits, scores)
        n_kept = int(keep.sum())
        total = weight[keep].sum()
        mean_error = ((error * weight)[keep].sum() / total).item() if n_kept else math.inf
        if n_kept >= min_kept:
            enough.append((mean_error, -n_kept, (beta, threshold)))
        else:
            too_few.append((-n_kept, mean_error, (beta, threshold)))
    if enough:
        return min(enough, key=lambda entry: entry[:2])[2]
    n_kept, _, chosen = min(too_few, key=lambda entry: entry[:2])
    warnings.warn(
        f"No pair of beta and threshold keeps {min_kept} of {len(scores)} held-out samples; "
        f"beta={chosen[0]}, threshold={chosen[1]} keeps most, {-n_kept}. Lower min_kept or the "
        "thresholds, or give more held-out samples.",
        SmallSampleWarning,
        stacklevel=2,
    )
    return chosen
