"""From predictions to the results of a report: every model in every band, with intervals."""

import numpy as np

from ltlearn.evaluation._bootstrap import bootstrap, class_mean_by_fit, mean_by_fit
from ltlearn.evaluation._uncertainty import (
    Measured,
    difference,
    interval_of_mean,
    relative_change,
)
from ltlearn.evaluation._verdict import BandResult, Estimate
from ltlearn.metrics import ClassBands

MIN_ROWS = 10
_TAIL = "few"
_UNKNOWN = (np.nan, np.nan)


def measure_bands(bands, outcomes, n_resamples, confidence_level, rng):
    """Measure models in every band that has test rows.

    Parameters
    ----------
    bands : LabelBands or ClassBands
    outcomes : dict of str to list of Outcome
        Of each model, the predictions of each of its fits.
    n_resamples : int
        Bootstrap resamples.
    confidence_level : float
        Of each value by itself, and of the changes from a model in all bands together.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of BandResult
        Overall first. Bands of fewer than ``MIN_ROWS`` rows have NaN for intervals.
    """
    fits = [outcome for of_model in outcomes.values() for outcome in of_model]
    ends = np.cumsum([len(of_model) for of_model in outcomes.values()])[:-1]
    measured = []
    for name, n_rows, statistic in _band_statistics(bands, fits):
        values = np.split(statistic(np.ones(n_rows, dtype=int)), ends)
        resampled = np.split(bootstrap(statistic, n_rows, n_resamples, rng), ends, axis=1)
        measured.append((name, n_rows, list(map(Measured, values, resampled))))
    judged = [name for name, n_rows, _ in measured if n_rows >= MIN_ROWS]
    shares = _shares_of_error(judged)
    is_error = fits[0].classes is None
    return tuple(
        _band_result(
            *band,
            confidence_level,
            1 - (1 - confidence_level) * shares.get(band[0], 0.0),
            is_error=is_error,
        )
        for band in measured
    )


def _shares_of_error(names):
    """Of the probability that any change is judged wrongly, the share of each band.

    Half is for the tail, which the report is about; the others share the rest alike.
    """
    if _TAIL not in names:
        return dict.fromkeys(names, 1 / len(names))
    return {name: 0.5 if name == _TAIL else 0.5 / (len(names) - 1) for name in names}


def _band_statistics(bands, fits):
    """Name, number of rows and statistic (counts of rows to one value per fit) of each band."""
    y_true = fits[0].y_true
    y_pred = np.column_stack([outcome.y_pred for outcome in fits])
    if isinstance(bands, ClassBands):
        scores = (y_pred == y_true[:, None]).astype(np.float64)
        yield "overall", len(y_true), mean_by_fit(scores)
        yield "balanced", len(y_true), class_mean_by_fit(scores, y_true)
    else:
        scores = np.abs(y_pred - y_true[:, None])
        yield "overall", len(y_true), mean_by_fit(scores)
    codes = bands.assign(y_true)
    for code, name in enumerate(bands.names):
        rows = np.flatnonzero(codes == code)
        if len(rows) and isinstance(bands, ClassBands):
            yield name, len(rows), class_mean_by_fit(scores[rows], y_true[rows])
        elif len(rows):
            yield name, len(rows), mean_by_fit(scores[rows])


def _band_result(name, n_rows, models, confidence_level, together, *, is_error):
    first, *others = models

    def value_of(measured):
        if n_rows < MIN_ROWS:
            return Estimate(measured.mean, *_UNKNOWN)
        interval = interval_of_mean(measured, n_rows, confidence_level, positive=is_error)
        return Estimate(measured.mean, *interval)

    def change_from(reference):
        relative = is_error and reference.mean > 0
        if n_rows < MIN_ROWS:
            change = first.mean - reference.mean
            return Estimate(change / reference.mean if relative else change, *_UNKNOWN)
        change = relative_change if relative else difference
        return Estimate(*change(first, reference, n_rows, together))

    values, changes = map(value_of, models), map(change_from, others)
    given = tuple(float(measured.values[0]) for measured in models)
    return BandResult(name, n_rows, tuple(values), tuple(changes), given)
