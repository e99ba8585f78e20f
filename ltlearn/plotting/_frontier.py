"""Overall against tail error: what each estimator pays for its tail."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ltlearn.evaluation import frontier
from ltlearn.evaluation._runs import split_turned_name
from ltlearn.evaluation._statistics import as_quantity
from ltlearn.plotting._style import COLORS, axis_name, line_style, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TEXT_HEIGHT = 0.055


class FrontierDisplay:
    """Overall against tail error of all estimators and controls, with the frontier drawn in.

    Settings of a dial are the points of a curve.

    Create one with :meth:`from_results`.

    Parameters
    ----------
    table : DataFrame
        What :func:`~ltlearn.evaluation.frontier` returns.
    overall_name, tail_name : str
        Labels of the axes.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    line_ : matplotlib.lines.Line2D
        The frontier.
    points_ : dict of str to matplotlib.lines.Line2D
        The points of each kind, ``"estimator"`` or ``"control"``.
    curves_ : dict of str to matplotlib.lines.Line2D
        By estimator, the settings of its dial.
    texts_ : list of matplotlib.text.Annotation
        The names, in bold on the frontier.

    Examples
    --------
    >>> import pandas as pd
    >>> from ltlearn.plotting import FrontierDisplay
    >>> results = pd.DataFrame({
    ...     "estimator": ["plain", "mixup"] * 2, "kind": "estimator", "split": 0, "seed": 0,
    ...     "metric": "mae", "band": ["overall"] * 2 + ["few"] * 2,
    ...     "value": [1.0, 1.1, 4.0, 3.0]})
    >>> display = FrontierDisplay.from_results(results)
    >>> display.line_.get_xdata()
    array([1. , 1.1])
    """

    def __init__(self, *, table: pd.DataFrame, overall_name: str, tail_name: str) -> None:
        self.table = table
        self.overall_name = overall_name
        self.tail_name = tail_name

    @classmethod
    def from_results(
        cls,
        results: pd.DataFrame,
        *,
        overall: str | tuple[str, str] | None = None,
        tail: str | tuple[str, str] | None = None,
        greater_is_better: Mapping[str, bool] | None = None,
        exclude: Sequence[str] = ("mean", "median"),
        ax: "Axes | None" = None,
    ) -> "FrontierDisplay":
        """Plot the results of a comparison.

        Parameters
        ----------
        results : DataFrame
            What :func:`~ltlearn.evaluation.compare` returns.
        overall, tail : str or tuple (metric, band), default=None
            As in :func:`~ltlearn.evaluation.frontier`.
        greater_is_better : dict of str to bool, default=None
            Direction of metrics of your own.
        exclude : sequence of str, default=("mean", "median")
            Estimators and controls to leave out; constant predictions are so far off that they
            would squeeze all others into a corner.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        FrontierDisplay
        """
        results = results[~results["estimator"].isin(exclude)]
        overall = as_quantity(results, overall, "overall")
        tail = as_quantity(results, tail, "few")
        table = frontier(results, overall=overall, tail=tail, greater_is_better=greater_is_better)
        return cls(
            table=table,
            overall_name=axis_name(*overall),
            tail_name=axis_name(*tail),
        ).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> "FrontierDisplay":
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        FrontierDisplay
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        best = self.table[self.table["on_frontier"]]
        (self.line_,) = self.ax_.plot(
            best["overall"], best["tail"], color="0.6", linestyle="--", zorder=1, label="frontier"
        )
        self.points_ = {}
        for kind, marker, color in (("estimator", "o", COLORS[0]), ("control", "s", COLORS[1])):
            points = self.table[self.table["kind"] == kind]
            if len(points):
                (self.points_[kind],) = self.ax_.plot(
                    points["overall"],
                    points["tail"],
                    linestyle="",
                    marker=marker,
                    color=color,
                    markeredgecolor="black",
                    label=kind,
                )
        self.curves_ = self._draw_dials()
        self.ax_.set(xlabel=self.overall_name, ylabel=self.tail_name)
        self.ax_.margins(0.08)
        self.ax_.legend()
        self.texts_ = self._write_names()
        return self

    def _draw_dials(self):
        """A curve for every estimator with a dial, in the order of its settings."""
        settings = {}
        for row in self.table.itertuples():
            if row.kind == "dial":
                name, tail = split_turned_name(row.estimator)
                settings.setdefault(name, []).append((tail, row.overall, row.tail))
        curves = {}
        for number, (name, points) in enumerate(settings.items()):
            _, overall, tail = zip(*sorted(points), strict=True)
            style = line_style(number + 2) | {"markersize": 3, "linewidth": 1}
            (curves[name],) = self.ax_.plot(overall, tail, label=f"dial of {name}", **style)
        return curves

    def _write_names(self):
        """Names in a column to the right, with lines to their points, so that none overlap."""
        named = self.table[self.table["kind"] != "dial"]
        rows = sorted(named.itertuples(), key=lambda row: row.tail)
        low, high = self.ax_.get_ylim()
        heights = _spread([(row.tail - low) / (high - low) for row in rows])
        return [
            self.ax_.annotate(
                row.estimator,
                (row.overall, row.tail),
                xytext=(1.04, height),
                textcoords="axes fraction",
                va="center",
                fontsize="small",
                weight="bold" if row.on_frontier else "normal",
                arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.6, "shrinkB": 4},
            )
            for row, height in zip(rows, heights, strict=True)
        ]


def _spread(heights):
    """Move increasing heights in [0, 1] as far apart as text needs."""
    gap = min(_TEXT_HEIGHT, 1 / len(heights))
    heights = np.maximum.accumulate(heights - gap * np.arange(len(heights)))
    heights = np.minimum(heights, 1 - gap * len(heights)) + gap * np.arange(len(heights))
    return heights + gap / 2
