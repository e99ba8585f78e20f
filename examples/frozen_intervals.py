"""
Intervals around a model that is trained already: FrozenEstimator
=================================================================

A model in production, fitted long ago: rows that it has not seen give it prediction intervals with
known coverage, without fitting it again. ``FrozenEstimator`` says that it is not to be.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator

from ltlearn import ELTARegressor
from ltlearn.calibration import ConformalRegressor

rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, size=(4000, 1))
y = np.exp(X[:, 0]) * (1 + 0.3 * rng.normal(size=4000))
model = ELTARegressor(max_epochs=15, random_state=0).fit(X[:1000], y[:1000])

# %%
# 1,000 rows calibrate, 2,000 test. Bands of the predicted score make intervals wide where errors
# are.

unseen, new = slice(1000, 2000), slice(2000, None)
intervals = ConformalRegressor(FrozenEstimator(model), confidence_level=0.9)
intervals.fit(X[unseen], y[unseen])
low, high = intervals.predict_interval(X[new]).T
inside = (low <= y[new]) & (y[new] <= high)
print(f"coverage {inside.mean():.3f} (promised 0.9), mean width {np.mean(high - low):.2f}")
by_band = {name: inside[intervals.predict(X[new]) > q].mean() for name, q in [("above 4", 4)]}
print("coverage of rows predicted", by_band)

# %%
order = np.argsort(X[new, 0])
x = X[new, 0][order]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(x, y[new][order], ".", alpha=0.3, label="new rows")
ax.fill_between(x, low[order], high[order], alpha=0.3, color="C1", label="90 % interval")
ax.plot(x, intervals.predict(X[new])[order], color="C1", label="prediction")
ax.set(xlabel="column of X", ylabel="label")
ax.legend()
