"""What a turn of the dial costs overall and gains in the tail."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ltlearn.plotting._style import COLORS, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AXES = {
    "tail_error": ("overall error", "tail error"),
    "tail_accuracy": ("overall accuracy", "tail accuracy"),
}


class TailFrontierDisplay:
    """The settings of a dial as a curve of overall against tail error, or accuracy.

    Create one with :meth:`from_estimator`. Settings within the budget are filled, the one chosen
    is marked, and the budget is a line.

    Parameters
    ----------
    frontier : dict of str to array-like
        The ``frontier_`` of a :class:`~ltlearn.model_selection.TunedTailCV`.
    tail : float
        The setting chosen.
    limit : float
        Overall error or accuracy that the budget allows.
    tail_name : str, default=None
        What the tail is, for the vertical axis.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    line_ : matplotlib.lines.Line2D
        All settings.
    within_ : matplotlib.lines.Line2D
        Those within the budget.
    chosen_ : matplotlib.lines.Line2D
        The one chosen.
    limit_ : matplotlib.lines.Line2D
        The budget.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ltlearn.calibration import LogitAdjuster
    >>> from ltlearn.model_selection import TunedTailCV
    >>> from ltlearn.plotting import TailFrontierDisplay
    >>> X, y = make_classification(1000, weights=[0.9], class_sep=0.5, random_state=0)
    >>> model = TunedTailCV(LogitAdjuster(LogisticRegression())).fit(X, y)
    >>> display = TailFrontierDisplay.from_estimator(model)
    >>> len(display.line_.get_xdata())
    21
    """

    def __init__(
        self,
        *,
        frontier: Mapping[str, Any],
        tail: float,
        limit: float,
        tail_name: str | None = None,
    ) -> None:
        self.frontier = frontier
        self.tail = tail
        self.limit = limit
        self.tail_name = tail_name

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: "Axes | None" = None) -> "TailFrontierDisplay":
        """Plot what a search has measured on its held-out rows.

        Parameters
        ----------
        estimator : TunedTailCV
            Fitted.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        TailFrontierDisplay
        """
        check_is_fitted(estimator)
        start = estimator.frontier_["overall"][0]
        of_errors = "tail_error" in estimator.frontier_
        limit = start * (1 + estimator.budget) if of_errors else start - estimator.budget
        return cls(
            frontier=estimator.frontier_,
            tail=estimator.tail_,
            limit=float(limit),
            tail_name=estimator.tail_measure_,
        ).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> "TailFrontierDisplay":
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        TailFrontierDisplay
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        quantity = next(name for name in _AXES if name in self.frontier)
        names = ("tail", "overall", quantity, "within_budget")
        tails, overall, in_tail, within = (np.asarray(self.frontier[name]) for name in names)
        chosen = tails == self.tail
        dots = {"color": COLORS[0], "marker": "o", "markersize": 4}
        (self.line_,) = self.ax_.plot(
            overall, in_tail, markerfacecolor="white", label="settings", **dots
        )
        (self.within_,) = self.ax_.plot(
            overall[within], in_tail[within], linestyle="", label="within the budget", **dots
        )
        (self.chosen_,) = self.ax_.plot(
            overall[chosen],
            in_tail[chosen],
            linestyle="",
            marker="D",
            color=COLORS[1],
            markeredgecolor="black",
            label=f"tail={self.tail:g}",
        )
        self.limit_ = self.ax_.axvline(self.limit, color="0.6", linestyle="--", label="budget")
        xlabel, ylabel = _AXES[quantity]
        if self.tail_name is not None:
            ylabel = f"{ylabel}\n({self.tail_name})"
        self.ax_.set(xlabel=xlabel, ylabel=ylabel)
        self.ax_.margins(0.08)
        self.ax_.legend()
        return self
