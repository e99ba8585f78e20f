"""Which candidates are near enough to the target classes, and not too near."""

from dataclasses import replace
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from ltlearn.curation._types import Verdict
from ltlearn.utils._compat import HasMethods, Interval, StrOptions, _fit_context

# No similarity threshold of duplicates is above this: identical images embed identically only up
# to rounding.
IDENTICAL = 0.9999


class FeatureFilter(BaseEstimator):
    """Keep candidates near their anchor's prototype; drop duplicates and whatever could leak.

    Similarity is the cosine between feature vectors; the prototype of a target class is the
    normalized mean of its training samples' normalized features. A candidate is dropped, in this
    order, when it

    1. cannot be used (undecodable, not fetched);
    2. is a near-duplicate of a training sample or of protected data (the leak guard): its
       similarity to one is at least the *duplicate* threshold;
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
        nearer than that share of them.
    duplicate_similarity : float or None, default=None
        The duplicate threshold; the paper's is 0.98. None sets it by ``duplicate_quantile``.
    duplicate_quantile : float, default=0.95
        The duplicate threshold is this quantile of the similarities between training samples and
        their nearest neighbors among each other, but at most 0.9999.
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
        "min_share": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        features,
        *,
        anchor_similarity=None,
        anchor_quantile=0.95,
        duplicate_similarity=None,
        duplicate_quantile=0.95,
        min_share=0.25,
    ):
        self.features = features
        self.anchor_similarity = anchor_similarity
        self.anchor_quantile = anchor_quantile
        self.duplicate_similarity = duplicate_similarity
        self.duplicate_quantile = duplicate_quantile
        self.min_share = min_share

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, protected=None):
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
            When there are fewer than two target classes.
        """
        y = np.asarray(y)
        names, codes = np.unique(y, return_inverse=True)
        if len(names) < 2:
            raise ValueError(f"There must be at least two target classes; got {len(names)}.")
        if self.features != "passthrough":
            self.features_ = clone(self.features).fit(X)
        training = self._embed(X)
        sums = np.zeros((len(names), training.shape[1]))
        np.add.at(sums, codes, training)
        self.target_names_ = names.tolist()
        self.prototypes_ = normalize(sums)
        self.anchor_thresholds_ = self._anchor_thresholds(training, codes)
        self.duplicate_threshold_ = self._duplicate_threshold(training)
        blocks = {"training": training}
        blocks |= {name: self._embed(data) for name, data in (protected or {}).items()}
        self._protected = np.concatenate(list(blocks.values()))
        self._protected_labels = [
            f"{name}[{row}]" for name, block in blocks.items() for row in range(len(block))
        ]
        return self

    def decide(self, candidates, anchors):
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
        """
        verdicts = [Verdict(False, candidate.problem) for candidate in candidates]
        usable = [i for i, candidate in enumerate(candidates) if not candidate.problem]
        if not usable:
            return verdicts
        features = self._embed(_stack([candidates[i].item for i in usable]))
        names = np.array([candidates[i].name for i in usable])
        judged = self._drop_repeats(self._judge(features, names, anchors), features)
        for i, verdict in zip(usable, judged, strict=True):
            verdicts[i] = verdict
        return verdicts

    def _judge(self, features, names, anchors):
        """Verdicts on usable candidates, one by one."""
        leaks = self._leaks(features)
        verdicts = [None] * len(names)
        for name in np.unique(names):
            rows = np.flatnonzero(names == name)
            targets = np.flatnonzero(np.isin(self.target_names_, anchors[name]))
            similarity = features[rows] @ self.prototypes_[targets].T
            near = similarity >= self.anchor_thresholds_[targets]
            share = near.mean(axis=0)
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
                    reason = f"{share[best]:.0%} of the class are near {anchor}: too few"
                else:
                    threshold = self.anchor_thresholds_[targets[best]]
                    reason = f"not near {anchor}: below {threshold:.3f}"
                keep = bool(near_names) and row not in leaks
                verdicts[row] = Verdict(
                    keep, reason, anchor, float(similarity[i, best]), near_names
                )
        return verdicts

    def _drop_repeats(self, verdicts, features):
        """Turn verdicts on near-duplicates of kept candidates before them into rejections."""
        kept = [row for row, verdict in enumerate(verdicts) if verdict.keep]
        if len(kept) < 2:
            return verdicts
        search = NearestNeighbors(radius=1 - self.duplicate_threshold_, metric="cosine")
        distances, neighbors = search.fit(features[kept]).radius_neighbors()
        for i, row in enumerate(kept):
            if not verdicts[row].keep:
                continue
            for j, distance in zip(neighbors[i].tolist(), distances[i], strict=True):
                if j > i and verdicts[kept[j]].keep:
                    reason = f"near-duplicate of an earlier candidate (cosine {1 - distance:.4f})"
                    verdicts[kept[j]] = replace(verdicts[kept[j]], keep=False, reason=reason)
        return verdicts

    def _embed(self, X):
        """Normalized features of images, paths or rows."""
        features = X if self.features == "passthrough" else self.features_.transform(X)
        return normalize(np.asarray(features, dtype=np.float64))

    def _anchor_thresholds(self, training, codes):
        n_targets = len(self.prototypes_)
        if self.anchor_similarity is not None:
            return np.full(n_targets, self.anchor_similarity)
        similarity = training @ self.prototypes_.T
        return np.array(
            [
                np.quantile(similarity[codes != target, target], self.anchor_quantile)
                for target in range(n_targets)
            ]
        )

    def _duplicate_threshold(self, training):
        if self.duplicate_similarity is not None:
            return self.duplicate_similarity
        nearest = NearestNeighbors(n_neighbors=1, metric="cosine").fit(training)
        distances, _ = nearest.kneighbors()
        return float(min(np.quantile(1 - distances, self.duplicate_quantile), IDENTICAL))

    def _leaks(self, features):
        """Maps rows that are near-duplicates of protected data to the reason."""
        nearest, distances = pairwise_distances_argmin_min(
            features, self._protected, metric="cosine"
        )
        return {
            row: f"near-duplicate of {self._protected_labels[nearest[row]]} "
            f"(cosine {1 - distances[row]:.4f})"
            for row in np.flatnonzero(1 - distances >= self.duplicate_threshold_).tolist()
        }


def _stack(items):
    """Paths as a list, feature rows as an array."""
    return items if isinstance(items[0], str) else np.stack(items)
