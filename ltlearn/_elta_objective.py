"""The training step of ELTA: mixup on features, task loss, similarity alignment.

Scores are standardized (mean 0, deviation 1 over the training set), so that the temperatures of
:class:`~ltlearn.enhancers.TailMixup` mean the same for prices and for stars.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ltlearn.enhancers import SimilarityAlignment, TailMixup
from ltlearn.losses import EMDLoss


class ELTAObjective(nn.Module):
    """Loss terms of a batch, and of a validation set.

    Targets are a dict of ``"score"`` (B,), standardized, and optionally ``"distribution"`` (B, K)
    and ``"weight"`` (B,).

    Parameters
    ----------
    centers : torch.Tensor of shape (K,), default=None
        Standardized scores of the bins. With centers the head gives K logits and the task loss is
        the earth mover's distance; without, one standardized score and squared error.
    log_prior : torch.Tensor of shape (K,), default=None
        Added to the logits of the loss, not to those of a prediction.
    mixup_strength, tail_temperature, pair_temperature : float
        Of :class:`~ltlearn.enhancers.TailMixup`; strength 0 turns it off.
    alignment_weight : float
        Weight of :class:`~ltlearn.enhancers.SimilarityAlignment`; 0 turns it off.
    score_scale : float
        Deviation of the scores, to report errors in the user's units.
    temperature_scale : float
        Factor from standardized scores to the unit of the two temperatures.
    """

    def __init__(
        self,
        *,
        centers=None,
        log_prior=None,
        mixup_strength=0.0,
        tail_temperature=0.5,
        pair_temperature=2.0,
        alignment_weight=0.0,
        score_scale=1.0,
        temperature_scale=1.0,
    ):
        super().__init__()
        self.register_buffer("centers", None if centers is None else centers.clone())
        self.register_buffer("log_prior", None if log_prior is None else log_prior.clone())
        self.mixup = (
            TailMixup(mixup_strength, tail_temperature, pair_temperature)
            if mixup_strength
            else None
        )
        self.alignment = SimilarityAlignment() if alignment_weight else None
        self.alignment_weight = alignment_weight
        self.score_scale = score_scale
        self.temperature_scale = temperature_scale
        self.emd = EMDLoss()

    def training_terms(self, network, X, target):
        features = network.features(X)
        if self.mixup is not None:
            features, target = self._mix(features, target)
        task = self._task_loss(network.output(features), target)
        if self.alignment is None:
            return {"loss": task}
        alignment = self.alignment(features, target["score"])
        return {
            "loss": task + self.alignment_weight * alignment,
            "task": task,
            "alignment": alignment,
        }

    def validation_terms(self, outputs, target):
        errors = (self.scores(outputs) - target["score"]).abs() * self.score_scale
        weight = target.get("weight")
        mae = errors.mean() if weight is None else (errors * weight).sum() / weight.sum()
        return {"loss": self._task_loss(outputs, target), "mae": mae}

    def scores(self, outputs):
        """Standardized scores (B,) that the outputs of the head stand for."""
        if self.centers is None:
            return outputs.squeeze(1)
        return outputs.softmax(1) @ self.centers

    def _mix(self, features, target):
        names = list(target)
        features, _, *mixed = self.mixup(
            features, self.temperature_scale * target["score"], *target.values()
        )
        return features, dict(zip(names, mixed, strict=True))

    def _task_loss(self, outputs, target):
        weight = target.get("weight")
        if self.centers is not None:
            logits = outputs if self.log_prior is None else outputs + self.log_prior
            return self.emd(logits, target["distribution"], weight)
        predicted, true = outputs.squeeze(1), target["score"]
        assert predicted.shape == true.shape, (predicted.shape, true.shape)
        errors = F.mse_loss(predicted, true, reduction="none")
        return errors.mean() if weight is None else (errors * weight).mean()


def two_hot(scores, centers):
    """Distribution over two neighboring bins whose expectation is the score.

    Parameters
    ----------
    scores : torch.Tensor of shape (n,), dtype float64
        Scores beyond the outermost centers count as those.
    centers : torch.Tensor of shape (K,), dtype float64
        Equally spaced and increasing, K >= 2.

    Returns
    -------
    distribution : torch.Tensor of shape (n, K), dtype float64
    """
    position = (scores - centers[0]) / (centers[1] - centers[0])
    position = position.clamp(0, len(centers) - 1)
    lower = position.floor().clamp(max=len(centers) - 2).long()
    upper_share = (position - lower).unsqueeze(1)
    distribution = torch.zeros(len(scores), len(centers), dtype=scores.dtype)
    distribution.scatter_(1, lower.unsqueeze(1), 1 - upper_share)
    return distribution.scatter_(1, lower.unsqueeze(1) + 1, upper_share)
