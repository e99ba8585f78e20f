"""The training step of granular classification: one softmax over target and auxiliary classes."""

import random

import torch
from torch import nn
from torch.nn import functional as F

from ltlearn.enhancers import FeatureMix, FeatureMixup
from ltlearn.objectives._members import members_as_rows


class GranularObjective(nn.Module):
    """Loss terms of a batch, and of a validation set.

    Targets are a dict of ``"label"`` (B,), class codes with the target classes first, and
    optionally ``"weight"`` (B,).

    Parameters
    ----------
    loss : torch.nn.Module
        Called with the logits (B, C_target + C_auxiliary), the labels and the weights.
    log_share : torch.Tensor of shape (C_target,)
        Log shares of the target classes in training.
    log_balance : torch.Tensor of shape (C_target,)
        Added to the logits of the target classes, it makes them refer to balanced classes.
    log_prior : torch.Tensor of shape (C_target,)
        Log shares of the target classes that predictions refer to.
    views : ImageViews, default=None
        How the images of a batch are mixed.
    feature_mixup : float, default=0
        Of mixing the rows of a batch, see :class:`~ltlearn.enhancers.FeatureMixup`.
    """

    before_steps = ("feature_mixup",)

    def __init__(
        self,
        *,
        loss,
        log_share,
        log_balance,
        log_prior,
        views=None,
        feature_mixup=0.0,
    ):
        super().__init__()
        self.loss = loss
        self.views = views
        self.feature_mixup = FeatureMixup(feature_mixup) if feature_mixup else None
        self.generator = self.shares = None
        self.register_buffer("log_share", log_share.clone())
        self.register_buffer("log_balance", log_balance.clone())
        self.register_buffer("log_prior", log_prior.clone())

    @property
    def is_stackable(self):
        return self.views is None

    def seed(self, seed, device):
        """Draw how rows are mixed from an own generator from now on; None ends that."""
        self.generator = None if seed is None else torch.Generator("cpu").manual_seed(seed)
        self.shares = None if seed is None else random.Random(seed)

    def training_terms(self, network, X, target):
        if self.feature_mixup is not None:
            draw = self.feature_mixup.draw(len(X), self.shares, X.device)
            target = {**target, **draw._asdict()}
        if self.views is not None:
            return self.views.terms(network, X, target, self._loss_of, self.generator)
        return self.terms(*self.pass_through(network, X, target), target)

    def draw_shares(self, n_batches):
        """What the rows of the next batches keep of themselves in feature mixup: a list."""
        if self.feature_mixup is None:
            return [1.0] * n_batches
        return [self.feature_mixup.draw(0, self.shares).share for _ in range(n_batches)]

    def pass_through(self, network, X, target):
        """Features and outputs of batches (..., B, *shape), mixed as the target says."""
        prepared = network.prepare(X)
        if "partners" in target:
            prepared = _draw_in(target).mix(prepared)
        features = network.features_of(prepared)
        return features, network.apply_head(features)

    def terms(self, features, outputs, target):
        """Loss terms of what ``pass_through`` gives for a single batch."""
        loss = self._loss_of(outputs, target)
        if "partners" not in target:
            return {"loss": loss}
        draw = _draw_in(target)
        other = {
            name: target[name].index_select(0, draw.partners)
            for name in ("label", "weight")
            if name in target
        }
        return {"loss": draw.expected(loss, self._loss_of(outputs, other))}

    def validation_terms(self, outputs, target):
        label, weight = target["label"], _weight(target)
        hits = weight * ((self._balanced(outputs) + self.log_prior).argmax(1) == label)
        class_weight = self._per_class(weight, label)
        seen = class_weight > 0
        recall = self._per_class(hits, label) / torch.where(seen, class_weight, 1)
        return {
            "loss": self.validation_loss(outputs, target),
            "accuracy": hits.sum() / weight.sum(),
            "balanced_accuracy": recall.sum() / seen.sum(),
        }

    def validation_loss(self, outputs, target, temperature=1.0):
        """Cross-entropy over the target classes, at the class shares of these rows."""
        label, weight = target["label"], _weight(target)
        # One row more, of the classes in their training shares, for classes without any.
        share = self._per_class(weight, label) + self.log_share.exp()
        logits = self._balanced(outputs) / temperature + share.log()
        losses = F.cross_entropy(logits, label, reduction="none")
        return (weight * losses).sum() / weight.sum()

    def _loss_of(self, logits, target):
        logits, target = members_as_rows(logits, target)
        return self.loss(logits, target["label"], target.get("weight"))

    def _balanced(self, outputs):
        return outputs[:, : len(self.log_balance)] + self.log_balance

    def _per_class(self, values, label):
        return torch.zeros_like(self.log_share).index_add(0, label, values)


def _draw_in(target):
    return FeatureMix(*(target[name] for name in FeatureMix._fields))


def _weight(target):
    weight = target.get("weight")
    return torch.ones_like(target["label"], dtype=torch.float32) if weight is None else weight
