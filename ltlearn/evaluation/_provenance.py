"""Was a model fitted to these rows, in this way? What its records and its refits tell of that."""

from collections import Counter
from itertools import combinations

import numpy as np

from ltlearn.metrics._fitted import find_fitted

_SAME = 1e-6  # distance of probabilities, and of scores relative to their spread
_FLIPPED = 2  # labels predicted otherwise
# A fit belongs with its refits unless it is farther from all of them than this times the two of
# them that are farthest from each other. That is much: some seeds are simply bad.
_OUTLYING = 3.0
_RECORDS = ("n_features_in_", "n_samples_fit_", "classes_", "class_counts_", "auxiliary_classes_")


def differing_records(model, refitted):
    """Names of what two fits recorded of their training data and differ in."""
    first, second = _records(model), _records(refitted)
    return [name for name in {**first, **second} if first.get(name) != second.get(name)]


def _records(model):
    records = {}
    for name in _RECORDS:
        fitted = find_fitted(model, name)
        if fitted is not None:
            records[name] = np.asarray(getattr(fitted, name)).tolist()
    fitted = find_fitted(model, "label_bands_")
    if fitted is not None:  # its bands depend on the rows held out, their number does not
        records["label_bands_"] = sum(fitted.label_bands_.counts.values())
    fitted = find_fitted(model, "pseudo_labels_")
    if fitted is not None:
        records["pseudo_labels_"] = bool(fitted.pseudo_labels_)
    return records


def strange_records(model, X, y):
    """What the records of a fit alone tell against its having seen ``X`` and ``y``, or None."""
    records, shape = _records(model), np.shape(X)
    if len(shape) == 2 and records.get("n_features_in_", shape[1]) != shape[1]:
        return f"it was fitted to {records['n_features_in_']} columns, X_train has {shape[1]}"
    n_seen = max(records.get("label_bands_", 0), records.get("n_samples_fit_", 0))
    if n_seen > len(y):
        return f"it was fitted to {n_seen} rows, X_train has {len(y)}"
    if "class_counts_" in records:
        given = Counter(np.ravel(y).tolist())
        counts = zip(records["classes_"], records["class_counts_"], strict=True)
        more = [label for label, count in counts if count > given[label]]
        if more:
            return f"it was fitted to more rows of {more[0]!r} than y_train holds"
    return None


def predicts_otherwise(outcome, other):
    """Whether two outcomes differ by more than rounding."""
    return _distance(outcome, other) > _resolution(other)


def is_stranger(outcomes):
    """Whether the first outcome is no draw from what the others, its refits, were drawn from."""
    given, *refits = outcomes
    if len(refits) < 3:
        return False
    among = max(_distance(first, second) for first, second in combinations(refits, 2))
    apart = min(_distance(given, refit) for refit in refits)
    return apart > _OUTLYING * among + _resolution(given)


def _distance(first, second):
    """Mean absolute difference of two outcomes' predictions or probabilities."""
    if first.probabilities is not None:
        return float(np.mean(np.abs(first.probabilities - second.probabilities)))
    if first.classes is not None:
        return float(np.mean(first.y_pred != second.y_pred))
    return float(np.mean(np.abs(first.y_pred - second.y_pred)))


def _resolution(outcome):
    """Distances of outcomes like this one up to which they may be the same."""
    if outcome.probabilities is not None:
        return _SAME
    if outcome.classes is not None:
        return _FLIPPED / len(outcome.y_pred)
    return max(_SAME * float(np.std(outcome.y_true)), 1e-12 * float(np.abs(outcome.y_pred).max()))
