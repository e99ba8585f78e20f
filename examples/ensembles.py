"""
Ensembles: how much of a difference is the seed?
================================================

Fits that differ in ``random_state`` alone differ in the tail by as much as many methods gain.
Averaging some of them lowers that share of the error: ``n_estimators`` trains networks that differ
in seed as one. Where they disagree, ``return_std`` tells.
"""

import matplotlib.pyplot as plt
import numpy as np

from ltlearn import ELTARegressor
from ltlearn.metrics import shot_errors

rng = np.random.default_rng(0)
X = rng.normal(size=(3000, 6))
y = np.exp(X[:, 0] * (1 + 0.5 * np.sin(2 * X[:, 1])) + 0.3 * rng.normal(size=3000))
X_train, y_train, X_test, y_test = X[:500], y[:500], X[500:], y[500:]


def errors(model):
    """Mean absolute error overall and in the tail of the training labels."""
    predicted = model.predict(X_test)
    bands = ELTARegressor(backbone="mlp", max_epochs=1).fit(X_train, y_train).label_bands_
    few = shot_errors(y_test, predicted, bands=bands)["few"]["mae"]
    return np.abs(predicted - y_test).mean(), few


network = ELTARegressor(backbone="mlp", max_epochs=40)
single = [errors(network.set_params(random_state=s).fit(X_train, y_train)) for s in range(6)]
averages = [
    errors(network.set_params(n_estimators=6, random_state=s).fit(X_train, y_train))
    for s in range(2)
]
print("single fits: spread in the tail", np.std([few for _, few in single]).round(3))

# %%
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(*np.transpose(single), "o", label="one fit, six seeds")
ax.plot(*np.transpose(averages), "s", label="average of six, two seeds")
ax.set(xlabel="mean absolute error, overall", ylabel="mean absolute error, few-shot")
ax.legend()

# %%
# The networks disagree most where there were few labels to learn from.

predicted, spread = network.predict(X_test, return_std=True)
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(np.maximum(predicted, 0.05), spread, ".", alpha=0.4)
ax.set(xlabel="prediction", ylabel="standard deviation over the networks")
