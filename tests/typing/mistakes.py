"""Mistakes that a type checker finds in what users write: ``mypy``."""
# mypy: warn-unused-ignores

import numpy as np

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.calibration import ConformalRegressor
from ltlearn.evaluation import compare, tail_report
from ltlearn.metrics import srcc
from ltlearn.options import Training

X, y = np.zeros((100, 3)), np.arange(100.0)
model = ELTARegressor()

ELTARegressor(prediction="medain")  # type: ignore[arg-type]
ELTARegressor(learning_rate=0.1)  # type: ignore[call-arg]
GranularClassifier(training={"lr_schedule": "cosine"})  # type: ignore[arg-type]
Training(optimizer="adamax")  # type: ignore[arg-type]
model.fit(X, y, sample_weights=y)  # type: ignore[call-arg]
model.predict(X, 0.5)  # type: ignore[call-overload]
model.predict(X, return_std=True).mean()  # type: ignore[attr-defined]
ConformalRegressor(model, confidence_level="0.9")  # type: ignore[arg-type]
compare({"elta": model}, X, y, folds=3)  # type: ignore[call-arg]
tail_report(model, X)  # type: ignore[call-arg]
srcc(y, y) + "rank"  # type: ignore[operator]
