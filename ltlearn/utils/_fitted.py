"""What is inside the wrappers of a fitted estimator."""


def find_fitted(estimator, *attributes, resampled=False):
    """The outermost part of a fitted estimator that has all ``attributes``, or None.

    Looks at the estimator itself, then inward at the last step of a pipeline, the best estimator
    of a search and the fitted estimator of a meta-estimator. It does not enter a
    ``TransformedTargetRegressor`` nor, unless ``resampled``, a pipeline with a resampler: what is
    in there saw other labels than those of the training data.
    """
    while estimator is not None:
        if all(hasattr(estimator, attribute) for attribute in attributes):
            return estimator
        if hasattr(estimator, "steps"):
            resamples = any(hasattr(step, "fit_resample") for _, step in estimator.steps)
            estimator = None if resamples and not resampled else estimator.steps[-1][1]
        else:
            inner = getattr(estimator, "best_estimator_", None)
            estimator = getattr(estimator, "estimator_", None) if inner is None else inner
    return None
