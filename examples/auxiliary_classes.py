"""
Auxiliary classes: from a folder of pictures to a classifier
============================================================

Four surfaces are to be told apart by small patches of them, and of one there are four pictures
only. A bank holds pictures of other things. ``curate`` says which of these are near enough to the
four to learn from and writes down why; the classifier then trains on both and predicts the four.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
from skimage import color, data, img_as_ubyte
from sklearn.metrics import recall_score

from ltlearn import BackboneFeatures, TailLogisticClassifier, Whole
from ltlearn.curation import FeatureFilter, FolderSource, curate

# %%
# Folders, as they would lie on a disk: one for each class. Training patches are cut from the upper
# half of a photograph, test patches from the lower half.

SIDE = 20  # pixels: little to go by
folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)


def cut(name, photograph, n, lower=False):
    """``n`` patches of a photograph as files; the paths of these."""
    gray = photograph if photograph.ndim == 2 else img_as_ubyte(color.rgb2gray(photograph))
    half = len(gray) // 2
    gray = gray[half:] if lower else gray[:half]
    (folder / name).mkdir(parents=True)
    paths = []
    for i in range(n):
        top, left = (rng.integers(0, size - SIDE) for size in gray.shape)
        paths.append(str(folder / name / f"{i}.png"))
        Image.fromarray(gray[top : top + SIDE, left : left + SIDE]).save(paths[-1])
    return paths


targets = {"grass": 40, "gravel": 20, "brick": 9, "fur": 4}
photographs = {"grass": data.grass(), "gravel": data.gravel(), "brick": data.brick()}
photographs["fur"] = data.chelsea()
photos = {name: cut(f"photos/{name}", photographs[name], n) for name, n in targets.items()}
tests = {name: cut(f"test/{name}", photographs[name], 40, lower=True) for name in targets}
bank = {"moon": data.moon, "coins": data.coins, "tissue": data.immunohistochemistry}
bank |= {"face": data.astronaut, "text": data.page, "stars": data.hubble_deep_field}
for name, photograph in bank.items():
    cut(f"bank/{name}", photograph(), 30)

paths, y = np.concatenate(list(photos.values())), np.repeat(list(targets), list(targets.values()))
test_paths, y_test = np.concatenate(list(tests.values())), np.repeat(list(targets), 40)

# %%
# Candidates are compared with the four classes by features of a frozen backbone. ``curated`` has
# their paths, their names and which of the four each is near. Copies of ``protected`` pictures
# would be dropped, so that nothing of the test leaks into training.

embed = BackboneFeatures(image_size=64, cache=folder / "features")
curated = curate(
    paths,
    y,
    source=FolderSource(folder / "bank"),
    filter=FeatureFilter(embed),
    protected={"test": test_paths},
    folder=folder / "curated",
    verbose=0,
)
print(curated)
curated.neighbors

# %%
# Each candidate is one row of ``curated/manifest.csv``, with the reason why it was kept or not.

curated.to_frame().groupby(["name", "decision"]).size().unstack(fill_value=0)

# %%
# Recall with auxiliary classes and without. This is one draw, and a task that was picked to show a
# difference: of patches of 8, 12, 16, 20 and 32 pixels, fur gained at 8, 16 and 20, lost a little
# at 12, and left nothing to gain at 32. What was gained over many seeds, and where nothing was, the
# guide of auxiliary classes says.

features, test_features = embed.fit(paths).transform(paths), embed.transform(test_paths)
more = {"X_aux": Whole(embed.transform(curated.X_aux)), "y_aux": Whole(curated.y_aux)}
model = TailLogisticClassifier(random_state=0)
recalls = {
    "without": recall_score(y_test, model.fit(features, y).predict(test_features), average=None),
    "with": recall_score(
        y_test, model.fit(features, y, **more).predict(test_features), average=None
    ),
}
pd.DataFrame(recalls, index=model.classes_).T.round(2)

# %%
# One picture of each of the four, and candidates beside it.

kept = dict(zip(curated.y_aux, curated.X_aux, strict=True))
shown = {**{name: files[0] for name, files in photos.items()}, **kept}
figure, axes = plt.subplots(2, 5, figsize=(8, 4), layout="constrained")
for ax in axes.flat:
    ax.set_axis_off()
for ax, (name, path) in zip(axes.flat, shown.items(), strict=False):
    ax.imshow(Image.open(path), cmap="gray")
    near = [target for target, names in curated.neighbors.items() if name in names]
    ax.set_title(f"{name}\nnear {', '.join(near)}" if near else f"{name}: a target class", size=9)
