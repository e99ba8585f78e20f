"""Sharpness-aware minimization: the gradient where the loss nearby is highest."""

from contextlib import contextmanager

import torch
from torch import nn

from ltlearn.networks._dropout import Dropout
from ltlearn.networks._members import MemberDropout


@contextmanager
def ascended(network, parameters, radius):
    """Context in which the weights stand uphill, a step of a given length along their gradient.

    Batch normalization takes the statistics of the batch there and does not learn them.

    Parameters
    ----------
    network : torch.nn.Module
    parameters : list of torch.nn.Parameter
        Those without a gradient stay where they are.
    radius : float
        ρ: Euclidean length of the step, over all parameters together.
    """
    moved = [values for values in parameters if values.grad is not None]
    before = [values.detach().clone() for values in moved]
    norms = [values.grad.norm(dtype=torch.float32) for values in moved]
    tracking = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats
    ]
    with torch.no_grad():
        length = torch.stack([norm.to(norms[0].device) for norm in norms]).norm()
        share = radius / length.clamp(min=torch.finfo(torch.float32).tiny)
        for values in moved:
            values.add_(values.grad * share.to(values))
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True
        with torch.no_grad():
            for values, old in zip(moved, before, strict=True):
                values.copy_(old)


class Draws:
    """The states of all that a step draws from, to draw the same once more.

    Parameters
    ----------
    network, objective : torch.nn.Module
    device : torch.device
    draws_globally : bool
        Whether the step may draw from the default generators of torch.
    """

    def __init__(self, network, objective, device, draws_globally):
        layers = [module for module in network.modules() if isinstance(module, Dropout)]
        of_enhancers = getattr(objective, "own_generator", None)
        own = [objective.generator, of_enhancers, *(layer.generator for layer in layers)]
        generators = {id(each): each for each in own if each is not None}
        if draws_globally:
            generators[None] = torch.default_generator
            if device.type == "cuda":
                generators["cuda"] = torch.cuda.default_generators[device.index or 0]
        self._states = [(each, each.get_state()) for each in generators.values()]
        self._drawn = [(layer, layer.drawn) for layer in layers if isinstance(layer, MemberDropout)]
        shares = getattr(objective, "shares", None)
        self._shares = None if shares is None else (shares, shares.getstate())

    def rewind(self):
        """Go back to the states of the beginning."""
        for generator, state in self._states:
            generator.set_state(state)
        for layer, drawn in self._drawn:
            layer.drawn = drawn
        if self._shares is not None:
            shares, state = self._shares
            shares.setstate(state)


class Uphill:
    """Gradients where the loss near the weights is highest.

    Parameters
    ----------
    net : ObjectiveNet
        In training, with a ``sam_radius``.
    backward : callable
        From a batch to its loss terms; adds its gradient.
    draws_globally : bool
        Of :class:`Draws`.
    """

    def __init__(self, net, backward, draws_globally):
        self.net, self.backward, self.draws_globally = net, backward, draws_globally

    def __call__(self, batch):
        """Loss terms at the weights as they are."""
        net = self.net
        device = torch.device(net.device)
        draws = Draws(net.module_, net.criterion_, device, self.draws_globally)
        terms = self.backward(batch)
        learned = [values for group in net.optimizer_.param_groups for values in group["params"]]
        with ascended(net.module_, learned, net.sam_radius):
            draws.rewind()
            net.clear_gradients()
            self.backward(batch)
        return terms
