"""Build a backbone, from the shape of one sample, as a user asked for it."""

import copy
import inspect

from torch import nn


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
            for parameter in _parameters(self.backbone)
        )
        try:
            module = self.backbone(input_shape) if takes_shape else self.backbone()
        except TypeError as error:
            given = f"the shape of a sample, {tuple(input_shape)}" if takes_shape else "nothing"
            raise TypeError(
                f"The backbone factory {self.backbone!r} was called with {given}, and failed: "
                f"{error}. Pass a module, or a function of that shape that makes one."
            ) from error
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"The backbone factory {self.backbone!r} returned {type(module).__name__}; "
                "it must return a torch.nn.Module that maps a batch to features (B, D)."
            )
        return module


def _parameters(factory):
    """Those of a callable, as far as they are known: some built-in ones do not tell."""
    try:
        return inspect.signature(factory).parameters.values()
    except ValueError:
        return ()


class NamedBackbone:
    """Build a backbone from its name in timm.

    Parameters
    ----------
    name : str
    params : dict
        Arguments of :func:`ltlearn.networks.timm_backbone`.
    """

    def __init__(self, name, params):
        self.name = name
        self.params = params

    def __call__(self, input_shape):
        from ltlearn.networks._timm import timm_backbone

        return timm_backbone(self.name, **self.params)
