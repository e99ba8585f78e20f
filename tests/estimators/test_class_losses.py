"""Losses of a classifier against the least risk, found number by number.

One binary input, and a network that can give every logit any value for either of its values: so
training ends where the risk of the rows with that value is least, which is found here by a general
minimizer of the published formulas. The rest follows by Bayes' rule.
"""

import math
from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from sklearn.model_selection import GridSearchCV

from ltlearn import GranularClassifier, Whole
from ltlearn.model_selection import BatchedGridSearchCV
from ltlearn.options import Auxiliary, Training

COUNTS = {("a", 0): 60, ("a", 1): 15, ("b", 0): 10, ("b", 1): 20, ("c", 0): 5, ("c", 1): 10}
EXTRA = {("d", 0): 12, ("d", 1): 8}
TARGETS = ["a", "b", "c"]
PRIORS = ["balanced", "train", [0.2, 0.5, 0.3]]
CLASS_WEIGHT = {"a": 1.0, "b": 3.0, "c": 0.5}


def rows(counts):
    X = np.array([[x] for (_, x), n in counts.items() for _ in range(n)], dtype=float)
    return X, np.array([label for (label, _), n in counts.items() for _ in range(n)])


X, Y = rows(COUNTS)
SAMPLE_WEIGHT = np.where(Y == "b", 2.0, 1.0) * np.where(X[:, 0] == 1, 0.5, 1.0)


def totals(weighted, with_extra):
    """Total weight of the rows of each class with each input; weights have mean 1."""
    weight = SAMPLE_WEIGHT / SAMPLE_WEIGHT.mean() if weighted else np.ones(len(Y))
    found = {
        (label, x): sum(
            w for w, row, y in zip(weight, X[:, 0], Y, strict=True) if (y, row) == (label, x)
        )
        for label, x in COUNTS
    }
    return {**found, **(EXTRA if with_extra else {})}


def loss_of(name, z, k, margins):
    """The loss of label k at logits z."""
    if name == "ldam":
        z = [value - (margins[j] if j == k else 0.0) for j, value in enumerate(z)]
    largest = max(z)
    log_p = z[k] - largest - math.log(sum(math.exp(value - largest) for value in z))
    return -log_p * ((1 - math.exp(log_p)) ** 2 if name == "focal" else 1.0)


def least_risk_logits(name, share, wish, x, classes, count):
    """Logits (C,) of all classes for the input x, up to a constant."""
    margins = [count[label] ** -0.25 for label in classes]
    margins = [15 * m / max(margins) for m in margins]
    factor = [share[label, x] * wish[label] for label in classes]

    def risk(z):
        return sum(f * loss_of(name, z, k, margins) for k, f in enumerate(factor)) / sum(factor)

    start = np.log(factor)
    found = minimize(risk, start, method="BFGS", options={"gtol": 1e-9})
    return found.x - found.x[0]


def expected(name, class_weight, weighted, with_extra):
    """By input: logits of the target classes for balanced shares; and the shares of training."""
    share = totals(weighted, with_extra)
    classes = sorted({label for label, _ in share})
    count = {label: share[label, 0] + share[label, 1] for label in classes}
    wish = {label: (class_weight or {}).get(label, 1.0) for label in classes}
    of_targets = sum(count[label] for label in TARGETS)
    pi = {label: count[label] / of_targets for label in TARGETS}
    balanced = {}
    for x in (0, 1):
        z = dict(zip(classes, least_risk_logits(name, share, wish, x, classes, count), strict=True))
        balanced[x] = [z[label] - math.log(pi[label] * wish[label]) for label in TARGETS]
    return balanced, [pi[label] for label in TARGETS], [wish[label] for label in TARGETS]


def softmax(z):
    values = [math.exp(value - max(z)) for value in z]
    return [value / sum(values) for value in values]


def validation_loss(balanced, pi, temperature, weighted):
    """Cross-entropy of the training rows at their shares; a row more, at these, counts as one."""
    total = 0.0
    weight = totals(weighted, False)
    for (label, x), w in weight.items():
        shares = [p * len(Y) + p for p in pi]
        p = softmax(
            [b / temperature + math.log(s) for b, s in zip(balanced[x], shares, strict=True)]
        )
        total -= w * math.log(p[TARGETS.index(label)])
    return total / sum(weight.values())


# Class weights, sample weights, auxiliary rows: every pair of settings occurs.
CASES = [
    (None, False, False),
    (None, True, True),
    (CLASS_WEIGHT, False, True),
    (CLASS_WEIGHT, True, False),
]


@pytest.mark.parametrize(("class_weight", "weighted", "with_extra"), CASES)
@pytest.mark.parametrize("name", ["cross_entropy", "focal", "ldam"])
def test_logits_refer_to_the_training_shares(name, class_weight, weighted, with_extra):
    tolerance = 0.05 if name == "ldam" else 0.02
    wide = {"hidden_layer_sizes": (16,), "lr": 0.03} if name == "ldam" else {"lr": 0.1}
    model = GranularClassifier(
        loss=name,
        class_weight=class_weight,
        calibrate_temperature=True,
        early_stopping=name == "cross_entropy" and class_weight is None,
        auxiliary=Auxiliary(max_samples=50),
        **{"hidden_layer_sizes": (), **wide},
        max_epochs=400,
        batch_size=200,
        dropout=0.0,
        random_state=0,
        training=Training(
            optimizer="adam",
            weight_decay=0.0,
            lr_schedule="cosine",
            n_iter_no_change=300,
            feature_mixup=0.0,
        ),
    )
    given = {"X_val": Whole(X), "y_val": Whole(Y)}
    if weighted:
        given |= {"sample_weight": SAMPLE_WEIGHT, "sample_weight_val": Whole(SAMPLE_WEIGHT)}
    if with_extra:
        given["X_aux"], given["y_aux"] = rows(EXTRA)
    model.fit(X, Y, **given)
    balanced, pi, wish = expected(name, class_weight, weighted, with_extra)

    def loss_at(log_temperature):
        return validation_loss(balanced, pi, math.exp(log_temperature), weighted)

    best = minimize_scalar(loss_at, bounds=(-3, 3), method="bounded")
    assert model.temperature_ == pytest.approx(math.exp(best.x), rel=0.05)
    assert model.history_[-1]["valid_loss"] == pytest.approx(loss_at(0.0), rel=0.02)
    for prior, x in product(PRIORS, (0, 1)):
        rho = {"balanced": [1, 1, 1], "train": pi}.get(
            prior if isinstance(prior, str) else "", prior
        )
        shares = [r * w for r, w in zip(rho, wish, strict=True)]
        model.set_params(prior=prior)
        np.testing.assert_allclose(
            model.prediction_prior_, np.divide(shares, sum(shares)), rtol=1e-6
        )
        logits = [
            b / model.temperature_ + math.log(s) for b, s in zip(balanced[x], shares, strict=True)
        ]
        np.testing.assert_allclose(model.predict_proba([[x]])[0], softmax(logits), atol=tolerance)


def quick(**params):
    return GranularClassifier(
        hidden_layer_sizes=(6,), max_epochs=4, lr=0.01, random_state=0, dropout=0.0
    ).set_params(**params)


def test_names_of_what_there_was():
    """Balanced cross-entropy is what is left without silencing, plain cross-entropy at τ = 0."""
    kept = quick(silencing=1.0).fit(X, Y).predict_proba(X)
    balanced = quick(loss="balanced_cross_entropy").fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(balanced, kept, atol=1e-5)
    kept = quick(silencing=1.0, logit_adjustment=0.0).fit(X, Y).predict_proba(X)
    plain = quick(loss="cross_entropy").fit(X, Y)
    np.testing.assert_allclose(plain.predict_proba(X), kept, atol=1e-5)
    baseline = plain.without_enhancers().fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(
        baseline, quick(training__feature_mixup=0.0).fit(X, Y).predict_proba(X)
    )


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "ldam"])
def test_tau_after_training(name):
    model = quick(loss=name, logit_adjustment="auto").fit(X, Y)
    plain = quick(loss=name, early_stopping=False)
    assert (
        model.net_.criterion_.loss.extra_repr() == plain.fit(X, Y).net_.criterion_.loss.extra_repr()
    )
    logits = model._outputs(X)[:, :3] - model._log_share
    share = np.exp(model._log_share)
    for prior, rho in (("balanced", 1.0), ("train", share)):
        values = np.exp(logits / model.temperature_) * rho / share**model.tau_
        expected = values / values.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(
            model.set_params(prior=prior).predict_proba(X), expected, atol=1e-5
        )


def test_ldam_has_cosines_that_start_from_class_means_if_asked():
    random = quick(loss="ldam", max_epochs=1, lr=1e-9).fit(X, Y).net_.module_.head[-1]
    means = quick(loss="ldam", max_epochs=1, lr=1e-9, architecture__head="cosine").fit(X, Y)
    head = means.net_.module_.head[-1]
    assert random.scale == head.scale == 30
    features = means.embed(X)
    for number, label in enumerate(TARGETS):
        mean = features[label == Y].mean(axis=0)
        np.testing.assert_allclose(
            head.weight.detach()[number], mean / np.linalg.norm(mean), atol=1e-4
        )
    assert not np.allclose(random.weight.detach(), head.weight.detach(), atol=0.1)
    assert np.abs(means._outputs(X)).max() <= 30 + 1e-6


def test_what_is_refused():
    for name in ("cross_entropy", "focal", "ldam"):
        with pytest.raises(ValueError, match=r"logit_adjustment=0.5 is for the losses"):
            quick(loss=name, logit_adjustment=0.5).fit(X, Y)
    for name in ("focal", "ldam"):
        with pytest.raises(ValueError, match=r"label_smoothing=0.1 is for cross-entropies"):
            quick(loss=name, training__label_smoothing=0.1).fit(X, Y)
    with pytest.raises(ValueError, match='loss="ldam" needs a head that compares cosines'):
        quick(loss="ldam", backbone="tabular").fit(X, Y)
    with pytest.raises(ValueError, match="loss"):
        quick(loss="mse").fit(X, Y)


@pytest.mark.usefixtures("in_float64")
def test_losses_stack():
    grid = {
        "loss": ["cross_entropy", "focal", "ldam", "balanced_cross_entropy"],
        "lr": [1e-3, 1e-2],
    }
    settings = {"cv": 2, "scoring": "neg_log_loss", "refit": False}
    model = quick(class_weight="balanced", training__feature_mixup=0.5)
    found, expected = (
        search(model, grid, **settings).fit(X, Y).cv_results_["mean_test_score"]
        for search in (BatchedGridSearchCV, GridSearchCV)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)
