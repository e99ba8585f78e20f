"""Which candidates are near enough to the target classes, and not too near."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted

from ltlearn.curation._types import Candidate, Verdict
from ltlearn.images import FileSource, as_image_source
from ltlearn.utils._compat import HasMethods, Interval, StrOptions, _fit_context
from ltlearn.utils._estimator import BaseEstimator
from ltlearn.utils._typing import RowsLike

# No duplicate threshold that is read off the data is above this: identical images embed identically
# only up to rounding, which may differ from batch to batch.
IDENTICAL = 0.9999

# Cosines of identical vectors are this near to 1.
ROUNDING = 1e-6

# Side of the thumbnails in which copies are looked for.
THUMBNAIL = 8


class FeatureFilter(BaseEstimator):
    """Keep candidates near their anchor's prototype; drop duplicates and whatever could leak.

    Similarity is the cosine between feature vectors; the prototype of a target class is the
    normalized mean of its training samples' normalized features. A candidate is dropped, in this
    order, when it

    1. cannot be used (undecodable, not fetched);
    2. is a near-duplicate of a training sample or of protected data (the leak guard): its
       similarity to one is at least the *duplicate* threshold, or, for images, the correlation of
       their grey 8 x 8 thumbnails is at least ``pixel_similarity``;
    3. is near none of its class's anchors: its similarity to the anchor's prototype is below the
       *anchor* threshold, or the whole class is not a neighbor of the anchor, since fewer than
       ``min_share`` of its candidates are near it;
    4. is a near-duplicate of a candidate that comes before it.

    Parameters
    ----------
    features : transformer or "passthrough"
        Turns what is curated (arrays of images, lists of paths) into (n, D) features, e.g.
        :class:`~ltlearn.BackboneFeatures`; with its ``cache``, no image is embedded twice. A clone
        of it is fitted on the training data. ``"passthrough"`` is for data that are feature rows
        already.
    anchor_similarity : float or None, default=None
        The anchor threshold; the paper's is 0.7. None sets it by ``anchor_quantile``.
    anchor_quantile : float, default=0.95
        The anchor threshold of a target class is this quantile of the similarities between its
        prototype and the training samples of all other target classes: a candidate has to be
        nearer than that share of them. The default fits target classes that are unlike each other.
        The more alike they are (species of one family), the lower it has to be, 0.8 for instance;
        else only what is nearer to them than they are to each other is kept.
    duplicate_similarity : float or None, default=None
        The duplicate threshold; the paper's is 0.98. None sets it by ``duplicate_quantile``.
    duplicate_quantile : float, default=0.99
        The duplicate threshold is this quantile of the similarities between training samples and
        their nearest neighbors among each other, but at most 0.9999.
    pixel_similarity : float or None, default=0.98
        The threshold on thumbnails. They find copies that were resized or compressed again, which
        features often do not: of 1500 test images of CIFAR-100, all were above 0.98 to themselves
        after JPEG at quality 50, and 1 % were above 0.97 to the most similar of 12,000 others.
        None compares no thumbnails. The paper has no such rule. Feature rows have no thumbnails.
    min_share : float, default=0.25
        Share of a class's usable candidates that must be near an anchor for the class to be its
        neighbor. The paper has no such rule; 0 turns it off.

    Attributes
    ----------
    features_ : transformer
        The fitted clone; absent for ``"passthrough"``.
    target_names_ : list of str
    prototypes_ : ndarray of shape (n_targets, D)
        In the order of ``target_names_``.
    anchor_thresholds_ : ndarray of shape (n_targets,)
    duplicate_threshold_ : float

    Notes
    -----
    The paper's thresholds (Zhao et al., CVPR 2025, "Granularity Matters in Long-Tail Learning",
    data curation) belong to DINOv2. Cosines of other backbones have other ranges, so the default
    thresholds are read off the training data. They depend on it alone: more candidates do not
    move them.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.curation import Candidate, FeatureFilter
    >>> X = np.array([[1, 0.1], [1, -0.1], [0.1, 1], [-0.1, 1]])
    >>> judge = FeatureFilter("passthrough", anchor_similarity=0.7, duplicate_similarity=0.999)
    >>> judge = judge.fit(X, ["east", "east", "north", "north"])
    >>> pool = [Candidate("northeast", f"row {i}", row) for i, row in enumerate(
    ...     np.array([[1, 0.8], [-1, 0.2], [0.1, 1]]))]
    >>> for verdict in judge.decide(pool, {"northeast": ["east", "north"]}):
    ...     print(verdict.keep, verdict.reason)
    True near east
    False not near north: below 0.700
    False near-duplicate of training[2] (cosine 1.0000)
    """

    _parameter_constraints = {
        "features": [HasMethods(["fit", "transform"]), StrOptions({"passthrough"})],
        "anchor_similarity": [Interval(Real, -1, 1, closed="both"), None],
        "anchor_quantile": [Interval(Real, 0, 1, closed="both")],
        "duplicate_similarity": [Interval(Real, -1, 1, closed="both"), None],
        "duplicate_quantile": [Interval(Real, 0, 1, closed="both")],
        "pixel_similarity": [Interval(Real, -1, 1, closed="both"), None],
        "min_share": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        features: Any,
        *,
        anchor_similarity: float | None = None,
        anchor_quantile: float = 0.95,
        duplicate_similarity: float | None = None,
        duplicate_quantile: float = 0.99,
        pixel_similarity: float | None = 0.98,
        min_share: float = 0.25,
    ) -> None:
        self.features = features
        self.anchor_similarity = anchor_similarity
        self.anchor_quantile = anchor_quantile
        self.duplicate_similarity = duplicate_similarity
        self.duplicate_quantile = duplicate_quantile
        self.pixel_similarity = pixel_similarity
        self.min_share = min_share

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: RowsLike, y: Sequence[str], *, protected: dict[str, Any] | None = None
    ) -> "FeatureFilter":
        """Learn prototypes and thresholds.

        Parameters
        ----------
        X : array-like
            Training data of the target classes: whatever ``features`` takes.
        y : sequence of str
            Names of their classes.
        protected : dict, default=None
            Further data that must not be among the auxiliary data, by name, e.g.
            ``{"validation": X_val, "test": X_test}``.

        Returns
        -------
        self : FeatureFilter

        Raises
        ------
        ValueError
            When there are fewer than two target classes, or protected data is empty.
        """
        names, codes = np.unique(np.asarray(y), return_inverse=True)
        if len(names) < 2:
            raise ValueError(f"There must be at least two target classes; got {len(names)}.")
        protected = protected or {}
        empty = [name for name, block in protected.items() if len(block) == 0]
        if empty:
            raise ValueError(f"There is nothing to protect in {', '.join(empty)}: leave it out.")
        if self.features != "passthrough":
            self.features_ = clone(self.features).fit(X)
        training = self._embed(X)
        sums = np.zeros((len(names), training.shape[1]))
        np.add.at(sums, codes, training)
        self.target_names_ = names.tolist()
        self.prototypes_ = normalize(sums)
        similarity = training @ self.prototypes_.T
        self._others = [np.sort(similarity[codes != i, i]) for i in range(len(names))]
        self.anchor_thresholds_ = self._anchor_thresholds()
        self.duplicate_threshold_ = self._duplicate_threshold(training)
        blocks = [X, *protected.values()]
        self._protected_labels = [
            f"{name}[{row}]"
            for name, block in zip(["training", *protected], blocks, strict=True)
            for row in range(len(block))
        ]
        embedded = np.concatenate([training, *map(self._embed, protected.values())])
        self._guards = [_Guard("cosine", self.duplicate_threshold_, embedded)]
        if self.pixel_similarity is not None and not are_rows(X):
            pixels = np.concatenate([thumbnails(block) for block in blocks])
            self._guards.append(_Guard("pixels", self.pixel_similarity, pixels))
        return self

    def decide(self, candidates: Sequence[Candidate], anchors: dict[str, Any]) -> list[Verdict]:
        """Judge candidates.

        Parameters
        ----------
        candidates : sequence of Candidate
        anchors : dict
            Maps the name of each auxiliary class to the names of the target classes that it may
            be a neighbor of.

        Returns
        -------
        verdicts : list of Verdict
            In the order of the candidates.

        Raises
        ------
        ValueError
            When a class has no anchors, or one that is not a target class.
        """
        check_is_fitted(self)
        for name, targets in anchors.items():
            if not targets or not set(targets) <= set(self.target_names_):
                raise ValueError(
                    f"The anchors of {name!r} are {list(targets)}; they must be one or more of the "
                    f"target classes {', '.join(self.target_names_)}."
                )
        verdicts = [Verdict(False, candidate.problem) for candidate in candidates]
        usable = [i for i, candidate in enumerate(candidates) if not candidate.problem]
        if not usable:
            return verdicts
        items = _stack([candidates[i].item for i in usable])
        names = np.array([candidates[i].name for i in usable])
        features = self._embed(items)
        views = [features] if len(self._guards) == 1 else [features, thumbnails(items)]
        judged = self._judge(features, names, anchors, self._leaks(views))
        for guard, view in zip(self._guards, views, strict=True):
            guard.drop_repeats(judged, view)
        for i, verdict in zip(usable, judged, strict=True):
            verdicts[i] = verdict
        return verdicts

    def _judge(self, features, names, anchors, leaks):
        """Verdicts on usable candidates, one by one."""
        verdicts = [None] * len(names)
        for name in np.unique(names):
            rows = np.flatnonzero(names == name)
            targets = np.flatnonzero(np.isin(self.target_names_, anchors[name]))
            similarity = features[rows] @ self.prototypes_[targets].T
            near = similarity >= self.anchor_thresholds_[targets]
            share = near.mean(axis=0)
            some = near[:, share >= self.min_share].any()
            looser = "" if some else self._looser(similarity, targets)
            for i, row in enumerate(rows.tolist()):
                best = similarity[i].argmax()
                anchor = self.target_names_[targets[best]]
                chosen = targets[near[i] & (share >= self.min_share)]
                near_names = tuple(self.target_names_[target] for target in chosen)
                if row in leaks:
                    reason = leaks[row]
                elif near_names:
                    reason = f"near {', '.join(near_names)}"
                elif near[i].any():
                    most = np.where(near[i], share, 0).argmax()
                    target = self.target_names_[targets[most]]
                    reason = f"{share[most]:.0%} of the class are near {target}: too few"
                else:
                    threshold = self.anchor_thresholds_[targets[best]]
                    reason = f"not near {anchor}: below {threshold:.3f}{looser}"
                keep = bool(near_names) and row not in leaks
                verdicts[row] = Verdict(
                    keep, reason, anchor, float(similarity[i, best]), near_names
                )
        return verdicts

    def _embed(self, X):
        """Normalized features of images, paths or rows."""
        features = X if self.features == "passthrough" else self.features_.transform(X)
        return normalize(np.asarray(features))

    def _looser(self, similarity, targets):
        """At which ``anchor_quantile`` enough of a class would be near one of its anchors."""
        if self.anchor_similarity is not None:
            return ""
        needed = max(1, math.ceil(self.min_share * len(similarity)))
        quantiles = []
        for target, column in zip(targets, similarity.T, strict=True):
            others = self._others[target]
            # The largest quantile of the others that is surely not above what suffices.
            rank = np.searchsorted(others, np.sort(column)[-needed], side="right") - 1
            quantiles.append(rank / max(1, len(others) - 1))
        quantile = math.floor(100 * max(quantiles)) / 100
        return f" (enough of the class are at anchor_quantile={quantile:g})" if quantile > 0 else ""

    def _anchor_thresholds(self):
        if self.anchor_similarity is not None:
            return np.full(len(self.prototypes_), self.anchor_similarity)
        return np.array([np.quantile(others, self.anchor_quantile) for others in self._others])

    def _duplicate_threshold(self, training):
        if self.duplicate_similarity is not None:
            return self.duplicate_similarity
        nearest = NearestNeighbors(n_neighbors=1, metric="cosine").fit(training)
        distances, _ = nearest.kneighbors()
        return float(min(np.quantile(1 - distances, self.duplicate_quantile), IDENTICAL))

    def _leaks(self, views):
        """Maps rows that are near-duplicates of protected data to the reason."""
        leaks = {}
        for guard, view in zip(self._guards, views, strict=True):
            for row, protected, similarity in guard.find_leaks(view):
                label = self._protected_labels[protected]
                reason = f"near-duplicate of {label} ({guard.name} {similarity:.4f})"
                leaks.setdefault(row, reason)
        return leaks


@dataclass
class _Guard:
    """Finds near-duplicates in one view of the data.

    Parameters
    ----------
    name : str
        Of the similarity, for reasons.
    threshold : float
        Cosine from which on two samples are near-duplicates.
    protected : ndarray of shape (n, D)
        Vectors of length 1 that must not be repeated.
    """

    name: str
    threshold: float
    protected: np.ndarray

    def find_leaks(self, vectors):
        """Yield (row, nearest protected row, similarity) of near-duplicates of protected data."""
        nearest, distances = pairwise_distances_argmin_min(vectors, self.protected, metric="cosine")
        for row in np.flatnonzero(1 - distances >= self.threshold - ROUNDING).tolist():
            yield row, nearest[row], 1 - distances[row]

    def drop_repeats(self, verdicts, vectors):
        """Turn verdicts on near-duplicates of kept candidates before them into rejections."""
        kept = [row for row, verdict in enumerate(verdicts) if verdict.keep]
        if len(kept) < 2:
            return
        radius = 1 - self.threshold + ROUNDING
        search = NearestNeighbors(radius=radius, metric="cosine").fit(vectors[kept])
        distances, neighbors = search.radius_neighbors()
        for i, row in enumerate(kept):
            if not verdicts[row].keep:
                continue
            for j, distance in zip(neighbors[i].tolist(), distances[i], strict=True):
                later = kept[j]
                if j > i and verdicts[later].keep:
                    reason = (
                        f"near-duplicate of an earlier candidate ({self.name} {1 - distance:.4f})"
                    )
                    verdicts[later] = replace(verdicts[later], keep=False, reason=reason)


def thumbnails(X):
    """Grey thumbnails of images as centered vectors of length 1, whose cosine is a correlation.

    Parameters
    ----------
    X : array-like
        Images or paths, as :func:`ltlearn.images.as_image_source` takes them.

    Returns
    -------
    vectors : ndarray of shape (n, 64)
        Zero for an image of one color.
    """
    from PIL import Image

    source = as_image_source(X)
    size = (THUMBNAIL, THUMBNAIL)
    vectors = np.empty((len(source), THUMBNAIL * THUMBNAIL))
    for row in range(len(source)):
        image = _pil_image(source, row).convert("L").resize(size, Image.Resampling.BOX)
        vectors[row] = np.asarray(image).ravel()
    return normalize(vectors - vectors.mean(axis=1, keepdims=True))


def _pil_image(source, row):
    from PIL import Image

    if isinstance(source, FileSource):
        return source.load(row)[0]
    pixels = source.batch([row])[0].permute(1, 2, 0).numpy()
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    return Image.fromarray(pixels)


def are_rows(X):
    """Whether data is a table of numbers rather than images or paths."""
    return np.ndim(X) == 2 and np.asarray(X).dtype.kind in "biuf"


def _stack(items):
    """Paths as a list, feature rows as an array."""
    return items if isinstance(items[0], str) else np.stack(items)
