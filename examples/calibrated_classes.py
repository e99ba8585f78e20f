"""
Probabilities that mean what they say, in the tail as well
==========================================================

A classifier may be sure of itself for good reasons on frequent classes and for bad ones on rare
classes. Two temperatures, the classifier's own and that of ``CalibratedClassifierCV``, and a
reliability diagram *by band*, which shows what one number hides.

``method="temperature"`` needs scikit-learn 1.8.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification

from ltlearn import GranularClassifier
from ltlearn.metrics import ClassBands, expected_calibration_error
from ltlearn.plotting import ReliabilityDisplay

shares = [0.62, 0.25, 0.08, 0.03, 0.02]
X, y = make_classification(
    6000, 12, n_informative=6, n_classes=5, n_clusters_per_class=1, weights=shares,
    class_sep=0.7, random_state=0,
)  # fmt: skip
X_train, y_train, X_test, y_test = X[:600], y[:600], X[600:], y[600:]
bands = ClassBands.from_labels(y_train)
print(bands)

# %%
# ``prior="train"``: the test rows are as skewed as the training rows, and so should be the
# probabilities.

plain = GranularClassifier(prior="train", max_epochs=60, random_state=0)
models = {
    "as trained": plain,
    "calibrate_temperature": GranularClassifier(
        prior="train", max_epochs=60, calibrate_temperature=True, random_state=0
    ),
    "CalibratedClassifierCV": CalibratedClassifierCV(plain, method="temperature", cv=3),
}
figure, axes = plt.subplots(1, 3, figsize=(14, 5), layout="constrained", sharey=True)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    proba = model.fit(X_train, y_train).predict_proba(X_test)
    error = expected_calibration_error(y_test, proba, labels=model.classes_)
    log_loss = -np.log(proba[np.arange(len(y_test)), y_test]).mean()
    print(f"{name}: calibration error {error:.3f}, log loss {log_loss:.3f}")
    ReliabilityDisplay.from_predictions(
        y_test, proba, classes=model.classes_, bands=bands, n_bins=6, ax=ax
    )
    ax.set_title(f"{name}\ncalibration error {error:.3f}")

# %%
# Overall all three are calibrated, and the network needed no help. Rows *of* the rare classes are
# not: among the rows that a model is sure of, they are the ones on which it errs. That is what
# looking by true class shows, and no temperature changes it; a balanced prior, or a cost for each
# error, does.
