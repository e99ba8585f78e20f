"""Train the head and the final norm alone for the first epochs."""

from skorch.callbacks import Callback
from torch import nn

_NORMS = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.modules.batchnorm._NormBase,
)


class HeadWarmup(Callback):
    """Train what comes last during the first epochs of a net's life.

    That is the head and, where the backbone ends in one, its final norm, as published. The other
    weights of the backbone stay as they are, and all of it is in evaluation mode, so that the
    statistics of its batch normalization stay as they are, too.

    Parameters
    ----------
    n_epochs : int
    """

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def initialize(self):
        self.frozen_ = []
        return self

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) > self.n_epochs:
            self._thaw(net)
        elif not self.frozen_:
            backbone = net.module_.backbone
            norm = final_norm(backbone)
            kept = [] if norm is None else list(map(id, norm.parameters()))
            self.frozen_ = [
                p for p in backbone.parameters() if p.requires_grad and id(p) not in kept
            ]
            for parameter in self.frozen_:
                parameter.requires_grad_(False)
            net.module_.rest_backbone()

    def on_train_end(self, net, **kwargs):
        self._thaw(net)

    def _thaw(self, net):
        for parameter in self.frozen_:
            parameter.requires_grad_(True)
        self.frozen_ = []
        net.module_.rest_backbone(False)


def final_norm(backbone):
    """The normalization layer that a backbone ends in, or None.

    It is the last of the modules with weights, in the order in which they were registered.
    """
    weighted = [m for m in backbone.modules() if any(True for _ in m.parameters(recurse=False))]
    return weighted[-1] if weighted and isinstance(weighted[-1], _NORMS) else None
