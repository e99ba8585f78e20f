"""Labels as estimators need them, and predictions as metrics need them."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d

from ltlearn.calibration._dials import can_be_turned, classes_at, scores_at
from ltlearn.evaluation._fitting import last_step
from ltlearn.metrics import expected_score


@dataclass(frozen=True, eq=False)
class Target:
    """Labels of n samples.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Scores, or classes.
    classes : ndarray of shape (n_classes,) or None
        None for scores.
    distributions : ndarray of shape (n, n_bins) or None
        Score distributions whose expected scores are ``values``.
    """

    values: np.ndarray
    classes: np.ndarray | None = None
    distributions: np.ndarray | None = None

    @classmethod
    def from_labels(cls, y, estimator, bin_centers=None):
        """Read ``y`` as classes or scores, whichever ``estimator`` predicts."""
        if is_classifier(estimator):
            y = column_or_1d(y, warn=True)
            return cls(y, classes=np.unique(y))
        y = np.asarray(y, dtype=np.float64)
        if y.ndim == 2 and y.shape[1] > 1:
            scores = expected_score(y, bin_centers=bin_centers)
            return cls(scores, distributions=y / y.sum(axis=1, keepdims=True))
        return cls(column_or_1d(y, warn=True))

    def labels_for(self, estimator):
        """Distributions for an estimator that learns them; scores or classes for others."""
        if self.distributions is not None and learns_distributions(estimator):
            return self.distributions
        return self.values


@dataclass(frozen=True, eq=False)
class Outcome:
    """True and predicted labels of n samples.

    Attributes
    ----------
    y_true, y_pred : ndarray of shape (n,)
        Scores, or classes.
    classes : ndarray of shape (n_classes,) or None
    probabilities : ndarray of shape (n, n_classes) or None
        Predicted; columns as in ``classes``.
    true_distributions, distributions : ndarray of shape (n, n_bins) or None
        True and predicted score distributions.
    medians, means : ndarray of shape (n,) or None
        Predicted scores for absolute and for squared errors, where the model tells them apart.
    """

    y_true: np.ndarray
    y_pred: np.ndarray
    classes: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    true_distributions: np.ndarray | None = None
    distributions: np.ndarray | None = None
    medians: np.ndarray | None = None
    means: np.ndarray | None = None

    @property
    def for_absolute_errors(self):
        """The median of each predicted distribution; what the model predicts if it has none."""
        return self.y_pred if self.medians is None else self.medians

    @property
    def for_squared_errors(self):
        """The mean of each predicted distribution; what the model predicts if it has none."""
        return self.y_pred if self.means is None else self.means


def predict(model, X, target, rows):
    """Predict the samples ``X``, which are the rows ``rows`` of ``target``.

    Returns
    -------
    Outcome
    """
    y_true, y_pred = target.values[rows], np.asarray(model.predict(X))
    if target.classes is not None:
        return Outcome(
            y_true,
            y_pred.reshape(-1),
            classes=target.classes,
            probabilities=_predict_probabilities(model, X, target.classes),
        )
    y_pred = y_pred.astype(np.float64).reshape(-1)
    outcome = Outcome(y_true, y_pred)
    if can_be_turned(model):
        medians, means = scores_at(model, X, [(None, "median"), (None, "mean")]).T
        outcome = replace(outcome, medians=medians, means=means)
    distributions = None if target.distributions is None else _predict_distributions(model, X)
    if distributions is None:
        return outcome
    true_distributions = target.distributions[rows]
    return replace(outcome, true_distributions=true_distributions, distributions=distributions)


def predict_turned(model, X, target, rows, tails):
    """Outcomes with the dial of the fitted model at each of ``tails``; none where it has none.

    A search that has chosen a setting already is left at that.
    """
    if not tails or not can_be_turned(model) or hasattr(model, "tail_"):
        return []
    y_true = target.values[rows]
    if target.classes is not None:
        predicted = classes_at(model, X, tails).T
        return [Outcome(y_true, y_pred, classes=target.classes) for y_pred in predicted]
    settings = [(tail, name) for tail in tails for name in (None, "median", "mean")]
    predicted = np.split(scores_at(model, X, settings), len(tails), axis=1)
    columns = [each.T for each in predicted]
    return [Outcome(y_true, y, medians=median, means=mean) for y, median, mean in columns]


def learns_distributions(estimator):
    """Whether the estimator, or the last step of a pipeline, can learn score distributions."""
    return hasattr(type(last_step(estimator)), "predict_distribution")


def _predict_distributions(model, X):
    """None where the model predicts none, which some know only once they are fitted."""
    if not hasattr(last_step(model), "predict_distribution"):
        return None
    if isinstance(model, Pipeline):
        if len(model.steps) > 1:
            X = model[:-1].transform(X)
        model = model[-1]
    return model.predict_distribution(X)


def _predict_probabilities(model, X, classes):
    """Probabilities over all ``classes``: zero for those the model never saw."""
    if not hasattr(model, "predict_proba"):
        return None
    unknown = np.setdiff1d(model.classes_, classes)
    if len(unknown):
        raise ValueError(f"The model predicts classes that are not in the data: {list(unknown)}.")
    known = np.asarray(model.predict_proba(X))
    if known.dtype == np.float32:  # whose rows do not quite sum to 1 in float64
        known = known.astype(np.float64)
        known /= known.sum(axis=1, keepdims=True)
    probabilities = np.zeros((len(known), len(classes)))
    probabilities[:, np.searchsorted(classes, model.classes_)] = known
    return probabilities
