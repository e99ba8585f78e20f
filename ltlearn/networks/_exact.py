"""A network in float64, for prediction."""

import copy

import torch

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


def _values_of(network):
    yield from (parameter.detach() for parameter in network.parameters())
    yield from network.buffers()


def _are_equal(one, other):
    alike = one.device == other.device and one.dtype == other.dtype
    return alike and torch.equal(one, other)
