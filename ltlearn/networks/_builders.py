"""Build a backbone, from the shape of one sample, as a user asked for it."""

import copy
import inspect

import torch
from torch import nn

from ltlearn.networks._mlp import MLP
from ltlearn.networks._tabular import TabularBody


class MLPBuilder:
    """Build the backbone for tables of numbers and embeddings.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
    dropout : float
    """

    def __init__(self, hidden_layer_sizes, dropout):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout

    def __call__(self, input_shape):
        return MLP(input_shape[0], self.hidden_layer_sizes, self.dropout)


class TabularBuilder:
    """Build the body for tables.

    Parameters
    ----------
    edges : list of ndarrays of shape (T_j + 1,)
    n_plain : int
    n_codes : list of int
    hidden_layer_sizes : tuple of int
    n_members : int
    dropout : float
        As of :class:`~ltlearn.networks._tabular.TabularBody`.
    """

    def __init__(self, edges, n_plain, n_codes, *, hidden_layer_sizes, n_members, dropout):
        self.edges = edges
        self.n_plain = n_plain
        self.n_codes = n_codes
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_members = n_members
        self.dropout = dropout

    def __call__(self, input_shape):
        return TabularBody(
            [torch.from_numpy(each) for each in self.edges],
            self.n_plain,
            self.n_codes,
            hidden_layer_sizes=self.hidden_layer_sizes,
            n_members=self.n_members,
            dropout=self.dropout,
        )


class GivenBackbone:
    """Build a backbone from the module, class or factory a user passed.

    A module instance is copied, so that every fit starts from the weights it came with. All weights
    are float32 on the CPU then, whatever they were and wherever; a net moves them on. A factory
    (or class) with a required argument receives the shape of one sample; others are called without
    arguments.
    """

    def __init__(self, backbone):
        self.backbone = backbone

    def __call__(self, input_shape):
        if isinstance(self.backbone, nn.Module):
            return copy.deepcopy(self.backbone).cpu().float()
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
        return module.cpu().float()


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
