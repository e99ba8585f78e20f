"""Sample weights from class counts."""

import math
import warnings
from numbers import Real
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ltlearn.utils._checks import check_class_labels, scaled_by_power
from ltlearn.utils._compat import Interval, StrOptions, validate_params


@validate_params(
    {
        "y": ["array-like"],
        "scheme": [StrOptions({"inverse", "sqrt_inverse", "effective_number"})],
        "beta": [Interval(Real, 0, 1, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def class_weights(
    y: ArrayLike,
    *,
    scheme: Literal["inverse", "sqrt_inverse", "effective_number"] = "inverse",
    beta: float = 0.9999,
) -> np.ndarray:
    """Sample weights from the number of samples in each sample's class.

    With ``n_c`` samples in class c, a sample of that class weighs, up to a common factor,

    - ``"inverse"``: ``1 / n_c``, every class has the same total weight;
    - ``"sqrt_inverse"``: ``1 / sqrt(n_c)``;
    - ``"effective_number"``: ``(1 - beta) / (1 - beta ** n_c)`` [1]_.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Class labels of any type.
    scheme : {"inverse", "sqrt_inverse", "effective_number"}, default="inverse"
        How the weight falls with the class count.
    beta : float, default=0.9999
        In [0, 1): 0 weighs all samples alike, values near 1 approach ``"inverse"``. Used by
        ``"effective_number"`` alone.

    Returns
    -------
    weights : ndarray of shape (n_samples,)
        Positive and finite, with mean 1.

    Raises
    ------
    ValueError
        When ``y`` is empty or not one-dimensional.

    See Also
    --------
    label_density_weights : The counterpart for continuous labels.

    References
    ----------
    .. [1] Y. Cui, M. Jia, T.-Y. Lin, Y. Song and S. Belongie, "Class-Balanced Loss Based on
       Effective Number of Samples", CVPR 2019, proposition 1.

    Examples
    --------
    >>> from ltlearn.weighting import class_weights
    >>> class_weights(["cat", "cat", "cat", "lynx"]).round(2)
    array([0.67, 0.67, 0.67, 2.  ])
    """
    y = check_class_labels(y, "y")
    if len(y) == 0:
        raise ValueError("y is empty: at least one label is needed.")
    _, class_of_sample, counts = np.unique(y, return_inverse=True, return_counts=True)
    if scheme == "inverse":
        per_class = 1 / counts
    elif scheme == "sqrt_inverse":
        per_class = 1 / np.sqrt(counts)
    else:
        # 1 - beta ** n without cancellation; the factor 1 - beta falls out below.
        log_beta = math.log(beta) if beta > 0 else -math.inf
        per_class = 1 / -np.expm1(counts * log_beta)
    weights = per_class[class_of_sample]
    return weights / np.mean(weights)


def weights_by_class(class_weight, classes, counts):
    """Weights of classes from a parameter ``class_weight``, with mean 1 over the samples.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        Classes that a dict does not name have weight 1.
    classes : list
    counts : ndarray of shape (n_classes,)
        Samples of each class, all positive.

    Returns
    -------
    weights : ndarray of shape (n_classes,)

    Warns
    -----
    UserWarning
        When a dict names other classes, as in a fold that lacks a rare class.
    """
    weights = np.ones(len(classes))
    if isinstance(class_weight, str):
        weights = 1 / counts
    elif class_weight is not None:
        unknown = [name for name in class_weight if name not in classes]
        if unknown:
            warnings.warn(
                f"class_weight names {unknown}, which are not among the classes {classes}.",
                stacklevel=2,
            )
        weights = np.array([class_weight.get(name, 1.0) for name in classes])
        if weights.dtype.kind not in "biuf" or not (
            np.isfinite(weights).all() and (weights >= 0).all() and weights.any()
        ):
            raise ValueError(
                "class_weight must map classes to finite numbers that are not negative and not all "
                f"0, got {class_weight!r}."
            )
    weights, _ = scaled_by_power(weights)  # a sum of extreme ones would overflow
    return weights / np.average(weights, weights=counts)
