"""How the weights are trained."""

from numbers import Integral, Real
from typing import Literal

import torch

from ltlearn.options._nesting import Options
from ltlearn.utils._checks import MAX_EXPONENT
from ltlearn.utils._compat import Interval, StrOptions

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class Training(Options):
    """Options of training: the optimizer, its schedule, when it stops, its arithmetic.

    Parameters
    ----------
    optimizer : {"adamw", "adam", "sgd"} or torch.optim.Optimizer class, default="adamw"
        The first two are fused where torch can do that; ``"sgd"`` has Nesterov momentum 0.9.
    weight_decay : float or "auto", default="auto"
        Weight decay of the optimizer. ``"auto"`` is 3e-4 for the body for tables, else 1e-4.
    lr_schedule : {"auto", "constant", "cosine"}, default="auto"
        ``"cosine"`` lets the learning rate fall to a hundredth over ``max_epochs``; ``"auto"`` is
        that for the body for tables and for classes of tables, else constant.
    lr_warmup_epochs : int or "auto", default="auto"
        First epochs, in which the learning rate rises linearly. ``"auto"`` is as many as make 100
        updates for the body for tables, but no more than a quarter of ``max_epochs``, else 0.
    layer_decay : float, default=1.0
        For a timm model: factor of the learning rate from one layer to the one below.
    freeze_backbone : bool, default=False
        Train the head alone. :class:`~ltlearn.BackboneFeatures` in a pipeline does the same faster.
    head_warmup_epochs : int, default=0
        First epochs in which the weights of the backbone stay as they are.
    max_grad_norm : float, None or "auto", default="auto"
        Clip the gradient to this norm. ``"auto"`` is 1 for the body for tables, else None.
    accumulation_steps : int, default=1
        Parts that a batch passes through the network in, to save memory. An update still uses all
        of ``batch_size``, but what looks at the rows of a batch together, such as mixup, alignment
        and batch normalization, sees the rows of a part alone.
    validation_fraction : float, default=0.1
        Share of rows held out for early stopping when ``X_val`` is not given; spread evenly over
        the range of the scores, or over the classes.
    n_iter_no_change : int or "auto", default="auto"
        Patience of early stopping, in epochs. ``"auto"`` is 12 for the body for tables, else 10.
    scoring : {"auto", "loss", "mae", "srcc", "accuracy", "balanced_accuracy"}, default="auto"
        Validation score for early stopping. ``"loss"`` is the task loss without reweighting of
        rare scores or, for classes, the cross-entropy over the target classes at the class shares
        of the validation rows. ``"mae"``, for scores, is the mean absolute error of the predicted
        scores; ``"srcc"`` their Spearman correlation with the true ones, by which ELTA's published
        code chooses its best epoch. Both measure the median of predicted quantiles. ``"accuracy"``
        and ``"balanced_accuracy"``, for classes, are the accuracy and the mean recall of the
        classes, of the predictions at ``prior``. ``"auto"`` is ``"mae"`` for quantiles, else
        ``"loss"``.
    label_smoothing : float, default=0.0
        For classes: this much of each label is spread evenly over the classes that are not
        silenced for it.
    feature_mixup : float or "auto", default="auto"
        For classes: mix the rows of a batch, and their losses, with a share drawn from Beta(α, α)
        of this α, see :class:`ltlearn.enhancers.FeatureMixup`; 0 turns it off. Inputs must be such
        that mixing them makes sense. ``"auto"`` is 0.5 for ``backbone="mlp"``, else 0.
    reweighting_growth : float, default=0.0
        p of reweighting (``class_weight``, or ``reweighting`` of scores) that sets in slowly, as
        cumulative learning [4]_ does: in epoch e of ``max_epochs`` = T, a sample of weight w has
        the weight 1 + (w - 1) (e / T)^p. Predictions count all of w, so stop early with care. 0 is
        all of it from the first epoch on; published is 2, for classes with
        ``class_weight="balanced"``, ``logit_adjustment=0`` and ``prior="train"``.
    sam_radius : float, default=0.0
        ρ of sharpness-aware minimization [1]_: an update takes the gradient not at the weights but
        this far uphill from them. It doubles the time of an update; 0 turns it off. Published
        values for images: 0.05 to 0.1.
    weight_averaging : {None, "ema", "swa"}, default=None
        Validate and keep an average of the weights: ``"ema"``, exponential over updates with a
        decay of 0.999, less in the first ones; ``"swa"`` [2]_, over the ends of the last quarter of
        ``max_epochs``, with the statistics of batch normalization taken anew, which passes all
        rows through the network once more in these epochs.
    head_max_norm : float or None, default=None
        Largest length of the weights of one output in the last layer of the head, to which every
        update scales them back [3]_, so that frequent classes do not win by long weights.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Arithmetic of forward passes. ``"auto"`` is bfloat16 on CUDA devices that support it and
        float32 elsewhere.
    compile : bool, default=False
        Compile the backbone with :func:`torch.compile`: slower to start, faster in long training.
        All batches then have one size, for which an epoch leaves out some rows of its random order,
        fewer than it has batches.
    checkpoint_seconds : float, default=0.0
        With ``checkpoint``: least time between two writes of the state; 0 writes it after every
        epoch.
    on_interrupt : {"raise", "keep"}, default="raise"
        What Ctrl-C does. ``"raise"`` leaves the estimator as it was before the fit. ``"keep"``,
        once an epoch is over, ends the fit with a warning and the best model so far: that of the
        best epoch where there are validation rows to stop by, else of the last whole one; later
        rounds of self-training and a new head are left out. A checkpoint stays where it is either
        way, so the same fit again goes on.

    References
    ----------
    .. [1] Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization",
       ICLR 2021, equation 2.
    .. [2] Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization",
       UAI 2018.
    .. [3] Alshammari et al., "Long-Tailed Recognition via Weight Balancing", CVPR 2022.
    .. [4] Du et al., "Global and Local Mixture Consistency Cumulative Learning for Long-Tailed
       Visual Recognitions", CVPR 2023, equation 10.

    Examples
    --------
    >>> from ltlearn import ELTARegressor
    >>> from ltlearn.options import Training
    >>> model = ELTARegressor(training=Training(optimizer="sgd", lr_schedule="cosine"))
    >>> model.get_params()["training__lr_schedule"]
    'cosine'
    """

    _parameter_constraints: dict = {
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "weight_decay": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "lr_schedule": [StrOptions({"auto", "constant", "cosine"})],
        "lr_warmup_epochs": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
        "freeze_backbone": ["boolean"],
        "head_warmup_epochs": [Interval(Integral, 0, None, closed="left")],
        "max_grad_norm": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither"), None],
        "accumulation_steps": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "scoring": [StrOptions({"auto", "loss", "mae", "srcc", "accuracy", "balanced_accuracy"})],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "feature_mixup": [StrOptions({"auto"}), Interval(Real, 0, MAX_EXPONENT, closed="both")],
        "reweighting_growth": [Interval(Real, 0, MAX_EXPONENT, closed="both")],
        "sam_radius": [Interval(Real, 0, None, closed="left")],
        "weight_averaging": [StrOptions({"ema", "swa"}), None],
        "head_max_norm": [Interval(Real, 0, None, closed="neither"), None],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "compile": ["boolean"],
        "checkpoint_seconds": [Interval(Real, 0, None, closed="left")],
        "on_interrupt": [StrOptions({"raise", "keep"})],
    }

    def __init__(
        self,
        *,
        optimizer: Literal["adamw", "adam", "sgd"] | type[torch.optim.Optimizer] = "adamw",
        weight_decay: float | Literal["auto"] = "auto",
        lr_schedule: Literal["auto", "constant", "cosine"] = "auto",
        lr_warmup_epochs: int | Literal["auto"] = "auto",
        layer_decay: float = 1.0,
        freeze_backbone: bool = False,
        head_warmup_epochs: int = 0,
        max_grad_norm: float | Literal["auto"] | None = "auto",
        accumulation_steps: int = 1,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | Literal["auto"] = "auto",
        scoring: Literal["auto", "loss", "mae", "srcc", "accuracy", "balanced_accuracy"] = "auto",
        label_smoothing: float = 0.0,
        feature_mixup: float | Literal["auto"] = "auto",
        reweighting_growth: float = 0.0,
        sam_radius: float = 0.0,
        weight_averaging: Literal["ema", "swa"] | None = None,
        head_max_norm: float | None = None,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        compile: bool = False,
        checkpoint_seconds: float = 0.0,
        on_interrupt: Literal["raise", "keep"] = "raise",
    ) -> None:
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.lr_warmup_epochs = lr_warmup_epochs
        self.layer_decay = layer_decay
        self.freeze_backbone = freeze_backbone
        self.head_warmup_epochs = head_warmup_epochs
        self.max_grad_norm = max_grad_norm
        self.accumulation_steps = accumulation_steps
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.scoring = scoring
        self.label_smoothing = label_smoothing
        self.feature_mixup = feature_mixup
        self.reweighting_growth = reweighting_growth
        self.sam_radius = sam_radius
        self.weight_averaging = weight_averaging
        self.head_max_norm = head_max_norm
        self.precision = precision
        self.compile = compile
        self.checkpoint_seconds = checkpoint_seconds
        self.on_interrupt = on_interrupt
