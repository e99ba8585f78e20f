"""Where the labels are, and where the tail begins."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ltlearn.metrics import LabelBands
from ltlearn.metrics._scores import as_scores
from ltlearn.plotting._style import COLORS, HATCHES, new_axes
from ltlearn.weighting import label_density

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRID_POINTS = 500


class LabelDensityDisplay:
    """Smoothed density of the labels, with the bands many, medium and few.

    Create one with :meth:`from_labels`.

    Parameters
    ----------
    grid : ndarray of shape (n_points,)
        Labels at which the density is known.
    density : ndarray of shape (n_points,)
        Share of samples per unit of the label.
    bands : LabelBands
        Bands to color.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    line_ : matplotlib.lines.Line2D
        The density.
    areas_ : dict of str to collection
        The area of each band below it.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.plotting import LabelDensityDisplay
    >>> y = np.random.default_rng(0).lognormal(size=500)
    >>> display = LabelDensityDisplay.from_labels(y)
    >>> list(display.areas_)
    ['many', 'medium', 'few']
    """

    def __init__(self, *, grid: np.ndarray, density: np.ndarray, bands: LabelBands) -> None:
        self.grid = grid
        self.density = density
        self.bands = bands

    @classmethod
    def from_labels(
        cls,
        y: ArrayLike,
        *,
        bands: LabelBands | None = None,
        bandwidth: float | None = None,
        ax: "Axes | None" = None,
    ) -> "LabelDensityDisplay":
        """Plot the density of labels.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_bins)
            Training labels; score distributions count as their expected scores.
        bands : LabelBands, default=None
            None takes ``LabelBands.from_density(y)``.
        bandwidth : float, default=None
            See :func:`~ltlearn.weighting.label_density`.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        LabelDensityDisplay
        """
        y = as_scores(y, "y")
        bands = LabelBands.from_density(y, bandwidth=bandwidth) if bands is None else bands
        grid = np.linspace(y.min(), y.max(), _GRID_POINTS)
        density = label_density(y, at=grid, bandwidth=bandwidth)
        return cls(grid=grid, density=density, bands=bands).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> "LabelDensityDisplay":
        """Draw the density.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        LabelDensityDisplay
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        (self.line_,) = self.ax_.plot(self.grid, self.density, color="black", linewidth=1)
        codes = self.bands.assign(self.grid)
        self.areas_ = {}
        for code, name in enumerate(self.bands.names):
            if self.bands.counts[name]:
                self.areas_[name] = self.ax_.fill_between(
                    self.grid,
                    self.density,
                    where=codes == code,
                    step="mid",
                    facecolor=COLORS[code % len(COLORS)],
                    hatch=HATCHES[code % len(HATCHES)],
                    alpha=0.6,
                    label=f"{name}: {self.bands.counts[name]:,} samples",
                )
        self.ax_.set(xlabel="Label", ylabel="Share of samples per unit", ylim=(0, None))
        self.ax_.legend()
        return self
