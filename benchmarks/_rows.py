"""The rows of the ELTA benchmarks: enhancers, their controls, and the table that compares them."""

import numpy as np
import pandas as pd
import torch

from ltlearn import ELTARegressor, Whole
from ltlearn.enhancers import TailMixup
from ltlearn.evaluation import compare, paired_differences, summarize
from ltlearn.objectives._elta import ELTAObjective

POST_HOC = ["stretch", "linear", "isotonic", "cubic"]
COLUMNS = {
    ("srcc", "overall"): "SRCC",
    ("plcc", "overall"): "PLCC",
    ("mae", "overall"): "MAE",
    ("mse", "overall"): "MSE",
    ("mae", "0-20"): "MAE 0-20",
    ("mae", "20-80"): "MAE 20-80",
    ("mae", "80-100"): "MAE 80-100",
    ("balanced_mae", "overall"): "MAE bins",
    ("mae", "few"): "MAE rarest",
}


class AnchorCopies(TailMixup):
    """Append the anchors of mixup as they are: oversampling of the tail, without mixing."""

    def draw(self, scores, generator=None):
        draw = super().draw(scores, generator)
        return draw._replace(partners=draw.anchors, share=torch.ones_like(draw.share))


class OversamplingObjective(ELTAObjective):
    def __init__(self, *, mixup_strength, tail_temperature, **params):
        super().__init__(mixup_strength=0.0, **params)
        self.mixup = AnchorCopies(mixup_strength, tail_temperature)


class OversamplingRegressor(ELTARegressor):
    """ELTARegressor with :class:`AnchorCopies` in the place of mixup."""

    def _objective(self):
        return OversamplingObjective, super()._objective()[1]


class RandomPseudoLabelsRegressor(ELTARegressor):
    """Self-training whose pseudo-labels are dealt at random among the rows it picked."""

    def _pseudo_label(self, *args):
        picked = super()._pseudo_label(*args)
        dealt = np.random.default_rng(0).permutation(len(picked["index"]))
        return {
            **picked,
            "score": picked["score"][dealt],
            "distribution": picked["distribution"][dealt],
        }


def enhancer_rows(loss, settings):
    """Every enhancer, its control and the reweightings, by the name of the row.

    The first is the base that all others change one thing of.

    Parameters
    ----------
    loss : {"mse", "emd"}
        Of the base.
    settings : dict
        Parameters of ELTARegressor that all rows share.
    """

    def make(cls=ELTARegressor, **params):
        return cls(loss=loss).set_params(**{**settings, **params})

    other = "mse" if loss == "emd" else "emd"
    rows = {
        f"plain {loss.upper()}": make(),
        f"plain {other.upper()}": make(loss=other),
        "mixup, 1 pair": make(mixup_strength=1 / 256),
        "mixup 0.1": make(mixup_strength=0.1),
        "mixup 0.25": make(mixup_strength=0.25),
        "mixup 0.5": make(mixup_strength=0.5),
        "anchors repeated 0.25": make(OversamplingRegressor, mixup_strength=0.25),
        "alignment 0.1": make(alignment_weight=0.1),
        "alignment 1": make(alignment_weight=1.0),
        "mixup 0.25 + alignment 0.1": make(mixup_strength=0.25, alignment_weight=0.1),
        "reweighting sqrt": make(reweighting="sqrt_inverse"),
        "reweighting inverse": make(reweighting="inverse"),
        "mixup 0.25 + reweighting sqrt": make(mixup_strength=0.25, reweighting="sqrt_inverse"),
        "mixup 0.25 + reweighting inverse": make(mixup_strength=0.25, reweighting="inverse"),
        "head retraining": make(enhancers__head_retraining_epochs=30),
    }
    if loss == "mse":
        rows["EMD + logit adjustment"] = make(loss="emd", logit_adjustment=1.0)
    return rows


def self_training_rows(percent, settings):
    """Rows that are trained on ``percent`` % of the labels; the first is their base."""
    names = ["EMD", "self-training", "random pseudo-labels"]
    kinds = [ELTARegressor, ELTARegressor, RandomPseudoLabelsRegressor]
    return {
        f"{percent} % labels, {name}": kind(loss="emd").set_params(**settings)
        for name, kind in zip(names, kinds, strict=True)
    }


def compare_with_few_labels(percent, settings, X, y, split, seed, **options):
    """The rows of self-training on ``percent`` % of the training labels of a split.

    Parameters
    ----------
    percent : int
    settings : dict
        Parameters of ELTARegressor that all rows share.
    X, y : ndarray
    split : (ndarray, ndarray, ndarray)
        Row numbers of training, validation and test.
    seed : int
        Draws the rows that keep their labels, and is that of the models.
    **options
        Of :func:`ltlearn.evaluation.compare`.

    Returns
    -------
    DataFrame
    """
    train, validation, test = split
    order = np.random.default_rng(seed).permutation(len(train))
    labeled, unlabeled = np.split(train[order], [len(train) * percent // 100])
    models = self_training_rows(percent, settings)
    extra = {"X_unlabeled": Whole(X[unlabeled])}
    return compare(
        models,
        X,
        y,
        cv=[(labeled, validation, test)],
        seeds=(seed,),
        controls=False,
        fit_params=dict.fromkeys(list(models)[1:], extra),
        **options,
    )


def format_table(results, baseline, columns=COLUMNS):
    """Means over runs with the spread; a star marks a difference with Holm's p < 0.05.

    Parameters
    ----------
    results : DataFrame
        Of :func:`ltlearn.evaluation.compare`.
    baseline : str
    columns : dict of (metric, band) to str
        Titles of the columns.

    Returns
    -------
    str
        In Markdown.
    """
    wanted = pd.MultiIndex.from_tuples(columns, names=["metric", "band"])
    chosen = results.set_index(["metric", "band"])
    chosen = chosen[chosen.index.isin(wanted)].reset_index()
    means = summarize(chosen).dropna(subset="mean").set_index(["estimator", "metric", "band"])
    paired = paired_differences(chosen, baseline=baseline)
    paired = paired.set_index(["estimator", "metric", "band"])
    lines = [
        "| row | " + " | ".join(columns.values()) + " | MAE wins |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for row in dict.fromkeys(chosen["estimator"]):
        cells = []
        for key in columns:
            if (row, *key) not in means.index:
                cells.append("–")
                continue
            mean, spread = means.loc[(row, *key), ["mean", "std"]]
            star = "" if row == baseline else "*" * int(paired.loc[(row, *key), "p_holm"] < 0.05)
            cells.append(f"{mean:.4g}{_plus_minus(spread)}{star}")
        wins = "" if row == baseline else f"{paired.loc[(row, 'mae', 'overall'), 'wins']:.0%}"
        lines.append(f"| {row} | " + " | ".join(cells) + f" | {wins} |")
    return "\n".join(lines)


def _plus_minus(spread):
    """The spread behind a mean; a single run has none."""
    return "" if np.isnan(spread) else f" ± {spread:.2g}"


def difference_table(results, baseline):
    """Mean and spread of every row, and its paired difference to the baseline; a DataFrame."""
    paired = paired_differences(results, baseline=baseline)
    paired = paired[["estimator", "metric", "band", "difference", "wins", "p_value", "p_holm"]]
    return summarize(results).merge(paired, "left", on=["estimator", "metric", "band"])
