"""What the network is made of, beyond the backbone."""

from numbers import Real

from ltlearn.options._nesting import Options
from ltlearn.utils._compat import Interval, StrOptions


class Architecture(Options):
    """Options of the network between the backbone's layers and the head.

    Parameters
    ----------
    feature_pooling : {None, "avg", "max", "token"}, default=None
        For a timm model: how its last feature map becomes a vector; None is the model's own way.
    batch_norm_head : bool, default=False
        For classes: normalize the features before the head by their batch, without learned scale
        and shift.
    head : {"linear", "cosine"}, default="linear"
        For classes: ``"cosine"`` compares directions and starts from those of the class means of
        the features, see :class:`ltlearn.networks.CosineHead`.
    feature_power : float or "auto", default=1.0
        For classes and tables: exponent p of ``sign(x) |x|^p``, taken of the columns before they
        are standardized. 0.5 gains on features that are averages of ReLUs, which have long right
        tails. ``"auto"`` trains with 1 and 0.5 and takes the one with the lower loss of validation
        rows; where none are given, some are held out.

    Examples
    --------
    >>> from ltlearn import GranularClassifier
    >>> from ltlearn.options import Architecture
    >>> model = GranularClassifier(architecture=Architecture(batch_norm_head=True))
    >>> model.get_params()["architecture__batch_norm_head"]
    True
    """

    _parameter_constraints: dict = {
        "feature_pooling": [StrOptions({"avg", "max", "token"}), None],
        "batch_norm_head": ["boolean"],
        "head": [StrOptions({"linear", "cosine"})],
        "feature_power": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self, *, feature_pooling=None, batch_norm_head=False, head="linear", feature_power=1.0
    ):
        self.feature_pooling = feature_pooling
        self.batch_norm_head = batch_norm_head
        self.head = head
        self.feature_power = feature_power
