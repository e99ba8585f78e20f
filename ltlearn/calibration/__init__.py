"""Post-hoc controls: what is gained for the tail without touching the model.

:class:`Recalibrator` maps the predictions of a regressor, :class:`LogitAdjuster` reweighs the
class probabilities of a classifier. Both cost next to nothing, so they are what any method for
long-tailed data should be compared with.
"""

from ltlearn.calibration._logit_adjuster import LogitAdjuster, adjust_proba
from ltlearn.calibration._map import RecalibrationMap
from ltlearn.calibration._recalibrator import Recalibrator

__all__ = ["LogitAdjuster", "RecalibrationMap", "Recalibrator", "adjust_proba"]
