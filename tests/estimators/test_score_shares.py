"""Sample weights, reweighting, bins, priors, roots, the dial and early stopping together.

One binary input, a few different scores, and heads that can give either value of the input whatever
they like: so training ends where the weighted risk of the rows with that value is least, which is
found here by a general minimizer, and what is predicted follows from it.
"""

import math
from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize

from ltlearn import ELTARegressor
from ltlearn.options import Bins, Training
from ltlearn.weighting import label_density, label_density_weights

CENTERS = [1.0, 2.0, 3.0, 4.0]
COUNTS = {
    (1, 0): 40,
    (2, 0): 15,
    (3, 0): 6,
    (4, 0): 3,
    (1, 1): 14,
    (2, 1): 8,
    (3, 1): 12,
    (4, 1): 16,
}
X = np.array([[x] for (_, x), n in COUNTS.items() for _ in range(n)], dtype=float)
Y = np.array([score for (score, _), n in COUNTS.items() for _ in range(n)], dtype=float)
# Votes of a few kinds, by score.
VOTES_OF = {1: [8, 2, 0, 0], 2: [2, 6, 2, 0], 3: [0, 3, 5, 2], 4: [0, 0, 3, 7]}
VOTES = np.array([VOTES_OF[int(score)] for score in Y], dtype=float)
WEIGHT = np.where(Y >= 3, 2.0, 1.0) * np.where(X[:, 0] == 1, 0.5, 1.0)


def softmax(z):
    values = np.exp(np.asarray(z) - np.max(z))
    return values / values.sum()


def targets(loss):
    """Distributions of the rows over the bins, and their scores."""
    if loss == "votes":
        shares = VOTES / VOTES.sum(axis=1, keepdims=True)
        return shares, shares @ CENTERS
    return np.array([[float(score == center) for center in CENTERS] for score in Y]), Y


def row_weights(loss, weighted, reweighting):
    _, scores = targets(loss)
    weight = WEIGHT.copy() if weighted else np.ones(len(Y))
    if reweighting is not None:
        weight = weight * label_density_weights(scores, scheme=reweighting)
    return weight / weight.mean()


def distance(p, q):
    """Mean squared difference of the distribution functions."""
    total = at_p = at_q = 0.0
    for p_k, q_k in zip(p, q, strict=True):
        at_p, at_q = at_p + p_k, at_q + q_k
        total += (at_p - at_q) ** 2 / len(p)
    return total


def emd(p, loss, form, weight, x):
    """Weighted loss of one prediction for all rows with an input."""
    rows, _ = targets(loss)
    kinds = {}
    for q, w, own in zip(rows.tolist(), weight, X[:, 0], strict=True):
        if own == x:
            kinds[tuple(q)] = kinds.get(tuple(q), 0.0) + w
    return sum(
        w * (math.sqrt(distance(p, q)) if form == "sample" else distance(p, q))
        for q, w in kinds.items()
    ) / len(Y)


def least_risk(loss, form, weight, x):
    """The distribution with the least weighted distance from those of the rows with an input.

    Squared distances are least for the mean distribution.
    """
    rows, _ = targets(loss)
    own = X[:, 0] == x
    mean = np.average(rows[own], axis=0, weights=weight[own])
    if form == "batch":
        return mean
    found = minimize(
        lambda z: emd(softmax([0, *z]), loss, form, weight, x),
        np.log(mean[1:] / mean[0]),
        method="Nelder-Mead",
        options={"xatol": 1e-5, "fatol": 1e-10, "maxiter": 2000},
    )
    return softmax([0, *found.x])


def log_prior(strength):
    density = label_density(Y, at=CENTERS)
    prior = np.maximum(density / density.sum(), 1 / len(Y))
    return strength * np.log(prior / prior.sum())


def tail_weights(loss, weighted):
    """The dial at 1, from the density of scores that count as often as they weigh."""
    _, scores = targets(loss)
    spread = min(scores.std(), np.subtract(*np.quantile(scores, [0.75, 0.25])) / 1.349)
    bandwidth = 0.9 * spread * len(scores) ** -0.2
    times = (2 * WEIGHT).astype(int) if weighted else np.ones(len(scores), dtype=int)
    counted = np.repeat(scores, times)
    at_scores = label_density(counted, at=scores, bandwidth=bandwidth)
    inside = np.clip(CENTERS, scores.min(), scores.max())
    at_centers = label_density(counted, at=inside, bandwidth=bandwidth)
    most = at_scores.max()
    return np.minimum(most / np.maximum(at_centers, 1e-300), 200.0)


def fitted(loss, form, weighted, reweighting, adjustment, early_stopping):
    name = "emd" if loss == "votes" else loss
    model = ELTARegressor(
        backbone="mlp",
        hidden_layer_sizes=(),
        loss=name,
        mixup_strength=0.0,
        reweighting=reweighting,
        early_stopping=early_stopping,
        max_epochs=300,
        batch_size=len(X),
        lr=0.03,
        random_state=0,
        bins=Bins(
            n_bins=4,
            score_range=(1, 4),
            logit_adjustment=adjustment,
            emd_form=form if name == "emd" else "sample",
        ),
        training=Training(
            optimizer="adam", weight_decay=0.0, lr_schedule="cosine", n_iter_no_change=300
        ),
    )
    y = VOTES if loss == "votes" else Y
    # Validation rows: those of training, twice, with weights that come to the same.
    twice = np.repeat(np.arange(len(X)), 2)
    weight = WEIGHT if weighted else np.ones(len(X))
    return model.fit(
        X,
        y,
        WEIGHT if weighted else None,
        X_val=X[twice],
        y_val=y[twice],
        sample_weight_val=(weight[twice] * np.tile([0.5, 1.5], len(X))),
    )


CASES = [
    (loss, form, weighted, reweighting, adjustment, early)
    for loss, form, weighted, reweighting, adjustment, early in product(
        ["emd", "votes"],
        ["sample", "batch"],
        [False, True],
        [None, "inverse"],
        [0.0, 1.0],
        [False, True],
    )
    # True distributions have no logit adjustment. Validation does not count rare scores more, so
    # early stopping ends elsewhere than training would; it is crossed with half of the rest.
    if not (loss == "votes" and adjustment) and early == (reweighting is None and weighted)
]


@pytest.mark.parametrize(
    ("loss", "form", "weighted", "reweighting", "adjustment", "early_stopping"), CASES
)
def test_distributions(loss, form, weighted, reweighting, adjustment, early_stopping):
    model = fitted(loss, form, weighted, reweighting, adjustment, early_stopping)
    weight = row_weights(loss, weighted, reweighting)
    given = row_weights(loss, weighted, None)
    shift = log_prior(adjustment) if adjustment else np.zeros(4)
    _, scores = targets(loss)
    least = {x: least_risk(loss, form, weight, x) for x in (0, 1)}
    plain = {x: model.predict_distribution([[x]], tail=0.0)[0] for x in (0, 1)}
    trained = {x: softmax(np.log(p) + shift) for x, p in plain.items()}
    risk, least_sum = (
        sum(emd(each[x], loss, form, weight, x) for x in (0, 1)) for each in (trained, least)
    )
    assert least_sum * 0.999 < risk < least_sum * 1.03
    dial = tail_weights(loss, weighted)
    for x, tail in product((0, 1), (0.0, 0.5)):
        model.set_params(tail=tail)
        expected = plain[x] * dial**tail
        expected /= expected.sum()
        np.testing.assert_allclose(model.predict_distribution([[x]])[0], expected, atol=1e-3)
        assert model.predict([[x]])[0] == pytest.approx(expected @ CENTERS, abs=5e-3)

    # The validation loss counts weights, but neither reweighting nor the dial.
    total = sum(emd(trained[x], loss, form, given, x) for x in (0, 1))
    record = (
        min(model.history_, key=lambda row: row["valid_loss"])
        if early_stopping
        else model.history_[-1]
    )
    expected = total if form == "sample" else math.sqrt(total)
    assert record["valid_loss"] == pytest.approx(expected, rel=0.02)
    errors = [
        w * abs(plain[int(x)] @ CENTERS - score)
        for w, x, score in zip(given, X[:, 0], scores, strict=True)
    ]
    assert record["valid_mae"] == pytest.approx(sum(errors) / len(Y), rel=0.03)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("reweighting", [None, "sqrt_inverse"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["mse", "quantile"])
def test_scores(loss, weighted, reweighting, early_stopping):
    if early_stopping and reweighting:
        pytest.skip("validation does not count rare scores more, and ends training elsewhere")
    model = fitted(loss, "sample", weighted, reweighting, 0.0, early_stopping)
    weight, given = row_weights(loss, weighted, reweighting), row_weights(loss, weighted, None)
    mean, quantile = {}, {}
    levels = [1 / (1 + math.exp(6 - k / 4)) for k in range(49)]
    for x in (0, 1):
        rows = sorted((y, w) for y, w, own in zip(Y, weight, X[:, 0], strict=True) if own == x)
        total = sum(w for _, w in rows)
        mean[x] = sum(y * w for y, w in rows) / total
        quantile[x] = [
            next(
                y for n, (y, _) in enumerate(rows) if sum(w for _, w in rows[: n + 1]) >= q * total
            )
            for q in levels
        ]
    unit = np.abs(Y - np.median(Y)).mean()
    loss_sum = error_sum = 0.0
    for w, x, score in zip(given, X[:, 0].astype(int), Y, strict=True):
        if loss == "mse":
            loss_sum += w * (mean[x] - score) ** 2 / model.score_scale_**2
            error_sum += w * abs(mean[x] - score)
            continue
        for q, value in zip(levels, quantile[x], strict=True):
            error = (score - value) / unit
            loss_sum += w * max(q * error, (q - 1) * error) / 49
        error_sum += w * abs(quantile[x][24] - score)
    record = model.history_[-1]
    if early_stopping:
        key = "valid_loss" if loss == "mse" else "valid_mae"
        record = min(model.history_, key=lambda row: row[key])
    assert record["valid_mae"] == pytest.approx(error_sum / len(Y), rel=0.04)
    assert record["valid_loss"] == pytest.approx(loss_sum / len(Y), rel=0.06)
    for x in (0, 1):
        if loss == "mse":
            assert model.predict([[x]])[0] == pytest.approx(mean[x], abs=0.03)
        else:
            median = model.predict([[x]], prediction="median")[0]
            assert median == pytest.approx(quantile[x][24], abs=0.1)
