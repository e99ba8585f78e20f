"""The built-in backbone for tables and embeddings."""

from collections.abc import Sequence

from torch import nn

from ltlearn.networks._dropout import Dropout


class MLP(nn.Sequential):
    """Fully connected layers with ReLU, and dropout between them.

    Parameters
    ----------
    n_inputs : int
        Number of input features.
    hidden_layer_sizes : sequence of int, default=(128, 64)
        Width of each layer. The last one is the number of output features D; an empty sequence
        passes the inputs through unchanged.
    dropout : float, default=0.0
        Probability of dropping an activation between two layers during training. The features
        that come out are complete; a head drops them itself if it wants to.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.networks import MLP
    >>> MLP(5, hidden_layer_sizes=(16, 8))(torch.zeros(3, 5)).shape
    torch.Size([3, 8])
    """

    def __init__(
        self, n_inputs: int, hidden_layer_sizes: Sequence[int] = (128, 64), dropout: float = 0.0
    ) -> None:
        layers: list[nn.Module] = []
        for n_outputs in hidden_layer_sizes:
            if layers and dropout:
                layers.append(Dropout(dropout))
            layers += [nn.Linear(n_inputs, n_outputs), nn.ReLU()]
            n_inputs = n_outputs
        super().__init__(*layers)
