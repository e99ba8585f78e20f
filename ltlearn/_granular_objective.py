"""The training step of granular classification: one softmax over target and auxiliary classes."""

import torch
from torch import nn
from torch.nn import functional as F


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
    """

    def __init__(self, *, loss, log_share, log_balance, log_prior):
        super().__init__()
        self.loss = loss
        self.register_buffer("log_share", log_share.clone())
        self.register_buffer("log_balance", log_balance.clone())
        self.register_buffer("log_prior", log_prior.clone())

    def training_terms(self, network, X, target):
        return {"loss": self.loss(network(X), target["label"], target.get("weight"))}

    def validation_terms(self, outputs, target):
        label, weight = target["label"], target.get("weight")
        weight = torch.ones_like(outputs[:, 0]) if weight is None else weight
        balanced = outputs[:, : len(self.log_balance)] + self.log_balance
        class_weight = torch.zeros_like(self.log_share).index_add(0, label, weight)
        # A class without validation rows has its share in training of one row more.
        share = class_weight + self.log_share.exp()
        losses = F.cross_entropy(balanced + share.log(), label, reduction="none")
        hits = ((balanced + self.log_prior).argmax(1) == label).float()
        class_hits = torch.zeros_like(class_weight).index_add(0, label, weight * hits)
        seen = class_weight > 0
        return {
            "loss": (losses * weight).sum() / weight.sum(),
            "accuracy": (hits * weight).sum() / weight.sum(),
            "balanced_accuracy": (class_hits[seen] / class_weight[seen]).mean(),
        }
