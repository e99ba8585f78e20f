"""What users write, for the type checker: thirty uses that the documentation shows.

It is checked, not run: ``mypy``.
"""

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ltlearn
from ltlearn import (
    BackboneFeatures,
    ELTARegressor,
    GranularClassifier,
    PLDAClassifier,
    TailLogisticClassifier,
    TailStackingClassifier,
    Whole,
)
from ltlearn.calibration import (
    ConformalRegressor,
    DistributionCalibrator,
    LogitAdjuster,
    Recalibrator,
    adjust_proba,
)
from ltlearn.enhancers import SimilarityAlignment, TailMixup
from ltlearn.evaluation import (
    compare,
    diagnose,
    frontier,
    paired_differences,
    summarize,
    tail_drift,
    tail_report,
)
from ltlearn.losses import BalancedCrossEntropy, EMDLoss, QuantileLoss
from ltlearn.metrics import LabelBands, balanced_mae, register_scorers, shot_errors, srcc
from ltlearn.model_selection import BatchedGridSearchCV, BinnedStratifiedKFold
from ltlearn.options import Architecture, Training
from ltlearn.plotting import FrontierDisplay
from ltlearn.weighting import class_weights, label_density_weights

X, y = np.zeros((100, 3)), np.arange(100.0)
classes = np.repeat(["common", "rare"], [90, 10])

# 1 to 6: estimators
model = ELTARegressor(prediction="median", tail=0.25, random_state=0).fit(X, y)
prices = model.predict(X, tail=0.5)
low, high = model.predict_interval(X, 0.9).T
model.set_params(training__layer_decay=0.75, prediction="mean")
tuned = ELTARegressor(training=Training(lr_schedule="cosine"), hidden_layer_sizes=(64, 32))
classifier = GranularClassifier(architecture=Architecture(head="cosine"), prior="train")
classifier.fit(X, classes, X_aux=Whole(X), y_aux=Whole(np.full(100, "other")))

# 7 to 10: heads and features
stack = TailStackingClassifier("fast", random_state=0).fit(X, classes)
TailLogisticClassifier(power=1).fit(X, classes).predict_proba(X)
PLDAClassifier(shrinkage=(0.3, 0.9)).fit(X, classes)
pipeline = make_pipeline(BackboneFeatures(cache="features"), ELTARegressor(backbone="mlp"))

# 11 to 16: around any estimator
intervals = ConformalRegressor(HistGradientBoostingRegressor(), confidence_level=0.8, cv=3)
intervals.fit(X, y).predict_interval(X)
DistributionCalibrator(model).fit(X, y).predict_quantiles(X, [0.1, 0.9])
Recalibrator(HistGradientBoostingRegressor(), method="linear").fit(X, y)
LogitAdjuster(RandomForestClassifier(), tau="auto").fit(X, classes)
adjust_proba(stack.predict_proba(X), [0.9, 0.1], tau=1.0)
HistGradientBoostingRegressor().fit(X, y, sample_weight=label_density_weights(y))

# 17 to 22: did the tail improve?
print(diagnose(y))
results = compare({"elta": model}, X, y, cv=3, controls=["ridge"], metrics=["mae"])
summarize(results).pivot(index="estimator", columns="band", values="mean")
paired_differences(results, baseline="elta")
frontier(results, overall="mae", tail=("mae", "few"))
report = tail_report(model, X, y, X_train=X, y_train=y, n_refits=2)
print(report.verdict.upper(), report.to_frame().columns)
print(tail_drift({"X": X, "y": y}, {"X": X, "y": y}).to_frame())

# 23 to 27: metrics, splits, searches
register_scorers()
bands = LabelBands.from_density(y)
shot_errors(y, prices, bands=bands)["few"]["mae"]
print(balanced_mae(y, prices, n_bins=5) + srcc(y, prices))
folds = BinnedStratifiedKFold(3, shuffle=True, random_state=0)
grid = {"eltaregressor__lr": [1e-3, 3e-3]}
scaled = make_pipeline(StandardScaler(), model)
BatchedGridSearchCV(scaled, grid, cv=folds, scoring="neg_few_mae").fit(X, y)
class_weights(classes, scheme="effective_number")

# 28 to 30: in a loop of one's own, and figures
loss = BalancedCrossEntropy(class_counts=[90, 10])
value: torch.Tensor = loss(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
EMDLoss(reduction="none")(torch.full((2, 5), 0.2), torch.full((2, 5), 0.2))
QuantileLoss()(torch.zeros(2, 49), torch.zeros(2))
features, scores = TailMixup(strength=0.25)(torch.zeros(8, 4), torch.arange(8.0))
SimilarityAlignment()(features, scores)
FrontierDisplay.from_results(results)
ltlearn.show_versions()
