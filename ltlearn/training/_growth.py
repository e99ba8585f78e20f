"""Reweighting that grows over training."""

from skorch.callbacks import Callback


class GrowingReweighting(Callback):
    """Let reweighting set in slowly: in epoch e of T, (e / T) ** power of it counts.

    Parameters
    ----------
    power : float
    """

    def __init__(self, power):
        self.power = power

    def on_train_begin(self, net, **kwargs):
        self.first_epoch_ = len(net.history)

    def on_epoch_begin(self, net, **kwargs):
        epoch = len(net.history) - self.first_epoch_
        net.reweighting_share_ = (epoch / net.max_epochs) ** self.power


def partly_reweighted(target, share):
    """Targets whose ``"weight"`` lies this far between ``"plain_weight"`` and itself.

    Parameters
    ----------
    target : dict of str to torch.Tensor of shape (B, ...)
        Returned as it is without ``"plain_weight"``.
    share : float
    """
    if "plain_weight" not in target:
        return target
    rest = {name: values for name, values in target.items() if name != "plain_weight"}
    return {**rest, "weight": target["plain_weight"].lerp(target["weight"], share)}
