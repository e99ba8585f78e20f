"""ELTA: deep regression on long-tailed scores."""

from numbers import Integral, Real

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import RegressorMixin, clone
from sklearn.metrics import r2_score
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ltlearn._base import BaseDeepEstimator, all_or_nothing, draw_seeds, weighted_mean_one
from ltlearn._batches import FixedLengthEpochs, ShuffledEpochs, TensorData
from ltlearn._elta_objective import ELTAObjective, two_hot
from ltlearn._network import dropout
from ltlearn._whole import unwrap
from ltlearn.enhancers import AdaptiveSharpening, select_sharpening, sharpen
from ltlearn.metrics import LabelBands
from ltlearn.utils._compat import Interval, StrOptions, _fit_context, with_callbacks
from ltlearn.weighting import label_density, label_density_weights

# Published candidates for the exponent of sharpening and the confidence threshold (section 4.3).
_SHARPENING_CANDIDATES = (1.0, 1.1, 1.2, 1.25)
_THRESHOLD_CANDIDATES = (0.70, 0.75, 0.80, 0.85, 0.90)
# The published thresholds suit ten bins; for other numbers of bins candidates that keep these
# shares of the held-out rows stand beside them.
_KEPT_SHARES = (0.25, 0.5, 0.75)


def _has_distribution(estimator):
    if getattr(estimator, "loss_", estimator.loss) == "mse":
        raise AttributeError('predict_distribution needs loss="emd"; the loss is "mse".')
    return True


class ELTARegressor(RegressorMixin, BaseDeepEstimator):
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
    :func:`ltlearn.evaluation.compare`, before relying on any of them.

    Parameters
    ----------
    backbone : "mlp", str, torch.nn.Module or callable, default="mlp"
        Maps a batch of inputs to features (B, D). ``"mlp"`` is for tables and standardizes them
        itself. Any other string is the name of a timm model for images, see
        :func:`ltlearn.backbones.timm_backbone`. A module instance is copied at every fit and starts
        from the weights it came with; it gets arrays as they are, or prepared images if it is a
        timm model or has an attribute ``input_spec``, an :class:`ltlearn.images.InputSpec`. A class
        or factory is called at every fit, with the shape of one sample if it has a required
        argument.
    backbone_params : dict, default=None
        For a timm model: ``pretrained`` (default True), ``checkpoint_path``, ``img_size``,
        ``in_chans``, ``drop_path_rate``, ...
    feature_pooling : {None, "avg", "max", "token"}, default=None
        For a timm model: how its last feature map becomes a vector; None is the model's own way.
    freeze_backbone : bool, default=False
        Train the head alone. :class:`~ltlearn.BackboneFeatures` in a pipeline does the same faster.
    head_warmup_epochs : int, default=0
        First epochs in which the weights of the backbone stay as they are.
    hidden_layer_sizes : sequence of int, default=(128, 64)
        Widths of the layers of ``"mlp"``; the last one is D.
    dropout : float, default=0.0
        Share of activations dropped between the layers of ``"mlp"`` and before the head.
    optimizer : {"adamw", "adam", "sgd"} or torch.optim.Optimizer class, default="adamw"
        The first two are fused where torch can do that; ``"sgd"`` has Nesterov momentum 0.9.
    lr : float, default=1e-3
        Learning rate.
    layer_decay : float, default=1.0
        For a timm model: factor of the learning rate from one layer to the one below.
    lr_schedule : {"constant", "cosine"}, default="constant"
        ``"cosine"`` lets the learning rate fall to a hundredth over ``max_epochs``.
    warmup_epochs : int, default=0
        First epochs, in which the learning rate rises linearly.
    weight_decay : float, default=1e-4
        Weight decay of the optimizer.
    max_grad_norm : float, default=None
        Clip the gradient to this norm.
    batch_size : int or "auto", default="auto"
        ``"auto"`` is a 32nd of the training rows, between 16 and 256.
    accumulation_steps : int, default=1
        Parts that a batch passes through the network in, to save memory. An update still uses all
        of ``batch_size``.
    max_epochs : int, default=100
        Most passes over the training rows.
    early_stopping : bool or "auto", default="auto"
        Stop when the validation score has not improved, by a ten-thousandth of it at least, for
        ``n_iter_no_change`` epochs, and keep the weights of the last epoch that improved it so.
        ``"auto"`` is on with ``X_val`` or from 100 rows.
    validation_fraction : float, default=0.1
        Share of rows held out for early stopping when ``X_val`` is not given; spread evenly over
        the range of the scores, so that the tail is in it.
    n_iter_no_change : int, default=10
        Patience of early stopping, in epochs.
    scoring : {"loss", "mae"}, default="loss"
        Validation score for early stopping: the task loss, or the mean absolute error of the
        predicted scores. Neither counts ``reweighting``.
    augmentation : {None, "standard", "elta", "granularity"} or ltlearn.images.Recipe, default=None
        Random changes to training images: crops and flips, or those of the published methods, see
        :data:`ltlearn.images.RECIPES`. Mixing images is for classes and is left out.
    num_workers : int, default=0
        Processes that decode image files; 0 decodes in this one.
    on_bad_image : {"raise", "skip"}, default="raise"
        What ``fit`` does about training images that cannot be read: an error that names the first
        one, or a warning that lists them and training without them. Prediction always raises.
    device : str or torch.device, default="auto"
        ``"auto"`` is CUDA where available, else the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Arithmetic of forward passes. ``"auto"`` is bfloat16 on CUDA devices that support it and
        float32 elsewhere.
    compile : bool, default=False
        Compile the backbone with :func:`torch.compile`: slower to start, faster in long training.
    callbacks : list of skorch callbacks, default=None
        Called during training, e.g. ``skorch.callbacks.LRScheduler``; all but those that score
        predictions, such as ``EpochScoring``.
    warm_start : bool, default=False
        Continue from the weights of the previous fit for another ``max_epochs``, with the
        parameters as they are now; but the network, ``augmentation``, the scale of inputs and
        scores, ``loss`` and the bins with their prior stay those of the first fit.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness: weights, shuffling, dropout, mixup, held-out rows. None draws
        a seed from NumPy's global generator, which is otherwise left as it is, like all others.
    verbose : int, default=0
        1 shows a bar over epochs, 2 also prints a row per epoch.
    loss : {"auto", "mse", "emd"}, default="auto"
        ``"emd"`` predicts a distribution over bins and compares it with the true one by earth
        mover's distance [3]_; scalar scores become two neighboring bins whose expectation is the
        score. ``"auto"`` is ``"emd"`` for distributions and ``"mse"`` for scalar scores.
    n_bins : int or "auto", default="auto"
        Bins of ``"emd"`` on scalar scores; ``"auto"`` is 20. Distributions bring their own.
    score_range : (float, float), default=None
        Scores of the first and last bin. Default: 1 and K for distributions over K bins, the range
        of the training scores for scalars. Predictions of ``"emd"`` stay within it.
    mixup_strength : float, default=0.1
        Samples synthesized by mixup as a fraction of the batch; 0 turns mixup off. Published:
        1/48.
    tail_temperature : float, default=0.5
        τ1 of tail feature augmentation [1]_: the smaller, the more the anchors come from the tail.
    pair_temperature : float, default=2.0
        τ2 of tail feature augmentation [1]_: the larger, the closer in score the partners of mixup.
    alignment_weight : float, default=0.0
        Weight of similarity alignment in the loss; 0 turns it off.
    temperature_unit : "std" or float, default="std"
        Unit of the differences between scores that the two temperatures and ``sharpening`` apply
        to: the deviation of the training scores, or a number in units of the score. 1.0 gives the
        published setting on scores from 1 to 10.
    reweighting : {None, "sqrt_inverse", "inverse"}, default=None
        Weights of the training loss from the smoothed density of the scores [2]_, see
        :func:`ltlearn.weighting.label_density_weights`.
    logit_adjustment : float, default=0.0
        Multiple of the smoothed log prior of the bins that is added to the logits in training and
        dropped at prediction; for ``"emd"`` on scalar scores only.
    head_retraining_epochs : int, default=0
        After training, freeze the backbone and train a fresh head for this many epochs.
    self_training_rounds : int, default=1
        Rounds of self-training when ``X_unlabeled`` is given. Every round trains from the start
        with as many updates an epoch as the training without unlabeled rows.
    sharpening : float or "auto", default="auto"
        β of adaptive sharpening [1]_. ``"auto"`` chooses it on the held-out labeled rows.
    confidence_threshold : float or "auto", default="auto"
        Least sharpened probability of the likeliest bin for an unlabeled row to be used.
        ``"auto"`` chooses it on the held-out labeled rows.

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

    _parameter_constraints: dict = {
        **BaseDeepEstimator._parameter_constraints,
        "scoring": [StrOptions({"loss", "mae"})],
        "loss": [StrOptions({"auto", "mse", "emd"})],
        "n_bins": [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left")],
        "score_range": ["array-like", None],
        "mixup_strength": [Interval(Real, 0, 1, closed="both")],
        "tail_temperature": [Interval(Real, 0, None, closed="neither")],
        "pair_temperature": [Interval(Real, 0, None, closed="neither")],
        "alignment_weight": [Interval(Real, 0, None, closed="left")],
        "temperature_unit": [StrOptions({"std"}), Interval(Real, 0, None, closed="neither")],
        "reweighting": [StrOptions({"sqrt_inverse", "inverse"}), None],
        "logit_adjustment": [Interval(Real, 0, None, closed="left")],
        "head_retraining_epochs": [Interval(Integral, 0, None, closed="left")],
        "self_training_rounds": [Interval(Integral, 0, None, closed="left")],
        "sharpening": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "confidence_threshold": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    }
    _lower_is_better = {"loss": True, "mae": True}

    def __init__(
        self,
        *,
        backbone="mlp",
        backbone_params=None,
        feature_pooling=None,
        freeze_backbone=False,
        head_warmup_epochs=0,
        hidden_layer_sizes=(128, 64),
        dropout=0.0,
        optimizer="adamw",
        lr=1e-3,
        layer_decay=1.0,
        lr_schedule="constant",
        warmup_epochs=0,
        weight_decay=1e-4,
        max_grad_norm=None,
        batch_size="auto",
        accumulation_steps=1,
        max_epochs=100,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        scoring="loss",
        augmentation=None,
        num_workers=0,
        on_bad_image="raise",
        device="auto",
        precision="auto",
        compile=False,
        callbacks=None,
        warm_start=False,
        random_state=None,
        verbose=0,
        loss="auto",
        n_bins="auto",
        score_range=None,
        mixup_strength=0.1,
        tail_temperature=0.5,
        pair_temperature=2.0,
        alignment_weight=0.0,
        temperature_unit="std",
        reweighting=None,
        logit_adjustment=0.0,
        head_retraining_epochs=0,
        self_training_rounds=1,
        sharpening="auto",
        confidence_threshold="auto",
    ):
        super().__init__(
            backbone=backbone,
            backbone_params=backbone_params,
            feature_pooling=feature_pooling,
            freeze_backbone=freeze_backbone,
            head_warmup_epochs=head_warmup_epochs,
            hidden_layer_sizes=hidden_layer_sizes,
            dropout=dropout,
            optimizer=optimizer,
            lr=lr,
            layer_decay=layer_decay,
            lr_schedule=lr_schedule,
            warmup_epochs=warmup_epochs,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            batch_size=batch_size,
            accumulation_steps=accumulation_steps,
            max_epochs=max_epochs,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            scoring=scoring,
            augmentation=augmentation,
            num_workers=num_workers,
            on_bad_image=on_bad_image,
            device=device,
            precision=precision,
            compile=compile,
            callbacks=callbacks,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
        self.loss = loss
        self.n_bins = n_bins
        self.score_range = score_range
        self.mixup_strength = mixup_strength
        self.tail_temperature = tail_temperature
        self.pair_temperature = pair_temperature
        self.alignment_weight = alignment_weight
        self.temperature_unit = temperature_unit
        self.reweighting = reweighting
        self.logit_adjustment = logit_adjustment
        self.head_retraining_epochs = head_retraining_epochs
        self.self_training_rounds = self_training_rounds
        self.sharpening = sharpening
        self.confidence_threshold = confidence_threshold

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
            X_unlabeled = self._validate_more_rows(X_unlabeled, "X_unlabeled", like=train.X)
            unlabeled_rows = self._inputs.usable_rows(X_unlabeled)
        early_stopping = self._wants_early_stopping(len(train.X), valid is not None)
        n_rounds = 0 if X_unlabeled is None else self.self_training_rounds
        chooses_sharpening = n_rounds > 0 and "auto" in (self.sharpening, self.confidence_threshold)
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
        if self.head_retraining_epochs:
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
        outputs = self._outputs(self._validate_X(X)).astype(np.float64)
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
        return softmax(self._outputs(self._validate_X(X)).astype(np.float64), axis=1)

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
            logit_adjustment=0.0,
            head_retraining_epochs=0,
            self_training_rounds=0,
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
        if self.logit_adjustment and (self.loss_ == "mse" or is_distribution):
            raise ValueError(
                'logit_adjustment needs scalar scores with loss="emd": with '
                + (
                    'loss="mse" there are no bins.'
                    if self.loss_ == "mse"
                    else "true rating distributions the bins are not a posterior, and adjusting "
                    "them makes predictions worse."
                )
            )
        if self.score_range is not None and not _is_range(self.score_range):
            raise ValueError(
                f"score_range={self.score_range!r} must be (low, high), finite, low < high."
            )

    def _scores(self, y):
        """Scores (n,) of encoded targets."""
        return y if y.ndim == 1 else y @ self._distribution_centers

    def _centers(self, default_range, n_bins):
        low, high = default_range if self.score_range is None else self.score_range
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
        self.bin_centers_ = None
        if self.loss_ == "emd":
            self.bin_centers_ = self._distribution_centers
            if self.bin_centers_ is None:
                n_bins = 20 if self.n_bins == "auto" else self.n_bins
                self.bin_centers_ = self._centers((scores.min(), scores.max()), n_bins)
        self._log_prior = None
        if self.logit_adjustment:
            density = label_density(scores, at=self.bin_centers_)
            share = density / density.sum() if density.any() else np.ones_like(density)
            prior = np.maximum(share, 1 / len(scores))
            self._log_prior = self.logit_adjustment * np.log(prior / prior.sum())

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
        return _EMDHead(self.dropout, n_outputs) if self.loss_ == "emd" else _MSEHead(self.dropout)

    def _objective(self):
        centers = self.bin_centers_
        if centers is not None:
            centers = (centers - self.score_mean_) / self.score_scale_
        return ELTAObjective, {
            "centers": None if centers is None else torch.from_numpy(centers).float(),
            "log_prior": None
            if self._log_prior is None
            else torch.from_numpy(self._log_prior).float(),
            "mixup_strength": self.mixup_strength,
            "tail_temperature": self.tail_temperature,
            "pair_temperature": self.pair_temperature,
            "alignment_weight": self.alignment_weight,
            "score_scale": self.score_scale_,
            "temperature_scale": self._temperature_scale,
            "is_head_linear": self.loss_ == "mse" and self.dropout == 0,
        }

    @property
    def _temperature_scale(self):
        """Factor from standardized scores to scores in ``temperature_unit``."""
        unit = self.temperature_unit
        return 1.0 if unit == "std" else self.score_scale_ / unit

    # Self-training and head retraining

    def _check_self_training(self):
        if self.loss_ != "emd":
            raise ValueError(
                "Self-training on X_unlabeled sharpens predicted distributions, so it needs "
                f'loss="emd"; the loss is {self.loss_!r}.'
            )
        if self._is_continued:
            raise ValueError(
                "Self-training trains from the start, which contradicts warm_start=True."
            )

    def _pseudo_label(self, net, X_unlabeled, rows, valid):
        """Pick those of the ``rows`` that are predicted with confidence after sharpening."""
        unit = self._temperature_scale
        centers = torch.from_numpy((self.bin_centers_ - self.score_mean_) / self.score_scale_)

        def predict(X):
            logits = torch.from_numpy(self._outputs(X, net=net)).double()
            return logits, unit * (logits.softmax(1) @ centers)

        logits, scores = predict(X_unlabeled[rows])
        beta, threshold = self.sharpening, self.confidence_threshold
        if "auto" in (beta, threshold):
            beta, threshold = self._choose_sharpening(*predict(valid.X), valid)
        _, keep = AdaptiveSharpening(beta, threshold)(logits, scores)
        kept = keep.nonzero().squeeze(1).numpy()
        distribution = logits.softmax(1).numpy()[kept]
        return {
            "index": rows[kept],
            "score": distribution @ self.bin_centers_,
            "distribution": distribution,
            "sharpening": beta,
            "confidence_threshold": threshold,
        }

    def _choose_sharpening(self, logits, scores, valid):
        betas, thresholds = _SHARPENING_CANDIDATES, _THRESHOLD_CANDIDATES
        if self.sharpening != "auto":
            betas = (self.sharpening,)
        if self.confidence_threshold != "auto":
            thresholds = (self.confidence_threshold,)
        else:
            confidence = sharpen(logits, scores, scores.mean(), betas[0]).amax(1)
            shares = confidence.new_tensor([1 - share for share in _KEPT_SHARES])
            thresholds = (*thresholds, *confidence.quantile(shares).tolist())
        standardized = (self._scores(valid.y) - self.score_mean_) / self.score_scale_
        true_scores = torch.from_numpy(self._temperature_scale * standardized)
        min_kept = min(len(scores), max(10, len(scores) // 10))
        return select_sharpening(
            logits, scores, true_scores, betas=betas, thresholds=thresholds, min_kept=min_kept
        )

    def _pseudo_labeled_data(self, picked, X_unlabeled, like):
        standardized = (picked["score"] - self.score_mean_) / self.score_scale_
        target = {
            "score": torch.from_numpy(standardized).float(),
            "distribution": torch.from_numpy(picked["distribution"]).float(),
        }
        if "weight" in like.target:
            target["weight"] = torch.ones(len(standardized), device="cpu")
        return self._inputs.data(X_unlabeled[picked["index"]], target, training=True)

    def _retrain_head(self, net, data, *, valid, seed, task, early_stopping, batch_size):
        """Replace the head of ``net`` by one trained on frozen features; returns its history."""

        def frozen(rows):
            return TensorData(net.outputs(rows, "features").cpu().clone(), rows.target)

        with self._isolated(seed, torch.device(net.device)):
            features = frozen(data)
            features.epoch_index = ShuffledEpochs(len(features), seed)
            head_net = self._make_net(
                {"build_backbone": _identity, "input_shape": features.input_shape},
                batch_size=batch_size,
                max_epochs=self.head_retraining_epochs,
                early_stopping=early_stopping,
            )
            valid = None if valid is None else frozen(valid)
            stage = "head retraining"
            self._run(head_net, features, valid, task=task, stage=stage)
        net.module_.head.load_state_dict(head_net.module_.head.state_dict())
        return self._history_of(head_net, stage)


class _MSEHead:
    """Builds D features -> one standardized score."""

    def __init__(self, dropout):
        self.dropout = dropout

    def __call__(self, n_features):
        return nn.Sequential(*dropout(self.dropout), nn.Linear(n_features, 1))


class _EMDHead:
    """Builds D features -> K logits."""

    def __init__(self, dropout, n_bins):
        self.dropout = dropout
        self.n_bins = n_bins

    def __call__(self, n_features):
        return nn.Sequential(
            *dropout(self.dropout),
            nn.Linear(n_features, 64),
            nn.ReLU(),
            nn.Linear(64, self.n_bins),
        )


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
