"""Granular classification: auxiliary classes beside a long tail of target classes."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.base import ClassifierMixin, clone
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from ltlearn.data._epochs import AuxiliaryEpochs
from ltlearn.data._inputs import ColumnInputs
from ltlearn.data._views import join_rows
from ltlearn.estimators._auxiliary_classes import AuxiliaryClassesMixin
from ltlearn.estimators._backbone import is_tabular
from ltlearn.estimators._base import BaseDeepEstimator, as_float32
from ltlearn.estimators._class_losses import (
    LDAM_SCALE,
    LOSSES,
    check_loss,
    make_loss,
    training_tau,
)
from ltlearn.estimators._defaults import classifier_defaults
from ltlearn.estimators._held_out import choose_power, fit_adjustment, fit_temperature
from ltlearn.estimators._validation import (
    Rows,
    check_labels,
    validate_X,
    weighted_mean_one,
)
from ltlearn.images import Recipe
from ltlearn.networks import class_mean_directions
from ltlearn.networks._heads import ClassHead, CosineClassHead, WithProjection
from ltlearn.objectives._granular import GranularObjective
from ltlearn.objectives._image_views import image_views
from ltlearn.objectives._own import OwnEnhancers
from ltlearn.options import Architecture, Auxiliary, Images, Training
from ltlearn.utils._checks import MAX_EXPONENT, check_same_length, check_weights, naming
from ltlearn.utils._compat import Interval, StrOptions, _fit_context, with_callbacks
from ltlearn.utils._device import own_modes
from ltlearn.utils._estimator import all_or_nothing
from ltlearn.utils._typing import Backbone, FilePath, RowsLike
from ltlearn.utils._whole import Whole, unwrap
from ltlearn.weighting._classes import weights_by_class
from ltlearn.weighting._prior import log_prior


class GranularClassifier(ClassifierMixin, AuxiliaryClassesMixin, BaseDeepEstimator):
    """Deep classification with a long tail of classes, helped by auxiliary classes.

    Balanced cross-entropy [2]_ makes the classes compete on equal terms. Auxiliary classes, not
    among the target classes but similar to them, are trained in the same softmax and dropped at
    prediction [1]_; between a target class and its auxiliary neighbors the competition is turned
    down (:class:`~ltlearn.losses.NeighborSilencingLoss`).

    Logit adjustment gains much on long tails; what auxiliary data and silencing add depends on the
    data. On frozen features of six classes of Fashion-MNIST, of 500 to 5 images, neighboring
    classes with silencing gained 1.0 points overall and 4.3 for few-shot classes (ten draws),
    without silencing 0.1 and 1.7, random classes 0.2 and 0.5. With the same neighbors
    :class:`~ltlearn.TailStackingClassifier`, ahead of all that without any, gained nothing, and
    logistic regression lost. So they are worth collecting for networks, near the rare classes, and
    seldom for a stack. Compare with :meth:`without_enhancers`, for instance through
    :func:`ltlearn.evaluation.compare`, before relying on them. The parameters to try first are
    ``logit_adjustment``, ``prior`` and ``lr``.

    What ``"auto"`` stands for depends on the inputs: numbers for ``backbone="mlp"`` are a table, or
    with more than 128 columns an embedding.

    Parameters
    ----------
    loss : str or callable, default="neighbor_silencing"
        ``"neighbor_silencing"`` and, without silencing, ``"balanced_cross_entropy"`` are trained
        with ``logit_adjustment``; ``"cross_entropy"``, ``"focal"`` [3]_ and ``"ldam"`` [4]_
        without, so that their logits refer to the training shares of the classes. Predictions
        refer to the shares of ``prior``, whatever the loss. ``"focal"`` has γ = 2; its
        probabilities are less far from each other than the true ones, which
        ``calibrate_temperature`` makes up for. ``"ldam"`` has a head of cosines times 30, and the
        margin 15 for the rarest class. For other settings pass a module of :mod:`ltlearn.losses`,
        and for a loss of your own a function or module as described there: its logits are taken to
        refer to shares in proportion to π^(1 - τ), with τ = 0 unless it has an attribute ``tau``.
    logit_adjustment : float or "auto", default=1.0
        τ of [2]_: multiple of the log class shares π that is added to the logits in training. 1 is
        balanced cross-entropy, 0 plain cross-entropy. See the notes for how predictions follow.
        ``"auto"`` is 1 in training; afterwards it sets ``tau_``, and the temperature with it, to
        what gives the validation rows the least class-balanced cross-entropy. It holds rows out
        where none are given; with few of them, cross-fitting as in
        :class:`~ltlearn.TailStackingClassifier` is steadier.
    silencing : float, default=0.1
        λ_s of [1]_: weight, in the softmax of a sample's loss, of the neighbors of its class. 0
        takes them out of it, 1 turns silencing off.
    auxiliary : {None, "synthesize"} or ltlearn.options.Auxiliary, default=None
        Which auxiliary classes are neighbors of which target classes, how many of their rows an
        epoch sees, and where they come from. None finds neighbors by similar prototypes;
        ``"synthesize"`` is short for ``Auxiliary(synthesize=True)``: classes made from the training
        rows.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the training loss, auxiliary classes included; classes that a dict
        does not name have weight 1. They come on top of ``logit_adjustment``: ``"balanced"`` is
        meant for ``logit_adjustment=0`` with ``prior="train"``.
    prior : {"balanced", "train"} or array-like of shape (n_classes,), default="balanced"
        Class shares that predictions refer to: all the same, those of the training rows, or
        positive numbers of your own in the order of ``classes_``. May be changed by ``set_params``
        after fitting.
    calibrate_temperature : bool, default=False
        Divide the logits by the temperature that gives the validation rows the least
        cross-entropy, between 1/20 and 20. Holds rows out where none are given.
    enhancers : list of callables, default=None
        Enhancers of one's own, see :class:`ltlearn.enhancers.Batch`.
    backbone : "mlp", "tabular", str, torch.nn.Module or callable, default="mlp"
        Maps a batch of inputs to features (B, D). ``"mlp"`` is for tables and standardizes them
        itself; ``"tabular"`` takes numbers and categories, with missing values or without, which
        several members inside one network read. Any other string is the name of a timm model for
        images, see :func:`ltlearn.networks.timm_backbone`. A module instance is copied at every fit
        and starts from the weights it came with; it gets arrays as they are, or prepared images if
        it is a timm model or has an attribute ``input_spec``, an :class:`ltlearn.images.InputSpec`.
        A class or factory is called at every fit, with the shape of one sample if it has a required
        argument.
    max_epochs : int or "auto", default="auto"
        Most passes over the rows of the target classes. An epoch is every such row once and up to
        ``auxiliary.max_samples`` rows of each auxiliary class; so auxiliary data makes epochs
        longer and never means fewer passes over the target classes. ``train_batch_count`` in
        ``history_`` is the number of updates. ``"auto"`` is 80 for tables, for embeddings as many
        as 600 updates without auxiliary data take, at least 15; for ``"tabular"`` it falls from 45
        to 16 with the number of training rows; for other backbones it is 100.
    lr : float or "auto", default="auto"
        Learning rate. ``"auto"`` is 5e-3 for tables; for ``"tabular"`` it rises from 6e-3 to 8e-3
        with the number of training rows; for embeddings and other backbones it is 1e-3.
    batch_size : int or "auto", default="auto"
        ``"auto"`` is for tables a 16th of the training rows of the target classes, between 64 and
        256 (between 24 and 128 for ``"tabular"``, from 5,120 rows on a 40th), for embeddings 64,
        and else a 32nd, between 16 and 256, or as many images as have the pixels of 48 of 256 by
        256.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness: weights, shuffling, dropout, the draw of auxiliary rows, held-out
        rows. None draws a seed from NumPy's global generator, which is otherwise left as it is,
        like all others.
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
        Widths of the layers of ``"mlp"`` or ``"tabular"``; the last one is D. ``"auto"`` is
        (256, 256) for tables, (128,) for embeddings and (128, 128) for ``"tabular"``.
    dropout : float or "auto", default="auto"
        Share of activations dropped between the layers of ``"mlp"`` or ``"tabular"`` and before
        the head. ``"auto"`` is 0.2 for tables and 0.5 for embeddings; for ``"tabular"`` it falls
        from 0.2 to 0.1 with the number of training rows; for other backbones it is 0.
    early_stopping : bool or "auto", default="auto"
        Stop when the validation score has not improved, by a ten-thousandth of it at least, for
        ``training.n_iter_no_change`` epochs, and keep the weights of the last epoch that improved
        it so. ``"auto"`` is on with ``X_val``, for tables and embeddings from 10,000 rows, and for
        other backbones from 100 rows: a tenth of a few hundred rows says too little about the tail
        to stop by.
    augmentation : str, ltlearn.images.Recipe or None, default=None
        Random changes to training images: ``"standard"`` crops and flips, or ``"elta"``,
        ``"granularity"`` or ``"glmc"``, those of published methods; see
        :data:`ltlearn.images.RECIPES`. The latter two also mix images, ``"granularity"`` smooths
        labels by 0.1 unless ``training.label_smoothing`` is set.
    callbacks : list of skorch callbacks, default=None
        Called during training, e.g. ``skorch.callbacks.LRScheduler``; all but those that score
        predictions, such as ``EpochScoring``.
    device : str or torch.device, default="auto"
        ``"auto"`` is CUDA where available, else the CPU.
    warm_start : bool, default=False
        Continue from the weights of the previous fit for another ``max_epochs``, with the
        parameters as they are now; but the network, ``augmentation``, classes, their shares,
        neighbors and the scale of inputs stay those of the first fit.
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
        Epochs run in this fit; those of fits that ``warm_start`` goes on from are in ``history_``.
    n_features_in_ : int
        Number of columns (or size of the second dimension) seen in fit.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the columns, when X has string column names.
    classes_ : ndarray of shape (n_classes,)
        Target classes.
    class_counts_ : ndarray of shape (n_classes,)
        Rows of each target class in ``y``, held-out ones included, those of weight 0 not.
    auxiliary_classes_ : ndarray of shape (n_auxiliary,)
        Auxiliary classes; those synthesized are named ``"a+b"``.
    neighbors_ : dict
        The relation used: every target class with the list of its auxiliary neighbors.
    temperature_ : float
        What the logits are divided by; 1.0 unless it is fitted.
    tau_ : float
        Multiple of the log class shares that is taken off the logits at balanced classes in
        predictions; 0.0 but for ``logit_adjustment="auto"``.
    feature_power_ : float
        Exponent taken of the columns; see :class:`~ltlearn.options.Architecture`.
    prediction_prior_ : ndarray of shape (n_classes,)
        Class shares that probabilities refer to: those of ``prior``, times the class weights.

    See Also
    --------
    ltlearn.losses.NeighborSilencingLoss : The loss.
    ltlearn.calibration.LogitAdjuster : Logit adjustment after training, for any classifier.

    Notes
    -----
    In training, class j of all classes with share :math:`\\pi_j` in an epoch has the logit
    :math:`z_j + \\tau \\log \\pi_j`, so the softmax of these estimates the shares of the classes
    among training rows like x. Left to the target classes, and their training shares replaced by
    the shares :math:`\\rho` of ``prior``, this becomes, with the temperature T,

    .. math:: p(j \\mid x) \\propto
        \\rho_j w_j \\exp\\big((z_j + (\\tau - 1) \\log \\pi_j - \\log w_j) / T\\big)

    for every τ: with τ = 1 the plain logits refer to balanced classes already. A τ' fitted after
    training divides this by :math:`\\pi_j^{\\tau'}`. Sample weights count in :math:`\\pi`. Class
    weights w are a wish for other shares: they act like a prior in proportion to
    :math:`\\rho_j w_j`, and neither the validation loss nor the temperature counts them.

    References
    ----------
    .. [1] Zhao et al., "Granularity Matters in Long-Tail Learning", CVPR 2025, arXiv:2410.15980.
    .. [2] Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021.
    .. [3] Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    .. [4] Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
       NeurIPS 2019.

    Examples
    --------
    Digits 0 to 4, all but 0 of them rare; 5 to 9 as auxiliary classes.

    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from ltlearn import GranularClassifier, Whole
    >>> X, y = load_digits(return_X_y=True)
    >>> keep = (y == 0) | ((y < 5) & (np.arange(len(y)) % 10 == 0))
    >>> model = GranularClassifier(max_epochs=20, random_state=0)
    >>> model = model.fit(X[keep], y[keep], X_aux=Whole(X[y > 4]), y_aux=Whole(y[y > 4]))
    >>> model.predict_proba(X[:3]).shape
    (3, 5)
    >>> sorted(model.neighbors_)
    [0, 1, 2, 3, 4]
    """

    _options: dict = {**BaseDeepEstimator._options, "auxiliary": Auxiliary}
    _parameter_constraints: dict = {
        **BaseDeepEstimator._parameter_constraints,
        "logit_adjustment": [StrOptions({"auto"}), Interval(Real, 0, MAX_EXPONENT, closed="both")],
        "loss": [StrOptions(set(LOSSES)), callable],
        "enhancers": [list, tuple, None],
        "silencing": [Interval(Real, 0, 1, closed="both")],
        "auxiliary": [StrOptions({"synthesize"}), Auxiliary, None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "prior": [StrOptions({"balanced", "train"}), "array-like"],
        "calibrate_temperature": ["boolean"],
    }
    _lower_is_better = {"loss": True, "accuracy": False, "balanced_accuracy": False}

    def __init__(
        self,
        *,
        loss: str | Callable[..., torch.Tensor] = "neighbor_silencing",
        logit_adjustment: float | Literal["auto"] = 1.0,
        silencing: float = 0.1,
        auxiliary: Literal["synthesize"] | Auxiliary | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        prior: Literal["balanced", "train"] | ArrayLike = "balanced",
        calibrate_temperature: bool = False,
        enhancers: list[Callable[..., Any]] | None = None,
        backbone: Backbone = "mlp",
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
    ) -> None:
        self.loss = loss
        self.logit_adjustment = logit_adjustment
        self.silencing = silencing
        self.auxiliary = auxiliary
        self.class_weight = class_weight
        self.prior = prior
        self.calibrate_temperature = calibrate_temperature
        self.enhancers = enhancers
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
        X_aux: RowsLike = None,
        y_aux: ArrayLike | Whole | None = None,
        X_val: RowsLike = None,
        y_val: ArrayLike | Whole | None = None,
        sample_weight_val: ArrayLike | Whole | None = None,
    ) -> "GranularClassifier":
        """Train on target classes and, if there are any, auxiliary classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or paths
            Numbers for ``backbone="mlp"``; for a module an array of any number of dimensions; for
            an image backbone images (n, H, W, C) or (n, C, H, W), or paths of image files.
        y : array-like of shape (n_samples,)
            Target classes: numbers or strings.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the training loss, in the class shares and, for rows held out
            from X, in the validation score. Auxiliary rows weigh as much as rows of X on average.
        X_aux : array-like of shape (n_auxiliary_samples, n_features), default=None
            Rows of auxiliary classes, of the same kind as X. Wrap it in :class:`ltlearn.Whole` for
            cross-validation, which otherwise slices it along with X whenever it has as many rows.
            In a pipeline with ``transform_input=["X_aux"]`` it is transformed as X is; passed in
            any other way, it reaches this estimator as it is.
        y_aux : array-like of shape (n_auxiliary_samples,), default=None
            Auxiliary classes, none of which is in ``y``. Wrap it likewise.
        X_val, y_val : array-like, default=None
            Validation rows of target classes, instead of some held out from X. Not every class
            need be in them. Wrap both in :class:`ltlearn.Whole` if there are as many as rows of X.
        sample_weight_val : array-like, default=None
            Weights of the rows of ``X_val`` in the validation score, and in whatever
            is fitted on these rows: temperature, ``tau_``, ``feature_power_``. Wrap it likewise.

        Returns
        -------
        self : GranularClassifier

        Raises
        ------
        ValueError
            For inputs that cannot be trained on; the message says what to change.
        NonFiniteLossError
            When training diverges.
        """
        validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        return self._fit_as_task(X, y, sample_weight, **validation, X_aux=X_aux, y_aux=y_aux)

    # Prediction

    def predict(self, X: RowsLike) -> np.ndarray:
        """Predict classes: the likeliest one at the class shares of ``prior``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return self.classes_[self._adjusted_logits(X).argmax(axis=1)]

    def predict_proba(self, X: RowsLike) -> np.ndarray:
        """Predict probabilities of the target classes at the class shares of ``prior``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), dtype float32
            Rows sum to 1; columns in the order of ``classes_``.
        """
        check_is_fitted(self)
        return softmax(self._adjusted_logits(X), axis=1)

    def decision_function(self, X: RowsLike) -> np.ndarray:
        """Logits of the target classes at the class shares of ``prior``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), or (n_samples,), dtype float32
            With two classes, one number a row: the logit of the second minus that of the first.
        """
        check_is_fitted(self)
        logits = self._adjusted_logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def score(self, X: RowsLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy of the predicted classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.
        y : array-like of shape (n_samples,)
            True classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
        """
        predicted, y = self.predict(X), check_labels(y, "y")
        check_same_length(X=predicted, y=y)
        if sample_weight is not None:
            sample_weight = check_weights(sample_weight, predicted)
        with naming("y"):
            return accuracy_score(y, predicted, sample_weight=sample_weight)

    def without_enhancers(self) -> "GranularClassifier":
        """An unfitted copy trained by balanced cross-entropy alone: the baseline to compare with.

        Auxiliary data passed to its ``fit`` is left out.

        Returns
        -------
        baseline : GranularClassifier
        """
        return clone(self).set_params(
            loss="neighbor_silencing",
            logit_adjustment=1.0,
            silencing=1.0,
            enhancers=None,
            auxiliary=Auxiliary(max_samples=0),
            training__label_smoothing=0.0,
            training__feature_mixup=0.0,
            class_weight=None,
        )

    @property
    def prediction_prior_(self):
        check_is_fitted(self)
        return np.mean([member._prediction_prior(self.prior) for member in self._members], axis=0)

    def _prediction_prior(self, prior):
        shares = np.exp(log_prior(prior, self._log_share))
        shares *= self._trained_class_weights[: len(self.classes_)]
        return shares / shares.sum()

    def _adjusted_logits(self, X):
        """Logits; of several members the logarithms of their mean probabilities."""
        X = validate_X(self, X)
        logits = [member._logits_at(self.prior, X) for member in self._members]
        if len(logits) == 1:
            return as_float32(logits[0])
        return as_float32(logsumexp(log_softmax(logits, axis=2), axis=0, b=1 / len(logits)))

    def _logits_at(self, prior, X):
        logits = self._outputs(X)[:, : len(self.classes_)]
        balanced = (logits + self._log_balance) / self.temperature_ - self.tau_ * self._log_share
        return balanced + self._log_prior(prior)

    @property
    def _log_class_weights(self):
        """Log weights of the target classes (C,).

        A class of weight 0 is not trained, so its logit falls by itself, and counts as weight 1.
        """
        weights = self._trained_class_weights[: len(self.classes_)]
        return np.log(np.where(weights > 0, weights, 1.0))

    def _log_prior(self, prior):
        """Log of the class shares that predictions refer to (C,), up to a constant."""
        return log_prior(prior, self._log_share) + self._log_class_weights

    # Settings

    def _make_defaults(self, n_rows):
        defaults = super()._make_defaults(n_rows)
        if isinstance(self._inputs, ColumnInputs):
            return defaults
        n_columns = getattr(self, "n_features_in_", 0)
        return defaults | classifier_defaults(n_rows, n_columns, self._has_mlp)

    def _wants_early_stopping(self, n, has_validation_rows):
        if self.early_stopping != "auto":
            return self.early_stopping
        defaults = self._make_defaults(n)
        return has_validation_rows or defaults.get("early_stopping", n >= 100)

    @property
    def _needs_validation_rows(self):
        """Whether anything but early stopping needs them."""
        power = self._option("architecture").feature_power
        return self.calibrate_temperature or "auto" in (self.logit_adjustment, power)

    @property
    def _training_tau(self):
        return training_tau(self.loss, self.logit_adjustment)

    def _initial_directions(self, train, auxiliary, seed):
        """Directions of the class means of the features before training, for a cosine head."""
        if self._option("architecture").head == "linear" or self._is_continued:
            return None
        if self._n_members is not None:
            raise ValueError(
                'architecture.head="cosine" is not for backbone="tabular", whose members have '
                'heads of their own; leave it "linear".'
            )
        parts = [rows for rows in (train, auxiliary) if len(rows.X)]
        features = [self._initial_features(self._inputs.data(rows.X), seed) for rows in parts]
        labels = torch.from_numpy(np.concatenate([train.y, len(self.classes_) + auxiliary.y]))
        return class_mean_directions(torch.cat(features), labels, self._n_outputs)

    # Classes and auxiliary data

    @property
    def _own_enhancers(self):
        return self.enhancers or ()

    def _check_option_values(self):
        super()._check_option_values()
        smoothing = self._option("training").label_smoothing
        check_loss(self.loss, self.logit_adjustment, smoothing)

    def _check_network_params(self):
        super()._check_network_params()
        if self._option("architecture").head == "sigmoid":
            raise ValueError(
                'architecture.head="sigmoid" is for scores; use "linear" or "cosine" for classes.'
            )
        if not is_tabular(self):
            return
        if isinstance(self.loss, str) and self.loss == "ldam":
            raise ValueError(
                'loss="ldam" needs a head that compares cosines, and the members of '
                'backbone="tabular" have heads of their own; use another loss.'
            )
        if self._option("architecture").batch_norm_head:
            raise ValueError(
                "architecture.batch_norm_head=True is not for the body for tables, whose members "
                "have heads of their own."
            )
        if self._option("training").feature_mixup not in ("auto", 0):
            raise ValueError(
                f"training.feature_mixup={self._option('training').feature_mixup!r} is not for the "
                "body for tables, whose columns may be categories; leave it 0."
            )

    def _encode_y(self, y, *, reset, name="y"):
        y = check_labels(y, name)
        if reset:
            self.classes_ = np.unique(y)
            return np.searchsorted(self.classes_, y)
        unknown = sorted(set(y.tolist()) - set(self.classes_.tolist()), key=str)
        if unknown:
            raise ValueError(
                f"{name} has the classes {unknown}, which are not among those that fit saw in y: "
                f"{self.classes_.tolist()}."
            )
        return np.searchsorted(self.classes_, y)

    def _stratification(self, y):
        return y

    def _can_be_held_out(self, y, held_out):
        return np.isin(y[held_out], np.delete(y, held_out))

    # Training

    def _fit_net(self, X, y, sample_weight, *, X_val, y_val, sample_weight_val, X_aux, y_aux, task):
        if (X_aux is None) != (y_aux is None):
            raise ValueError("X_aux and y_aux belong together; pass both or neither.")
        X_aux, y_aux = unwrap("X_aux", X_aux, X), unwrap("y_aux", y_aux, X)
        rng, (seed,) = self._draw_seeds(1)
        train, valid = self._validate_fit_rows(X, y, sample_weight, X_val, y_val, sample_weight_val)
        X_aux, y_aux = self._validate_auxiliary(train, X_aux, y_aux)
        if train.weight is not None:
            train = train._replace(weight=weighted_mean_one(train.weight))
        class_counts = np.bincount(train.y, minlength=len(self.classes_))
        early_stopping = self._wants_early_stopping(len(train.X), valid is not None)
        if valid is None and (early_stopping or self._needs_validation_rows):
            train, valid = self._hold_out(train, rng)
        self._learn_defaults(len(train.X))
        if not self._is_continued:
            self.feature_power_ = choose_power(self, train, valid, seed)
            if self._has_mlp:
                self._inputs.power = self.feature_power_
            self._learn_inputs(train.X)
            self.class_counts_ = class_counts
            self._learn_neighbors(train, X_aux, y_aux, seed)
        auxiliary = self._auxiliary_rows(train, X_aux, y_aux, rng)
        if not self._is_continued:
            self._learn_shares(train, auxiliary)
        self._directions = self._initial_directions(train, auxiliary, seed)
        self._trained_class_weights = weights_by_class(
            self.class_weight,
            [*self.classes_.tolist(), *self.auxiliary_classes_.tolist()],
            self._epoch_counts,
        )
        # With class weights w, the softmax estimates shares that are in proportion to w π.
        self._log_balance = (self._training_tau - 1) * self._log_share - self._log_class_weights

        valid = None if valid is None else self._data(valid)
        data = self._training_data(train, auxiliary, seed)
        del train, auxiliary  # their labels are in the targets
        net = self._train(
            data,
            valid,
            seed=seed,
            task=task,
            early_stopping=early_stopping,
            batch_size=self._setting("batch_size"),
        )
        self._directions = None
        self.temperature_, self.tau_ = 1.0, 0.0
        if self.logit_adjustment == "auto":
            self.temperature_, self.tau_ = fit_adjustment(net, valid, self._log_share)
        elif self.calibrate_temperature:
            self.temperature_ = fit_temperature(net, valid)
        self.n_iter_ = self._n_epochs(net)
        self.net_, self.history_ = net, self._history_of(net, "fit")

    def _learn_common(self, train, members):
        if not self._is_continued:
            self.class_counts_ = np.bincount(train.y, minlength=len(self.classes_))
        self.auxiliary_classes_ = np.unique(np.concatenate([m.auxiliary_classes_ for m in members]))

    def _learn_shares(self, train, auxiliary):
        """Class counts of an epoch, and the class shares that follow from them."""
        n_classes = len(self.classes_)
        counts = np.concatenate(
            [
                np.bincount(train.y, train.weight, minlength=n_classes),
                np.minimum(np.bincount(auxiliary.y), self._option("auxiliary").max_samples),
            ]
        )
        # A class whose rows all have weight 0 counts as much as the rarest other class.
        self._epoch_counts = np.where(counts > 0, counts, counts[counts > 0].min())
        share = self._epoch_counts[:n_classes] / self._epoch_counts[:n_classes].sum()
        self._log_share = np.log(share)

    def _training_data(self, train, auxiliary, seed):
        X, label = train.X, np.concatenate([train.y, len(self.classes_) + auxiliary.y])
        if len(auxiliary.X):
            X = join_rows(X, auxiliary.X)
        weight = None
        if train.weight is not None or self.class_weight is not None:
            weight = self._trained_class_weights[label]
            if train.weight is not None:
                weight[: len(train.y)] *= train.weight
        data = self._data(Rows(X, label, weight), training=True)
        if self.class_weight is not None and self._option("training").reweighting_growth:
            plain = np.ones(len(label)) if train.weight is None else train.weight
            plain = np.concatenate([plain, np.ones(len(label) - len(plain))])
            data.target["plain_weight"] = torch.from_numpy(plain).float()
        data.epoch_index = AuxiliaryEpochs(
            len(train.y), auxiliary.y, self._option("auxiliary").max_samples, seed
        )
        return data

    def _targets(self, rows):
        target = {"label": torch.from_numpy(rows.y)}
        if rows.weight is not None:
            target["weight"] = torch.from_numpy(rows.weight).float()
        return target

    # Head and objective

    def _head(self):
        dropout, batch_norm = self._setting("dropout"), self._option("architecture").batch_norm_head
        is_ldam = isinstance(self.loss, str) and self.loss == "ldam"
        if self._directions is not None or is_ldam:
            scale = LDAM_SCALE if is_ldam else 16.0
            head = CosineClassHead(dropout, batch_norm, self._n_outputs, self._directions, scale)
        else:
            head = ClassHead(dropout, batch_norm, self._n_outputs, self._n_members)
        return WithProjection(head) if self._mixing.consistency_weight else head

    @property
    def _n_outputs(self):
        return len(self.classes_) + len(self.auxiliary_classes_)

    def _loss(self):
        label_smoothing = self._option("training").label_smoothing
        return make_loss(
            self.loss,
            self._epoch_counts,
            self._relation,
            silencing=self.silencing,
            direction=self._option("auxiliary").silencing_direction,
            tau=self._training_tau,
            label_smoothing=label_smoothing or self._mixing.label_smoothing,
        )

    @property
    def _mixing(self):
        """The recipe of ``augmentation``, where there are images for it; else one that is empty."""
        return getattr(self._inputs, "recipe", None) or Recipe()

    def _objective(self):
        offsets = {
            "log_share": self._log_share,
            "log_balance": self._log_balance,
            "log_prior": self._log_prior(self.prior),
        }
        views = image_views(self._mixing)
        if views is not None and self._own_enhancers:
            raise ValueError(
                "enhancers of one's own are not for an augmentation that mixes images; leave one "
                "of the two None."
            )
        return GranularObjective, {
            "loss": self._loss(),
            "views": views,
            "feature_mixup": self._setting("feature_mixup"),
            "own_enhancers": OwnEnhancers(self._own_enhancers) if self._own_enhancers else None,
            "n_outputs": self._n_outputs,
            **{name: torch.from_numpy(values).float() for name, values in offsets.items()},
        }
