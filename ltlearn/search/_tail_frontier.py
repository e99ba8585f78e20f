"""What each setting of the dial costs overall and gains in the tail, and which one to take."""

import math
from typing import NamedTuple

import numpy as np

ENOUGH_ROWS = 20  # of a band, for its error to count
_RARE_SHARE = 0.1
_SAME = 1e-9  # as a share: differences that are rounding


class Frontier(NamedTuple):
    """Settings of the dial, measured on n held-out rows.

    Attributes
    ----------
    overall : ndarray of shape (n_tails,)
        Error of all rows, or accuracy.
    tail : ndarray of shape (n_tails,)
        Error or accuracy in the tail.
    by_band : dict of str to ndarray of shape (n_tails,)
        NaN for bands without rows.
    measure : str
        What the tail is.
    """

    overall: np.ndarray
    tail: np.ndarray
    by_band: dict
    measure: str


def score_frontier(y, predicted, weight, bands, density, error):
    """Errors of predicted scores.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels.
    predicted : ndarray of shape (n, n_tails)
    weight : ndarray of shape (n,)
        Rows of weight 0 do not count.
    bands : LabelBands
        Many, medium and few.
    density : ndarray of shape (n,)
        Of the training labels, at the labels.
    error : {"absolute", "squared"}
        What is averaged; of squared errors the root is taken.

    Returns
    -------
    Frontier
    """
    power = {"absolute": 1, "squared": 2}[error]
    errors = np.abs(predicted - y[:, None]) ** power

    def mean(rows):
        if not weight[rows].sum() > 0:
            return np.full(predicted.shape[1], np.nan)
        return np.average(errors[rows], axis=0, weights=weight[rows]) ** (1 / power)

    counts = weight > 0
    codes = bands.assign(y)
    rows_of = {name: counts & (codes == code) for code, name in enumerate(bands.names)}
    by_band = {name: mean(rows) for name, rows in rows_of.items()}
    enough = [name for name, rows in rows_of.items() if np.count_nonzero(rows) >= ENOUGH_ROWS]
    if len(enough) > 1 and "few" in enough:
        tail = np.mean([by_band[name] for name in enough], axis=0)
        measure = f"mean over the bands {', '.join(enough)}"
    else:
        n_rare = math.ceil(_RARE_SHARE * np.count_nonzero(counts))
        limit = np.partition(density[counts], n_rare - 1)[n_rare - 1]
        tail, measure = mean(counts & (density <= limit)), "rarest tenth of the rows"
    return Frontier(mean(counts), tail, by_band, measure)


def class_frontier(y, predicted, weight, bands):
    """Accuracies of predicted classes; every class of a band counts the same.

    Parameters
    ----------
    y : ndarray of shape (n,)
        True classes.
    predicted : ndarray of shape (n, n_tails)
    weight : ndarray of shape (n,)
        Rows of weight 0 do not count.
    bands : ClassBands

    Returns
    -------
    Frontier
    """
    hits = predicted == y[:, None]
    classes, codes = np.unique(y[weight > 0], return_inverse=True)
    counted, weight, hits = codes, weight[weight > 0], hits[weight > 0]
    recall = np.stack(
        [
            np.average(hits[counted == code], axis=0, weights=weight[counted == code])
            for code in range(len(classes))
        ]
    )
    band_of_class = bands.assign(classes)
    by_band, n_rows = {}, {}
    for code, name in enumerate(bands.names):
        inside = band_of_class == code
        n_rows[name] = np.count_nonzero(inside[counted])
        nothing = np.full(hits.shape[1], np.nan)
        by_band[name] = recall[inside].mean(axis=0) if inside.any() else nothing
    by_band["all classes"] = recall.mean(axis=0)
    few_count = n_rows["few"] >= ENOUGH_ROWS and n_rows["few"] < len(counted)
    measure = "few" if few_count else "all classes"
    overall = np.average(hits, axis=0, weights=weight)
    return Frontier(overall, by_band[measure], by_band, f"mean recall, {measure}")


def within_error_budget(overall, budget):
    """Which errors are at most ``budget`` times that of the first setting above it."""
    return overall <= overall[0] * (1 + budget) * (1 + _SAME)


def within_accuracy_budget(overall, budget):
    """Which accuracies are at most ``budget`` below that of the first setting."""
    return overall >= overall[0] - budget - _SAME


def best_setting(cost, within):
    """Number of the first setting within the budget whose cost is the least, up to rounding."""
    return int(np.flatnonzero(_are_best(cost, within))[0])


def best_class_setting(accuracy, within, prediction):
    """Number of the last setting within the budget whose accuracy is the highest.

    Parameters
    ----------
    accuracy : ndarray of shape (n_tails,)
        In the tail.
    within : ndarray of shape (n_tails,), bool
    prediction : ndarray of shape (n, n_tails)
        Classes. Of settings with the same ones it is the first.

    Returns
    -------
    number : int
    """
    last = np.flatnonzero(_are_best(-accuracy, within))[-1]
    return int(np.flatnonzero((prediction == prediction[:, [last]]).all(axis=0))[0])


def _are_best(cost, within):
    allowed = np.where(within, cost, np.inf)
    least = allowed.min()
    return allowed <= least + _SAME * abs(least)
