"""What every deep estimator of ltlearn does once: the contract between scikit-learn and the net.

An estimator *has* a skorch net (``net_``); it is not one. Subclasses say what is particular to
them: how targets are encoded, which head and which objective. Shapes: n rows, D features of the
backbone, K outputs of the head.
"""

import copy
import functools
import os
from abc import ABC, abstractmethod
from contextlib import ExitStack, contextmanager, nullcontext
from numbers import Integral, Real
from typing import Literal

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ltlearn.data._epochs import ShuffledEpochs
from ltlearn.data._inputs import ColumnInputs, ImageInputs, TableInputs
from ltlearn.estimators._auto import general_defaults, tabular_defaults
from ltlearn.estimators._backbone import (
    BUILT_IN,
    backbone_builder,
    is_for_images,
    is_tabular,
    make_inputs,
    resolve_recipe,
)
from ltlearn.estimators._checkpointing import CheckpointMixin
from ltlearn.estimators._ensemble import EnsembleMixin
from ltlearn.estimators._own_parts import check_own_parts
from ltlearn.estimators._validation import (
    hold_out,
    stored_as_files,
    validate_fit_rows,
    validate_X,
)
from ltlearn.images import Recipe
from ltlearn.options import Architecture, Images, Training
from ltlearn.options._nesting import NestedOptionsMixin
from ltlearn.training._assembly import make_net
from ltlearn.training._callbacks import early_stopping as stop_early
from ltlearn.training._checkpoint import checkpointed_by, current_checkpoint
from ltlearn.training._observers import EpochBar, TaskReporter
from ltlearn.training._optimizers import check_optimizer
from ltlearn.training._trainer import TrainingPlan, train, train_alone
from ltlearn.utils._checks import check_widths
from ltlearn.utils._compat import CallbackSupportMixin, Interval, StrOptions, plain_number
from ltlearn.utils._device import resolve_device
from ltlearn.utils._estimator import BaseEstimator
from ltlearn.utils._precision import resolve_precision
from ltlearn.utils._random import isolated_generators, seed_for
from ltlearn.utils._typing import RowsLike, Self

# Rows that the built-in backbones for tables predict at once: more overflow the caches of a core.
_TABULAR_EVALUATION_BATCH, _MLP_EVALUATION_BATCH = 256, 512

_MOST_ESTIMATORS = 10_000

# Differences between numbers up to this size fit into float32.
_LARGE = 1e38


class BaseDeepEstimator(
    EnsembleMixin, CheckpointMixin, NestedOptionsMixin, CallbackSupportMixin, BaseEstimator, ABC
):
    """Validation, seeding, batching, early stopping, prediction and persistence."""

    _options: dict = {"training": Training, "architecture": Architecture, "images": Images}

    _parameter_constraints: dict = {
        "backbone": [str, callable],
        "backbone_params": [dict, None],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "hidden_layer_sizes": [StrOptions({"auto"}), "array-like"],
        "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "max_epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "lr": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "augmentation": [str, Recipe, None],
        "callbacks": [list, tuple, None],
        "device": [str, torch.device],
        "warm_start": ["boolean"],
        "checkpoint": [str, os.PathLike, None],
        "random_state": ["random_state"],
        "n_estimators": [Interval(Integral, 1, _MOST_ESTIMATORS, closed="both")],
        "verbose": ["verbose"],
        "training": [Training, None],
        "architecture": [Architecture, None],
        "images": [Images, None],
    }

    # What a subclass decides

    # Validation scores, and whether a lower one is better.
    _lower_is_better: dict
    # Options, by topic, that are for other estimators.
    _foreign_options: dict = {}

    @abstractmethod
    def _encode_y(self, y, *, reset, name="y"):
        """Validated targets as an array with n rows; with ``reset``, learn what there is to know
        of them (classes, bins). Errors call them by ``name``."""

    @abstractmethod
    def _fit_net(self, X, y, sample_weight, *, X_val, y_val, sample_weight_val, task):
        """Fit one net; there may be further arguments."""

    @abstractmethod
    def _learn_common(self, train, members):
        """Learn what the fitted members have in common, from all training rows."""

    @abstractmethod
    def _stratification(self, y):
        """A number per row, such that rows close in it are alike: what a validation split keeps."""

    @abstractmethod
    def _targets(self, rows):
        """Target tensors of the objective, by name, for ``Rows``."""

    @abstractmethod
    def _head(self):
        """A callable from D to the head module."""

    @abstractmethod
    def _objective(self):
        """The objective's class and its keyword arguments."""

    # Validation of what comes in

    @property
    def _is_continued(self):
        return self.warm_start and self.__sklearn_is_fitted__()

    @property
    def _is_table(self):
        """Whether the backbone, of this fit or the last one, is a built-in one for tables."""
        return isinstance(self._inputs, ColumnInputs | TableInputs)

    @property
    def _has_mlp(self):
        """Whether the backbone, of this fit or the last one, is the built-in MLP."""
        return isinstance(self._inputs, TableInputs)

    @property
    def _n_members(self):
        """Members of the body for tables, of this fit or the last one; None for other backbones."""
        if not isinstance(self._inputs, ColumnInputs):
            return None
        if self._is_continued:
            return self.net_.module_.backbone.n_members
        return self._setting("n_members")

    def _validate_fit_rows(self, X, y, sample_weight, *validation):
        """Training rows and, if there are any, validation rows, as :class:`Rows`.

        ``validation`` is X_val, y_val, sample_weight_val as passed to ``fit``.
        """
        self._validate_options()
        self._check_option_values()
        reset = not self._is_continued
        if reset:
            self._check_network_params()
            self._inputs = make_inputs(self)
        return validate_fit_rows(self, X, y, sample_weight, *validation, reset=reset)

    def _check_option_values(self):
        """Check options beyond their types."""
        check_optimizer(self._option("training").optimizer)
        scoring = self._option("training").scoring
        if scoring not in ("auto", *self._lower_is_better):
            raise ValueError(
                f"scoring={scoring!r} is not for {type(self).__name__}; training.scoring must be "
                f"one of {sorted(self._lower_is_better)}."
            )
        check_own_parts(self.loss, self._own_enhancers)
        for topic, names in self._foreign_options.items():
            options, defaults = self._option(topic), self._options[topic]()
            for name in names:
                if getattr(options, name) != getattr(defaults, name):
                    raise ValueError(
                        f"{topic}.{name}={getattr(options, name)!r} is not for "
                        f"{type(self).__name__}; leave it {getattr(defaults, name)!r}."
                    )

    def _check_network_params(self):
        """Check parameters of the network beyond their types."""
        resolve_recipe(self.augmentation)
        if not isinstance(self.hidden_layer_sizes, str):
            check_widths(self.hidden_layer_sizes)
        architecture = self._option("architecture")
        if not is_tabular(self):
            wanted = self.categorical_features
            if not (wanted is None or isinstance(wanted, str)):
                raise ValueError(
                    f"categorical_features={wanted!r} is for the body for tables; use "
                    'backbone="tabular".'
                )
            for name in ("n_members", "n_pieces"):
                if getattr(architecture, name) != "auto":
                    raise ValueError(
                        f"architecture.{name}={getattr(architecture, name)!r} is for the body for "
                        'tables; leave it "auto", or use backbone="tabular".'
                    )
        if self.backbone in BUILT_IN or not isinstance(self.backbone, str):
            given = {
                "backbone_params": self.backbone_params,
                "architecture.feature_pooling": architecture.feature_pooling,
            }
            for name, value in given.items():
                if value:
                    raise ValueError(
                        f"{name} is for timm backbones, which are asked for by name; leave it "
                        "None for others."
                    )

    def _hold_out(self, rows, random_state):
        """Split off validation rows, the same share of every stretch of the targets."""
        return hold_out(
            rows,
            self._option("training").validation_fraction,
            self._stratification(rows.y),
            random_state,
            lambda held_out: self._can_be_held_out(rows.y, held_out),
        )

    def _can_be_held_out(self, y, held_out):
        """Which of the row numbers ``held_out`` training can do without: a boolean array."""
        return np.ones(len(held_out), dtype=bool)

    def _wants_early_stopping(self, n, has_validation_rows):
        if self.early_stopping == "auto":
            return has_validation_rows or n >= 100
        return self.early_stopping

    # Settings

    def _learn_defaults(self, n_rows):
        """Find out what "auto" stands for with this many training rows."""
        before = self._defaults if self._is_continued else {}
        self._defaults = self._make_defaults(n_rows)
        # What the network is made of stays as it was.
        kept = ("hidden_layer_sizes", "dropout", "n_members", "n_pieces")
        self._defaults.update((name, before[name]) for name in kept if name in before)

    def _make_defaults(self, n_rows):
        if isinstance(self._inputs, ColumnInputs):
            return tabular_defaults(n_rows)
        is_image = isinstance(self._inputs, ImageInputs)
        return general_defaults(n_rows, self._inputs.spec.size if is_image else None)

    def _setting(self, name):
        """A parameter or an option, with what "auto" stands for."""
        holder = self if hasattr(self, name) else self._option("training")
        holder = holder if hasattr(holder, name) else self._option("architecture")
        value = plain_number(getattr(holder, name), holder._parameter_constraints[name])
        return self._defaults[name] if isinstance(value, str) and value == "auto" else value

    def _training_options(self):
        """Options of training with what "auto" stands for."""
        options = self._option("training")
        autos = [name for name, value in options.get_params().items() if value == "auto"]
        resolved = {name: self._setting(name) for name in autos if name in self._defaults}
        return clone(options).set_params(**resolved)

    def _learn_inputs(self, X):
        """Learn from the training rows what inputs there are, and their scale."""
        if isinstance(self._inputs, ColumnInputs):
            self._inputs.n_pieces = self._setting("n_pieces")
        self._inputs.fit(X)

    # Training

    def _fit_as_task(self, X, y, sample_weight, **rows):
        """Fit a net, or several, and tell scikit-learn's callbacks."""
        task = self._init_callback_context(max_subtasks=None)
        if task is not None:
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
        self._check_continuation()
        rows = stored_as_files(self, X=X, **rows)
        X = rows.pop("X")
        self._check_processes(X, y, sample_weight, rows)
        with checkpointed_by(self._open_checkpoint(X, y, sample_weight, rows)):
            if self.n_estimators == 1:
                self._fit_net(X, y, sample_weight, task=task, **rows)
                vars(self).pop("estimators_", None)
            else:
                self._fit_members(X, y, sample_weight, **rows)
        if task is not None:
            task.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes=dict)
        return self

    @property
    def _draws_globally(self):
        """Whether the network or the data may draw from the default generators.

        A user's module or the augmentation of images may; what is built in has its own generators.
        """
        return not self._is_table

    @property
    def _own_enhancers(self):
        """Enhancers of the user's own, a sequence."""
        return ()

    @property
    def _has_own_parts(self):
        """Whether a loss or an enhancer is the user's own, and may draw from wherever it likes."""
        return callable(self.loss) or len(self._own_enhancers) > 0

    @contextmanager
    def _few_threads(self, device):
        """One CPU thread for the built-in backbones for tables.

        Their matrix products are too small to gain from more threads, and the number of threads
        would change how sums are rounded: so results do not depend on ``n_jobs``.
        """
        with ExitStack() as stack:
            if self._is_table and device.type == "cpu":
                stack.callback(torch.set_num_threads, torch.get_num_threads())
                torch.set_num_threads(1)
            yield

    def _data(self, rows, training=False):
        return self._inputs.data(rows.X, self._targets(rows), training)

    def _evaluation_batch_size(self, batch_size):
        """Built-in ones for tables take much more at once; other networks what training takes."""
        if self._is_table:
            least = _MLP_EVALUATION_BATCH if self._has_mlp else _TABULAR_EVALUATION_BATCH
            return max(batch_size, least)
        return -(-batch_size // self._option("training").accumulation_steps)

    def _network_params(self, input_shape):
        """Arguments of :class:`~ltlearn.networks._network.Network`, but for the head."""
        return {
            "build_backbone": backbone_builder(self),
            "input_shape": input_shape,
            "build_preparation": self._inputs.build_preparation,
            "freeze_backbone": self._option("training").freeze_backbone,
        }

    def _make_net(self, network, *, batch_size, max_epochs, early_stopping, layer_decay=1.0):
        """An untrained net with this estimator's objective and optimizer.

        ``network`` is a :class:`~ltlearn.networks._network.Network`, or the arguments of one, which
        need not say what builds the head.
        """
        options = self._training_options()
        stopping = None
        if early_stopping:
            stopping = stop_early(
                options.scoring,
                patience=options.n_iter_no_change,
                lower_is_better=self._lower_is_better[options.scoring],
            )
        return make_net(
            {"build_head": self._head(), **network} if isinstance(network, dict) else network,
            *self._objective(),
            options=options,
            device=resolve_device(self.device),
            lr=self._setting("lr"),
            batch_size=batch_size,
            evaluation_batch_size=self._evaluation_batch_size(batch_size),
            max_epochs=max_epochs,
            callbacks=self.callbacks,
            stopping=stopping,
            layer_decay=layer_decay,
            verbose=self.verbose,
        )

    def _train(self, data, valid, *, seed, task, early_stopping, batch_size, stage="fit"):
        """Train a net on data and return it; ``net_`` is left as it is.

        With ``warm_start`` a copy of its network goes on training.
        """
        options, device = self._option("training"), resolve_device(self.device)
        if data.epoch_index is None:
            data.epoch_index = ShuffledEpochs(len(data), seed_for(seed, "order"))
        with isolated_generators(seed_for(seed, "weights"), device):
            if self._is_continued:
                network = copy.deepcopy(self.net_.module_)
                network.freeze_backbone(options.freeze_backbone)
            else:
                network = self._network_params(data.input_shape)
            net = self._make_net(
                network,
                batch_size=batch_size,
                max_epochs=self._setting("max_epochs"),
                early_stopping=early_stopping,
                layer_decay=options.layer_decay,
            )
            if self._is_continued:
                net.go_on_from(self.net_)
            else:
                net.initialize()
        return self._run(net, data, valid, seed=seed, task=task, stage=stage)

    def _untrained_net(self, network, *, batch_size, max_epochs):
        """An initialized net for weights that are there already."""
        with isolated_generators(0, resolve_device(self.device)):
            return self._make_net(
                network,
                batch_size=batch_size,
                max_epochs=max_epochs,
                early_stopping=False,
                layer_decay=self._option("training").layer_decay,
            ).initialize()

    def _run(self, net, data, valid, *, seed, task, stage, draws_globally=None):
        observers = [TaskReporter(self, task, stage)]
        if self.verbose:
            observers.append(EpochBar(f"{type(self).__name__} {stage}"))
        if draws_globally is None:
            draws_globally = self._draws_globally
        draws_globally = draws_globally or self._has_own_parts
        checkpoint = current_checkpoint()
        start = train if checkpoint is None else train_alone
        return start(
            TrainingPlan(
                net,
                data,
                valid,
                observers,
                seed=seed,
                draws_globally=draws_globally,
                threads=functools.partial(self._few_threads, torch.device(net.device)),
                keeps_optimizer=self.warm_start,
                checkpoint=None if checkpoint is None else checkpoint.stage(stage),
                on_interrupt=self._option("training").on_interrupt,
            )
        )

    def _n_epochs(self, net):
        """Epochs of this fit, of all that the net was trained for; to be told before it ends."""
        return len(net.history) - (len(self.net_.history) if self._is_continued else 0)

    def _history_of(self, net, stage):
        return [
            {"stage": stage, **{k: v for k, v in row.items() if k != "batches"}}
            for row in net.history
        ]

    # Prediction

    def _outputs(self, X, method="forward", net=None):
        """Outputs (or features) of validated rows as an array (n, ...).

        Those of the built-in ones for tables do not depend on what other rows there are.
        """
        net = self.net_ if net is None else net
        device = torch.device(net.device)
        with self._few_threads(device), self._still(device):
            try:
                data = self._inputs.data(X)
                apply = net.apply_steadily if self._is_table else net.apply_network
                outputs = apply(data, method).cpu().numpy()
            except RuntimeError as error:
                seen = getattr(self._inputs, "sample_shape", X.shape[1:])
                if X.shape[1:] == seen:
                    raise
                raise ValueError(
                    f"X has samples of shape {X.shape[1:]}, fit saw {seen}, and the backbone does "
                    f"not take both: {error}"
                ) from error
        if not np.isfinite(outputs).all():
            row = np.flatnonzero(~np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim))))[0]
            raise ValueError(
                f"The network gives no finite output for row {row} of X, whose values are "
                "probably far outside what fit saw; scale them as those were."
            )
        return outputs

    def _still(self, device):
        """Context of prediction: a module that draws even then draws the same every time."""
        return isolated_generators(0, device) if self._draws_globally else nullcontext()

    def embed(self, X: RowsLike) -> np.ndarray:
        """Features of the backbone, before the head.

        Of members inside one network the mean; of several networks all, one after the other.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.

        Returns
        -------
        features : ndarray of shape (n_samples, n_estimators * D), dtype float32
        """
        check_is_fitted(self)
        X = validate_X(self, X)
        features = [member._outputs(X, "embedding") for member in self._members]
        return as_float32(np.concatenate(features, axis=1))

    def to(
        self: Self,
        device: str | torch.device | None = None,
        precision: Literal["auto", "float32", "bfloat16"] | None = None,
    ) -> Self:
        """Move the fitted model to another device, or let it compute in another type.

        The parameters ``device`` and ``training.precision`` follow, so that later fits do the same.

        Parameters
        ----------
        device : str or torch.device, default=None
            ``"auto"`` is CUDA where available, else the CPU; None leaves the model where it is.
        precision : {"auto", "float32", "bfloat16"}, default=None
            Arithmetic of forward passes; None leaves it as it is. Built-in backbones for tables
            predict in float32 all the same.

        Returns
        -------
        self : estimator instance

        Examples
        --------
        >>> import numpy as np
        >>> from ltlearn import ELTARegressor
        >>> X = np.random.default_rng(0).normal(size=(60, 2))
        >>> model = ELTARegressor(max_epochs=2, random_state=0).fit(X, X[:, 0])
        >>> model.to("cpu", precision="bfloat16").get_params()["training__precision"]
        'bfloat16'
        """
        check_is_fitted(self)
        resolved = resolve_device(self.device if device is None else device)
        if precision is not None:
            options = Training(precision=precision)
            options._validate_params()
            self.set_params(training__precision=precision)
        if device is not None:
            self.device = device
        for member in self._members:
            if member is not self:
                member.to(device, precision)
                continue
            if device is not None:
                self.net_.move_to(resolved)
            self.net_.precision = resolve_precision(
                self._option("training").precision, torch.device(self.net_.device)
            )
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inputs = tags.input_tags
        inputs.allow_nan = inputs.categorical = is_tabular(self)
        takes_images = is_for_images(self)
        inputs.two_d_array = not takes_images
        inputs.one_d_array = inputs.string = takes_images  # paths
        inputs.three_d_array = self.backbone not in BUILT_IN
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_") or hasattr(self, "estimators_")


def as_float32(values):
    """Finite numbers in float32, those that are too large for it as large ones."""
    return np.clip(values, -_LARGE, _LARGE).astype(np.float32)
