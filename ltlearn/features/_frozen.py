"""Frozen backbones, each with a hash of everything that shapes its features."""

import copy
import os
import threading
import weakref
from typing import NamedTuple

import joblib
import torch
from torch import nn

from ltlearn.networks._network import count_features
from ltlearn.networks._timm import timm_backbone
from ltlearn.persistence._hashing import content_hash
from ltlearn.utils._random import isolated_generators

# The backbone built last, by the hash of its recipe: a grid search asks for the same one at every
# fit.
_LATEST = {}

# Copies of frozen modules on other devices, as long as the modules live.
_ELSEWHERE = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


class FrozenBackbone(NamedTuple):
    """A backbone in evaluation mode, and what there is to know of it.

    ``module`` maps prepared images (B, C, H, W) to features (B, n_features); ``fingerprint`` is a
    hash of its classes, weights and all other attributes, or None where one cannot be pickled.
    """

    module: nn.Module
    fingerprint: str | None
    n_features: int


def freeze(module, spec):
    """Put a module in evaluation mode, in place, and describe it.

    Parameters
    ----------
    module : torch.nn.Module
        On the CPU.
    spec : InputSpec
    """
    module.eval()
    n_features = count_features(module, (spec.channels, *spec.size))
    return FrozenBackbone(module, _fingerprint(module), n_features)


def freeze_copy(module, spec):
    """Like :func:`freeze`, for a float32 copy on the CPU of a module that someone else owns."""
    return freeze(copy.deepcopy(module).cpu().float(), spec)


def frozen_timm_backbone(name, params, seed=None):
    """A timm backbone, shared with whoever asks for the same one next.

    Parameters
    ----------
    name : str
    params : dict
        Arguments of :func:`ltlearn.networks.timm_backbone`.
    seed : int, default=None
        Draws weights that are not loaded.

    Returns
    -------
    backbone : FrozenBackbone
        Its weights are not to be changed, and it stays on the CPU; see :func:`on_device`.
    """
    recipe = joblib.hash((name, params, seed, _file_identity(params.get("checkpoint_path"))))
    backbone = _LATEST.get(recipe)
    if backbone is None:
        with isolated_generators(0 if seed is None else seed, torch.device("cpu")):
            module = timm_backbone(name, **params)
        backbone = freeze(module, module.input_spec)
        _LATEST.clear()
        _LATEST[recipe] = backbone
    return backbone


def on_device(module, device):
    """A frozen module on a device: itself on the CPU, elsewhere a copy that is kept with it.

    Whoever shares a module on the CPU may want it on different devices at the same time.
    """
    if device.type == "cpu":
        return module.to(memory_format=torch.channels_last)
    with _LOCK:
        copies = _ELSEWHERE.setdefault(module, {})
        if device not in copies:
            copies[device] = copy.deepcopy(module).to(device, memory_format=torch.channels_last)
        return copies[device]


def _fingerprint(module):
    try:
        return content_hash(module)
    except Exception:  # whatever an object raises that cannot be pickled
        return None


def _file_identity(path):
    if path is None or not os.path.exists(path):
        return None
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns
