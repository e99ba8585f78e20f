"""Layers of an ensemble inside one network.

Members are networks of one shape that see the same rows. What they share is held and computed once.
B rows, M members; every layer maps (B, M, n_inputs) to (B, M, n_outputs). The layers are made of
plain tensor operations on their parameters, so that :func:`torch.func.functional_call` and
:func:`torch.vmap` can run them with the stacked parameters of several networks.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MemberLinear(nn.Module):
    r"""A linear layer per member, :math:`W (r_m \odot x_m) + b_m` with a shared or an own matrix.

    Parameters
    ----------
    n_members : int
        M.
    n_inputs, n_outputs : int
    shares_matrix : bool, default=False
        One matrix for all members [1]_, or one for each.
    scales_inputs : bool, default=False
        Whether every member has a learned factor :math:`r_m` per input, which makes members that
        share their matrix see different inputs. Drawn from a normal distribution.

    References
    ----------
    .. [1] Gorishniy et al., "TabM: Advancing Tabular Deep Learning with Parameter-Efficient
       Ensembling", ICLR 2025.
    """

    def __init__(
        self,
        n_members: int,
        n_inputs: int,
        n_outputs: int,
        *,
        shares_matrix: bool = False,
        scales_inputs: bool = False,
    ):
        super().__init__()
        bound = 1 / math.sqrt(max(n_inputs, 1))
        shape = (n_outputs, n_inputs) if shares_matrix else (n_members, n_outputs, n_inputs)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_members, n_outputs).uniform_(-bound, bound))
        self.scale = nn.Parameter(torch.randn(n_members, n_inputs)) if scales_inputs else None

    def forward(self, X: Tensor) -> Tensor:
        """Outputs (B, M, n_outputs).

        Parameters
        ----------
        X : Tensor of shape (B, M, n_inputs) or (B, n_inputs)
            The latter where all members have the same inputs.
        """
        if X.ndim == 2:  # one product for all members
            return F.linear(X, self._own_weight().flatten(0, 1)).unflatten(1, self.bias.shape) + (
                self.bias
            )
        if self.weight.ndim == 2 and self.scale is None:
            return F.linear(X, self.weight) + self.bias
        return torch.einsum("bmi,moi->bmo", X, self._own_weight()) + self.bias

    def _own_weight(self) -> Tensor:
        """Matrices (M, n_outputs, n_inputs) with the factors of the inputs in them."""
        if self.scale is not None:
            return self.weight * self.scale.unsqueeze(1)
        return self.weight.expand(len(self.bias), *self.weight.shape[-2:])

    def extra_repr(self) -> str:
        n_members, n_outputs = self.bias.shape
        return (
            f"n_members={n_members}, n_inputs={self.weight.shape[-1]}, n_outputs={n_outputs}, "
            f"shares_matrix={self.weight.ndim == 2}, scales_inputs={self.scale is not None}"
        )


class MemberDropout(nn.Module):
    """Drop activations in training, of all members the same.

    Parameters
    ----------
    share : float
        Of activations dropped, in [0, 1).
    """

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def forward(self, X: Tensor, mask: Tensor | None = None) -> Tensor:
        """Activations (B, M, D) with the dropped ones at 0 and the others scaled up.

        Parameters
        ----------
        X : Tensor of shape (B, M, D)
        mask : Tensor of shape (B, D), optional
            What `draw_dropout` gives; drawn from the default generator if there is none.
        """
        if not self.training or self.share == 0:
            return X
        if mask is None:
            mask = draw_dropout((len(X), X.shape[-1]), self.share, device=X.device)
        return X * mask.unsqueeze(1)

    def extra_repr(self) -> str:
        return f"share={self.share}"


def draw_dropout(
    shape: tuple[int, ...],
    share: float,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Factors of a dropout: 0 with probability ``share``, else 1 / (1 - share)."""
    kept = torch.empty(shape, device=device).bernoulli_(1 - share, generator=generator)
    return kept.div_(1 - share)


class MemberHead(nn.Module):
    """Outputs of every member from the features of all of them.

    Parameters
    ----------
    n_members : int
        M.
    n_features : int
        Number of features of all members together, M · D.
    n_outputs : int
        K.
    hidden_size : int, default=None
        Width of a hidden layer; None is a linear head.
    dropout : float, default=0.0
        Share of the features dropped in training.
    """

    def __init__(
        self,
        n_members: int,
        n_features: int,
        n_outputs: int,
        *,
        hidden_size: int | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.n_members = n_members
        n_inputs = n_features // n_members
        self.dropout = MemberDropout(dropout)
        layers = []
        if hidden_size is not None:
            layers += [MemberLinear(n_members, n_inputs, hidden_size), nn.ReLU()]
            n_inputs = hidden_size
        self.layers = nn.Sequential(*layers, MemberLinear(n_members, n_inputs, n_outputs))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Outputs (B, M, K).

        Parameters
        ----------
        features : Tensor of shape (B, M · D)
            Those of the first member first.
        mask : Tensor of shape (B, D), optional
            For the dropout, see `MemberDropout`.
        """
        features = features.unflatten(1, (self.n_members, -1))
        return self.layers(self.dropout(features, mask))
