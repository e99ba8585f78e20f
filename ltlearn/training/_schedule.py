"""Learning rates that change with the epoch."""

import math

from skorch.callbacks import Callback


class WarmupCosine(Callback):
    """Raise the learning rate linearly, then let it fall along half a cosine.

    Every parameter group keeps its ratio to the others.

    Parameters
    ----------
    warmup_epochs : int
        Epochs over which the rate rises to its full value.
    cosine : bool
        Whether it falls afterwards, to a hundredth in the last of ``max_epochs``.
    """

    final_share = 0.01

    def __init__(self, warmup_epochs, cosine):
        self.warmup_epochs = warmup_epochs
        self.cosine = cosine

    def on_train_begin(self, net, **kwargs):
        self.full_rates_ = [group["lr"] for group in net.optimizer_.param_groups]
        self.first_epoch_ = len(net.history)

    def on_epoch_begin(self, net, **kwargs):
        share = self.share(len(net.history) - self.first_epoch_, net.max_epochs)
        for group, rate in zip(net.optimizer_.param_groups, self.full_rates_, strict=True):
            group["lr"] = share * rate

    def on_train_end(self, net, **kwargs):
        for group, rate in zip(net.optimizer_.param_groups, self.full_rates_, strict=True):
            group["lr"] = rate

    def share(self, epoch, max_epochs):
        """Share of the full rate in an epoch, counted from 1."""
        if epoch <= self.warmup_epochs:
            return epoch / (self.warmup_epochs + 1)
        if not self.cosine:
            return 1.0
        progress = (epoch - 1 - self.warmup_epochs) / max(1, max_epochs - 1 - self.warmup_epochs)
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self.final_share + (1 - self.final_share) * fall
