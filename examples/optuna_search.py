"""
Searching with Optuna, with a score that sees the tail
======================================================

Any optimizer that calls ``cross_val_score`` works. The objective here is the error on the few-shot
band, within what the overall error may cost.
"""

import matplotlib.pyplot as plt
import numpy as np
import optuna
from sklearn.model_selection import cross_validate

from ltlearn import ELTARegressor
from ltlearn.metrics import register_scorers
from ltlearn.model_selection import BinnedStratifiedKFold

register_scorers()
optuna.logging.set_verbosity(optuna.logging.WARNING)

rng = np.random.default_rng(0)
X = rng.normal(size=(500, 4))
y = np.exp(X[:, 0] + 0.3 * X[:, 1] ** 2 + 0.3 * rng.normal(size=500))
folds = BinnedStratifiedKFold(3, shuffle=True, random_state=0)
scoring = ["neg_mean_absolute_error", "neg_few_mae"]


def objective(trial):
    """Overall error and error in the tail: Optuna looks for the frontier of both."""
    model = ELTARegressor(
        backbone="mlp",
        lr=trial.suggest_float("lr", 1e-3, 1e-2, log=True),
        mixup_strength=trial.suggest_float("mixup_strength", 0, 0.5),
        reweighting=trial.suggest_categorical("reweighting", [None, "sqrt_inverse"]),
        max_epochs=25,
        random_state=0,
    )
    scores = cross_validate(model, X, y, cv=folds, scoring=scoring)
    return [-scores[f"test_{name}"].mean() for name in scoring]


study = optuna.create_study(
    directions=["minimize", "minimize"], sampler=optuna.samplers.TPESampler(seed=0)
)
study.optimize(objective, n_trials=12)

# %%
# The trials on the frontier: choose among them by what the tail is worth to you, then measure the
# choice on rows that the search has not seen.

values = np.array([trial.values for trial in study.trials])
best = np.array(sorted(trial.values for trial in study.best_trials))
weighted = np.array([trial.params["reweighting"] is not None for trial in study.trials])
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(*values[~weighted].T, "o", label="unweighted")
ax.plot(*values[weighted].T, "s", label="density weights")
ax.plot(*best.T, "k--", lw=1, label="frontier")
ax.set(xlabel="mean absolute error, overall", ylabel="mean absolute error, few-shot")
ax.legend()
