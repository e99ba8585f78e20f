"""ELTA: deep regression on long-tailed scores."""

from functools import partial
from numbers import Real

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import RegressorMixin, clone
from sklearn.metrics import r2_score
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ltlearn.data._epochs import FixedLengthEpochs, ShuffledEpochs
from ltlearn.data._tensors import TensorData
from ltlearn.estimators._base import BaseDeepEstimator, all_or_nothing, draw_seeds
from ltlearn.estimators._self_training import SelfTrainingMixin
from ltlearn.estimators._validation import validate_more_rows, validate_X, weighted_mean_one
from ltlearn.metrics import LabelBands
from ltlearn.networks._heads import EMDHead, MSEHead
from ltlearn.objectives._elta import ELTAObjective, two_hot
from ltlearn.options import Bins, Enhancers
from ltlearn.utils._compat import Interval, StrOptions, _fit_context, with_callbacks
from ltlearn.utils._whole import unwrap
from ltlearn.weighting import label_density, label_density_weights


def _has_distribution(estimator):
    if getattr(estimator, "loss_", estimator.loss) == "mse":
        raise AttributeError('predict_distribution needs loss="emd"; the loss is "mse".')
    return True


class ELTARegressor(RegressorMixin, SelfTrainingMixin, BaseDeepEstimator):
    """Deep regression on long-tailed scores, with the enhancers of ELTA.

    A backbone gives features, a head a score or a distribution over score bins. Three enhancers
    [1]_ act in training: mixup of tail features (:class:`~ltlearn.enhancers.TailMixup`), alignment
    of feature similarity with label similarity (:class:`~ltlearn.enhancers.SimilarityAlignment`)
    and, with ``X_unlabeled``, self-training on adaptively sharpened predictions
    (:class:`~ltlearn.enhancers.AdaptiveSharpening`). ``reweighting`` [2]_ is independent of them.

    What these gain depends on the data and is often little. On the six tables of
    ``benchmarks/README.md`` mixup lowered the error on the rarest scores of three by 3 to 6 % and
    raised their overall error by 1 to 8 %; repeating its anchors unmixed did the same; alignment
    and self-training changed nothing measurably; reweighting helped where the test was balanced
    and, where it was not, traded overall error for the tail or only did harm. So compare with plain
    training and with :class:`~ltlearn.calibration.Recalibrator`, for instance through
    :func:`ltlearn.evaluation.compare`, before relying on any of them. The parameters to try first
    are ``mixup_strength``, ``reweighting`` and ``lr``.

    Parameters
    ----------
    mixup_strength : float, default=0.1
        Samples synthesized by mixup as a fraction of the batch; 0 turns mixup off. Published:
        1/48.
    alignment_weight : float, default=0.0
        Weight of similarity alignment in the loss; 0 turns it off.
    reweighting : {None, "sqrt_inverse", "inverse"}, default=None
        Weights of the training loss from the smoothed density of the scores [2]_, see
        :func:`ltlearn.weighting.label_density_weights`.
    loss : {"auto", "mse", "emd"}, default="auto"
        ``"emd"`` predicts a distribution over bins and compares it with the true one by earth
        mover's distance [3]_; scalar scores become two neighboring bins whose expectation is the
        score. ``"auto"`` is ``"emd"`` for distributions and ``"mse"`` for scalar scores.
    backbone : "mlp", str, torch.nn.Module or callable, default="mlp"
        Maps a batch of inputs to features (B, D). ``"mlp"`` is for tables and standardizes them
        itself. Any other string is the name of a timm model for images, see
        :func:`ltlearn.networks.timm_backbone`. A module instance is copied at every fit and starts
        from the weights it came with; it gets arrays as they are, or prepared images if it is a
        timm model or has an attribute ``input_spec``, an :class:`ltlearn.images.InputSpec`. A class
        or factory is called at every fit, with the shape of one sample if it has a required
        argument.
    max_epochs : int, default=100
        Most passes over the training rows.
    lr : float, default=1e-3
        Learning rate.
    batch_size : int or "auto", default="auto"
        ``"auto"`` is a 32nd of the training rows, between 16 and 256.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness: weights, shuffling, dropout, mixup, held-out rows. None draws
        a seed from NumPy's global generator, which is otherwise left as it is, like all others.
    backbone_params : dict, default=None
        For a timm model: ``pretrained`` (default True), ``checkpoint_path``, ``img_size``,
        ``in_chans``, ``drop_path_rate``, ...
    hidden_layer_sizes : sequence of int, default=(128, 64)
        Widths of the layers of ``"mlp"``; the last one is D.
    dropout : float, default=0.0
        Share of activations dropped between the layers of ``"mlp"`` and before the head.
    early_stopping : bool or "auto", default="auto"
        Stop when the validation score has not improved, by a ten-thousandth of it at least, for
        ``training.n_iter_no_change`` epochs, and keep the weights of the last epoch that improved
        it so. ``"auto"`` is on with ``X_val`` or from 100 rows.
    augmentation : {None, "standard", "elta", "granularity"} or ltlearn.images.Recipe, default=None
        Random changes to training images: crops and flips, or those of the published methods, see
        :data:`ltlearn.images.RECIPES`. Mixing images is for classes and is left out.
    callbacks : list of skorch callbacks, default=None
        Called during training, e.g. ``skorch.callbacks.LRScheduler``; all but those that score
        predictions, such as ``EpochScoring``.
    device : str or torch.device, default="auto"
        ``"auto"`` is CUDA where available, else the CPU.
    warm_start : bool, default=False
        Continue from the weights of the previous fit for another ``max_epochs``, with the
        parameters as they are now; but the network, ``augmentation``, the scale of inputs and
        scores, ``loss`` and the bins with their prior stay those of the first fit.
    verbose : int, default=0
        1 shows a bar over epochs, 2 also prints a row per epoch.
    training : ltlearn.options.Training, default=None
        Optimizer, schedule, validation, precision; None is the defaults, here and below. Options
        are reached by nested names, too: ``set_params(training__layer_decay=0.75)``.
    architecture : ltlearn.options.Architecture, default=None
        Pooling of features, normalization before the head.
    images : ltlearn.options.Images, default=None
        How image files are read.
    bins : ltlearn.options.Bins, default=None
        Number, range and prior of the score bins of ``loss="emd"``.
    enhancers : ltlearn.options.Enhancers, default=None
        Temperatures of mixup, head retraining, self-training.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the torch module.
    history_ : list of dict
        One row per epoch: stage, every loss term by name, durations.
        ``pandas.DataFrame(est.history_)`` makes a table of it.
    n_iter_ : int
        Epochs run in the last stage of full training.
    n_features_in_ : int
        Number of columns (or size of the second dimension) seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, when X has string column names.
    loss_ : {"mse", "emd"}
        The loss used.
    bin_centers_ : ndarray of shape (K,) or None
        Scores of the bins; None for ``"mse"``.
    score_mean_, score_scale_ : float
        Mean and standard deviation of the training scores.
    label_bands_ : ltlearn.metrics.LabelBands
        Many-, medium- and few-shot bands of the training scores.
    pseudo_labels_ : list of dict
        One entry per round of self-training: ``"index"`` (rows of ``X_unlabeled`` used),
        ``"score"``, ``"distribution"``, ``"sharpening"``, ``"confidence_threshold"``.

    References
    ----------
    .. [1] Liu et al., "ELTA: An Enhancer against Long-Tail for Aesthetics-oriented Models", ICML
       2024, PMLR 235:31106-31118.
    .. [2] Yang et al., "Delving into Deep Imbalanced Regression", ICML 2021.
    .. [3] Talebi and Milanfar, "NIMA: Neural Image Assessment", IEEE TIP 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from ltlearn import ELTARegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ELTARegressor(max_epochs=20, random_state=0).fit(X, y)
    >>> model.predict(X[:5]).shape
    (5,)
    >>> bool(model.score(X, y) > 0.4)
    True
    """

    _options: dict = {**BaseDeepEstimator._options, "bins": Bins, "enhancers": Enhancers}
    _foreign_options: dict = {
        "training": ["label_smoothing"],
        "architecture": ["batch_norm_head"],
    }
    _parameter_constraints: dict = {
        **BaseDeepEstimator._parameter_constraints,
        "mixup_strength": [Interval(Real, 0, 1, closed="both")],
        "alignment_weight": [Interval(Real, 0, None, closed="left")],
        "reweighting": [StrOptions({"sqrt_inverse", "inverse"}), None],
        "loss": [StrOptions({"auto", "mse", "emd"})],
        "bins": [Bins, None],
        "enhancers": [Enhancers, None],
    }
    _lower_is_better = {"loss": True, "mae": True}

    def __init__(
        self,
        *,
        mixup_strength=0.1,
        alignment_weight=0.0,
        reweighting=None,
        loss="auto",
        backbone="mlp",
        max_epochs=100,
        lr=1e-3,
        batch_size="auto",
        random_state=None,
        backbone_params=None,
        hidden_layer_sizes=(128, 64),
        dropout=0.0,
        early_stopping="auto",
        augmentation=None,
        callbacks=None,
        device="auto",
        warm_start=False,
        verbose=0,
        training=None,
        architecture=None,
        images=None,
        bins=None,
        enhancers=None,
    ):
        self.mixup_strength = mixup_strength
        self.alignment_weight = alignment_weight
        self.reweighting = reweighting
        self.loss = loss
        self.backbone = backbone
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.random_state = random_state
        self.backbone_params = backbone_params
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.early_stopping = early_stopping
        self.augmentation = augmentation
        self.callbacks = callbacks
        self.device = device
        self.warm_start = warm_start
        self.verbose = verbose
        self.training = training
        self.architecture = architecture
        self.images = images
        self.bins = bins
        self.enhancers = enhancers

    @all_or_nothing
    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, X_unlabeled=None):
        """Train on scores or score distributions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or paths
            Numbers for ``backbone="mlp"``; for a module an array of any number of dimensions; for
            an image backbone images (n, H, W, C) or (n, C, H, W), or paths of image files.
        y : array-like of shape (n_samples,) or (n_samples, K)
            Scores, or a distribution (vote counts) over K score bins per row, which is normalized.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the training loss and, for rows held out from X, in the
            validation score.
        X_val, y_val : array-like, default=None
            Validation rows for early stopping, instead of some held out from X. Wrap both in
            :class:`ltlearn.Whole` if there are as many as rows of X.
        X_unlabeled : array-like of shape (n_unlabeled, n_features), default=None
            Rows for self-training, of the same kind as X; needs ``loss="emd"``. Wrap it in
            :class:`ltlearn.Whole` for cross-validation.

        Returns
        -------
        self : ELTARegressor

        Raises
        ------
        ValueError
            For inputs that cannot be trained on; the message says what to change.
        NonFiniteLossError
            When training diverges.
        """
        task = self._init_callback_context(max_subtasks=None)
        if task is not None:
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
        X_unlabeled = unwrap("X_unlabeled", X_unlabeled, X)
        rng, (seed,) = draw_seeds(self.random_state, 1)
        train, valid = self._validate_fit_rows(X, y, sample_weight, X_val, y_val)
        if X_unlabeled is not None:
            self._check_self_training()
            X_unlabeled = validate_more_rows(self, X_unlabeled, "X_unlabeled", like=train.X)
            unlabeled_rows = self._inputs.usable_rows(X_unlabeled)
        early_stopping = self._wants_early_stopping(len(train.X), valid is not None)
        options = self._option("enhancers")
        n_rounds = 0 if X_unlabeled is None else options.self_training_rounds
        chosen = (options.sharpening, options.confidence_threshold)
        chooses_sharpening = n_rounds > 0 and "auto" in chosen
        if valid is None and (early_stopping or chooses_sharpening):
            train, valid = self._hold_out(train, rng)
        if not self._is_continued:
            self._inputs.fit(train.X)
            self._learn_scores(train.y)

        labeled = self._data(train, training=True)
        settings = {
            "valid": None if valid is None else self._data(valid),
            "seed": seed,
            "task": task,
            "early_stopping": early_stopping,
            "batch_size": self._resolved_batch_size(len(labeled)),
        }
        net = self._train(self._rebalanced(labeled), **settings)
        history, data = self._history_of(net, "fit"), labeled
        self.pseudo_labels_ = []
        for number in range(n_rounds):
            picked = self._pseudo_label(net, X_unlabeled, unlabeled_rows, valid)
            self.pseudo_labels_.append(picked)
            if not len(picked["index"]):
                break
            pseudo_labeled = self._pseudo_labeled_data(picked, X_unlabeled, like=labeled)
            epochs = FixedLengthEpochs(len(labeled) + len(pseudo_labeled), len(labeled), seed)
            data = labeled.concatenate(pseudo_labeled, epochs)
            stage = f"self-training {number + 1}"
            net = self._train(self._rebalanced(data), stage=stage, **settings)
            history += self._history_of(net, stage)
        self.n_iter_ = len(net.history)
        if options.head_retraining_epochs:
            history += self._retrain_head(net, self._rebalanced(data), **settings)
        self.net_, self.history_ = net, history
        if task is not None:
            task.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes=dict)
        return self

    def predict(self, X):
        """Predict scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In the units of the training scores; for ``loss="emd"`` the expectation of the
            predicted distribution.
        """
        check_is_fitted(self)
        outputs = self._outputs(validate_X(self, X)).astype(np.float64)
        if self.bin_centers_ is None:
            return self.score_mean_ + self.score_scale_ * outputs[:, 0]
        return softmax(outputs, axis=1) @ self.bin_centers_

    @available_if(_has_distribution)
    def predict_distribution(self, X):
        """Predict distributions over the score bins ``bin_centers_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.

        Returns
        -------
        distributions : ndarray of shape (n_samples, K)
            Rows sum to 1.
        """
        check_is_fitted(self)
        return softmax(self._outputs(validate_X(self, X)).astype(np.float64), axis=1)

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination R² of the predicted scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.
        y : array-like of shape (n_samples,) or (n_samples, K)
            Scores, or distributions as in ``fit``, of which the expectation counts.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
        """
        predicted = self.predict(X)
        y = self._scores(self._encode_y(np.asarray(y), reset=False))
        return r2_score(y, predicted, sample_weight=sample_weight)

    def without_enhancers(self):
        """An unfitted copy with all enhancers off: the baseline to compare with.

        Returns
        -------
        baseline : ELTARegressor
        """
        return clone(self).set_params(
            mixup_strength=0.0,
            alignment_weight=0.0,
            reweighting=None,
            bins__logit_adjustment=0.0,
            enhancers__head_retraining_epochs=0,
            enhancers__self_training_rounds=0,
        )

    # Scores and bins

    def _encode_y(self, y, *, reset, name="y"):
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name=name)
        is_distribution = y.ndim == 2 and y.shape[1] > 1
        if not is_distribution:
            y = column_or_1d(y, warn=True)
        if reset:
            self.loss_ = self.loss
            if self.loss == "auto":
                self.loss_ = "emd" if is_distribution else "mse"
            self._check_options(is_distribution)
            self._distribution_centers = None
            if is_distribution:
                self._distribution_centers = self._centers((1.0, y.shape[1]), y.shape[1])
        elif is_distribution:
            self._check_same_bins(y, name)
        if is_distribution:
            total = y.sum(axis=1, keepdims=True)
            if (y < 0).any() or not (total > 0).all():
                raise ValueError(
                    f"With several columns, {name} holds a distribution (or vote counts) over "
                    "score bins per row: entries must be non-negative and every row needs a "
                    "positive sum. First bad row: "
                    f"{np.flatnonzero((y < 0).any(axis=1) | (total[:, 0] <= 0))[0]}."
                )
            y = y / total
        return y

    def _check_same_bins(self, y, name):
        known = self._distribution_centers
        if known is None or len(known) != y.shape[1]:
            seen = "scalar scores" if known is None else len(known)
            raise ValueError(f"{name} has {y.shape[1]} score bins; fit saw {seen}.")

    def _check_options(self, is_distribution):
        bins = self._option("bins")
        if bins.logit_adjustment and (self.loss_ == "mse" or is_distribution):
            raise ValueError(
                'logit_adjustment needs scalar scores with loss="emd": with '
                + (
                    'loss="mse" there are no bins.'
                    if self.loss_ == "mse"
                    else "true rating distributions the bins are not a posterior, and adjusting "
                    "them makes predictions worse."
                )
            )
        if bins.score_range is not None and not _is_range(bins.score_range):
            raise ValueError(
                f"score_range={bins.score_range!r} must be (low, high), finite, low < high."
            )

    def _scores(self, y):
        """Scores (n,) of encoded targets."""
        return y if y.ndim == 1 else y @ self._distribution_centers

    def _centers(self, default_range, n_bins):
        score_range = self._option("bins").score_range
        low, high = default_range if score_range is None else score_range
        if _is_one_score(low, high):  # the other bins only have to be elsewhere
            high = low + max(1.0, 1e-6 * abs(low))
        return np.linspace(low, high, n_bins)

    def _stratification(self, y):
        return self._scores(y)

    def _learn_scores(self, y):
        scores = self._scores(y)
        low, high = float(scores.min()), float(scores.max())
        is_one_score = _is_one_score(low, high)
        if not (is_one_score or 1e-100 < high - low < 1e100):
            raise ValueError(
                f"y ranges from {low:g} to {high:g}, which is beyond what its squares can be "
                "computed for; scale it, for instance in a TransformedTargetRegressor."
            )
        self.score_mean_ = float(scores.mean())
        self.score_scale_ = 1.0 if is_one_score else float(scores.std())
        self.label_bands_ = LabelBands.from_density(scores)
        self.bin_centers_, bins = None, self._option("bins")
        if self.loss_ == "emd":
            self.bin_centers_ = self._distribution_centers
            if self.bin_centers_ is None:
                n_bins = 20 if bins.n_bins == "auto" else bins.n_bins
                self.bin_centers_ = self._centers((scores.min(), scores.max()), n_bins)
        self._logit_shift = None
        if bins.logit_adjustment:
            density = label_density(scores, at=self.bin_centers_)
            share = density / density.sum() if density.any() else np.ones_like(density)
            prior = np.maximum(share, 1 / len(scores))
            self._logit_shift = bins.logit_adjustment * np.log(prior / prior.sum())

    def _targets(self, rows):
        standardized = (self._scores(rows.y) - self.score_mean_) / self.score_scale_
        target = {"score": torch.from_numpy(standardized).float()}
        if self.loss_ == "emd":
            distribution = torch.from_numpy(np.array(rows.y))
            if rows.y.ndim == 1:
                distribution = two_hot(distribution, torch.from_numpy(self.bin_centers_))
            target["distribution"] = distribution.float()
        if rows.weight is not None:
            target["weight"] = torch.from_numpy(weighted_mean_one(rows.weight)).float()
        return target

    def _rebalanced(self, data):
        """Training data whose weights count rare scores more, if ``reweighting`` asks for it."""
        if self.reweighting is None:
            return data
        scores = data.target["score"].double().numpy()
        weight = label_density_weights(scores, scheme=self.reweighting)
        if "weight" in data.target:
            weight = weighted_mean_one(weight * data.target["weight"].double().numpy())
        target = {**data.target, "weight": torch.from_numpy(weight).float()}
        return data.with_target(target)

    # Head and objective

    def _head(self):
        n_outputs = 1 if self.bin_centers_ is None else len(self.bin_centers_)
        return EMDHead(self.dropout, n_outputs) if self.loss_ == "emd" else MSEHead(self.dropout)

    def _objective(self):
        centers, options = self.bin_centers_, self._option("enhancers")
        if centers is not None:
            centers = (centers - self.score_mean_) / self.score_scale_
        return ELTAObjective, {
            "centers": None if centers is None else torch.from_numpy(centers).float(),
            "logit_shift": None
            if self._logit_shift is None
            else torch.from_numpy(self._logit_shift).float(),
            "mixup_strength": self.mixup_strength,
            "tail_temperature": options.tail_temperature,
            "pair_temperature": options.pair_temperature,
            "alignment_weight": self.alignment_weight,
            "score_scale": self.score_scale_,
            "temperature_scale": self._temperature_scale,
            "is_head_linear": self.loss_ == "mse" and self.dropout == 0,
        }

    @property
    def _temperature_scale(self):
        """Factor from standardized scores to scores in ``temperature_unit``."""
        unit = self._option("enhancers").temperature_unit
        return 1.0 if unit == "std" else self.score_scale_ / unit

    # Head retraining

    def _retrain_head(self, net, data, *, valid, seed, task, early_stopping, batch_size):
        """Replace the head of ``net`` by one trained on frozen features; returns its history."""

        def frozen(rows):
            return TensorData(net.apply_network(rows, "features").cpu().clone(), rows.target)

        with self._isolated(seed, torch.device(net.device)):
            features = frozen(data)
            valid = None if valid is None else frozen(valid)
        features.epoch_index = ShuffledEpochs(len(features), seed)
        make_net = partial(
            self._make_net,
            {"build_backbone": _identity, "input_shape": features.input_shape},
            batch_size=batch_size,
            max_epochs=self._option("enhancers").head_retraining_epochs,
            early_stopping=early_stopping,
        )
        stage = "head retraining"
        head_net = self._run(make_net, features, valid, seed=seed, task=task, stage=stage)
        net.module_.head.load_state_dict(head_net.module_.head.state_dict())
        return self._history_of(head_net, stage)


def _is_range(values):
    values = np.asarray(values)
    if values.shape != (2,) or values.dtype.kind not in "iuf":
        return False
    return np.isfinite(values).all() and values[0] < values[1] and not _is_one_score(*values)


def _is_one_score(low, high):
    """Whether two scores are equal up to rounding, so that no bins fit between them."""
    return high - low <= 1e-13 * max(abs(low), abs(high))


def _identity(input_shape):
    return nn.Identity()
