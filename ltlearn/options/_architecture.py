"""What the network is made of, beyond the backbone."""

from numbers import Integral

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
    n_members : int or "auto", default="auto"
        For the body for tables: members inside the network, whose outputs are averaged. They share
        the matrices of the hidden layers. ``"auto"`` is 16 below 1,000 training rows, else 4.
    n_pieces : int or "auto", default="auto"
        For the body for tables: pieces of the piecewise-linear embedding of a numeric column.
        ``"auto"`` rises with the number of training rows from 8 to 48.

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
        "n_members": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "n_pieces": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self, *, feature_pooling=None, batch_norm_head=False, n_members="auto", n_pieces="auto"
    ):
        self.feature_pooling = feature_pooling
        self.batch_norm_head = batch_norm_head
        self.n_members = n_members
        self.n_pieces = n_pieces
