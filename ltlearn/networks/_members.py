"""Layers of an ensemble inside one network.

Members are networks of one shape that see the same rows. What they share is held and computed once.
B rows, M members; every layer maps (M, B, n_inputs) to (M, B, n_outputs), which matrix products
take without copies. The layers are made of plain tensor operations on their parameters, so that
:func:`torch.func.functional_call` and :func:`torch.vmap` can run them with the stacked parameters
of several networks.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltlearn.networks._bounded import Bounded
from ltlearn.networks._dropout import Dropout, draw_factors


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
        """Outputs (M, B, n_outputs).

        Parameters
        ----------
        X : Tensor of shape (M, B, n_inputs) or (B, n_inputs)
            The latter where all members have the same inputs.
        """
        bias, weight = self.bias.unsqueeze(1), self.weight
        if weight.ndim == 2 and self.scale is None:
            outputs = F.linear(X, weight)
            return outputs + bias if X.ndim == 2 else outputs.add_(bias)
        if self.scale is not None:
            if weight.ndim == 2 and X.shape[-2] < len(weight):  # fewer products than the other way
                return F.linear(X * self.scale.unsqueeze(1), weight).add_(bias)
            weight = weight * self.scale.unsqueeze(1)
        return torch.baddbmm(bias, X.expand(len(bias), -1, -1), weight.mT)

    def extra_repr(self) -> str:
        n_members, n_outputs = self.bias.shape
        return (
            f"n_members={n_members}, n_inputs={self.weight.shape[-1]}, n_outputs={n_outputs}, "
            f"shares_matrix={self.weight.ndim == 2}, scales_inputs={self.scale is not None}"
        )


class MemberDropout(Dropout):
    """Drop activations in training, of all members the same.

    What is dropped is drawn for many rows at once, which the next batches use up: it does not
    depend on how rows are cut into batches, and whoever trains several networks together can draw
    the same.

    Parameters
    ----------
    p : float
        Share of activations dropped, in [0, 1).

    Attributes
    ----------
    drawn : Tensor of shape (n, D) or None
        Factors of the next rows, as far as they are drawn.
    """

    rows_at_once = 1024

    def __init__(self, p: float):
        self.drawn = None
        super().__init__(p)

    @property
    def generator(self):
        return self._generator

    @generator.setter
    def generator(self, generator):
        self._generator, self.drawn = generator, None

    def forward(self, X: Tensor) -> Tensor:
        """Activations (M, B, D) with the dropped ones at 0 and the others scaled up."""
        if not self.training or self.p == 0:
            return X
        return X * self.mask(*X.shape[-2:], X.device)

    def mask(self, n_rows: int, size: int, device: torch.device | str = "cpu") -> Tensor:
        """Factors (n_rows, size) of the next rows: 0 for what is dropped, else 1 / (1 - p)."""
        if torch.compiler.is_compiling():
            return F.dropout(torch.ones(n_rows, size, device=device), self.p)
        parts = []
        while n_rows:
            if self.drawn is None or not len(self.drawn) or self.drawn.shape[1] != size:
                self.drawn = self._draw(size, device)
            part, self.drawn = self.drawn[:n_rows], self.drawn[n_rows:]
            parts.append(part)
            n_rows -= len(part)
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts) if parts else torch.ones(0, size, device=device)

    def _draw(self, size, device):
        like = torch.empty(0, device=device)
        return draw_factors((self.rows_at_once, size), self.p, self.generator, like)


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
    gives_logits : bool, default=False
        Whether the outputs are logits, so that members are averaged in probability.
    bounds : (float, float), default=None
        Range of the outputs, by a sigmoid.
    """

    def __init__(
        self,
        n_members: int,
        n_features: int,
        n_outputs: int,
        *,
        hidden_size: int | None = None,
        dropout: float = 0.0,
        gives_logits: bool = False,
        bounds: tuple[float, float] | None = None,
    ):
        super().__init__()
        self.n_members = n_members
        self.gives_logits = gives_logits
        n_inputs = n_features // n_members
        self.dropout = MemberDropout(dropout)
        layers = []
        if hidden_size is not None:
            layers += [MemberLinear(n_members, n_inputs, hidden_size), nn.ReLU()]
            n_inputs = hidden_size
        bounded = [] if bounds is None else [Bounded(*bounds)]
        self.layers = nn.Sequential(*layers, MemberLinear(n_members, n_inputs, n_outputs), *bounded)

    def forward(self, features: Tensor) -> Tensor:
        """Outputs (B, M, K) of features (B, M · D), those of the first member first."""
        features = features.unflatten(1, (self.n_members, -1)).transpose(0, 1)
        return self.layers(self.dropout(features)).transpose(0, 1)

    def combined(self, outputs: Tensor) -> Tensor:
        """Outputs (B, K) of the ensemble from those of its members (B, M, K).

        Their mean, or the logarithms of the mean probabilities.
        """
        if not self.gives_logits:
            return outputs.mean(1)
        return outputs.log_softmax(-1).logsumexp(1) - math.log(self.n_members)
