"""What every deep estimator of ltlearn does once: the contract between scikit-learn and the net.

An estimator *has* a skorch net (``net_``); it is not one. Subclasses say what is particular to
them: how targets are encoded, which head and which objective. Shapes: n rows, D features of the
backbone, K outputs of the head.
"""

import copy
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
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data
from skorch.callbacks import EarlyStopping

from ltlearn._batches import ShuffledEpochs, TensorData
from ltlearn._inputs import ArrayInputs, TableInputs
from ltlearn._net import ObjectiveNet
from ltlearn._network import GivenBackbone, Network
from ltlearn._observers import EpochBar, TaskReporter
from ltlearn._whole import unwrap
from ltlearn.backbones import MLP
from ltlearn.utils._compat import CallbackSupportMixin, Interval, StrOptions, _check_sample_weight
from ltlearn.utils._device import resolve_device
from ltlearn.utils._random import draw_seed, isolated_generators

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class Rows(NamedTuple):
    """Aligned rows of one part of the data; ``weight`` is None where all rows count the same."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    def take(self, index):
        weight = None if self.weight is None else self.weight[index]
        return Rows(self.X[index], self.y[index], weight)


class BaseDeepEstimator(CallbackSupportMixin, BaseEstimator, ABC):
    """Validation, seeding, batching, early stopping, prediction and persistence."""

    _parameter_constraints: dict = {
        "backbone": [StrOptions({"mlp"}), callable],
        "hidden_layer_sizes": ["array-like"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "device": [str, torch.device],
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
        hidden_layer_sizes,
        dropout,
        optimizer,
        lr,
        weight_decay,
        batch_size,
        max_epochs,
        early_stopping,
        validation_fraction,
        n_iter_no_change,
        scoring,
        device,
        callbacks,
        warm_start,
        random_state,
        verbose,
    ):
        self.backbone = backbone
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.scoring = scoring
        self.device = device
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # What a subclass decides

    @abstractmethod
    def _encode_y(self, y, *, reset):
        """Validated targets as an array with n rows; with ``reset``, learn what there is to know
        of them (classes, bins)."""

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
        if not self._is_continued:
            self._inputs = TableInputs() if self.backbone == "mlp" else ArrayInputs()
        X, y = validate_data(
            self, X, y, multi_output=True, reset=not self._is_continued, **self._inputs.validation
        )
        y = self._encode_y(y, reset=not self._is_continued)
        train = Rows(X, y, None)
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
            if (weight < 0).any() or not weight.any():
                raise ValueError("sample_weight must be non-negative, and non-zero somewhere.")
            train = Rows(X, y, weight).take(weight > 0)
        valid = None
        if X_val is not None:
            X_val = self._validate_X(X_val)
            y_val = self._encode_y(np.asarray(y_val), reset=False)
            check_consistent_length(X_val, y_val)
            valid = Rows(X_val, y_val, None)
        return train, valid

    def _validate_X(self, X):
        return validate_data(self, X, reset=False, **self._inputs.validation)

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
    def _isolated(self, seed):
        """Own generators, and one CPU thread for the built-in MLP.

        Its matrix products are too small to gain from more threads, and their number would change
        how sums are rounded: so results do not depend on ``n_jobs``.
        """
        with ExitStack() as stack:
            device = resolve_device(self.device)
            stack.enter_context(isolated_generators(seed, device))
            if self.backbone == "mlp" and device.type == "cpu":
                stack.callback(torch.set_num_threads, torch.get_num_threads())
                torch.set_num_threads(1)
            yield

    def _data(self, rows):
        return TensorData(self._inputs.tensor(rows.X), self._targets(rows))

    def _resolved_batch_size(self, n):
        if self.batch_size == "auto":
            return int(np.clip(n // 32, 16, 256))
        return self.batch_size

    def _build_backbone(self):
        if self.backbone == "mlp":
            return partial(
                _build_mlp, hidden_layer_sizes=tuple(self.hidden_layer_sizes), dropout=self.dropout
            )
        return GivenBackbone(self.backbone)

    def _callbacks(self):
        """Callbacks of the net, other than early stopping."""
        return list(self.callbacks or [])

    def _make_net(self, *, build_backbone, input_shape, batch_size, max_epochs, early_stopping):
        """An untrained net with this estimator's head, objective and optimizer."""
        device = resolve_device(self.device)
        objective, objective_params = self._objective()
        optimizer = OPTIMIZERS.get(self.optimizer, self.optimizer)
        optimizer_params = {"weight_decay": self.weight_decay}
        if optimizer in OPTIMIZERS.values():
            optimizer_params["fused"] = device.type in ("cpu", "cuda")
            if optimizer is torch.optim.SGD:
                optimizer_params.update(momentum=0.9, nesterov=True)
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
            module=Network,
            module__build_backbone=build_backbone,
            module__build_head=self._head(),
            module__input_shape=input_shape,
            criterion=objective,
            **{f"criterion__{name}": value for name, value in objective_params.items()},
            optimizer=optimizer,
            **{f"optimizer__{name}": value for name, value in optimizer_params.items()},
            lr=self.lr,
            batch_size=batch_size,
            max_epochs=max_epochs,
            train_split=None,
            callbacks=callbacks,
            device=str(device),
            verbose=max(0, int(self.verbose) - 1),
        )

    def _train(self, data, valid, *, seed, task, early_stopping, batch_size, stage="fit"):
        """Train a net on ``TensorData`` and return it; ``net_`` is left as it is.

        With ``warm_start`` a copy of ``net_`` goes on training, so that nothing is lost should this
        fit fail.
        """
        if data.epoch_index is None:
            data.epoch_index = ShuffledEpochs(len(data), seed)
        with self._isolated(seed):
            if self._is_continued:
                net = copy.deepcopy(self.net_)
                net.set_params(max_epochs=self.max_epochs, lr=self.lr)
            else:
                net = self._make_net(
                    build_backbone=self._build_backbone(),
                    input_shape=tuple(data.X.shape[1:]),
                    batch_size=batch_size,
                    max_epochs=self.max_epochs,
                    early_stopping=early_stopping,
                )
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
        """Outputs (or features) of validated rows as a float32 array (n, ...)."""
        net = self.net_ if net is None else net
        with self._isolated(0):
            return net.outputs(self._inputs.tensor(X), method).cpu().numpy()

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
        return self._outputs(self._validate_X(X), "features")

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")


def draw_seeds(random_state, n):
    """``n`` independent seeds, and the generator they came from for draws in NumPy."""
    generator = check_random_state(random_state)
    return generator, [draw_seed(generator) for _ in range(n)]


def weighted_mean_one(weight):
    """Weights scaled to a mean of one, so that they do not change the learning rate."""
    return weight * (len(weight) / math.fsum(weight))


def _build_mlp(input_shape, hidden_layer_sizes, dropout):
    return MLP(input_shape[0], hidden_layer_sizes, dropout)


def _silent(*args, **kwargs):
    """Early stopping has nothing to print."""
