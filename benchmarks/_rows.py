"""The rows of the ELTA benchmarks: enhancers, their controls, and the table that compares them."""

import numpy as np
import pandas as pd
import torch
from _markdown import markdown_table, star

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

LEGEND = """\
± is the standard deviation over seeds. A star marks a difference to the first row with
Holm-corrected p < 0.05, by the corrected resampled t-test over random splits; they share most of
their rows, so the test is conservative, and a difference without a star may still have one sign
in all seeds. On a fixed split (STS-B-DIR) it is a paired t-test over seeds, which speaks of
that split alone. "MAE 0-20" and so on are between percentiles of the training scores, "MAE bins"
is the mean over ten equal-width bins of the label, "MAE rarest" that of the few-shot band, "MAE
wins" the share of seeds with a lower overall MAE. A dash: no test row in the band.
"""


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
        tails=None,
        fit_params=dict.fromkeys(list(models)[1:], extra),
        **options,
    )


def difference_table(results, baseline):
    """Mean and spread of every row, and its paired difference to the baseline; a DataFrame.

    ``starred`` says which differences have Holm's p < 0.05.
    """
    paired = paired_differences(results, baseline=baseline)
    paired = paired[["estimator", "metric", "band", "difference", "wins", "p_value", "p_holm"]]
    table = summarize(results).merge(paired, "left", on=["estimator", "metric", "band"])
    return table.assign(starred=table["p_holm"] < 0.05)


def write_differences(tables, path):
    """Write tables of :func:`difference_table`, each with its set and part, to one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(tables).to_csv(path, index=False, float_format="%.10g")


def format_table(differences, columns=COLUMNS):
    """Means over runs with the spread, and a star where the difference has one.

    Parameters
    ----------
    differences : DataFrame
        Of :func:`difference_table`; the first row is the baseline.
    columns : dict of (metric, band) to str
        Titles of the columns.

    Returns
    -------
    str
        In Markdown.
    """
    cells = differences.dropna(subset="mean").set_index(["estimator", "metric", "band"])
    rows = []
    for name in dict.fromkeys(differences["estimator"]):
        row = [_cell(cells, (name, *key)) for key in columns]
        wins = cells.loc[(name, "mae", "overall"), "wins"]
        rows.append([name, *row, "" if np.isnan(wins) else f"{wins:.0%}"])
    return markdown_table(["row", *columns.values(), "MAE wins"], rows)


def _cell(cells, key):
    if key not in cells.index:
        return "–"
    cell = cells.loc[key]
    # A single run has no spread.
    spread = "" if np.isnan(cell["std"]) else f" ± {cell['std']:.2g}"
    return f"{cell['mean']:.4g}{spread}{star(cell['starred'])}"


def read_parts(path):
    """Tables of differences by set and part, from a file of measurements."""
    frame = pd.read_csv(path)
    frame["starred"] = frame["starred"].eq(True)  # empty where it is not known
    return dict(list(frame.groupby(["set", "part"], sort=False)))


def result_tables(path, columns=COLUMNS):
    """The tables of a file of measurements, by title."""
    tables = {}
    for (name, part), differences in read_parts(path).items():
        baseline, n_runs = differences["estimator"].iloc[0], differences["n"].max()
        title = f"{name}, {part}: against {baseline}, {n_runs} seeds"
        tables[title] = format_table(differences, columns)
    return tables


def change_table(columns, rows):
    """Changes of MAE overall / of the rarest scores to the first row of each part, in percent.

    Parameters
    ----------
    columns : dict of str to list of DataFrame
        By title, tables of :func:`difference_table`; the baseline of the first is shown.
    rows : dict of str to list of str
        By title, names of a row, of which a column has at most one that is no baseline.

    Returns
    -------
    str
        In Markdown.
    """
    header, lines = ["", *columns], [["base: MAE"], *([title] for title in rows)]
    for parts in columns.values():
        bands = [_mae(part) for part in parts]
        lines[0].append(" / ".join(_or_dash(band["mean"].iloc[:1], ".4g") for band in bands[0]))
        changes = {}
        for overall, few in bands:
            for name in overall.index[1:]:
                changes[name] = " / ".join(_change(band, name) for band in (overall, few))
        for line, names in zip(lines[1:], rows.values(), strict=True):
            line.append(next((changes[name] for name in names if name in changes), "–"))
    return markdown_table(header, lines)


def _mae(differences):
    """MAE overall and of the rarest scores, each with the baseline first, by estimator."""
    mae = differences[differences["metric"] == "mae"].set_index("estimator")
    return [mae[mae["band"] == band].dropna(subset="mean") for band in ("overall", "few")]


def _or_dash(values, form):
    return format(values.iloc[0], form) if len(values) else "–"


def _change(band, name):
    if name not in band.index:
        return "–"
    change = 100 * (band.loc[name, "mean"] / band["mean"].iloc[0] - 1)
    return f"{change:+.1f}{star(band.loc[name, 'starred'])}"
