"""What every deep estimator of ltlearn does once: the contract between scikit-learn and the net.

An estimator *has* a skorch net (``net_``); it is not one. Subclasses say what is particular to
them: how targets are encoded, which head and which objective. Shapes: n rows, D features of the
backbone, K outputs of the head.
"""

import copy
import functools
import inspect
import math
from abc import ABC, abstractmethod
from contextlib import ExitStack, contextmanager
from functools import partial
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping, InputShapeSetter
from skorch.callbacks.scoring import ScoringBase

from ltlearn._batches import ShuffledEpochs
from ltlearn._inputs import ArrayInputs, ImageInputs, TableInputs
from ltlearn._net import ObjectiveNet
from ltlearn._network import GivenBackbone, NamedBackbone, Network
from ltlearn._observers import EpochBar, TaskReporter
from ltlearn._schedule import LayerDecay, WarmupCosine
from ltlearn._warmup import HeadWarmup
from ltlearn._whole import unwrap
from ltlearn.backbones import MLP, timm_input_spec
from ltlearn.backbones._timm import input_spec_of, timm_params
from ltlearn.images import RECIPES, Recipe
from ltlearn.utils._compat import CallbackSupportMixin, Interval, StrOptions, _check_sample_weight
from ltlearn.utils._device import resolve_device, torch_defaults
from ltlearn.utils._precision import resolve_precision
from ltlearn.utils._random import draw_seed, isolated_generators

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}

# Rows that the built-in MLP predicts at once.
_MLP_EVALUATION_BATCH = 1024


class Rows(NamedTuple):
    """Aligned rows of one part of the data; ``weight`` is None where all rows count the same."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    def take(self, index):
        weight = None if self.weight is None else self.weight[index]
        return Rows(self.X[index], self.y[index], weight)


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


class BaseDeepEstimator(CallbackSupportMixin, BaseEstimator, ABC):
    """Validation, seeding, batching, early stopping, prediction and persistence."""

    _parameter_constraints: dict = {
        "backbone": [str, callable],
        "backbone_params": [dict, None],
        "feature_pooling": [StrOptions({"avg", "max", "token"}), None],
        "freeze_backbone": ["boolean"],
        "head_warmup_epochs": [Interval(Integral, 0, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
        "lr_schedule": [StrOptions({"constant", "cosine"})],
        "warmup_epochs": [Interval(Integral, 0, None, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "accumulation_steps": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "augmentation": [str, Recipe, None],
        "num_workers": [Interval(Integral, 0, None, closed="left")],
        "on_bad_image": [StrOptions({"raise", "skip"})],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "compile": ["boolean"],
        "callbacks": [list, tuple, None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def __init__(
        self,
        *,
        backbone,
        backbone_params,
        feature_pooling,
        freeze_backbone,
        head_warmup_epochs,
        hidden_layer_sizes,
        dropout,
        optimizer,
        lr,
        layer_decay,
        lr_schedule,
        warmup_epochs,
        weight_decay,
        max_grad_norm,
        batch_size,
        accumulation_steps,
        max_epochs,
        early_stopping,
        validation_fraction,
        n_iter_no_change,
        scoring,
        augmentation,
        num_workers,
        on_bad_image,
        device,
        precision,
        compile,
        callbacks,
        warm_start,
        random_state,
        verbose,
    ):
        self.backbone = backbone
        self.backbone_params = backbone_params
        self.feature_pooling = feature_pooling
        self.freeze_backbone = freeze_backbone
        self.head_warmup_epochs = head_warmup_epochs
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.optimizer = optimizer
        self.lr = lr
        self.layer_decay = layer_decay
        self.lr_schedule = lr_schedule
        self.warmup_epochs = warmup_epochs
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.batch_size = batch_size
        self.accumulation_steps = accumulation_steps
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.scoring = scoring
        self.augmentation = augmentation
        self.num_workers = num_workers
        self.on_bad_image = on_bad_image
        self.device = device
        self.precision = precision
        self.compile = compile
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # What a subclass decides

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
        """Check all rows that come into fit.

        Returns
        -------
        train : Rows
        valid : Rows or None
            None when no validation rows were passed.
        """
        X_val = unwrap("X_val", X_val, X)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val belong together; pass both or neither.")
        if y_val is not None:
            y_val = unwrap("y_val", y_val, y)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        reset = not self._is_continued
        if reset:
            self._check_network_params()
            self._inputs = self._make_inputs()
        X = self._inputs.check(self, X, reset=reset)
        y = self._encode_y(y, reset=reset)
        check_consistent_length(X, y)
        train = Rows(X, y, None)
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
            if (weight < 0).any() or not weight.any():
                raise ValueError("sample_weight must be non-negative, and non-zero somewhere.")
            train = Rows(X, y, weight).take(weight > 0)
        usable = self._inputs.usable_rows(train.X)
        if len(usable) < len(train.X):
            train = train.take(usable)
        valid = None
        if X_val is not None:
            X_val = self._validate_X(X_val, "X_val")
            y_val = self._encode_y(y_val, reset=False, name="y_val")
            if len(X_val) != len(y_val):
                raise ValueError(f"X_val has {len(X_val)} rows and y_val {len(y_val)}.")
            valid = Rows(X_val, y_val, None)
        return train, valid

    def _validate_X(self, X, name="X"):
        try:
            return self._inputs.check(self, X, reset=False)
        except ValueError as error:
            if name == "X":
                raise
            raise ValueError(f"{name} is not as X: {error}") from error

    def _check_network_params(self):
        """Check parameters of the network beyond their types."""
        self._recipe()
        if not all(isinstance(n, Integral) and n > 0 for n in self.hidden_layer_sizes):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} must be positive integers."
            )
        if self.backbone == "mlp" or not isinstance(self.backbone, str):
            for name in ("backbone_params", "feature_pooling"):
                if getattr(self, name):
                    raise ValueError(
                        f"{name} is for timm backbones, which are asked for by name; leave it "
                        "None for others."
                    )

    def _validate_more_rows(self, X, name, like):
        """Rows that are to be trained on together with the rows ``like``."""
        X = self._validate_X(X, name)
        becomes_float = isinstance(self._inputs, ArrayInputs) and min(X.itemsize, like.itemsize) > 1
        same_kind = X.dtype.kind == like.dtype.kind or becomes_float
        if X.shape[1:] != like.shape[1:] or not same_kind:
            raise ValueError(
                f"{name} has samples of shape {X.shape[1:]} and type {X.dtype}, X of shape "
                f"{like.shape[1:]} and type {like.dtype}; they must be of the same kind."
            )
        return X

    def _make_inputs(self):
        """What kind of X the backbone takes."""
        if self.backbone == "mlp":
            return TableInputs()
        if isinstance(self.backbone, str):
            spec = timm_input_spec(self.backbone, self._timm_params())
        else:
            spec = input_spec_of(self.backbone)
        if spec is None:
            return ArrayInputs()
        return ImageInputs(spec, self._recipe(), self.num_workers, self.on_bad_image)

    def _timm_params(self):
        return timm_params(self.backbone_params, self.feature_pooling)

    def _recipe(self):
        """The :class:`~ltlearn.images.Recipe` of ``augmentation``, or None."""
        if self.augmentation is None or isinstance(self.augmentation, Recipe):
            return self.augmentation
        if self.augmentation not in RECIPES:
            raise ValueError(
                f"augmentation={self.augmentation!r} is not one of {sorted(RECIPES)}, a "
                "ltlearn.images.Recipe or None."
            )
        return RECIPES[self.augmentation]

    def _hold_out(self, rows, random_state):
        """Split off validation rows, ``validation_fraction`` of every stretch of the targets."""
        n_valid = max(1, round(self.validation_fraction * len(rows.X)))
        if n_valid >= len(rows.X):
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of {len(rows.X)} rows leaves none "
                "to train on. Pass more rows, X_val and y_val, or early_stopping=False."
            )
        order = np.lexsort((random_state.random_sample(len(rows.X)), self._stratification(rows.y)))
        blocks = np.array_split(order, n_valid)
        held_out = np.sort([block[random_state.randint(len(block))] for block in blocks])
        held_out = held_out[self._can_be_held_out(rows.y, held_out)]
        train, valid = rows.take(np.setdiff1d(order, held_out)), rows.take(held_out)
        if not len(valid.X):
            raise ValueError(
                "No row can be held out for validation. Pass X_val and y_val, or "
                "early_stopping=False."
            )
        return train, valid

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
        return -(-batch_size // self.accumulation_steps)

    def _build_backbone(self):
        if self.backbone == "mlp":
            return partial(
                _build_mlp, hidden_layer_sizes=tuple(self.hidden_layer_sizes), dropout=self.dropout
            )
        if isinstance(self.backbone, str):
            return NamedBackbone(self.backbone, self._timm_params())
        return GivenBackbone(self.backbone)

    def _network_params(self, input_shape):
        """Arguments of :class:`Network`, but for the head."""
        return {
            "build_backbone": self._build_backbone(),
            "input_shape": input_shape,
            "build_preparation": self._inputs.build_preparation,
            "freeze_backbone": self.freeze_backbone,
        }

    def _callbacks(self):
        """Callbacks of the net, other than early stopping."""
        callbacks = []
        if self.head_warmup_epochs:
            callbacks.append(HeadWarmup(self.head_warmup_epochs))
        if self.warmup_epochs or self.lr_schedule == "cosine":
            callbacks.append(WarmupCosine(self.warmup_epochs, self.lr_schedule == "cosine"))
        if self.max_grad_norm is not None:
            callbacks.append(GradientNormClipping(self.max_grad_norm))
        for callback in self.callbacks or []:
            _check_callback(callback)
            callbacks.append(callback)
        return callbacks

    def _make_net(self, network, *, batch_size, max_epochs, early_stopping, layer_decay=1.0):
        """An untrained net with this estimator's objective and optimizer.

        ``network`` is a :class:`Network`, or the arguments of one, but for the head.
        """
        if isinstance(network, Network):
            module = {"module": network}
        else:
            params = {**network, "build_head": self._head()}
            module = {"module": Network, **{f"module__{k}": v for k, v in params.items()}}
        device = resolve_device(self.device)
        objective, objective_params = self._objective()
        optimizer = OPTIMIZERS.get(self.optimizer, self.optimizer)
        optimizer_params = {"weight_decay": self.weight_decay}
        if optimizer is torch.optim.SGD:  # fused, it fails on layers that start to learn later
            optimizer_params.update(momentum=0.9, nesterov=True)
        elif optimizer in OPTIMIZERS.values():
            optimizer_params["fused"] = device.type in ("cpu", "cuda")
        elif "weight_decay" not in inspect.signature(optimizer).parameters:
            optimizer_params = {}
        callbacks = self._callbacks()
        if early_stopping:
            callbacks.append(
                EarlyStopping(
                    monitor=f"valid_{self.scoring}",
                    patience=self.n_iter_no_change,
                    lower_is_better=self._lower_is_better[self.scoring],
                    load_best=True,
                    sink=_silent,
                )
            )
        return ObjectiveNet(
            **module,
            criterion=objective,
            **{f"criterion__{name}": value for name, value in objective_params.items()},
            optimizer=optimizer,
            **{f"optimizer__{name}": value for name, value in optimizer_params.items()},
            lr=self.lr,
            batch_size=batch_size,
            evaluation_batch_size=self._evaluation_batch_size(batch_size),
            max_epochs=max_epochs,
            train_split=None,
            callbacks=callbacks,
            device=str(device),
            precision=resolve_precision(self.precision, device),
            accumulation_steps=self.accumulation_steps,
            parameter_groups=None if layer_decay == 1.0 else LayerDecay(layer_decay),
            compile_backbone=self.compile,
            verbose=max(0, int(self.verbose) - 1),
        )

    def _train(self, data, valid, *, seed, task, early_stopping, batch_size, stage="fit"):
        """Train a net on data and return it; ``net_`` is left as it is.

        With ``warm_start`` a copy of its network goes on training.
        """
        if data.epoch_index is None:
            data.epoch_index = ShuffledEpochs(len(data), seed)
        with self._isolated(seed, resolve_device(self.device)):
            if self._is_continued:
                network = copy.deepcopy(self.net_.module_)
                network.freeze_backbone(self.freeze_backbone)
            else:
                network = self._network_params(data.input_shape)
            net = self._make_net(
                network,
                batch_size=batch_size,
                max_epochs=self.max_epochs,
                early_stopping=early_stopping,
                layer_decay=self.layer_decay,
            )
            if self._is_continued:
                net.go_on_from(self.net_)
            return self._run(net, data, valid, task=task, stage=stage)

    def _run(self, net, data, valid, *, task, stage):
        observers = [TaskReporter(self, task, stage)]
        if self.verbose:
            observers.append(EpochBar(f"{type(self).__name__} {stage}"))
        net.fit_data(data, valid, observers)
        if not self.warm_start:
            net.optimizer_.state.clear()  # twice the size of the weights, and of no further use
        return net

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
                return net.outputs(self._inputs.data(X), method, exact).cpu().numpy()
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
        return self._outputs(self._validate_X(X), "features").astype(np.float32)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")


def draw_seeds(random_state, n):
    """``n`` independent seeds, and the generator they came from for draws in NumPy."""
    generator = check_random_state(random_state)
    return generator, [draw_seed(generator) for _ in range(n)]


def weighted_mean_one(weight):
    """Weights scaled to a mean of one, so that they do not change the learning rate."""
    weight = weight / weight.max()  # extreme weights would overflow in the sum
    return weight * (len(weight) / math.fsum(weight))


def _check_callback(callback):
    if isinstance(callback, tuple) and len(callback) == 2:  # skorch takes (name, callback) too
        callback = callback[1]
    kind = callback if isinstance(callback, type) else type(callback)
    if not issubclass(kind, Callback):
        raise ValueError(f"callbacks must hold skorch callbacks, got {callback!r}.")
    if issubclass(kind, ScoringBase | InputShapeSetter):
        raise ValueError(
            f"{kind.__name__} needs predictions or samples batch by batch, which the callbacks "
            "here do not get. history_ holds the losses and scores of every epoch; for others use "
            "scikit-learn's scoring, outside of fit."
        )


def _build_mlp(input_shape, hidden_layer_sizes, dropout):
    return MLP(input_shape[0], hidden_layer_sizes, dropout)


def _silent(*args, **kwargs):
    """Early stopping has nothing to print."""
