"""Deep learning on long-tailed data with scikit-learn estimators."""

from ltlearn._version import __version__
from ltlearn.estimators import ELTARegressor, GranularClassifier
from ltlearn.features import BackboneFeatures
from ltlearn.metrics import register_scorers
from ltlearn.saving import export_onnx, load, save
from ltlearn.stacking import (
    PLDAClassifier,
    TailLogisticClassifier,
    TailStackingClassifier,
    TailStackingRegressor,
)
from ltlearn.utils._show_versions import show_versions
from ltlearn.utils._whole import Whole

__all__ = [
    "BackboneFeatures",
    "ELTARegressor",
    "GranularClassifier",
    "PLDAClassifier",
    "TailLogisticClassifier",
    "TailStackingClassifier",
    "TailStackingRegressor",
    "Whole",
    "__version__",
    "export_onnx",
    "load",
    "register_scorers",
    "save",
    "show_versions",
]
