"""The training step of ELTA: mixup on features, task loss, similarity alignment.

Scores are standardized (mean 0, deviation 1 over the training set), so that the temperatures of
:class:`~ltlearn.enhancers.TailMixup` mean the same for prices and for stars.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ltlearn.enhancers import MixupDraw, SimilarityAlignment, TailMixup
from ltlearn.losses import EMDLoss, QuantileLoss
from ltlearn.losses._quantile import pinball_per_sample
from ltlearn.losses._reduction import reduce_loss
from ltlearn.objectives._members import members_as_rows
from ltlearn.objectives._own import names_of_own
from ltlearn.objectives._ranking import rank_correlation
from ltlearn.utils._random import seed_for

# Targets that belong to rows, beside how these are mixed.
_LABELS = ("score", "distribution", "weight")

# What the names of targets begin with that belong to alignment.
_ALIGNMENT = "alignment "


class ELTAObjective(nn.Module):
    """Loss terms of a batch, and of a validation set.

    Targets are a dict of ``"score"`` (B,), standardized, and optionally ``"distribution"`` (B, K)
    and ``"weight"`` (B,).

    Parameters
    ----------
    centers : torch.Tensor of shape (K,), default=None
        Standardized scores of the bins. With centers the head gives K logits and the task loss is
        the earth mover's distance; without, one standardized score and squared error.
    levels : torch.Tensor of shape (K,), default=None
        With levels, an odd number around 0.5, the head gives quantiles and the task loss is the
        pinball loss.
    quantile_center, quantile_scale : float
        Origin and unit of the quantiles, in standardized scores.
    logit_shift : torch.Tensor of shape (K,), default=None
        Added to the logits of the loss, not to those of a prediction.
    mixup_strength, tail_temperature, pair_temperature : float
        Of :class:`~ltlearn.enhancers.TailMixup`; strength 0 turns it off.
    sampler : callable, default=None
        Of the same.
    alignment_weight : float
        Weight of :class:`~ltlearn.enhancers.SimilarityAlignment`; 0 turns it off.
    score_scale : float
        Deviation of the scores, to report errors in the user's units.
    temperature_scale : float
        Factor from standardized scores to the unit of the two temperatures.
    is_head_linear : bool
        Whether outputs are a linear (affine) function of the features.
    emd_form : {"sample", "batch"}
        Of :class:`~ltlearn.losses.EMDLoss`.
    ranks : bool
        Whether the rank correlation is a term of validation.
    own_loss : OwnLoss, default=None
        In the place of the task loss: of distributions with centers, else of scores.
    own_enhancers : OwnEnhancers, default=None
        Act after mixup.
    """

    member_numbers = (
        *("alignment_weight", "score_scale", "temperature_scale"),
        *("quantile_center", "quantile_scale"),
    )
    before_steps = ("mixup",)

    def __init__(
        self,
        *,
        centers=None,
        levels=None,
        quantile_center=0.0,
        quantile_scale=1.0,
        logit_shift=None,
        mixup_strength=0.0,
        tail_temperature=0.5,
        pair_temperature=2.0,
        sampler=None,
        alignment_weight=0.0,
        score_scale=1.0,
        temperature_scale=1.0,
        is_head_linear=False,
        emd_form="sample",
        ranks=False,
        own_loss=None,
        own_enhancers=None,
    ):
        super().__init__()
        self.register_buffer("centers", None if centers is None else centers.clone())
        self.register_buffer("logit_shift", None if logit_shift is None else logit_shift.clone())
        self.mixup = TailMixup(mixup_strength, tail_temperature, pair_temperature, sampler=sampler)
        self.alignment = SimilarityAlignment() if alignment_weight else None
        self.alignment_weight = alignment_weight
        self.score_scale = score_scale
        self.temperature_scale = temperature_scale
        # A linear head maps mixed features to equally mixed outputs, of which there are fewer.
        self.mixes_outputs = is_head_linear and self.alignment is None and own_enhancers is None
        self.own_loss, self.own_enhancers = own_loss, own_enhancers
        self.emd = EMDLoss(form=emd_form)
        self.ranks = ranks
        self.pinball = None if levels is None else QuantileLoss(levels)
        self.quantile_center = quantile_center
        self.quantile_scale = quantile_scale
        self.generator = self.own_generator = None

    @property
    def is_stackable(self):
        return self.own_loss is None and self.own_enhancers is None

    def seed(self, seed, device):
        """Draw what is random from own generators from now on; None ends that."""
        self.generator = self.own_generator = None
        if seed is not None:
            self.generator = torch.Generator(device).manual_seed(seed)
        if seed is not None and self.own_enhancers is not None:
            own_seed = seed_for(seed, "own enhancers")
            self.own_generator = torch.Generator(device).manual_seed(own_seed)

    @property
    def own_names(self):
        """Names of losses and enhancers of the user's own."""
        return names_of_own(self.own_loss, self.own_enhancers)

    def set_epoch(self, epoch):
        """Tell losses and enhancers of the user's own the number of the epoch, from 0."""
        for part in (self.own_loss, self.own_enhancers):
            if part is not None:
                part.set_epoch(epoch)

    def prepare_targets(self, target, n_features=None):
        """Do for the enhancers what takes labels only, for one batch or many at once.

        Parameters
        ----------
        target : dict of str to torch.Tensor of shape (..., B, *shape)
            Leading dimensions count batches.
        n_features : int, default=None
            Of the network; without it, alignment is left for later.

        Returns
        -------
        prepared : dict of str to torch.Tensor
            The targets (..., B + M, *shape), how to mix the features or outputs, and what
            alignment takes.
        """
        if self.mixup.strength:
            scores = self.temperature_scale * target["score"]
            draw = self.mixup.draw(scores, generator=self.generator)
            target = self.mix_targets(target, draw)
        if self.alignment is None or n_features is None:
            return target
        prepared = self.alignment.prepare(target["score"], n_features)
        return {**target, **{_ALIGNMENT + name: each for name, each in prepared.items()}}

    def mix_targets(self, target, draw):
        """Targets (..., B + M, *shape) after a :class:`MixupDraw`, and how to mix the rest."""
        mixed = {name: draw.mix(values) for name, values in target.items()}
        how = _with_originals(draw, target["score"]) if self.mixes_outputs else draw._asdict()
        return {**mixed, **how}

    def training_terms(self, network, X, target):
        """``target`` is that of a batch, or prepared by ``prepare_targets``."""
        if "share" not in target:
            target = self.prepare_targets(target)
        if self.own_enhancers is None:
            return self.terms(*self.pass_through(network, X, target), target)
        features = self._mixed_features(network, X, target)
        target = {name: target[name] for name in _LABELS if name in target}
        features, target, more = self.own_enhancers(features, target, self.own_generator)
        terms = self.terms(features, network.apply_head(features), target)
        return {"task": terms["loss"], **terms, **more, "loss": sum(more.values(), terms["loss"])}

    def pass_through(self, network, X, target):
        """Features and outputs of a batch (..., B, *shape), mixed as the target is."""
        if "share" in target and self.mixes_outputs:
            features = network.features(X)
            pairs = _take_rows(network.apply_head(features), target["rows"])
            return features, (pairs * target["share"]).sum(-3)
        features = self._mixed_features(network, X, target)
        return features, network.apply_head(features)

    def _mixed_features(self, network, X, target):
        features = network.features(X)
        if "share" not in target:
            return features
        return MixupDraw(*(target[name] for name in MixupDraw._fields)).mix(features)

    def terms(self, features, outputs, target):
        """Loss terms of what ``pass_through`` gives for a single batch."""
        task = self._task_loss(outputs, target)
        if self.alignment is None:
            return {"loss": task}
        prepared = {
            name.removeprefix(_ALIGNMENT): values
            for name, values in target.items()
            if name.startswith(_ALIGNMENT)
        }
        alignment = self.alignment(features, target["score"], target.get("count"), prepared or None)
        return {
            "loss": task + self.alignment_weight * alignment,
            "task": task,
            "alignment": alignment,
        }

    def terms_at_once(self, outputs, target):
        """Terms (M,) of M batches, outputs (M, B, 1): of squared error alone, else None."""
        others = (self.centers, self.pinball, self.alignment, self.own_loss, self.own_enhancers)
        if outputs.ndim != 3 or any(each is not None for each in others):
            return None
        losses = (outputs.squeeze(2) - target["score"]).square()
        if "weight" in target:
            losses = losses * target["weight"]
        return {"loss": losses.mean(1)}

    def validation_terms(self, outputs, target):
        return self.terms_of_rows(self.validation_rows(outputs, target), target)

    def validation_rows(self, outputs, target):
        """All that validation needs of some rows: of many quantiles, the score and the loss."""
        if self.pinball is None or self.own_loss is not None:
            return outputs
        score = (target["score"] - self.quantile_center) / self.quantile_scale
        loss = pinball_per_sample(outputs, score, self.pinball.levels)
        return torch.stack([self.scores(outputs), loss], 1)

    def terms_of_rows(self, rows, target):
        """Loss terms of a validation set, of its :meth:`validation_rows`."""
        weight = target.get("weight")
        if self.pinball is None or self.own_loss is not None:
            scores, loss = self.scores(rows), self._task_loss(rows, target)
        else:
            scores, loss = rows[:, 0], reduce_loss(rows[:, 1], weight, self.pinball.reduction)
        errors = (scores - target["score"]).abs() * self.score_scale
        mae = errors.mean() if weight is None else (errors * weight).sum() / weight.sum()
        terms = {"loss": loss, "mae": mae}
        if self.ranks:
            terms["srcc"] = rank_correlation(scores, target["score"], weight)
        return terms

    def scores(self, outputs):
        """Standardized scores (B,) that outputs (B, n_outputs) stand for; medians of quantiles."""
        if self.pinball is not None:
            return self.quantile_center + self.quantile_scale * outputs.median(1).values
        if self.centers is None:
            return outputs.squeeze(1)
        # Not a matrix product, which autocast would compute in half precision.
        return (outputs.softmax(1) * self.centers).sum(1)

    def _task_loss(self, outputs, target):
        """Loss of outputs (B, n_outputs), or the mean over members of theirs (B, M, n_outputs)."""
        if self.own_loss is not None:
            true, weight = target["score"], target.get("weight")
            if self.centers is None:
                return self.own_loss(outputs[..., 0], true, weight)
            return self.own_loss(outputs, target["distribution"], weight)
        if self.pinball is not None:
            score = (target["score"] - self.quantile_center) / self.quantile_scale
            return self.pinball(outputs, score, target.get("weight"))
        outputs, target = members_as_rows(outputs, target)
        weight = target.get("weight")
        if self.centers is not None:
            logits = outputs if self.logit_shift is None else outputs + self.logit_shift
            return self.emd(logits, target["distribution"], weight)
        predicted, true = outputs.squeeze(1), target["score"]
        assert predicted.shape == true.shape, (predicted.shape, true.shape)
        if weight is None:
            return F.mse_loss(predicted, true)
        return (F.mse_loss(predicted, true, reduction="none") * weight).mean()


def _with_originals(draw, score):
    """The draw as pairs of rows for every row of the result; an original pairs with itself.

    Returns
    -------
    how : dict of str to torch.Tensor of shape (..., 2, B + M, 1)
        ``"rows"`` and their ``"share"``.
    """
    own = torch.arange(score.shape[-1], device=score.device).expand(score.shape)
    first = torch.cat([own, draw.anchors], -1)
    second = torch.cat([own, draw.partners], -1)
    share = torch.cat([torch.ones_like(score), draw.share], -1)
    return {
        "rows": torch.stack([first, second], -2).unsqueeze(-1),
        "share": torch.stack([share, 1 - share], -2).unsqueeze(-1),
    }


def _take_rows(outputs, rows):
    """Rows (..., *shape, 1) of each batch of outputs (..., B, 1)."""
    leading = outputs.shape[:-2]
    if leading:
        starts = torch.arange(0, outputs.numel(), outputs.shape[-2], device=outputs.device)
        rows = rows + starts.view(*leading, *[1] * (rows.ndim - len(leading)))
    return outputs.take(rows)


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
    distribution = scores.new_zeros(len(scores), len(centers))
    distribution.scatter_(1, lower.unsqueeze(1), 1 - upper_share)
    return distribution.scatter_(1, lower.unsqueeze(1) + 1, upper_share)
