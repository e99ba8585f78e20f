"""How the published methods vary their training images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Random changes to training images.

    :data:`RECIPES` holds those of published methods by name: ``"standard"`` [5]_ (of arrays [6]_),
    ``"elta"`` [7]_, ``"granularity"`` [8]_ and ``"glmc"`` [4]_.

    Parameters
    ----------
    resize_ratio : float, default=None
        Resize the shorter side to this multiple of the input size, then crop at random. None takes
        random resized crops instead (8 to 100 % of the area).
    auto_augment : str, default=None
        ``"cifar10"``, the policies of AutoAugment [1]_ for CIFAR-10, for 8-bit images in arrays (in
        whole batches on their device, each image with draws of its own) or in files; or, for files,
        a policy of :mod:`timm.data.auto_augment`.
    erasing_probability : float, default=0
        Of erasing a random rectangle of an image.
    mixup_alpha, cutmix_alpha : float, default=0
        See :func:`~ltlearn.enhancers.mix_images`; 0 is off.
    clean_weight : float, default=0
        With mixup or cutmix, weight of the loss of the images as they are beside that of the mixed
        ones, which RegMixup [3]_ sets to 1 (and ``mixup_alpha`` to 10 to 20). It takes a second
        pass through the network.
    consistency_weight : float, default=0
        Train on two views of each image, one mixed by mixup and one by cutmix with the same partner
        and share, and add this multiple of how far their projections disagree [4]_. Takes the place
        of ``mixup_alpha`` and ``cutmix_alpha``, with a share drawn uniformly. For classes.
    cutout : float, default=0
        Side, as a share of the image's, of a square around a random pixel that is set to the mean
        color [2]_.
    label_smoothing : float, default=0
        Share of the label that goes to all classes alike.

    References
    ----------
    .. [1] Cubuk et al., "AutoAugment: Learning Augmentation Strategies from Data", CVPR 2019.
    .. [2] DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with
       Cutout", arXiv:1708.04552.
    .. [3] Pinto et al., "RegMixup: Mixup as a Regularizer Can Surprisingly Improve Accuracy and Out
       Distribution Robustness", NeurIPS 2022.
    .. [4] Du et al., "Global and Local Mixture Consistency Cumulative Learning for Long-Tailed
       Visual Recognitions", CVPR 2023.
    .. [5] Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.
    .. [6] He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
    .. [7] Liu et al., "ELTA: An Enhancer against Long-Tail for Aesthetics-oriented Models",
       ICML 2024.
    .. [8] Zhao et al., "Granularity Matters in Long-Tail Learning", CVPR 2025.

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
    clean_weight: float = 0.0
    consistency_weight: float = 0.0
    cutout: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self):
        for name in ("mixup_alpha", "cutmix_alpha", "clean_weight", "consistency_weight", "cutout"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be 0 or a positive number, got {value!r}.")
        if self.clean_weight and (
            self.consistency_weight or not (self.mixup_alpha or self.cutmix_alpha)
        ):
            raise ValueError(
                f"clean_weight={self.clean_weight!r} goes with mixup_alpha or cutmix_alpha, and "
                "without consistency_weight."
            )


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
    # Du et al., CVPR 2023 (GLMC), and its code for CIFAR-100 at imbalance 100.
    "glmc": Recipe(auto_augment="cifar10", cutout=0.5, consistency_weight=4.0),
}
