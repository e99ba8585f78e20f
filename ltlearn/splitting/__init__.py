"""Splitters; public through :mod:`ltlearn.model_selection`."""

from ltlearn.splitting._stress import BlindSpotSplit, ExtrapolationSplit, InterpolationSplit

__all__ = ["BlindSpotSplit", "ExtrapolationSplit", "InterpolationSplit"]
