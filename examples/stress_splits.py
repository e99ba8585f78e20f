"""
What if some labels never occurred in training?
===============================================

Cross-validation asks how a model does on more of the same. Stress splits take a stretch of the
labels out of the training part and test on it: the top tenth (``ExtrapolationSplit``), the middle
(``InterpolationSplit``), narrow blind spots (``BlindSpotSplit``).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import ELTARegressor
from ltlearn.model_selection import BlindSpotSplit, ExtrapolationSplit, InterpolationSplit

rng = np.random.default_rng(0)
X = rng.normal(size=(900, 4))
y = np.exp(0.7 * X[:, 0]) + X[:, 1] + 0.3 * rng.normal(size=900)
splitters = {
    "top tenth removed": ExtrapolationSplit(2, random_state=0),
    "top tenth thinned": ExtrapolationSplit(2, kept=0.1, random_state=0),
    "middle removed": InterpolationSplit(2, random_state=0),
    "blind spot": BlindSpotSplit(2, random_state=0),
}
models = {
    "ridge": make_pipeline(StandardScaler(), Ridge()),
    "boosting": HistGradientBoostingRegressor(max_iter=60, random_state=0),
    "ELTARegressor": ELTARegressor(max_epochs=10, random_state=0),
}

# %%
# The error in the stretch, as a multiple of that of the same model trained on as many random rows.

ratios = {name: [] for name in models}
for splitter in splitters.values():
    of_model = {name: [] for name in models}
    stretches = splitter.in_stretch(y)
    for number, (train, test) in enumerate(splitter.split(X, y)):
        in_stretch = stretches[number] if len(stretches) == 2 else stretches
        tested = test[np.isin(test, np.flatnonzero(in_stretch))]
        everything = np.setdiff1d(np.arange(len(y)), test)
        usual = rng.choice(everything, min(len(train), len(everything)), replace=False)
        for name, model in models.items():
            error = [
                np.abs(clone(model).fit(X[rows], y[rows]).predict(X[tested]) - y[tested]).mean()
                for rows in (train, usual)
            ]
            of_model[name].append(error[0] / error[1])
    for name in models:
        ratios[name].append(np.mean(of_model[name]))

# %%
places = np.arange(len(splitters))
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for number, (name, values) in enumerate(ratios.items()):
    ax.bar(places + 0.27 * (number - 1), values, 0.25, label=name)
ax.axhline(1, color="gray", lw=1)
ax.set_xticks(places, splitters)
ax.set_ylabel("error in the stretch,\ntimes that with all labels in training")
ax.legend()
