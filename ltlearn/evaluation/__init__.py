"""Did the tail really improve? Diagnosis, comparison with controls, and reports."""

from ltlearn.evaluation._compare import compare
from ltlearn.evaluation._diagnose import diagnose
from ltlearn.evaluation._statistics import frontier, paired_differences, summarize
from ltlearn.evaluation._tail_drift import tail_drift
from ltlearn.evaluation._tail_report import tail_report

__all__ = [
    "compare",
    "diagnose",
    "frontier",
    "paired_differences",
    "summarize",
    "tail_drift",
    "tail_report",
]
