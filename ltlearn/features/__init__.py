"""Embed images once with a frozen backbone, then train heads on the features."""

from ltlearn.features._backbone_features import BackboneFeatures

__all__ = ["BackboneFeatures"]
