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
        epoch = len(net.history)
        if epoch == 1:
            trainable = [p for p in net.module_.backbone.parameters() if p.requires_grad]
            self._set_frozen(trainable, True)
        elif epoch == self.n_epochs + 1:
            self._set_frozen(self.frozen_, False)

    def on_train_end(self, net, **kwargs):
        self._set_frozen(self.frozen_, False)

    def _set_frozen(self, parameters, frozen):
        for parameter in parameters:
            parameter.requires_grad_(not frozen)
        self.frozen_ = parameters if frozen else []
