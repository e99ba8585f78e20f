"""Do ELTA's enhancers help the quality scores of house photos, trained end to end and for long?

The part ``photos`` of ``gpu_session.py``, which runs it and says how.

The patches, splits and rows are those of ``elta_images.py``, end to end, with 40 epochs where a CPU
has 5, a rate that falls by a cosine, and the best epoch by plain validation MAE: plain squared
error, with stretch, linear, isotonic and cubic recalibration after it; mixup; its anchors repeated
unmixed; alignment; reweighting. The network is EfficientNet-Lite0 with the ImageNet weights of a
package; ``--network`` and ``--checkpoint`` take another one, for instance Swin-V2 with a file of
its weights and ``--lr 1e-5``, as published for ELTA.
"""

import time
import warnings

import numpy as np
import pandas as pd
from _images import HouseImages, load_quality
from _rows import POST_HOC, difference_table, format_table
from elta_images import END_TO_END_ROWS, NETWORK, end_to_end_rows

from ltlearn.evaluation import compare
from ltlearn.exceptions import LTLearnWarning, SmallSampleWarning

EPOCHS, SEEDS, BASE = 40, 5, "plain MSE"


def prepare(data, path):
    """Make the patches from the photos of the houses and keep them in a file."""
    images = load_quality(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, X=images.X, y=images.y, house=images.house)


def prepared(settings):
    return settings.data / "photos.npz"


def _rows(settings):
    params = {} if settings.checkpoint is None else {"checkpoint_path": settings.checkpoint}
    return end_to_end_rows(
        "quality",
        settings.network or NETWORK,
        params,
        max_epochs=1 if settings.smoke else EPOCHS,
        device=settings.device,
        **({} if settings.lr is None else {"lr": settings.lr}),
    )


def list_keys(settings):
    """Arguments of all runs, in order of worth."""
    rows = list(END_TO_END_ROWS)[: 2 if settings.smoke else None]
    seeds = range(1 if settings.smoke else SEEDS)
    network = settings.network or NETWORK
    return [(network, settings.lr, row, seed) for seed in seeds for row in rows]


def run(key, settings):
    """Fit one row, and what recalibrates the plain one, and measure them."""
    network, lr, row, seed = key
    with np.load(prepared(settings)) as file:
        images = HouseImages(file["X"], file["y"], file["house"])
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LTLearnWarning)  # of few validation rows, as elta_images.py
        results = compare(
            {row: _rows(settings)[row]},
            images.X,
            images.y,
            cv=[images.split_for(seed)],
            seeds=(seed,),
            controls=POST_HOC if row == BASE else False,
            tails=None,
        )
    results = results.assign(split=seed)
    records = results.astype(object).where(results.notna(), None).to_dict("records")
    seconds = time.perf_counter() - start
    name = network if lr is None else f"{network} at rate {lr:g}"
    return {"network": name, "seconds": seconds, "results": records}


def result_tables(records):
    """The table of each network, by title."""
    tables = {}
    for network in dict.fromkeys(record["network"] for record in records):
        of_network = [record for record in records if record["network"] == network]
        frames = [pd.DataFrame(record["results"]) for record in of_network]
        results = pd.concat(frames, ignore_index=True)
        if BASE in set(results["estimator"]):
            n_seeds = results["seed"].nunique()
            title = f"Quality of house photos, {network}: against {BASE}, {n_seeds} seeds"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SmallSampleWarning)  # of a single seed
                tables[title] = format_table(difference_table(results, BASE))
    return tables
