"""All that the next epochs of a training depend on, as plain values and tensors, and back."""

import copy

import torch
from skorch.callbacks import EarlyStopping

from ltlearn.networks._dropout import Dropout, factors_of
from ltlearn.networks._members import MemberDropout

_STOPPING = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")


def state_between_epochs(net, data, average, generators):
    """State of a training at the end of an epoch.

    Parameters
    ----------
    net : ObjectiveNet
    data : TensorData or FileData
        The training rows.
    average : WeightAverage or None
    generators : DefaultGenerators

    Returns
    -------
    state : dict
    """
    return {
        **net.training_state(),
        "groups": [
            {name: value for name, value in group.items() if name != "params"}
            for group in net.optimizer_.param_groups
        ],
        "stopping": [_stopping_state(callback) for callback in _stopping_of(net)],
        "average": None if average is None else average.get_state(),
        "draws": _draws(net),
        "order": data.epoch_index.get_state(),
        "default generators": generators.states,
    }


def restore_between_epochs(state, net, data, average, generators):
    """Put a training, which has begun anew, where :func:`state_between_epochs` found it."""
    net.restore(state)
    for group, stored in zip(net.optimizer_.param_groups, state["groups"], strict=True):
        group.update(stored)
    for callback, stored in zip(_stopping_of(net), state["stopping"], strict=True):
        vars(callback).update({name: stored[name] for name in _STOPPING})
    if average is not None:
        average.set_state(state["average"])
    _set_draws(net, state["draws"])
    data.epoch_index.set_state(state["order"])
    generators.states = state["default generators"]


def restore_optimizer(optimizer, state):
    """Give an optimizer a state, if that is of its weights; ValueError otherwise."""
    parameters = [values for group in optimizer.param_groups for values in group["params"]]
    for number, values in state.items():
        # Fused optimizers trust these shapes.
        if number not in range(len(parameters)) or not all(
            not torch.is_tensor(value) or value.shape in ((), parameters[number].shape)
            for value in values.values()
        ):
            raise ValueError("the state of the optimizer is not that of these weights.")
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def take_over(net, other):
    """Give a net the state of another one's optimizer and objective, as far as they are alike."""
    for group in net.optimizer_.param_groups:  # what schedules that go on start from
        group.setdefault("initial_lr", group["lr"])
    if _layout(net.optimizer_) == _layout(other.optimizer_):
        state = copy.deepcopy(other.optimizer_.state_dict()["state"])
        net.optimizer_.load_state_dict({**net.optimizer_.state_dict(), "state": state})
    own, learned = (dict(each.criterion_.named_parameters()) for each in (net, other))
    if {name: v.shape for name, v in own.items()} == {name: v.shape for name, v in learned.items()}:
        net.criterion_.load_state_dict(copy.deepcopy(learned), strict=False)


def _layout(optimizer):
    """Class of an optimizer and number of parameters of each of its groups."""
    return type(optimizer), [len(group["params"]) for group in optimizer.param_groups]


def _stopping_of(net):
    return [callback for _, callback in net.callbacks_ if isinstance(callback, EarlyStopping)]


def _stopping_state(callback):
    state = {name: getattr(callback, name) for name in _STOPPING}
    weights = state["best_model_weights_"]
    return {**state, "best_model_weights_": None if weights is None else dict(weights)}


def _draws(net):
    """What the objective and dropout have drawn and will draw."""
    layers, objective = _dropouts(net), net.criterion_
    shares = getattr(objective, "shares", None)
    own = getattr(objective, "own_generator", None)
    members = [layer for layer in layers if isinstance(layer, MemberDropout)]
    return {
        "objective": None if objective.generator is None else objective.generator.get_state(),
        "own enhancers": None if own is None else own.get_state(),
        "shares": None if shares is None else shares.getstate(),
        "dropout": layers[0].generator.get_state() if layers else None,
        "dropped": [None if layer.drawn is None else layer.drawn == 0 for layer in members],
    }


def _set_draws(net, state):
    layers, objective = _dropouts(net), net.criterion_
    if state["objective"] is not None:
        objective.generator.set_state(state["objective"])
    if state["own enhancers"] is not None:
        objective.own_generator.set_state(state["own enhancers"])
    if state["shares"] is not None:
        objective.shares.setstate(state["shares"])
    if layers:
        layers[0].generator.set_state(state["dropout"])
    members = [layer for layer in layers if isinstance(layer, MemberDropout)]
    for layer, dropped in zip(members, state["dropped"], strict=True):
        layer.drawn = None if dropped is None else factors_of(~dropped.to(net.device), layer.p)


def _dropouts(net):
    """Layers that draw, all from one generator."""
    return [module for module in net.module_.modules() if isinstance(module, Dropout)]
