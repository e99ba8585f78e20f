"""A pool of feature rows as a source of candidates."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans
from sklearn.utils import check_array

from ltlearn.curation._files import checksum
from ltlearn.curation._names import label_name, matching_names
from ltlearn.curation._types import Candidate
from ltlearn.utils._typing import RowsLike


class RowPool:
    """Feature rows, labelled or not.

    The labels of the pool are its classes. Rows without labels are clustered by k-means, and each
    cluster is a class ``"cluster 0"``, ``"cluster 1"``, ...; a pool that holds rows of the target
    classes too will then put them among the auxiliary data.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
    y : array-like of shape (n_rows,), default=None
        Labels; converted to strings, floats without a fraction as integers.
    n_clusters : int, default=20
        Number of clusters for rows without labels.
    random_state : int, RandomState instance or None, default=None
        Of the clustering. Pass an int: with another clustering, decisions made by hand no longer
        mean the same rows.

    Examples
    --------
    >>> from ltlearn.curation import RowPool
    >>> pool = RowPool([[0.0, 1.0], [1.0, 0.0], [0.1, 1.0]], ["north", "east", "north"])
    >>> [candidate.source for candidate in pool.fetch(["north"], None)]
    ['row 0', 'row 2']
    """

    def __init__(
        self,
        X: RowsLike,
        y: ArrayLike | None = None,
        *,
        n_clusters: int = 20,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.X = check_array(X, dtype="numeric")
        if y is None:
            clustering = KMeans(n_clusters, n_init=1, random_state=random_state).fit(self.X)
            self.labels = np.array([f"cluster {cluster}" for cluster in clustering.labels_])
        else:
            self.labels = np.array([label_name(label) for label in np.asarray(y).tolist()])
        if len(self.labels) != len(self.X):
            raise ValueError(f"The pool has {len(self.X)} rows and {len(self.labels)} labels.")

    def __repr__(self):
        rows, features = self.X.shape
        return f"RowPool(<{rows} rows of {features} features, {len(self.class_names())} classes>)"

    def class_names(self) -> list[str]:
        """Labels, or names of clusters."""
        return np.unique(self.labels).tolist()

    def fetch(self, names: Sequence[str], folder: Any) -> Iterator[Candidate]:
        """Yield the rows of some classes.

        Parameters
        ----------
        names : sequence of str
            Matched with the labels: exactly, or else in any case, spelling and plural.
        folder : ignored
            Nothing has to be kept.

        Yields
        ------
        candidate : Candidate
        """
        present = self.class_names()
        for name in names:
            matching = matching_names(name, present)
            for row in np.flatnonzero(np.isin(self.labels, matching)).tolist():
                values = self.X[row]
                yield Candidate(name, f"row {row}", values, checksum=checksum(values.tobytes()))
