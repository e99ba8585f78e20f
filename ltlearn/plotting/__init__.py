"""Plots of long-tailed labels and of what became of them; needs the extra ``plot``.

Display classes as in scikit-learn: made by ``from_...`` class methods, drawn by ``plot``, with
the attributes ``ax_`` and ``figure_``. All are readable in greyscale and by the color-blind.
"""

from ltlearn.plotting._error_by_label import ErrorByLabelDisplay
from ltlearn.plotting._frontier import FrontierDisplay
from ltlearn.plotting._history import TrainingHistoryDisplay
from ltlearn.plotting._label_density import LabelDensityDisplay
from ltlearn.plotting._neighbors import NeighborDisplay
from ltlearn.plotting._reliability import ReliabilityDisplay
from ltlearn.plotting._score_histogram import ScoreHistogramDisplay
from ltlearn.plotting._shot_accuracy import ShotAccuracyDisplay
from ltlearn.plotting._tail_frontier import TailFrontierDisplay

__all__ = [
    "ErrorByLabelDisplay",
    "FrontierDisplay",
    "LabelDensityDisplay",
    "NeighborDisplay",
    "ReliabilityDisplay",
    "ScoreHistogramDisplay",
    "ShotAccuracyDisplay",
    "TailFrontierDisplay",
    "TrainingHistoryDisplay",
]
