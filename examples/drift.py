"""
Drift: are new rows still like those the model was judged on?
=============================================================

Intervals, thresholds and verdicts hold for rows like those they were made on. ``tail_drift``
compares labels, predictions and inputs of new rows with these, tail first, with intervals that hold
together.
"""

import matplotlib.pyplot as plt
import numpy as np

from ltlearn import ELTARegressor
from ltlearn.evaluation import tail_drift

rng = np.random.default_rng(0)


def batch(n, shift=0.0):
    """Rows of one month; ``shift`` moves the first column, and with it the labels."""
    X = rng.normal(size=(n, 3))
    X[:, 0] += shift
    return X, np.exp(0.8 * X[:, 0] + 0.3 * rng.normal(size=n))


X, y = batch(2500)
model = ELTARegressor(max_epochs=15, random_state=0).fit(X[:1000], y[:1000])
reference = {"X": X[1000:], "y": y[1000:], "y_pred": model.predict(X[1000:])}

# %%
# Six months, from the third of which on the market rises. Labels come late, predictions at once.

few, low, high, changed = [], [], [], []
for month in range(6):
    X_new, _ = batch(400, shift=0.25 * max(0, month - 1))
    drift = tail_drift(
        {"X": reference["X"], "y_pred": reference["y_pred"]},
        {"X": X_new, "y_pred": model.predict(X_new)},
        bands=model.label_bands_,
        confidence_level=1 - 0.05 / 6,  # six looks, and all of them right with probability 0.95
    )
    frame = drift.to_frame()
    row = frame[(frame["part"] == "predictions") & (frame["where"] == "few")].iloc[0]
    few.append(100 * row["new"])
    changed.append(bool(row["changed"]))
print(drift)

# %%
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
before = 100 * row["reference"]
ax.axhline(before, color="gray", label="rows it was judged on")
ax.plot(range(1, 7), few, "o-")
ax.plot(1 + np.flatnonzero(changed), np.array(few)[changed], "o", color="C3", label="changed")
ax.set(xlabel="month", ylabel="predictions in the tail, % of rows")
ax.legend()
