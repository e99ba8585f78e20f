"""Post-hoc calibration and controls: what is gained without touching the model.

:class:`Recalibrator` maps the predictions of a regressor, :class:`LogitAdjuster` reweighs the
class probabilities of a classifier. Both cost next to nothing, so they are what any method for
long-tailed data should be compared with. :class:`ConformalRegressor` puts intervals of known
coverage around predictions, :class:`DistributionCalibrator` makes predicted quantiles and
distributions mean what they say, and :class:`TailDial` turns them to rare scores.
"""

from ltlearn.calibration._conformal import ConformalRegressor
from ltlearn.calibration._distribution import DistributionCalibrator
from ltlearn.calibration._logit_adjuster import LogitAdjuster, adjust_proba
from ltlearn.calibration._map import RecalibrationMap
from ltlearn.calibration._recalibrator import Recalibrator
from ltlearn.calibration._tail_dial import TailDial

__all__ = [
    "ConformalRegressor",
    "DistributionCalibrator",
    "LogitAdjuster",
    "RecalibrationMap",
    "Recalibrator",
    "TailDial",
    "adjust_proba",
]
