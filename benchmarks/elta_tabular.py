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

Finished fits are kept in ``results/cache/elta_tabular_<set>.jsonl`` and not repeated. The tables go
to ``results/elta_tabular.md``, the means to ``results/elta_tabular.csv``. Where the data come from
is said in ``_tables.py``.
"""

import argparse
import warnings
from pathlib import Path

import pandas as pd
import torch
from _data import CACHE, DEFAULT_DATA
from _rows import POST_HOC, compare_with_few_labels, enhancer_rows, format_table
from _tables import TABLES, load_table

from ltlearn.evaluation import compare, summarize
from ltlearn.exceptions import LTLearnWarning

RESULTS = Path(__file__).parent / "results"
SETTINGS = {"mixup_strength": 0.0, "training__scoring": "mae", "max_epochs": 60, "device": "cpu"}
CONTROLS = [*POST_HOC, "ridge", "hgb", "hgb_density_weights"]


def run_set(name, seeds, jobs, data):
    """All rows of one set; a tidy table with the seed as the split."""
    table = load_table(name, data)
    y = table.y
    loss = "emd" if y.ndim == 2 else "mse"
    settings = {"n_jobs": jobs, "checkpoint": CACHE / f"elta_tabular_{name}.jsonl"}
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
            **settings,
        )
        tenth = compare_with_few_labels(10, SETTINGS, table.X, y, split, seed, **settings)
        frames += [part.assign(split=seed) for part in (full, tenth)]
    return pd.concat(frames, ignore_index=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    # Bands without a test row are shown as a dash.
    warnings.simplefilter("ignore", LTLearnWarning)

    sections, summaries = [], []
    for name in args.sets:
        results = run_set(name, args.seeds, args.jobs, args.data)
        tenth = results["estimator"].str.startswith("10 %")
        if name == "sts_b_dir":  # seeds differ by initialization alone: an ordinary paired test
            results = results.assign(split=0)
        for part in (results[~tenth], results[tenth]):
            baseline = part["estimator"].iloc[0]
            sections.append(f"### {name}: against {baseline}\n")
            sections.append(format_table(part, baseline) + "\n")
            print("\n".join(sections[-2:]), flush=True)
            summaries.append(summarize(part).assign(set=name))
    (args.out / "elta_tabular.md").write_text("\n".join(sections))
    pd.concat(summaries).to_csv(args.out / "elta_tabular.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
