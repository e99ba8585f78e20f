"""What a comparison says: means, paired differences with tests, and the trade-off frontier.

Each function takes the tidy table of :func:`~ltlearn.evaluation.compare` and returns a new one.
"""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from ltlearn.evaluation._measures import GREATER_IS_BETTER
from ltlearn.exceptions import SmallSampleWarning

_PAIRED_COLUMNS = [
    "estimator",
    "kind",
    "metric",
    "band",
    "difference",
    "std",
    "n",
    "n_incomplete",
    "wins",
    "p_value",
    "p_holm",
]


def summarize(results: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread of every metric over the runs that all estimators have.

    Splits differ in how hard they are: an estimator whose run failed on a hard one would look
    better than those that went through it. A split and seed therefore counts for a metric and band
    only if every estimator and control has a value there, those left aside that have none at all.

    Parameters
    ----------
    results : DataFrame
        The table that :func:`compare` returns.

    Returns
    -------
    DataFrame
        One row per estimator, metric and band: ``estimator``, ``kind``, ``metric``, ``band``,
        ``mean``, ``std`` (sample standard deviation over splits and seeds; NaN for a single
        run), ``n`` (runs that all have in common), ``n_dropped`` (further runs of this estimator,
        which another one lacks).

    Warns
    -----
    SmallSampleWarning
        If the estimators have no run in common. Means are NaN then.

    See Also
    --------
    paired_differences : Are the differences more than chance?

    Examples
    --------
    >>> import pandas as pd
    >>> results = pd.DataFrame({
    ...     "estimator": "mean", "kind": "control", "split": [0, 1], "seed": 0,
    ...     "metric": "mae", "band": "overall", "value": [1.0, 3.0]})
    >>> summarize(results)
      estimator     kind metric     band  mean       std  n  n_dropped
    0      mean  control    mae  overall   2.0  1.414214  2          0
    """
    by = ["estimator", "kind", "metric", "band"]
    values = _on_common_runs(results).groupby(by, sort=False)["value"]
    table = values.agg(["mean", "std", "count"]).rename(columns={"count": "n"})
    table["n_dropped"] = results.groupby(by, sort=False)["value"].count() - table["n"]
    table = table.reset_index()
    apart = table[(table["n"] == 0) & (table["n_dropped"] > 0)]
    if len(apart):
        bands = apart[["metric", "band"]].drop_duplicates().itertuples(index=False, name=None)
        warnings.warn(
            f"No split and seed has a value for every estimator in {list(bands)}: their means are "
            "NaN. Leave out those that failed.",
            SmallSampleWarning,
            stacklevel=2,
        )
    return table


def paired_differences(
    results: pd.DataFrame,
    *,
    baseline: str | None = None,
    greater_is_better: Mapping[str, bool] | None = None,
) -> pd.DataFrame:
    """Differences to a baseline over the same splits and seeds, with corrected p-values.

    Values are subtracted for each split and seed; a run that only one of the two has a value for
    is left out. With several splits the differences are then averaged over the seeds of each
    split. The training sets of different splits overlap, so the differences are not independent
    and a plain t-test finds differences where there are none; the corrected resampled t-test of
    Nadeau and Bengio [1]_ divides the mean difference by
    ``sqrt((1 / J + n_test / n_train) * s**2)``, ``s**2`` being the sample variance of the J
    differences. With one split and several seeds it is the plain paired t-test over seeds,
    which speaks about that split alone. The p-values of all estimators and controls on the same
    metric and band are then corrected together by Holm's step-down method [2]_, settings of dials
    apart from the rest.

    Parameters
    ----------
    results : DataFrame
        The table that :func:`compare` returns.
    baseline : str, default=None
        Estimator to subtract; the first in ``results`` by default.
    greater_is_better : dict of str to bool, default=None
        Direction of metrics of your own.

    Returns
    -------
    DataFrame
        One row per estimator (other than the baseline), metric and band:

        - ``difference``: mean of estimator minus baseline;
        - ``std``: sample standard deviation of the differences;
        - ``n``: number of differences, J;
        - ``n_incomplete``: runs left out, for which one of the two has no value;
        - ``wins``: share of them in which the estimator is better, ties counting half (for
          ``prediction_spread``: nearer to 1);
        - ``p_value``, ``p_holm``: two-sided, before and after correction. NaN, with a
          :class:`~ltlearn.exceptions.SmallSampleWarning`, where there are fewer than two
          differences, or all are the same although not zero: then nothing is known about their
          spread;
        - ``test``: ``"corrected resampled t"`` or ``"paired t"``.

    Raises
    ------
    ValueError
        If the baseline is not in ``results`` or the direction of a metric is unknown.

    References
    ----------
    .. [1] Nadeau, C., and Bengio, Y. (2003). Inference for the generalization error. Machine
       Learning 52, 239-281.
    .. [2] Holm, S. (1979). A simple sequentially rejective multiple test procedure.
       Scandinavian Journal of Statistics 6(2), 65-70.

    Examples
    --------
    >>> import pandas as pd
    >>> results = pd.DataFrame({
    ...     "estimator": ["plain"] * 3 + ["mixup"] * 3, "kind": "estimator",
    ...     "split": [0, 1, 2] * 2, "seed": 0, "metric": "mae", "band": "few",
    ...     "value": [3.0, 3.2, 3.4, 2.0, 2.1, 2.5], "n_train": 80, "n_test": 20})
    >>> table = paired_differences(results, baseline="plain")
    >>> table[["estimator", "difference", "n", "wins", "p_value"]].round(3)
      estimator  difference  n  wins  p_value
    0     mixup        -1.0  3   1.0    0.006
    """
    import pandas as pd

    baseline = _resolve_baseline(results, baseline)
    directions = _directions(results["metric"], greater_is_better)
    several_splits = results["split"].nunique() > 1
    rows = []
    for (metric, band), group in results.groupby(["metric", "band"], sort=False):
        runs = _by_run(group)
        if baseline not in runs:
            continue
        ratio = (group["n_test"] / group["n_train"]).mean() if several_splits else 0.0
        family = []
        for name in runs.columns.drop(baseline):
            pairs = runs[[name, baseline]]
            complete = pairs.dropna()
            if several_splits:
                complete = complete.groupby("split", sort=False).mean()
            pair = complete.to_numpy()
            difference = pair[:, 0] - pair[:, 1]
            family.append(
                {
                    "estimator": name,
                    "kind": group.loc[group["estimator"] == name, "kind"].iloc[0],
                    "metric": metric,
                    "band": band,
                    "difference": difference.mean() if len(difference) else np.nan,
                    "std": difference.std(ddof=1) if len(difference) > 1 else np.nan,
                    "n": len(difference),
                    "n_incomplete": int((pairs.notna().sum(axis=1) == 1).sum()),
                    "wins": _share_of_wins(pair, directions[metric]),
                    "p_value": corrected_paired_t_test(difference, ratio),
                }
            )
        for of_dials in (False, True):
            part = [row for row in family if (row["kind"] == "dial") == of_dials]
            adjusted = holm([row["p_value"] for row in part])
            rows += [{**row, "p_holm": p} for row, p in zip(part, adjusted, strict=True)]
    table = pd.DataFrame(rows, columns=_PAIRED_COLUMNS)
    table["test"] = "corrected resampled t" if several_splits else "paired t"
    if table["p_value"].isna().any():
        warnings.warn(
            "No p-value where there are fewer than two differences or all are equal; compare over "
            "more splits or seeds.",
            SmallSampleWarning,
            stacklevel=2,
        )
    return table


def _by_run(group):
    """Values of one metric in one band: a row per split and seed, a column per estimator."""
    values = group.groupby(["split", "seed", "estimator"], sort=False)["value"].mean()
    # With sort=False, pandas before version 3 gives values to the wrong columns.
    return values.unstack("estimator")[list(dict.fromkeys(group["estimator"]))]


def _on_common_runs(results):
    """``results`` with NaN for each run in which an estimator lacks a value of that metric and
    band, but for estimators that have none at all."""
    results = results.reset_index(drop=True)
    present = results[results["value"].notna()]
    names = present.groupby(["metric", "band"])["estimator"]
    names_of_run = present.groupby(["metric", "band", "split", "seed"])["estimator"]
    is_common = names_of_run.transform("nunique") == names.transform("nunique")
    return results.assign(value=present.loc[is_common, "value"])  # NaN elsewhere


def corrected_paired_t_test(differences, test_train_ratio):
    """Two-sided p-value of the corrected resampled t-test of Nadeau and Bengio.

    Parameters
    ----------
    differences : ndarray of shape (J,)
    test_train_ratio : float
        Test rows over training rows; 0 gives the plain paired t-test.

    Returns
    -------
    float
        NaN where the spread of the differences is unknown: fewer than two differences, or all
        equal but not zero.
    """
    n = len(differences)
    if n > 1 and np.all(differences == 0):
        return 1.0
    if n < 2 or np.ptp(differences) == 0:
        return np.nan
    scale = np.sqrt((1 / n + test_train_ratio) * differences.var(ddof=1))
    return float(2 * stats.t.sf(abs(differences.mean()) / scale, df=n - 1))


def holm(p_values):
    """Step-down corrected p-values that bound the family-wise error; NaN are left out.

    Parameters
    ----------
    p_values : array-like of shape (m,)

    Returns
    -------
    ndarray of shape (m,)
    """
    p_values = np.asarray(p_values, dtype=float)
    adjusted = np.full_like(p_values, np.nan)
    order = np.argsort(p_values)[: np.isfinite(p_values).sum()]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps * p_values[order]), 1)
    return adjusted


def frontier(
    results: pd.DataFrame,
    *,
    overall: str | tuple[str, str] | None = None,
    tail: str | tuple[str, str] | None = None,
    greater_is_better: Mapping[str, bool] | None = None,
) -> pd.DataFrame:
    """Which estimators trade overall against tail error best.

    An estimator is on the frontier if no other is at least as good on both and better on one,
    in the mean over the runs that all have, as in :func:`summarize`. Everything else gains nothing
    on the tail that another one does not offer at a lower price.

    Parameters
    ----------
    results : DataFrame
        The table that :func:`compare` returns.
    overall, tail : str or tuple (metric, band), default=None
        The two quantities; a name alone means its ``"overall"`` (for ``tail``: its ``"few"``)
        band. By default MAE or, for classes, accuracy.
    greater_is_better : dict of str to bool, default=None
        Direction of metrics of your own.

    Returns
    -------
    DataFrame
        Sorted by ``overall``: ``estimator``, ``kind``, ``overall``, ``tail``, ``on_frontier``.

    Raises
    ------
    ValueError
        If a quantity has no value in ``results``, or none in a run of all estimators, or the
        direction of its metric is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> results = pd.DataFrame({
    ...     "estimator": ["plain", "mixup", "weights"] * 2, "kind": "estimator",
    ...     "split": 0, "seed": 0, "metric": "mae", "band": ["overall"] * 3 + ["few"] * 3,
    ...     "value": [1.0, 1.1, 1.2, 4.0, 3.0, 3.5]})
    >>> frontier(results)
      estimator       kind  overall  tail  on_frontier
    0     plain  estimator      1.0   4.0         True
    1     mixup  estimator      1.1   3.0         True
    2   weights  estimator      1.2   3.5        False
    """
    overall = as_quantity(results, overall, "overall")
    tail = as_quantity(results, tail, "few")
    overall, overall_cost = _mean_and_cost(results, *overall, greater_is_better)
    tail, tail_cost = _mean_and_cost(results, *tail, greater_is_better)
    names = overall.index.intersection(tail.index, sort=False)
    costs = np.column_stack([overall_cost[names], tail_cost[names]])
    kinds = results.drop_duplicates("estimator").set_index("estimator")["kind"]
    table = kinds[names].to_frame().assign(overall=overall, tail=tail)
    table["on_frontier"] = [not _is_dominated(cost, costs) for cost in costs]
    return table.iloc[np.argsort(costs[:, 0], kind="stable")].reset_index()


def as_quantity(
    results: pd.DataFrame, quantity: str | tuple[str, str] | None, band: str
) -> tuple[str, str]:
    """The metric and band that ``quantity`` stands for: both, the metric alone, or None."""
    if quantity is None:
        quantity = "mae" if "mae" in set(results["metric"]) else "accuracy"
    metric, band = (quantity, band) if isinstance(quantity, str) else quantity
    return metric, band


def _mean_and_cost(results, metric, band, greater_is_better):
    """Mean of a metric in a band over common runs by estimator; the same as a cost."""
    rows = results[(results["metric"] == metric) & (results["band"] == band)]
    names = rows.loc[rows["value"].notna(), "estimator"].unique().tolist()
    if not names:
        held = results[["metric", "band"]].drop_duplicates().itertuples(index=False, name=None)
        raise ValueError(
            f"The results hold no {metric} in the band {band!r}: choose overall and tail among "
            f"{list(held)}."
        )
    mean = _on_common_runs(rows).groupby("estimator", sort=False)["value"].mean().dropna()
    if mean.empty:
        raise ValueError(
            f"No split and seed has the {metric} of all of {names} in the band {band!r}: leave out "
            "those that failed."
        )
    return mean, _cost(mean, _directions([metric], greater_is_better)[metric])


def _is_dominated(cost, costs):
    return bool(np.any(np.all(costs <= cost, axis=1) & np.any(costs < cost, axis=1)))


def _directions(metrics, greater_is_better):
    """Whether a greater value is better, for the built-in metrics and all of ``metrics``."""
    directions = GREATER_IS_BETTER | (greater_is_better or {})
    unknown = sorted(set(metrics) - set(directions))
    if unknown:
        raise ValueError(
            f"Is a greater {', '.join(unknown)} better? Say so with greater_is_better="
            f"{{{unknown[0]!r}: True}}, or False."
        )
    return directions


def _resolve_baseline(results, baseline):
    names = results["estimator"].unique()
    if baseline is None:
        return names[0]
    if baseline not in names:
        raise ValueError(f"No estimator is named {baseline!r}; there are {names.tolist()}.")
    return baseline


def _cost(values, greater_is_better):
    """Turn metric values into costs; a metric with no direction is best at 1."""
    if greater_is_better is None:
        return abs(values - 1)
    return -values if greater_is_better else values


def _share_of_wins(pair, greater_is_better):
    if not len(pair):
        return np.nan
    cost, baseline_cost = _cost(pair, greater_is_better).T
    return float(np.mean((cost < baseline_cost) + 0.5 * (cost == baseline_cost)))
