"""
Quick start: rare classes
=========================

A stack of unlike heads beside the models one would try first.

Command::

    python examples/granular_quickstart.py

Handwritten digits, of which some are rare: 100 images of one digit, fewer of each next one, down to
4. Which digits are rare is drawn three times; test rows are the other images. A forest hardly ever
answers with a rare digit, since that costs it little on the training rows. Balancing (class
weights, or `LogitAdjuster`, which divides by the class shares after training) makes up for most of
it. The stack of extra trees, logistic regression and a network weighs its heads, and how far to
balance, by held-out rows of which all classes are worth the same: a point more over all digits, for
some eight times the time. Takes about half a minute on a laptop CPU.
"""

import time

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import TailStackingClassifier
from ltlearn.calibration import LogitAdjuster


def make_models(seed):
    logistic = LogisticRegression(class_weight="balanced", max_iter=1000)
    return {
        "forest": RandomForestClassifier(300, random_state=seed),
        "logistic, balanced": make_pipeline(StandardScaler(), logistic),
        "extra trees, adjusted": LogitAdjuster(ExtraTreesClassifier(300, random_state=seed)),
        'stack, "fast"': TailStackingClassifier("fast", random_state=seed),
        "stack": TailStackingClassifier(random_state=seed),
    }


def draw_rows(y, seed):
    """Numbers of the training and of the test rows of a long-tailed problem."""
    rng = np.random.default_rng(seed)
    counts = np.geomspace(100, 4, 10).round().astype(int)
    train = [
        rng.permutation(np.flatnonzero(y == digit))[:count]
        for digit, count in zip(rng.permutation(10), counts, strict=True)
    ]
    train = np.concatenate(train)
    return train, np.setdiff1d(np.arange(len(y)), train)


def main():
    X, y = load_digits(return_X_y=True)
    rows = []
    for seed in range(3):
        train, test = draw_rows(y, seed)
        is_few = np.bincount(y[train]) < 20
        for name, model in make_models(seed).items():
            start = time.perf_counter()
            y_pred = model.fit(X[train], y[train]).predict(X[test])
            seconds = time.perf_counter() - start
            recall = recall_score(y[test], y_pred, average=None, zero_division=0)
            means = {"all digits": recall, "frequent": recall[~is_few], "rare": recall[is_few]}
            means = {group: 100 * values.mean() for group, values in means.items()}
            rows.append({"model": name, **means, "seconds": seconds})
    table = pd.DataFrame(rows).groupby("model", sort=False).mean()
    print("Mean recall in percent over all digits, and those with less than 20 images or more")
    print(table.round(1).to_string())
    ax = table[["all digits", "frequent", "rare"]].plot.barh(xlabel="recall in percent", ylabel="")
    ax.invert_yaxis()
    ax.figure.tight_layout()
    print("\nWhat the heads of the last stack count:")
    print(pd.Series(model.factors_).round(2).to_string())


if __name__ == "__main__":
    main()
