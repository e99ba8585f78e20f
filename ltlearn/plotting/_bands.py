"""Bands for plots: given, or remembered by the fitted estimator."""

from ltlearn.metrics import ClassBands
from ltlearn.utils._fitted import find_fitted


def class_bands(estimator, bands):
    """Bands of classes: ``bands`` if given, else those of the estimator."""
    if bands is not None:
        return bands
    fitted = find_fitted(estimator, "class_counts_", "classes_")
    if fitted is None:
        raise ValueError(
            f"{type(estimator).__name__} does not keep how frequent its training labels were: "
            "pass bands=ClassBands.from_labels(y_train)."
        )
    return ClassBands(fitted.classes_, fitted.class_counts_)
