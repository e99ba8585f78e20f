"""Optimizers, and groups of parameters that learn at different rates."""

import inspect

import torch

from ltlearn.options._training import OPTIMIZERS


def optimizer_of(name_or_class, weight_decay, device):
    """The class of an optimizer and its arguments other than the learning rate.

    Parameters
    ----------
    name_or_class : str or torch.optim.Optimizer class
        A name is one of ``OPTIMIZERS``.
    weight_decay : float
        Left out for a class that does not take it.
    device : torch.device

    Returns
    -------
    optimizer : class
    params : dict
    """
    optimizer = OPTIMIZERS.get(name_or_class, name_or_class)
    params = {"weight_decay": weight_decay}
    if optimizer is torch.optim.SGD:  # fused, it fails on layers that start to learn later
        params.update(momentum=0.9, nesterov=True)
    elif optimizer in OPTIMIZERS.values():
        params["fused"] = device.type in ("cpu", "cuda")
    elif "weight_decay" not in inspect.signature(optimizer).parameters:
        params = {}
    return optimizer, params


def check_optimizer(optimizer):
    """Raise where a parameter ``optimizer`` is no optimizer that the networks here can use."""
    if isinstance(optimizer, str):
        return
    made = getattr(optimizer, "func", optimizer)  # of a functools.partial
    is_class = isinstance(made, type) and issubclass(made, torch.optim.Optimizer)
    if not is_class or made in (torch.optim.Optimizer, torch.optim.SparseAdam):
        raise ValueError(
            f"training.optimizer={optimizer!r} must be one of {sorted(OPTIMIZERS)} or the class "
            "of a torch optimizer for dense gradients."
        )


class LayerDecay:
    """Parameter groups whose learning rate falls from the head down to the first layer.

    Parameters
    ----------
    decay : float
        Factor from one layer to the one below it, as timm counts layers.
    """

    def __init__(self, decay):
        self.decay = decay

    def __call__(self, network, lr, weight_decay):
        from timm.optim import param_groups_layer_decay

        model = getattr(network.backbone, "model", network.backbone)
        if not hasattr(model, "group_matcher"):
            raise ValueError(
                "layer_decay needs a backbone that names its layers, as timm's models do; "
                f"{type(model).__name__} does not. Use layer_decay=1.0."
            )
        undecayed = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
        groups = param_groups_layer_decay(
            model, weight_decay, no_weight_decay_list=undecayed, layer_decay=self.decay
        )
        for group in groups:
            group["lr"] = lr * group.pop("lr_scale")
        return [*groups, {"params": list(network.head.parameters()), "lr": lr}]


def move_tensors(values, device):
    """Move the tensors of a module or an optimizer in place."""
    if isinstance(values, torch.nn.Module):
        values.to(device)
        return
    for state in values.state.values():
        for name, value in state.items():
            if torch.is_tensor(value) and value.ndim:
                state[name] = value.to(device)
