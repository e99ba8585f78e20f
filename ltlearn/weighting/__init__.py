"""Sample weights that give rare labels their due, for any estimator that takes ``sample_weight``.

:func:`label_density_weights` serves continuous targets and :func:`class_weights` classes. Both
return one positive, finite weight per sample with mean 1, so that they can be handed to ``fit``
anywhere without changing the scale of the loss.
"""

from ltlearn.weighting._classes import class_weights
from ltlearn.weighting._density import label_density, label_density_weights

__all__ = ["class_weights", "label_density", "label_density_weights"]
