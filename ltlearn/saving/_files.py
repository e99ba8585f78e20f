"""Save fitted estimators and load them, without running anything from the file."""

import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Literal

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ltlearn._version import __version__
from ltlearn.exceptions import SavedFileError, SavedFileWarning
from ltlearn.persistence._archive import read_archive, write_archive
from ltlearn.persistence._values import NotSavableError, Reader, Writer
from ltlearn.saving._parts import Loading, take_apart
from ltlearn.utils._typing import FilePath

FORMAT = 1
_PACKAGES = ("scikit-learn", "torch", "numpy", "timm")


def save(estimator: Any, path: FilePath) -> None:
    """Save a fitted estimator in one file, which :func:`load` reads without running any code.

    The file holds the names of classes, parameters in JSON, and arrays and weights in the format
    safetensors; all of it is written, or nothing. It can hold both deep estimators,
    :class:`~ltlearn.BackboneFeatures`, the meta-estimators of :mod:`ltlearn.calibration`,
    :class:`~ltlearn.model_selection.TunedTailCV`, the stacks and heads of
    :mod:`ltlearn.stacking`, and from scikit-learn pipelines,
    ``ColumnTransformer``, ``FeatureUnion``, ``TransformedTargetRegressor``, ``FrozenEstimator``,
    the usual scalers, encoders, imputers and discretizers, ``PCA``, ``TruncatedSVD``, linear
    models, linear discriminant analysis, ``GaussianNB``, dummies, trees, random forests, extra
    trees and histogram gradient boosting (without categories of its own). Neighbors, support vector
    machines and searches are not among them; of a search, save ``best_estimator_``.

    Left out are metadata requests, ``callbacks`` of scikit-learn, the folder ``cache`` of
    :class:`~ltlearn.BackboneFeatures`, and the code of a module of one's own, which is passed to
    :func:`load`.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    path : str or path-like
        Of the file to write, such as ``"model.ltlearn"``; replaced where there is one.

    Raises
    ------
    TypeError
        When a part of the estimator is of a class that files do not hold; the message says which.
    NotFittedError
        When the estimator is not fitted.
    OSError
        When the file cannot be written. A file that was there stays as it was.

    See Also
    --------
    load : The way back.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import ltlearn
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> model = ltlearn.ELTARegressor(max_epochs=2, random_state=0).fit(X, X[:, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.ltlearn")
    ...     ltlearn.save(model, path)
    ...     loaded = ltlearn.load(path)
    >>> bool((loaded.predict(X) == model.predict(X)).all())
    True
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(f"estimator must be an estimator, got {type(estimator).__name__}.")
    check_is_fitted(estimator)
    writer = Writer(take_apart)
    try:
        content = writer.encode(estimator, type(estimator).__name__)
    except NotSavableError as error:
        raise TypeError(
            f"{error.where} is {error.what}, which no file holds. See ltlearn.save for what files "
            "hold."
        ) from error
    description = {
        "format": FORMAT,
        "ltlearn": __version__,
        "packages": {name: version(name) for name in _PACKAGES},
        "estimator": content,
    }
    write_archive(path, description, writer.tensors)


def load(
    path: FilePath,
    *,
    device: str | torch.device | None = None,
    precision: Literal["auto", "float32", "bfloat16"] | None = None,
    backbone: nn.Module | Callable[..., nn.Module] | None = None,
) -> Any:
    """Load an estimator that :func:`save` has saved.

    Nothing from the file is run or imported: it names classes of a fixed list, and every value is
    checked to be of the kind that the class has. A file from a stranger can still hold a model
    that predicts nonsense, and one as large as the file.

    Parameters
    ----------
    path : str or path-like
    device : str or torch.device, default=None
        Where networks are put. By default where they were, or on the CPU with a warning where
        there is no such device.
    precision : {"auto", "float32", "bfloat16"}, default=None
        Arithmetic of their forward passes; by default as it was.
    backbone : torch.nn.Module or callable, default=None
        The backbone of an estimator that was fitted with a module, class or factory of one's own:
        the same again. The weights come from the file.

    Returns
    -------
    estimator : estimator

    Raises
    ------
    SavedFileError
        When the file is of another kind, damaged, made up, or of a version that this one does not
        read: a newer format or another major version.
    FileNotFoundError

    Warns
    -----
    SavedFileWarning
        When the file holds parts of scikit-learn from another version of it, or its device is not
        here.

    See Also
    --------
    save : The way there.

    Examples
    --------
    >>> import os, tempfile
    >>> import ltlearn
    >>> from sklearn.linear_model import Ridge
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.ltlearn")
    ...     ltlearn.save(Ridge(alpha=0.5).fit([[0.0], [1.0]], [0.0, 2.0]), path)
    ...     loaded = ltlearn.load(path)
    >>> loaded, loaded.predict([[3.0]])
    (Ridge(alpha=0.5), array([3.5]))
    """
    description, tensors = read_archive(path)
    _check_version(path, description)
    loading = Loading(device=device, precision=precision, backbone=backbone)
    try:
        estimator = Reader(tensors, loading.build).decode(description["estimator"], "estimator")
    except SavedFileError as error:
        raise SavedFileError(f"{path} cannot be loaded: {error}") from error
    if not isinstance(estimator, BaseEstimator):
        raise SavedFileError(f"{path} holds no estimator.")
    if loading.has_scikit_learn:
        _warn_of_scikit_learn(path, description["packages"])
    return estimator


def _check_version(path, description):
    number, written = description.get("format"), description.get("ltlearn")
    packages = description.get("packages")
    are_texts = isinstance(packages, dict) and all(isinstance(v, str) for v in packages.values())
    if type(number) is not int or not isinstance(written, str) or not are_texts:
        raise SavedFileError(f"{path} does not say which version of ltlearn saved it.")
    major = written.partition(".")[0]
    if number > FORMAT or major != __version__.partition(".")[0]:
        raise SavedFileError(
            f"{path} was saved by ltlearn {written[:40]} in format {number}; this is ltlearn "
            f"{__version__}, which reads files of its own major version up to format {FORMAT}. "
            f"Install ltlearn {written[:40]} to load it."
        )
    if "estimator" not in description:
        raise SavedFileError(f"{path} holds no estimator.")


def _warn_of_scikit_learn(path, packages):
    written, here = packages.get("scikit-learn", "unknown"), version("scikit-learn")
    if written.split(".")[:2] != here.split(".")[:2]:
        warnings.warn(
            f"{path} holds parts of scikit-learn {written[:40]}, this is scikit-learn {here}: "
            "predictions may differ. Compare some, or fit again.",
            SavedFileWarning,
            stacklevel=3,
        )
