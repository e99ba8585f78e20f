"""Weights of the head that may not grow long."""

import torch
from skorch.callbacks import Callback
from torch import nn

from ltlearn.networks._heads import ProjectedHead
from ltlearn.networks._members import MemberHead


class HeadMaxNorm(Callback):
    """After every update, scale the head's weights back to a largest length.

    The head's last layer has a vector of weights per output; those of frequent classes grow
    longest. Projecting them onto a ball [1]_ evens that out.

    Parameters
    ----------
    max_norm : float
        Largest Euclidean length of the weights of one output.

    References
    ----------
    .. [1] Alshammari et al., "Long-Tailed Recognition via Weight Balancing", CVPR 2022, section 4.
    """

    def __init__(self, max_norm):
        self.max_norm = max_norm

    def on_train_begin(self, net, **kwargs):
        self.layer_ = last_linear(net.module_.head)

    @torch.no_grad()
    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            weight = self.layer_.weight
            length = weight.norm(dim=1, keepdim=True)
            weight.mul_(self.max_norm / length.clamp(min=self.max_norm))


def last_linear(head):
    """The last linear layer of a head; projections beside it do not count.

    Raises
    ------
    ValueError
        Where the head has none, or several, one per member.
    """
    head = head.head if isinstance(head, ProjectedHead) else head
    layers = [module for module in head.modules() if isinstance(module, nn.Linear)]
    if not layers or isinstance(head, MemberHead):
        raise ValueError(
            "training.head_max_norm is for a head that ends in one linear layer; the cosine head "
            "and that of the body for tables do not. Leave it None."
        )
    return layers[-1]
