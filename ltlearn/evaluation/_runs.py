"""One run of a comparison: fit one candidate on one split and measure it."""

import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ltlearn.estimators._backbone import BUILT_IN
from ltlearn.estimators._base import BaseDeepEstimator
from ltlearn.evaluation._fitting import fit, one_torch_thread, seeded_clone
from ltlearn.evaluation._measures import OVERALL, TrainingLabels
from ltlearn.evaluation._outcomes import predict, predict_turned
from ltlearn.evaluation._post_hoc import apply_post_hoc
from ltlearn.evaluation._preprocessing import Preprocessing
from ltlearn.evaluation._splits import Split
from ltlearn.exceptions import EmptyBandWarning
from ltlearn.training._together import how_many_at_once, run_together
from ltlearn.training._trainer import train_many
from ltlearn.training.stacked._groups import train_stacked
from ltlearn.utils._compat import _safe_indexing
from ltlearn.utils._text import without_addresses
from ltlearn.weighting._floors import probability_floor
from ltlearn.weighting._prior import class_totals, prediction_prior, weight_of_last_step

_TURNED = " + tail="


@dataclass(frozen=True, eq=False)
class Candidate:
    """An estimator or control of a comparison.

    Attributes
    ----------
    name : str
    kind : {"estimator", "control"}
    estimator : estimator
        Runs fit clones of it.
    sample_weight : callable or None
        Maps training labels to weights.
    post_hoc : tuple of str
        Controls computed from the fitted estimator's predictions.
    preprocessing : Preprocessing or None
        Makes the table that the estimator is fitted to; None for the rows as they are.
    takes_groups : bool
        Whether ``fit`` wants the groups of the training rows, where there are groups.
    tails : tuple of float
        Settings of the dial to measure, if the fitted estimator has one.
    """

    name: str
    kind: str
    estimator: Any
    sample_weight: Callable | None = None
    post_hoc: tuple = ()
    preprocessing: Preprocessing | None = None
    takes_groups: bool = False
    tails: tuple = ()

    def measured(self):
        """Names and kinds of everything that a run of this candidate measures."""
        derived = [(f"{self.name} + {method}", "control") for method in self.post_hoc]
        return [(self.name, self.kind), *derived]


@dataclass(frozen=True, eq=False)
class Job:
    """A candidate to fit on a split.

    Attributes
    ----------
    candidate : Candidate
    split : Split
    fit_params : dict
        Further arguments of ``fit``.
    preprocessing_params : dict
        Arguments of ``fit`` for the candidate's preprocessing.
    """

    candidate: Candidate
    split: Split
    fit_params: dict
    preprocessing_params: dict

    def identity(self):
        """Everything that makes the result of this job what it is."""
        candidate, split = self.candidate, self.split
        return (
            (candidate.name, candidate.estimator, candidate.sample_weight, candidate.post_hoc),
            candidate.tails,
            (split.train, split.validation, split.test, split.seed),
            split.groups if candidate.takes_groups else None,
            self.fit_params,
            candidate.preprocessing and (candidate.preprocessing.steps, self.preprocessing_params),
        )


def bundles(jobs, n_bundles):
    """Jobs to run at a time: of candidates whose networks can train together all, or single ones.

    Parameters
    ----------
    jobs : dict of int to Job
    n_bundles : int
        How many bundles the jobs of one candidate are dealt to at least, if there are as many.

    Returns
    -------
    bundles : list of list of int
    """
    alone, together = [], {}
    for number, job in jobs.items():
        if _trains_tables(job.candidate.estimator):
            together.setdefault(id(job.candidate), []).append(number)
        else:
            alone.append([number])
    shares = [[own[i::n_bundles] for i in range(n_bundles)] for own in together.values()]
    return sorted([*alone, *(share for own in shares for share in own if share)])


def run(jobs, X, target, measures, limit_threads):
    """Fit candidates on splits and measure them and their post-hoc controls.

    Parameters
    ----------
    jobs : list of Job
        Networks in them train together where they can.
    X : array-like of n_samples rows
    target : Target
    measures : dict of str to callable
    limit_threads : bool
        Whether torch may use one thread only.

    Returns
    -------
    rows : list of list of dict
        Of each job rows as of `run_one`.
    """
    with one_torch_thread() if limit_threads else nullcontext():
        calls = [partial(run_one, job, X, target, measures) for job in jobs]
        if len(calls) == 1:
            return [calls[0]()]
        trainer = partial(train_many, otherwise=train_stacked)
        at_once = how_many_at_once(X)
        return run_together(calls, trainer, at_once=at_once, correct=_without_waiting)


def run_one(job, X, target, measures):
    """Fit a candidate on a split and measure it and its post-hoc controls.

    Returns
    -------
    rows : list of dict
        ``estimator``, ``kind``, ``metric``, ``band``, ``value``, ``fit_seconds``, ``error``.
        After an exception: one row for each name and metric, with value NaN and the message in
        ``error``.
    """
    try:
        return list(_measure(job, X, target, measures))
    except Exception as error:
        return failed_run(job, measures, error)


def failed_run(job, measures, error):
    """Rows of a job that ended in an error."""
    return [
        row
        for name, kind in job.candidate.measured()
        for row in _failed(name, kind, measures, error)
    ]


def _trains_tables(estimator):
    """Whether a deep estimator for tables is it, or is inside of it."""
    params = estimator.get_params(deep=True).values() if hasattr(estimator, "get_params") else ()
    return any(
        isinstance(each, BaseDeepEstimator)
        and isinstance(each.backbone, str)
        and each.backbone in BUILT_IN
        for each in (estimator, *params)
    )


def _without_waiting(rows, seconds):
    """Take the time in which a run waited for others' training out of its fit time."""
    return [{**row, "fit_seconds": max(row["fit_seconds"] - seconds, 0.0)} for row in rows]


def _measure(job, X, target, measures):
    candidate, split = job.candidate, job.split
    model = seeded_clone(candidate.estimator, split.seed)
    labels, y_train = target.labels_for(model), target.values[split.train]
    X_train, X_val, X_test, seconds = _inputs(job, X, target)
    y_val = None if X_val is None else labels[split.validation]
    params = dict(job.fit_params)
    if candidate.sample_weight is not None:
        params["sample_weight"] = candidate.sample_weight(y_train)
    if candidate.takes_groups and split.groups is not None:
        params["groups"] = split.groups

    start = time.perf_counter()
    fit(model, X_train, labels[split.train], X_val, y_val, params)
    seconds += time.perf_counter() - start

    outcomes = [predict(model, X_test, target, split.test)]
    if candidate.post_hoc:
        validation = None if X_val is None else predict(model, X_val, target, split.validation)
        prior = floor = None
        if target.classes is not None:
            weight = weight_of_last_step(model, params)
            counts = class_totals(y_train, target.classes)
            totals = class_totals(y_train, target.classes, weight)
            prior = prediction_prior(model, target.classes, totals, counts)
            floor = probability_floor(model)
        for method in candidate.post_hoc:
            try:
                outcomes.append(apply_post_hoc(method, outcomes[0], validation, prior, floor))
            except Exception as error:  # which costs this control, not the estimator
                outcomes.append(error)
    training = TrainingLabels.from_labels(y_train, classification=target.classes is not None)
    named = list(zip(candidate.measured(), outcomes, strict=True))
    turned = predict_turned(model, X_test, target, split.test, candidate.tails)
    for tail, outcome in zip(candidate.tails, turned, strict=bool(turned)):
        named.append(((turned_name(candidate.name, tail), "dial"), outcome))
    for (name, kind), outcome in named:
        if isinstance(outcome, Exception):
            yield from _failed(name, kind, measures, outcome)
            continue
        for metric, measure in measures.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", EmptyBandWarning)
                values = measure(outcome, training)
            for band, value in values.items():
                yield _row(name, kind, metric, band, float(value), seconds, None)


def turned_name(name, tail):
    """What an estimator is called with its dial at a setting."""
    return f"{name}{_TURNED}{tail:g}"


def split_turned_name(name):
    """What the estimator is called, and the setting of its dial."""
    estimator, _, tail = name.rpartition(_TURNED)
    return estimator, float(tail)


def _inputs(job, X, target):
    """Training, validation (or None) and test rows, and the seconds that preprocessing took."""
    preprocessing, split = job.candidate.preprocessing, job.split
    if preprocessing is not None:
        return preprocessing.tables(split, X, target.values, job.preprocessing_params)
    validation = _safe_indexing(X, split.validation) if len(split.validation) else None
    return _safe_indexing(X, split.train), validation, _safe_indexing(X, split.test), 0.0


def _failed(name, kind, measures, error):
    """A row for each metric, with value NaN."""
    message = without_addresses(f"{type(error).__name__}: {error}")
    return [_row(name, kind, metric, OVERALL, np.nan, np.nan, message) for metric in measures]


def _row(estimator, kind, metric, band, value, fit_seconds, error):
    return {
        "estimator": estimator,
        "kind": kind,
        "metric": metric,
        "band": band,
        "value": value,
        "fit_seconds": fit_seconds,
        "error": error,
    }
