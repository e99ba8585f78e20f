"""What every deep estimator of ltlearn does once: the contract between scikit-learn and the net.

An estimator *has* a skorch net (``net_``); it is not one. Subclasses say what is particular to
them: how targets are encoded, which head and which objective. Shapes: n rows, D features of the
backbone, K outputs of the head.
"""

import copy
import functools
from abc import ABC, abstractmethod
from contextlib import ExitStack, contextmanager
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ltlearn.data._epochs import ShuffledEpochs
from ltlearn.data._inputs import TableInputs
from ltlearn.estimators._backbone import backbone_builder, make_inputs, resolve_recipe
from ltlearn.estimators._validation import hold_out, validate_fit_rows, validate_X
from ltlearn.images import Recipe
from ltlearn.options import Architecture, Images, Training
from ltlearn.options._nesting import NestedOptionsMixin
from ltlearn.training._assembly import make_net
from ltlearn.training._callbacks import early_stopping as stop_early
from ltlearn.training._observers import EpochBar, TaskReporter
from ltlearn.training._trainer import TrainingPlan, train
from ltlearn.utils._compat import CallbackSupportMixin, Interval, StrOptions
from ltlearn.utils._device import resolve_device, torch_defaults
from ltlearn.utils._random import draw_seed, isolated_generators

# Rows that the built-in MLP predicts at once.
_MLP_EVALUATION_BATCH = 1024


def all_or_nothing(fit):
    """Decorate a ``fit`` so that one that fails leaves the estimator as it was before."""

    @functools.wraps(fit)
    def guarded(self, *args, **kwargs):
        before = vars(self).copy()
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return guarded


class BaseDeepEstimator(NestedOptionsMixin, CallbackSupportMixin, BaseEstimator, ABC):
    """Validation, seeding, batching, early stopping, prediction and persistence."""

    _options: dict = {"training": Training, "architecture": Architecture, "images": Images}

    _parameter_constraints: dict = {
        "backbone": [str, callable],
        "backbone_params": [dict, None],
        "hidden_layer_sizes": ["array-like"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "augmentation": [str, Recipe, None],
        "callbacks": [list, tuple, None],
        "device": [str, torch.device],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
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
        return self.warm_start and hasattr(self, "net_")

    @property
    def _has_mlp(self):
        """Whether the backbone, of this fit or the last one, is the built-in MLP."""
        return isinstance(self._inputs, TableInputs)

    def _validate_fit_rows(self, X, y, sample_weight, X_val, y_val):
        """Training rows and, if there are any, validation rows, as :class:`Rows`."""
        self._validate_options()
        self._check_option_values()
        reset = not self._is_continued
        if reset:
            self._check_network_params()
            self._inputs = make_inputs(self)
        return validate_fit_rows(self, X, y, sample_weight, X_val, y_val, reset=reset)

    def _check_option_values(self):
        """Check options beyond their types."""
        scoring = self._option("training").scoring
        if scoring not in self._lower_is_better:
            raise ValueError(
                f"scoring={scoring!r} is not for {type(self).__name__}; training.scoring must be "
                f"one of {sorted(self._lower_is_better)}."
            )
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
        if not all(isinstance(n, Integral) and n > 0 for n in self.hidden_layer_sizes):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} must be positive integers."
            )
        if self.backbone == "mlp" or not isinstance(self.backbone, str):
            given = {
                "backbone_params": self.backbone_params,
                "architecture.feature_pooling": self._option("architecture").feature_pooling,
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

    # Training

    @contextmanager
    def _isolated(self, seed, device):
        """Own generators, torch's own defaults, and one CPU thread for the built-in MLP.

        Its matrix products are too small to gain from more threads, and their number would change
        how sums are rounded: so results do not depend on ``n_jobs``.
        """
        with ExitStack() as stack:
            stack.enter_context(isolated_generators(seed, device))
            stack.enter_context(torch_defaults())
            if self._has_mlp and device.type == "cpu":
                stack.callback(torch.set_num_threads, torch.get_num_threads())
                torch.set_num_threads(1)
            yield

    def _data(self, rows, training=False):
        return self._inputs.data(rows.X, self._targets(rows), training)

    def _resolved_batch_size(self, n):
        if self.batch_size == "auto":
            return int(np.clip(n // 32, 16, 256))
        return self.batch_size

    def _evaluation_batch_size(self, batch_size):
        """The built-in MLP takes much more at once; other networks what training takes."""
        if self._has_mlp:
            return max(batch_size, _MLP_EVALUATION_BATCH)
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

        ``network`` is a :class:`~ltlearn.networks._network.Network`, or the arguments of one, but
        for the head.
        """
        options = self._option("training")
        stopping = None
        if early_stopping:
            stopping = stop_early(
                options.scoring,
                patience=options.n_iter_no_change,
                lower_is_better=self._lower_is_better[options.scoring],
            )
        return make_net(
            {**network, "build_head": self._head()} if isinstance(network, dict) else network,
            *self._objective(),
            options=options,
            device=resolve_device(self.device),
            lr=self.lr,
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
        options = self._option("training")
        if data.epoch_index is None:
            data.epoch_index = ShuffledEpochs(len(data), seed)

        def make_net():
            if self._is_continued:
                network = copy.deepcopy(self.net_.module_)
                network.freeze_backbone(options.freeze_backbone)
            else:
                network = self._network_params(data.input_shape)
            net = self._make_net(
                network,
                batch_size=batch_size,
                max_epochs=self.max_epochs,
                early_stopping=early_stopping,
                layer_decay=options.layer_decay,
            )
            return net.go_on_from(self.net_) if self._is_continued else net

        return self._run(make_net, data, valid, seed=seed, task=task, stage=stage)

    def _run(self, make_net, data, valid, *, seed, task, stage):
        observers = [TaskReporter(self, task, stage)]
        if self.verbose:
            observers.append(EpochBar(f"{type(self).__name__} {stage}"))
        isolated = functools.partial(self._isolated, seed, resolve_device(self.device))
        return train(
            TrainingPlan(
                make_net, isolated, data, valid, observers, keeps_optimizer=self.warm_start
            )
        )

    def _history_of(self, net, stage):
        return [
            {"stage": stage, **{k: v for k, v in row.items() if k != "batches"}}
            for row in net.history
        ]

    # Prediction

    def _outputs(self, X, method="forward", net=None):
        """Outputs (or features) of validated rows as an array (n, ...).

        The built-in MLP is small enough to predict in float64 wherever there is float64.
        """
        net = self.net_ if net is None else net
        device = torch.device(net.device)
        exact = self._has_mlp and device.type != "mps"
        with self._isolated(0, device):
            try:
                return net.apply_network(self._inputs.data(X), method, exact).cpu().numpy()
            except RuntimeError as error:
                seen = getattr(self._inputs, "sample_shape", X.shape[1:])
                if X.shape[1:] == seen:
                    raise
                raise ValueError(
                    f"X has samples of shape {X.shape[1:]}, fit saw {seen}, and the backbone does "
                    f"not take both: {error}"
                ) from error

    def embed(self, X):
        """Features of the backbone, before the head.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.

        Returns
        -------
        features : ndarray of shape (n_samples, D), dtype float32
        """
        check_is_fitted(self)
        return self._outputs(validate_X(self, X), "features").astype(np.float32)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")


def draw_seeds(random_state, n):
    """``n`` independent seeds, and the generator they came from for draws in NumPy."""
    generator = check_random_state(random_state)
    return generator, [draw_seed(generator) for _ in range(n)]
