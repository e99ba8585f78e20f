"""Train nets of equal shape as one."""

import time

import torch
from skorch.callbacks import EarlyStopping, EpochTimer, GradientNormClipping

from ltlearn.data._tensors import TensorData
from ltlearn.exceptions import NonFiniteLossError
from ltlearn.training._net import ObjectiveNet
from ltlearn.training._schedule import WarmupCosine
from ltlearn.training.stacked._epochs import StackedEpochs
from ltlearn.training.stacked._network import (
    NotStackableError,
    StackedNetwork,
    check_stackable,
)
from ltlearn.training.stacked._objective import StackedObjective, signature
from ltlearn.training.stacked._optimizer import StackedOptimizer, is_stackable, shared_options
from ltlearn.training.stacked._validation import StackedStopping, StackedValidation
from ltlearn.utils._precision import autocast

_KNOWN_CALLBACKS = (EpochTimer, EarlyStopping, GradientNormClipping, WarmupCosine)


class Member:
    """A training of a stack.

    Parameters
    ----------
    plan : TrainingPlan

    Raises
    ------
    NotStackableError
        Here or by `key`, when the training has no stacked form.
    """

    def __init__(self, plan):
        self.plan = plan
        self.net = plan.net
        self.data = plan.data.to(self.net.device)
        self.valid = None if plan.valid is None else plan.valid.to(self.net.device)
        self.epoch = 0
        self.error = None

    def callback(self, kind):
        """The net's callback of a kind, or None."""
        found = [each for _, each in self.net.callbacks_ if type(each) is kind]
        return found[0] if found else None

    def order(self):
        """What members next to each other in a stack should share."""
        group = self.net.optimizer_.param_groups[0]
        return group["lr"], group["weight_decay"], len(self.data), self.net.batch_size

    def key(self):
        """A description that members of one stack share."""
        net, objective = self.net, self.net.criterion_
        if self.plan.keeps_optimizer:
            raise NotStackableError("warm_start goes on with its optimizer")
        for data in (self.data, self.valid):
            if data is not None and (type(data) is not TensorData or data.transforms is not None):
                raise NotStackableError("the inputs are images or files")
        if type(net) is not ObjectiveNet or net.compile_backbone or net.accumulation_steps > 1:
            raise NotStackableError("steps are compiled or accumulate gradients")
        if net.sam_radius or net.weight_averaging:
            raise NotStackableError("steps look around themselves, or weights are averaged")
        for _, callback in net.callbacks_:
            if type(callback) not in _KNOWN_CALLBACKS:
                raise NotStackableError(f"there is a callback {type(callback).__name__}")
        if len(net.history) or not is_stackable(net.optimizer_):
            raise NotStackableError(
                "it goes on with a trained net, or with an optimizer of its own"
            )
        if not getattr(objective, "is_stackable", False):
            raise NotStackableError(f"{type(objective).__name__} with these settings is not")
        if self.plan.draws_globally:
            raise NotStackableError("the network is none of those for tables")
        check_stackable(net.module_)
        shapes = tuple(
            (name, type(module), tuple(p.shape for p in module.parameters(recurse=False)))
            for name, module in net.module_.named_modules()
        )
        return (
            shapes,
            signature(objective),
            shared_options(net.optimizer_),
            (net.device, net.precision, self.data.X.dtype, self.data.X.shape[1:]),
            tuple(sorted(name for name in self.data.target if name != "weight")),
            self.valid is None,
            self.callback(GradientNormClipping) is None,
        )


def train_stack(members):
    """Train members of one `key`; nets, their histories and ``error`` tell the outcome.

    Parameters
    ----------
    members : list of Member
    """
    stack = None
    with members[0].plan.threads():
        for member in members:
            member.net.seed_generators(member.plan.seed)
        try:
            stack = _Stack(members)
            stack.run()
        except Exception as error:  # such as a lack of memory
            for member in members if stack is None else stack.members:
                member.error = error
        finally:
            for member in members:
                member.net.let_go()


class _Stack:
    def __init__(self, members):
        nets = [member.net for member in members]
        self.members = list(members)
        self.network = StackedNetwork([net.module_ for net in nets], members[0].data.X.shape[1:])
        self.objective = StackedObjective([net.criterion_ for net in nets], self.network.values[0])
        self.optimizer = StackedOptimizer(self.network.values, [net.optimizer_ for net in nets])
        self.epochs = StackedEpochs(
            [member.data for member in members],
            [net.batch_size for net in nets],
            self.objective.objectives,
        )
        self.validation = None
        if members[0].valid is not None:
            self.validation = StackedValidation([member.valid for member in members])
        self.stopping = StackedStopping([member.callback(EarlyStopping) for member in members])
        self.best = [values.detach().clone() for values in self.network.values]
        self.full_rates = list(self.optimizer.rates)
        self._set_max_norms()
        self.precision, self.device = nets[0].precision, torch.device(nets[0].device)

    def run(self):
        while self.members:
            start = time.perf_counter()
            self._set_rates()
            terms = self._train_epoch()
            validated = [None] * len(self.members)
            if self.validation is not None:
                validated = self._validate()
            seconds = (time.perf_counter() - start) / len(self.members)
            for i, member in enumerate(self.members):
                member.epoch += 1
                try:
                    _record(member, terms, i, validated[i], seconds)
                except NonFiniteLossError as error:
                    member.error, validated[i] = error, None
            improved, stopped = self.stopping.update(self.members[0].epoch, validated)
            if improved:
                self._keep_best(improved)
            self._let_go(set(stopped))

    def _set_rates(self):
        rates = []
        for member, rate in zip(self.members, self.full_rates, strict=True):
            schedule = member.callback(WarmupCosine)
            share = (
                1 if schedule is None else schedule.share(member.epoch + 1, member.net.max_epochs)
            )
            rates.append(share * rate)
        self.optimizer.set_rates(rates)

    def _set_max_norms(self):
        clipping = [member.callback(GradientNormClipping) for member in self.members]
        self.max_norms = None
        if clipping[0] is not None:
            norms = [each.gradient_clip_value for each in clipping]
            self.max_norms = self.network.values[0].new_tensor(norms)

    def _train_epoch(self):
        """Terms by name (M,) of the epoch, and how many batches each member had."""
        self.network.is_training = True
        found, shares = [], []
        n_batches = [0] * len(self.members)
        for step in self.epochs:
            self.network.present = step.present
            for values in self.network.values:
                values.grad = None
            with autocast(self.precision, self.device):
                terms = self.objective.training_terms(self.network, step.X, step.target)
            terms["loss"].sum().backward()
            if self.max_norms is not None:
                self.optimizer.clip_gradients(self.max_norms)
            self.optimizer.step(step.taking_part)
            found.append({name: values.detach() for name, values in terms.items()})
            shares.append(step.shares)
            for member in range(len(self.members)):
                n_batches[member] += step.taking_part is None or step.taking_part[member]
        shares = torch.stack(shares)
        means = {
            name: (torch.stack([each[name] for each in found]).double() * shares).sum(0).tolist()
            for name in found[0]
        }
        return {"batch_count": n_batches, **means}

    def _validate(self):
        self.network.is_training = False
        with torch.inference_mode(), autocast(self.precision, self.device):
            return self.validation.terms(self.network, self.objective)

    def _keep_best(self, members):
        index = torch.tensor(members, device=self.device)
        for best, values in zip(self.best, self.network.values, strict=True):
            best.index_copy_(0, index, values.detach().index_select(0, index))

    def _let_go(self, stopped):
        """Finish members that have stopped, failed or come to their last epoch."""
        left = []
        for i, member in enumerate(self.members):
            if member.error is None and i not in stopped and member.epoch < member.net.max_epochs:
                left.append(i)
            elif member.error is None:
                self._finish(i)
        if len(left) < len(self.members):
            self.members = [self.members[i] for i in left]
            if left:
                self._select(left)

    def _finish(self, i):
        member = self.members[i]
        goes_back = self.stopping.best_epoch[i] not in (0, member.epoch)
        self.network.write_to(member.net.module_, i, self.best if goes_back else None)
        try:
            member.net._check_weights()
        except NonFiniteLossError as error:
            member.error = error

    def _select(self, left):
        self.network.select(left)
        self.objective.select(left)
        self.optimizer.select(left, self.network.values)
        self.epochs.select(left)
        if self.validation is not None:
            self.validation.select(left)
        self.stopping.select(left)
        index = torch.tensor(left, device=self.device)
        self.best = [values.index_select(0, index) for values in self.best]
        self.full_rates = [self.full_rates[i] for i in left]
        self._set_max_norms()


def _record(member, terms, i, validated, seconds):
    """Add an epoch to the history of a member's net."""
    net = member.net
    net.history.new_epoch()
    net.history.record("epoch", len(net.history))
    net.history.record("train_batch_count", terms["batch_count"][i])
    for name, values in terms.items():
        if name != "batch_count":
            net._record_term("train", name, values[i])
    if validated is not None:
        net._record_validation(validated)
    net.history.record("dur", seconds)
