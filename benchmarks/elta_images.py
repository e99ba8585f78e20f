"""Do ELTA's enhancers, or reweighting, help the tail of images' scores, beyond simple controls?

Command::

    python benchmarks/elta_images.py [--sets quality prices] [--seeds 10] [--end-to-end-seeds 3]
                                     [--jobs 1] [--data FOLDER]

``quality``: 1,070 patches of 64 x 64 pixels from house photos with JPEG, blur, noise or contrast
distortions; the score is SSIM to the undistorted patch, high for most and low for few. ``prices``:
the logarithm (base 10) of a house's price from its frontal photo, 535 houses. See ``_images.py``.

Held fixed within a set and seed: the split by house (65 % training, 15 % validation, 20 % test),
optimizer, batches of 48, and the best epoch by plain validation MAE. Seeds vary split and
initialization together. Every row is a change of one thing against plain squared error.

- Frozen features: EfficientNet-Lite0 with ImageNet weights embeds the patches as they are and the
  photos at 224 x 224; an MLP (128-64) learns from the features. Controls: those of
  ``elta_tabular.py``, boosting on 64 principal components of the features. Self-training sees the
  labels of a quarter of the training rows.
- End to end: the same network is trained whole for 5 epochs, on the patches and on the photos at
  96 x 96, with random crops and flips. Few epochs, small images and 3 seeds keep the complete run
  below half an hour on one core; they also leave these rows with little power.

Finished fits are kept in ``results/cache/elta_images_<set>.jsonl`` and not repeated. Means, paired
differences and p-values go to ``results/elta_images.csv``, the tables to the ``.md`` beside it.
"""

import argparse
import warnings
from pathlib import Path

import pandas as pd
import torch
from _data import CACHE, DEFAULT_DATA
from _images import SIDE, load_prices, load_quality
from _results import RESULTS, noted
from _rows import (
    LEGEND,
    POST_HOC,
    OversamplingRegressor,
    change_table,
    compare_with_few_labels,
    difference_table,
    enhancer_rows,
    read_parts,
    result_tables,
    write_differences,
)
from render import write_page
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline

from ltlearn import BackboneFeatures, ELTARegressor
from ltlearn.evaluation import compare
from ltlearn.exceptions import LTLearnWarning
from ltlearn.networks import timm_backbone
from ltlearn.weighting import label_density_weights

__all__ = ["LEGEND", "result_tables", "summary"]  # what render.py calls

SETS = {"quality": load_quality, "prices": load_prices}
NETWORK = "tf_efficientnet_lite0.package"
FEATURE_SIDE = {"quality": SIDE, "prices": 224}
END_TO_END_SIDE = {"quality": SIDE, "prices": 96}
# Patches are shifted only: resizing them, as ELTA's recipe does, would change their quality.
AUGMENTATION = {"quality": "standard", "prices": "elta"}
LABELED_PERCENT = 25
SETTINGS = {"mixup_strength": 0.0, "training__scoring": "mae", "batch_size": 48, "device": "cpu"}
ON_FEATURES = {**SETTINGS, "backbone": "mlp", "max_epochs": 60}
END_TO_END = {**SETTINGS, "max_epochs": 5, "training__lr_schedule": "cosine"}
END_TO_END_ROWS = {
    "plain MSE": (ELTARegressor, {}),
    "mixup 0.25": (ELTARegressor, {"mixup_strength": 0.25}),
    "anchors repeated 0.25": (OversamplingRegressor, {"mixup_strength": 0.25}),
    "alignment 1": (ELTARegressor, {"alignment_weight": 1.0}),
    "reweighting sqrt": (ELTARegressor, {"reweighting": "sqrt_inverse"}),
}
# Of the table in README.md, with the names that a row has.
SUMMARY_ROWS = {
    "mixup 0.25": ["mixup 0.25"],
    "reweighting sqrt": ["reweighting sqrt"],
}


def checkpoint(name):
    """Where the finished fits of a set are kept."""
    return CACHE / f"elta_images_{name}.jsonl"


def end_to_end_rows(name, network=NETWORK, network_params=None, **settings):
    """Plain training, one row for each way to treat the tail, and oversampling beside mixup.

    Parameters
    ----------
    name : {"quality", "prices"}
    network : str
        Name of a timm model.
    network_params : dict, default=None
        Of :func:`ltlearn.networks.timm_backbone`.
    **settings
        Parameters of ELTARegressor in place of those of this script.
    """
    side = END_TO_END_SIDE[name]
    network = timm_backbone(network, **{"img_size": side, **(network_params or {})})
    shared = {
        **END_TO_END,
        # On a CPU this memory format is nearly twice as fast.
        "backbone": network.to(memory_format=torch.channels_last),
        "augmentation": AUGMENTATION[name],
        **settings,
    }
    return {
        row: cls().set_params(**{**shared, **params})
        for row, (cls, params) in END_TO_END_ROWS.items()
    }


def boosting_rows(y):
    """Gradient boosting plain and with density weights, and the fit parameters of the latter."""
    boosting = make_pipeline(PCA(64), HistGradientBoostingRegressor())
    weighted = "boosting, density weights"

    def density_weights(split):
        weight = label_density_weights(y[split.train])
        return {"histgradientboostingregressor__sample_weight": weight}

    return {"boosting": boosting, weighted: boosting}, {weighted: density_weights}


def run_features(name, images, seeds, settings):
    """Rows on frozen features with all labels, and with few; two tidy tables."""
    embed = BackboneFeatures(
        backbone=NETWORK, image_size=FEATURE_SIDE[name], crop_pct=1.0, cache=CACHE / "images"
    )
    X = embed.fit_transform(images.X)
    boosting, fit_params = boosting_rows(images.y)
    full, few = [], []
    for seed in range(seeds):
        split = images.split_for(seed)
        results = compare(
            {**enhancer_rows("mse", ON_FEATURES), **boosting},
            X,
            images.y,
            cv=[split],
            seeds=(seed,),
            controls=[*POST_HOC, "ridge"],
            tails=None,
            fit_params=fit_params,
            **settings,
        )
        full.append(results.assign(split=seed))
        results = compare_with_few_labels(
            LABELED_PERCENT, ON_FEATURES, X, images.y, split, seed, **settings
        )
        few.append(results.assign(split=seed))
    return pd.concat(full, ignore_index=True), pd.concat(few, ignore_index=True)


def run_end_to_end(name, images, seeds, settings):
    """Rows trained end to end; a tidy table."""
    rows = end_to_end_rows(name)
    parts = []
    for seed in range(seeds):
        results = compare(
            rows,
            images.X,
            images.y,
            cv=[images.split_for(seed)],
            seeds=(seed,),
            controls=POST_HOC,
            **settings,
        )
        parts.append(results.assign(split=seed))
    return pd.concat(parts, ignore_index=True)


def summary(folder):
    """Changes of MAE, overall / of the rarest scores, to plain training, in percent."""
    columns = {}
    for (name, part), differences in read_parts(folder / "elta_images.csv").items():
        columns.setdefault(f"{name}, {part.partition(',')[0]}", []).append(differences)
    return change_table(columns, SUMMARY_ROWS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--end-to-end-seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    # Bands without a test row are shown as a dash; few validation rows are part of the question.
    warnings.simplefilter("ignore", LTLearnWarning)

    tables = []
    path = args.out / "elta_images.csv"
    with noted(path, [checkpoint(name) for name in args.sets]):
        for name in args.sets:
            images = SETS[name](args.data)
            settings = {"n_jobs": args.jobs, "checkpoint": checkpoint(name)}
            full, few = run_features(name, images, args.seeds, settings)
            trained = run_end_to_end(name, images, args.end_to_end_seeds, settings)
            same_splits = full[
                (full["estimator"] == "plain MSE") & full["split"].isin(trained["split"])
            ]
            same_splits = same_splits.assign(estimator="plain MSE, frozen features")
            parts = {
                "frozen features": full,
                "frozen features, few labels": few,
                "end to end": pd.concat([trained, same_splits]),
            }
            for part, results in parts.items():
                differences = difference_table(results, results["estimator"].iloc[0])
                tables.append(differences.assign(set=name, part=part))
    write_differences(tables, path)
    print(write_page(path))


if __name__ == "__main__":
    main()
