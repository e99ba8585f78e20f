"""What the network is made of, beyond the backbone."""

from numbers import Integral, Real
from typing import Literal

from ltlearn.options._nesting import Options
from ltlearn.utils._compat import Interval, StrOptions

# More take all memory and gain nothing.
MAX_MEMBERS, MAX_PIECES = 1_000, 10_000


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
        the matrices of the hidden layers. ``"auto"`` is 4.
    n_pieces : int or "auto", default="auto"
        For the body for tables: pieces of the piecewise-linear embedding of a numeric column.
        ``"auto"`` rises with the number of training rows from 16 to 48.
    head : {"linear", "cosine", "sigmoid"}, default="linear"
        For classes: ``"cosine"`` compares directions and starts from those of the class means of
        the features, see :class:`ltlearn.networks.CosineHead`. For scores by squared error:
        ``"sigmoid"`` keeps predictions within ``bins.score_range``, by default the range of the
        training scores. The head that ELTA published for squared error is this one with the range
        (0, 10) and ``dropout=0.75``.
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
        "n_members": [StrOptions({"auto"}), Interval(Integral, 1, MAX_MEMBERS, closed="both")],
        "n_pieces": [StrOptions({"auto"}), Interval(Integral, 1, MAX_PIECES, closed="both")],
        "head": [StrOptions({"linear", "cosine", "sigmoid"})],
        "feature_power": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        feature_pooling: Literal["avg", "max", "token"] | None = None,
        batch_norm_head: bool = False,
        n_members: int | Literal["auto"] = "auto",
        n_pieces: int | Literal["auto"] = "auto",
        head: Literal["linear", "cosine", "sigmoid"] = "linear",
        feature_power: float | Literal["auto"] = 1.0,
    ) -> None:
        self.feature_pooling = feature_pooling
        self.batch_norm_head = batch_norm_head
        self.n_members = n_members
        self.n_pieces = n_pieces
        self.head = head
        self.feature_power = feature_power
