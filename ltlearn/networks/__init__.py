"""Networks that map a batch of inputs to features (B, D)."""

from ltlearn.networks._cosine import CosineHead, class_mean_directions
from ltlearn.networks._mlp import MLP
from ltlearn.networks._timm import TimmBackbone, timm_backbone, timm_input_spec
from ltlearn.networks._weights import efficientnet_lite0_weights

__all__ = [
    "MLP",
    "CosineHead",
    "TimmBackbone",
    "class_mean_directions",
    "efficientnet_lite0_weights",
    "timm_backbone",
    "timm_input_spec",
]
