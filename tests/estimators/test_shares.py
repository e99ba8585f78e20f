"""Class weights, sample weights, priors, temperatures and early stopping together, by counting.

One binary input and a linear model with a bias for every class: whatever the shares of the classes
given the input are, the model can learn them exactly. So what it predicts follows from counts.
"""

import math
from itertools import product

import numpy as np
import pytest

from ltlearn import GranularClassifier
from ltlearn.options import Training

CLASSES = ["a", "b", "c"]
COUNTS = {("a", 0): 120, ("a", 1): 30, ("b", 0): 20, ("b", 1): 40, ("c", 0): 5, ("c", 1): 10}
X = np.array([[x] for (_, x), n in COUNTS.items() for _ in range(n)], dtype=float)
Y = np.array([label for (label, _), n in COUNTS.items() for _ in range(n)])
SAMPLE_WEIGHT = np.where(Y == "b", 2.0, 1.0) * np.where(X[:, 0] == 1, 0.5, 1.0)
CLASS_WEIGHTS = [None, "balanced", {"a": 1.0, "b": 4.0, "c": 0.5}]
PRIORS = ["balanced", "train", [0.2, 0.5, 0.3]]


def likelihood(label, x, weight):
    """Share of the input among rows of the class."""
    inside = sum(w for w, row, y in zip(weight, X[:, 0], Y, strict=True) if (y, row) == (label, x))
    return inside / sum(w for w, y in zip(weight, Y, strict=True) if y == label)


def share(label, weight):
    return sum(w for w, y in zip(weight, Y, strict=True) if y == label) / sum(weight)


def weights_of_classes(class_weight, weight):
    if class_weight == "balanced":
        return {label: 1 / share(label, weight) for label in CLASSES}
    return {label: (class_weight or {}).get(label, 1.0) for label in CLASSES}


def wanted_shares(prior, class_weight, weight):
    """Shares of the classes that predictions are to refer to."""
    wish = weights_of_classes(class_weight, weight)
    if prior == "balanced":
        rho = dict.fromkeys(CLASSES, 1.0)
    elif prior == "train":
        rho = {label: share(label, weight) for label in CLASSES}
    else:
        rho = dict(zip(CLASSES, prior, strict=True))
    shares = [rho[label] * wish[label] for label in CLASSES]
    return [value / sum(shares) for value in shares]


def expected_probabilities(x, prior, class_weight, weight):
    """Bayes' rule."""
    wish = wanted_shares(prior, class_weight, weight)
    joint = [w * likelihood(label, x, weight) for w, label in zip(wish, CLASSES, strict=True)]
    return [value / sum(joint) for value in joint]


def expected_validation_loss(weight):
    """Cross-entropy of the rows at their own shares, with no regard to class weights."""
    total = 0.0
    for w, x, y in zip(weight, X[:, 0], Y, strict=True):
        joint = [share(label, weight) * likelihood(label, x, weight) for label in CLASSES]
        total -= w * math.log(joint[CLASSES.index(y)] / sum(joint))
    return total / sum(weight)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS, ids=str)
@pytest.mark.parametrize("logit_adjustment", [0.0, 0.5, 1.0])
def test_predictions_follow_from_counts(logit_adjustment, class_weight, weighted, early_stopping):
    weight = SAMPLE_WEIGHT if weighted else np.ones(len(X))
    model = GranularClassifier(
        hidden_layer_sizes=(),
        logit_adjustment=logit_adjustment,
        class_weight=class_weight,
        calibrate_temperature=True,
        early_stopping=early_stopping,
        max_epochs=250,
        batch_size=len(X),
        lr=0.1,
        random_state=0,
        dropout=0.0,
        training=Training(
            optimizer="adam",
            weight_decay=0.0,
            lr_schedule="constant",
            n_iter_no_change=80,
            feature_mixup=0.0,
        ),
    )
    # Rows that are validated on weigh the same as those trained on: repeated where they count more.
    repeats = np.round(2 * weight).astype(int)
    X_val, y_val = np.repeat(X, repeats, axis=0), np.repeat(Y, repeats)
    model.fit(X, Y, sample_weight=SAMPLE_WEIGHT if weighted else None, X_val=X_val, y_val=y_val)
    losses = [row["valid_loss"] for row in model.history_]
    assert min(losses) == pytest.approx(expected_validation_loss(weight), rel=0.01)
    assert model.temperature_ == pytest.approx(1.0, abs=0.03)
    for prior, x in product(PRIORS, (0, 1)):
        model.set_params(prior=prior)
        predicted = model.predict_proba([[x]])[0]
        expected = expected_probabilities(x, prior, class_weight, weight)
        np.testing.assert_allclose(predicted, expected, atol=0.02)
        wish = wanted_shares(prior, class_weight, weight)
        np.testing.assert_allclose(model.prediction_prior_, wish, rtol=1e-6)


@pytest.mark.parametrize("prior", PRIORS, ids=str)
@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS, ids=str)
def test_a_temperature_leaves_prior_and_class_weights_alone(prior, class_weight):
    model = GranularClassifier(
        class_weight=class_weight, logit_adjustment=0.3, max_epochs=3, random_state=0
    ).fit(X, Y)
    balanced = model.set_params(prior=1 / _shares_of_prediction(model)).predict_proba([[0], [1]])
    model.temperature_ = 2.5
    model.set_params(prior=prior)
    wish = model.prediction_prior_
    for row, probabilities in zip(balanced, model.predict_proba([[0], [1]]), strict=True):
        values = [w * p ** (1 / 2.5) for w, p in zip(wish, row, strict=True)]
        np.testing.assert_allclose(probabilities, [v / sum(values) for v in values], rtol=1e-4)


def _shares_of_prediction(model):
    return model.set_params(prior="balanced").prediction_prior_
