"""
One fit, a dial for the tail
============================

``ELTARegressor`` predicts a distribution. What is read off it can be turned to rare scores after
the fit: no second training, and the price in overall error can be read off held-out rows.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from ltlearn import ELTARegressor
from ltlearn.metrics import shot_errors

rng = np.random.default_rng(0)
X = rng.normal(size=(4000, 5))
y = np.exp(0.7 * X[:, 0] + 0.3 * X[:, 1] + 0.7 * rng.normal(size=4000))
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=1500, random_state=0)
model = ELTARegressor(prediction="median", max_epochs=20, random_state=0).fit(X_train, y_train)

# %%
dials = [0, 0.1, 0.25, 0.5, 0.75, 1.0]
overall, few = [], []
for tail in dials:
    predicted = model.predict(X_test, tail=tail)
    overall.append(np.abs(predicted - y_test).mean())
    few.append(shot_errors(y_test, predicted, bands=model.label_bands_)["few"]["mae"])
    print(f"tail={tail:4.2f}: overall {overall[-1]:.3f}, few-shot {few[-1]:.3f}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
axes[0].plot(overall, few, "o-")
for tail, x, height in zip(dials, overall, few, strict=True):
    axes[0].annotate(f"{tail:g}", (x, height), xytext=(5, 3), textcoords="offset points")
axes[0].set(xlabel="mean absolute error, overall", ylabel="mean absolute error, few-shot")
axes[0].set_title("Each point a setting of the dial")
for tail in (0, 0.5, 1.0):
    axes[1].plot(np.sort(model.predict(X_test, tail=tail)), label=f"tail={tail:g}")
axes[1].plot(np.sort(y_test), "k--", lw=1, label="labels")
axes[1].set(xlabel="test rows, sorted", ylabel="prediction", yscale="log")
axes[1].legend()
