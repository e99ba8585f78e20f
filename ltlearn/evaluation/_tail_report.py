"""After training: did the tail improve, by how much, and would a control have done as well?"""

import warnings
from dataclasses import replace
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from ltlearn import metrics
from ltlearn.evaluation._bootstrap import bootstrap, class_mean_by_model, interval, mean_by_model
from ltlearn.evaluation._fitting import fit, last_step
from ltlearn.evaluation._outcomes import Target, predict
from ltlearn.evaluation._post_hoc import LOGIT_ADJUSTMENT, apply_post_hoc, recalibrate
from ltlearn.evaluation._verdict import BandResult, Estimate, TailReport
from ltlearn.exceptions import EmptyBandWarning, SmallSampleWarning
from ltlearn.metrics import ClassBands, LabelBands, expected_score
from ltlearn.metrics._bands import check_same_kind
from ltlearn.splitting import BinnedStratifiedKFold
from ltlearn.utils._compat import Interval, validate_params
from ltlearn.utils._fitted import find_fitted
from ltlearn.utils._whole import Whole
from ltlearn.weighting._prior import prediction_prior

_MIN_ROWS = 10
_BALANCED = 1e-6  # difference of class shares
_CROSS_FITTING_FOLDS = 5
_ENOUGH_TO_RECALIBRATE = 200


@validate_params(
    {
        "bin_centers": ["array-like", None],
        "n_resamples": [Interval(Integral, 100, None, closed="left")],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
        "random_state": [Integral, np.random.Generator, None],
    },
    prefer_skip_nested_validation=True,
)
def tail_report(
    estimator,
    X,
    y,
    *,
    baseline=None,
    X_train=None,
    y_train=None,
    X_val=None,
    y_val=None,
    bin_centers=None,
    n_resamples=1000,
    confidence_level=0.95,
    random_state=0,
):
    """Measure a fitted estimator on test rows, by band, beside a baseline and a control.

    The metric is the mean absolute error, or for classes the accuracy: overall over all rows, and
    within a band (and in ``"balanced"``, all classes) the mean over classes of their recalls.
    Bands are many, medium and few in the training labels.

    The control shows what costs nothing: the baseline's predictions stretched about their mean
    (:class:`~ltlearn.calibration.RecalibrationMap`), or its probabilities adjusted for the class
    prior that they refer to (:class:`~ltlearn.calibration.LogitAdjuster`), unless that is balanced
    already, as for a :class:`~ltlearn.GranularClassifier` by default. The stretch is fitted to the
    validation rows. Without those it is cross-fitted: the predictions of each fifth of the test
    rows are stretched by a map fitted to the other four fifths, so that no row is scored by a map
    that has seen it. The map then still knows the test distribution, which favors the control: an
    estimator that beats it has done so against the odds.

    Intervals are percentile bootstrap intervals over test rows, all models on the same resampled
    rows. They tell how far the result would vary on other test rows, not how far on retraining:
    for that, run :func:`compare` over several seeds.

    Parameters
    ----------
    estimator : fitted estimator
        Regressor or classifier, or a pipeline that ends in one.
    X : array-like of n_samples test rows
    y : array-like of shape (n_samples,) or (n_samples, n_bins)
        Classes, scores, or score distributions, which count as their expected scores.
    baseline : estimator, default=None
        To compare with; fitted on the training rows if it is not fitted yet. By default the
        estimator itself with its enhancers off, for estimators that have a method
        ``without_enhancers``.
    X_train, y_train : array-like, default=None
        Training rows. Needed for a baseline to fit, and for the bands of estimators that keep no
        ``label_bands_``, or ``classes_`` and ``class_counts_``.
    X_val, y_val : array-like, default=None
        Validation rows: for the control, and for a baseline to fit if its ``fit`` takes them.
    bin_centers : array-like of shape (n_bins,), default=None
        Scores of the bins of score distributions; None takes 1, 2, ..., n_bins.
    n_resamples : int, default=1000
        Bootstrap resamples.
    confidence_level : float, default=0.95
        Of the intervals.
    random_state : int, numpy.random.Generator or None, default=0
        For the bootstrap.

    Returns
    -------
    TailReport
        Print it, or show it in a notebook; ``verdict`` is its one sentence.

    Raises
    ------
    ValueError
        If there is no baseline or no bands, there are fewer than ten test rows, lengths differ, or
        labels are strings in one place and numbers in another.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Warns
    -----
    SmallSampleWarning
        If a band has fewer than ten test rows. It gets no interval (NaN) and no verdict.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> from sklearn.linear_model import Ridge
    >>> from ltlearn.evaluation import tail_report
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(3000, 3))
    >>> y = np.exp(X[:, 0]) + 0.5 * rng.normal(size=3000)
    >>> X_train, y_train, X_test, y_test = X[:2000], y[:2000], X[2000:], y[2000:]
    >>> model = HistGradientBoostingRegressor(max_iter=50).fit(X_train, y_train)
    >>> report = tail_report(
    ...     model, X_test, y_test, baseline=Ridge(), X_train=X_train, y_train=y_train)
    >>> print(report.verdict)
    Few-shot MAE -50.0% [-70.4, -31.7], overall -44.9% [-51.1, -39.5]: better in the tail and
    overall; better than the stretch control in both.
    """
    check_is_fitted(estimator)
    X_val, y_val = (
        values.values if isinstance(values, Whole) else values for values in (X_val, y_val)
    )
    check_consistent_length(X, y)
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val belong together; pass both or neither.")
    if len(y) < _MIN_ROWS:
        raise ValueError(f"A report needs at least {_MIN_ROWS} test rows, got {len(y)}.")
    bands = _training_bands(estimator, y_train, bin_centers)
    baseline = _fit_baseline(estimator, baseline, X_train, y_train, X_val, y_val, bin_centers)
    target = _target(y, bands, bin_centers)
    outcomes = {
        "estimator": predict(estimator, X, target, slice(None)),
        "baseline": predict(baseline, X, target, slice(None)),
    }
    notes = []
    if target.classes is None:
        held_out = None
        if X_val is not None:
            held_out = predict(baseline, X_val, _target(y_val, bands, bin_centers), slice(None))
        outcomes["baseline + stretch"], note = _stretch(outcomes["baseline"], held_out)
        notes.append(note)
    elif outcomes["baseline"].probabilities is not None:
        counts = dict(zip(bands.classes, bands.class_counts, strict=True))
        totals = np.array([counts.get(label, 0) for label in target.classes])
        prior = prediction_prior(baseline, target.classes, totals)
        if np.ptp(prior[prior > 0]) < _BALANCED:
            notes.append(
                "The baseline's probabilities refer to balanced classes already, so logit "
                "adjustment is no control."
            )
        else:
            adjusted = apply_post_hoc(LOGIT_ADJUSTMENT, outcomes["baseline"], None, prior)
            outcomes[f"baseline + {LOGIT_ADJUSTMENT}"] = adjusted
    rng = np.random.default_rng(random_state)
    metric = "mae" if target.classes is None else "accuracy"
    results = tuple(
        _measure(name, statistic, n_rows, metric, n_resamples, confidence_level, rng)
        for name, n_rows, statistic in _band_statistics(bands, list(outcomes.values()))
    )
    _warn_about_small_bands(results)
    return TailReport(metric, tuple(outcomes), results, (*_other_metrics(outcomes), *notes))


def _target(y, bands, bin_centers):
    if isinstance(bands, ClassBands):
        y = column_or_1d(y, warn=True)
        check_same_kind(y, bands.classes)
        return Target(y, classes=np.union1d(bands.classes, y))
    return Target(_as_scores(y, bin_centers))


def _as_scores(y, bin_centers):
    y = np.asarray(y, dtype=np.float64)
    if y.ndim == 2 and y.shape[1] > 1:
        return expected_score(y, bin_centers=bin_centers)
    return y.reshape(-1)


def _training_bands(estimator, y_train, bin_centers):
    """Bands of ``y_train``, else those that the fitted estimator remembers."""
    if is_classifier(estimator):
        if y_train is not None:
            return ClassBands.from_labels(y_train)
        fitted = find_fitted(estimator, "class_counts_", "classes_")
        if fitted is not None:
            return ClassBands(fitted.classes_, fitted.class_counts_)
    else:
        if y_train is not None:
            return LabelBands.from_density(_as_scores(y_train, bin_centers))
        fitted = find_fitted(estimator, "label_bands_")
        if fitted is not None:
            return fitted.label_bands_
    raise ValueError(
        f"{type(estimator).__name__} does not keep how frequent its training labels were, which "
        "the bands need: pass y_train."
    )


def _fit_baseline(estimator, baseline, X_train, y_train, X_val, y_val, bin_centers):
    if baseline is None:
        baseline = _without_enhancers(estimator)
    else:
        try:
            check_is_fitted(baseline)
            return baseline
        except NotFittedError:
            baseline = clone(baseline)
    if X_train is None or y_train is None:
        raise ValueError("The baseline has to be fitted: pass X_train and y_train.")

    def labels(y):
        return Target.from_labels(y, baseline, bin_centers).labels_for(baseline)

    y_val = None if X_val is None else labels(y_val)
    return fit(baseline, X_train, labels(y_train), X_val, y_val, {})


def _without_enhancers(estimator):
    step = last_step(estimator)
    if not hasattr(step, "without_enhancers"):
        raise ValueError(
            f"{type(step).__name__} has no enhancers to turn off: pass the baseline to compare "
            "with, for instance the same estimator fitted without sample_weight."
        )
    if not isinstance(estimator, Pipeline):
        return step.without_enhancers()
    return clone(estimator).set_params(**{estimator.steps[-1][0]: step.without_enhancers()})


def _stretch(outcome, held_out):
    """The outcome after stretching, and a sentence on what the map was fitted to."""
    if held_out is None:
        y_pred = np.empty_like(outcome.y_pred)
        folds = BinnedStratifiedKFold(_CROSS_FITTING_FOLDS, shuffle=True, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EmptyBandWarning)
            splits = list(folds.split(outcome.y_true, outcome.y_true))
        for others, fold in splits:
            y_pred[fold] = recalibrate(
                "stretch", outcome.y_pred[others], outcome.y_true[others], outcome.y_pred[fold]
            )
        n_rows = len(splits[0][0])
        note = "The stretch control was cross-fitted on the test rows, which favors it."
    else:
        y_pred = recalibrate("stretch", held_out.y_pred, held_out.y_true, outcome.y_pred)
        n_rows = len(held_out.y_true)
        note = "The stretch control was fitted to the validation rows."
    if n_rows < _ENOUGH_TO_RECALIBRATE:
        note += f" It had {n_rows} rows to learn from and needs about {_ENOUGH_TO_RECALIBRATE}."
    return replace(outcome, y_pred=y_pred), note


def _band_statistics(bands, outcomes):
    """Name, number of rows and statistic (row numbers to one value per model) of each band."""
    y_true = outcomes[0].y_true
    y_pred = np.column_stack([outcome.y_pred for outcome in outcomes])
    if isinstance(bands, ClassBands):
        scores = (y_pred == y_true[:, None]).astype(np.float64)
        yield "overall", len(y_true), mean_by_model(scores)
        yield "balanced", len(y_true), class_mean_by_model(scores, y_true)
    else:
        scores = np.abs(y_pred - y_true[:, None])
        yield "overall", len(y_true), mean_by_model(scores)
    codes = bands.assign(y_true)
    for code, name in enumerate(bands.names):
        rows = np.flatnonzero(codes == code)
        if len(rows) and isinstance(bands, ClassBands):
            yield name, len(rows), class_mean_by_model(scores[rows], y_true[rows])
        elif len(rows):
            yield name, len(rows), mean_by_model(scores[rows])


def _measure(name, statistic, n_rows, metric, n_resamples, confidence_level, rng):
    values = statistic(np.arange(n_rows))
    resampled = bootstrap(statistic, n_rows, n_resamples, rng)
    scale = np.where((metric == "mae") & (values > 0), values, 1.0)

    def estimate(value, samples):
        if n_rows < _MIN_ROWS:
            return Estimate(float(value), np.nan, np.nan)
        return Estimate(float(value), *interval(samples, confidence_level))

    changes = (values[0] - values) / scale
    resampled_changes = (resampled[:, :1] - resampled) / scale
    return BandResult(
        name,
        n_rows,
        tuple(map(estimate, values, resampled.T)),
        tuple(map(estimate, changes[1:], resampled_changes.T[1:])),
    )


def _other_metrics(outcomes):
    """A sentence on what the metric of the report does not show."""
    if next(iter(outcomes.values())).classes is not None:
        if all(outcome.probabilities is not None for outcome in outcomes.values()):
            yield _list_by_model("Expected calibration error", _calibration_error, outcomes)
        return
    yield _list_by_model("Rank correlation", _by_labels(metrics.srcc), outcomes)
    yield _list_by_model(
        "Spread of predictions over spread of labels",
        _by_labels(metrics.prediction_spread),
        outcomes,
    )


def _list_by_model(title, function, outcomes):
    values = ", ".join(f"{name} {function(outcome):.3f}" for name, outcome in outcomes.items())
    return f"{title}: {values}."


def _by_labels(function):
    return lambda outcome: function(outcome.y_true, outcome.y_pred)


def _calibration_error(outcome):
    return metrics.expected_calibration_error(
        outcome.y_true, outcome.probabilities, labels=outcome.classes
    )


def _warn_about_small_bands(results):
    small = [result.band for result in results if result.n_samples < _MIN_ROWS]
    if small:
        warnings.warn(
            f"Fewer than {_MIN_ROWS} test rows in: {', '.join(small)}. Their intervals are NaN.",
            SmallSampleWarning,
            stacklevel=4,
        )
