"""Whether confidence can be trusted, in the head and in the tail."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ltlearn.metrics._bands import ClassBands
from ltlearn.metrics._classification import binned_confidence
from ltlearn.plotting._bands import class_bands
from ltlearn.plotting._style import line_style, new_axes
from ltlearn.utils._typing import RowsLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ReliabilityDisplay:
    """Accuracy against confidence, a curve for each band of classes.

    A calibrated classifier lies on the diagonal; below it, it is too sure of itself. Rows belong
    to the band of their true class, so that the curves tell how far the confidence misleads on
    head and tail classes.

    Create one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    curves : dict of str to tuple (confidence, accuracy, n_samples) of ndarrays
        For all rows and for each band the mean confidence, the accuracy and the number of rows
        in each occupied bin of confidence.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    lines_ : dict of str to matplotlib.lines.Line2D

    Examples
    --------
    >>> from ltlearn.metrics import ClassBands
    >>> from ltlearn.plotting import ReliabilityDisplay
    >>> bands = ClassBands(["cat", "lynx"], [500, 5])
    >>> proba = [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]]
    >>> display = ReliabilityDisplay.from_predictions(
    ...     ["cat", "cat", "lynx", "cat"], proba, classes=["cat", "lynx"], bands=bands)
    >>> display.curves["overall"]
    (array([0.75]), array([0.75]), array([4]))
    """

    def __init__(self, *, curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
        self.curves = curves

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: RowsLike,
        y: ArrayLike,
        *,
        bands: ClassBands | None = None,
        n_bins: int = 10,
        ax: "Axes | None" = None,
    ) -> "ReliabilityDisplay":
        """Plot the reliability of a fitted classifier with ``predict_proba``.

        Parameters
        ----------
        estimator : fitted classifier
        X : array-like of n_samples test rows
        y : array-like of shape (n_samples,)
            True classes.
        bands : ClassBands, default=None
            Bands of the training classes. None takes those of the estimator.
        n_bins : int, default=10
            Equal-width bins of confidence.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If the estimator does not keep its class counts and no bands are given.
        """
        return cls.from_predictions(
            y,
            estimator.predict_proba(X),
            classes=estimator.classes_,
            bands=class_bands(estimator, bands),
            n_bins=n_bins,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_proba: ArrayLike,
        *,
        classes: ArrayLike,
        bands: ClassBands,
        n_bins: int = 10,
        ax: "Axes | None" = None,
    ) -> "ReliabilityDisplay":
        """Plot the reliability of probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True classes.
        y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
            Probability of each class, or of the second of two classes.
        classes : array-like of shape (n_classes,)
            Class of each column.
        bands : ClassBands
            Bands of the training classes.
        n_bins : int, default=10
            Equal-width bins of confidence.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ReliabilityDisplay
        """
        confidence, correct, bins = binned_confidence(y_true, y_proba, n_bins, classes)
        codes = bands.assign(y_true)
        members = {"overall": np.full(len(codes), True)}
        members |= {name: codes == code for code, name in enumerate(bands.names)}
        curves = {}
        for name, inside in members.items():
            counts = np.bincount(bins[inside], minlength=n_bins)
            occupied = counts > 0
            if occupied.any():
                sums = [
                    np.bincount(bins[inside], weights=values[inside], minlength=n_bins)
                    for values in (confidence, correct)
                ]
                means = (total[occupied] / counts[occupied] for total in sums)
                mean_confidence, accuracy = means
                curves[name] = (mean_confidence, accuracy, counts[occupied])
        return cls(curves=curves).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> "ReliabilityDisplay":
        """Draw the curves; the size of a marker grows with the number of rows in its bin.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ReliabilityDisplay
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        self.ax_.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="calibrated")
        self.lines_ = {}
        for number, (name, (confidence, accuracy, counts)) in enumerate(self.curves.items()):
            style = line_style(number)
            marker = style.pop("marker")
            (self.lines_[name],) = self.ax_.plot(confidence, accuracy, linewidth=1.2, **style)
            self.ax_.scatter(
                confidence,
                accuracy,
                s=12 + 90 * counts / counts.max(),
                marker=marker,
                color=style["color"],
                alpha=0.8,
                label=f"{name}: {counts.sum():,} rows",
            )
        self.ax_.set(xlim=(0, 1.02), ylim=(-0.02, 1.02), xlabel="Confidence", ylabel="Accuracy")
        self.ax_.legend()
        return self
