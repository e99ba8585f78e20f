"""Two mixed views of the images of a batch, and how far their features disagree."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ltlearn.enhancers._image_mixing import cutmix, mixup


class MixedView(NamedTuple):
    """Images, each with ``share`` of itself and the rest of its partner.

    Parameters
    ----------
    images : Tensor of shape (B, C, H, W)
    partners : Tensor of shape (B,), integer
    share : float

    Examples
    --------
    >>> import torch
    >>> from ltlearn.enhancers import MixedView
    >>> MixedView(torch.zeros(2, 3, 4, 4), torch.tensor([1, 0]), 0.25).share
    0.25
    """

    images: Tensor
    partners: Tensor
    share: float


def two_views(
    images: Tensor, *, alpha: float = 1.0, generator: torch.Generator | None = None
) -> tuple[MixedView, MixedView]:
    """Mix every image with the same partner twice: by mixup, and by cutmix [1]_.

    Parameters
    ----------
    images : Tensor of shape (B, C, H, W), floating
    alpha : float, default=1.0
        The share λ that an image keeps is drawn from Beta(alpha, alpha), one for the batch.
    generator : torch.Generator, optional
        On the CPU. By default torch's own.

    Returns
    -------
    mixed, pasted : MixedView
        The share of the latter is the area that was really kept, near λ.

    References
    ----------
    .. [1] Du et al., "Global and Local Mixture Consistency Cumulative Learning for Long-Tailed
       Visual Recognitions", CVPR 2023, section 3.2.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.enhancers import two_views
    >>> mixed, pasted = two_views(torch.rand(4, 3, 8, 8))
    >>> mixed.images.shape, torch.equal(mixed.partners, pasted.partners)
    (torch.Size([4, 3, 8, 8]), True)
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha!r}.")
    seed = torch.randint(2**62, (), generator=generator, device="cpu")
    rng = np.random.default_rng(int(seed))
    partners = torch.from_numpy(rng.permutation(len(images))).to(images.device, non_blocking=True)
    share = float(rng.beta(alpha, alpha))
    views = [
        MixedView(mixed, partners, kept)
        for mixed, kept in (mix(images, images[partners], share, rng) for mix in (mixup, cutmix))
    ]
    return views[0], views[1]


def view_disagreement(predicted: Tensor, projected: Tensor) -> Tensor:
    """Negative cosine between what is predicted from one view and the other's projection [1]_.

    No gradient reaches the latter, so that they cannot agree by all becoming the same.

    Parameters
    ----------
    predicted, projected : Tensor of shape (B, D)

    Returns
    -------
    loss : Tensor, scalar
        In [-1, 1].

    References
    ----------
    .. [1] Chen and He, "Exploring Simple Siamese Representation Learning", CVPR 2021, equation 3.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.enhancers import view_disagreement
    >>> view_disagreement(torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 0.0]])).item()
    -1.0
    """
    return -F.cosine_similarity(predicted.float(), projected.detach().float(), dim=1).mean()
