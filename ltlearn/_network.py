"""A backbone that maps inputs to features, and a head that maps features to outputs."""

import copy
import inspect

import torch
from torch import nn


class Network(nn.Module):
    """Backbone and head, kept apart so that enhancers can work on the features between them.

    Parameters
    ----------
    build_backbone : callable
        Takes the shape of one sample and returns a module that maps (B, *shape) to (B, D).
    build_head : callable
        Takes D and returns a module that maps (B, D) to (B, n_outputs).
    input_shape : tuple of int
        Shape of one sample, without the batch dimension.
    """

    def __init__(self, build_backbone, build_head, input_shape):
        super().__init__()
        self.backbone = build_backbone(input_shape)
        self.n_features = count_features(self.backbone, input_shape)
        self.head = build_head(self.n_features)

    def features(self, X):
        """Features (B, D) of a batch; integer inputs such as uint8 images become floats here."""
        return self.backbone(X if X.is_floating_point() else X.float())

    def forward(self, X):
        return self.head(self.features(X))


class GivenBackbone:
    """Build a backbone from the module, class or factory a user passed.

    A module instance is copied, so that every fit starts from the weights it came with. A factory
    (or class) with a required argument receives the shape of one sample; others are called without
    arguments.
    """

    def __init__(self, backbone):
        self.backbone = backbone

    def __call__(self, input_shape):
        if isinstance(self.backbone, nn.Module):
            return copy.deepcopy(self.backbone)
        takes_shape = any(
            parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            for parameter in inspect.signature(self.backbone).parameters.values()
        )
        module = self.backbone(input_shape) if takes_shape else self.backbone()
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"The backbone factory {self.backbone!r} returned {type(module).__name__}; "
                "it must return a torch.nn.Module that maps a batch to features (B, D)."
            )
        return module


def count_features(backbone, input_shape):
    """Number of features D a backbone gives, found by passing two zero samples through it.

    Raises
    ------
    ValueError
        When the output is not a floating tensor of shape (2, D).
    """
    was_training = backbone.training
    backbone.eval()
    with torch.no_grad():
        features = backbone(torch.zeros(2, *input_shape))
    backbone.train(was_training)
    if not (torch.is_tensor(features) and features.ndim == 2 and len(features) == 2):
        shape = tuple(features.shape) if torch.is_tensor(features) else type(features).__name__
        raise ValueError(
            "The backbone must map a batch of B samples to features of shape (B, D); for two "
            f"samples of shape {tuple(input_shape)} it gave {shape}."
        )
    return features.shape[1]
