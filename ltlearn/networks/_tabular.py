"""The body for tables: columns become embeddings, which several members read in their own ways.

A row is a vector of prepared numbers, in this order: numeric columns to embed, other numeric
columns, codes of categories. B rows, M members, D features of each.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltlearn.networks._members import MemberDropout, MemberLinear


class NumericEmbedding(nn.Module):
    r"""Linear and piecewise-linear embedding of numeric columns.

    Column j becomes :math:`w_j x_j + b_j + V_j^\top p(x_j)`, where :math:`p_t(x)` is the share of
    piece t that lies below x, clipped to [0, 1] [1]_. So it can become any function that is linear
    between the edges; it starts as a linear one.

    Parameters
    ----------
    edges : sequence of Tensors of shape (T_j + 1,)
        Increasing edges of the pieces of every column, e.g. quantiles; T_j may be 0 and differ.
    size : int, default=8
        Dimensions a column.

    References
    ----------
    .. [1] Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep Learning",
       NeurIPS 2022, eq. 1.
    """

    def __init__(self, edges: Sequence[Tensor], size: int = 8):
        super().__init__()
        n_columns, n_pieces = len(edges), max([0, *(len(each) - 1 for each in edges)])
        # A piece that a column lacks has slope 0 and so the share 0.
        lower, slope = torch.zeros(n_columns, n_pieces), torch.zeros(n_columns, n_pieces)
        for j, each in enumerate(edges):
            lower[j, : len(each) - 1] = each[:-1]
            slope[j, : len(each) - 1] = 1 / each.diff()
        if not slope.isfinite().all() or (slope < 0).any():
            raise ValueError("The edges of every column must increase, also in float32.")
        self.register_buffer("lower", lower.unsqueeze(2))
        self.register_buffer("slope", slope.unsqueeze(2))
        deviation = 0.5**0.5
        self.weight = nn.Parameter(deviation * torch.randn(n_columns, size))
        self.bias = nn.Parameter(deviation * torch.randn(n_columns, size))
        self.piece_weight = nn.Parameter(torch.zeros(n_columns, size, n_pieces))

    def forward(self, X: Tensor) -> Tensor:
        """Embeddings (B, n_columns · size) of columns (B, n_columns)."""
        pieces = F.hardtanh_((X.T.unsqueeze(1) - self.lower).mul_(self.slope), 0.0, 1.0)
        curves = torch.bmm(self.piece_weight, pieces)  # rows last: products of this shape are fast
        lines = torch.addcmul(self.bias, X.unsqueeze(2), self.weight)
        return (lines + curves.permute(2, 0, 1)).flatten(1)


class CategoryEncoding(nn.Module):
    """One indicator per category of columns with few, a learned embedding of those with many.

    Code 0 stands for whatever has no place of its own, such as categories never seen: no indicator
    is 1 then, and the embedding starts at 0.

    Parameters
    ----------
    n_codes : sequence of int
        Number of codes of every column, 0 included.
    max_indicators : int, default=64
        Columns with more codes than this get an embedding.
    size : int, default=16
        Dimensions of an embedding.
    """

    def __init__(self, n_codes: Sequence[int], *, max_indicators: int = 64, size: int = 16):
        super().__init__()
        few = [j for j, n in enumerate(n_codes) if n <= max_indicators]
        many = [j for j, n in enumerate(n_codes) if n > max_indicators]
        self.register_buffer("few", torch.tensor(few, dtype=torch.long))
        self.register_buffer("many", torch.tensor(many, dtype=torch.long))
        self.register_buffer("few_starts", _starts([n_codes[j] for j in few]))
        self.register_buffer("many_starts", _starts([n_codes[j] for j in many]))
        # Code 0 of each column has an indicator, too, which is dropped: it would start at random.
        n_few = sum(n_codes[j] for j in few)
        is_known = torch.ones(n_few, dtype=torch.bool)
        is_known[self.few_starts] = False
        self.register_buffer("known", is_known.nonzero().squeeze(1))
        self.n_indicators = n_few
        self.embedding = None
        if many:
            self.embedding = nn.Parameter(torch.randn(sum(n_codes[j] for j in many), size))
            with torch.no_grad():
                self.embedding[self.many_starts] = 0
        self.n_outputs = len(self.known) + size * len(many)

    def forward(self, codes: Tensor) -> Tensor:
        """Encodings (B, n_outputs) of codes (B, n_columns), whole numbers in a floating type."""
        indicators = codes.new_zeros(codes.shape[0], self.n_indicators)
        ones = codes.new_ones(codes.shape[0], len(self.few))
        codes = codes.long()
        # From a tensor rather than a number: so it is one operation for several networks, too.
        indicators = indicators.scatter(1, codes[:, self.few] + self.few_starts, ones)
        parts = [indicators[:, self.known]]
        if self.embedding is not None:
            parts.append(self.embedding[codes[:, self.many] + self.many_starts].flatten(1))
        return torch.cat(parts, 1)


class TabularBody(nn.Module):
    """Features of several members from the columns of a table.

    Columns become embeddings, all of which every member reads through its own factors; the matrices
    of the hidden layers are shared, the biases are not [1]_. Enhancers that mix the features of
    rows mix those of every member alike, and the cosine of two rows is one over all members.

    Parameters
    ----------
    edges : sequence of Tensors
        Of the pieces of the columns to embed, see `NumericEmbedding`.
    n_plain : int, default=0
        Number of numeric columns after those, which are taken as they are.
    n_codes : sequence of int, default=()
        Number of codes of every category column, the last ones; see `CategoryEncoding`.
    hidden_layer_sizes : sequence of int, default=(128, 128)
        The last one is D.
    n_members : int, default=4
        M.
    dropout : float, default=0.0
        Share of activations dropped between hidden layers in training, the same of all members.

    References
    ----------
    .. [1] Gorishniy et al., "TabM: Advancing Tabular Deep Learning with Parameter-Efficient
       Ensembling", ICLR 2025.

    Examples
    --------
    >>> import torch
    >>> body = TabularBody([torch.linspace(-3, 3, 9)], n_plain=1, n_codes=[4], n_members=2)
    >>> body(torch.tensor([[-0.5, 1.0, 3.0], [2.5, 0.0, 0.0]])).shape
    torch.Size([2, 256])
    """

    def __init__(
        self,
        edges: Sequence[Tensor],
        n_plain: int = 0,
        n_codes: Sequence[int] = (),
        *,
        hidden_layer_sizes: Sequence[int] = (128, 128),
        n_members: int = 4,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.column_counts = (len(edges), n_plain, len(n_codes))
        self.n_members = n_members
        n_inputs = n_plain
        self.numeric = NumericEmbedding(edges) if len(edges) else None
        if self.numeric is not None:
            n_inputs += self.numeric.bias.numel()
        self.categories = CategoryEncoding(n_codes) if len(n_codes) else None
        if self.categories is not None:
            n_inputs += self.categories.n_outputs
        self.layers = nn.ModuleList()
        for n_outputs in hidden_layer_sizes:
            is_first = not self.layers
            self.layers.append(
                MemberLinear(
                    n_members,
                    n_inputs,
                    n_outputs,
                    shares_matrix=True,
                    scales_inputs=is_first and n_members > 1,
                )
            )
            n_inputs = n_outputs
        self.dropouts = nn.ModuleList(MemberDropout(dropout) for _ in self.layers[1:])

    def forward(self, X: Tensor) -> Tensor:
        """Features (B, M · D) of rows (B, n_columns), those of the first member first."""
        features = self.inputs(X)
        if not self.layers:
            return features.repeat(1, self.n_members)
        for number, layer in enumerate(self.layers):
            if number:
                features = self.dropouts[number - 1](features)
            features = layer(features).relu_()
        return features.transpose(0, 1).flatten(1)

    def inputs(self, X: Tensor) -> Tensor:
        """What members read of a batch (B, n_columns): a vector a row."""
        numbers, plain, codes = X.split(self.column_counts, 1)
        parts = [] if self.numeric is None else [self.numeric(numbers)]
        parts.append(plain)
        if self.categories is not None:
            parts.append(self.categories(codes))
        return torch.cat(parts, 1)


def _starts(sizes: Sequence[int]) -> Tensor:
    """Where each of several tables that stand one below the other begins."""
    return torch.tensor([0, *sizes], dtype=torch.long).cumsum(0)[:-1]
