"""Does ``ltlearn.evaluation.compare`` give the rows that the tables of ``granular.py`` show?

Command::

    python benchmarks/reproduce.py [--seeds 3] [--data FOLDER]

``elta_tabular.py`` and ``elta_images.py`` are built on ``compare``. ``granular.py`` draws a problem
of its own for every seed and trains in two schedules, and so loops by itself. Here ``compare`` fits
its rows CE and balanced CE on Fashion-MNIST-LT features, with the same seeds, and the accuracies
are printed beside those of ``granular.py``, fitted again in the same run. They are to be equal.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from _data import DEFAULT_DATA
from granular import BANDS, BASELINE, EPOCHS, draw_problem, make_model, make_rows, run

from ltlearn.evaluation import compare


def compared(problem, seed):
    """Accuracies by row and band, as ``compare`` finds them."""
    X, y = np.concatenate([problem.X, problem.X_test]), np.concatenate([problem.y, problem.y_test])
    split = np.arange(len(problem.y)), np.arange(len(problem.y), len(y))
    rows = make_rows("features", problem)
    estimators = {
        name: make_model("features", rows[name], seed, EPOCHS["features", "fashion"])
        for name in ("CE", BASELINE)
    }
    results = compare(
        estimators, X, y, cv=[split], seeds=[seed], controls=False, validation_fraction=0
    )
    return results[results["metric"] == "accuracy"].set_index(["estimator", "band"])["value"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    args = parser.parse_args()
    torch.set_num_threads(1)
    largest = 0.0
    print("| seed | row | band | granular.py | compare |\n|---|---|---|---:|---:|")
    for seed in range(args.seeds):
        accuracies = compared(draw_problem("features", "fashion", args.data, seed), seed)
        for name in ("CE", BASELINE):
            (record,) = run("features", "fashion", 1, seed, name, "epochs", data=args.data)
            for band in BANDS:
                pair = record[band], accuracies[name, band]
                largest = max(largest, abs(pair[0] - pair[1]))
                print(f"| {seed} | {name} | {band} | {pair[0]:.4f} | {pair[1]:.4f} |")
    print(f"\nLargest difference: {largest:.2g}")


if __name__ == "__main__":
    main()
