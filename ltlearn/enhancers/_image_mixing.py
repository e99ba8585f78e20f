"""Mixup and cutmix of the images of a batch."""

import math

import numpy as np
import torch


def mix_images(
    images: torch.Tensor,
    y: torch.Tensor,
    *,
    mixup_alpha: float = 0.8,
    cutmix_alpha: float = 1.0,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """Mix every image of a batch with another one.

    One share λ holds for the whole batch: mixup [1]_ takes ``λ x + (1 - λ) x'``, cutmix [2]_
    pastes a rectangle of ``x'`` that covers 1 - λ of the image. Where both are on, one of them is
    drawn for each batch.

    Parameters
    ----------
    images : torch.Tensor of shape (B, C, H, W), floating
    y : torch.Tensor of shape (B, ...)
    mixup_alpha, cutmix_alpha : float, default=0.8, 1.0
        λ is drawn from Beta(alpha, alpha); 0 turns the method off.
    generator : torch.Generator, default=None
        On the CPU. By default torch's own.

    Returns
    -------
    mixed : torch.Tensor of shape (B, C, H, W)
        A new tensor, unless both methods are off.
    y1, y2 : torch.Tensor of shape (B, ...)
        Labels of the image and of the one mixed in.
    lam : float
        Share of ``y1`` in [0, 1]. After cutmix it is the area that was really kept.

    References
    ----------
    .. [1] Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    .. [2] Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
       Localizable Features", ICCV 2019.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.images import mix_images
    >>> images, y = torch.eye(2).view(2, 1, 1, 2), torch.tensor([0, 1])
    >>> mixed, y1, y2, lam = mix_images(
    ...     images, y, cutmix_alpha=0, generator=torch.Generator().manual_seed(0))
    >>> mixed.shape, 0 <= lam <= 1
    (torch.Size([2, 1, 1, 2]), True)
    """
    methods = [
        (method, alpha)
        for method, alpha in ((mixup, mixup_alpha), (cutmix, cutmix_alpha))
        if alpha > 0
    ]
    if not methods:
        return images, y, y, 1.0
    # All draws are made on the host, so nothing waits for the device.
    seed = torch.randint(2**62, (), generator=generator, device="cpu")
    rng = np.random.default_rng(int(seed))
    method, alpha = methods[rng.integers(len(methods))]
    partner = torch.from_numpy(rng.permutation(len(images))).to(images.device, non_blocking=True)
    mixed, lam = method(images, images[partner], float(rng.beta(alpha, alpha)), rng)
    return mixed, y, y[partner], lam


def mixup(images, others, lam, rng):
    """Images with the share ``lam`` of themselves, and that share."""
    return torch.lerp(others, images, lam), lam


def cutmix(images, others, lam, rng):
    """Images with a rectangle of others, and the area that they keep, near ``lam``."""
    height, width = images.shape[-2:]
    side = math.sqrt(1 - lam)
    top, bottom = _span(height, side, rng)
    left, right = _span(width, side, rng)
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _span(length, share, rng):
    """Ends of an interval around a random center, cut off at the borders of the image."""
    half, center = int(length * share) // 2, rng.integers(length)
    return max(0, center - half), min(length, center + half)
