"""How images are read."""

from numbers import Integral
from typing import Literal

from ltlearn.options._nesting import Options
from ltlearn.utils._compat import Interval, StrOptions


class Images(Options):
    """Options of reading image files.

    Parameters
    ----------
    num_workers : int, default=0
        Processes that decode image files; 0 decodes in this one.
    on_bad_image : {"raise", "skip"}, default="raise"
        What ``fit`` does about training images that cannot be read: an error that names the first
        one, or a warning that lists them and training without them. Prediction always raises.

    Examples
    --------
    >>> from ltlearn import GranularClassifier
    >>> from ltlearn.options import Images
    >>> model = GranularClassifier(backbone="resnet18", images=Images(on_bad_image="skip"))
    >>> model.get_params()["images__on_bad_image"]
    'skip'
    """

    _parameter_constraints: dict = {
        "num_workers": [Interval(Integral, 0, None, closed="left")],
        "on_bad_image": [StrOptions({"raise", "skip"})],
    }

    def __init__(
        self, *, num_workers: int = 0, on_bad_image: Literal["raise", "skip"] = "raise"
    ) -> None:
        self.num_workers = num_workers
        self.on_bad_image = on_bad_image
