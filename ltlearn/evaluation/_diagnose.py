"""What a long-tailed label looks like, before any model is trained on it."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array, column_or_1d

from ltlearn.evaluation._rendering import html_report, text_table
from ltlearn.metrics import ClassBands, LabelBands, expected_score
from ltlearn.metrics._scores import are_distributions
from ltlearn.utils._checks import holds_dates
from ltlearn.utils._compat import Interval, StrOptions, validate_params
from ltlearn.weighting import label_density
from ltlearn.weighting._density import is_constant

_ROWS_PER_CLASS = 10
_ENOUGH_TAIL_ROWS = 30
_ENOUGH_TO_RECALIBRATE = 200
_MIN_BINS, _MAX_BINS = 5, 50
_SKEWED = 1.0
_COLUMNS = ["band", "labels", "n_samples", "share", "density", "n_validation"]


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What :func:`diagnose` found. Its ``repr`` and its HTML form are meant to be read.

    Attributes
    ----------
    task : {"regression", "distribution", "classification"}
    n_samples : int
    bands : LabelBands or ClassBands
        Many, medium and few.
    imbalance_ratio : float
        Samples of the largest over those of the smallest class; for scores, the highest over
        the lowest smoothed density at any label.
    n_bins : int or None
        Suggested number of score bins; the bins of the distributions themselves; None for
        classes.
    validation_fraction : float
        The validation part that ``findings`` speak of.
    findings, advice : tuple of str
        Sentences: what is so, and what to do about it.
    """

    task: str
    n_samples: int
    bands: LabelBands | ClassBands
    imbalance_ratio: float
    n_bins: int | None
    validation_fraction: float
    findings: tuple
    advice: tuple
    _rows: tuple

    def to_frame(self):
        """One row per band and stretch of labels.

        Returns
        -------
        DataFrame
            ``band``, ``labels`` (the labels or classes in it), ``n_samples``, ``share``,
            ``density`` (samples per unit of the label, or per class) and ``n_validation``
            (samples to expect in the validation part).
        """
        import pandas as pd

        return pd.DataFrame(self._rows, columns=_COLUMNS)

    def _cells(self):
        return [
            [band, labels, f"{n:,}", f"{share:.1%}", f"{density:.3g}", f"{n_validation:.0f}"]
            for band, labels, n, share, density, n_validation in self._rows
        ]

    def _title(self):
        kind = {
            "regression": "scores",
            "distribution": f"score distributions over {self.n_bins} bins",
            "classification": f"class labels, {len(getattr(self.bands, 'classes', ()))} distinct",
        }[self.task]
        return f"{self.n_samples:,} {kind}, imbalance ratio {self.imbalance_ratio:,.3g}"

    def __repr__(self):
        sentences = "\n".join(f"- {sentence}" for sentence in (*self.findings, *self.advice))
        return f"{self._title()}\n\n{text_table(_COLUMNS, self._cells())}\n\n{sentences}"

    def _repr_html_(self):
        sentences = (*self.findings, *self.advice)
        return html_report(self._title(), _COLUMNS, self._cells(), sentences)


@validate_params(
    {
        "y": ["array-like"],
        "task": [StrOptions({"regression", "classification"}), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "bin_centers": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def diagnose(
    y: ArrayLike,
    *,
    task: Literal["regression", "classification"] | None = None,
    validation_fraction: float = 0.1,
    bin_centers: ArrayLike | None = None,
) -> Diagnosis:
    """Describe a label before training: how long its tail is and what can be learned there.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_bins)
        Training labels: classes, scores, or score distributions.
    task : {"regression", "classification"}, default=None
        None takes strings and booleans for classes, numbers with fractions for scores, and
        whole numbers for classes if there are at least ten samples per distinct one. Score
        distributions are always regression.
    validation_fraction : float, default=0.1
        Share of the samples that you would set aside for validation.
    bin_centers : array-like of shape (n_bins,), default=None
        Scores of the bins of score distributions; None takes 1, 2, ..., n_bins. Columns count as
        score distributions when bin_centers are given, and otherwise where each row holds whole
        vote counts or shares that sum to 1.

    Returns
    -------
    Diagnosis
        Print it, or show it in a notebook.

    Raises
    ------
    ValueError
        If ``y`` is empty, not finite, or has a shape that fits no task, or not this one; if it
        holds dates, or several targets.

    See Also
    --------
    compare : Measure estimators beside the controls that they should beat.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.evaluation import diagnose
    >>> price = np.random.default_rng(0).lognormal(size=2000)
    >>> diagnosis = diagnose(price)
    >>> diagnosis.task
    'regression'
    >>> print(diagnosis.advice[-1])
    Control to beat: Recalibrator(model, method="stretch") with X_val and y_val.
    """
    if holds_dates(y):
        raise ValueError("y holds dates or durations; turn them into numbers or classes first.")
    y = np.asarray(y)
    if len(y) == 0:
        raise ValueError("y is empty: at least one label is needed.")
    if y.ndim == 2 and y.shape[1] > 1:
        if task == "classification":
            raise ValueError(
                f"y has {y.shape[1]} columns, which are score distributions: for classes pass one "
                "label per sample, such as y.argmax(axis=1)."
            )
        if bin_centers is None and y.dtype.kind in "iuf" and not are_distributions(y):
            raise ValueError(
                f"y has {y.shape[1]} columns whose rows are neither whole vote counts nor shares "
                "that sum to 1. Of several targets, diagnose one column each; if the columns are "
                "the bins of a rating distribution all the same, say so by bin_centers."
            )
        scores = expected_score(y, bin_centers=bin_centers)
        return _diagnose_scores(scores, validation_fraction, n_bins=y.shape[1])
    y = column_or_1d(y)
    if (task or _guess_task(y)) == "classification":
        return _diagnose_classes(y, validation_fraction, guessed=task is None)
    scores = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    return _diagnose_scores(scores, validation_fraction)


def _guess_task(y):
    if y.dtype.kind not in "iuf":
        return "classification"
    if y.dtype.kind == "f" and not np.all(np.mod(y, 1) == 0):
        return "regression"
    few_values = len(np.unique(y)) * _ROWS_PER_CLASS <= len(y)
    return "classification" if few_values else "regression"


def _diagnose_scores(y, validation_fraction, n_bins=None):
    bands = LabelBands.from_density(y)
    density = label_density(y)
    task = "regression" if n_bins is None else "distribution"
    n_bins = n_bins or _suggest_bins(y)
    codes = bands.assign(y)
    stretches = [_Stretch.of(y, bands, *interval) for interval in bands.intervals]
    stretches = [stretch for stretch in stretches if stretch.n_samples]
    rows = []
    for code, name in enumerate(bands.names):
        inside = [stretch for stretch in stretches if stretch.band == name]
        if inside:
            n = int(np.sum(codes == code))
            width = sum(stretch.width for stretch in inside)
            per_unit = n / width if width else np.inf
            labels = _enumerate([stretch.where for stretch in inside], limit=3)
            rows.append((name, labels, n, n / len(y), per_unit, n * validation_fraction))
    tail = [stretch for stretch in stretches if stretch.band == "few"]
    n_few = bands.counts["few"]
    return Diagnosis(
        task,
        len(y),
        bands,
        float(density.max() / density.min()),
        n_bins,
        validation_fraction,
        tuple(_describe_scores(y, density, n_few, tail, validation_fraction)),
        tuple(_advise_scores(y, task, n_bins, n_few, validation_fraction)),
        tuple(rows),
    )


@dataclass(frozen=True)
class _Stretch:
    """A stretch of labels that belongs to one band."""

    band: str
    where: str
    width: float
    n_samples: int

    @classmethod
    def of(cls, y, bands, band, low, high):
        start, end = y.min(), y.max()
        if low < start and high >= end:
            where = "all"
        elif low < start:
            where = f"up to {_shown(high, y)}"
        elif high >= end:
            where = f"above {_shown(low, y)}"
        else:
            where = f"{_shown(low, y)} to {_shown(high, y)}"
        width = max(min(high, end) - max(low, start), 0.0)
        return cls(band, where, float(width), int(np.sum((y > low) & (y <= high))))


def _shown(label, y):
    """A label in as many digits, four at least, as tell it from others in the range of ``y``."""
    if is_constant(y):
        return f"{label:.4g}"
    digits = 4 + max(0, math.floor(math.log10(np.abs(y).max() / np.ptp(y))))
    return f"{label:.{digits}g}"


def _suggest_bins(y):
    """Freedman and Diaconis' rule, within limits."""
    width = 2 * np.subtract(*np.percentile(y, [75, 25])) * len(y) ** (-1 / 3)
    if width == 0:
        return _MIN_BINS
    return int(np.clip(np.ceil(np.ptp(y) / width), _MIN_BINS, _MAX_BINS))


def _describe_scores(y, density, n_few, tail, validation_fraction):
    if is_constant(y):
        yield "All labels are equal, up to rounding: there is nothing to predict."
        return
    share = min(1 / density.mean() / np.ptp(y), 1.0)
    shown = f"{share:.0%}" if share >= 0.01 else "less than 1%"
    yield (
        f"Labels run from {_shown(y.min(), y)} to {_shown(y.max(), y)}; they crowd as if spread "
        f"evenly over {shown} of that range."
    )
    if not n_few:
        yield "No label is rare for its range: this is not a long tail."
        return
    places = _enumerate([f"{stretch.n_samples:,} {stretch.where}" for stretch in tail], limit=4)
    yield f"{n_few:,} samples ({n_few / len(y):.1%}) lie in the tail: {places}."
    yield _describe_validation(n_few, validation_fraction)


def _describe_validation(n_few, validation_fraction):
    expected = n_few * validation_fraction
    verdict = (
        "enough to compare models there"
        if expected >= _ENOUGH_TAIL_ROWS
        else "too few to choose anything by tail error"
    )
    return (
        f"A validation part of {validation_fraction:.0%} holds about {expected:.0f} tail "
        f"{'sample' if round(expected) == 1 else 'samples'}: {verdict}."
    )


def _advise_scores(y, task, n_bins, n_few, validation_fraction):
    if is_constant(y):
        return
    if not n_few:
        yield "Start with plain training; a tail method has little to gain here."
    elif n_few * validation_fraction < _ENOUGH_TAIL_ROWS:
        yield (
            "Choose settings by overall error, and judge the tail by cross-validation over all "
            "samples: compare(..., cv=BinnedStratifiedKFold(5, shuffle=True))."
        )
    if task == "distribution":
        yield 'Estimators: ELTARegressor(loss="emd") on the distributions.'
    else:
        yield (
            "Estimators: ELTARegressor, or any regressor with "
            "sample_weight=label_density_weights(y); where the label is cut into bins, "
            f"n_bins={n_bins}."
        )
    if task == "regression" and y.min() >= 0 and _skewness(y) > _SKEWED:
        yield from _advise_skewed(y)
    n_validation = len(y) * validation_fraction
    source = (
        "X_val and y_val"
        if n_validation >= _ENOUGH_TO_RECALIBRATE
        else "cross-fitting (cv=5), since it needs about 200 held-out samples"
    )
    yield f'Control to beat: Recalibrator(model, method="stretch") with {source}.'


def _advise_skewed(y):
    """For scores that are never negative."""
    yield (
        "No label is below 0, but some predictions of a network may be. Those of "
        'ELTARegressor(loss="emd") stay within the range of the training labels.'
    )
    logarithm, limit, functions = np.log, 0, "func=np.log, inverse_func=np.exp"
    if y.min() == 0:
        logarithm, limit, functions = np.log1p, -1, "func=np.log1p, inverse_func=np.expm1"
    if abs(_skewness(logarithm(y))) < _skewness(y) / 2:
        yield (
            f"Labels are skewed: also try their logarithm, which keeps predictions above {limit}, "
            f"TransformedTargetRegressor(model, {functions})."
        )


def _skewness(y):
    deviations = (y - y.mean()) / np.ptp(y)  # whose powers neither vanish nor overflow
    return np.mean(deviations**3) / np.mean(deviations**2) ** 1.5


def _diagnose_classes(y, validation_fraction, guessed):
    bands = ClassBands.from_labels(y)
    order = np.argsort(bands.class_counts, kind="stable")
    classes, counts = bands.classes[order], bands.class_counts[order]
    codes = bands.assign(classes)
    rows = []
    for code, name in enumerate(bands.names):
        inside = codes == code
        if inside.any():
            n = int(counts[inside].sum())
            labels = _enumerate([str(label) for label in classes[inside]], limit=5)
            rows.append((name, labels, n, n / len(y), n / inside.sum(), n * validation_fraction))
    return Diagnosis(
        "classification",
        len(y),
        bands,
        float(counts[-1] / counts[0]),
        None,
        validation_fraction,
        tuple(_describe_classes(y, bands, classes, counts, validation_fraction, guessed)),
        tuple(_advise_classes(bands, classes)),
        tuple(rows),
    )


def _describe_classes(y, bands, classes, counts, validation_fraction, guessed):
    if guessed and y.dtype.kind in "iuf":
        yield 'Whole numbers were taken for classes; task="regression" takes them for scores.'
    if len(classes) == 1:
        yield f"There is one class, {classes[0]}: there is nothing to predict."
        return
    yield (
        f"Classes have from {counts[0]:,} ({classes[0]}) to {counts[-1]:,} ({classes[-1]}) samples."
    )
    single = [str(label) for label in classes[counts == 1]]
    if single:
        yield (
            f"Single samples: {_enumerate(single, limit=5)}. No split can train and test on such "
            "a class."
        )
    unseen = int(np.sum(counts * validation_fraction < 1))
    if unseen:
        yield (
            f"{unseen} {'class has' if unseen == 1 else 'classes have'} fewer samples than it "
            f"takes for one to be expected in a validation part of {validation_fraction:.0%}."
        )
    if bands.counts["few"]:
        yield _describe_validation(bands.counts["few"], validation_fraction)


def _advise_classes(bands, classes):
    if len(classes) == 1:
        return
    if bands.class_counts.max() < 2 * bands.class_counts.min():
        yield "Classes are nearly balanced; a tail method has little to gain here."
    yield (
        "Estimators: TailStackingClassifier, GranularClassifier, or any classifier with "
        "class_weight or sample_weight=class_weights(y)."
    )
    yield "Splits that keep rare classes in training: RareClassStratifiedKFold."
    yield (
        "Control to beat: LogitAdjuster(model) around a classifier trained without class weights, "
        "which changes predictions only."
    )


def _enumerate(items, limit):
    shown = ", ".join(items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"
