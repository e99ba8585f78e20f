"""Train the head alone for the first epochs."""

from skorch.callbacks import Callback


class HeadWarmup(Callback):
    """Keep the weights of the backbone fixed during the first epochs of a net's life.

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
            self._thaw()
        elif not self.frozen_:
            self.frozen_ = [p for p in net.module_.backbone.parameters() if p.requires_grad]
            for parameter in self.frozen_:
                parameter.requires_grad_(False)

    def on_train_end(self, net, **kwargs):
        self._thaw()

    def _thaw(self):
        for parameter in self.frozen_:
            parameter.requires_grad_(True)
        self.frozen_ = []
