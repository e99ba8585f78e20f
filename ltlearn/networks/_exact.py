"""A network in float64, for prediction."""

import copy

import torch

from ltlearn.data._batches import n_batches


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
        self.network = copy.deepcopy(network).double().eval()

    def is_of(self, network):
        """Whether a network is still the one that this is a copy of."""
        modules, values = list(network.modules()), list(_values_of(network))
        return (
            len(modules) == len(self.modules)
            and all(now is then for now, then in zip(modules, self.modules, strict=True))
            and len(values) == len(self.values)
            and all(map(_are_equal, values, self.values))
        )

    def apply(self, method, X, batch_size):
        """Outputs (n, ...) of a method, rows passing through it in batches of equal size."""
        call = getattr(self.network, method)
        device = next(iter(self.values), X).device
        parts = torch.tensor_split(X, n_batches(len(X), batch_size))
        with torch.inference_mode():
            parts = [call(part.to(device, torch.float64)) for part in parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _values_of(network):
    yield from (parameter.detach() for parameter in network.parameters())
    yield from network.buffers()


def _are_equal(one, other):
    alike = one.device == other.device and one.dtype == other.dtype
    return alike and torch.equal(one, other)
