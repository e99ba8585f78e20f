"""Head, middle and tail of a training set, kept so that any later label can be placed in them.

A band says how much *training* data a label had. It is therefore built once from the training
labels and then applied to the labels of a test set, whose own frequencies do not matter.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.metrics._scores import as_scores
from ltlearn.utils._checks import (
    MAX_BINS,
    check_class_labels,
    check_number_per_sample,
    check_numbers,
    check_thresholds,
)
from ltlearn.utils._compat import Interval, validate_params
from ltlearn.weighting._density import binned_density, is_constant

SHOT_NAMES = ("many", "medium", "few")
_MANY, _MEDIUM, _FEW = range(3)


def _shot_codes(amounts, many_above, few_below):
    check_thresholds(many_above, few_below)
    return np.where(amounts > many_above, _MANY, np.where(amounts < few_below, _FEW, _MEDIUM))


def _histogram(y, bins):
    """Counts and edges as :func:`numpy.histogram` gives them, also where it cannot halve bins."""
    try:
        return np.histogram(y, bins=bins)
    except ValueError as error:
        raise ValueError(f"y cannot be divided into bins={bins}: {error}") from error


@dataclass(frozen=True, repr=False)
class LabelBands:
    """Bands of a continuous label.

    Build them from training labels with :meth:`from_percentiles`, :meth:`from_density` or
    :meth:`from_bin_counts`. Score distributions of shape (n_samples, n_bins) stand for their
    expected scores, bins scored 1, 2, ..., n_bins (:func:`expected_score` takes other scores).

    Parameters
    ----------
    names : tuple of str
        Band names, in the order of the codes that :meth:`assign` returns.
    boundaries : tuple of float
        Increasing cuts of the label axis into intervals. A label equal to a boundary belongs to
        the interval on its left.
    codes : tuple of int
        The band of each of the ``len(boundaries) + 1`` intervals; a band may own several.
    counts : dict of str to int
        Number of training labels in each band.

    See Also
    --------
    ClassBands : The counterpart for classes.

    Examples
    --------
    >>> from ltlearn.metrics import LabelBands
    >>> bands = LabelBands.from_percentiles([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    >>> bands
    LabelBands(counts={'0-20': 3, '20-80': 5, '80-100': 3})
    >>> bands.assign([3, 5, 100])
    array([0, 1, 2])
    """

    names: tuple
    boundaries: tuple
    codes: tuple
    counts: dict

    @classmethod
    def _from_intervals(cls, y, names, boundaries, codes):
        """Merge neighboring intervals of the same band and count the labels ``y``."""
        boundaries, codes = np.asarray(boundaries, dtype=np.float64), np.asarray(codes)
        last_of_run = np.flatnonzero(np.diff(codes))
        boundaries = tuple(boundaries[last_of_run].tolist())
        codes = tuple(codes[[*last_of_run, -1]].tolist())
        assigned = cls(names, boundaries, codes, {}).assign(y)
        totals = np.bincount(assigned, minlength=len(names)).tolist()
        return cls(names, boundaries, codes, dict(zip(names, totals, strict=True)))

    @classmethod
    @validate_params(
        {"y": ["array-like"], "percentiles": ["array-like"]}, prefer_skip_nested_validation=True
    )
    def from_percentiles(
        cls, y: ArrayLike, percentiles: Sequence[float] = (20, 80)
    ) -> "LabelBands":
        """Bands between percentiles of the training labels, named like ``"20-80"``.

        A label on a border belongs to the outer band, so that neither tail is empty on the
        training labels. Only where a lower and an upper border coincide, because one label value
        holds more than the share between them, does that value belong to the middle.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_bins)
            Training labels or score distributions.
        percentiles : sequence of float, default=(20, 80)
            Strictly increasing, inside (0, 100). Those below 50 are lower borders.

        Returns
        -------
        bands : LabelBands

        Raises
        ------
        ValueError
            When ``percentiles`` does not increase strictly between 0 and 100.

        Examples
        --------
        >>> from ltlearn.metrics import LabelBands
        >>> LabelBands.from_percentiles([0, 0, 0, 0, 0, 0, 0, 0, 0, 7], percentiles=(20, 80))
        LabelBands(counts={'0-20': 0, '20-80': 9, '80-100': 1})
        """
        y = as_scores(y, "y")
        percentiles = check_numbers(percentiles, "percentiles", ensure_min_samples=0).ravel()
        limits = np.array([0.0, *percentiles, 100.0])
        if not np.all(np.diff(limits) > 0):
            raise ValueError(
                f"percentiles must increase strictly between 0 and 100, got {percentiles.tolist()}."
            )
        values = np.percentile(y, percentiles)
        is_lower = percentiles < 50
        coincide = np.isin(values, np.intersect1d(values[is_lower], values[~is_lower]))
        left_closed = is_lower ^ coincide
        boundaries = np.where(left_closed, values, np.nextafter(values, -np.inf))
        texts = [f"{limit:g}" for limit in limits]
        if len(set(texts)) < len(texts):
            texts = [repr(limit) for limit in limits.tolist()]
        names = tuple(f"{low}-{high}" for low, high in pairwise(texts))
        return cls._from_intervals(y, names, boundaries, np.arange(len(names)))

    @classmethod
    @validate_params(
        {"y": ["array-like"], "bandwidth": [Interval(Real, 0, None, closed="neither"), None]},
        prefer_skip_nested_validation=True,
    )
    def from_density(
        cls,
        y: ArrayLike,
        *,
        many_above: float = 0.8,
        few_below: float = 0.2,
        bandwidth: float | None = None,
    ) -> "LabelBands":
        """Many, medium and few by the smoothed density of the training labels.

        The thresholds are relative to the density that the labels would have if they were spread
        evenly over their effective range ``1 / ∫ p(y)² dy`` (the full range when they are even):
        a label is few where ``p(y) · range < few_below`` and many where it is above
        ``many_above``. The defaults carry over the published thresholds of 20 and 100 samples
        per bin [1]_, which were set on data with a little over 100 samples per bin. Unlike
        counts, they mean the same for any number of samples, unit of the label or width of bin,
        and the effective range does not grow with a few extreme labels. Of a normal
        distribution 71 % of the samples are many and 5 % few; of an exponential one 60 % and
        10 %.

        Labels up to one bandwidth outside the training range belong to the band at that end;
        further out there was no training data and they are few.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_bins)
            Training labels or score distributions.
        many_above, few_below : float, default=0.8 and 0.2
            Thresholds on the relative density.
        bandwidth : float, default=None
            Passed to :func:`~ltlearn.weighting.label_density`.

        Returns
        -------
        bands : LabelBands

        Raises
        ------
        ValueError
            When ``few_below`` is greater than ``many_above``.

        Notes
        -----
        With fewer than about 15 labels a single one can already count as medium.

        References
        ----------
        .. [1] Y. Yang, K. Zha, Y.-C. Chen, H. Wang and D. Katabi, "Delving into Deep Imbalanced
           Regression", ICML 2021, section 4.

        Examples
        --------
        >>> import numpy as np
        >>> from ltlearn.metrics import LabelBands
        >>> y = np.random.default_rng(0).exponential(size=1000)
        >>> bands = LabelBands.from_density(y)
        >>> bands.names[bands.assign([0.1])[0]], bands.names[bands.assign([4.0])[0]]
        ('many', 'few')
        """
        y = as_scores(y, "y")
        if is_constant(y):
            relative, edges = np.ones(1), np.array([np.min(y), np.max(y)])
        else:
            binned = binned_density(y, bandwidth)
            # The bins that are wider hold nothing.
            effective_range = 1 / (np.sum(binned.density**2) * binned.width)
            relative = binned.density * effective_range
            edges = binned.edges
            edges[0], edges[-1] = edges[0] - binned.bandwidth, edges[-1] + binned.bandwidth
            edges = np.ldexp(edges, binned.exponent)
        return cls._from_bins(y, edges, _shot_codes(relative, many_above, few_below))

    @classmethod
    @validate_params(
        {
            "y": ["array-like"],
            "bins": [Interval(Integral, 1, MAX_BINS, closed="both"), "array-like"],
        },
        prefer_skip_nested_validation=True,
    )
    def from_bin_counts(
        cls,
        y: ArrayLike,
        bins: int | Sequence[float],
        *,
        many_above: float = 100,
        few_below: float = 20,
    ) -> "LabelBands":
        """Many, medium and few by the number of training labels per bin.

        The published protocol [1]_: bins of one year for ages, of 0.1 for similarity scores.
        Labels outside all bins are few.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_bins)
            Training labels or score distributions.
        bins : int or sequence of float
            Number of bins, up to a million, or their edges, as for :func:`numpy.histogram`.
        many_above, few_below : float, default=100 and 20
            Bins with more, respectively fewer, training labels.

        Returns
        -------
        bands : LabelBands

        Raises
        ------
        ValueError
            When ``few_below`` is greater than ``many_above``, or edges do not increase.

        References
        ----------
        .. [1] Y. Yang, K. Zha, Y.-C. Chen, H. Wang and D. Katabi, "Delving into Deep Imbalanced
           Regression", ICML 2021, section 4.

        Examples
        --------
        >>> from ltlearn.metrics import LabelBands
        >>> ages = [30] * 150 + [60] * 50 + [90] * 3
        >>> LabelBands.from_bin_counts(ages, bins=range(0, 121))
        LabelBands(counts={'many': 150, 'medium': 50, 'few': 3})
        """
        y = as_scores(y, "y")
        if not isinstance(bins, Integral):
            bins = check_number_per_sample(bins, "bins")
            if len(bins) < 2 or not np.all(np.diff(bins) > 0):
                raise ValueError("bins must be a number, or at least two edges that increase.")
        counts, edges = _histogram(y, bins)
        return cls._from_bins(y, edges, _shot_codes(counts, many_above, few_below))

    @classmethod
    def _from_bins(cls, y, edges, codes):
        # Bins hold their left edge, the last one both; beyond them nothing was seen.
        boundaries = [*np.nextafter(edges[:-1], -np.inf), edges[-1]]
        return cls._from_intervals(y, SHOT_NAMES, boundaries, [_FEW, *codes, _FEW])

    @property
    def intervals(self):
        """List of (name, lower end, upper end), from -inf to inf."""
        ends = (-np.inf, *self.boundaries, np.inf)
        return [
            (self.names[code], low, high)
            for code, (low, high) in zip(self.codes, pairwise(ends), strict=True)
        ]

    def assign(self, y: ArrayLike) -> np.ndarray:
        """Place labels in the bands.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_bins)
            Any labels or score distributions, not only training ones.

        Returns
        -------
        codes : ndarray of shape (n_samples,)
            Index into ``names``.
        """
        return np.asarray(self.codes)[np.searchsorted(self.boundaries, as_scores(y, "y"))]

    def to_dict(self) -> dict[str, Any]:
        """The four parameters as a dict of plain Python values; ``LabelBands(**d)`` is equal."""
        return asdict(self)

    def __repr__(self):
        return f"{type(self).__name__}(counts={self.counts})"


class ClassBands:
    """Many, medium and few classes by their number of training samples.

    Parameters
    ----------
    classes : array-like of shape (n_classes,)
        Distinct class labels.
    class_counts : array-like of shape (n_classes,)
        Number of training samples of each class.
    many_above, few_below : float, default=100 and 20
        Classes with more, respectively fewer, training samples [1]_.

    Attributes
    ----------
    names : tuple of str
        ``("many", "medium", "few")``.
    counts : dict of str to int
        Number of training samples in each band.

    Raises
    ------
    ValueError
        When ``classes`` and ``class_counts`` differ in length or a class occurs twice.

    See Also
    --------
    LabelBands : The counterpart for continuous labels.

    References
    ----------
    .. [1] Z. Liu, Z. Miao, X. Zhan, J. Wang, B. Gong and S. X. Yu, "Large-Scale Long-Tailed
       Recognition in an Open World", CVPR 2019.

    Examples
    --------
    >>> from ltlearn.metrics import ClassBands
    >>> bands = ClassBands(["cat", "lynx"], [500, 7])
    >>> bands
    ClassBands(counts={'many': 500, 'medium': 0, 'few': 7})
    >>> bands.assign(["lynx", "cat", "never seen"])
    array([2, 0, 2])
    """

    names = SHOT_NAMES

    def __init__(
        self,
        classes: ArrayLike,
        class_counts: ArrayLike,
        *,
        many_above: float = 100,
        few_below: float = 20,
    ) -> None:
        classes = check_class_labels(classes, "classes")
        class_counts = check_class_labels(class_counts, "class_counts")
        counts = check_number_per_sample(class_counts, "class_counts")
        if np.any(counts < 0):
            raise ValueError(f"class_counts must not be negative, got {np.min(counts):g}.")
        if classes.shape != class_counts.shape or len(np.unique(classes)) != len(classes):
            raise ValueError(
                "classes must be distinct and class_counts must hold one count for each: "
                f"got {len(classes)} classes and {len(class_counts)} counts."
            )
        order = np.argsort(classes)
        self.classes = classes[order]
        self.class_counts = class_counts[order]
        self.many_above = many_above
        self.few_below = few_below
        self._codes = _shot_codes(self.class_counts, many_above, few_below)

    @classmethod
    def from_labels(
        cls, y: ArrayLike, *, many_above: float = 100, few_below: float = 20
    ) -> "ClassBands":
        """Bands from training labels.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Training labels.
        many_above, few_below : float, default=100 and 20
            Classes with more, respectively fewer, training samples.

        Returns
        -------
        bands : ClassBands
        """
        classes, class_counts = np.unique(check_class_labels(y, "y"), return_counts=True)
        return cls(classes, class_counts, many_above=many_above, few_below=few_below)

    @property
    def counts(self):
        """Number of training samples in each band."""
        return {
            name: int(np.sum(self.class_counts[self._codes == code]))
            for code, name in enumerate(self.names)
        }

    def assign(self, y: ArrayLike) -> np.ndarray:
        """Place class labels in the bands.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Class labels. A class without training samples is few.

        Returns
        -------
        codes : ndarray of shape (n_samples,)
            Index into ``names``.

        Raises
        ------
        ValueError
            When labels are strings and classes numbers, or the other way round.
        """
        y = check_class_labels(y, "y")
        check_same_kind(y, self.classes, "y", "classes")
        position = np.minimum(np.searchsorted(self.classes, y), len(self.classes) - 1)
        return np.where(self.classes[position] == y, self._codes[position], _FEW)

    def __repr__(self):
        return f"{type(self).__name__}(counts={self.counts})"


def check_same_kind(y, classes, name="y", name_of_classes="classes"):
    """Raise where some labels are strings and others numbers, which are never equal."""
    # Only arrays of objects can hold labels of several kinds.
    to_see = [labels if labels.dtype == object else labels[:1] for labels in (y, classes)]
    if len({isinstance(label, str) for labels in to_see for label in labels}) > 1:
        raise ValueError(
            f"{name} and {name_of_classes} must all be strings or all be numbers: got labels such "
            f"as {y.tolist()[0]!r} for classes such as {classes.tolist()[0]!r}."
        )


def warn_about_empty_bands(names, stacklevel):
    """Warn, at the caller's ``stacklevel``, that a metric is NaN in the bands ``names``."""
    if names:
        warnings.warn(
            f"No sample falls in {', '.join(map(repr, names))}; the metric is NaN there.",
            EmptyBandWarning,
            stacklevel=stacklevel,
        )
