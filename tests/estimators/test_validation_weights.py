"""Weights of validation rows: rows of weight k count as rows given k times, of weight 0 not."""

from itertools import product
from unittest import mock

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.enhancers import select_sharpening
from ltlearn.estimators._validation import hold_out

RNG = np.random.default_rng(0)
X = RNG.normal(size=(180, 3))
SCORES = np.exp(X[:, 0] + 0.2 * RNG.normal(size=180))
LABELS = np.digitize(X[:, 0] + 0.8 * RNG.normal(size=180), [0.3, 1.0])
VOTES = RNG.multinomial(12, RNG.dirichlet(np.ones(5)), size=180)
TRAIN, VALID = np.arange(120), np.arange(120, 180)
# The same rows in two ways, as many rows either way: each twice, with weights, and a few of
# weight 0; or some thrice and the others once.
IS_OFTEN = RNG.random(len(VALID)) < 0.5
IS_OFTEN[:2], IS_OFTEN[-1] = True, False
IS_OFTEN[IS_OFTEN.cumsum() > len(VALID) // 2] = False
IS_OFTEN[np.flatnonzero(~IS_OFTEN)[: len(VALID) // 2 - IS_OFTEN.sum()]] = True
TWICE = np.r_[VALID, TRAIN[:5], VALID]
WEIGHT = np.r_[IS_OFTEN + 0.5, np.zeros(5), IS_OFTEN + 0.5]
REPEATED = np.r_[VALID, VALID[IS_OFTEN], VALID[IS_OFTEN]]


STOPPING = {"early_stopping": True, "training__n_iter_no_change": 2}


def regressor(**params):
    model = ELTARegressor(backbone="mlp", max_epochs=12, lr=0.03, random_state=0)
    return model.set_params(**STOPPING | params)


def classifier(**params):
    model = GranularClassifier(max_epochs=12, hidden_layer_sizes=(8,), lr=0.03, random_state=0)
    return model.set_params(**STOPPING | params)


CASES = {
    "mse": (regressor(loss="mse"), SCORES),
    "mse, rank correlation": (regressor(loss="mse", training__scoring="srcc"), SCORES),
    "emd": (regressor(loss="emd", bins__logit_adjustment=0.5), SCORES),
    "emd, one root a batch": (regressor(loss="emd", bins__emd_form="batch"), SCORES),
    "votes": (regressor(training__scoring="mae"), VOTES),
    "quantile": (regressor(loss="quantile"), SCORES),
    "head retraining": (regressor(loss="mse", enhancers__head_retraining_epochs=3), SCORES),
    "temperature": (classifier(calibrate_temperature=True), LABELS),
    "tau": (classifier(logit_adjustment="auto"), LABELS),
    "power": (classifier(architecture__feature_power="auto"), LABELS),
    "accuracy": (classifier(training__scoring="balanced_accuracy"), LABELS),
    "class weights": (
        classifier(class_weight={0: 0.5, 1: 1.0, 2: 4.0}, calibrate_temperature=True),
        LABELS,
    ),
    "members": (
        classifier(backbone="tabular", calibrate_temperature=True, architecture__n_members=2),
        LABELS,
    ),
}
FITTED = ("temperature_", "tau_", "feature_power_", "n_iter_")


def records(model):
    return [
        {name: value for name, value in row.items() if name[:6] in ("valid_", "train_")}
        for row in model.history_
    ]


@pytest.mark.parametrize("case", CASES)
def test_weights_count_as_repetition(case):
    model, y = CASES[case]
    model.fit(
        X[TRAIN],
        y[TRAIN],
        X_val=X[TWICE],
        y_val=y[TWICE],
        sample_weight_val=1e3 * WEIGHT,  # whatever their scale
    )
    found, predicted = records(model), model.predict(X)
    values = [getattr(model, name) for name in FITTED if hasattr(model, name)]
    model.fit(X[TRAIN], y[TRAIN], X_val=Whole(X[REPEATED]), y_val=Whole(y[REPEATED]))
    for row, other in zip(found, records(model), strict=True):
        assert row.keys() == other.keys()
        np.testing.assert_allclose(list(row.values()), list(other.values()), rtol=1e-5)
    others = [getattr(model, name) for name in FITTED if hasattr(model, name)]
    np.testing.assert_allclose(values, others, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(predicted, model.predict(X), rtol=1e-4)
    model.fit(X[TRAIN], y[TRAIN], X_val=X[VALID], y_val=y[VALID])
    assert records(model)[0]["valid_loss"] != pytest.approx(found[0]["valid_loss"], rel=1e-3)


def test_sharpening_is_chosen_by_weighted_rows():
    given = []

    def choose(*args, sample_weight, **settings):
        given.append(sample_weight)
        return select_sharpening(*args, sample_weight=sample_weight, **settings)

    model = regressor(loss="emd", early_stopping=False, max_epochs=2)
    rows = {"X_val": X[TWICE], "y_val": SCORES[TWICE], "X_unlabeled": X[:50]}
    with mock.patch("ltlearn.estimators._self_training.select_sharpening", choose):
        model.fit(X[TRAIN], SCORES[TRAIN], **rows, sample_weight_val=WEIGHT)
        model.fit(X[TRAIN], SCORES[TRAIN], **rows)
    np.testing.assert_allclose(given[0], WEIGHT[WEIGHT > 0])  # whose mean is 1
    assert given[1] is None


@pytest.mark.parametrize("seed", range(3))
def test_sharpening_by_weights_is_that_by_repetition(seed):
    rng = np.random.default_rng(seed)
    logits, scores = rng.normal(size=(40, 4)), rng.normal(size=40)
    true, weight = rng.normal(size=40), rng.integers(1, 4, size=40)
    rows = np.repeat(np.arange(40), weight)
    tensors = [torch.from_numpy(values) for values in (logits, scores, true, weight)]
    chosen = select_sharpening(
        *tensors[:3], betas=[0.0, 0.5, 1.0], min_kept=1, sample_weight=tensors[3]
    )
    mean = scores.mean()
    errors = {}
    for beta, threshold in product([0.0, 0.5, 1.0], [0.70, 0.75, 0.80, 0.85, 0.90]):
        kept = [
            np.max(softmax(logits[i] * np.exp(beta * abs(mean - scores[i])))) > threshold
            for i in rows
        ]
        if any(kept):
            error = np.abs(scores - true)[rows][kept].mean()
            errors[beta, threshold] = (error.round(12), -sum(kept))
    assert errors[chosen][0] == min(errors.values())[0]


def test_held_out_rows_keep_their_weights():
    """Validation scores of held-out rows are weighted by their sample weights."""
    weight = RNG.integers(1, 4, size=180).astype(float)
    model = regressor(loss="mse", training__scoring="srcc", max_epochs=4)
    held_out = {}

    def keep(rows, *args):
        held_out["train"], held_out["valid"] = hold_out(rows, *args)
        return held_out["train"], held_out["valid"]

    with mock.patch("ltlearn.estimators._base.hold_out", keep):
        model.fit(X, SCORES, sample_weight=weight)
    rows = held_out["valid"]
    times = (rows.weight / rows.weight.min()).round().astype(int)  # whatever their scale
    assert set(times) == {1, 2, 3}
    best = max(row["valid_srcc"] for row in model.history_)
    predicted = np.repeat(model.predict(rows.X), times)
    assert best == pytest.approx(spearmanr(predicted, np.repeat(rows.y, times))[0], abs=1e-6)


def test_the_best_epoch_by_rank_correlation():
    model = regressor(loss="mse", training__scoring="srcc", training__n_iter_no_change=12)
    model.fit(X[TRAIN], SCORES[TRAIN], X_val=X[VALID], y_val=SCORES[VALID])
    best = max(row["valid_srcc"] for row in model.history_)
    found = spearmanr(model.predict(X[VALID]), SCORES[VALID])[0]
    assert best - 1e-4 <= found <= best + 1e-6
    assert found > min(row["valid_srcc"] for row in model.history_)
    last = regressor(loss="mse", training__scoring="srcc", early_stopping=False)
    assert "valid_srcc" not in last.fit(X, SCORES).history_[-1]
    with pytest.raises(ValueError, match="scoring='srcc' is not for GranularClassifier"):
        classifier(training__scoring="srcc").fit(X, LABELS)


@pytest.mark.parametrize("form", ["sample", "batch"])
def test_where_the_root_is_taken(form):
    """The loss of training and of validation by plain loops, at (almost) the first weights."""
    weight, weight_val = RNG.uniform(0.2, 3, size=120), RNG.uniform(0.2, 3, size=60)
    model = regressor(
        bins__emd_form=form, lr=1e-12, batch_size=120, max_epochs=1, mixup_strength=0.0
    )
    model.fit(
        X[TRAIN],
        VOTES[TRAIN],
        weight,
        X_val=X[VALID],
        y_val=VOTES[VALID],
        sample_weight_val=weight_val,
    )
    for name, rows, w in (("train", TRAIN, weight), ("valid", VALID, weight_val)):
        total = 0.0
        for p, votes, factor in zip(
            model.predict_distribution(X[rows]), VOTES[rows], w / w.mean(), strict=True
        ):
            square = np.mean((np.cumsum(p) - np.cumsum(votes / votes.sum())) ** 2)
            total += factor * (np.sqrt(square) if form == "sample" else square) / len(rows)
        expected = total if form == "sample" else np.sqrt(total)
        assert model.history_[0][f"{name}_loss"] == pytest.approx(expected, rel=1e-4)


def test_what_is_refused():
    model = regressor(loss="mse")
    rows = {"X_val": X[VALID], "y_val": SCORES[VALID]}
    for weight, message in [
        (np.ones(59), "sample_weight_val"),
        (-np.ones(60), "sample_weight_val.*[Nn]egative"),
        (np.zeros(60), "sample_weight_val"),
        (np.full(60, np.nan), "sample_weight_val"),
        (np.ones(120), "sample_weight_val has as many rows as X"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.fit(X[TRAIN], SCORES[TRAIN], **rows, sample_weight_val=weight)
    with pytest.raises(ValueError, match="sample_weight_val belongs to X_val and y_val"):
        model.fit(X, SCORES, sample_weight_val=np.ones(3))
    with pytest.raises(ValueError, match=r"bins\.emd_form='batch' is for loss=\"emd\""):
        model.set_params(bins__emd_form="batch").fit(X, SCORES)


@pytest.mark.parametrize("is_routed", [False, True])
def test_weights_reach_fits_of_a_search_whole(is_routed):
    """Also in a pipeline, by metadata routing."""
    weight = np.r_[np.ones(30), np.zeros(30)]
    for model, y in ((regressor(loss="mse"), SCORES), (classifier(), LABELS)):
        given = {"X_val": Whole(X[VALID]), "y_val": Whole(y[VALID])}
        with config_context(enable_metadata_routing=is_routed):
            if is_routed:
                model = clone(model).set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
                model = Pipeline([("same", FunctionTransformer()), ("model", model)])
                grid = {"model__lr": [0.03]}
            else:
                grid = {"lr": [0.03]}
            search = GridSearchCV(model, grid, cv=2)
            search.fit(X, y, **given, sample_weight_val=Whole(weight))
        best = search.best_estimator_["model"] if is_routed else search.best_estimator_
        half = {"X_val": X[VALID][:30], "y_val": y[VALID][:30]}
        expected = clone(best).fit(X, y, **half)
        np.testing.assert_allclose(best.predict(X), expected.predict(X))
