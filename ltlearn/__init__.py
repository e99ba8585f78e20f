"""Deep learning on long-tailed data with scikit-learn estimators."""

from ltlearn._elta import ELTARegressor
from ltlearn._granular import GranularClassifier
from ltlearn._version import __version__
from ltlearn._whole import Whole
from ltlearn.features import BackboneFeatures
from ltlearn.metrics import register_scorers
from ltlearn.stacking import PLDAClassifier, TailLogisticClassifier, TailStackingClassifier

__all__ = [
    "BackboneFeatures",
    "ELTARegressor",
    "GranularClassifier",
    "PLDAClassifier",
    "TailLogisticClassifier",
    "TailStackingClassifier",
    "Whole",
    "__version__",
    "register_scorers",
]
