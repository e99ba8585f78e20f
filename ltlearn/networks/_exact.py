"""A network in float64, for prediction."""

import copy

import torch
from torch import nn

from ltlearn.data._batches import n_batches
from ltlearn.data._tensors import TensorData
from ltlearn.networks._network import apply_in_batches


class ExactNetwork:
    """A copy of a network in float64 and in evaluation mode, of its weights as they are now.

    The rounding of a row does not depend on the rows that share its batch.

    Parameters
    ----------
    network : torch.nn.Module
    """

    def __init__(self, network):
        self.modules = list(network.modules())
        self.values = [values.clone() for values in _values_of(network)]
        self.network = _in_float64(network)

    def is_of(self, network):
        """Whether a network is still the one that this is a copy of."""
        modules, values = list(network.modules()), list(_values_of(network))
        return (
            len(modules) == len(self.modules)
            and all(now is then for now, then in zip(modules, self.modules, strict=True))
            and len(values) == len(self.values)
            and all(map(_are_equal, values, self.values))
        )

    def apply(self, method, data, batch_size):
        """Outputs (n, ...) of a method, rows passing through it in batches of equal size.

        Parameters
        ----------
        method : str
        data : TensorData or its like
        batch_size : int
        """
        call = getattr(self.network, method)
        device = self.values[0].device if self.values else data.device
        if type(data) is not TensorData:
            return apply_in_batches(
                lambda X: call(X.double()),
                data,
                batch_size=batch_size,
                device=device,
                precision=torch.float32,
            )
        parts = torch.tensor_split(data.X, n_batches(len(data), batch_size))
        with torch.inference_mode():
            parts = [call(part.to(device, torch.float64)) for part in parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


# Modules, beside those of this package, whose state is in parameters, buffers and modules only.
_PLAIN = (
    *(nn.Linear, nn.Sequential, nn.ModuleList, nn.Identity),
    *(nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU),
)


def _in_float64(network):
    """A copy in float64 and in evaluation mode.

    Copying a small network, with its many empty dictionaries of hooks, takes longer than using it.
    """
    kinds = set(map(type, network.modules()))
    if all(kind in _PLAIN or kind.__module__.startswith("ltlearn.") for kind in kinds):
        return _rebuilt(network, {})
    return copy.deepcopy(network).double().eval()


def _rebuilt(module, known):
    """A module with values of its own, which shares all else; ``known`` are new ones by old ids."""
    if id(module) not in known:
        known[id(module)] = new = module.__new__(type(module))
        vars(new).update(vars(module), training=False)
        for kind in ("_parameters", "_buffers"):
            values = vars(module)[kind].items()
            vars(new)[kind] = {name: _rebuilt_values(each, known) for name, each in values}
        vars(new)["_modules"] = {
            name: None if child is None else _rebuilt(child, known)
            for name, child in vars(module)["_modules"].items()
        }
    return known[id(module)]


def _rebuilt_values(values, known):
    if values is None:
        return None
    if id(values) not in known:
        dtype = torch.float64 if values.is_floating_point() else values.dtype
        known[id(values)] = values.detach().to(dtype, copy=True)
    return known[id(values)]


def _values_of(network):
    yield from (parameter.detach() for parameter in network.parameters())
    yield from network.buffers()


def _are_equal(one, other):
    alike = one.device == other.device and one.dtype == other.dtype
    return alike and torch.equal(one, other)
