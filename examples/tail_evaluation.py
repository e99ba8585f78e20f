"""
From diagnosis to figure: did the tail improve?
===============================================

Command::

    python examples/tail_evaluation.py --output tail_evaluation.png

Needs ``pip install "ltlearn[plot]"`` and nothing else: the diabetes data (442 patients, ten
measurements) ship with scikit-learn. Their label, the progression of the disease after a year, is
not long-tailed; its exponential is, as prices and incomes are, and stands in for such a label here.
In under a minute

1. ``diagnose`` says what the label looks like;
2. ``compare`` measures estimators beside the controls, on the same folds;
3. ``tail_report`` says of one of them whether the tail improved on test rows, and whether
   stretching the predictions of the plain model would have done as well;
4. a figure shows it.

The report refits both models with other seeds and says whether so few rows decide anything, and
which way: here the seeds make as much of a difference, in the tail and overall, as mixup does.
"""

import argparse
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

from ltlearn import ELTARegressor
from ltlearn.evaluation import compare, diagnose, paired_differences, summarize, tail_report
from ltlearn.model_selection import BinnedStratifiedKFold, BinnedStratifiedShuffleSplit
from ltlearn.plotting import (
    ErrorByLabelDisplay,
    FrontierDisplay,
    LabelDensityDisplay,
    ScoreHistogramDisplay,
)


def main(output):
    X, y = load_diabetes(return_X_y=True)
    y = np.exp(y / 80)
    heading("Before training: diagnose")
    print(diagnose(y))

    enhanced = ELTARegressor(random_state=0)
    plain = enhanced.without_enhancers()
    results = compare(
        {"plain": plain, "enhanced": enhanced},
        X,
        y,
        cv=BinnedStratifiedKFold(3, shuffle=True, random_state=0),
        controls=["ridge", "hgb", "hgb_density_weights"],
        metrics=["mae"],
    )
    heading("Beside the controls: compare (MAE over 3 folds)")
    print(summarize(results).pivot(index="estimator", columns="band", values="mean").round(2))
    differences = paired_differences(results, baseline="plain")
    few = differences.loc[differences["band"] == "few"]
    print("\nFew-shot MAE against the plain model:")
    print(
        few[["estimator", "difference", "wins", "p_value", "p_holm"]]
        .round(3)
        .to_string(index=False)
    )

    split = BinnedStratifiedShuffleSplit(1, test_size=0.4, random_state=0)
    train, test = next(split.split(X, y))
    enhanced.fit(X[train], y[train])
    plain.fit(X[train], y[train])
    report = tail_report(
        enhanced, X[test], y[test], baseline=plain, X_train=X[train], y_train=y[train]
    )
    heading("After training: tail_report")
    print(report)

    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    LabelDensityDisplay.from_labels(y, ax=axes[0, 0])
    ScoreHistogramDisplay.from_estimator(enhanced, X[test], y[test], ax=axes[0, 1])
    for name, model in {"plain": plain, "enhanced": enhanced}.items():
        ErrorByLabelDisplay.from_estimator(
            model, X[test], y[test], y_train=y[train], n_bins=6, name=name, ax=axes[1, 0]
        )
    FrontierDisplay.from_results(results, ax=axes[1, 1])
    figure.suptitle(fill(report.verdict, 90))
    figure.savefig(output, dpi=120)
    print(f"\nThe figure is in {output}.")


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="From diagnosis to figure.")
    parser.add_argument("--output", default="tail_evaluation.png", help="figure to write")
    main(parser.parse_args().output)
