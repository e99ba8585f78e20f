"""Networks of equal layers as one network: inputs (M, B, ...), outputs (M, B, K)."""

import torch
from torch import nn

from ltlearn.networks._network import Network, ToFloat

# Layers without state that treat every number or row alike, whatever dimensions come before.
_STATELESS = (nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.Identity, ToFloat)


class NotStackableError(Exception):
    """A training has no stacked form; the message says why."""


class StackedNetwork:
    """M networks of equal shape.

    Parameters
    ----------
    networks : list of Network
        Their weights are copied.
    generators : list of torch.Generator
        What each member's dropout draws from.

    Attributes
    ----------
    values : list of torch.Tensor of shape (M, ...)
        Parameters that learn.
    present : torch.Tensor of shape (M, R), bool, or None
        Which rows each member has, where some have fewer than others.

    Raises
    ------
    NotStackableError
        For layers that have no stacked form.
    """

    features = Network.features
    apply_head = Network.apply_head
    forward = Network.forward

    def __init__(self, networks, generators):
        self.values = []
        self.generators = generators
        self.present = None
        self.is_training = True
        self._names, self._dropped = [], []
        self.prepare, self.backbone, self.head = (
            self._stack([getattr(network, part) for network in networks], f"{part}.")
            for part in ("prepare", "backbone", "head")
        )

    def select(self, members):
        """Keep some of the members, in the given order."""
        index = torch.tensor(members, device=self.values[0].device)
        self.values[:] = [
            values.detach().index_select(0, index).requires_grad_() for values in self.values
        ]
        for each in (self.generators, *self._dropped):
            each[:] = [each[member] for member in members]

    def write_to(self, module, member, values=None):
        """Copy the weights of a member to a network; by default the present ones."""
        parameters = dict(module.named_parameters())
        with torch.no_grad():
            for (name, is_transposed), own in zip(self._names, values or self.values, strict=True):
                own = own[member].mT if is_transposed else own[member]
                parameters[name].copy_(own.view(parameters[name].shape))

    def _stack(self, modules, prefix):
        """A function (M, B, ...) -> (M, B, ...) for corresponding modules of the networks."""
        first = modules[0]
        if isinstance(first, nn.Sequential):
            layers = [
                self._stack([module[i] for module in modules], f"{prefix}{i}.")
                for i in range(len(first))
            ]
            return _Chain(layers)
        if type(first) is nn.Linear:
            return self._stack_linear(modules, prefix)
        if type(first) is nn.Dropout:
            self._dropped.append([module.p for module in modules])
            return _Dropout(self, self._dropped[-1])
        if type(first) in _STATELESS:
            return first
        raise NotStackableError(f"{type(first).__name__} has no stacked form")

    def _stack_linear(self, modules, prefix):
        weight = self._add(f"{prefix}weight", [module.weight.mT for module in modules], True)
        if modules[0].bias is None:
            return lambda X: torch.bmm(X, self.values[weight])
        bias = self._add(f"{prefix}bias", [module.bias.unsqueeze(0) for module in modules])
        return lambda X: torch.baddbmm(self.values[bias], X, self.values[weight])

    def _add(self, name, parameters, is_transposed=False):
        if not all(parameter.requires_grad for parameter in parameters):
            raise NotStackableError("layers are frozen")
        stacked = torch.stack([parameter.detach() for parameter in parameters])
        self.values.append(stacked.contiguous().requires_grad_())
        self._names.append((name, is_transposed))
        return len(self.values) - 1


class _Chain:
    def __init__(self, layers):
        self.layers = layers

    def __call__(self, X):
        for layer in self.layers:
            X = layer(X)
        return X


class _Dropout:
    """Every member drops from its own rows, by its own generator, as torch would drop for it."""

    def __init__(self, network, shares):
        self.network = network
        self.shares = shares

    def __call__(self, X):
        if not self.network.is_training:
            return X
        mask, present = torch.zeros_like(X), self.network.present
        for member, (share, generator) in enumerate(
            zip(self.shares, self.network.generators, strict=True)
        ):
            # Before rows are mixed there are fewer of them: those that come first.
            rows = slice(None) if present is None else present[member, : X.shape[1]]
            own = torch.empty_like(mask[member, rows]).bernoulli_(1 - share, generator=generator)
            mask[member, rows] = own.div_(1 - share)
        return X * mask
