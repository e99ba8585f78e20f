"""Networks as what builds them and their weights."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from ltlearn.exceptions import SavedFileError
from ltlearn.features._frozen import freeze
from ltlearn.networks._builders import GivenBackbone, MLPBuilder, NamedBackbone, TabularBuilder
from ltlearn.utils._random import isolated_generators

# How timm's models get weights when they are built; in a file they have their own.
_SOURCES = ("pretrained", "checkpoint_path")


@dataclass
class OwnBackbone:
    """Stands for a user's own module, class or factory, which no file holds."""

    name: str

    @classmethod
    def of(cls, backbone):
        kind = backbone if isinstance(backbone, type) else type(backbone)
        return cls(getattr(backbone, "__qualname__", kind.__qualname__))


@dataclass
class SavedNet:
    """A trained net, taken apart.

    Parameters
    ----------
    build_backbone, build_head : callable
        As for :class:`~ltlearn.networks._network.Network`.
    input_shape : tuple of int
    is_frozen : bool
    weights : dict of str to torch.Tensor
    history : list of dict
    optimizer : dict or None
        State of the optimizer, where it was kept.
    batch_size, max_epochs : int
    """

    build_backbone: Any
    build_head: Any
    input_shape: tuple
    is_frozen: bool
    weights: dict
    history: list
    optimizer: Any
    batch_size: int
    max_epochs: int

    @classmethod
    def of(cls, net):
        state = net.training_state()
        return cls(
            build_backbone=_without_sources(net.module__build_backbone),
            build_head=net.module__build_head,
            input_shape=tuple(net.module__input_shape),
            is_frozen=net.module_.is_backbone_frozen,
            weights=state["weights"],
            history=state["history"],
            optimizer=state["optimizer"],
            batch_size=net.batch_size,
            max_epochs=net.max_epochs,
        )

    def restore(self, estimator):
        """The net, on the device of the estimator that it belongs to."""
        _check_sizes(self)
        network = {
            "build_backbone": _without_sources(self.build_backbone),
            "build_head": self.build_head,
            "build_preparation": estimator._inputs.build_preparation,
            "input_shape": tuple(self.input_shape),
            "freeze_backbone": self.is_frozen,
        }
        net = estimator._untrained_net(
            network, batch_size=self.batch_size, max_epochs=self.max_epochs
        )
        check_weights(net.module_, self.weights)
        net.restore({"weights": self.weights, "history": self.history, "optimizer": self.optimizer})
        return net


@dataclass
class SavedBackbone:
    """A frozen backbone, taken apart."""

    build: Any
    weights: dict

    @classmethod
    def of(cls, features):
        build = GivenBackbone(features.backbone)
        if isinstance(features.backbone, str):
            build = NamedBackbone(features.backbone, features._timm_params())
        return cls(_without_sources(build), dict(features.backbone_.state_dict()))

    def restore(self, features):
        """The backbone, its fingerprint and its number of features."""
        spec = features.input_spec_
        with isolated_generators(0, torch.device("cpu")):
            module = _without_sources(self.build)((spec.channels, *spec.size)).cpu().float()
        check_weights(module, self.weights)
        module.load_state_dict(self.weights)
        return freeze(module, spec)


def check_weights(module, weights):
    """Raise where weights are not those of a module, by names, types and shapes."""
    known = module.state_dict()
    odd = sorted(known.keys() ^ weights.keys())
    if odd:
        raise SavedFileError(
            f"the weights of the file are not those of {type(module).__name__}: {odd[0]!r} is in "
            f"{'the file' if odd[0] in weights else 'the network'} alone."
        )
    for name, values in known.items():
        found = weights[name]
        if found.shape != values.shape or found.dtype != values.dtype:
            raise SavedFileError(
                f"the weights {name!r} of the file are of type {found.dtype} and shape "
                f"{tuple(found.shape)}, those of the network of type {values.dtype} and shape "
                f"{tuple(values.shape)}."
            )
        if found.is_floating_point() and not found.isfinite().all():
            raise SavedFileError(f"the weights {name!r} of the file are not finite.")


def _check_sizes(saved):
    """Raise where a network would be larger than the weights in the file, before it is built."""
    widths = []
    if isinstance(saved.build_backbone, MLPBuilder | TabularBuilder):
        widths += saved.build_backbone.hidden_layer_sizes
    if isinstance(saved.build_backbone, TabularBuilder):
        widths += [saved.build_backbone.n_members, sum(saved.build_backbone.n_codes)]
    head = getattr(saved.build_head, "build_head", saved.build_head)
    for name in ("n_outputs", "n_bins", "n_members"):
        widths.append(getattr(head, name, None) or 1)
    if isinstance(saved.build_backbone, MLPBuilder):
        widths += saved.input_shape
    n_weights = sum(values.numel() for values in saved.weights.values())
    least = max(widths, default=0)
    if isinstance(saved.build_backbone, MLPBuilder | TabularBuilder):
        sizes = saved.build_backbone.hidden_layer_sizes
        least = max([least, *(math.prod(pair) for pair in pairwise(sizes))])
    if least > max(n_weights, 2):
        raise SavedFileError("the network would be larger than its weights in the file.")


def _without_sources(build):
    if isinstance(build, NamedBackbone):
        params = {name: value for name, value in build.params.items() if name not in _SOURCES}
        return NamedBackbone(build.name, {**params, "pretrained": False})
    return build


def is_own(backbone):
    """Whether a parameter ``backbone`` is a user's own module, class or factory."""
    return isinstance(backbone, nn.Module) or callable(backbone)
