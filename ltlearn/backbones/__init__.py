"""Networks that map a batch of inputs to features (B, D)."""

from ltlearn.backbones._mlp import MLP
from ltlearn.backbones._timm import TimmBackbone, timm_backbone, timm_input_spec
from ltlearn.backbones._weights import efficientnet_lite0_weights

__all__ = ["MLP", "TimmBackbone", "efficientnet_lite0_weights", "timm_backbone", "timm_input_spec"]
