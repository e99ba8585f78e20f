"""Every pair of options meets in some fit that works, or is refused by name."""

import itertools
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from skorch.callbacks import LRScheduler

from ltlearn import ELTARegressor, Whole

# How a fit is called, and parameters: the settings that are tried of each.
CHOICES = {
    "votes": [False, True],
    "gaps": [False, True],
    "sample_weight": [False, True],
    "X_val": [False, True],
    "X_unlabeled": [False, True],
    "loss": ["quantile", "emd", "mse"],
    "backbone": ["tabular", "mlp"],
    "prediction": ["mean", "median"],
    "tail": [0.0, 0.5],
    "mixup_strength": [0.0, 0.5],
    "alignment_weight": [0.0, 1.0],
    "reweighting": [None, "inverse"],
    "dropout": [0.0, 0.3],
    "hidden_layer_sizes": [(8,), (), (8, 8)],
    "early_stopping": [False, True],
    "warm_start": [False, True],
    "n_estimators": [1, 2],
    "callbacks": [None, [LRScheduler("StepLR", step_size=1)]],
    "architecture__n_members": ["auto", 1, 2],
    "training__scoring": ["loss", "mae", "srcc"],
    "training__accumulation_steps": [1, 2],
    "training__freeze_backbone": [False, True],
    "training__head_warmup_epochs": [0, 1],
    "training__optimizer": ["adamw", "sgd"],
    "training__precision": ["float32", "bfloat16"],
    "training__lr_schedule": ["constant", "cosine"],
    "enhancers__head_retraining_epochs": [0, 1],
    "enhancers__sampler": ["distance", "density"],
    "architecture__head": ["linear", "sigmoid"],
    "bins__n_bins": ["auto", 5],
    "bins__emd_form": ["sample", "batch"],
    "bins__logit_adjustment": [0.0, 1.0],
}
CALL = ("votes", "gaps", "sample_weight", "X_val", "X_unlabeled")

# Pairs that are refused, and what the error names.
REFUSED = [
    ({"loss": "quantile", "votes": True}, 'loss="quantile" is for scalar scores'),
    ({"loss": "mse", "tail": 0.5}, "tail=0.5 needs a predicted distribution"),
    ({"loss": "mse", "prediction": "median"}, "prediction='median' needs a predicted distribution"),
    ({"loss": "mse", "bins__logit_adjustment": 1.0}, "logit_adjustment needs"),
    ({"loss": "quantile", "bins__logit_adjustment": 1.0}, "logit_adjustment needs"),
    ({"votes": True, "bins__logit_adjustment": 1.0}, "logit_adjustment needs scalar scores"),
    ({"loss": "mse", "bins__emd_form": "batch"}, "bins.emd_form='batch' is for loss=\"emd\""),
    ({"loss": "quantile", "bins__emd_form": "batch"}, "bins.emd_form='batch' is for loss=\"emd\""),
    ({"loss": "emd", "architecture__head": "sigmoid"}, 'head="sigmoid" is for loss="mse"'),
    ({"loss": "quantile", "architecture__head": "sigmoid"}, 'head="sigmoid" is for loss="mse"'),
    ({"loss": "mse", "X_unlabeled": True}, "X_unlabeled .* needs"),
    ({"loss": "quantile", "X_unlabeled": True}, "X_unlabeled .* needs"),
    ({"backbone": "mlp", "gaps": True}, "contains NaN"),
    ({"backbone": "mlp", "architecture__n_members": 1}, "n_members=1 is for the body for tables"),
    ({"backbone": "mlp", "architecture__n_members": 2}, "n_members=2 is for the body for tables"),
]
# Pairs that ask for different losses.
CONTRADICTIONS = [
    {"architecture__head": "sigmoid", name: value}
    for name, value in (
        ("X_unlabeled", True),
        ("tail", 0.5),
        ("prediction", "median"),
        ("bins__emd_form", "batch"),
        ("bins__logit_adjustment", 1.0),
    )
]
# The same for a second fit.
REFUSED_AGAIN = [({"warm_start": True, "X_unlabeled": True}, "contradicts warm_start=True")]

USUAL = {name: values[0] for name, values in CHOICES.items()}


def meets(settings, pair):
    return all(settings[name] == value for name, value in pair.items())


def is_refused(settings):
    return any(meets(settings, pair) for pair in impossible_pairs())


def impossible_pairs():
    return [pair for pair, _ in REFUSED] + CONTRADICTIONS


def pairs_of(settings):
    """Pairs of (option, number of the setting)."""
    numbers = [(name, CHOICES[name].index(value)) for name, value in settings.items()]
    return set(itertools.combinations(numbers, 2))


def pairwise_settings():
    """Settings in which every pair of choices occurs that is not refused."""
    rng = np.random.default_rng(0)
    wanted = set()
    for one, other in itertools.combinations(CHOICES, 2):
        for i, j in itertools.product(range(len(CHOICES[one])), range(len(CHOICES[other]))):
            pair = {one: CHOICES[one][i], other: CHOICES[other][j]}
            if pair not in impossible_pairs():
                wanted.add(((one, i), (other, j)))
    found = []
    while wanted:
        seed_pair = min(wanted)  # is in every candidate
        best, gained = None, set()
        for attempt in itertools.count():
            if attempt >= 300 and best is not None:
                break
            settings = {name: values[rng.integers(len(values))] for name, values in CHOICES.items()}
            settings.update({name: CHOICES[name][i] for name, i in seed_pair})
            if not is_refused(settings) and len(gain := pairs_of(settings) & wanted) > len(gained):
                best, gained = settings, gain
            assert attempt < 30_000, seed_pair
        found.append(best)
        wanted -= gained
    return found


def rows(settings, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(64, 3))
    y = np.exp(X[:, 0])
    if settings["gaps"]:
        X[rng.random(X.shape) < 0.1] = np.nan
    if settings["votes"]:
        share = 1 / (1 + np.exp(1 - y))
        y = np.stack([np.bincount(rng.binomial(3, p, 20), minlength=4) for p in share])
    return X, y


def call(model, settings):
    X, y = rows(settings, 0)
    extra = {}
    if settings["sample_weight"]:
        extra["sample_weight"] = np.random.default_rng(1).uniform(0.5, 2, len(X))
    if settings["X_val"]:
        extra["X_val"], extra["y_val"] = map(Whole, rows(settings, 2))
    if settings["X_unlabeled"]:
        extra["X_unlabeled"] = Whole(rows(settings, 3)[0])
    return model.fit(X, y, **extra)


def make(settings):
    params = {name: value for name, value in settings.items() if name not in CALL}
    model = ELTARegressor(max_epochs=2, batch_size=16, lr=1e-3, random_state=0, device="cpu")
    model.set_params(enhancers__sharpening=1.1, enhancers__confidence_threshold=0.1)
    return model.set_params(**params)


def settings_id(settings):
    changed = [f"{k}={v}" for k, v in settings.items() if v != USUAL[k] and k != "callbacks"]
    return ",".join(changed).replace(" ", "")[:80]


@pytest.mark.parametrize("settings", pairwise_settings(), ids=settings_id)
def test_pairs_work(settings):
    X, _ = rows(settings, 4)
    model = call(make(settings), settings)
    predicted = model.predict(X)
    assert predicted.shape == (64,)
    assert np.isfinite(predicted).all()
    assert np.isfinite(model.embed(X)).all()
    if model.loss_ != "mse":
        np.testing.assert_allclose(model.predict_distribution(X).sum(axis=1), 1)
        assert (np.diff(model.predict_interval(X)) >= 0).all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), predicted)
    np.testing.assert_array_equal(call(clone(model), settings).predict(X), predicted)
    if not settings["warm_start"]:
        return
    for pair, message in REFUSED_AGAIN:
        if meets(settings, pair):
            with pytest.raises(ValueError, match=message):
                call(model, settings)
            return
    assert np.isfinite(call(model, settings).predict(X)).all()
    net = getattr(model, "estimators_", [model])[0].net_
    assert len(net.history) == 4 or settings["early_stopping"] or settings["X_val"]


@pytest.mark.parametrize(("pair", "message"), REFUSED, ids=lambda each: str(each)[:60])
def test_refused_pairs_are_named(pair, message):
    others = [other for other, _ in REFUSED if other != pair]
    candidates = [{**USUAL, "loss": loss, **pair} for loss in CHOICES["loss"]]
    settings = next(each for each in candidates if not any(meets(each, other) for other in others))
    with pytest.raises(ValueError, match=message):
        call(make(settings), settings)


def test_layers_of_tables_have_one_rate():
    model = make({**USUAL, "training__layer_decay": 0.5})
    with pytest.raises(ValueError, match="layer_decay needs a backbone that names its layers"):
        call(model, USUAL)
