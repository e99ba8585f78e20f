"""How training went, loss term by loss term."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ltlearn.plotting._style import line_style, new_axes
from ltlearn.utils._fitted import find_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOT_LOSSES = ("train_batch_count",)


class TrainingHistoryDisplay:
    """Training loss, its terms, and validation loss by epoch.

    Create one with :meth:`from_estimator` or :meth:`from_history`.

    Parameters
    ----------
    terms : dict of str to ndarray of shape (n_epochs,)
        NaN in stages without the term.
    stages : list of tuple (str, int)
        Name of each stage of training and its number of epochs.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    lines_ : dict of str to matplotlib.lines.Line2D

    Examples
    --------
    >>> from ltlearn.plotting import TrainingHistoryDisplay
    >>> history = [{"epoch": 1, "train_loss": 2.0, "valid_loss": 2.1},
    ...            {"epoch": 2, "train_loss": 1.0, "valid_loss": 1.3}]
    >>> display = TrainingHistoryDisplay.from_history(history)
    >>> list(display.lines_)
    ['train_loss', 'valid_loss']
    """

    def __init__(self, *, terms: Mapping[str, np.ndarray], stages: list[tuple[str, int]]) -> None:
        self.terms = terms
        self.stages = stages

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, terms: list[str] | None = None, ax: "Axes | None" = None
    ) -> "TrainingHistoryDisplay":
        """Plot the ``history_`` of a fitted estimator of ltlearn, also inside a pipeline.

        Parameters
        ----------
        estimator : fitted estimator
        terms : list of str, default=None
            Columns of the history; None takes every term of the training loss and
            ``valid_loss``.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        TrainingHistoryDisplay

        Raises
        ------
        ValueError
            If the estimator has no ``history_``, or that lacks one of the terms.
        """
        fitted = find_fitted(estimator, "history_")
        if fitted is None:
            raise ValueError(f"{type(estimator).__name__} has no history_ to plot.")
        return cls.from_history(fitted.history_, terms=terms, ax=ax)

    @classmethod
    def from_history(
        cls,
        history: list[dict[str, Any]],
        *,
        terms: list[str] | None = None,
        ax: "Axes | None" = None,
    ) -> "TrainingHistoryDisplay":
        """Plot a history.

        Parameters
        ----------
        history : list of dict
            One per epoch, such as ``history_``; skorch's ``net.history`` will do.
        terms : list of str, default=None
            As in :meth:`from_estimator`.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        TrainingHistoryDisplay

        Raises
        ------
        ValueError
            If the history lacks one of the terms.
        """
        history = list(history)
        names = dict.fromkeys(name for row in history for name in row)
        if terms is None:
            terms = [name for name in names if _is_loss(name)]
        unknown = [name for name in terms if name not in names]
        if unknown:
            raise ValueError(f"The history has no {unknown}; there are {list(names)}.")
        stages: list[tuple[str, int]] = []
        for row in history:
            stage = row.get("stage", "fit")
            if "member" in row:
                stage = f"member {row['member']}, {stage}"
            if not stages or stages[-1][0] != stage:
                stages.append((stage, 0))
            stages[-1] = (stage, stages[-1][1] + 1)
        values = {
            name: np.array([row.get(name, np.nan) for row in history], dtype=float)
            for name in terms
        }
        return cls(terms=values, stages=stages).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> "TrainingHistoryDisplay":
        """Draw a line for each term; stages of training are set apart.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        TrainingHistoryDisplay
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        self.lines_ = {}
        for number, (name, values) in enumerate(self.terms.items()):
            (self.lines_[name],) = self.ax_.plot(
                np.arange(1, len(values) + 1),
                values,
                label=name,
                markersize=4,
                markevery=max(1, len(values) // 12),
                **line_style(number),
            )
        if len(self.stages) > 1:
            self._mark_stages()
        self.ax_.set(xlabel="Epoch", ylabel="Loss")
        self.ax_.legend()
        return self

    def _mark_stages(self):
        ends = np.cumsum([n_epochs for _, n_epochs in self.stages]) + 0.5
        starts = np.append(0.5, ends[:-1])
        for (name, _), start, end in zip(self.stages, starts, ends, strict=True):
            self.ax_.axvline(start, color="0.6", linewidth=1)
            self.ax_.text(
                (start + end) / 2,
                1.01,
                name,
                transform=self.ax_.get_xaxis_transform(),
                ha="center",
                fontsize="small",
            )


def _is_loss(name):
    if name in _NOT_LOSSES or name.endswith("_best"):
        return False
    return name.startswith("train_") or name == "valid_loss"
