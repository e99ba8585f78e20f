"""The skorch net that the estimators own, and its training step.

What differs from ``skorch.NeuralNet``:

- the criterion is an *objective*: it sees the whole network and the batch, so that enhancers can
  work on features, and it returns every loss term by name;
- nothing is copied to the host during an epoch; loss terms are averaged on the device and recorded
  once at the end of it;
- validation runs all validation outputs through the objective at once, so a metric need not be a
  mean over batches;
- forward passes may compute in bfloat16, an update may add up the gradients of parts of its batch,
  and layers may learn at different rates;
- what is random comes from generators of the fit's own;
- it is pickled as it is, so that cloudpickle finds the classes of a script or notebook.
"""

import copy
import math
import warnings
from contextlib import nullcontext
from functools import partial

import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, EpochTimer, PrintLog
from skorch.exceptions import DeviceWarning
from skorch.history import History

from ltlearn.data._batches import WholeBatches
from ltlearn.exceptions import InterruptedFitWarning, NonFiniteLossError
from ltlearn.networks._blocks import apply_steadily
from ltlearn.networks._dropout import use_generator
from ltlearn.networks._network import apply_in_batches
from ltlearn.training._averaging import WeightAverage
from ltlearn.training._events import batch_events
from ltlearn.training._growth import partly_reweighted
from ltlearn.training._optimizers import move_tensors
from ltlearn.training._parallel import current_group
from ltlearn.training._parts import backward_in_parts
from ltlearn.training._resuming import (
    restore_between_epochs,
    restore_optimizer,
    state_between_epochs,
    take_over,
)
from ltlearn.training._sharpness import Uphill
from ltlearn.training._terms import StepTerms, suspects, validation_terms
from ltlearn.training._updates import DirectUpdate
from ltlearn.utils._interrupts import watched_interrupts
from ltlearn.utils._precision import autocast
from ltlearn.utils._random import DefaultGenerators, seed_for


class ObjectiveNet(NeuralNet):
    """Train a :class:`~ltlearn.networks._network.Network` with an objective.

    ``criterion`` is a module with two methods. ``training_terms(network, X, target)`` returns a
    dict of scalars, of which ``"loss"`` is differentiated. ``validation_terms(outputs, target)``
    returns a dict of scalars for the outputs of a whole validation set. It may have a third,
    ``prepare_targets``, to do what it can before an epoch, given the network's ``n_features``: see
    :class:`~ltlearn.data._batches.WholeBatches`. Batches that are cut into parts come without. A
    fourth, ``set_epoch``, is told the number of each epoch, from 0, at its start.

    Parameters
    ----------
    precision : torch.dtype, default=torch.float32
        Type that forward passes compute in.
    evaluation_batch_size : int, default=128
        Samples that pass through the network at once outside of training.
    accumulation_steps : int, default=1
        Parts that a batch is cut into; an update adds up their gradients.
    parameter_groups : callable, default=None
        From the network, the learning rate and the weight decay to the parameter groups of the
        optimizer.
    compile_backbone : bool, default=False
        Compile the backbone with :func:`torch.compile`.
    sam_radius : float, default=0.0
        Radius of sharpness-aware minimization, see :func:`ascended`; 0 turns it off.
    weight_averaging : {"ema", "swa"} or None, default=None
        Which average of the weights is validated and kept, see :class:`WeightAverage`.
    """

    # How much of reweighting counts, see GrowingReweighting.
    reweighting_share_ = 1.0

    def __init__(
        self,
        *args,
        precision=torch.float32,
        evaluation_batch_size=128,
        accumulation_steps=1,
        parameter_groups=None,
        compile_backbone=False,
        sam_radius=0.0,
        weight_averaging=None,
        iterator_train=WholeBatches,
        iterator_valid=WholeBatches,
        **kwargs,
    ):
        super().__init__(
            *args, iterator_train=iterator_train, iterator_valid=iterator_valid, **kwargs
        )
        self.precision = precision
        self.evaluation_batch_size = evaluation_batch_size
        self.accumulation_steps = accumulation_steps
        self.parameter_groups = parameter_groups
        self.compile_backbone = compile_backbone
        self.sam_radius = sam_radius
        self.weight_averaging = weight_averaging

    # Whether the last training was, and what it had reached was kept.
    was_interrupted = False

    # The processes that train together, while they do.
    _group = None

    @property
    def _default_callbacks(self):
        return [("epoch_timer", EpochTimer()), ("print_log", PrintLog())][: 1 + (self.verbose > 0)]

    def initialize_module(self):
        super().initialize_module()
        if torch.device(self.device).type == "cuda" and _has_convolutions(self.module_):
            self.module_.to(memory_format=torch.channels_last)
        if self.compile_backbone:
            self.module_.backbone.compile()
        return self

    def get_params_for_optimizer(self, prefix, named_parameters):
        args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)
        if self.parameter_groups is not None:
            decay = kwargs.get("weight_decay", 0.0)
            groups = self.parameter_groups(self.module_, kwargs["lr"], decay)
            of_criterion = list(self.criterion_.parameters())
            args = ([*groups, {"params": of_criterion}] if of_criterion else groups,)
        return args, kwargs

    def go_on_from(self, net):
        """Take over the history of another net and, if it has the same optimizer, its state.

        This net was made with a copy of the other's network in place of a class and its arguments;
        it takes these over, too, so as to hold its network once.
        """
        self.initialize()
        made_with = {name: values for name, values in vars(net).items() if name[:8] == "module__"}
        vars(self).update(made_with, module=net.module)
        self.history = copy.deepcopy(net.history)
        take_over(self, net)
        return self

    def training_state(self):
        """Weights, history and state of the optimizer, of plain values and tensors.

        Returns
        -------
        state : dict
            ``"weights"`` by name, those of the objective as ``"objective"``, ``"history"``, a list
            of dicts, and ``"optimizer"``, None where there is no state of it.
        """
        return {
            "weights": dict(self.module_.state_dict()),
            "objective": dict(self.criterion_.state_dict()),
            "history": [
                {name: value for name, value in row.items() if name != "batches"}
                for row in self.history
            ],
            "optimizer": self.optimizer_.state_dict()["state"] or None,
        }

    def restore(self, state):
        """Take over what :meth:`training_state` gave; the net is initialized and equally made.

        Raises
        ------
        ValueError
            When the state of the optimizer is not that of these weights.
        """
        self.module_.load_state_dict(state["weights"])
        if "objective" in state:
            self.criterion_.load_state_dict(state["objective"])
        self.history = History()
        self.history.extend({**row, "batches": []} for row in state["history"])
        if state["optimizer"] is not None:
            restore_optimizer(self.optimizer_, state["optimizer"])
        return self

    def move_to(self, device):
        """Put all tensors on another device."""
        self.device = str(device)
        for name in _ON_DEVICE:
            if hasattr(self, name):
                move_tensors(getattr(self, name), self.device)
        return self

    def fit_data(
        self,
        train,
        valid=None,
        observers=(),
        *,
        seed=0,
        draws_globally=True,
        checkpoint=None,
        resumed=None,
        on_interrupt="raise",
    ):
        """Train on ``train``, validating on ``valid`` after every epoch.

        Continues from the present weights when the net is initialized.

        Parameters
        ----------
        train, valid : TensorData or FileData
            ``valid`` may be None.
        observers : sequence of skorch callbacks
            Callbacks of this call only; the net does not keep them. They are closed at the end,
            also of a training that fails.
        seed : int, default=0
            Source of all that is drawn.
        draws_globally : bool, default=True
            Whether the network or the data may draw from the default generators of torch, NumPy or
            :mod:`random`. These are then borrowed step by step.
        checkpoint : StageCheckpoint, default=None
            Where to write the state after epochs.
        resumed : dict, default=None
            The state that was written last, to go on from.
        on_interrupt : {"raise", "keep"}, default="raise"
            What Ctrl-C does after the first epoch: ``"keep"`` ends training, with a warning.
        """
        if not self.initialized_:
            self.initialize()
        self.was_interrupted = False
        device = torch.device(self.device)
        self._group = group = current_group()
        rank = 0 if group is None else group.rank
        self.seed_generators(seed, rank)
        generators = DefaultGenerators(seed_for(seed, "default generators", rank), device)
        self._borrowed = generators.borrowed if draws_globally else nullcontext
        train, valid = (data and data.to(self.device) for data in (train, valid))
        kept, self.callbacks_ = (
            self.callbacks_,
            [
                *self.callbacks_,
                *((type(observer).__name__, observer) for observer in observers),
            ],
        )
        try:
            self.notify("on_train_begin", X=train, y=None)
            self.fit_loop(
                train,
                valid,
                checkpoint=checkpoint,
                resumed=resumed,
                generators=generators,
                keeps_interrupted=on_interrupt == "keep",
            )
            self.notify("on_train_end", X=train, y=None)
            self._check_weights()
        finally:
            for observer in observers:
                observer.close()
            self.callbacks_ = kept
            del self._borrowed
            self._named_parameters = self._group = self._update = None
            self.let_go()
        return self

    def seed_generators(self, seed, rank=0):
        """Give the objective and dropout generators of their own, until :meth:`let_go`."""
        device = torch.device(self.device)
        self.criterion_.seed(seed_for(seed, "objective", rank), device)
        generator = torch.Generator(device).manual_seed(seed_for(seed, "dropout", rank))
        use_generator(self.module_, generator)

    def let_go(self):
        """Drop what is of no use after training, such as further copies of the weights."""
        self._set_training(False)
        self.criterion_.seed(None, None)
        use_generator(self.module_, None)
        self.module_.zero_grad(set_to_none=True)
        self.criterion_.zero_grad(set_to_none=True)
        for _, callback in self.callbacks_:
            if isinstance(callback, EarlyStopping):
                callback.best_model_weights_ = None
        for row in self.history:
            row["batches"].clear()

    def fit_loop(
        self,
        train,
        valid=None,
        epochs=None,
        *,
        checkpoint=None,
        resumed=None,
        generators=None,
        keeps_interrupted=False,
        **fit_params,
    ):
        batches = self.get_iterator(train, training=True)
        batches.has_equal_sizes = self.compile_backbone
        batches.n_parts = self.accumulation_steps
        if self.accumulation_steps == 1 and hasattr(self.criterion_, "prepare_targets"):
            batches.prepare_targets = partial(
                self.criterion_.prepare_targets, n_features=self.module_.n_features
            )
        if self._group is not None:
            batches.own_rows = self._group.own_rows
            self._group.share_state(self.module_, self.criterion_)
        n_epochs = self.max_epochs if epochs is None else epochs
        average = WeightAverage(self.weight_averaging) if self.weight_averaging else None
        moving = (self, train, average, generators)
        epoch, is_last, reached = 0, False, None
        if resumed is not None:
            restore_between_epochs(resumed, *moving)
            epoch, is_last = resumed["epoch"], resumed["is_last"]
        while epoch < n_epochs and not is_last:
            if keeps_interrupted and epoch:
                reached = len(self.history), copy.deepcopy(self.module_.state_dict())
            try:
                is_last = self._run_epoch(batches, valid, average, (epoch + 1) / n_epochs)
            except KeyboardInterrupt:
                if reached is None:
                    raise
                self._keep_interrupted(*reached)
                break
            epoch += 1
            if checkpoint is not None:
                where = {"epoch": epoch, "is_last": is_last, "is_finished": False}
                checkpoint.write(
                    lambda where=where: {**where, **state_between_epochs(*moving)},
                    at_once=is_last or epoch == n_epochs,
                )
        return self

    def _run_epoch(self, batches, valid, average, progress):
        """Train and validate once; whether this was the last time. ``progress`` counts it in."""
        epoch_data = {"dataset_train": batches.dataset, "dataset_valid": valid}
        self.notify("on_epoch_begin", **epoch_data)
        if hasattr(self.criterion_, "set_epoch"):
            self.criterion_.set_epoch(len(self.history) - 1)
        if average is not None:
            average.before_epoch(self.module_)
        self._train_epoch(batches, average)
        if self._group is not None:
            self._group.share_state(self.module_, self.criterion_)
        if average is not None:
            with self._borrowed():
                average.after_epoch(self.module_, progress, self._inputs(batches.dataset))
        if valid is not None:
            with self._borrowed():
                self._validate_epoch(valid)
        return self._end_epoch(**epoch_data)

    def _keep_interrupted(self, n_epochs, weights):
        """Go back to the end of the last whole epoch."""
        del self.history[n_epochs:]
        self.module_.load_state_dict(weights)
        self.was_interrupted = True
        warnings.warn(
            f"Training was interrupted after {n_epochs} epochs; the best model so far is kept.",
            InterruptedFitWarning,
            stacklevel=2,
        )

    def _end_epoch(self, **epoch_data):
        """Call ``on_epoch_end`` of all callbacks; whether one of them asks for training to end."""
        is_last = False
        self.on_epoch_end(self, **epoch_data)
        for _, callback in self.callbacks_:
            with watched_interrupts() as interrupts:
                try:
                    callback.on_epoch_end(self, **epoch_data)
                except KeyboardInterrupt:  # how skorch's callbacks ask for it
                    if interrupts:
                        raise
                    is_last = True
        return is_last if self._group is None else self._group.any(is_last)

    def train_step(self, batch, **fit_params):
        if self._update is not None:
            terms = self._gradient(batch)
            if self._update.step():
                return terms
            self.optimizer_.step()
        else:
            terms = {}

            def closure():
                terms.update(self._gradient(batch))
                return terms["loss"]

            self.optimizer_.step(closure)
        self._update = DirectUpdate.after_step_of(self.optimizer_)
        return terms

    def apply_network(self, data, method="forward", then=None):
        """Pass data through the network in evaluation mode.

        Parameters
        ----------
        data : TensorData or FileData
        method : {"forward", "features"}, default="forward"
            Which method of the network to call: outputs of the head, or features before it.
        then : callable, default=None
            From the outputs and the target of a batch to what is returned in their place.

        Returns
        -------
        outputs : torch.Tensor of shape (n, ...)
            On the net's device.
        """
        self._set_training(False)
        return apply_in_batches(
            getattr(self.module_, method),
            data,
            batch_size=self.evaluation_batch_size,
            device=self.device,
            precision=self.precision,
            then=then,
        )

    def apply_steadily(self, data, method="forward"):
        """Pass data through the network in evaluation mode, each row as in any other batch.

        Parameters
        ----------
        data : TensorData or its like
        method : str, default="forward"
            Of the network.

        Returns
        -------
        outputs : torch.Tensor of shape (n, ...)
            On the net's device.
        """
        if any(module.training for module in self.module_.modules()):
            self._set_training(False)
        return apply_steadily(
            self.module_, method, data, self.evaluation_batch_size, torch.device(self.device)
        )

    def _gradient(self, batch):
        """Set the gradient of a batch, and tell callbacks; returns the loss terms."""
        backward = self._backward
        if self.accumulation_steps > 1:
            backward = partial(backward_in_parts, backward, n_parts=self.accumulation_steps)
        self.clear_gradients()
        if self.sam_radius:
            backward = Uphill(self, backward, self._borrowed is not nullcontext)
        terms = backward(batch)
        if self._group is not None:
            learned = [*self.module_.parameters(), *self.criterion_.parameters()]
            self._group.average_gradients(learned, len(batch[0]))
        self._tell(
            "on_grad_computed",
            named_parameters=self._named_parameters,
            batch=batch,
            training=True,
        )
        return terms

    def clear_gradients(self):
        if self._update is None:
            self.optimizer_.zero_grad()
        else:
            self._update.clear_gradients()

    def _tell(self, event, **about):
        """Notify the callbacks of an event of a batch, if any of them wants to know."""
        if event in self._events:
            self.notify(event, **about)

    def _inputs(self, train):
        """All training inputs, batch by batch, as in evaluation."""
        data = train.without_augmentation()
        return (X for X, _ in WholeBatches(data, self.evaluation_batch_size))

    def _backward(self, batch, share=1):
        """Add the gradient of ``share`` times the loss of a batch; returns the loss terms."""
        X, target = batch
        target = partly_reweighted(target, self.reweighting_share_)
        with autocast(self.precision, torch.device(self.device)):
            terms = self.criterion_.training_terms(self.module_, X, target)
        (terms["loss"] if share == 1 else share * terms["loss"]).backward()
        return {name: value.detach() for name, value in terms.items()}

    def _train_epoch(self, batches, average=None):
        self._set_training(True)
        self._named_parameters = list(self.module_.named_parameters())
        self._events = batch_events(self.callbacks_)
        self._update = None
        steps, left = StepTerms(), iter(batches)
        while True:
            with self._borrowed():  # batches may be augmented at random
                batch = next(left, None)
                if batch is None:
                    break
                self._tell("on_batch_begin", batch=batch, training=True)
                step = self.train_step(batch)
                steps.add(step, len(batch[0]))
                self._tell("on_batch_end", batch=batch, training=True, **step)
                if average is not None:
                    average.after_update(self.module_)
        self.history.record("train_batch_count", len(steps))
        for name, mean in steps.means(self._group).items():
            self._record_term("train", name, mean)

    def _validate_epoch(self, valid):
        terms = {name: float(value) for name, value in validation_terms(self, valid).items()}
        self._record_validation(terms if self._group is None else self._group.share(terms))

    def _record_validation(self, terms):
        previous_best = min(
            (row["valid_loss"] for row in self.history[:-1] if "valid_loss" in row),
            default=math.inf,
        )
        for name, value in terms.items():
            self._record_term("valid", name, value)
        self.history.record("valid_loss_best", self.history[-1, "valid_loss"] < previous_best)

    def _check_weights(self):
        if not all(values.isfinite().all() for values in self.module_.state_dict().values()):
            raise NonFiniteLossError(
                f"Weights were no longer finite after epoch {len(self.history)}. Try a smaller lr "
                f"(now {self.lr:g}) or scaled inputs.{suspects(self.criterion_)}"
            )

    def _record_term(self, prefix, name, value):
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"The {prefix} {name} became {value} in epoch {len(self.history)}. Try a smaller "
                f"lr (now {self.lr:g}), scaled inputs, or look for extreme values in X and y."
                f"{suspects(self.criterion_)}"
            )
        self.history.record(f"{prefix}_{name}", value)

    def __getstate__(self):
        """The state with all tensors on the CPU.

        Skorch would pickle the modules by themselves, out of reach of cloudpickle.
        """
        state = self.__dict__.copy()
        if torch.device(self.device).type != "cpu":
            names = [name for name in _ON_DEVICE if name in state]
            moved = copy.deepcopy({name: state[name] for name in names})  # together: they share
            for values in moved.values():
                move_tensors(values, "cpu")
            state.update(moved)
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError):
            warnings.warn(
                f"The model was on {self.device!r}, which is not here; it is on the CPU now.",
                DeviceWarning,
                stacklevel=2,
            )
            self.device = "cpu"
        if torch.device(self.device).type != "cpu":
            for name in _ON_DEVICE:
                if name in state:
                    move_tensors(state[name], self.device)


# Attributes of a net that hold tensors on its device.
_ON_DEVICE = ("module_", "criterion_", "optimizer_")


def _has_convolutions(module):
    return any(isinstance(each, torch.nn.Conv2d) for each in module.modules())
