"""Losses and enhancers of a user's own: called, and what they return checked."""

import copy
import functools
import inspect

import torch
from torch import nn

from ltlearn.enhancers import Batch
from ltlearn.utils._precision import autocast

# What terms of the loss, and arguments beside them, are called already.
_TAKEN = ("loss", "task", "alignment", "net", "batch", "training")


def name_of(part):
    """What errors and histories call a callable."""
    while isinstance(part, functools.partial):
        part = part.func
    return getattr(part, "__name__", type(part).__name__)


def names_of_own(*parts):
    """Names of losses and enhancers of the user's own among parts of an objective, a list."""
    names = []
    for part in parts:
        if isinstance(part, OwnLoss):
            names.append(f"the loss {part.name}")
        elif isinstance(part, OwnEnhancers):
            names += [f"the enhancer {each.name}" for each in part.parts]
    return names


class OwnLoss(nn.Module):
    """A loss of the user's own.

    Parameters
    ----------
    function : callable
        From outputs and target of a batch, and perhaps weights, to values (B,) or their mean. See
        :mod:`ltlearn.losses`.
    """

    def __init__(self, function):
        super().__init__()
        self.function = copy.deepcopy(function)
        self.name = name_of(function)
        self.way = _way_of_weights(function)

    def set_epoch(self, epoch):
        _set_epoch(self.function, epoch)

    def forward(self, outputs, target, weight=None):
        """Loss of a batch.

        Parameters
        ----------
        outputs : torch.Tensor of shape (B,), (B, K) or, of members, (B, M, ...)
            Those of each member are passed on one by one.
        target : torch.Tensor of shape (B, ...)
        weight : torch.Tensor of shape (B,), default=None

        Returns
        -------
        loss : torch.Tensor of shape ()
        """
        if outputs.ndim > target.ndim + (not target.is_floating_point()):
            members = [self(own, target, weight) for own in outputs.unbind(1)]
            return torch.stack(members).mean()
        with autocast(torch.float32, outputs.device):
            values = self._call(outputs, target, weight)
        self._check(values, outputs)
        if values.ndim == 0:
            if weight is not None and self.way is None:
                raise ValueError(
                    f"The loss {self.name} returned a single number, but the rows are weighted: "
                    "let it take sample_weight as its third argument, or return one value a row."
                )
            return values
        if weight is not None and self.way is None:
            values = values * weight
        return values.mean()

    def _call(self, outputs, target, weight):
        if self.way is None:
            return self.function(outputs, target)
        if self.way == "by position":
            return self.function(outputs, target, weight)
        return self.function(outputs, target, sample_weight=weight)

    def _check(self, values, outputs):
        wanted = f"it must return a tensor of shape ({len(outputs)},), one value a row, or () of"
        if not torch.is_tensor(values):
            raise TypeError(
                f"The loss {self.name} returned {type(values).__name__}; {wanted} their mean."
            )
        if values.shape not in {(), (len(outputs),)} or not values.is_floating_point():
            raise ValueError(
                f"The loss {self.name} returned a tensor of shape {tuple(values.shape)} and type "
                f"{values.dtype}; {wanted} their mean, of floating-point numbers."
            )
        if outputs.requires_grad and not values.requires_grad:
            raise ValueError(
                f"The loss {self.name} returned a tensor without a gradient: compute it from the "
                "outputs by torch operations alone, without detach, item or numpy."
            )


class OwnEnhancers(nn.Module):
    """Enhancers of the user's own, one after the other.

    Parameters
    ----------
    enhancers : sequence of callables
        From :class:`~ltlearn.enhancers.Batch` to the same.
    """

    def __init__(self, enhancers):
        super().__init__()
        self.parts = nn.ModuleList(map(_OwnEnhancer, _with_names(enhancers)))

    def set_epoch(self, epoch):
        for part in self.parts:
            _set_epoch(part.function, epoch)

    def forward(self, features, target, generator):
        """Features and targets of a batch, enhanced, and the terms that this adds to the loss.

        Parameters
        ----------
        features : torch.Tensor of shape (B, D)
        target : dict of str to torch.Tensor of shape (B, ...)
            ``"weight"`` among them may be missing.
        generator : torch.Generator

        Returns
        -------
        features : torch.Tensor of shape (N, D)
        target : dict of str to torch.Tensor of shape (N, ...)
        terms : dict of str to torch.Tensor of shape ()
        """
        target = dict(target)
        ones = features.new_ones(len(features))
        batch = Batch(features, target, target.pop("weight", ones), generator)
        terms = {}
        for part in self.parts:
            batch = part(batch)
            if batch.term is not None:
                terms[part.name] = batch.term
        if batch.weight is ones:
            return batch.features, batch.target, terms
        return batch.features, {**batch.target, "weight": batch.weight}, terms


class _OwnEnhancer(nn.Module):
    def __init__(self, named):
        super().__init__()
        self.name, function = named
        self.function = copy.deepcopy(function)

    def forward(self, batch):
        given = batch._replace(target=dict(batch.target), term=None)
        with autocast(torch.float32, batch.features.device):
            found = self.function(given)
        if not isinstance(found, Batch):
            raise TypeError(
                f"The enhancer {self.name} returned {type(found).__name__}; it must return a "
                "Batch, for example batch._replace(features=...)."
            )
        self._check(found, batch)
        return found._replace(generator=batch.generator)

    def _check(self, found, before):
        if set(found.target) != set(before.target):
            raise ValueError(
                f"The enhancer {self.name} returned the targets {sorted(found.target)}; it must "
                f"return those that it got, {sorted(before.target)}."
            )
        n_rows = len(found.features)
        named = {
            "features": (found.features, before.features),
            "weight": (found.weight, before.weight),
            **{
                f'target["{name}"]': (values, before.target[name])
                for name, values in found.target.items()
            },
        }
        for name, (values, old) in named.items():
            trailing = old.shape[1:]
            may_be_soft = name == 'target["label"]' and values.is_floating_point()
            expected = values.shape[1:2] if may_be_soft else trailing
            if not n_rows or values.shape != (n_rows, *expected):
                raise ValueError(
                    f"The enhancer {self.name} returned {name} of shape {tuple(values.shape)} for "
                    f"{n_rows} rows of features; expected {('rows', *trailing)}, the same rows in "
                    "features, targets and weight, and at least one."
                )
            if values.is_floating_point() != old.is_floating_point() and not may_be_soft:
                raise TypeError(
                    f"The enhancer {self.name} returned {name} of type {values.dtype}, where it "
                    f"got {old.dtype}."
                )
        term = found.term
        if term is not None and not (torch.is_tensor(term) and term.shape == ()):
            shape = tuple(term.shape) if torch.is_tensor(term) else type(term).__name__
            raise ValueError(
                f"The enhancer {self.name} returned the term {shape}; it must be a tensor of shape "
                "(), or None."
            )


def _with_names(enhancers):
    """Pairs of names and enhancers; one that has the name of an earlier one gets a number."""
    counts = dict.fromkeys(_TAKEN, 1)
    for enhancer in enhancers:
        name = name_of(enhancer)
        counts[name] = counts.get(name, 0) + 1
        yield (name if counts[name] == 1 else f"{name} {counts[name]}"), enhancer


def _set_epoch(part, epoch):
    if hasattr(part, "set_epoch"):
        part.set_epoch(epoch)


def _way_of_weights(function):
    """How a loss takes weights: "by name", "by position", or None for one that takes none."""
    try:
        signature = inspect.signature(
            function.forward if isinstance(function, nn.Module) else function
        )
    except (TypeError, ValueError):  # of some built-in functions
        return None
    parameters = signature.parameters.values()
    kinds = inspect.Parameter
    if "sample_weight" in signature.parameters or any(
        each.kind is kinds.VAR_KEYWORD for each in parameters
    ):
        return "by name"
    places = [
        each
        for each in parameters
        if each.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    ]
    n_required = sum(each.default is kinds.empty for each in places)
    takes_any = any(each.kind is kinds.VAR_POSITIONAL for each in parameters)
    return "by position" if n_required >= 3 or takes_any else None
