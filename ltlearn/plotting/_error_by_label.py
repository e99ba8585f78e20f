"""How the error grows towards the tail."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ltlearn.metrics._fitted import scores_for
from ltlearn.metrics._scores import as_scores
from ltlearn.plotting._style import draw_density, line_style, new_axes
from ltlearn.utils._typing import RowsLike
from ltlearn.weighting import label_density

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRID_POINTS = 200


class ErrorByLabelDisplay:
    """Mean absolute error along the label axis, with the label density behind it.

    Create one with :meth:`from_estimator` or :meth:`from_predictions`; plot further estimators
    into the same axes with ``ax=display.ax_``.

    Parameters
    ----------
    centers : ndarray of shape (n_bins,)
        Mean label of each occupied bin.
    errors : ndarray of shape (n_bins,)
        Mean absolute error in it.
    standard_errors : ndarray of shape (n_bins,)
        Standard error of that mean; 0 in bins with one row.
    y_density : ndarray of shape (n_labels,)
        Labels whose density is drawn.
    name : str or None
        For the legend.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    errorbar_ : matplotlib.container.ErrorbarContainer
    density_ : collection or None
        None where axes that hold a display already were given.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.plotting import ErrorByLabelDisplay
    >>> y = np.random.default_rng(0).lognormal(size=500)
    >>> display = ErrorByLabelDisplay.from_predictions(y, np.full(500, y.mean()), n_bins=5)
    >>> int(display.errors.argmax())
    4
    """

    def __init__(
        self,
        *,
        centers: np.ndarray,
        errors: np.ndarray,
        standard_errors: np.ndarray,
        y_density: np.ndarray,
        name: str | None = None,
    ) -> None:
        self.centers = centers
        self.errors = errors
        self.standard_errors = standard_errors
        self.y_density = y_density
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: RowsLike,
        y: ArrayLike,
        *,
        y_train: ArrayLike | None = None,
        n_bins: int = 12,
        name: str | None = None,
        ax: "Axes | None" = None,
    ) -> "ErrorByLabelDisplay":
        """Plot the error of a fitted regressor.

        Parameters
        ----------
        estimator : fitted regressor
        X : array-like of n_samples test rows
        y : array-like of shape (n_samples,) or (n_samples, n_bins)
            Labels or score distributions.
        y_train : array-like, default=None
            Training labels, for the density; None takes ``y``.
        n_bins : int, default=12
            Equal-width bins over the range of ``y``.
        name : str, default=None
            For the legend; the name of the class by default.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ErrorByLabelDisplay
        """
        return cls.from_predictions(
            scores_for(estimator, y),
            estimator.predict(X),
            y_train=y_train if y_train is None else scores_for(estimator, y_train),
            n_bins=n_bins,
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        y_train: ArrayLike | None = None,
        n_bins: int = 12,
        name: str | None = None,
        ax: "Axes | None" = None,
    ) -> "ErrorByLabelDisplay":
        """Plot the error of predictions.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_bins)
            Labels and predictions; distributions count as their expected scores.
        y_train : array-like, default=None
            Training labels, for the density; None takes ``y_true``.
        n_bins : int, default=12
            Equal-width bins over the range of ``y_true``.
        name : str, default=None
            For the legend.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ErrorByLabelDisplay
        """
        y_true, y_pred = as_scores(y_true, "y_true"), as_scores(y_pred, "y_pred")
        losses = np.abs(y_true - y_pred)
        edges = np.linspace(y_true.min(), y_true.max(), n_bins + 1)
        bins = np.searchsorted(edges[1:-1], y_true, side="right")
        groups = [np.flatnonzero(bins == number) for number in np.unique(bins)]
        return cls(
            centers=np.array([y_true[rows].mean() for rows in groups]),
            errors=np.array([losses[rows].mean() for rows in groups]),
            standard_errors=np.array(
                [losses[rows].std(ddof=min(1, len(rows) - 1)) / len(rows) ** 0.5 for rows in groups]
            ),
            y_density=y_true if y_train is None else as_scores(y_train, "y_train"),
            name=name,
        ).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None, name: str | None = None) -> "ErrorByLabelDisplay":
        """Draw the errors with bars of one standard error.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure. The density is drawn once per axes.
        name : str, default=None
            For the legend; None takes the one given before.

        Returns
        -------
        ErrorByLabelDisplay
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        n_before = len(self.ax_.containers)
        self.density_ = None
        if n_before == 0:
            grid = np.linspace(self.y_density.min(), self.y_density.max(), _GRID_POINTS)
            self.density_ = draw_density(self.ax_, grid, label_density(self.y_density, at=grid))
        name = self.name if name is None else name
        self.errorbar_ = self.ax_.errorbar(
            self.centers,
            self.errors,
            self.standard_errors,
            capsize=2,
            markersize=5,
            label=name,
            **line_style(n_before),
        )
        self.ax_.set(xlabel="True label (grey: density)", ylabel="Mean absolute error")
        self.ax_.set_ylim(bottom=0)
        if name is not None:
            self.ax_.legend()
        return self
