"""Enhancers against the long tail: torch modules that work in any training loop.

`TailMixup` adds samples to a batch of features, `FeatureMixup` mixes all of its rows,
`SimilarityAlignment` is a loss term on them, and `AdaptiveSharpening` selects pseudo-labels for
self-training. An enhancer of one's own is a callable from `Batch` to `Batch`, passed to an
estimator as ``enhancers=[...]``.
"""

from ltlearn.enhancers._alignment import SimilarityAlignment, label_similarity
from ltlearn.enhancers._batch import Batch
from ltlearn.enhancers._density_sampler import DensitySampler
from ltlearn.enhancers._feature_mixup import FeatureMix, FeatureMixup
from ltlearn.enhancers._image_mixing import mix_images
from ltlearn.enhancers._image_views import MixedView, two_views, view_disagreement
from ltlearn.enhancers._mixup import (
    MixupDraw,
    TailMixup,
    anchor_probabilities,
    partner_probabilities,
)
from ltlearn.enhancers._sharpening import AdaptiveSharpening, select_sharpening, sharpen

__all__ = [
    "AdaptiveSharpening",
    "Batch",
    "DensitySampler",
    "FeatureMix",
    "FeatureMixup",
    "MixedView",
    "MixupDraw",
    "SimilarityAlignment",
    "TailMixup",
    "anchor_probabilities",
    "label_similarity",
    "mix_images",
    "partner_probabilities",
    "select_sharpening",
    "sharpen",
    "two_views",
    "view_disagreement",
]
