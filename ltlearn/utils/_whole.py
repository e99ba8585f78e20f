"""Fit arguments that scikit-learn must not slice."""

from ltlearn.utils._compat import _num_samples


class Whole(tuple):
    """Keep a fit argument whole in cross-validation and pipelines.

    Cross-validation slices every fit argument that has as many rows as ``X``, without saying so: an
    auxiliary or unlabeled set that happens to be as long as the training set would lose rows that
    have nothing to do with the fold. Wrapped, it reaches every fit complete. Pipelines with
    ``transform_input`` transform its content as they do the bare array's.

    Parameters
    ----------
    values : array-like
        The argument, e.g. ``X_aux`` or ``y_aux``.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn import Whole
    >>> X_unlabeled = Whole(np.zeros((100, 3)))
    >>> X_unlabeled.values.shape
    (100, 3)
    """

    # A tuple of one element: scikit-learn takes its length, 1, for the number of rows, and
    # pipelines transform tuples element by element.
    __slots__ = ()

    def __new__(cls, values):
        return values if isinstance(values, cls) else super().__new__(cls, (values,))

    def __getnewargs__(self):
        return tuple(self)

    @property
    def values(self):
        """The wrapped argument."""
        return self[0]

    def __repr__(self):
        return f"Whole({self.values!r})"


def unwrap(name, values, X):
    """Content of a fit argument that must not have been sliced along with ``X``.

    Raises
    ------
    ValueError
        When the argument is not wrapped in :class:`Whole` and has as many rows as ``X``: it may
        have lost rows in cross-validation, and nothing could tell.
    """
    if values is None:
        return None
    if isinstance(values, tuple) and len(values) == 1:  # Pipeline makes plain tuples of Whole
        return values[0]
    if _num_samples(values) == _num_samples(X):
        raise ValueError(
            f"{name} has as many rows as X ({_num_samples(X)}). Cross-validation slices such an "
            f"argument silently, so it must be wrapped: {name}=ltlearn.Whole({name})."
        )
    return values
