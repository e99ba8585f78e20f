"""What kind of images a backbone takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InputSpec:
    """Size, scale and framing of the images that a backbone was made for.

    Parameters
    ----------
    channels : int
    size : tuple of int
        Height and width in pixels.
    mean, std : tuple of float
        Per channel, for pixels scaled to [0, 1].
    interpolation : str
        As timm names it: ``"bicubic"``, ``"bilinear"``, ...
    crop_pct : float
        Share of the resized image's side that the evaluation crop keeps.
    crop_mode : {"center", "squash"}
        Whether resizing keeps the aspect ratio (the crop then cuts off the longer side's ends) or
        not.

    Examples
    --------
    >>> from ltlearn.images import InputSpec
    >>> InputSpec(size=(32, 32), crop_pct=1.0).channels
    3
    """

    channels: int = 3
    size: tuple = (224, 224)
    mean: tuple = (0.485, 0.456, 0.406)
    std: tuple = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    crop_mode: str = "center"
