"""Mixup of the rows of a batch, for tables and features."""

import random
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ltlearn.enhancers._rows import rows_of, with_ndim


class FeatureMix(NamedTuple):
    """One draw: every row keeps ``share`` of itself and takes the rest from its partner.

    Leading dimensions count independent batches of equal size.

    Attributes
    ----------
    share : float or Tensor of shape (...)
        λ in [0, 1], the same for the whole batch.
    partners : Tensor of shape (..., B), int64
        Row number of each row's partner.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.enhancers import FeatureMix
    >>> FeatureMix(0.75, torch.tensor([1, 0])).mix(torch.tensor([0.0, 4.0]))
    tensor([1., 3.])
    """

    share: float
    partners: Tensor

    def mix(self, values: Tensor) -> Tensor:
        """Mix rows: ``λ x_i + (1 - λ) x_partner(i)``.

        Parameters
        ----------
        values : Tensor of shape ``(..., B, *shape)``, floating

        Returns
        -------
        Tensor of the same shape
        """
        share = self.share
        if torch.is_tensor(share):
            share = with_ndim(share, values.ndim).to(values.dtype)
        return torch.lerp(rows_of(values, self.partners), values, share)

    def expected(self, own: Tensor, others: Tensor) -> Tensor:
        """Mix losses: ``λ own + (1 - λ) others``.

        Parameters
        ----------
        own, others : Tensor of any one shape
            Losses of the mixed rows for their own labels and for those of their partners.

        Returns
        -------
        Tensor of that shape
        """
        return torch.lerp(others, own, self.share)


class FeatureMixup(nn.Module):
    r"""Mix every row of a batch with another one, and its label likewise.

    .. math:: \tilde x_i = \lambda x_i + (1 - \lambda) x_{B + 1 - i}, \qquad
        L_i = \lambda L(\tilde x_i, y_i) + (1 - \lambda) L(\tilde x_i, y_{B + 1 - i}), \qquad
        \lambda \sim \mathrm{Beta}(\alpha, \alpha)

    with one λ for the batch [1]_. In a shuffled batch, the partner, which is the row at the same
    place from the end, is a random one; the row in the middle of an odd batch keeps to itself. A
    loss that differs by label, such as
    :class:`~ltlearn.losses.NeighborSilencingLoss`, is taken once for each of both labels.

    Parameters
    ----------
    alpha : float, default=0.5
        Of the Beta distribution: near 0 rows stay almost as they are, 1 draws every share alike.

    Raises
    ------
    ValueError
        If ``alpha`` is not positive and finite.

    References
    ----------
    .. [1] Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, eq. 2.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.enhancers import FeatureMixup
    >>> features, labels = torch.eye(3), torch.tensor([0, 1, 2])
    >>> draw = FeatureMixup(0.5).draw(3, torch.Generator().manual_seed(0))
    >>> draw.mix(features).sum(dim=1), labels[draw.partners]
    (tensor([1., 1., 1.]), tensor([2, 1, 0]))
    """

    def __init__(self, alpha: float = 0.5) -> None:
        super().__init__()
        if not 0 < alpha < float("inf"):
            raise ValueError(f"alpha must be positive and finite, got {alpha!r}.")
        self.alpha = alpha

    def draw(
        self,
        n_samples: int,
        generator: torch.Generator | random.Random | None = None,
        device: torch.device | str | None = None,
    ) -> FeatureMix:
        """Draw the share of a batch and say who mixes with whom.

        Parameters
        ----------
        n_samples : int
        generator : torch.Generator on the CPU, or random.Random, optional
            Neither lets anything wait for the device; by default Python's own.
        device : torch.device or str, optional
            Of the partners.

        Returns
        -------
        FeatureMix
        """
        if isinstance(generator, torch.Generator):
            seed = torch.randint(2**62, (), generator=generator, device="cpu").item()
            generator = random.Random(seed)
        share = (generator or random).betavariate(self.alpha, self.alpha)
        return FeatureMix(share, torch.arange(n_samples - 1, -1, -1, device=device))

    def forward(
        self, features: Tensor, generator: torch.Generator | random.Random | None = None
    ) -> tuple[Tensor, FeatureMix]:
        """Mix the rows of a batch.

        Parameters
        ----------
        features : Tensor of shape (B, ...), floating
        generator : torch.Generator on the CPU, or random.Random, optional

        Returns
        -------
        mixed : Tensor of shape (B, ...)
        draw : FeatureMix
            To mix labels, or losses, by.
        """
        draw = self.draw(len(features), generator, features.device)
        return draw.mix(features), draw

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"
