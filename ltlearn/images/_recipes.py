"""How the published methods vary their training images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Random changes to training images.

    Parameters
    ----------
    resize_ratio : float, default=None
        Resize the shorter side to this multiple of the input size, then crop at random. None takes
        random resized crops instead (8 to 100 % of the area).
    auto_augment : str, default=None
        Policy of :mod:`timm.data.auto_augment`, for files.
    erasing_probability : float, default=0
        Of erasing a random rectangle of an image.
    mixup_alpha, cutmix_alpha : float, default=0
        See :func:`~ltlearn.enhancers.mix_images`; 0 is off.
    label_smoothing : float, default=0
        Share of the label that goes to all classes alike.

    Examples
    --------
    >>> from ltlearn.images import RECIPES
    >>> RECIPES["granularity"].auto_augment
    'rand-m9-mstd0.5-inc1'
    """

    resize_ratio: float | None = None
    auto_augment: str | None = None
    erasing_probability: float = 0.0
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    label_smoothing: float = 0.0


RECIPES = {
    # Random crops and flips: the usual training of image networks.
    "standard": Recipe(),
    # Liu et al., ICML 2024: resize to 300, random crop of 256, horizontal flip.
    "elta": Recipe(resize_ratio=300 / 256),
    # Zhao et al., CVPR 2025.
    "granularity": Recipe(
        auto_augment="rand-m9-mstd0.5-inc1",
        erasing_probability=0.25,
        mixup_alpha=0.8,
        cutmix_alpha=1.0,
        label_smoothing=0.1,
    ),
}
