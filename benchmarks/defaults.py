"""Where does ``compare`` put the regressors with no arguments, beside boosting, forests and ridge?

Command::

    python benchmarks/defaults.py [--sets movies ...] [--rows 3000] [--data FOLDER] [--out FOLDER]

One call of :func:`ltlearn.evaluation.compare` a set, as a user would write it: three folds, one
seed, ``ELTARegressor()`` and ``TailStackingRegressor()`` without any argument, all the controls
that it takes by itself (HistGradientBoosting, ridge, the network's predictions recalibrated), and
LightGBM and CatBoost for absolute errors, with their own defaults. The sets are those of
``tabular.py``, of the large ones 3,000 rows (1,500 of STS-B-DIR) that are drawn by a seed used
nowhere else. Metric: mean absolute error.

Finished runs are kept in ``OUT/defaults_<set>.jsonl`` and not repeated; the tables are written from
``OUT/defaults.csv``.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _data import CACHE, DEFAULT_DATA
from _markdown import markdown_table
from _results import noted
from _tables import LARGE, SMALL, load_frame
from render import write_page
from sklearn.base import BaseEstimator, RegressorMixin
from tabular import with_texts

from ltlearn import ELTARegressor, TailStackingRegressor
from ltlearn.evaluation import compare
from ltlearn.exceptions import LTLearnWarning

SEED, FOLDS = 2026, 3
MOST_ROWS = {"sts_b_dir": 1_500}
OWN = ("ELTARegressor()", "TailStackingRegressor()")
LEVEL = 0.01
LEGEND = """\
Mean absolute error over three folds, in percent of the lowest of the set; in brackets the place
among all of a set. Post-hoc controls of the network are named as in `compare`.
"""


def measure(name, n_rows, data, out):
    """The table of ``compare`` for one set."""
    X, y, _ = load_frame(name, data)
    rows = np.random.default_rng(SEED).permutation(len(y))[: MOST_ROWS.get(name, n_rows)]
    X, y = X.iloc[rows].reset_index(drop=True), y[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LTLearnWarning)
        results = compare(
            dict(zip(OWN, (ELTARegressor(), TailStackingRegressor()), strict=True)),
            X,
            y,
            cv=FOLDS,
            seeds=(SEED,),
            controls=rivals(wide=X.shape[1] > 100),
            metrics=["mae"],
            tails=None,
            checkpoint=out / f"defaults_{name}.jsonl",
        )
    return results[results["band"] == "overall"].assign(set=name)


def rivals(wide):
    from lightgbm import LGBMRegressor

    found = {"LightGBM, L1": LGBMRegressor(objective="l1", n_jobs=1, verbose=-1)}
    if not wide:  # takes minutes for a fit there
        found["CatBoost, MAE"] = CatBoost()
    return found


class CatBoost(RegressorMixin, BaseEstimator):
    """CatBoost with its defaults for absolute errors, categories as texts."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y):
        from catboost import CatBoostRegressor

        self.model_ = CatBoostRegressor(
            loss_function="MAE",
            random_seed=self.random_state,
            thread_count=1,
            verbose=False,
            allow_writing_files=False,
        )
        categories = [name for name in X.columns if X[name].dtype == "category"]
        self.model_.fit(with_texts(X), y, cat_features=categories)
        return self

    def predict(self, X):
        return self.model_.predict(with_texts(X))


# Tables


def means(frame):
    """Mean error by estimator and set, in percent of the lowest of the set."""
    table = frame.pivot_table(index="estimator", columns="set", values="value", sort=False)
    return 100 * table / table.min()


def result_tables(path):
    """The tables of a file of measurements, by title."""
    table = means(pd.read_csv(path))
    places = table.rank()
    tables = {}
    for kind, sets in (("large", LARGE), ("small", SMALL)):
        names = [name for name in sets if name in table.columns]
        if names:
            lines = [
                [row, *(_cell(table.loc[row, name], places.loc[row, name]) for name in names)]
                for row in table.index
            ]
            tables[f"{kind} sets"] = markdown_table(["", *names], lines)
    lines = []
    for row in table.index:
        gap = table.loc[row].dropna() / 100 - 1
        counts = [(places.loc[row] == 1).sum(), (gap <= LEVEL).sum(), len(gap)]
        lines.append([row, *map(str, counts), f"{100 * gap.mean():.1f}", f"{100 * gap.max():.1f}"])
    header = ["", "first", "first or within 1 %", "sets", "mean gap, %", "largest gap, %"]
    return tables | {"All sets": markdown_table(header, lines)}


def _cell(percent, place):
    return "–" if np.isnan(percent) else f"{percent:.1f} ({place:.0f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", nargs="+", default=[*SMALL, *LARGE])
    parser.add_argument("--rows", type=int, default=3_000)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = args.out / "defaults.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = []
    with noted(path):
        for name in args.sets:
            frames.append(measure(name, args.rows, args.data, args.out))
            pd.concat(frames).to_csv(path, index=False)
    print(write_page(path))


if __name__ == "__main__":
    main()
