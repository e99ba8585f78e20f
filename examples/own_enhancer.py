"""
An enhancer of one's own
========================

Does an enhancer of one's own help the tail, beside ELTA's mixup and beside none?

Command::

    python examples/own_enhancer.py

The enhancer adds noisy copies of the rows with the rarest scores. The data, 442 patients with
diabetes, come with scikit-learn. Every model sees the same five splits. Takes less than a minute
on a laptop CPU.
"""

import warnings

import torch
from sklearn.datasets import load_diabetes

from ltlearn import ELTARegressor
from ltlearn.evaluation import compare, paired_differences, summarize
from ltlearn.exceptions import LTLearnWarning
from ltlearn.plotting import FrontierDisplay


class NoisyTail:
    """Append copies of the rows whose scores are farthest from the mean, with noise.

    Parameters
    ----------
    strength : float
        Copies as a share of the batch.
    noise : float
        Deviation of the noise, in deviations of each feature over the batch.
    """

    def __init__(self, strength=0.25, noise=0.5):
        self.strength = strength
        self.noise = noise

    def __call__(self, batch):
        """From a :class:`ltlearn.enhancers.Batch` to a larger one."""
        distance = batch.target["score"].abs()  # scores have mean 0
        rows = distance.topk(max(1, round(self.strength * len(distance)))).indices
        copies = batch.features[rows]
        noise = torch.randn(copies.shape, generator=batch.generator, device=copies.device)
        copies = copies + self.noise * noise * batch.features.std(dim=0, correction=0)
        return batch._replace(
            features=torch.cat([batch.features, copies]),
            target={k: torch.cat([v, v[rows]]) for k, v in batch.target.items()},
            weight=torch.cat([batch.weight, batch.weight[rows]]),
        )


def main(max_epochs=40):
    X, y = load_diabetes(return_X_y=True)
    settings = {"backbone": "mlp", "loss": "mse", "max_epochs": max_epochs}
    estimators = {
        "no enhancer": ELTARegressor(mixup_strength=0.0, **settings),
        "TailMixup": ELTARegressor(mixup_strength=0.25, **settings),
        "NoisyTail": ELTARegressor(mixup_strength=0.0, enhancers=[NoisyTail()], **settings),
    }
    warnings.simplefilter("ignore", LTLearnWarning)
    results = compare(estimators, X, y, cv=5, controls=["mean", "ridge"])
    is_shown = results["metric"].eq("mae") & results["band"].isin(["overall", "few"])
    means = summarize(results[is_shown]).pivot(index="estimator", columns="band", values="mean")
    print("Mean absolute error, mean of five folds")
    print(means.loc[results["estimator"].unique(), ["overall", "few"]].round(1).to_string())

    paired = paired_differences(results[is_shown], baseline="no enhancer")
    print("\nError minus that of a network without enhancers")
    shown = ["estimator", "band", "difference", "std", "wins", "p_holm"]
    print(paired[shown].round(2).to_string(index=False))
    FrontierDisplay.from_results(results, exclude=("mean",))


if __name__ == "__main__":
    main()
