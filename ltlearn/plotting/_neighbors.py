"""Which auxiliary classes are neighbors of which target classes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ltlearn.auxiliary._neighbors import check_lists
from ltlearn.plotting._style import new_axes
from ltlearn.utils._fitted import find_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class NeighborDisplay:
    """Heat map of target classes (rows) and auxiliary classes (columns).

    Create one with :meth:`from_estimator` or :meth:`from_neighbors`.

    Parameters
    ----------
    matrix : ndarray of shape (n_targets, n_auxiliary)
        Whether they are neighbors, or how similar they are.
    target_names, auxiliary_names : sequence of str

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    im_ : matplotlib.image.AxesImage

    Examples
    --------
    >>> from ltlearn.plotting import NeighborDisplay
    >>> display = NeighborDisplay.from_neighbors({"cat": ["lynx", "puma"], "dog": ["wolf"]})
    >>> display.matrix.astype(int)
    array([[1, 1, 0],
           [0, 0, 1]])
    """

    def __init__(
        self, *, matrix: np.ndarray, target_names: Sequence[str], auxiliary_names: Sequence[str]
    ) -> None:
        self.matrix = matrix
        self.target_names = target_names
        self.auxiliary_names = auxiliary_names

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: "Axes | None" = None) -> "NeighborDisplay":
        """Plot the neighbor relation that a fitted classifier used.

        Parameters
        ----------
        estimator : fitted GranularClassifier
            Or a pipeline or search around one.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        NeighborDisplay

        Raises
        ------
        ValueError
            If the estimator has no ``neighbors_``, or was fitted without auxiliary classes.
        """
        fitted = find_fitted(estimator, "neighbors_", "classes_", "auxiliary_classes_")
        if fitted is None:
            raise ValueError(f"{type(estimator).__name__} has no neighbors_ to plot.")
        return cls.from_neighbors(
            fitted.neighbors_,
            targets=fitted.classes_,
            auxiliary=fitted.auxiliary_classes_,
            ax=ax,
        )

    @classmethod
    def from_neighbors(
        cls,
        neighbors: Mapping[Any, Any] | ArrayLike,
        *,
        targets: Sequence[Any] | None = None,
        auxiliary: Sequence[Any] | None = None,
        ax: "Axes | None" = None,
    ) -> "NeighborDisplay":
        """Plot a neighbor relation.

        Parameters
        ----------
        neighbors : dict or array-like of shape (n_targets, n_auxiliary)
            Target class to list of auxiliary classes; or a boolean matrix, or similarities. The
            rows and columns of a DataFrame name the classes.
        targets : sequence, default=None
            Target classes in the order to draw them; by default those in ``neighbors``.
        auxiliary : sequence, default=None
            Auxiliary classes of the columns of a matrix. With a dict, classes to draw even if
            they are no neighbors; those that are come first, grouped by target.
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        NeighborDisplay

        Raises
        ------
        ValueError
            If ``neighbors`` holds a target that ``targets`` lacks, or a single name where a list
            of names is needed; or if there is no target or no auxiliary class to draw.
        """
        if isinstance(neighbors, dict):
            check_lists(neighbors)
            targets = list(neighbors if targets is None else targets)
            missing = [target for target in neighbors if target not in targets]
            if missing:
                raise ValueError(f"{missing} have neighbors but are not among targets.")
            named = (name for target in targets for name in neighbors.get(target, ()))
            auxiliary = list(dict.fromkeys([*named, *(() if auxiliary is None else auxiliary)]))
            matrix = np.array(
                [[name in neighbors.get(target, ()) for name in auxiliary] for target in targets]
            )
        else:
            matrix = np.asarray(neighbors)
            is_frame = hasattr(neighbors, "columns")
            names = (neighbors.index, neighbors.columns) if is_frame else map(range, matrix.shape)
            targets, auxiliary = (
                given if given is not None else name
                for given, name in zip((targets, auxiliary), names, strict=True)
            )
        if not matrix.size:
            raise ValueError(
                f"There is nothing to plot: {len(targets)} target classes and {len(auxiliary)} "
                "auxiliary classes."
            )
        return cls(
            matrix=matrix,
            target_names=[str(name) for name in targets],
            auxiliary_names=[str(name) for name in auxiliary],
        ).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> "NeighborDisplay":
        """Draw the heat map; similarities get a color bar.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        NeighborDisplay
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        self.im_ = self.ax_.imshow(
            self.matrix, cmap="Greys", aspect="auto", interpolation="nearest"
        )
        if self.matrix.dtype != bool:
            self.figure_.colorbar(self.im_, ax=self.ax_, label="Similarity")
        n_targets, n_auxiliary = self.matrix.shape
        self.ax_.set_xticks(range(n_auxiliary), self.auxiliary_names, rotation=90)
        self.ax_.set_yticks(range(n_targets), self.target_names)
        self.ax_.set_xticks(np.arange(n_auxiliary - 1) + 0.5, minor=True)
        self.ax_.set_yticks(np.arange(n_targets - 1) + 0.5, minor=True)
        self.ax_.grid(which="minor", color="0.8", linewidth=0.5)
        self.ax_.tick_params(which="minor", length=0)
        self.ax_.set(xlabel="Auxiliary class", ylabel="Target class")
        return self
