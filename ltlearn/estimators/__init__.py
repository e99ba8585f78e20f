"""The two deep estimators and the contract they share."""

from ltlearn.estimators._elta import ELTARegressor
from ltlearn.estimators._granular import GranularClassifier

__all__ = ["ELTARegressor", "GranularClassifier"]
