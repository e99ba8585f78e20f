"""
Rare classes on a table: what beats what?
=========================================

Handwritten digits as 64 numbers, made long-tailed: 90 rows of the first, 5 of the last. ``compare``
measures a stack of unlike heads and a network beside forests, boosting and logistic regression,
with and without logit adjustment.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from ltlearn import GranularClassifier, TailStackingClassifier
from ltlearn.evaluation import compare
from ltlearn.plotting import FrontierDisplay

X, y = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
counts = np.geomspace(90, 5, 10).round().astype(int)  # rows in training, digit by digit
train = np.concatenate([rng.choice(np.flatnonzero(y == k), n, False) for k, n in enumerate(counts)])
test = np.setdiff1d(np.arange(len(y)), train)
print("training rows of each digit:", counts)

# %%
# One split here; more splits and seeds belong into an honest comparison.

models = {
    "stack": TailStackingClassifier(random_state=0),
    "extra trees, tau fitted": TailStackingClassifier("fast", random_state=0),
    "network": GranularClassifier(random_state=0),
}
results = compare(
    models, X, y, cv=[(train, test)], controls=["logistic", "hgb_balanced", "extra_trees"]
)
accuracy = results[results["metric"] == "accuracy"]
accuracy.pivot_table(index="estimator", columns="band", values="value", sort=False).round(3)

# %%
figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
FrontierDisplay.from_results(results, ax=ax)
