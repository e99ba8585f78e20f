"""One objective for all members: that of the first, with the numbers of each.

An objective that can be stacked has, beside the methods of any other,

- ``is_stackable``: whether one with these settings can;
- ``pass_through(network, X, target)``: features and outputs of batches (..., B, *shape);
- ``terms(features, outputs, target)``: the loss terms of a single batch, means over its rows with
  ``target["weight"]`` as factors, without control flow that depends on values;
- perhaps ``terms_at_once(outputs, target)``: the same for all batches, outputs (M, B, K), where
  that takes fewer operations, else None;
- ``before_steps``: names of parts that draw before a step, and so may differ from member to member.
  ``mixup``, a :class:`~ltlearn.enhancers.TailMixup`, needs ``mix_targets(target, draw)``;
  ``feature_mixup``, a :class:`~ltlearn.enhancers.FeatureMixup` or None, needs ``draw_shares(n)``.

A module lists in ``member_numbers`` the attributes that may differ from member to member, numbers
that only enter arithmetic; buffers always may.
"""

import copy

import torch
from torch.func import vmap


class StackedObjective:
    """Loss terms (M,) of M members.

    Parameters
    ----------
    objectives : list of torch.nn.Module
        With equal `signature`.
    like : torch.Tensor
        Of the type and on the device that the losses are computed in.
    """

    def __init__(self, objectives, like):
        self.objectives = list(objectives)
        self.like = like.detach()[:0]
        self._prepare()

    def select(self, members):
        """Keep some of the members, in the given order."""
        self.objectives = [self.objectives[member] for member in members]
        self._prepare()

    def training_terms(self, network, X, target):
        """Terms by name, each (M,), for batches (M, B, *shape)."""
        features, outputs = self.template.pass_through(network, X, target)
        terms = None
        if hasattr(self.template, "terms_at_once"):
            terms = self.template.terms_at_once(outputs, target)
        return terms or vmap(self._call("terms"))(self._numbers, features, outputs, target)

    def validation_terms(self, members, outputs, target):
        """Terms by name, lists of numbers, of some members with as many rows each (m, n, ...)."""
        numbers = [values[members] for values in self._numbers]
        try:
            terms = vmap(self._call("validation_terms"))(numbers, outputs, target)
        except RuntimeError:  # where shapes depend on values
            each = [
                self.objectives[member].validation_terms(
                    outputs[i], {name: values[i] for name, values in target.items()}
                )
                for i, member in enumerate(members)
            ]
            terms = {name: torch.stack([one[name] for one in each]) for name in each[0]}
        return {name: values.tolist() for name, values in terms.items()}

    def _prepare(self):
        first = self.objectives[0]
        # Generators cannot be copied, and belong to the member.
        self.template = copy.deepcopy(first, {id(first.generator): None})
        self._slots, self._numbers = [], []
        parts = [dict(objective.named_modules()) for objective in self.objectives]
        for path, module in _parts(self.template):
            buffers = [name for name, values in module._buffers.items() if values is not None]
            for name in (*buffers, *getattr(module, "member_numbers", ())):
                values = [getattr(part[path], name) for part in parts]
                if not all(_is_same(values[0], value) for value in values):
                    self._slots.append((module, name))
                    is_tensor = torch.is_tensor(values[0])
                    self._numbers.append(
                        torch.stack(values) if is_tensor else self.like.new_tensor(values)
                    )

    def _call(self, method):
        """A method of the template, as a function of the numbers of one member as well."""

        def call(numbers, *args):
            for (module, name), value in zip(self._slots, numbers, strict=True):
                setattr(module, name, value)
            return getattr(self.template, method)(*args)

        return call


def signature(objective):
    """What must be equal for members to be stacked: a hashable description of an objective."""
    return tuple((path, type(module), *_fixed(module)) for path, module in _parts(objective))


def _parts(objective):
    """Modules that act in steps, by path."""
    for path, module in objective.named_modules():
        if path.split(".")[0] not in objective.before_steps:
            yield path, module


def _fixed(module):
    """Attributes that members must share, and the shapes of buffers."""
    for name, values in module._buffers.items():
        yield name, None if values is None else (values.shape, values.dtype)
    drawing = {"generator", "shares", *getattr(module, "before_steps", ())}
    free = {"training", *drawing, *getattr(module, "member_numbers", ())}
    for name, value in vars(module).items():
        if not name.startswith("_") and name not in free:
            yield name, _as_key(value)


def _as_key(value):
    try:
        hash(value)
    except TypeError:
        return id(value)
    return type(value), value


def _is_same(first, second):
    return torch.equal(first, second) if torch.is_tensor(first) else first == second
