"""Do ELTA's enhancers, or reweighting, help the tail of tables, beyond simple controls?

Command::

    python benchmarks/elta_tabular.py [--sets movies ...] [--seeds 10] [--jobs 2] [--data FOLDER]

Held fixed within a set and seed: the split (at most 10,000 training, 2,000 validation and 5,000
test rows; STS-B-DIR its published split), the network (128-64), optimizer, and early stopping on
plain validation MAE. Seeds vary split and initialization together. Every row is a change of one
thing against the base row of its set: squared error for scalar scores, EMD for the rating
distributions of ``movies``.

Rows beside the estimators: the base model's validation predictions give stretch, linear, isotonic
and cubic recalibration; anchors of mixup repeated without mixing; ridge; gradient boosting plain
and with density weights. Self-training sees the labels of 10 % of the training rows; beside it
stand the same model without the other rows and with as many pseudo-labels dealt at random.

Finished fits are kept in ``results/cache/elta_tabular_<set>.jsonl`` and not repeated. Means, paired
differences and p-values go to ``results/elta_tabular.csv``, the tables to the ``.md`` beside it.
Where the data come from is said in ``_tables.py``.
"""

import argparse
import warnings
from pathlib import Path

import pandas as pd
import torch
from _data import CACHE, DEFAULT_DATA
from _results import RESULTS, noted
from _rows import (
    LEGEND,
    POST_HOC,
    change_table,
    compare_with_few_labels,
    difference_table,
    enhancer_rows,
    read_parts,
    result_tables,
    write_differences,
)
from _tables import TABLES, load_table
from render import write_page

from ltlearn.evaluation import compare
from ltlearn.exceptions import LTLearnWarning

__all__ = ["LEGEND", "result_tables", "summary"]  # what render.py calls
SETTINGS = {
    "backbone": "mlp",
    "mixup_strength": 0.0,
    "training__scoring": "mae",
    "max_epochs": 60,
    "device": "cpu",
}
CONTROLS = [*POST_HOC, "ridge", "hgb", "hgb_density_weights"]
# Of the tables in README.md, with the names that a row has.
SUMMARY_ROWS = {
    "mixup 0.1": ["mixup 0.1"],
    "reweighting sqrt": ["reweighting sqrt"],
    "boosting": ["hgb"],
}


def checkpoint(name):
    """Where the finished fits of a set are kept."""
    return CACHE / f"elta_tabular_{name}.jsonl"


def run_set(name, seeds, jobs, data):
    """All rows of one set; a tidy table with the seed as the split."""
    table = load_table(name, data)
    y = table.y
    loss = "emd" if y.ndim == 2 else "mse"
    settings = {"n_jobs": jobs, "checkpoint": checkpoint(name)}
    frames = []
    for seed in range(seeds):
        split = table.split_for(seed)
        full = compare(
            enhancer_rows(loss, SETTINGS),
            table.X,
            y,
            cv=[split],
            seeds=(seed,),
            controls=CONTROLS,
            tails=None,
            **settings,
        )
        tenth = compare_with_few_labels(10, SETTINGS, table.X, y, split, seed, **settings)
        frames += [part.assign(split=seed) for part in (full, tenth)]
    return pd.concat(frames, ignore_index=True)


def summary(folder):
    """Changes of MAE, overall / of the rarest scores, to plain training, in percent."""
    columns = {}
    for (name, _), differences in read_parts(folder / "elta_tabular.csv").items():
        columns.setdefault(name, []).append(differences)
    return change_table(columns, SUMMARY_ROWS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    # Bands without a test row are shown as a dash.
    warnings.simplefilter("ignore", LTLearnWarning)

    tables = []
    path = args.out / "elta_tabular.csv"
    with noted(path, [checkpoint(name) for name in args.sets]):
        for name in args.sets:
            results = run_set(name, args.seeds, args.jobs, args.data)
            tenth = results["estimator"].str.startswith("10 %")
            if name == "sts_b_dir":  # seeds differ by initialization alone: a plain paired test
                results = results.assign(split=0)
            for part, rows in (("all labels", results[~tenth]), ("few labels", results[tenth])):
                differences = difference_table(rows, rows["estimator"].iloc[0])
                tables.append(differences.assign(set=name, part=part))
    write_differences(tables, path)
    print(write_page(path))


if __name__ == "__main__":
    main()
