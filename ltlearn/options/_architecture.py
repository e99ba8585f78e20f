"""What the network is made of, beyond the backbone."""

from ltlearn.options._nesting import Options
from ltlearn.utils._compat import StrOptions


class Architecture(Options):
    """Options of the network between the backbone's layers and the head.

    Parameters
    ----------
    feature_pooling : {None, "avg", "max", "token"}, default=None
        For a timm model: how its last feature map becomes a vector; None is the model's own way.
    batch_norm_head : bool, default=False
        For classes: normalize the features before the head by their batch, without learned scale
        and shift.

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
    }

    def __init__(self, *, feature_pooling=None, batch_norm_head=False):
        self.feature_pooling = feature_pooling
        self.batch_norm_head = batch_norm_head
