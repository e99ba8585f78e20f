"""Rare options of the deep estimators, by topic.

What most users touch is a parameter of the estimator itself; the rest travels in these objects.
They are scikit-learn estimators of parameters alone: ``get_params``, ``set_params`` and ``clone``
reach inside, so that ``ELTARegressor().set_params(training__layer_decay=0.75)`` and the key
``"training__layer_decay"`` of a grid search need none of them written out.
"""

from ltlearn.options._architecture import Architecture
from ltlearn.options._auxiliary import Auxiliary
from ltlearn.options._bins import Bins
from ltlearn.options._enhancers import Enhancers
from ltlearn.options._images import Images
from ltlearn.options._training import Training

__all__ = ["Architecture", "Auxiliary", "Bins", "Enhancers", "Images", "Training"]
