"""The neighbor relation between target classes and auxiliary classes.

A relation is a boolean array of shape (C_target, C_auxiliary); to users it is shown, and by them
given, as a dict from target class to a list of auxiliary classes.
"""

import math
import warnings
from collections.abc import Hashable
from numbers import Real

import numpy as np
from sklearn.preprocessing import normalize


def class_prototypes(batches, codes, n_classes):
    """Mean direction of the features of each class.

    Parameters
    ----------
    batches : iterable of ndarray of shape (B, D)
        Features of n rows in all.
    codes : ndarray of shape (n,)
        Class of each row, 0 to n_classes - 1; every class has rows.
    n_classes : int

    Returns
    -------
    prototypes : ndarray of shape (n_classes, D)
        Means of the L2-normalized features, L2-normalized again.
    """
    sums, start = None, 0
    for features in batches:
        if sums is None:
            sums = np.zeros((n_classes, features.shape[1]))
        own = codes[start : start + len(features)]
        np.add.at(sums, own, normalize(features.astype(np.float64)))
        start += len(features)
    return normalize(sums)


def similar_pairs(similarity, bounds):
    """Pairs of a target and an auxiliary class that are similar enough to be neighbors.

    Parameters
    ----------
    similarity : ndarray of shape (C_target, C_auxiliary)
        Cosines between prototypes.
    bounds : float or (float, float)
        A quantile: pairs at least as similar as this quantile of all pairs. Or the lowest and the
        highest cosine of a neighboring pair.

    Returns
    -------
    relation : ndarray of shape (C_target, C_auxiliary), dtype bool
    """
    if np.ndim(bounds) == 0:
        return similarity >= np.quantile(similarity, bounds)
    if not (
        len(bounds) == 2
        and all(isinstance(bound, Real) for bound in bounds)
        and -math.inf <= bounds[0] <= bounds[1] <= math.inf
    ):
        raise ValueError(
            "neighbor_similarity must be a quantile in [0, 1) or a pair (lowest, highest cosine), "
            f"got {bounds!r}."
        )
    low, high = bounds
    return (similarity >= low) & (similarity <= high)


def most_similar_pairs(prototypes):
    """Every class with the class whose prototype is most similar to its own.

    Parameters
    ----------
    prototypes : ndarray of shape (C, D)
        L2-normalized; C >= 2.

    Returns
    -------
    pairs : ndarray of shape (n_pairs, 2)
        Codes of both classes, the smaller first; each pair once.
    """
    similarity = prototypes @ prototypes.T
    np.fill_diagonal(similarity, -np.inf)
    pairs = np.stack([np.arange(len(prototypes)), similarity.argmax(axis=1)], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def relation_from_dict(neighbors, classes, auxiliary_classes):
    """Turn a dict from target class to auxiliary classes into a boolean array.

    Raises
    ------
    ValueError
        When a name is not among the auxiliary classes, or a single name stands where a list of
        names is needed.

    Warns
    -----
    UserWarning
        When a name is not among the target classes, as in a fold that lacks a rare class.
    """
    rows = {name: row for row, name in enumerate(classes.tolist())}
    columns = {name: column for column, name in enumerate(auxiliary_classes.tolist())}
    relation = np.zeros((len(rows), len(columns)), dtype=bool)
    check_lists(neighbors)
    for target, names in neighbors.items():
        unknown = [name for name in names if not _is_in(name, columns)]
        if unknown:
            raise ValueError(
                f"neighbors names {unknown}, which are not among the auxiliary classes (in "
                f"y_aux): {[*columns]}."
            )
        if target in rows:
            relation[rows[target], [columns[name] for name in names]] = True
    absent = [target for target in neighbors if target not in rows]
    if absent:
        warnings.warn(
            f"neighbors names {absent}, which are not among the target classes (in y): {[*rows]}. "
            "Where folds lack a rare class, ltlearn.model_selection.RareClassStratifiedKFold "
            "keeps every class in every training set.",
            stacklevel=2,
        )
    return relation


def check_lists(neighbors):
    """Raise where a dict of neighbors has a single name in place of a list of names."""
    for target, names in neighbors.items():
        if isinstance(names, str) or not np.iterable(names):
            raise ValueError(
                f"neighbors must map each target class to a list of auxiliary classes; it maps "
                f"{target!r} to {names!r}."
            )


def relation_to_dict(relation, classes, auxiliary_classes):
    """The relation as a dict from every target class to the list of its neighbors."""
    return {
        target: auxiliary_classes[row].tolist()
        for target, row in zip(classes.tolist(), relation, strict=True)
    }


def _is_in(name, names):
    return isinstance(name, Hashable) and name in names
