"""
Prices and incomes: train on the logarithm, or not?
===================================================

Skewed positive labels are often trained on as logarithms. That changes the question: errors become
relative ones, and what is predicted is nearer to the median than to the mean. Which of the two is
wanted decides, not which of them looks better on one metric.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import train_test_split

from ltlearn import ELTARegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(2400, 5))
y = 20_000 * np.exp(0.8 * X[:, 0] + 0.3 * X[:, 1] * X[:, 2] + 0.4 * rng.normal(size=2400))
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# The estimator holds its own validation rows out, after the transformation of ``y``. Validation
# rows passed to ``fit`` would not be transformed.

plain = ELTARegressor(max_epochs=20, random_state=0)
models = {
    "income, mean": plain,
    "income, median": ELTARegressor(prediction="median", max_epochs=20, random_state=0),
    "log income": TransformedTargetRegressor(plain, func=np.log, inverse_func=np.exp),
}
predictions = {}
print("                 mean error  mean abs. error  mean abs. log error")
for name, model in models.items():
    predicted = model.fit(X_train, y_train).predict(X_test)
    predictions[name] = np.maximum(predicted, 1.0)
    error = predicted - y_test
    log_error = np.log(predictions[name] / y_test)
    print(
        f"{name:16s} {error.mean():10.0f}  {np.abs(error).mean():15.0f}  "
        f"{np.abs(log_error).mean():19.3f}"
    )

# %%
# Sums of predictions are what budgets are made of: for those the mean is right, and the logarithm
# predicts too little.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", sharex=True, sharey=True)
for ax, (name, predicted) in zip(axes, predictions.items(), strict=True):
    ax.loglog(y_test, predicted, ".", alpha=0.4)
    ax.axline((1e4, 1e4), (1e5, 1e5), color="gray")
    ax.set(title=name, xlabel="income in dollars")
axes[0].set_ylabel("predicted income in dollars")
