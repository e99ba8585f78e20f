"""
Several targets: MultiOutputRegressor
=====================================

Two columns of ``y`` that are neither counts nor shares are two targets, not votes over two bins, so
``ELTARegressor`` refuses them. ``MultiOutputRegressor`` fits one model for each, in parallel if
asked.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_linnerud, make_regression
from sklearn.multioutput import MultiOutputRegressor

from ltlearn import ELTARegressor

print("For example:", load_linnerud().target_names)

X, signal = make_regression(800, 6, n_targets=2, random_state=0)
price, rent = np.exp(signal.T / 150)
y = np.c_[1000 * price, 10 * rent]

try:
    ELTARegressor().fit(X, y)
except ValueError as error:
    print(error)

# %%
# One model a target, each with a scale and bands of its own.

model = MultiOutputRegressor(ELTARegressor(max_epochs=20, random_state=0)).fit(X[:600], y[:600])
predicted = model.predict(X[600:])
for each, name in zip(model.estimators_, ("price", "rent"), strict=True):
    print(f"{name}: {each.label_bands_}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for column, (ax, name) in enumerate(zip(axes, ("price", "rent"), strict=True)):
    ax.loglog(y[600:, column], np.maximum(predicted[:, column], 1), ".")
    ends = [y[:, column].min(), y[:, column].max()]
    ax.plot(ends, ends, color="gray")
    ax.set(xlabel=f"true {name} in dollars", ylabel=f"predicted {name} in dollars")
