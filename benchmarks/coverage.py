"""Do prediction intervals cover what they promise, overall and where scores are rare?

Command::

    python benchmarks/coverage.py [--sets movies ...] [--seeds 3] [--jobs 1] [--data FOLDER]

For every set, seed and model, intervals at 90 % of ``ConformalRegressor`` are counted on test rows
that had no part in anything: overall; by fifths of the predicted score (borders from held-out
predictions), where these have at least 200 held-out and 200 test rows; and by many, medium and few
of the true label, for which no method can promise anything. "split" is calibrated on the
validation rows, "cross" on the training rows by five folds. Widths are means, in deviations of the
test labels.

The second part counts central intervals of predicted distributions as they are and after
``DistributionCalibrator`` on the validation rows, at 50, 80 and 90 %.

Held fixed within a set and seed: the split of ``_tables.py``. On STS-B-DIR, whose published
validation and test rows are both balanced, seed 0 is the published split and further seeds deal
these rows anew. Its training rows are skewed, so that "cross" answers for other rows than those of
the test; it is shown as it is.

Models: ridge, gradient boosting, ``ELTARegressor`` as it comes, in the second part with
``loss="emd"``, and a quantile forest: 100 trees that try half of the columns, at most 100, at a
split, and of whose leaves each keeps one of its labels at random. Finished runs are kept in
``results/cache/coverage.jsonl``; the numbers go to ``results/coverage.json``, tables to
``results/coverage.md``.
"""

import argparse
import json
import warnings
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from _data import CACHE, DEFAULT_DATA
from _results import RESULTS, noted
from _runs import read_runs, run_missing
from _tables import TABLES, load_table
from render import write_page
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import ELTARegressor
from ltlearn.calibration import ConformalRegressor, DistributionCalibrator
from ltlearn.exceptions import LTLearnWarning
from ltlearn.metrics import LabelBands, expected_score

LEVEL = 0.9
LEVELS = (0.5, 0.8, 0.9)
INTERVALS = [
    ("ridge", "split"),
    ("ridge", "cross"),
    ("boosting", "split"),
    ("boosting", "cross"),
    ("ELTARegressor", "split"),
    ("quantile forest", "split"),
]
DISTRIBUTIONS = [("EMD network", "distribution"), ("quantile forest", "distribution")]
ENOUGH = 200  # rows in a band
N_FIFTHS = 5


class QuantileForest(RegressorMixin, BaseEstimator):
    """A forest whose leaves each keep one label; quantiles are those over trees."""

    def __init__(self, n_estimators=100, min_samples_leaf=5, random_state=0):
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X, y):
        self.forest_ = RandomForestRegressor(
            self.n_estimators,
            min_samples_leaf=self.min_samples_leaf,
            max_features=min(0.5, 100 / X.shape[1]),
            random_state=self.random_state,
        ).fit(X, y)
        rng = np.random.default_rng(self.random_state)
        self.kept_ = []
        for leaves in self.forest_.apply(X).T:
            kept = np.zeros(leaves.max() + 1)
            order = rng.permutation(len(leaves))
            kept[leaves[order]] = y[order]  # of several rows of a leaf the last one stays
            self.kept_.append(kept)
        return self

    def predict(self, X):
        return self.forest_.predict(X)

    def predict_quantiles(self, X, levels):
        leaves = self.forest_.apply(X).T
        drawn = np.array([kept[of_tree] for kept, of_tree in zip(self.kept_, leaves, strict=True)])
        return np.quantile(drawn, levels, axis=0).T


def models(seed):
    """Regressors by name."""
    return {
        "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 7))),
        "boosting": HistGradientBoostingRegressor(random_state=seed),
        "ELTARegressor": ELTARegressor(device="cpu", random_state=seed),
        "quantile forest": QuantileForest(random_state=seed),
        "EMD network": ELTARegressor(loss="emd", device="cpu", random_state=seed),
    }


def split_rows(table, name, seed):
    """Row numbers (train, validation, test)."""
    train, validation, test = table.split_for(seed)
    if name == "sts_b_dir" and seed:
        rows = np.random.default_rng(seed).permutation(np.r_[validation, test])
        validation, test = rows[: len(validation)], rows[len(validation) :]
    return train, validation, test


def measure(name, seed, model, method, data):
    """Coverage of one model by one method on one split; a dict that JSON can hold."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", LTLearnWarning)
    table = load_table(name, data)
    y = expected_score(table.y) if table.y.ndim == 2 else table.y
    split = split_rows(table, name, seed)
    run = _distributions if method == "distribution" else partial(_intervals, method=method)
    return run(models(seed)[model], table.X, y, split)


def _intervals(model, X, y, split, method):
    train, validation, test = split
    if method == "split":
        model = FrozenEstimator(model.fit(X[train], y[train]))
        conformal = ConformalRegressor(model).fit(X[validation], y[validation])
        held_out = conformal.predict(X[validation])
    else:
        conformal = ConformalRegressor(model).fit(X[train], y[train])
        held_out = conformal.predict(X[train])
    low, high = conformal.predict_interval(X[test], LEVEL).T
    is_covered = (low <= y[test]) & (y[test] <= high)
    labels = LabelBands.from_density(y[train])
    by_label = _by_band(is_covered, labels.assign(y[test]), labels.counts.values())
    predicted = conformal.predict(X[test])
    edges = np.quantile(held_out, np.arange(1, N_FIFTHS) / N_FIFTHS)
    n_held_out = np.bincount(np.searchsorted(edges, held_out), minlength=N_FIFTHS)
    return {
        "coverage": float(is_covered.mean()),
        "width": float(np.mean(high - low) / np.std(y[test])),
        "predicted": _by_band(is_covered, np.searchsorted(edges, predicted), n_held_out),
        "labels": dict(zip(labels.names, by_label, strict=True)),
    }


def _by_band(is_covered, bands, n_held_out):
    """(held-out or training rows, test rows, coverage) of every band."""
    inside = [is_covered[bands == band] for band in range(len(n_held_out))]
    return [
        (int(n), len(rows), float(rows.mean()) if len(rows) else None)
        for n, rows in zip(n_held_out, inside, strict=True)
    ]


def _distributions(model, X, y, split):
    train, validation, test = split
    model = FrozenEstimator(model.fit(X[train], y[train]))
    calibrated = DistributionCalibrator(model).fit(X[validation], y[validation])
    few = LabelBands.from_density(y[train]).assign(y[test]) == 2
    predicted = calibrated.predict(X[test])
    top = predicted >= np.quantile(calibrated.predict(X[validation]), 0.8)
    result = {}
    for level in LEVELS:
        tails = [(1 - level) / 2, (1 + level) / 2]
        as_it_is = _as_it_is(model, X[test], tails)
        for form, ends in (
            ("as it is", as_it_is),
            ("calibrated", calibrated.predict_quantiles(X[test], tails)),
        ):
            is_covered = (ends[:, 0] <= y[test]) & (y[test] <= ends[:, 1])
            result[f"{form}, {level:.0%}"] = {
                "coverage": float(is_covered.mean()),
                "top fifth predicted": float(is_covered[top].mean()),
                "few": float(is_covered[few].mean()) if few.any() else None,
            }
    return result


def _as_it_is(model, X, levels):
    """Quantiles of the predicted distribution, read as DistributionCalibrator reads it."""
    if hasattr(model, "predict_quantiles"):
        return model.predict_quantiles(X, levels)
    centers = model.bin_centers_
    edges = np.r_[centers[0], (centers[1:] + centers[:-1]) / 2, centers[-1]]
    cumulative = np.cumsum(model.predict_distribution(X), axis=1)
    return np.array([np.interp(levels, np.r_[0.0, row], edges) for row in cumulative])


def interval_table(results):
    """Markdown: coverage in percent, mean over seeds and the spread where it says so."""
    lines = [
        "| set | model | overall | width | worst fifth, mean | worst fifth, one seed | bands "
        "counted | many | medium | few |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for (name, model, method), runs in results.items():
        overall = 100 * np.array([run["coverage"] for run in runs])
        # A fifth counts in the seeds in which it has enough rows of both kinds.
        fifths = [
            [100 * c for n, m, c in by_seed if n >= ENOUGH and m >= ENOUGH]
            for by_seed in zip(*(run["predicted"] for run in runs), strict=True)
        ]
        means = [np.mean(fifth) for fifth in fifths if fifth]
        single = np.concatenate(fifths)
        labels = [
            [run["labels"][band][2] for run in runs if run["labels"][band][2] is not None]
            for band in ("many", "medium", "few")
        ]
        cells = [
            f"{overall.mean():.1f} ± {overall.std():.1f}",
            f"{np.mean([run['width'] for run in runs]):.2f}",
            f"{_farthest(means):.1f}" if means else "–",
            f"{_farthest(single):.1f}" if len(single) else "–",
            f"{len(single)}",
            *(f"{100 * np.mean(band):.1f}" if band else "–" for band in labels),
        ]
        lines.append(f"| {name} | {model}, {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def nearness_table(results):
    """Markdown: how many coverages are as near as they should be, and as chance would have it."""
    lines = [
        "| calibrated on | of | coverages | within | outside | outside by chance |",
        "|---|---|---|---:|---:|---:|",
    ]
    for method in ("split", "cross"):
        rows = [runs for row, runs in results.items() if row[2] == method]
        overall = [[(run["coverage"], *_sizes(run["predicted"])) for run in runs] for runs in rows]
        fifths = [
            [(c, n, m) for n, m, c in by_seed if n >= ENOUGH and m >= ENOUGH]
            for runs in rows
            for by_seed in zip(*(run["predicted"] for run in runs), strict=True)
        ]
        for what, cases, points in (("all rows", overall, 2), ("fifths", fifths, 5)):
            cases = [case for case in cases if case]
            single = [[seed] for case in cases for seed in case]
            for kind, values in (("means over seeds", cases), ("single", single)):
                means = np.array([np.mean([c for c, _, _ in case]) for case in values])
                n_far = np.sum(np.abs(means - LEVEL) > points / 100)
                chance = sum(_chance_outside(case, points / 100) for case in values)
                lines.append(
                    f"| {method} | {what} | {kind} | {points} points: {len(means) - n_far} of "
                    f"{len(means)} | {n_far} | {chance:.1f} |"
                )
    return "\n".join(lines)


def _sizes(bands):
    """Held-out rows and test rows of all bands."""
    return sum(n for n, _, _ in bands), sum(m for _, m, _ in bands)


def _chance_outside(case, distance):
    """Probability that the mean of exact coverages is off by more, seeds taken for independent."""
    variance = LEVEL * (1 - LEVEL) * sum(1 / n + 1 / m for _, n, m in case) / len(case) ** 2
    return 2 * norm.sf(distance / np.sqrt(variance))


def _farthest(coverages):
    """The one farthest from the level."""
    return max(coverages, key=lambda coverage: abs(coverage - 100 * LEVEL))


def distribution_table(results):
    """Markdown: coverage of central intervals in percent, means over seeds."""
    parts = ("coverage", "top fifth predicted", "few")
    lines = [
        "| set | model | intervals | overall | top fifth predicted | few |",
        "|---|---|---|---:|---:|---:|",
    ]
    for (name, model, _), runs in results.items():
        for form in [name for name in runs[0] if isinstance(runs[0][name], dict)]:
            values = [[run[form][part] for run in runs] for part in parts]
            values = [[v for v in part if v is not None] for part in values]
            cells = [f"{100 * np.mean(part):.1f}" if part else "–" for part in values]
            lines.append(f"| {name} | {model} | {form} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def result_tables(path):
    """Tables by title."""
    results = {}
    for record in json.loads(path.read_text()):
        row = tuple(record[name] for name in ("set", "model", "method"))
        results.setdefault(row, []).append(record)
    of_kind = [
        {row: runs for row, runs in results.items() if (row[2] == "distribution") == flag}
        for flag in (False, True)
    ]
    return {
        "Intervals": interval_table(of_kind[0]),
        "As near as they should be": nearness_table(of_kind[0]),
        "Distributions": distribution_table(of_kind[1]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = [(name, *row) for name, row in product(args.sets, [*INTERVALS, *DISTRIBUTIONS])]
    keys = [(name, seed, *row) for seed in range(args.seeds) for name, *row in rows]
    finished = CACHE / "coverage.jsonl"
    run_missing(partial(measure, data=args.data), keys, args.jobs, finished)
    runs = read_runs(finished)
    records = [
        {
            "set": name,
            "model": model,
            "method": method,
            "seed": seed,
            **runs[name, seed, model, method],
        }
        for name, model, method in rows
        for seed in range(args.seeds)
    ]
    path = args.out / "coverage.json"
    with noted(path, [finished]):
        path.write_text("[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n")
    print(write_page(path))


if __name__ == "__main__":
    main()
