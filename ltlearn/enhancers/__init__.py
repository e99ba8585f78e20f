"""Enhancers against the long tail: torch modules that work in any training loop.

`TailMixup` adds samples to a batch of features, `SimilarityAlignment` is a loss term on them,
and `AdaptiveSharpening` selects pseudo-labels for self-training.
"""

from ltlearn.enhancers._mixup import TailMixup, anchor_probabilities, partner_probabilities

__all__ = [
    "TailMixup",
    "anchor_probabilities",
    "partner_probabilities",
]
