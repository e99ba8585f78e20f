"""Accuracy over classes with many, medium and few training samples, as bars."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import column_or_1d

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.metrics import shot_accuracy
from ltlearn.metrics._bands import ClassBands
from ltlearn.plotting._bands import class_bands
from ltlearn.plotting._style import bar_style, new_axes
from ltlearn.utils._typing import RowsLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ShotAccuracyDisplay:
    """Bars of accuracy overall and over classes with many, medium and few training samples.

    Create one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    accuracies : dict of str to dict of str to float
        For each model the accuracy overall and in each band.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    bars_ : dict of str to matplotlib.container.BarContainer

    Examples
    --------
    >>> from ltlearn.metrics import ClassBands
    >>> from ltlearn.plotting import ShotAccuracyDisplay
    >>> bands = ClassBands(["cat", "dog", "lynx"], [500, 50, 5])
    >>> y = ["cat", "cat", "dog", "lynx", "lynx"]
    >>> y_pred = ["cat", "cat", "dog", "lynx", "cat"]
    >>> display = ShotAccuracyDisplay.from_predictions(y, y_pred, bands=bands)
    >>> display.accuracies["model"]
    {'overall': 0.8, 'many': 1.0, 'medium': 1.0, 'few': 0.5}
    """

    def __init__(self, *, accuracies: Mapping[str, Mapping[str, float]]) -> None:
        self.accuracies = accuracies

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: RowsLike,
        y: ArrayLike,
        *,
        baseline: Any = None,
        bands: ClassBands | None = None,
        name: str | None = None,
        ax: "Axes | None" = None,
    ) -> "ShotAccuracyDisplay":
        """Plot the accuracy of a fitted classifier.

        Parameters
        ----------
        estimator : fitted classifier
        X : array-like of n_samples test rows
        y : array-like of shape (n_samples,)
            True classes.
        baseline : fitted classifier, default=None
            To draw beside it.
        bands : ClassBands, default=None
            Bands of the training classes. None takes those of the estimator.
        name : str, default=None
            For the legend; the name of the class by default.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ShotAccuracyDisplay

        Raises
        ------
        ValueError
            If the estimator does not keep its class counts and no bands are given, or ``name`` is
            ``"baseline"`` beside a baseline.
        """
        return cls.from_predictions(
            y,
            estimator.predict(X),
            baseline_pred=None if baseline is None else baseline.predict(X),
            bands=class_bands(estimator, bands),
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        bands: ClassBands,
        baseline_pred: ArrayLike | None = None,
        name: str = "model",
        ax: "Axes | None" = None,
    ) -> "ShotAccuracyDisplay":
        """Plot the accuracy of predictions.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_samples,)
            True and predicted classes.
        bands : ClassBands
            Bands of the training classes.
        baseline_pred : array-like of shape (n_samples,), default=None
            Predictions of a baseline, to draw beside.
        name : str, default="model"
            For the legend.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ShotAccuracyDisplay

        Raises
        ------
        ValueError
            If ``name`` is ``"baseline"`` beside a baseline.
        """
        y_true, predictions = column_or_1d(y_true), {name: column_or_1d(y_pred)}
        if baseline_pred is not None:
            if name == "baseline":
                raise ValueError('"baseline" names the bars of the baseline: pass another name.')
            predictions = {"baseline": column_or_1d(baseline_pred), **predictions}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EmptyBandWarning)  # the plot shows that it is empty
            accuracies = {
                name: {
                    "overall": float(np.mean(y_true == predicted)),
                    **shot_accuracy(y_true, predicted, bands=bands),
                }
                for name, predicted in predictions.items()
            }
        return cls(accuracies=accuracies).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> "ShotAccuracyDisplay":
        """Draw the bars, each with its value above it; a band without test rows has none.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ShotAccuracyDisplay
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        groups = list(next(iter(self.accuracies.values())))
        width = 0.8 / len(self.accuracies)
        self.bars_ = {}
        for number, (name, by_band) in enumerate(self.accuracies.items()):
            values = np.array([by_band[group] for group in groups])
            position = np.arange(len(groups)) + (number - (len(self.accuracies) - 1) / 2) * width
            bars = self.ax_.bar(
                position, np.nan_to_num(values), width * 0.95, label=name, **bar_style(number)
            )
            labels = ["no rows" if np.isnan(value) else f"{value:.2f}" for value in values]
            self.ax_.bar_label(bars, labels, fontsize="small")
            self.bars_[name] = bars
        self.ax_.set(ylim=(0, 1.08), xlabel="Classes by training samples", ylabel="Accuracy")
        self.ax_.set_xticks(range(len(groups)), groups)
        self.ax_.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
        return self
