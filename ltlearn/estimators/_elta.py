"""ELTA: deep regression on long-tailed scores."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, clone
from sklearn.metrics import r2_score
from torch import nn

from ltlearn.data._epochs import FixedLengthEpochs, ShuffledEpochs
from ltlearn.data._tensors import TensorData
from ltlearn.enhancers import DensitySampler
from ltlearn.estimators._backbone import is_tabular
from ltlearn.estimators._base import BaseDeepEstimator
from ltlearn.estimators._distributions import LEVELS, DistributionMixin
from ltlearn.estimators._scores import ROUNDING, SMALLEST_RANGE, ScoresMixin, is_one_score
from ltlearn.estimators._self_training import SelfTrainingMixin
from ltlearn.estimators._validation import validate_more_rows, weighted_mean_one
from ltlearn.images._recipes import Recipe
from ltlearn.metrics import LabelBands
from ltlearn.networks._heads import EMDHead, MSEHead, QuantileHead
from ltlearn.objectives._elta import ELTAObjective, two_hot
from ltlearn.objectives._own import OwnEnhancers, OwnLoss
from ltlearn.options import Architecture, Bins, Enhancers, Images, Training
from ltlearn.utils._checks import MAX_EXPONENT, check_same_length, check_weights
from ltlearn.utils._compat import Interval, StrOptions, _fit_context, with_callbacks
from ltlearn.utils._device import own_modes
from ltlearn.utils._estimator import all_or_nothing
from ltlearn.utils._random import isolated_generators, seed_for
from ltlearn.utils._typing import Backbone, FilePath, RowsLike
from ltlearn.utils._whole import Whole, unwrap
from ltlearn.weighting import label_density, label_density_weights
from ltlearn.weighting._tail import TailWeights

# Farthest bin from the mean score, in deviations, and largest ratio of the deviation to
# temperature_unit, or of that to it: beyond them sums in float32 mean nothing.
_FARTHEST_BIN = _LARGEST_UNIT = 1e12


class ELTARegressor(
    RegressorMixin, DistributionMixin, ScoresMixin, SelfTrainingMixin, BaseDeepEstimator
):
    """Deep regression on long-tailed scores, with the enhancers of ELTA.

    A backbone gives features, a head quantiles of the score, a score, or a distribution over score
    bins. From a distribution the mean or the median is read, and ``tail`` turns it to rare scores
    after the fit: its density is multiplied by that of the training scores to the power -``tail``.
    Three enhancers [1]_ act in training: mixup of tail features
    (:class:`~ltlearn.enhancers.TailMixup`), alignment of feature similarity with label similarity
    (:class:`~ltlearn.enhancers.SimilarityAlignment`) and, with ``X_unlabeled``, self-training on
    adaptively sharpened predictions (:class:`~ltlearn.enhancers.AdaptiveSharpening`).
    ``reweighting`` [2]_ is independent of them.

    What these gain depends on the data and is often little. On the six tables of
    ``benchmarks/README.md`` mixup lowered the error on the rarest scores of three by 3 to 6 % and
    raised their overall error by 1 to 8 %; repeating its anchors unmixed did the same; alignment
    and self-training changed nothing measurably; reweighting helped where the test was balanced
    and, where it was not, traded overall error for the tail or only did harm. So compare with plain
    training and with :class:`~ltlearn.calibration.Recalibrator`, for instance through
    :func:`ltlearn.evaluation.compare`, before relying on any of them. The parameters to try first
    are ``tail``, ``mixup_strength`` and ``reweighting``.

    Parameters
    ----------
    mixup_strength : float or "auto", default="auto"
        Samples synthesized by mixup as a fraction of the batch; 0 turns mixup off. Published:
        1/48. ``"auto"`` is 0 for the body for tables, where it blurs the distributions that
        ``tail`` works on, else 0.1.
    alignment_weight : float, default=0.0
        Weight of similarity alignment in the loss; 0 turns it off.
    reweighting : {None, "sqrt_inverse", "inverse"}, default=None
        Weights of the training loss from the smoothed density of the scores [2]_, see
        :func:`ltlearn.weighting.label_density_weights`.
    loss : {"auto", "quantile", "mse", "emd"} or callable, default="auto"
        ``"quantile"`` predicts 49 quantiles of a scalar score by pinball loss; ``"emd"`` predicts a
        distribution over bins and compares it with the true one by earth mover's distance [3]_;
        scalar scores become two neighboring bins whose expectation is the score. ``"auto"`` is
        ``"emd"`` for distributions; for scalar scores ``"quantile"`` with the body for tables, else
        ``"mse"``. A function or module is a loss of your own, of predicted and true scores, or of
        logits and shares of bins where y holds distributions: see :mod:`ltlearn.losses`.
    prediction : {"mean", "median"}, default="mean"
        What ``predict`` reads off a predicted distribution: the mean has the least squared error,
        the median the least absolute error. May be changed after ``fit``.
    tail : float, default=0.0
        Exponent α by which predicted distributions are turned to rare scores: their density is
        multiplied by ``min(max(p) / p, 200) ** α``, with the smoothed density p of the training
        scores, see :func:`ltlearn.weighting.label_density`. 0 leaves them as they are; 0.25 to 0.5
        trade some overall error for less error on rare scores. May be changed after ``fit``; needs
        ``loss="quantile"`` or ``"emd"``.
    backbone : "auto", "tabular", "mlp", str, torch.nn.Module or callable, default="auto"
        Maps a batch of inputs to features (B, D). ``"auto"`` and ``"tabular"`` are the body for
        tables [4]_: columns of numbers or categories, with missing values or without, become
        embeddings, which several members inside one network read. ``"mlp"`` is a plain network on
        standardized numbers. Any other string is the name of a timm model for images, see
        :func:`ltlearn.networks.timm_backbone`. A module instance is copied at every fit and starts
        from the weights it came with; it gets arrays as they are, or prepared images if it is a
        timm model or has an attribute ``input_spec``, an :class:`ltlearn.images.InputSpec`. A class
        or factory is called at every fit, with the shape of one sample if it has a required
        argument.
    max_epochs : int or "auto", default="auto"
        Most passes over the training rows. ``"auto"`` falls from 45 to 16 with the number of
        training rows for the body for tables, and is 100 otherwise.
    lr : float or "auto", default="auto"
        Learning rate. ``"auto"`` rises from 6e-3 to 8e-3 with the number of training rows for the
        body for tables, and is 1e-3 otherwise.
    batch_size : int or "auto", default="auto"
        ``"auto"`` is a 16th of the training rows for the body for tables, between 24 and 128, from
        5,120 rows on a 40th, up to 256; and a 32nd otherwise, between 16 and 256, or as many images
        as have the pixels of 48 of 256 by 256.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness: weights, shuffling, dropout, mixup, held-out rows. None draws
        a seed from NumPy's global generator, which is otherwise left as it is, like all others.
    n_estimators : int, default=1
        Networks that are fitted with seeds of their own, each with rows held out of its own, and
        averaged in prediction; those for tables train together, which costs far less than as many
        fits. ``estimators_`` then stands in place of ``net_``.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        For the body for tables: which columns are categories. ``"from_dtype"``: those of a data
        frame that hold categories or strings, or objects other than numbers; None: none; else a
        boolean mask over the columns, or positions or names of columns.
    backbone_params : dict, default=None
        For a timm model: ``pretrained`` (default True), ``checkpoint_path``, ``img_size``,
        ``lora_rank`` (of few weights that learn beside those of a vision transformer),
        ``in_chans``, ``drop_path_rate``, ...
    hidden_layer_sizes : sequence of int or "auto", default="auto"
        Widths of the layers of the body for tables and of ``"mlp"``; the last one is D. ``"auto"``
        is (128, 128) for the body for tables, and (128, 64) for ``"mlp"``.
    dropout : float or "auto", default="auto"
        Share of activations dropped between the layers of the body for tables or ``"mlp"`` and
        before the head. ``"auto"`` falls from 0.2 to 0.1 with the number of training rows for the
        body for tables, and is 0 otherwise.
    early_stopping : bool or "auto", default="auto"
        Stop when the validation score has not improved, by a ten-thousandth at least, for
        ``training.n_iter_no_change`` epochs, and keep the weights of the last epoch that improved
        it so. ``"auto"`` is on with ``X_val``; without, it is off for the body for tables, which
        learns more from all rows, and else on from 100 rows.
    augmentation : str, ltlearn.images.Recipe or None, default=None
        Random changes to training images: ``"standard"`` crops and flips, or ``"elta"``,
        ``"granularity"`` or ``"glmc"``, those of published methods; see
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
    checkpoint : str or path-like, default=None
        Folder in which the state of training is written after epochs, so that a fit which was
        killed goes on when it is called again with the same data and parameters, and on the CPU
        ends in exactly the same predictions; a finished one returns its model at once. A folder
        holds one fit and refuses others; clones, such as those of searches and cross-validation,
        have a folder each inside it. ``random_state=None`` goes on with the seed that was stored.
        See ``training.checkpoint_seconds`` and ``training.on_interrupt``.
    verbose : int, default=0
        1 shows a bar over epochs, 2 also prints a row per epoch.
    training : ltlearn.options.Training, default=None
        Optimizer, schedule, validation, precision; None is the defaults, here and below. Options
        are reached by nested names, too: ``set_params(training__layer_decay=0.75)``.
    architecture : ltlearn.options.Architecture, default=None
        Members and pieces of the body for tables, pooling of features, normalization before the
        head.
    images : ltlearn.options.Images, default=None
        How image files are read.
    bins : ltlearn.options.Bins, default=None
        Number, range and prior of the score bins of ``loss="emd"``; number and range of those
        that ``predict_distribution`` refers to.
    enhancers : ltlearn.options.Enhancers or list of callables, default=None
        Temperatures of mixup, head retraining, self-training; or a list of enhancers of one's own,
        see :class:`ltlearn.enhancers.Batch`.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the torch module. With several estimators, each of them
        has one.
    estimators_ : list
        The fitted estimators, where there are several.
    history_ : list of dict
        One row per epoch: stage, every loss term by name, durations; with several estimators also
        the number of the ``"member"``. ``pandas.DataFrame(est.history_)`` makes a table of it.
    n_iter_ : int
        Epochs run in the last stage of full training of this fit; those of fits that
        ``warm_start`` goes on from are in ``history_``.
    n_features_in_ : int
        Number of columns (or size of the second dimension) seen in fit.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the columns, when X has string column names.
    loss_ : {"quantile", "mse", "emd"}
        The loss used; with one of your own, that whose outputs it is given.
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
    .. [4] Gorishniy et al., "TabM: Advancing Tabular Deep Learning with Parameter-Efficient
       Ensembling", ICLR 2025; "On Embeddings for Numerical Features in Tabular Deep Learning",
       NeurIPS 2022.

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

    _bounds = None
    _options: dict = {**BaseDeepEstimator._options, "bins": Bins, "enhancers": Enhancers}
    _foreign_options: dict = {
        "training": ["label_smoothing", "feature_mixup"],
        "architecture": ["batch_norm_head", "feature_power"],
    }
    _parameter_constraints: dict = {
        **BaseDeepEstimator._parameter_constraints,
        "mixup_strength": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "alignment_weight": [Interval(Real, 0, None, closed="left")],
        "reweighting": [StrOptions({"sqrt_inverse", "inverse"}), None],
        "loss": [StrOptions({"auto", "quantile", "mse", "emd"}), callable],
        "prediction": [StrOptions({"mean", "median"})],
        "tail": [Interval(Real, 0, MAX_EXPONENT, closed="both")],
        "bins": [Bins, None],
        "enhancers": [Enhancers, list, tuple, None],
    }
    _lower_is_better = {"loss": True, "mae": True, "srcc": False}
    _bounds = None  # range of the outputs, as in files of models from before there were any

    def __init__(
        self,
        *,
        mixup_strength: float | Literal["auto"] = "auto",
        alignment_weight: float = 0.0,
        reweighting: Literal["sqrt_inverse", "inverse"] | None = None,
        loss: str | Callable[..., torch.Tensor] = "auto",
        prediction: Literal["mean", "median"] = "mean",
        tail: float = 0.0,
        backbone: Backbone = "auto",
        max_epochs: int | Literal["auto"] = "auto",
        lr: float | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        random_state: int | np.random.RandomState | None = None,
        n_estimators: int = 1,
        categorical_features: Literal["from_dtype"] | ArrayLike | None = "from_dtype",
        backbone_params: dict[str, Any] | None = None,
        hidden_layer_sizes: Sequence[int] | Literal["auto"] = "auto",
        dropout: float | Literal["auto"] = "auto",
        early_stopping: bool | Literal["auto"] = "auto",
        augmentation: str | Recipe | None = None,
        callbacks: list[Any] | None = None,
        device: str | torch.device = "auto",
        warm_start: bool = False,
        checkpoint: FilePath | None = None,
        verbose: int = 0,
        training: Training | None = None,
        architecture: Architecture | None = None,
        images: Images | None = None,
        bins: Bins | None = None,
        enhancers: Enhancers | list[Callable[..., Any]] | None = None,
    ) -> None:
        self.mixup_strength = mixup_strength
        self.alignment_weight = alignment_weight
        self.reweighting = reweighting
        self.loss = loss
        self.prediction = prediction
        self.tail = tail
        self.backbone = backbone
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.random_state = random_state
        self.n_estimators = n_estimators
        self.categorical_features = categorical_features
        self.backbone_params = backbone_params
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.early_stopping = early_stopping
        self.augmentation = augmentation
        self.callbacks = callbacks
        self.device = device
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.training = training
        self.architecture = architecture
        self.images = images
        self.bins = bins
        self.enhancers = enhancers

    @all_or_nothing
    @own_modes()
    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: RowsLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: RowsLike = None,
        y_val: ArrayLike | Whole | None = None,
        sample_weight_val: ArrayLike | Whole | None = None,
        X_unlabeled: RowsLike = None,
    ) -> "ELTARegressor":
        """Train on scores or score distributions.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, ...), or paths
            Numbers and categories for the body for tables, where any may be missing; numbers for
            ``backbone="mlp"``; for a module an array of any number of dimensions; for
            an image backbone images (n, H, W, C) or (n, C, H, W), or paths of image files.
        y : array-like of shape (n_samples,) or (n_samples, K)
            Scores, or a distribution (vote counts) over K score bins per row, which is normalized.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the training loss and, for rows held out from X, in the
            validation score.
        X_val, y_val : array-like, default=None
            Validation rows for early stopping, instead of some held out from X. Wrap both in
            :class:`ltlearn.Whole` if there are as many as rows of X.
        sample_weight_val : array-like, default=None
            Weights of the rows of ``X_val`` in the validation score and in the choice of
            ``enhancers.sharpening``. Wrap it likewise.
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
        validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        return self._fit_as_task(X, y, sample_weight, **validation, X_unlabeled=X_unlabeled)

    def score(self, X: RowsLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
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
        y = self._scores(self._encode_y(y, reset=False))
        check_same_length(X=predicted, y=y)
        if sample_weight is not None:
            sample_weight = check_weights(sample_weight, predicted)
        with np.errstate(over="ignore"):
            score = r2_score(y, predicted, sample_weight=sample_weight)
        if np.isinf(score):
            raise ValueError(
                "R² is beyond all numbers: y varies so much less than the predictions are off."
            )
        return score

    def without_enhancers(self) -> "ELTARegressor":
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
            enhancers__own=None,
        )

    # Training

    def _fit_net(self, X, y, sample_weight, *, X_val, y_val, sample_weight_val, X_unlabeled, task):
        X_unlabeled = unwrap("X_unlabeled", X_unlabeled, X)
        rng, (seed,) = self._draw_seeds(1)
        train, valid = self._validate_fit_rows(X, y, sample_weight, X_val, y_val, sample_weight_val)
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
        self._learn_defaults(len(train.X))
        if not self._is_continued:
            self._learn_inputs(train.X)
            self._learn_scores(train.y, train.weight)

        labeled = self._data(train, training=True)
        settings = {
            "valid": None if valid is None else self._data(valid),
            "seed": seed,
            "task": task,
            "early_stopping": early_stopping,
            "batch_size": self._setting("batch_size"),
        }
        X_labeled = train.X if n_rounds else None
        del train  # its labels are in the targets
        net = self._train(self._rebalanced(labeled), **settings)
        history, data = self._history_of(net, "fit"), labeled
        self.pseudo_labels_, is_interrupted = [], net.was_interrupted
        for number in range(0 if is_interrupted else n_rounds):
            picked = self._pseudo_label(net, X_unlabeled, unlabeled_rows, valid)
            self.pseudo_labels_.append(picked)
            if not len(picked["index"]):
                break
            data = self._data_with(picked, X_unlabeled, X_labeled, labeled)
            settings["seed"] = seed_for(seed, "self-training", number + 1)
            order = seed_for(settings["seed"], "order")
            data.epoch_index = FixedLengthEpochs(len(data), len(labeled), order)
            stage = f"self-training {number + 1}"
            retrained = self._train(self._rebalanced(data), stage=stage, **settings)
            if retrained.was_interrupted:
                is_interrupted = True
                self.pseudo_labels_.pop()
                break
            net = retrained
            history += self._history_of(net, stage)
        self.n_iter_ = self._n_epochs(net)
        if options.head_retraining_epochs and not is_interrupted:
            settings["seed"] = seed_for(seed, "head retraining")
            history += self._retrain_head(net, self._rebalanced(data), **settings)
        self.net_, self.history_ = net, history

    def _learn_common(self, train, members):
        if not self._is_continued:
            self._learn_scores(train.y, train.weight)
        self.pseudo_labels_ = [
            {"member": number, **picked}
            for number, member in enumerate(members)
            for picked in member.pseudo_labels_
        ]

    # Settings and scores

    def _wants_early_stopping(self, n, has_validation_rows):
        if self.early_stopping == "auto" and is_tabular(self):
            return has_validation_rows
        return super()._wants_early_stopping(n, has_validation_rows)

    def _learn_defaults(self, n_rows):
        super()._learn_defaults(n_rows)
        if self.loss_ == "quantile":
            self._defaults["scoring"] = "mae"

    def _learn_scores(self, y, weight):
        scores = self._scores(y)
        low, high = float(scores.min()), float(scores.max())
        is_constant = is_one_score(low, high)
        if not (is_constant or SMALLEST_RANGE < high - low < 1 / SMALLEST_RANGE):
            raise ValueError(
                f"y ranges from {low:g} to {high:g}, which is beyond what its squares can be "
                "computed for; scale it, for instance in a TransformedTargetRegressor."
            )
        self.score_mean_ = float(scores.mean())
        # Scores that are equal up to rounding have no deviation but that of their last digits.
        rounding = max(1.0, ROUNDING * abs(high))
        self.score_scale_ = rounding if is_constant else float(scores.std())
        self.label_bands_ = LabelBands.from_density(scores)
        counts = None if weight is None else weighted_mean_one(weight)
        self._tail_weights = TailWeights(scores, counts)
        middle = float(np.median(scores))
        unit = rounding if is_constant else float(np.abs(scores - middle).mean())
        self._quantile_unit = middle, unit
        self.bin_centers_, bins = None, self._option("bins")
        if self.loss_ != "mse":
            self.bin_centers_ = self._distribution_centers
            if self.bin_centers_ is None:
                n_bins = 20 if bins.n_bins == "auto" else bins.n_bins
                self.bin_centers_ = self._centers((scores.min(), scores.max()), n_bins)
            self._check_distance(self.bin_centers_)
        self._bounds = None
        if self._option("architecture").head == "sigmoid":
            ends = self._centers((low, high), 2)
            self._check_distance(ends)
            self._bounds = tuple(((ends - self.score_mean_) / self.score_scale_).tolist())
        self._logit_shift = None
        if bins.logit_adjustment:
            density = label_density(scores, at=self.bin_centers_)
            share = density / density.sum() if density.any() else np.ones_like(density)
            prior = np.maximum(share, 1 / len(scores))
            self._logit_shift = bins.logit_adjustment * np.log(prior / prior.sum())

    def _check_distance(self, centers):
        """Raise where bins lie so far away that float32 cannot tell the scores apart."""
        farthest = np.abs(centers - self.score_mean_).max()
        if farthest > _FARTHEST_BIN * self.score_scale_:
            raise ValueError(
                f"score_range={self._option('bins').score_range!r} leads to bins {farthest:g} away "
                f"from the mean of y, whose deviation is {self.score_scale_:g}; take a range that "
                "y fills better."
            )

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
        plain = data.target.get("weight", torch.ones(len(scores)))
        if "weight" in data.target:
            weight = weighted_mean_one(weight * plain.double().numpy())
        target = {**data.target, "weight": torch.from_numpy(weight).float()}
        if self._option("training").reweighting_growth:
            target["plain_weight"] = plain
        return data.with_target(target)

    # Head and objective

    def _head(self):
        dropout, n_members = self._setting("dropout"), self._n_members
        if self.loss_ == "emd":
            return EMDHead(dropout, len(self.bin_centers_), n_members)
        if self.loss_ == "quantile":
            return QuantileHead(dropout, len(LEVELS), n_members)
        return MSEHead(dropout, n_members, self._bounds)

    def _objective(self):
        options, by_loss = self._option("enhancers"), {}
        if self.loss_ == "emd":
            centers = (self.bin_centers_ - self.score_mean_) / self.score_scale_
            by_loss = {
                "centers": torch.from_numpy(centers).float(),
                "emd_form": self._option("bins").emd_form,
            }
        elif self.loss_ == "quantile":
            origin, unit = self._quantile_unit
            by_loss = {
                "levels": torch.from_numpy(LEVELS),
                "quantile_center": (origin - self.score_mean_) / self.score_scale_,
                "quantile_scale": unit / self.score_scale_,
            }
        is_linear = self.loss_ == "mse" and self._setting("dropout") == 0 and self._bounds is None
        return ELTAObjective, {
            **by_loss,
            "logit_shift": None
            if self._logit_shift is None
            else torch.from_numpy(self._logit_shift).float(),
            "mixup_strength": self._setting("mixup_strength"),
            "tail_temperature": options.tail_temperature,
            "pair_temperature": options.pair_temperature,
            "sampler": self._sampler(options),
            "alignment_weight": self._setting("alignment_weight"),
            "score_scale": self.score_scale_,
            "temperature_scale": self._temperature_scale,
            "is_head_linear": is_linear and self._n_members is None,
            "own_loss": OwnLoss(self.loss) if callable(self.loss) else None,
            "own_enhancers": OwnEnhancers(self._own_enhancers) if self._own_enhancers else None,
            "ranks": self._option("training").scoring == "srcc",
        }

    @property
    def _own_enhancers(self):
        return self._option("enhancers").own or ()

    def _sampler(self, options):
        """What chooses the anchors of mixup, in the units that mixup sees; None is the distance."""
        if options.sampler == "distance" or self._setting("mixup_strength") == 0:
            return None
        points = (self._tail_weights.grid - self.score_mean_) / self.score_scale_
        return DensitySampler(
            torch.from_numpy(self._temperature_scale * points),
            torch.from_numpy(self._tail_weights.density),
            options.density_power,
        )

    @property
    def _temperature_scale(self):
        """Factor from standardized scores to scores in ``temperature_unit``."""
        unit = self._option("enhancers").temperature_unit
        if unit == "std":
            return 1.0
        scale = self.score_scale_ / unit
        if not 1 / _LARGEST_UNIT <= scale <= _LARGEST_UNIT:
            raise ValueError(
                f"temperature_unit={unit!r} is beyond all proportion to the deviation of y, "
                f'{self.score_scale_:g}; take one closer to it, or "std".'
            )
        return scale

    # Head retraining

    def _retrain_head(self, net, data, *, valid, seed, task, early_stopping, batch_size):
        """Replace the head of ``net`` by one trained on frozen features; returns its history."""

        def frozen(rows):
            return TensorData(net.apply_network(rows, "features").cpu().clone(), rows.target)

        device = torch.device(net.device)
        with self._few_threads(device), self._still(device):
            features = frozen(data)
            valid = None if valid is None else frozen(valid)
        features.epoch_index = ShuffledEpochs(len(features), seed_for(seed, "order"))
        with isolated_generators(seed_for(seed, "weights"), device):
            head_net = self._make_net(
                {"build_backbone": _identity, "input_shape": features.input_shape},
                batch_size=batch_size,
                max_epochs=self._option("enhancers").head_retraining_epochs,
                early_stopping=early_stopping,
            )
            head_net.initialize()
        stage = "head retraining"
        head_net = self._run(
            head_net, features, valid, seed=seed, task=task, stage=stage, draws_globally=False
        )
        if head_net.was_interrupted:
            return []
        net.module_.head.load_state_dict(head_net.module_.head.state_dict())
        return self._history_of(head_net, stage)


def _identity(input_shape):
    return nn.Identity()
