"""Stacks of unlike heads, weighed by how they predict held-out rows of the tail.

:class:`PLDAClassifier` and :class:`TailLogisticClassifier` are heads that can be used alone.
"""

from ltlearn.stacking._classifier import TailStackingClassifier
from ltlearn.stacking._logistic import TailLogisticClassifier
from ltlearn.stacking._plda import PLDAClassifier
from ltlearn.stacking._regressor import TailStackingRegressor

__all__ = [
    "PLDAClassifier",
    "TailLogisticClassifier",
    "TailStackingClassifier",
    "TailStackingRegressor",
]
