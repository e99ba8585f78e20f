"""Compare estimators on the same splits and seeds, beside the controls they should beat."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import check_consistent_length, column_or_1d

from ltlearn.datasets._mapping import loaded
from ltlearn.evaluation._checkpoint import Checkpoint, fingerprint, versions
from ltlearn.evaluation._controls import choose_controls
from ltlearn.evaluation._measures import choose_measures
from ltlearn.evaluation._outcomes import Target
from ltlearn.evaluation._post_hoc import RECALIBRATIONS
from ltlearn.evaluation._runs import Candidate, Job, bundles, failed_run, run
from ltlearn.evaluation._splits import make_splits
from ltlearn.exceptions import EmptyBandWarning, SmallSampleWarning, WorkerLostError
from ltlearn.utils._cluster import run_calls
from ltlearn.utils._compat import Interval, validate_params
from ltlearn.utils._progress import progress_bar
from ltlearn.utils._suggestions import did_you_mean
from ltlearn.utils._typing import FilePath, RowsLike

_ENOUGH_TO_RECALIBRATE = 200
_COLUMNS = [
    "estimator",
    "kind",
    "split",
    "seed",
    "metric",
    "band",
    "value",
    "fit_seconds",
    "n_train",
    "n_validation",
    "n_test",
    "error",
]


@validate_params(
    {
        "controls": ["boolean", dict, list, tuple],
        "metrics": [dict, list, tuple, None],
        "tails": ["array-like", None],
        "seeds": [Iterable],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "fit_params": [dict, None],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def compare(
    estimators: Mapping[str, Any],
    X: RowsLike,
    y: ArrayLike,
    *,
    cv: Any = 5,
    seeds: Iterable[int] = (0,),
    baseline: str | None = None,
    controls: bool | list[str] | Mapping[str, Any] = True,
    metrics: list[str] | Mapping[str, Callable[..., Any]] | None = None,
    bin_centers: ArrayLike | None = None,
    tails: Sequence[float] | None = (0.0, 0.25, 0.5, 0.75, 1.0),
    validation_fraction: float = 0.1,
    groups: ArrayLike | None = None,
    fit_params: dict[str, Any] | None = None,
    n_jobs: int | None = None,
    checkpoint: FilePath | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Measure estimators and controls on the same splits and seeds, overall and in the tail.

    Every estimator is fitted on the same training rows, whether or not it can use validation
    rows; the controls that recalibrate the baseline need those. Bands (many, medium, few, and
    label percentiles) are made from the training labels of each split.

    Parameters
    ----------
    estimators : dict of str to estimator
        Regressors or classifiers, also as the last step of a pipeline. Clones are fitted; each
        ``random_state`` in them, nested ones included, is set to the seed of the run.
    X : array-like of n_samples rows
        Anything that the estimators take and that can be indexed by row.
    y : array-like of shape (n_samples,) or (n_samples, n_bins)
        Classes, scores, or score distributions. Estimators that have a
        ``predict_distribution`` get the distributions, all others their expected scores.
    cv : int, splitter, or iterable, default=5
        An int: that many shuffled, stratified folds
        (:class:`~ltlearn.model_selection.BinnedStratifiedKFold`, for classes
        :class:`~ltlearn.model_selection.RareClassStratifiedKFold`). An iterable gives row
        numbers or masks (train, test) or (train, validation, test). The splits are the same
        for every seed.
    seeds : iterable of int, default=(0,)
        Every split is run once per seed.
    baseline : str, default=None
        The estimator that the post-hoc controls start from; the first one by default.
    controls : bool, list of str or dict of str to estimator, default=True
        Which controls to measure too, as rows of kind ``"control"``. A list names some of them,
        a dict adds estimators of your own to those that ``True`` takes. For regression

        - ``"stretch"``, ``"linear"``, ``"isotonic"``, ``"cubic"``: the baseline's predictions
          passed through a :class:`~ltlearn.calibration.RecalibrationMap` fitted on its
          validation predictions; no refit;
        - ``"mean"``, ``"median"``: constant predictions;
        - ``"ridge"``: standardized ridge regression, its strength chosen by leave-one-out;
        - ``"hgb"``: HistGradientBoostingRegressor with squared error;
        - ``"hgb_absolute_error"``, ``"hgb_density_weights"`` (tables): the same with absolute
          error, and with :func:`~ltlearn.weighting.label_density_weights`.

        For classification

        - ``"logit_adjustment"``: the baseline's probabilities passed through
          :func:`~ltlearn.calibration.adjust_proba` with the prior that they refer to, as
          :class:`~ltlearn.calibration.LogitAdjuster` finds it; no refit. It equals a baseline that
          is balanced already, such as a :class:`~ltlearn.GranularClassifier` by default;
        - ``"temperature"``: the baseline's log probabilities divided by the temperature of least
          log loss on the validation rows; no refit. Accuracies stay as they are;
        - ``"tuned_threshold"`` (two classes): the baseline with the threshold of highest balanced
          accuracy on the validation rows, by
          :class:`~sklearn.model_selection.TunedThresholdClassifierCV`; no refit;
        - ``"logistic"``, ``"logistic_balanced"``: standardized logistic regression, plain (also
          with logit adjustment) and with balanced class weights;
        - ``"logistic_tuned"``: logistic regression with logit adjustment, its C and tau chosen by
          the class-balanced cross-entropy of the rows held out in three stratified folds that keep
          rare classes in training; the hardest to beat on embeddings;
        - ``"nearest_mean"``: nearest class mean of standardized features;
        - ``"forest"``, ``"extra_trees"`` (tables): 300 trees, plain and with logit adjustment of
          their shares of votes, of at least 1/300 or the prior; the hardest to beat on tables;
        - ``"hgb"``, ``"hgb_balanced"`` (tables): HistGradientBoostingClassifier, plain (also with
          logit adjustment) and with balanced class weights;
        - ``"logistic_sqrt_tuned"`` (embeddings): like ``"logistic_tuned"``, on sign(x)·√|x|;
        - ``"lda"`` (embeddings): linear discriminant analysis with Ledoit-Wolf shrinkage and
          uniform priors;
        - ``"cosine_means"`` (embeddings): smallest angle to a class's mean direction;
        - ``"knn_tuned"`` (embeddings): ten nearest neighbors by angle, with logit adjustment whose
          tau is chosen as above.

        ``True`` takes those marked (embeddings) where there are more than 100 columns, all of
        numbers, and those marked (tables) where not; named ones are taken as named. Controls are
        fitted to what the baseline's steps before the last make of ``X``, fitted alike, without
        resamplers; columns of labels are encoded (levels beyond the 50 most frequent together),
        missing values are filled in where a model takes none. Controls that need a table,
        probabilities of the baseline, or validation rows are left out where there are none, with a
        warning (named ones that need validation rows: with an error).
    metrics : list of str or dict of str to callable, default=None
        A list names some of the built-in metrics below. A dict replaces them by functions
        ``(y_true, y_pred)`` that return a number, or a dict of band to number.
    bin_centers : array-like of shape (n_bins,), default=None
        Scores of the bins of score distributions; None takes 1, 2, ..., n_bins.
    tails : sequence of float or None, default=(0.0, 0.25, 0.5, 0.75, 1.0)
        Settings at which estimators with a dial are measured too, without another fit, as rows of
        kind ``"dial"`` named ``"<estimator> + tail=0.25"``. Regressors turn what they predict by
        their parameter ``tail``, classifiers from the class shares in training (0) to equal ones
        (1), see :class:`~ltlearn.model_selection.TunedTailCV`. None or an empty sequence: none.
    validation_fraction : float, default=0.1
        Share of the training rows to cut out, stratified along the label, where ``cv`` gives no
        validation rows. They go to ``fit`` as ``X_val`` and ``y_val`` where it takes them.
    groups : array-like of shape (n_samples,), default=None
        Rows of one group, such as a patient, are never in two parts of a split: groups are passed
        to ``cv``, held to where ``compare`` cuts out validation rows, and kept together by controls
        that are tuned.
    fit_params : dict, default=None
        Name of an estimator to its extra arguments of ``fit``, or to a function of the split that
        returns them; the split has the attributes ``index``, ``seed``, ``train``,
        ``validation``, ``test`` and ``groups`` (of the training rows). The arguments are never
        sliced. Wrap those that have nothing to do with the rows of ``X`` in
        :class:`~ltlearn.Whole` all the same, since the estimators of ltlearn ask for that where
        lengths happen to agree.
    n_jobs : int, default=None
        Runs at the same time, as in joblib. Each then uses one torch thread. In each process, the
        folds and seeds of an estimator whose networks are those for tables train together, with
        the same results up to rounding and in less time; ``fit_seconds`` are equal parts of that.
        Under ``joblib.parallel_config(backend="dask")`` runs go to a Dask cluster, those of workers
        that die to other workers.
    checkpoint : path-like, default=None
        File to which each finished run is appended (those that train together at the end of all),
        and from which it is read again if nothing about it (estimator, parameters, rows, seed,
        data, metrics, versions of ltlearn, scikit-learn, torch and numpy) has changed. Delete the
        file after changing the code of an estimator: code is compared of metrics and other
        functions, not of classes nor of what they call.
    verbose : int, default=0
        1 shows a bar over fits.

    Returns
    -------
    DataFrame
        One row per split, seed, estimator or control, metric and band: ``estimator``, ``kind``
        (``"estimator"``, ``"control"`` or ``"dial"``), ``split``, ``seed``, ``metric``, ``band``,
        ``value``, ``fit_seconds``, ``n_train``, ``n_validation``, ``n_test``, ``error``.

        Metrics for regression: ``srcc``, ``plcc``, ``mae`` and ``mse`` (each overall, many,
        medium, few, 0-20, 20-80, 80-100), ``balanced_mae``, ``prediction_spread``, and for
        score distributions ``emd``. For classification: ``accuracy`` (overall, many, medium,
        few), ``balanced_accuracy``, and from probabilities ``ece`` and ``log_loss``.

        A regressor with the parameter ``prediction`` is measured by its medians in absolute errors,
        ``mae`` and ``balanced_mae``, by its means in ``mse``, and as it is set in all others. Of
        rivals without one, look at the variant that is made for the metric, as
        ``"hgb_absolute_error"`` beside ``"hgb"``.

        Bands with neither a training label nor a test row are left out. ``value`` is NaN where
        a band of the training labels has no test row (with an
        :class:`~ltlearn.exceptions.EmptyBandWarning`) or where a run failed (with a
        :class:`~sklearn.exceptions.FitFailedWarning`; ``error`` then holds its message). Failed
        runs are not kept in the checkpoint.

    Warns
    -----
    SmallSampleWarning
        If recalibration has fewer than 200 validation rows.

    Raises
    ------
    TypeError
        If ``estimators`` is no dict.
    ValueError
        If names are unknown or repeated, a metric is no function, ``fit_params`` hold validation
        rows and the splits too, a split is not valid or cuts a group in two, a control asked for
        has no validation rows, or every run failed.
    WorkerLostError
        If a process of joblib died, or all workers of a Dask cluster and none came back. Finished
        runs are in ``checkpoint``; the same call goes on from there. A run that workers die of, one
        after the other, counts as failed.

    See Also
    --------
    summarize : Means and spreads.
    paired_differences : Differences to a baseline, with corrected p-values.
    frontier : Overall against tail error.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from ltlearn.evaluation import compare, summarize
    >>> X, y = load_diabetes(return_X_y=True)
    >>> results = compare({"ridge": Ridge()}, X, y, cv=3, controls=["mean"], metrics=["srcc"])
    >>> summarize(results)[["estimator", "kind", "metric", "band", "n"]]
      estimator       kind metric     band  n
    0     ridge  estimator   srcc  overall  3
    1      mean    control   srcc  overall  3
    """
    import pandas as pd

    if not isinstance(estimators, dict):
        raise TypeError(
            "estimators must be a dict of name to estimator, such as {'ridge': Ridge()}, got "
            f"{type(estimators).__name__}."
        )
    seeds = tuple(seeds)
    if not estimators or not seeds:
        raise ValueError("Nothing to do: estimators is empty or seeds is.")
    X = loaded(X)
    baseline = next(iter(estimators)) if baseline is None else baseline
    if baseline not in estimators:
        raise ValueError(f"The baseline {baseline!r} is not among {list(estimators)}.")
    target = Target.from_labels(y, estimators[baseline], bin_centers)
    classification = target.classes is not None
    measures = choose_measures(metrics, target)
    if groups is not None:
        groups = column_or_1d(groups)
        check_consistent_length(y, groups)
    splits = make_splits(X, target.values, cv, seeds, validation_fraction, classification, groups)
    of_baseline = partial(_resolve, fit_params, baseline)
    post_hoc, references = choose_controls(
        controls, estimators[baseline], target, X, splits, of_baseline
    )
    tails = _check_tails(tails)
    candidates = _name_candidates(estimators, baseline, post_hoc, references, tails)
    _check_names(fit_params, candidates)
    _warn_of_few_validation_rows(post_hoc, splits)

    jobs = [
        Job(
            candidate,
            split,
            _resolve(fit_params, candidate.name, split),
            candidate.preprocessing and candidate.preprocessing.params(of_baseline(split)),
        )
        for split, candidate in product(splits, candidates)
    ]
    finished = Checkpoint(checkpoint)
    keys = [None] * len(jobs)
    if checkpoint is not None:
        data = fingerprint(X, y, bin_centers, versions())
        keys = [fingerprint(data, measures, *job.identity()) for job in jobs]
    rows = [finished.get(key) for key in keys]
    todo = [number for number, found in enumerate(rows) if found is None]

    n_at_once = effective_n_jobs(n_jobs)
    numbers = bundles({number: jobs[number] for number in todo}, n_at_once)
    bundled = [[jobs[number] for number in bundle] for bundle in numbers]
    outputs = run_calls(run, bundled, (X, target, measures, n_at_once > 1), n_jobs=n_jobs)
    bar = {"total": len(jobs), "initial": len(jobs) - len(todo), "unit": "fit"}
    with progress_bar(disable=not verbose, **bar) as progress:
        for place, outcome in outputs:
            if isinstance(outcome, WorkerLostError):
                outcome = [failed_run(job, measures, outcome) for job in bundled[place]]
            for number, measured in zip(numbers[place], outcome, strict=True):
                rows[number] = measured
                if not any(row["error"] for row in measured):
                    finished.add(keys[number], measured)
                progress.update()

    table = pd.DataFrame(
        [
            {**row, **job.split.describe()}
            for job, measured in zip(jobs, rows, strict=True)
            for row in measured
        ],
        columns=_COLUMNS,
    )
    _report_missing(table)
    return table


def _check_tails(tails):
    values = np.asarray([] if tails is None else tails)
    is_number = values.dtype.kind in "iuf" and values.ndim == 1
    if not (is_number and np.all((values >= 0) & np.isfinite(values))):
        raise ValueError(f"tails must be non-negative numbers, got {tails!r}.")
    return tuple(dict.fromkeys(values.tolist()))


def _name_candidates(estimators, baseline, post_hoc, references, tails):
    candidates = [
        Candidate(
            name,
            "estimator",
            model,
            post_hoc=post_hoc if name == baseline else (),
            tails=tails,
        )
        for name, model in estimators.items()
    ] + references
    names = Counter(name for candidate in candidates for name, _ in candidate.measured())
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        raise ValueError(f"Estimators and controls share the names {repeated}; rename yours.")
    return candidates


def _warn_of_few_validation_rows(post_hoc, splits):
    recalibrations = [name for name in post_hoc if name in RECALIBRATIONS]
    if not recalibrations:
        return
    n_rows = min(len(split.validation) for split in splits)
    if n_rows < _ENOUGH_TO_RECALIBRATE:
        warnings.warn(
            f"The controls {recalibrations} are fitted to {n_rows} validation rows; with fewer "
            f"than {_ENOUGH_TO_RECALIBRATE} they may look worse than they are.",
            SmallSampleWarning,
            stacklevel=4,
        )


def _check_names(fit_params, candidates):
    names = [candidate.name for candidate in candidates]
    unknown = [name for name in fit_params or () if name not in names]
    if unknown:
        hint = did_you_mean(unknown[0], names)
        raise ValueError(f"fit_params names {unknown}, but what is fitted is {names}.{hint}")


def _resolve(fit_params, name, split):
    params = (fit_params or {}).get(name, {})
    params = params(split) if callable(params) else params
    taken = [key for key in params if key.split("__")[-1] in ("X_val", "y_val")]
    if taken and len(split.validation):
        raise ValueError(
            f"fit_params of {name!r} hold {taken}, but validation rows are the same for all "
            "estimators: give them in cv, as (train, validation, test), or have none, by "
            "validation_fraction=0."
        )
    return params


def _report_missing(table):
    """Name in a warning what the NaN in the table stand for."""
    failed = table[table["error"].notna()]
    if len(failed):
        first = failed.iloc[0]
        message = f"{first['estimator']}: {first['error']}"
        if len(failed) == len(table):
            raise ValueError(f"Every run failed, the first with: {message}")
        n_failed = failed.groupby(["estimator", "split", "seed"]).ngroups
        warnings.warn(
            f"{n_failed} runs failed: their values are NaN, and the column error says why. "
            f"The first: {message}",
            FitFailedWarning,
            stacklevel=4,
        )
    empty = table[table["value"].isna() & table["error"].isna()]
    if len(empty):
        bands = ", ".join(sorted(empty["band"].unique()))
        warnings.warn(
            f"In some splits no test row falls in: {bands}. Their values are NaN there.",
            EmptyBandWarning,
            stacklevel=4,
        )
