"""
Groups: rows that belong together stay together
===============================================

Ten photos of one flat, five visits of one patient: rows of a group are alike. Splits that tear
groups apart measure how well a model remembers them, and a search chooses by that.
"""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GroupKFold

from ltlearn import ELTARegressor
from ltlearn.evaluation import compare, summarize
from ltlearn.model_selection import BinnedStratifiedKFold

rng = np.random.default_rng(0)
groups = np.repeat(np.arange(120), 8)  # 120 flats, eight rows each
flat = rng.normal(size=(120, 3))[groups]  # what tells flats apart, and says nothing of prices
X = np.c_[flat, rng.normal(size=(960, 2))]
y = np.exp(rng.normal(size=120)[groups] + 0.5 * X[:, 3] + 0.2 * rng.normal(size=960))

# %%
# The same models, three ways to split. ``groups`` also hold where ``compare`` cuts out validation
# rows. The last one keeps groups together and spreads the labels over the folds as well.

models = {
    "ELTARegressor": ELTARegressor(max_epochs=12),
    "boosting": HistGradientBoostingRegressor(max_iter=60),
}
splits = {
    "rows at random": (BinnedStratifiedKFold(3, shuffle=True, random_state=0), None),
    "whole groups": (GroupKFold(3), groups),
    "whole groups, spread": (BinnedStratifiedKFold(3, shuffle=True, random_state=0), groups),
}
table = {}
for name, (cv, of_rows) in splits.items():
    results = compare(
        models, X, y, cv=cv, groups=of_rows, controls=["mean"], metrics=["mae"], tails=None
    )
    means = summarize(results).query("band == 'overall'").set_index("estimator")["mean"]
    table[name] = means
table = pd.DataFrame(table)
table.round(2)

# %%
# Where groups are torn apart, boosting seems to err half as much as the mean of all prices; on
# flats that it has not seen, it is hardly better than that.

ax = table.T.plot.bar(rot=0, figsize=(7, 4))
ax.set(
    ylim=(0, 1.9),
    ylabel="mean absolute error (price)",
    title="The same models and rows, split in three ways",
)
ax.figure.tight_layout()
