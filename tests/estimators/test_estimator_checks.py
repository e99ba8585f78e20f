"""scikit-learn's own checks, on every estimator with a small training budget.

One expected failure: integer sample weights are not the same as repeated rows when training is by
mini-batches, because repeating rows changes which rows meet in a batch.
"""

import pytest
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from ltlearn import (
    ELTARegressor,
    GranularClassifier,
    PLDAClassifier,
    TailLogisticClassifier,
    TailStackingClassifier,
    TailStackingRegressor,
)
from ltlearn.options import Architecture
from ltlearn.stacking._quantile_forest import QuantileForest

SMALL = Architecture(n_members=2)
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "mini-batches: repeating rows reorders them"
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        ELTARegressor(max_epochs=20, architecture=SMALL, hidden_layer_sizes=(64,)),
        ELTARegressor(backbone="mlp", max_epochs=100),
        ELTARegressor(backbone="mlp", loss="emd", alignment_weight=0.1, n_estimators=2),
        GranularClassifier(max_epochs=60),
        GranularClassifier(
            backbone="tabular", max_epochs=20, architecture=SMALL, hidden_layer_sizes=(64,)
        ),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


REGRESSORS = [("forest", QuantileForest(5)), ("ridge", Ridge())]
FOREST = {"check_sample_weight_equivalence_on_dense_data": "bootstrap: repeating rows draws others"}
HEADS = [("plda", PLDAClassifier(shrinkage=0.5)), ("logistic", TailLogisticClassifier(C=1.0))]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        PLDAClassifier(random_state=0),
        PLDAClassifier(shrinkage=0.5, power=1.0, calibrate=False),
        TailLogisticClassifier(random_state=0),
        TailStackingClassifier(HEADS, random_state=0),
        TailStackingClassifier("fast", random_state=0),
        TailStackingRegressor([("ridge", Ridge(tol=1e-12))], cv=3, random_state=0),
        TailStackingRegressor(REGRESSORS, prediction="median", tail=0.25, random_state=0),
    ],
    expected_failed_checks=lambda estimator: FOREST if "forest" in str(estimator) else {},
)
def test_scikit_learn_checks_of_heads_and_stacks(estimator, check, monkeypatch):
    monkeypatch.setattr("ltlearn.stacking._built_in.N_TREES", 10)
    check(estimator)
