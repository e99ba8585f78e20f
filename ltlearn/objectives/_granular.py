"""The training step of granular classification: one softmax over target and auxiliary classes."""

import random

import torch
from torch import nn
from torch.nn import functional as F

from ltlearn.enhancers import FeatureMix, FeatureMixup
from ltlearn.objectives._members import members_as_rows
from ltlearn.objectives._mixed import mixed_loss
from ltlearn.objectives._own import OwnEnhancers, OwnLoss, names_of_own
from ltlearn.utils._random import seed_for


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
    own_enhancers : OwnEnhancers, default=None
        Act on features and labels, which are shares of classes where rows are mixed.
    n_outputs : int, default=None
        Number of all classes, for own enhancers.
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
        own_enhancers=None,
        n_outputs=None,
    ):
        super().__init__()
        self.loss = loss
        self.views = views
        self.feature_mixup = FeatureMixup(feature_mixup) if feature_mixup else None
        self.own_enhancers = own_enhancers
        self.n_outputs = n_outputs
        self.generator = self.shares = self.own_generator = None
        self.register_buffer("log_share", log_share.clone())
        self.register_buffer("log_balance", log_balance.clone())
        self.register_buffer("log_prior", log_prior.clone())

    @property
    def is_stackable(self):
        has_own_parts = isinstance(self.loss, OwnLoss) or self.own_enhancers is not None
        return self.views is None and not has_own_parts

    def seed(self, seed, device):
        """Draw how rows are mixed from an own generator from now on; None ends that."""
        self.generator = None if seed is None else torch.Generator("cpu").manual_seed(seed)
        self.shares = None if seed is None else random.Random(seed)
        self.own_generator = None
        if seed is not None and self.own_enhancers is not None:
            own_seed = seed_for(seed, "own enhancers")
            self.own_generator = torch.Generator(device).manual_seed(own_seed)

    @property
    def own_names(self):
        """Names of losses and enhancers of the user's own."""
        return names_of_own(self.loss, self.own_enhancers)

    def set_epoch(self, epoch):
        """Tell losses and enhancers of the user's own the number of the epoch, from 0."""
        for part in (self.loss, self.own_enhancers):
            if isinstance(part, OwnLoss | OwnEnhancers):
                part.set_epoch(epoch)

    def training_terms(self, network, X, target):
        if self.feature_mixup is not None:
            draw = self.feature_mixup.draw(len(X), self.shares, X.device)
            target = {**target, **draw._asdict()}
        if self.views is not None:
            return self.views.terms(network, X, target, self._loss_of, self.generator)
        if self.own_enhancers is None:
            return self.terms(*self.pass_through(network, X, target), target)
        features = network.features_of(self._mixed(network, X, target))
        if "partners" in target:
            target = _shared_labels(target, self.n_outputs)
        features, target, more = self.own_enhancers(features, target, self.own_generator)
        task = self._loss_of(network.apply_head(features), target)
        return {"loss": sum(more.values(), task), "task": task, **more}

    def _mixed(self, network, X, target):
        """Prepared rows, mixed as the target says."""
        prepared = network.prepare(X)
        return _draw_in(target).mix(prepared) if "partners" in target else prepared

    def draw_shares(self, n_batches):
        """What the rows of the next batches keep of themselves in feature mixup: a list."""
        if self.feature_mixup is None:
            return [1.0] * n_batches
        return [self.feature_mixup.draw(0, self.shares).share for _ in range(n_batches)]

    def pass_through(self, network, X, target):
        """Features and outputs of batches (..., B, *shape), mixed as the target says."""
        features = network.features_of(self._mixed(network, X, target))
        return features, network.apply_head(features)

    def terms(self, features, outputs, target):
        """Loss terms of what ``pass_through`` gives for a single batch."""
        if "partners" not in target:
            return {"loss": self._loss_of(outputs, target)}
        rows = {name: target[name] for name in ("label", "weight") if name in target}
        return {"loss": mixed_loss(outputs, rows, _draw_in(target), self._loss_of)}

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
        if isinstance(self.loss, OwnLoss):
            return self.loss(logits, target["label"], target.get("weight"))
        logits, target = members_as_rows(logits, target)
        return self.loss(logits, target["label"], target.get("weight"))

    def _balanced(self, outputs):
        return outputs[:, : len(self.log_balance)] + self.log_balance

    def _per_class(self, values, label):
        return torch.zeros_like(self.log_share).index_add(0, label, values)


def _draw_in(target):
    return FeatureMix(*(target[name] for name in FeatureMix._fields))


def _shared_labels(target, n_classes):
    """Targets of mixed rows, whose labels are the shares (B, C) of both partners' classes.

    Weights are such that the loss of a row, linear in the label, is what those of both partners,
    each with its own weight, come to.
    """
    draw, weight = _draw_in(target), _weight(target)
    own = F.one_hot(target["label"], n_classes).to(weight.dtype)
    shares = torch.lerp(
        (weight.unsqueeze(1) * own)[draw.partners], weight.unsqueeze(1) * own, draw.share
    )
    total = shares.sum(1)
    label = {"label": shares / torch.where(total > 0, total, 1).unsqueeze(1)}
    return {**label, "weight": total} if "weight" in target else label


def _weight(target):
    weight = target.get("weight")
    return torch.ones_like(target["label"], dtype=torch.float32) if weight is None else weight
