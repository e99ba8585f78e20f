"""Predicted and true scores side by side: have the predictions collapsed to the middle?"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ltlearn.metrics._fitted import scores_for
from ltlearn.metrics._scores import check_distributions
from ltlearn.plotting._style import bar_style, new_axes
from ltlearn.utils._fitted import find_fitted
from ltlearn.utils._typing import RowsLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ScoreHistogramDisplay:
    """Shares of true and predicted scores in bins.

    Of scores it shows two histograms; of score distributions the mean true and predicted
    distribution.

    Create one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
    true_shares, predicted_shares : ndarray of shape (n_bins,)
        Each sums to 1.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    bars_ : dict of str to matplotlib.container.BarContainer
        Keys ``"true"`` and ``"predicted"``.

    Examples
    --------
    >>> from ltlearn.plotting import ScoreHistogramDisplay
    >>> display = ScoreHistogramDisplay.from_predictions([1, 2, 3, 4], [2, 2, 3, 3], n_bins=2)
    >>> display.true_shares, display.predicted_shares
    (array([0.5, 0.5]), array([0.5, 0.5]))
    """

    def __init__(
        self, *, edges: np.ndarray, true_shares: np.ndarray, predicted_shares: np.ndarray
    ) -> None:
        self.edges = edges
        self.true_shares = true_shares
        self.predicted_shares = predicted_shares

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: RowsLike,
        y: ArrayLike,
        *,
        n_bins: int = 20,
        ax: "Axes | None" = None,
    ) -> "ScoreHistogramDisplay":
        """Plot the scores, or distributions, that a fitted regressor predicts.

        Parameters
        ----------
        estimator : fitted regressor
            One with ``predict_distribution`` is compared distribution by distribution if ``y``
            holds distributions.
        X : array-like of n_samples test rows
        y : array-like of shape (n_samples,) or (n_samples, n_bins)
            Scores or score distributions.
        n_bins : int, default=20
            Bins of scores; distributions bring their own.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ScoreHistogramDisplay
        """
        if np.ndim(y) == 2 and hasattr(estimator, "predict_distribution"):
            centers = getattr(find_fitted(estimator, "bin_centers_"), "bin_centers_", None)
            return cls.from_predictions(
                y, estimator.predict_distribution(X), bin_centers=centers, ax=ax
            )
        return cls.from_predictions(
            scores_for(estimator, y), estimator.predict(X), n_bins=n_bins, ax=ax
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        n_bins: int = 20,
        bin_centers: ArrayLike | None = None,
        ax: "Axes | None" = None,
    ) -> "ScoreHistogramDisplay":
        """Plot scores or distributions.

        Parameters
        ----------
        y_true, y_pred : array-like, both of shape (n_samples,) or both (n_samples, n_bins)
            Scores or score distributions.
        n_bins : int, default=20
            Equal-width bins of scores, over the range of both.
        bin_centers : array-like of shape (n_bins,), default=None
            Equally spaced scores of the bins of distributions; None takes 1, 2, ..., n_bins.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ScoreHistogramDisplay
        """
        y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
        if y_true.ndim == 2 and y_true.shape[1] > 1:
            shares = [
                check_distributions(values, name).mean(axis=0)
                for values, name in ((y_true, "y_true"), (y_pred, "y_pred"))
            ]
            if bin_centers is None:
                bin_centers = np.arange(1, y_true.shape[1] + 1)
            width = (bin_centers[-1] - bin_centers[0]) / (len(bin_centers) - 1)
            first, last = bin_centers[0] - width / 2, bin_centers[-1] + width / 2
            edges = np.linspace(first, last, len(bin_centers) + 1)
        else:
            edges = np.histogram_bin_edges(np.append(y_true, y_pred), bins=n_bins)
            shares = [
                np.histogram(values, bins=edges)[0] / values.size for values in (y_true, y_pred)
            ]
        return cls(edges=edges, true_shares=shares[0], predicted_shares=shares[1]).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> "ScoreHistogramDisplay":
        """Draw the two shares of each bin beside each other.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        ScoreHistogramDisplay
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        width = np.diff(self.edges)
        shares = {"true": self.true_shares, "predicted": self.predicted_shares}
        self.bars_ = {
            name: self.ax_.bar(
                self.edges[:-1] + width * (0.08 + 0.42 * number),
                values,
                width * 0.42,
                align="edge",
                label=name,
                **bar_style(number),
            )
            for number, (name, values) in enumerate(shares.items())
        }
        self.ax_.set(xlabel="Score", ylabel="Share")
        self.ax_.legend()
        return self
