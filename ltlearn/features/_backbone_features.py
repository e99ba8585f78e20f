"""Embed images once with a frozen backbone, then train heads on the features."""

import copy
import dataclasses
import hashlib
import os
from numbers import Integral, Real
from typing import Any, Literal

import joblib
import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ltlearn.exceptions import BadImageError
from ltlearn.features._cache import FeatureCache
from ltlearn.features._frozen import freeze_copy, frozen_timm_backbone, on_device
from ltlearn.images import InputSpec, Normalize, eval_transform
from ltlearn.images._sources import FileSource, as_image_source
from ltlearn.networks._timm import input_spec_of, timm_params
from ltlearn.utils._compat import Interval, StrOptions, _fit_context
from ltlearn.utils._device import resolve_device, torch_defaults
from ltlearn.utils._estimator import BaseEstimator
from ltlearn.utils._precision import autocast, resolve_precision
from ltlearn.utils._progress import progress_bar
from ltlearn.utils._random import draw_seed
from ltlearn.utils._typing import FilePath, RowsLike

# Raised whenever the same image, model and settings would give other features.
CACHE_FORMAT = 2


class BackboneFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Features of images from a frozen, pretrained backbone.

    A transformer from images to a table (n_samples, D). In front of an estimator it stands for the
    expensive part of an image model; with ``cache``, every image is decoded and embedded once per
    model, however many folds, candidates and processes ask for it.

    Parameters
    ----------
    backbone : str or torch.nn.Module
        Name of a timm model, see :func:`ltlearn.networks.timm_backbone`
        (``"tf_efficientnet_lite0.package"`` needs no download); or a module that maps
        (B, C, H, W) to (B, D). A module may say what images it takes by an attribute
        ``input_spec``, an :class:`ltlearn.images.InputSpec`, and timm says it of its models; others
        receive RGB images in [0, 1] of size ``image_size``.
    backbone_params : dict, default=None
        For a backbone by name: ``pretrained`` (default True), ``checkpoint_path``, ``in_chans``,
        and what else :func:`ltlearn.networks.timm_backbone` takes.
    image_size : int or tuple of int, default=None
        Side, or height and width, that images are brought to; the backbone's own by default.
    crop_pct : float, default=None
        Share of the resized image's side that the center crop keeps, 1 to keep all of it; the
        backbone's own by default.
    feature_pooling : {None, "avg", "max", "token"}, default=None
        For a backbone by name: how its last feature map becomes a vector. None is the model's own
        way; ``"avg"`` and ``"max"`` are over positions, ``"token"`` is the class token.
    batch_size : int, default=32
        Images that pass through the backbone together.
    num_workers : int, default=0
        Processes that decode files; 0 decodes in this one.
    device : str or torch.device, default="auto"
        ``"auto"`` takes a CUDA device where there is one.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Arithmetic of the backbone. ``"auto"`` is bfloat16 on CUDA devices that support it and
        float32 elsewhere.
    cache : str, path-like or joblib.Memory, default=None
        Folder in which features are kept, each under a hash of its image's content and one of the
        model's weights and settings. Several processes may share it. Where it cannot be written, a
        warning says so and features are computed all the same. None keeps nothing.
    random_state : int, RandomState instance or None, default=None
        Draws the weights where ``backbone_params`` has ``pretrained=False``; otherwise unused.
    verbose : int, default=0
        1 shows a bar over images wherever some are embedded.

    Attributes
    ----------
    backbone_ : torch.nn.Module
        The frozen backbone, in evaluation mode. Estimators fitted with equal parameters may share
        it.
    input_spec_ : InputSpec
        What images are turned into.
    n_features_out_ : int
        Number of features D.

    See Also
    --------
    ltlearn.images.find_bad_images : Lists files that cannot be read, to drop them with their
        labels, since a transformer has to return one row for every image.

    Notes
    -----
    A pickled transformer holds the backbone's weights and needs neither their source nor the
    device they were used on.

    A cached entry is found again when image, settings and all attributes of the backbone are the
    same. The code of an own module is not part of that: after changing it, change the folder.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn import BackboneFeatures
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    >>> embed = BackboneFeatures(
    ...     backbone="resnet10t", backbone_params={"pretrained": False}, image_size=32,
    ...     random_state=0)
    >>> embed.fit_transform(images).shape
    (4, 512)
    """

    _parameter_constraints: dict = {
        "backbone": [str, nn.Module],
        "backbone_params": [dict, None],
        "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "crop_pct": [Interval(Real, 0, 1, closed="right"), None],
        "feature_pooling": [StrOptions({"avg", "max", "token"}), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "num_workers": [Interval(Integral, 0, None, closed="left")],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "cache": [str, os.PathLike, joblib.Memory, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        backbone: str | nn.Module = "tf_efficientnet_lite0.package",
        backbone_params: dict[str, Any] | None = None,
        image_size: int | tuple[int, ...] | None = None,
        crop_pct: float | None = None,
        feature_pooling: Literal["avg", "max", "token"] | None = None,
        batch_size: int = 32,
        num_workers: int = 0,
        device: str | torch.device = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        cache: FilePath | joblib.Memory | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.backbone = backbone
        self.backbone_params = backbone_params
        self.image_size = image_size
        self.crop_pct = crop_pct
        self.feature_pooling = feature_pooling
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.device = device
        self.precision = precision
        self.cache = cache
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    @torch_defaults()
    def fit(self, X: RowsLike, y: Any = None) -> "BackboneFeatures":
        """Build the backbone and check that X holds images. Nothing is learned from X.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Images or paths, see :meth:`transform`. Files are not opened.
        y : None
            Ignored.

        Returns
        -------
        self : BackboneFeatures

        Raises
        ------
        ValueError
            When X does not hold images, or the backbone does not give features (B, D).
        MissingWeightsError
            When pretrained weights cannot be had.
        """
        if isinstance(self.backbone, nn.Module):
            spec = self._resolve_spec(self.backbone)
            backbone = self._copy_backbone(spec)
        else:
            backbone = self._named_backbone()
            spec = self._resolve_spec(backbone.module)
        as_image_source(X, channels=spec.channels)
        self.input_spec_ = spec
        self.backbone_, self._backbone_fingerprint, self.n_features_out_ = backbone
        return self

    @torch_defaults()
    def transform(self, X: RowsLike) -> np.ndarray:
        """Embed images.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            uint8 images, or float images with values in [0, 1], of shape (n, H, W), (n, H, W, C)
            or (n, C, H, W); or n paths of image files: a list, a NumPy array of strings, a pandas
            Series, or a DataFrame with one column.

        Returns
        -------
        features : ndarray of shape (n_samples, D), dtype float32

        Raises
        ------
        ValueError
            When X does not hold images, the backbone gives values that are not finite, or it cannot
            be pickled and ``cache`` is given.
        BadImageError
            When a file is missing or cannot be decoded; the message names it.

        Warns
        -----
        FeatureCacheWarning
            When features cannot be written to ``cache``.
        """
        check_is_fitted(self)
        source = as_image_source(X, channels=self.input_spec_.channels)
        features = np.empty((len(source), self.n_features_out_), dtype=np.float32)
        if self._cache_folder is None:
            for rows, _, values in self._embed(source, np.arange(len(source))):
                features[rows] = values
        else:
            self._embed_missing(source, features)
        return features

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.no_validation = True
        return tags

    def __getstate__(self):
        state = super().__getstate__()
        if "backbone_" in state:
            state["backbone_"] = copy.deepcopy(state["backbone_"]).cpu()
        return state

    @property
    def _n_features_out(self):
        return self.n_features_out_

    @property
    def _cache_folder(self):
        return self.cache.location if isinstance(self.cache, joblib.Memory) else self.cache

    def _copy_backbone(self, spec):
        if self.backbone_params or self.feature_pooling:
            raise ValueError(
                "backbone_params and feature_pooling are for a backbone by name; this one is a "
                f"{type(self.backbone).__name__} already."
            )
        return freeze_copy(self.backbone, spec)

    def _named_backbone(self):
        params, seed = self._timm_params(), None
        if not params.get("pretrained", True):
            seed = draw_seed(check_random_state(self.random_state))
        return frozen_timm_backbone(self.backbone, params, seed)

    def _timm_params(self):
        """Arguments of :func:`ltlearn.networks.timm_backbone` for a backbone by name."""
        params = timm_params(self.backbone_params, self.feature_pooling)
        if self.image_size is not None:
            if "img_size" in params:
                raise ValueError("image_size and img_size in backbone_params are one and the same.")
            params["img_size"] = _height_and_width(self.image_size)
        return params

    def _resolve_spec(self, backbone):
        spec = input_spec_of(backbone)
        if spec is None:
            if self.image_size is None:
                raise ValueError(
                    f"The size of images that {type(backbone).__name__} takes is not known: pass "
                    "image_size, or give the module an attribute input_spec."
                )
            spec = InputSpec(mean=(0.0,) * 3, std=(1.0,) * 3, crop_pct=1.0)
        changes = {}
        if self.image_size is not None:
            changes["size"] = _height_and_width(self.image_size)
        if self.crop_pct is not None:
            changes["crop_pct"] = float(self.crop_pct)
        return dataclasses.replace(spec, **changes)

    def _fingerprint(self):
        """Hash of all but the image that decides on its features."""
        if self._backbone_fingerprint is None:
            raise ValueError(
                f"Features of this {type(self.backbone_).__name__} cannot be cached: a part of it, "
                "such as a lock or an open file, cannot be pickled, so it cannot be told from "
                "other modules. Keep such parts out of the module's attributes and of what its "
                "functions enclose, or pass cache=None."
            )
        precision = resolve_precision(self.precision, resolve_device(self.device))
        settings = (CACHE_FORMAT, self._backbone_fingerprint, self.input_spec_, precision)
        return hashlib.blake2b(repr(settings).encode(), digest_size=20).hexdigest()

    def _embed_missing(self, source, features):
        """Fill ``features`` from the cache, and embed what is not in it."""
        cache = FeatureCache(self._cache_folder, self._fingerprint(), self.n_features_out_)
        rows_of = {}
        for row in range(len(source)):
            rows_of.setdefault(source.digest(row), []).append(row)
        missing = {}
        for digest, rows in rows_of.items():
            cached = cache.get(digest)
            if cached is None:
                missing[rows[0]] = rows
            else:
                features[rows] = cached
        for first_rows, digests, values in self._embed(source, np.array(list(missing), dtype=int)):
            for row, digest, value in zip(first_rows, digests, values, strict=True):
                features[missing[row]] = value
                cache.put(digest, value)

    def _embed(self, source, rows):
        """Yield the rows of a batch, the hashes of their images, and their features."""
        from_files = isinstance(source, FileSource)
        device = resolve_device(self.device)
        precision = resolve_precision(self.precision, device)
        backbone = on_device(self.backbone_, device)
        transform = eval_transform(self.input_spec_)
        normalize = Normalize(self.input_spec_.mean, self.input_spec_.std).to(device)

        def embed(images):
            with torch.inference_mode(), autocast(precision, device):
                images = images.to(device, non_blocking=True)
                if not from_files:  # files were transformed one by one
                    images = transform(images)
                return backbone(normalize(images)).float().cpu().numpy()

        batches = self._file_batches if from_files else self._array_batches
        is_quiet = not self.verbose or not len(rows)
        with progress_bar(total=len(rows), unit="image", disable=is_quiet) as progress:
            for batch_rows, digests, images in batches(source, rows):
                features = embed(images)
                finite = np.isfinite(features).all(axis=1)
                if not finite.all():
                    name = source.name(batch_rows[finite.argmin()])
                    raise ValueError(f"The backbone gave features of {name} that are not finite.")
                yield batch_rows, digests, features
                progress.update(len(batch_rows))

    def _array_batches(self, source, rows):
        for start in range(0, len(rows), self.batch_size):
            batch_rows = rows[start : start + self.batch_size]
            yield batch_rows, map(source.digest, batch_rows), source.batch(batch_rows)

    def _file_batches(self, source, rows):
        batches = DataLoader(
            _DecodedFiles(source, rows, eval_transform(self.input_spec_)),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            collate_fn=_collate,
            pin_memory=resolve_device(self.device).type == "cuda",
            generator=torch.Generator(),  # a loader draws from it even where nothing is shuffled
        )
        for batch in batches:
            if isinstance(batch, BadImageError):
                raise batch
            yield batch


class _DecodedFiles(Dataset):
    """Row number, hash and transformed image of each file, or the error it gave.

    An error that is returned reaches the user as it is; one that is raised in a worker process
    would arrive wrapped in that process's traceback.
    """

    def __init__(self, source, rows, transform):
        self.source = source
        self.rows = rows
        self.transform = transform

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row = self.rows[index]
        try:
            image, digest = self.source.load(row)
        except BadImageError as error:
            return error
        return row, digest, self.transform(image)


def _collate(samples):
    error = next((sample for sample in samples if isinstance(sample, BadImageError)), None)
    if error is not None:
        return error
    rows, digests, images = zip(*samples, strict=True)
    return np.array(rows), digests, torch.stack(images)


def _height_and_width(size):
    sides = (size, size) if isinstance(size, Integral) else tuple(size)
    if len(sides) != 2:
        raise ValueError(f"image_size must be one side, or height and width; got {size!r}.")
    return sides
