"""A report as a figure: changes by band, with their intervals."""

import numpy as np

from ltlearn.utils._optional import import_optional_dependency

_MARKERS = ("o", "s")
_COLORS = ("#0072B2", "#E69F00")
_UNITS = {"mae": "change of the mean absolute error, %", "accuracy": "change of accuracy, points"}


def plot_report(report, ax=None):
    """Draw the changes of a :class:`~ltlearn.evaluation.TailReport`; returns the axes."""
    pyplot = import_optional_dependency("matplotlib.pyplot", "plot")
    if ax is None:
        ax = pyplot.subplots(layout="constrained")[1]
    n_models = len(report.models) - 1
    for number, model in enumerate(report.models[1:]):
        changes = [result.changes[number] for result in report.results]
        values = 100 * np.array([change.value for change in changes])
        low, high = (
            100 * np.array([getattr(change, side) for change in changes])
            for side in ("low", "high")
        )
        # Bands of too few rows have no interval, and no line then.
        arms = np.nan_to_num(np.maximum([values - low, high - values], 0))
        places = np.arange(len(changes)) + 0.2 * (number - (n_models - 1) / 2)
        style = {"marker": _MARKERS[number], "color": _COLORS[number], "linestyle": ""}
        ax.errorbar(places, values, arms, label=f"from {model}", capsize=3, **style)
    ax.axhline(0, color="0.5", linewidth=1, zorder=0)
    bands = [f"{result.band}\n{result.n_samples:,} rows" for result in report.results]
    ax.set_xticks(range(len(bands)), bands)
    ax.set(xlabel="band of the training labels", ylabel=_UNITS[report.metric])
    ax.legend()
    return ax
