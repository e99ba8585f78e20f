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

import numpy as np
import pandas as pd
import torch
from _tables import DEFAULT_DATA, TABLES, load_table

from ltlearn import ELTARegressor, Whole
from ltlearn._elta_objective import ELTAObjective
from ltlearn.enhancers import TailMixup
from ltlearn.enhancers._sampling import draw_anchors
from ltlearn.evaluation import compare, paired_differences, summarize
from ltlearn.exceptions import LTLearnWarning

RESULTS = Path(__file__).parent / "results"
SETTINGS = {"mixup_strength": 0.0, "scoring": "mae", "max_epochs": 60, "device": "cpu"}
CONTROLS = [
    "stretch", "linear", "isotonic", "cubic", "ridge", "hgb", "hgb_density_weights"
]  # fmt: skip
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

    def forward(self, features, scores, *labels, generator=None):
        n_anchors = max(1, round(self.strength * len(scores)))
        distance = (scores - scores.mean()).abs()
        anchors = draw_anchors(distance, n_anchors, self.tail_temperature, generator)
        return tuple(torch.cat([t, t[anchors]]) for t in (features, scores, *labels))


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

    def _pseudo_label(self, net, X_unlabeled, valid):
        picked = super()._pseudo_label(net, X_unlabeled, valid)
        dealt = np.random.default_rng(0).permutation(len(picked["index"]))
        return {
            **picked,
            "score": picked["score"][dealt],
            "distribution": picked["distribution"][dealt],
        }


def make_estimators(loss):
    """The rows of the table; the first is the base that all others change one thing of."""

    def make(cls=ELTARegressor, **params):
        return cls(**{**SETTINGS, "loss": loss, **params})

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
        "head retraining": make(head_retraining_epochs=30),
    }
    if loss == "mse":
        rows["EMD + logit adjustment"] = make(loss="emd", logit_adjustment=1.0)
    return rows


def make_self_training():
    """Rows trained on a tenth of the labels; the first is the base of this group."""
    settings = {**SETTINGS, "loss": "emd"}
    return {
        "10 % labels, EMD": ELTARegressor(**settings),
        "10 % labels, self-training": ELTARegressor(**settings),
        "10 % labels, random pseudo-labels": RandomPseudoLabelsRegressor(**settings),
    }


def run_set(name, seeds, jobs, data):
    """All rows of one set; a tidy table with the seed as the split."""
    table = load_table(name, data)
    y = table.y
    loss = "emd" if y.ndim == 2 else "mse"
    settings = {"n_jobs": jobs, "checkpoint": RESULTS / "cache" / f"elta_tabular_{name}.jsonl"}
    frames = []
    for seed in range(seeds):
        train, validation, test = table.split_for(seed)
        split = [(train, validation, test)]
        full = compare(
            make_estimators(loss),
            table.X,
            y,
            cv=split,
            seeds=(seed,),
            controls=CONTROLS,
            **settings,
        )
        order = np.random.default_rng(seed).permutation(len(train))
        labeled, unlabeled = np.split(train[order], [len(train) // 10])
        extra = {"X_unlabeled": Whole(table.X[unlabeled])}
        models = make_self_training()
        tenth = compare(
            models,
            table.X,
            y,
            cv=[(labeled, validation, test)],
            seeds=(seed,),
            controls=False,
            fit_params=dict.fromkeys(list(models)[1:], extra),
            **settings,
        )
        frames += [part.assign(split=seed) for part in (full, tenth)]
    return pd.concat(frames, ignore_index=True)


def format_table(results, baseline, fixed_split):
    """Means over seeds with the spread; a star marks a difference with Holm's p < 0.05."""
    if fixed_split:  # seeds differ by initialization alone: an ordinary paired test
        results = results.assign(split=0)
    wanted = pd.MultiIndex.from_tuples(COLUMNS, names=["metric", "band"])
    chosen = results.set_index(["metric", "band"])
    chosen = chosen[chosen.index.isin(wanted)].reset_index()
    means = summarize(chosen).set_index(["estimator", "metric", "band"])
    paired = paired_differences(chosen, baseline=baseline)
    paired = paired.set_index(["estimator", "metric", "band"])
    lines = [
        "| row | " + " | ".join(COLUMNS.values()) + " | MAE wins |",
        "|---|" + "---|" * (len(COLUMNS) + 1),
    ]
    for row in dict.fromkeys(chosen["estimator"]):
        cells = []
        for key in COLUMNS:
            if (row, *key) not in means.index:
                cells.append("–")
                continue
            mean, spread = means.loc[(row, *key), ["mean", "std"]]
            star = "" if row == baseline else "*" * int(paired.loc[(row, *key), "p_holm"] < 0.05)
            cells.append(f"{mean:.4g} ± {spread:.2g}{star}")
        wins = "" if row == baseline else f"{paired.loc[(row, 'mae', 'overall'), 'wins']:.0%}"
        lines.append(f"| {row} | " + " | ".join(cells) + f" | {wins} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    (RESULTS / "cache").mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    # Bands without a test row are shown as a dash.
    warnings.simplefilter("ignore", LTLearnWarning)

    sections, summaries = [], []
    for name in args.sets:
        results = run_set(name, args.seeds, args.jobs, args.data)
        tenth = results["estimator"].str.startswith("10 %")
        fixed_split = name == "sts_b_dir"
        for part in (results[~tenth], results[tenth]):
            baseline = part["estimator"].iloc[0]
            sections.append(f"### {name}: against {baseline}\n")
            sections.append(format_table(part, baseline, fixed_split) + "\n")
            print("\n".join(sections[-2:]), flush=True)
            summaries.append(summarize(part).assign(set=name))
    (args.out / "elta_tabular.md").write_text("\n".join(sections))
    pd.concat(summaries).to_csv(args.out / "elta_tabular.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
