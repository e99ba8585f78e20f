"""What an installation without extras must be able to do.

Run it where the package is installed, from a folder that does not hold its sources.
"""

import importlib.util
import warnings

import numpy as np
from sklearn.datasets import load_diabetes, load_digits

import ltlearn
from ltlearn import ELTARegressor, GranularClassifier, TailStackingClassifier
from ltlearn.evaluation import compare, diagnose, paired_differences, tail_report
from ltlearn.exceptions import LTLearnWarning

warnings.simplefilter("ignore", LTLearnWarning)
ltlearn.show_versions()
print("from", ltlearn.__file__)

X, y = load_diabetes(return_X_y=True)
y = np.exp(y / 80)
print(diagnose(y))
model = ELTARegressor(max_epochs=10, random_state=0).fit(X[:300], y[:300])
assert np.isfinite(model.predict(X[300:])).all()
models = {"network": ELTARegressor(backbone="mlp", max_epochs=5)}
results = compare(models, X, y, cv=3, controls=["mean", "ridge"])
print(paired_differences(results).head())
report = tail_report(
    model, X[300:], y[300:], baseline=ELTARegressor(max_epochs=2), n_refits=0,
    X_train=X[:300], y_train=y[:300],
)  # fmt: skip
print(report.verdict)

X, y = load_digits(return_X_y=True)
for classifier in (GranularClassifier(max_epochs=10), TailStackingClassifier("fast")):
    print(type(classifier).__name__, classifier.fit(X[::3], y[::3]).score(X[1::3], y[1::3]))

if importlib.util.find_spec("matplotlib") is None:
    try:
        report.plot()
    except ImportError as error:
        print(error)
        if "ltlearn[plot]" not in str(error):
            raise
