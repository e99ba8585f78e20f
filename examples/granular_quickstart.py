"""
Quick start: rare classes and auxiliary ones
============================================

Do auxiliary classes help to recognize rare digits? A pipeline under a grid search.

Command::

    python examples/granular_quickstart.py

Digits 0 to 4 are to be told apart; every second 0 is kept, of the others every tenth image.
Digits 5 to 9 are auxiliary: trained beside them, never predicted. Takes about a minute on a laptop
CPU. Digits are easy: the two
models hardly differ.
"""

import numpy as np
import pandas as pd
import sklearn
from sklearn.datasets import load_digits
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import GranularClassifier, Whole


def main():
    sklearn.set_config(enable_metadata_routing=True)
    X, y = load_digits(return_X_y=True)
    is_target = y < 5
    train = is_target & (np.arange(len(y)) % np.where(y == 0, 2, 10) == 0)
    test = is_target & ~train
    # Wrapped in Whole, the auxiliary rows reach every fold complete.
    auxiliary = {"X_aux": Whole(X[~is_target]), "y_aux": Whole(y[~is_target])}

    model = GranularClassifier(max_epochs=30, early_stopping=False, random_state=0)
    model.set_fit_request(X_aux=True, y_aux=True)
    pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_aux"])
    grid = {"granularclassifier__silencing": [0.0, 0.1, 1.0]}
    search = GridSearchCV(pipeline, grid, scoring="balanced_accuracy", cv=3)
    search.fit(X[train], y[train], **auxiliary)
    fitted = search.best_estimator_[-1]
    print("Chosen:", search.best_params_)
    print("Neighbors found:", fitted.neighbors_)

    baseline = make_pipeline(StandardScaler(), model.without_enhancers()).fit(X[train], y[train])
    recall = {
        name: recall_score(y[test], fit.predict(X[test]), average=None, zero_division=0)
        for name, fit in (("balanced cross-entropy", baseline), ("with auxiliary classes", search))
    }
    table = pd.DataFrame(recall, index=[f"{c}: {n}" for c, n in enumerate(fitted.class_counts_)])
    print("\nRecall of each digit, beside its number of training images")
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
