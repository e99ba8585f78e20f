"""Do ELTA's enhancers help image aesthetics assessment, trained as published?

Command::

    python benchmarks/aesthetics.py --dataset {ava,aadb,tad66k,para} --images DIR --labels CSV
                                    [--test-labels CSV] [--seeds 1] [--num-workers 8]

The data are not free to pass on; their authors' pages are those of the papers that the readers in
``ltlearn.datasets`` name, which also say what columns the label files have. Without
``--test-labels`` a fifth of the rows, drawn by the seed, is the test set.

Held fixed, as published for ELTA (Liu et al., ICML 2024): Swin-V2-B at 256 x 256, images resized to
300 and cropped at random, flips, Adam with learning rate 1e-5, batches of 48, 20 epochs; for AVA
earth mover's distance on its votes, for the others squared error behind dropout of 0.75. Rows:
plain; mixup of one pair a batch and alignment of weight 1, temperatures in units of the scores
(``--temperature-unit``: 1 for scores up to 10, 0.1 for scores up to 1); and stretch, linear,
isotonic and cubic recalibration of the plain model, fitted to its validation predictions.

Other than published: 5 % of the training rows are held out, spread over the scores, and the best
epoch is that of their lowest MAE, as ``scoring`` has no rank correlation; the bands of the table
are cut at the percentiles of the training scores; the head is not trained a second time.

Finished fits are kept in ``results/cache/aesthetics_<dataset>.jsonl`` and not repeated. Means and
paired differences go to ``results/aesthetics_<dataset>.csv``, the table to the ``.md`` beside it.
The complete run wants a GPU. For a look at whether it works::

    python benchmarks/aesthetics.py ... --backbone test_resnet --no-pretrained --epochs 1
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _results import RESULTS, noted
from _rows import COLUMNS, LEGEND, POST_HOC, difference_table, write_differences
from _rows import result_tables as score_tables
from render import write_page
from sklearn.base import clone

from ltlearn import ELTARegressor, datasets
from ltlearn.evaluation import compare
from ltlearn.exceptions import EmptyBandWarning, SmallSampleWarning
from ltlearn.images import readable_rows
from ltlearn.options import Enhancers, Images, Training

__all__ = ["LEGEND", "result_tables"]  # what render.py calls

READERS = {
    "ava": datasets.read_ava,
    "aadb": datasets.read_aadb,
    "tad66k": datasets.read_tad66k,
    "para": datasets.read_para,
}
BATCH_SIZE = 48
VALIDATION_SHARE = 0.05


def make_estimators(args):
    votes = args.dataset == "ava"
    plain = ELTARegressor(
        backbone=args.backbone,
        backbone_params={"pretrained": args.pretrained, "checkpoint_path": args.checkpoint},
        augmentation="elta",
        loss="emd" if votes else "mse",
        dropout=0.0 if votes else 0.75,
        training=Training(
            optimizer="adam", weight_decay=0.0, scoring="mae", n_iter_no_change=args.epochs
        ),
        lr=1e-5,
        batch_size=BATCH_SIZE,
        max_epochs=args.epochs,
        images=Images(num_workers=args.num_workers),
        device=args.device,
        mixup_strength=0.0,
        enhancers=Enhancers(temperature_unit=args.temperature_unit),
        verbose=1,
    )
    elta = clone(plain).set_params(mixup_strength=1 / BATCH_SIZE, alignment_weight=1.0)
    return {"plain": plain, "ELTA": elta}


def read(args):
    """Paths and scores, and a mask of the test rows where a file of their labels is given."""
    reader = READERS[args.dataset]
    paths, y = reader(args.images, args.labels, on_missing=args.on_missing)
    if args.test_labels is None:
        is_test = None
    else:
        test_paths, test_y = reader(args.images, args.test_labels, on_missing=args.on_missing)
        is_test = np.arange(len(paths) + len(test_paths)) >= len(paths)
        paths, y = np.concatenate([paths, test_paths]), np.concatenate([y, test_y])
    rows = readable_rows(paths, "skip", n_jobs=max(1, args.num_workers))
    return paths[rows], y[rows], None if is_test is None else is_test[rows]


def split_for(seed, is_test, n_rows):
    """Row numbers of training and test."""
    if is_test is None:
        is_test = np.random.default_rng(seed).permutation(n_rows) < n_rows // 5
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def result_tables(path):
    """The table of a file of measurements, by title; with EMD where votes are predicted."""
    votes = path.stem == "aesthetics_ava"
    return score_tables(path, {**COLUMNS, ("emd", "overall"): "EMD"} if votes else COLUMNS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True, choices=list(READERS))
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--labels", type=Path, required=True, metavar="CSV")
    parser.add_argument("--test-labels", type=Path, metavar="CSV")
    parser.add_argument("--on-missing", choices=["raise", "drop"], default="raise")
    parser.add_argument("--temperature-unit", type=float, default=1.0)
    parser.add_argument("--backbone", default="swinv2_base_window8_256")
    parser.add_argument("--pretrained", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--checkpoint", metavar="FILE", help="pretrained weights, without the hub")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--num-workers", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore", SmallSampleWarning)  # one seed has no p-value
    warnings.simplefilter("ignore", EmptyBandWarning)  # shown as a dash

    paths, y, is_test = read(args)
    path = args.out / f"aesthetics_{args.dataset}.csv"
    checkpoint = args.out / "cache" / f"aesthetics_{args.dataset}.jsonl"
    parts = []
    with noted(path, [checkpoint]):
        for seed in range(args.seeds):
            results = compare(
                make_estimators(args),
                paths,
                y,
                cv=[split_for(seed, is_test, len(paths))],
                seeds=(seed,),
                controls=POST_HOC,
                tails=None,
                validation_fraction=VALIDATION_SHARE,
                checkpoint=checkpoint,
            )
            # A given test set stays the same: seeds are then repetitions on one split.
            parts.append(results if is_test is not None else results.assign(split=seed))
    differences = difference_table(pd.concat(parts, ignore_index=True), "plain")
    write_differences([differences.assign(set=args.dataset, part="end to end")], path)
    print(write_page(path))


if __name__ == "__main__":
    main()
