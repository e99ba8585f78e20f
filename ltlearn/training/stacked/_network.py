"""Networks of equal layers as one network: inputs (M, B, ...), outputs (M, B, K)."""

import copy
from contextlib import contextmanager

import torch
from torch import nn
from torch.func import functional_call, vmap

from ltlearn.networks._bounded import Bounded
from ltlearn.networks._cosine import CosineHead
from ltlearn.networks._dropout import Dropout, draw_factors
from ltlearn.networks._members import MemberDropout, MemberHead
from ltlearn.networks._network import Network, ToFloat
from ltlearn.networks._tabular import TabularBody

# Layers without state that treat every number alike, whatever dimensions come before.
_STATELESS = (nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.Identity, ToFloat)

# Modules of which every row passes through on its own, by operations that torch can batch.
_ROW_BY_ROW = (TabularBody, MemberHead, CosineHead, Bounded)


class NotStackableError(Exception):
    """A training has no stacked form; the message says why."""


def check_stackable(network):
    """Raise :class:`NotStackableError` for a Network with layers that have no stacked form."""
    if not all(parameter.requires_grad for parameter in network.parameters()):
        raise NotStackableError("layers are frozen")
    for part in (network.prepare, network.backbone, network.head):
        _check_layers(part)


def _check_layers(module):
    if isinstance(module, nn.Sequential):
        for layer in module:
            _check_layers(layer)
    elif type(module) not in (nn.Linear, Dropout, *_STATELESS, *_ROW_BY_ROW):
        raise NotStackableError(f"{type(module).__name__} has no stacked form")


class StackedNetwork:
    """M networks of equal shape.

    Parameters
    ----------
    networks : list of Network
        Their weights are copied; their layers go on drawing what is dropped.
    input_shape : tuple of int
        Shape of a sample.

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
    features_of = Network.features_of
    apply_head = Network.apply_head

    def __init__(self, networks, input_shape):
        check_stackable(networks[0])
        self.values, self.layers = [], []
        self.present = None
        self.is_training = True
        self._names = []
        n_features = networks[0].n_features
        self.prepare, self.backbone, self.head = (
            self._stack([getattr(network, part) for network in networks], f"{part}.", shape)
            for part, shape in (
                ("prepare", input_shape),
                ("backbone", input_shape),
                ("head", (n_features,)),
            )
        )

    def forward(self, X):
        """Outputs (M, B, K) of raw batches (M, B, *shape)."""
        outputs = self.apply_head(self.features(X))
        return outputs if outputs.ndim == 3 else vmap(self.head.template.combined)(outputs)

    def select(self, members):
        """Keep some of the members, in the given order."""
        index = torch.tensor(members, device=self.values[0].device)
        self.values[:] = [
            values.detach().index_select(0, index).requires_grad_() for values in self.values
        ]
        for layer in self.layers:
            layer.select(members)

    def write_to(self, module, member, values=None):
        """Copy the weights of a member to a network; by default the present ones."""
        parameters = dict(module.named_parameters())
        with torch.no_grad():
            for (name, is_transposed), own in zip(self._names, values or self.values, strict=True):
                own = own[member].mT if is_transposed else own[member]
                parameters[name].copy_(own.view(parameters[name].shape))

    def mask(self, draws, n_rows, trailing, like):
        """What the rows (M, n_rows) of a layer are multiplied by, as each member draws it.

        Parameters
        ----------
        draws : list of M callables
            From a number of rows to factors (n, *trailing).
        n_rows : int
        trailing : tuple of int
        like : torch.Tensor
            Of the type and on the device of the factors.
        """
        mask = like.new_zeros(len(draws), n_rows, *trailing)
        for member, draw in enumerate(draws):
            if self.present is None:
                mask[member] = draw(n_rows)
            else:
                # Before rows are mixed there are fewer of them: those that come first.
                rows = self.present[member, :n_rows]
                mask[member, rows] = draw(int(rows.sum()))
        return mask

    def _stack(self, modules, prefix, shape):
        """A function (M, B, ...) -> (M, B, ...) for corresponding modules of the networks."""
        first = modules[0]
        if isinstance(first, nn.Sequential):
            parts = [
                self._stack([module[i] for module in modules], f"{prefix}{i}.", shape)
                for i in range(len(first))
            ]
            return _Chain(parts)
        if type(first) is nn.Linear:
            return self._stack_linear(modules, prefix)
        if type(first) in _STATELESS:
            return first
        if type(first) is Dropout:
            self.layers.append(_Dropout(self, modules))
        else:
            self.layers.append(_Mapped(self, modules, prefix, shape))
        return self.layers[-1]

    def _stack_linear(self, modules, prefix):
        weight = self.add(f"{prefix}weight", [module.weight.mT for module in modules], True)
        if modules[0].bias is None:
            return lambda X: torch.bmm(X, self.values[weight])
        bias = self.add(f"{prefix}bias", [module.bias.unsqueeze(0) for module in modules])
        return lambda X: torch.baddbmm(self.values[bias], X, self.values[weight])

    def add(self, name, parameters, is_transposed=False):
        """Stack corresponding parameters; returns their place in ``values``."""
        stacked = torch.stack([parameter.detach() for parameter in parameters])
        self.values.append(stacked.contiguous().requires_grad_())
        self._names.append((name, is_transposed))
        return len(self.values) - 1


class _Chain:
    def __init__(self, parts):
        self.parts = parts

    def __call__(self, X):
        for part in self.parts:
            X = part(X)
        return X


class _Dropout:
    """Every member drops from its own rows, by its own generator, as it would alone."""

    def __init__(self, network, modules):
        self.network, self.modules = network, list(modules)

    def select(self, members):
        self.modules = [self.modules[member] for member in members]

    def __call__(self, X):
        if not self.network.is_training:
            return X

        def draw(module, n_rows):
            return draw_factors((n_rows, *X.shape[2:]), module.p, module.generator, X)

        draws = [_bound(draw, module) for module in self.modules]
        return X * self.network.mask(draws, X.shape[1], X.shape[2:], X)


class _Mapped:
    """A module of the first member, run with the parameters and buffers of each."""

    def __init__(self, network, modules, prefix, shape):
        self.network, self.modules = network, list(modules)
        self.template = _without_generators(modules[0])
        self.names = [name for name, _ in self.template.named_parameters()]
        parameters = [dict(module.named_parameters()) for module in modules]
        self.places = [
            network.add(f"{prefix}{name}", [each[name] for each in parameters])
            for name in self.names
        ]
        dropouts = {
            path: module
            for path, module in self.template.named_modules()
            if isinstance(module, MemberDropout) and module.p > 0
        }
        self.sizes = _sizes_of(self.template, dropouts, shape)
        self.dropouts = list(dropouts.values())
        self._prepare()

    def select(self, members):
        self.modules = [self.modules[member] for member in members]
        self._prepare()

    def __call__(self, X):
        self.template.train(self.network.is_training)
        parameters = [self.network.values[place] for place in self.places]
        masks = []
        if self.network.is_training:
            for path, size in self.sizes.items():
                draws = [
                    _bound(_draw_mask, module.get_submodule(path), size, X.device)
                    for module in self.modules
                ]
                masks.append(self.network.mask(draws, X.shape[1], (size,), X))
        return vmap(self._call)(X, parameters, self._buffers, masks)

    def _prepare(self):
        """Stack buffers that are not those of the template, which may be of one who has left."""
        buffers = [dict(module.named_buffers()) for module in self.modules]
        self._buffers = {
            name: torch.stack([each[name] for each in buffers])
            for name, own in self.template.named_buffers()
            if not all(torch.equal(own, each[name]) for each in buffers)
        }

    def _call(self, X, parameters, buffers, masks):
        state = {**dict(zip(self.names, parameters, strict=True)), **buffers}
        with _given_masks(self.dropouts if masks else [], masks):
            return functional_call(self.template, state, (X,))


def _draw_mask(module, size, device, n_rows):
    return module.mask(n_rows, size, device)


def _bound(function, *args):
    return lambda n_rows: function(*args, n_rows)


@contextmanager
def _given_masks(dropouts, masks):
    """Let dropout layers take these masks in place of their own."""
    for dropout, mask in zip(dropouts, masks, strict=True):
        dropout.mask = _constant(mask)
    try:
        yield
    finally:
        for dropout in dropouts:
            del dropout.mask


def _constant(value):
    return lambda *args: value


def _sizes_of(template, dropouts, shape):
    """Widths of the activations that dropout layers see, by path."""
    sizes = {}

    def record(path):
        def mask(n_rows, size, device):
            sizes[path] = size
            return torch.ones(n_rows, size, device=device)

        return mask

    if not dropouts:
        return sizes
    parameter = next(template.parameters())
    for path, dropout in dropouts.items():
        dropout.mask = record(path)
    template.train()
    with torch.no_grad():
        template(parameter.new_zeros(1, *shape))
    for dropout in dropouts.values():
        del dropout.mask
    return sizes


def _without_generators(module):
    """A copy; generators cannot be copied, and belong to the member."""
    generators = [each.generator for each in module.modules() if isinstance(each, Dropout)]
    return copy.deepcopy(module, {id(each): None for each in generators if each is not None})
