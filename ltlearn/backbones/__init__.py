"""Networks that map a batch of inputs to features (B, D)."""

from ltlearn.backbones._mlp import MLP
from ltlearn.backbones._timm import TimmBackbone, timm_backbone, timm_input_spec

__all__ = ["MLP", "TimmBackbone", "timm_backbone", "timm_input_spec"]
