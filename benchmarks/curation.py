"""Does curation find the right auxiliary classes in a messy image bank, and what are they worth?

Command::

    python benchmarks/curation.py [--seeds 3] [--data FOLDER] [--out FOLDER]

For every seed, the target classes are the 36 of ``granular.py`` on CIFAR-100 (3 of the 5 classes of
12 superclasses, 500 to 5 training images). The image bank holds the other 64 classes as folders of
100 training images each, and in every folder are planted: 20 images of other folders (distractors),
4 copies of test images of target classes (as they are, as JPEG of quality 75, as WebP of quality
60, enlarged to 48 pixels as JPEG), 2 repeats of its own images, 2 damaged files and 1 text file
that is called an image.

Curation proposes names by WordNet (of the bank's classes, the nearest 3 to 10 for each target
class), fetches from the bank, and filters by features of EfficientNet-Lite0 (ImageNet; images
enlarged to 96 pixels) with the default thresholds. The test images are protected.

Reported, with mean and standard deviation over seeds:

- precision and recall of the neighbors against the other two classes of each target's superclass:
  as proposed by WordNet, after the filter, and by the filter alone (all classes for all targets);
- what became of the planted files that were fetched, and of the honest images;
- test accuracy of GranularClassifier on the frozen features, overall and over classes with many
  (> 100), medium and few (< 20) training images, with auxiliary data that is: none; none, with as
  many updates as the curated row; random (24 classes of other superclasses, no neighbors); curated;
  everything fetched and decodable, unfiltered; true (the 24 sibling classes, clean). Differences to
  the first row are paired over seeds.

Held fixed over rows: network (one hidden layer of 128), AdamW with a cosine schedule, batches of
64, 20 epochs over the target images, 50 images of each auxiliary class an epoch, silencing 0.1
where there are neighbors.

Needs WordNet's database files (Debian's package ``wordnet-base``). Where the images come from is
said in ``_data.py``. Means and standard deviations go to ``OUT/curation.json``, the tables to the
``.md`` beside it; banks, curated data and cached features stay in ``OUT/curation``. A seed takes
about five minutes on one core.
"""

import argparse
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _data import CACHE, DEFAULT_DATA, load_cifar100, long_tailed_counts
from _markdown import markdown_table
from _results import note_run
from PIL import Image
from render import write_page
from skorch.callbacks import LRScheduler

from ltlearn import BackboneFeatures, GranularClassifier, Whole
from ltlearn.curation import FeatureFilter, FolderSource, WordNetProposer, curate
from ltlearn.metrics import ClassBands, shot_accuracy
from ltlearn.options import Auxiliary, Training

LARGEST_CLASS, IMBALANCE, BANK_IMAGES, DISTRACTORS = 500, 100, 100, 20
EPOCHS, AUXILIARY_SAMPLES = 20, 50
BANDS = ["overall", "many", "medium", "few"]
DELTAS = ["Δ overall", "Δ few"]
SUMMARY_ROWS = ("none", "random", "curated", "true siblings")
LEGEND = """\
Shares in percent, ± the standard deviation over seeds; Δ are paired differences to none.
"""
BASELINE = "none"

# Names that WordNet lacks, and trees that it lists as timber first.
SENSES = {"maple_tree": "maple.n.02", "aquarium_fish": "goldfish.n.01"}

LEAKS = {
    "exact copies": ("PNG", {}, 32),
    "JPEG 75": ("JPEG", {"quality": 75}, 32),
    "WebP 60": ("WEBP", {"quality": 60}, 32),
    "enlarged JPEG": ("JPEG", {"quality": 85}, 48),
}


# Data


def draw_classes(superclasses, seed):
    """Target classes, their siblings, and random other classes: the draw of ``granular.py``."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(sorted(superclasses))
    members = [rng.permutation(superclasses[name]).tolist() for name in order]
    siblings = {name: classes[3:] for classes in members[:12] for name in classes[:3]}
    n_near = sum(len(classes[3:]) for classes in members[:12])
    random = rng.choice(np.concatenate(members[12:]), n_near, replace=False).tolist()
    return siblings, random


def draw_targets(images, names, seed):
    """Long-tailed training images, and the test images, of the target classes."""
    rng = np.random.default_rng([seed, 1])
    counts = long_tailed_counts(len(names), LARGEST_CLASS, IMBALANCE)
    rows = [
        rng.permutation(np.flatnonzero(images.y_train == name))[:count]
        for name, count in zip(rng.permutation(names), counts, strict=True)
    ]
    rows = np.concatenate(rows)
    test = np.flatnonzero(np.isin(images.y_test, names))
    return images.X_train[rows], images.y_train[rows], images.X_test[test], images.y_test[test]


def write_bank(root, images, names, X_test, seed):
    """Write the bank; the file names say what was planted."""
    rng = np.random.default_rng([seed, 2])
    drawn = {
        name: rng.choice(np.flatnonzero(images.y_train == name), BANK_IMAGES, replace=False)
        for name in names
    }
    leaked = rng.permutation(len(X_test))
    for position, name in enumerate(names):
        folder = root / name
        folder.mkdir(parents=True)
        others = np.concatenate([rows for other, rows in drawn.items() if other != name])
        distractors = rng.choice(others, DISTRACTORS, replace=False)
        for kind, rows in (("honest", drawn[name]), ("distractor", distractors)):
            for i, row in enumerate(rows):
                (folder / f"{kind}-{i}.png").write_bytes(encode(images.X_train[row]))
        for i, (kind, (image_format, options, size)) in enumerate(LEAKS.items()):
            image = X_test[leaked[(4 * position + i) % len(leaked)]]
            data = encode(image, image_format, size, **options)
            (folder / f"leak {kind}-0.{image_format.lower()}").write_bytes(data)
        for i in range(2):
            data = (folder / f"honest-{i}.png").read_bytes()
            (folder / f"repeat-{i}.png").write_bytes(data)
            (folder / f"damaged-{i}.png").write_bytes(data[: len(data) // (i + 2)])
        (folder / "damaged-2.jpg").write_text("not an image")


def encode(image, image_format="PNG", size=32, **options):
    image = Image.fromarray(image)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    data = io.BytesIO()
    image.save(data, image_format, **options)
    return data.getvalue()


def kind_of(row):
    return Path(row.source).name.partition("-")[0]


# Measures


def precision_and_recall(pairs, true_pairs):
    hits = len(pairs & true_pairs)
    return {
        "pairs": len(pairs),
        "precision": hits / max(len(pairs), 1),
        "recall": hits / len(true_pairs),
        "F1": 2 * hits / (len(pairs) + len(true_pairs)),
    }


def pairs_of(neighbors):
    return {(target, name) for target, names in neighbors.items() for name in names}


def fates(rows):
    """What became of the fetched files of each kind."""
    records = []
    for kind, of_kind in pd.DataFrame(
        {
            "kind": [kind_of(row) for row in rows],
            "kept": [row.kept for row in rows],
            "leak": [not row.kept and "near-duplicate of t" in row.reason for row in rows],
            "repeat": [not row.kept and "earlier candidate" in row.reason for row in rows],
            "unusable": [row.anchor == "" for row in rows],
        }
    ).groupby("kind", sort=False):
        record = {"file": kind, "fetched": len(of_kind)}
        for fate in ("kept", "leak", "repeat", "unusable"):
            record[fate] = of_kind[fate].mean()
        records.append(record)
    return records


def fit(problem, epochs, seed, auxiliary=None, neighbors=None):
    """Accuracies with auxiliary data (features, class names)."""
    X, y, X_test, y_test = problem
    model = GranularClassifier(
        hidden_layer_sizes=(128,),
        dropout=0.0,
        training=Training(lr_schedule="constant", feature_mixup=0.0),
        lr=1e-3,
        batch_size=64,
        max_epochs=epochs,
        early_stopping=False,
        callbacks=[LRScheduler(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=epochs)],
        device="cpu",
        random_state=seed,
        auxiliary=Auxiliary(
            max_samples=AUXILIARY_SAMPLES,
            neighbors="auto" if auxiliary is None else neighbors or {},
        ),
        silencing=0.1 if neighbors else 1.0,
    )
    aux = {}
    if auxiliary is not None:
        aux = {"X_aux": Whole(auxiliary[0]), "y_aux": Whole(auxiliary[1])}
    y_pred = model.fit(X, y, **aux).predict(X_test)
    return {
        "auxiliary classes": 0 if auxiliary is None else len(np.unique(auxiliary[1])),
        "updates": sum(epoch["train_batch_count"] for epoch in model.history_),
        "overall": np.mean(y_pred == y_test),
        **shot_accuracy(y_test, y_pred, bands=ClassBands.from_labels(y)),
    }


def run(images, superclasses, seed, out):
    """Curate and fit for one seed: records for the three tables."""
    folder = out / f"seed{seed}"
    siblings, random = draw_classes(superclasses, seed)
    X, y, X_test, y_test = draw_targets(images, list(siblings), seed)
    bank_names = sorted(set(images.y_train.tolist()) - set(siblings))
    shutil.rmtree(folder, ignore_errors=True)
    write_bank(folder / "bank", images, bank_names, X_test, seed)

    embed = BackboneFeatures(image_size=96, crop_pct=1.0, cache=out / "features").fit(X)
    source = FolderSource(folder / "bank")
    steps = {"source": source, "filter": FeatureFilter(embed), "protected": {"test": X_test}}
    proposer = WordNetProposer(vocabulary=bank_names, senses=SENSES)
    data = curate(X, y, proposer=proposer, folder=folder / "curated", **steps)
    alone = curate(X, y, folder=folder / "alone", contact_sheet=False, **steps)

    true_pairs = pairs_of(siblings)
    proposals = json.loads((data.folder / "manifest.json").read_text())["proposals"]
    neighbors = {
        "proposed by WordNet": {(p["anchor"], p["name"]) for p in proposals},
        "proposed and filtered": pairs_of(data.neighbors),
        "filter alone": pairs_of(alone.neighbors),
    }
    found = [
        {"neighbors": name, **precision_and_recall(pairs, true_pairs)}
        for name, pairs in neighbors.items()
    ]

    def clean(names):
        paths = [
            str(folder / "bank" / name / f"honest-{i}.png")
            for name in names
            for i in range(BANK_IMAGES)
        ]
        return embed.transform(paths), np.repeat(names, BANK_IMAGES)

    problem = embed.transform(X), y, embed.transform(X_test), y_test
    fetched = [row for row in data.rows if row.anchor]
    unfiltered = (
        embed.transform([row.source for row in fetched]),
        np.array([row.name for row in fetched]),
    )
    proposed = {}
    for anchor, name in sorted(neighbors["proposed by WordNet"]):
        proposed.setdefault(anchor, []).append(name)
    near = sorted({name for names in siblings.values() for name in names})
    curated = embed.transform(data.X_aux), data.y_aux
    rows = {
        BASELINE: fit(problem, EPOCHS, seed),
        "random": fit(problem, EPOCHS, seed, clean(random)),
        "curated": fit(problem, EPOCHS, seed, curated, data.neighbors),
        "proposed, not filtered": fit(problem, EPOCHS, seed, unfiltered, proposed),
        "true siblings": fit(problem, EPOCHS, seed, clean(near), siblings),
    }
    longer = round(EPOCHS * rows["curated"]["updates"] / rows[BASELINE]["updates"])
    rows["none, as many updates as curated"] = fit(problem, longer, seed)
    accuracies = [{"auxiliary data": name, **row} for name, row in rows.items()]
    return found, fates(data.rows), accuracies


# Tables


def means(records, by, percent, plain):
    """Means over seeds, and of shares, in percent, [mean, standard deviation]; a list of dict."""
    return [
        {
            by: name,
            **{column: float(rows[column].mean()) for column in plain},
            **{
                column: [float(100 * rows[column].mean()), float(100 * rows[column].std(ddof=0))]
                for column in percent
            },
        }
        for name, rows in pd.DataFrame(records).groupby(by, sort=False)
    ]


def make_table(rows):
    """Markdown table of means."""
    return markdown_table(list(rows[0]), [[_text(value) for value in row.values()] for row in rows])


def _text(value):
    if isinstance(value, list):
        return "{:.1f} ± {:.1f}".format(*value)
    return value if isinstance(value, str) else f"{value:.0f}"


def result_tables(path):
    """The tables of a file of measurements, by title."""
    measured = json.loads(path.read_text())
    return {
        f"Neighbors found, {measured['seeds']} seeds": make_table(measured["neighbors"]),
        "What became of the files": make_table(measured["files"]),
        "Accuracy": make_table(measured["accuracy"]),
    }


def summary(folder):
    """Accuracies and their differences."""
    rows = json.loads((folder / "curation.json").read_text())["accuracy"]
    rows = [row for row in rows if row["auxiliary data"] in SUMMARY_ROWS]
    columns = ["auxiliary data", "auxiliary classes", "overall", "few", *DELTAS]
    return make_table([{column: row[column] for column in columns} for row in rows])


def paired_with_baseline(accuracies):
    """The records with differences to the baseline of the same seed."""
    baseline = {r["seed"]: r for r in accuracies if r["auxiliary data"] == BASELINE}
    return [
        record | {f"Δ {band}": record[band] - baseline[record["seed"]][band] for band in BANDS}
        for record in accuracies
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    images, superclasses = load_cifar100(args.data)
    found, planted, accuracies = [], [], []
    for seed in range(args.seeds):
        parts = run(images, superclasses, seed, args.out / "curation")
        for records, part in zip((found, planted, accuracies), parts, strict=True):
            records += [record | {"seed": seed} for record in part]
    accuracies = paired_with_baseline(accuracies)
    plain = ["auxiliary classes", "updates"]
    measured = {
        "seeds": args.seeds,
        "neighbors": means(found, "neighbors", ["precision", "recall", "F1"], ["pairs"]),
        "files": means(planted, "file", ["kept", "leak", "repeat", "unusable"], ["fetched"]),
        "accuracy": means(accuracies, "auxiliary data", [*BANDS, *DELTAS], plain),
    }
    path = args.out / "curation.json"
    path.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
    note_run(path, anew=True)
    print(write_page(path))


if __name__ == "__main__":
    main()
