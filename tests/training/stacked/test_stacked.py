"""Members of a stack against ordinary fits with the same seeds."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.exceptions import NonFiniteLossError
from ltlearn.training._together import run_together
from ltlearn.training.stacked import _groups

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 5))
SCORES = np.exp(X[:, 0] + 0.3 * X[:, 1] + 0.1 * RNG.normal(size=150))
LABELS = np.digitize(X[:, 0] + 0.5 * X[:, 1], [0.3, 1.0])
X_AUX, Y_AUX = RNG.normal(size=(40, 5)) + 1, RNG.integers(5, 8, size=40)
# As folds have: other rows, and not as many.
FOLDS = [slice(0, 150), slice(3, 140), slice(20, 148)]


class Stacks:
    """Calls of ``train_stacked``, and what it said of them."""

    def __init__(self):
        self.sizes, self.reasons = [], []

    def of_groups(self, sizes, reasons):
        self.sizes += sizes
        self.reasons += reasons

    def done(self, n=1):
        """Nothing to show."""

    def fit(self, models, fit_params):
        calls = [
            partial(model.fit, **params) for model, params in zip(models, fit_params, strict=True)
        ]
        return run_together(calls, partial(_groups.train_stacked, report=self))


def assert_same_fits(models, fit_params, n_stacks=1, tolerance=1e-9, reasons=()):
    """Fit models stacked and alone, and compare all that there is to compare."""
    stacks, alone = Stacks(), [clone(model) for model in models]
    stacks.fit(models, fit_params)
    assert set(stacks.reasons) == set(reasons)
    assert len(stacks.sizes) == n_stacks
    for model, other, params in zip(models, alone, fit_params, strict=True):
        other.fit(**params)
        assert model.n_iter_ == other.n_iter_
        predict = "predict_proba" if hasattr(model, "predict_proba") else "predict"
        np.testing.assert_allclose(
            getattr(model, predict)(X), getattr(other, predict)(X), rtol=tolerance, atol=tolerance
        )
        for row, expected in zip(model.history_, other.history_, strict=True):
            assert list(row) == list(expected)
            for name in set(row) - {"dur", "stage"}:
                assert row[name] == pytest.approx(expected[name], rel=tolerance, abs=tolerance)


def on_folds(y, **params):
    return [{"X": X[fold], "y": y[fold], **params} for fold in FOLDS]


def variants(model, **params):
    """Three copies that differ in their seed and in the given parameters."""
    return [
        clone(model).set_params(
            random_state=seed, **{name: values[seed] for name, values in params.items()}
        )
        for seed in range(3)
    ]


REGRESSORS = {
    "plain": {},
    "rates": {"lr": [1e-3, 1e-3, 1e-2], "training__weight_decay": [0.0, 1e-2, 0.1]},
    "mixup": {
        "mixup_strength": [0.0, 0.1, 0.4],
        "enhancers__tail_temperature": [0.5, 0.2, 1.0],
        "enhancers__pair_temperature": [2.0, 1.0, 5.0],
    },
    "temperature unit": {
        "mixup_strength": [0.2] * 3,
        "enhancers__temperature_unit": ["std", 0.5, 2.0],
    },
    "alignment": {"alignment_weight": [0.1, 0.5, 1.0], "mixup_strength": [0.0, 0.1, 0.3]},
    "dropout": {"dropout": [0.1, 0.2, 0.5], "mixup_strength": [0.1, 0.0, 0.3]},
    "dropout of those that are left": {
        "dropout": [0.1, 0.2, 0.5],
        "max_epochs": [2, 3, 4],
        "early_stopping": [False] * 3,
    },
    "reweighting": {"reweighting": [None, "inverse", "sqrt_inverse"], "mixup_strength": [0.1] * 3},
    "emd": {
        "loss": ["emd"] * 3,
        "mixup_strength": [0.0, 0.1, 0.3],
        "bins__logit_adjustment": [0.5, 1.0, 2.0],
    },
    "emd with dropout": {
        "loss": ["emd"] * 3,
        "dropout": [0.1, 0.3, 0.5],
        "alignment_weight": [0.2] * 3,
    },
    "schedule": {
        "training__lr_schedule": ["cosine"] * 3,
        "training__lr_warmup_epochs": [0, 1, 2],
        "max_epochs": [2, 3, 4],
    },
    "clipping": {"training__max_grad_norm": [0.1, 0.3, 100.0]},
    "sgd": {"training__optimizer": ["sgd"] * 3, "lr": [1e-3, 1e-2, 1e-2]},
    "adam": {"training__optimizer": ["adam"] * 3, "lr": [1e-3, 1e-2, 1e-2]},
    "stopping": {
        "max_epochs": [40] * 3,
        "lr": [0.02, 0.03, 0.01],
        "training__n_iter_no_change": [1, 2, 3],
        "training__scoring": ["mae"] * 3,
        "mixup_strength": [0.1, 0.0, 0.2],
    },
    "to the end": {"early_stopping": [False] * 3},
    "batch sizes": {"batch_size": [13, 16, 150]},
    "head retraining": {"enhancers__head_retraining_epochs": [1, 2, 2]},
}


def regressor(**params):
    model = ELTARegressor(
        backbone="mlp", loss="mse", hidden_layer_sizes=(8, 4), mixup_strength=0.0, max_epochs=3
    )
    return model.set_params(**params)


@pytest.mark.usefixtures("in_float64")
class TestRegressor:
    @pytest.mark.parametrize("setting", REGRESSORS)
    def test_members_end_as_alone(self, setting):
        models = variants(regressor(), **REGRESSORS[setting])
        n_stacks = 2 if setting == "head retraining" else 1
        assert_same_fits(models, on_folds(SCORES), n_stacks)

    def test_rows_with_weights_and_without(self):
        fit_params = on_folds(SCORES)
        weight = RNG.uniform(size=150) * (RNG.uniform(size=150) > 0.1)
        fit_params[0]["sample_weight"] = weight
        fit_params[2]["sample_weight"] = weight[FOLDS[2]]
        models = variants(regressor(mixup_strength=0.2), reweighting=[None, None, "inverse"])
        assert_same_fits(models, fit_params)

    def test_validation_rows(self):
        models = variants(regressor(max_epochs=20), lr=[0.01, 0.02, 0.03])
        assert_same_fits(models, on_folds(SCORES, X_val=X[:30] + 0.1, y_val=SCORES[:30]))

    def test_distributions(self):
        votes = RNG.integers(1, 9, size=(150, 4)).astype(float)
        models = variants(regressor(loss="emd"), mixup_strength=[0.0, 0.1, 0.2])
        assert_same_fits(models, on_folds(votes))

    def test_self_training(self):
        models = variants(
            regressor(loss="emd", enhancers__self_training_rounds=1),
            enhancers__sharpening=[1.0, 2.0, 3.0],
        )
        for model in models:
            model.set_params(enhancers__confidence_threshold=0.0)
        assert_same_fits(models, on_folds(SCORES, X_unlabeled=X[:60] * 0.9), n_stacks=2)

    def test_many_seeds_of_the_same_rows(self):
        models = [regressor(random_state=seed) for seed in range(7)]
        assert_same_fits(models, [{"X": X, "y": SCORES}] * 7)


CLASSIFIERS = {
    "plain": {"training__feature_mixup": [0.0] * 3},
    "feature mixup": {"training__feature_mixup": [0.0, 0.3, 1.0]},
    "adjustment": {"logit_adjustment": [0.0, 0.5, 1.0]},
    "class weights": {"class_weight": [None, "balanced", {0: 1.0, 1: 2.0, 2: 0.5}]},
    "smoothing": {"training__label_smoothing": [0.1] * 3},
    "synthesized": {"auxiliary": ["synthesize"] * 3, "silencing": [0.0, 0.5, 1.0]},
    "stopping": {"max_epochs": [40] * 3, "lr": [0.02, 0.03, 0.01]},
    "accuracy": {"training__scoring": ["balanced_accuracy"] * 3, "max_epochs": [12] * 3},
    "temperature": {"calibrate_temperature": [True] * 3},
}


def classifier(**params):
    model = GranularClassifier(backbone="mlp", hidden_layer_sizes=(8, 4), max_epochs=3)
    # Mixed features are trained one net after the other.
    return model.set_params(training__feature_mixup=0.0, **params)


@pytest.mark.usefixtures("in_float64")
class TestClassifier:
    @pytest.mark.parametrize("setting", CLASSIFIERS)
    def test_members_end_as_alone(self, setting):
        models = variants(classifier(), **CLASSIFIERS[setting])
        # Probabilities come in float32.
        assert_same_fits(models, on_folds(LABELS), tolerance=1e-6)

    def test_auxiliary_classes(self):
        models = variants(classifier(max_epochs=4), silencing=[0.0, 0.3, 1.0])
        assert_same_fits(models, on_folds(LABELS, X_aux=X_AUX, y_aux=Y_AUX), tolerance=1e-6)


# Where two features meet: members that differ in all that may differ, with what else a fit may do.
# Of each: settings of all, settings that differ, arguments of fit, stacks, why others train alone.
AROUND = "steps look around themselves, or weights are averaged"
LONELY = "no other training has its shape"
ALL_OF_REGRESSORS = {
    "lr": [1e-3, 3e-3, 1e-2],
    "training__weight_decay": [0.0, 1e-2, 0.1],
    "dropout": [0.1, 0.2, 0.5],
    "mixup_strength": [0.0, 0.1, 0.4],
    "enhancers__tail_temperature": [0.5, 0.2, 1.0],
    "enhancers__pair_temperature": [2.0, 1.0, 5.0],
    "alignment_weight": [0.1, 0.5, 1.0],
    "reweighting": [None, "inverse", "sqrt_inverse"],
    "batch_size": [40, 50, 75],
}
ALL_OF_CLASSIFIERS = {
    "lr": [1e-3, 3e-3, 1e-2],
    "dropout": [0.1, 0.2, 0.5],
    "training__feature_mixup": [0.1, 0.3, 1.0],
    "logit_adjustment": [0.0, 0.5, 1.0],
    "class_weight": [None, "balanced", {0: 1.0, 1: 2.0, 2: 0.5}],
    "silencing": [0.0, 0.3, 1.0],
    "batch_size": [40, 50, 75],
}
WEIGHT = RNG.uniform(size=150) * (RNG.uniform(size=150) > 0.2)
STOPS_EARLY = {"max_epochs": 8, "lr": 0.03, "training__n_iter_no_change": 1}


def weighted(fit_params, members=(0, 1, 2)):
    return [
        {**params, "sample_weight": WEIGHT[fold]} if member in members else params
        for member, (params, fold) in enumerate(zip(fit_params, FOLDS, strict=True))
    ]


def with_validation(y, members=(0, 1, 2)):
    rows = {"X_val": X[:30] + 0.1, "y_val": y[:30], "sample_weight_val": WEIGHT[:30]}
    return [
        {**params, **rows} if member in members else params
        for member, params in enumerate(on_folds(y))
    ]


UNLABELED = {"X_unlabeled": X[:50] * 0.9}
REGRESSOR_PAIRS = {
    "stopping": (STOPS_EARLY, {}, on_folds(SCORES), 1, ()),
    "some stop": (
        {"max_epochs": 12},
        {"early_stopping": [True, False, True]},
        on_folds(SCORES),
        1,
        (LONELY,),
    ),
    "weights": (STOPS_EARLY, {}, weighted(on_folds(SCORES)), 1, ()),
    "weights of one": ({}, {}, weighted(on_folds(SCORES), [1]), 1, ()),
    "validation rows": (STOPS_EARLY, {}, with_validation(SCORES), 1, ()),
    "validation rows of one": ({}, {}, with_validation(SCORES, [1]), 1, ()),
    "ranks": ({"max_epochs": 6, "training__scoring": "srcc"}, {}, on_folds(SCORES), 1, ()),
    "self-training": (
        {
            "loss": "emd",
            "bins__n_bins": 5,
            "enhancers__confidence_threshold": 0.0,
            "enhancers__self_training_rounds": 2,
        },
        {"enhancers__sharpening": [1.0, 2.0, 3.0]},
        weighted(on_folds(SCORES, **UNLABELED), [1]),
        3,
        (),
    ),
    "head retraining": (
        {},
        {"enhancers__head_retraining_epochs": [0, 1, 2]},
        on_folds(SCORES),
        2,
        (),
    ),
    "logit adjustment": (
        {"loss": "emd"},
        {"bins__logit_adjustment": [0.2, 0.5, 1.0]},
        on_folds(SCORES),
        1,
        (),
    ),
    "quantiles": ({"loss": "quantile"}, {}, weighted(on_folds(SCORES), [0, 1]), 1, ()),
    "bounds": ({"architecture__head": "sigmoid"}, {}, on_folds(SCORES), 1, ()),
    "ensembles": ({"n_estimators": 2}, {}, on_folds(SCORES), 1, ()),
    "few rows": ({}, {}, [{"X": X[:n], "y": SCORES[:n]} for n in (7, 33, 64)], 1, ()),
    "equal scores": ({}, {}, on_folds(np.ones(150)), 1, ()),
    "averaging": (
        {},
        {"training__weight_averaging": [None, "ema", None]},
        on_folds(SCORES),
        1,
        (AROUND,),
    ),
    "max-norm": (
        {},
        {"training__head_max_norm": [None, 0.5, None]},
        on_folds(SCORES),
        1,
        ("there is a callback HeadMaxNorm",),
    ),
}
AUXILIARY = {"X_aux": X_AUX, "y_aux": Y_AUX}
CLASSIFIER_PAIRS = {
    "stopping": (STOPS_EARLY, {}, on_folds(LABELS), 1, ()),
    "accuracy": (
        {**STOPS_EARLY, "training__scoring": "balanced_accuracy"},
        {},
        on_folds(LABELS),
        1,
        (),
    ),
    "weights": (STOPS_EARLY, {}, weighted(on_folds(LABELS)), 1, ()),
    "validation rows": (STOPS_EARLY, {}, with_validation(LABELS), 1, ()),
    "auxiliary": (STOPS_EARLY, {}, weighted(on_folds(LABELS, **AUXILIARY), [1]), 1, ()),
    "auxiliary of some": (
        {},
        {},
        [on_folds(LABELS)[0], *on_folds(LABELS, **AUXILIARY)[1:]],
        1,
        (LONELY,),
    ),
    "auxiliary samples": (
        {},
        {"auxiliary__max_samples": [5, 10, 20]},
        on_folds(LABELS, **AUXILIARY),
        1,
        (),
    ),
    "synthesized": ({"auxiliary": "synthesize"}, {}, weighted(on_folds(LABELS), [2]), 1, ()),
    "temperature": ({"calibrate_temperature": True}, {}, weighted(on_folds(LABELS)), 1, ()),
    "priors": ({}, {"prior": ["train", "balanced", [0.2, 0.3, 0.5]]}, on_folds(LABELS), 1, ()),
    "powers": ({"architecture__feature_power": "auto"}, {}, on_folds(LABELS), 3, ()),
    "cosine": ({"architecture__head": "cosine"}, {}, on_folds(LABELS), 1, ()),
    "ensembles": ({"n_estimators": 2}, {}, weighted(on_folds(LABELS), [0]), 1, ()),
    "averaging": (
        {},
        {"training__weight_averaging": ["ema", None, None]},
        on_folds(LABELS),
        1,
        (AROUND,),
    ),
    "max-norm": (
        {},
        {"training__head_max_norm": [None, 0.5, None]},
        on_folds(LABELS),
        1,
        ("there is a callback HeadMaxNorm",),
    ),
    "growth": (
        {"training__reweighting_growth": 2.0},
        {},
        on_folds(LABELS),
        0,
        ("there is a callback GrowingReweighting",),
    ),
}


def assert_pair(model, everything, pair, tolerance=1e-8):
    fixed, own, fit_params, n_stacks, reasons = pair
    differing = {name: values for name, values in everything.items() if name not in fixed}
    models = variants(clone(model).set_params(**fixed), **{**differing, **own})
    assert_same_fits(models, fit_params, n_stacks, tolerance, reasons)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("pair", REGRESSOR_PAIRS)
def test_regressors_that_differ_in_everything(pair):
    assert_pair(regressor(), ALL_OF_REGRESSORS, REGRESSOR_PAIRS[pair])


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("pair", CLASSIFIER_PAIRS)
def test_classifiers_that_differ_in_everything(pair):
    assert_pair(classifier(), ALL_OF_CLASSIFIERS, CLASSIFIER_PAIRS[pair], tolerance=2e-6)


@pytest.mark.parametrize("model", [regressor(), classifier()], ids=["regressor", "classifier"])
def test_sharpness_of_one_of_them(model):
    y = SCORES if isinstance(model, ELTARegressor) else LABELS
    pair = ({}, {"training__sam_radius": [0.0, 0.05, 0.0]}, on_folds(y), 1, (AROUND,))
    everything = {"lr": [1e-3, 3e-3, 1e-2], "dropout": [0.1, 0.2, 0.5]}
    assert_pair(model, everything, pair, tolerance=1e-4)


def test_float32_agrees_up_to_rounding():
    models = variants(regressor(), mixup_strength=[0.0, 0.1, 0.3])
    assert_same_fits(models, on_folds(SCORES), tolerance=1e-4)


def test_bodies_for_tables():
    models = variants(
        ELTARegressor(max_epochs=2, hidden_layer_sizes=(8, 8), dropout=0.2),
        mixup_strength=[0.0, 0.1, 0.3],
    )
    models += variants(
        ELTARegressor(loss="emd", max_epochs=2, hidden_layer_sizes=(8, 8)),
        alignment_weight=[0.1, 0.2, 0.3],
    )
    models[0].set_params(max_epochs=1)
    assert_same_fits(models, 2 * on_folds(SCORES), n_stacks=2, tolerance=1e-4)
    models = variants(
        GranularClassifier(max_epochs=2, hidden_layer_sizes=(8, 8), backbone="tabular", dropout=0.2)
    )
    assert_same_fits(models, on_folds(LABELS), tolerance=1e-4)


@pytest.mark.parametrize(
    "params",
    [{"backbone": "tabular", "architecture__n_members": 2}, {"architecture__head": "sigmoid"}],
    ids=["edges of pieces", "bounds"],
)
def test_who_is_left_keeps_what_it_has_learned_of_its_rows(params):
    """Which differs from fold to fold, and is not among the weights."""
    model = regressor(**params).set_params(early_stopping=False, lr=0.03)
    first, second, third = on_folds(SCORES)
    for max_epochs in ([1, 2, 5], [5, 2, 1]):
        assert_same_fits(
            variants(model, max_epochs=max_epochs), [first, second, third], tolerance=1e-4
        )
    for rows in ([first, second, second], [second, second, third]):
        max_epochs = [1 if each is not second else 5 for each in rows]
        assert_same_fits(variants(model, max_epochs=max_epochs), rows, tolerance=1e-4)


class OwnNetwork(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(5, 4)

    def forward(self, inputs):
        return self.layer(inputs).relu()


ALONE = {
    "the network is none of those for tables": {"backbone": OwnNetwork},
    "there is a callback Callback": {"callbacks": [Callback()]},
    "steps are compiled or accumulate gradients": {"training__accumulation_steps": 2},
    "warm_start goes on with its optimizer": {"warm_start": True},
}


@pytest.mark.parametrize("reason", ALONE)
def test_what_has_no_stacked_form_trains_alone(reason):
    models = [regressor(random_state=seed, **ALONE[reason]) for seed in range(2)]
    alone, stacks = [clone(model) for model in models], Stacks()
    stacks.fit(models, [{"X": X, "y": SCORES}] * 2)
    assert stacks.reasons == [reason] * 2
    for model, other in zip(models, alone, strict=True):
        assert np.array_equal(model.predict(X), other.fit(X, SCORES).predict(X))


def test_shapes_that_differ_make_stacks_of_their_own():
    sizes = [(8,), (8,), (4,), (8, 4), (4,), (8,)]
    models = [regressor(hidden_layer_sizes=size, random_state=0) for size in sizes]
    stacks = Stacks()
    stacks.fit(models, [{"X": X, "y": SCORES}] * 6)
    assert stacks.sizes == [3, 2]
    assert stacks.reasons == ["no other training has its shape"]


def test_a_member_that_diverges_leaves_the_others_alone():
    models = [regressor(random_state=seed, lr=lr) for seed, lr in enumerate([1e-3, 1e30, 1e-3])]

    def fit(model):
        try:
            return model.fit(X, SCORES)
        except NonFiniteLossError as error:
            return error

    outcomes = run_together([partial(fit, model) for model in models], _groups.train_stacked)
    assert isinstance(outcomes[1], NonFiniteLossError)
    assert "now 1e+30" in str(outcomes[1])
    assert not hasattr(models[1], "net_")
    for model in (models[0], models[2]):
        expected = clone(model).fit(X, SCORES).predict(X)
        np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4, atol=1e-4)


def test_large_groups_are_cut(monkeypatch):
    monkeypatch.setattr(_groups, "_MAX_MEMBERS", 3)
    models = [regressor(random_state=seed) for seed in range(7)]
    stacks = Stacks()
    stacks.fit(models, [{"X": X, "y": SCORES}] * 7)
    assert sorted(stacks.sizes) == [2, 2, 3]


def test_generators_of_the_user_stay():
    def drawn_next():
        state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002 - the global one
        numbers = torch.rand(3).tolist(), np.random.rand(3).tolist()  # noqa: NPY002
        torch.set_rng_state(state[0])
        np.random.set_state(state[1])  # noqa: NPY002
        return numbers, torch.get_num_threads(), torch.get_default_dtype()

    before = drawn_next()
    Stacks().fit(variants(regressor(), mixup_strength=[0.1] * 3), on_folds(SCORES))
    assert drawn_next() == before


@pytest.mark.parametrize(
    ("batch_size", "width", "largest"),
    [(16, 128, 64), (64, 128, 32), (4096, 128, 12), (16, 4096, 8)],
)
def test_stacks_hold_everyone_once_and_fit_the_cache(batch_size, width, largest):
    """At most 2^18 numbers a layer, but 12 members at least; at most 64, and 2^23 weights."""
    module = nn.Sequential(nn.Linear(200, width), nn.Linear(width, 50))
    net = SimpleNamespace(module_=module, batch_size=batch_size)
    members = [SimpleNamespace(net=net, order=lambda number=n: -number) for n in range(100)]
    stacks = list(_groups._stacks(list(enumerate(members))))
    assert [number for stack in stacks for number, _ in stack] == list(range(100))[::-1]
    assert len(stacks) == -(-100 // largest)
    assert max(map(len, stacks)) - min(map(len, stacks)) <= 1
