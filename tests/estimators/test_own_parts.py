"""Losses and enhancers of one's own: what they are given, what comes of what they return."""

import pickle
import random

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn
from torch.nn import functional as F

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.enhancers import Batch, TailMixup
from ltlearn.exceptions import NonFiniteLossError
from ltlearn.images import InputSpec
from ltlearn.losses import BalancedCrossEntropy, EMDLoss, FocalLoss, LDAMLoss
from ltlearn.model_selection import BatchedGridSearchCV
from ltlearn.options import Enhancers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
SCORES = np.exp(X[:, 0] + 0.2 * RNG.normal(size=90))
VOTES = RNG.multinomial(12, RNG.dirichlet(np.ones(5)), size=90)
LABELS = np.digitize(X[:, 0] + 0.5 * RNG.normal(size=90), [0.4, 1.0])
WEIGHT = RNG.uniform(0.2, 2, size=90)


def regressor(**params):
    model = ELTARegressor(backbone="mlp", max_epochs=3, lr=0.01, batch_size=32, random_state=0)
    return model.set_params(**{"hidden_layer_sizes": (6,), "mixup_strength": 0.2} | params)


def classifier(**params):
    model = GranularClassifier(max_epochs=3, lr=0.01, batch_size=32, random_state=0)
    return model.set_params(**{"hidden_layer_sizes": (6,), "dropout": 0.0} | params)


def squared_error(outputs, target, sample_weight):
    assert outputs.shape == target.shape
    error = (outputs - target).square()
    return error if sample_weight is None else error * sample_weight


def mean_squared_error(outputs, target, w):
    return squared_error(outputs, target, w).mean()


def assert_same(model, other, y, **fit_params):
    """Two models that train alike."""
    model.fit(X, y, **fit_params)
    other.fit(X, y, **fit_params)
    np.testing.assert_allclose(model.predict(X), other.predict(X), rtol=1e-4, atol=1e-5)
    for row, expected in zip(model.history_, other.history_, strict=True):
        losses = [name for name in row if name in ("train_loss", "valid_loss")]
        for name in losses:
            assert row[name] == pytest.approx(expected[name], rel=1e-4)


class TestLossOfScores:
    @pytest.mark.parametrize(
        "loss",
        [squared_error, mean_squared_error, nn.MSELoss(reduction="none")],
        ids=["values", "mean", "without weights"],
    )
    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"reweighting": "inverse", "alignment_weight": 0.5, "early_stopping": True},
            {"backbone": "tabular", "architecture__n_members": 2, "dropout": 0.0},
            {"enhancers__head_retraining_epochs": 2, "training__accumulation_steps": 2},
            {"architecture__head": "sigmoid", "training__scoring": "srcc"},
        ],
        ids=lambda params: ",".join(params),
    )
    def test_squared_error_is_that_of_the_estimator(self, loss, params):
        own, built_in = regressor(loss=loss, **params), regressor(loss="mse", **params)
        assert_same(own, built_in, SCORES, sample_weight=WEIGHT)
        assert own.loss_ == "mse"

    def test_without_weights_they_are_none(self):
        seen = []

        def loss(outputs, target, sample_weight):
            seen.append(sample_weight)
            return (outputs - target).square()

        assert_same(regressor(loss=loss), regressor(loss="mse"), SCORES)
        assert seen[0] is None

    def test_another_loss_gives_what_it_stands_for(self):
        """Pinball loss at 0.8 of a constant: the quantile."""
        y = RNG.normal(size=90) ** 3

        def pinball(outputs, target):
            error = target - outputs
            return torch.maximum(0.8 * error, -0.2 * error)

        settings = {"hidden_layer_sizes": (), "max_epochs": 400, "lr": 0.02, "batch_size": 90}
        model = regressor(loss=pinball, early_stopping=False, mixup_strength=0.0)
        model.set_params(**settings, training__lr_schedule="cosine")
        predicted = model.fit(np.zeros((90, 1)), y).predict(np.zeros((1, 1)))[0]
        low, high = np.quantile(y, [0.77, 0.83])
        assert low < predicted < high


class TestLossOfOthers:
    @pytest.mark.parametrize("backbone", ["mlp", "tabular"])
    def test_votes(self, backbone):
        params = {"backbone": backbone, "dropout": 0.0}
        loss = EMDLoss(reduction="none")
        own, built_in = regressor(loss=loss, **params), regressor(loss="emd", **params)
        assert_same(own, built_in, VOTES, sample_weight=WEIGHT)
        assert own.loss_ == "emd"
        np.testing.assert_allclose(
            own.predict_distribution(X), built_in.predict_distribution(X), atol=1e-4
        )

    @pytest.mark.parametrize("class_weight", [None, "balanced"])
    @pytest.mark.parametrize(
        "params",
        [
            {"training__feature_mixup": 0.5},
            {"calibrate_temperature": True, "training__accumulation_steps": 2},
            {"backbone": "tabular", "architecture__n_members": 2},
            {"logit_adjustment": "auto", "prior": "train"},
        ],
        ids=lambda params: ",".join(params),
    )
    @pytest.mark.parametrize("name", ["cross_entropy", "focal", "balanced_cross_entropy"])
    def test_classes(self, name, params, class_weight):
        """Also where predictions refer to: by the attribute ``tau`` of a loss."""
        counts = np.bincount(LABELS)
        loss = {
            "cross_entropy": nn.CrossEntropyLoss(reduction="none"),
            "focal": FocalLoss(),
            "balanced_cross_entropy": BalancedCrossEntropy(counts),
        }[name]
        params = {"early_stopping": False, "class_weight": class_weight, **params}
        own, built_in = classifier(loss=loss, **params), classifier(loss=name, **params)
        given = {"X_val": X[:40], "y_val": LABELS[:40]}
        assert_same(own, built_in, LABELS, **given)
        np.testing.assert_allclose(own.predict_proba(X), built_in.predict_proba(X), atol=1e-4)
        np.testing.assert_allclose(own.prediction_prior_, built_in.prediction_prior_)

    def test_auxiliary_classes_are_among_the_codes(self):
        seen = []

        def loss(outputs, target):
            seen.append((outputs.shape[1], int(target.max())))
            return F.cross_entropy(outputs, target, reduction="none")

        extra = {"X_aux": X[:20] + 1, "y_aux": np.repeat([7, 8], 10)}
        model = classifier(loss=loss).fit(X, LABELS, **extra)
        assert max(seen) == (5, 4)
        assert model.predict_proba(X).shape == (90, 3)
        assert_same(model, classifier(loss="cross_entropy"), LABELS, **extra)


class Scaled(nn.Module):
    """A loss that learns a number."""

    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.epochs = []

    def set_epoch(self, epoch):
        self.epochs.append(epoch)

    def forward(self, outputs, target, sample_weight=None):
        error = (outputs - target).square() * torch.exp(-self.log_scale) + self.log_scale
        return error if sample_weight is None else error * sample_weight


class TestModules:
    @pytest.mark.parametrize("layer_decay", [1.0, 0.5])
    def test_parameters_learn_and_the_users_own_stay(self, layer_decay):
        loss = Scaled()
        model = regressor(loss=loss, warm_start=True)
        if layer_decay < 1:
            model.set_params(backbone=Layered(), training__layer_decay=layer_decay)
        for n_epochs in (3, 6):
            model.fit(X, SCORES)
            own = model.net_.criterion_.own_loss.function
            assert own.log_scale.item() != 0
            assert own.epochs == list(range(n_epochs - 3, n_epochs))
        assert loss.log_scale.item() == 0
        assert loss.epochs == []

    def test_deferred_weights_of_ldam(self):
        """A loss that changes its weights in the last epoch changes the last epoch alone."""
        counts = np.bincount(LABELS)
        params = {"architecture__head": "cosine", "training__feature_mixup": 0.0}
        late, never = (
            classifier(loss=LDAMLoss(counts, scale=1.0, drw_epoch=epoch), **params).fit(X, LABELS)
            for epoch in (2, None)
        )
        losses = [[row["train_loss"] for row in each.history_] for each in (late, never)]
        assert losses[0][:2] == losses[1][:2]
        assert losses[0][2] != losses[1][2]

    def test_clone_pickle_and_searches(self):
        model = regressor(loss=squared_error, enhancers=[double, Penalty(0.1)]).fit(X, SCORES)
        expected = model.predict(X)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), expected)
        np.testing.assert_array_equal(clone(model).fit(X, SCORES).predict(X), expected)
        grid = {"loss": [squared_error, "mse"], "enhancers": [None, [double], Enhancers(own=[])]}
        found, other = (
            search(regressor(), grid, cv=2).fit(X, SCORES).cv_results_["mean_test_score"]
            for search in (BatchedGridSearchCV, GridSearchCV)
        )
        np.testing.assert_allclose(found, other, atol=1e-3)
        assert model.get_params()["enhancers__own"] == model.enhancers
        model.set_params(enhancers__tail_temperature=0.2)
        assert [type(each) for each in model.enhancers.own] == [type(double), Penalty]


class Layered(nn.Module):
    """A backbone whose layers have names."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 4)

    def group_matcher(self, coarse=False):
        return {"stem": "^first", "blocks": [("^second", None)]}

    def forward(self, X):
        return self.second(self.first(X).relu())


def same(batch):
    return batch


def double(batch):
    """Every row twice, which changes no mean."""
    rows = torch.arange(len(batch.features)).repeat(2)
    target = {name: values[rows] for name, values in batch.target.items()}
    return batch._replace(features=batch.features[rows], target=target, weight=batch.weight[rows])


def weightless(batch):
    """As many rows of weight 0 as there are, and weights of 2 for the others."""
    doubled = double(batch)
    n = len(batch.features)
    noise = torch.randn(n, batch.features.shape[1], generator=batch.generator)
    return doubled._replace(
        features=torch.cat([batch.features, noise]),
        weight=torch.cat([2 * batch.weight, torch.zeros(n)]),
    )


class Penalty(nn.Module):
    def __init__(self, strength):
        super().__init__()
        self.strength = strength

    def forward(self, batch):
        return batch._replace(term=self.strength * batch.features.square().mean())


MODELS = {
    "mse": (regressor(loss="mse"), SCORES),
    "emd": (regressor(loss="emd", alignment_weight=0.0), SCORES),
    "votes": (regressor(reweighting="inverse"), VOTES),
    "quantile": (regressor(loss="quantile"), SCORES),
    "own loss": (regressor(loss=squared_error), SCORES),
    "parts": (regressor(loss="mse", training__accumulation_steps=2), SCORES),
    "members": (regressor(backbone="tabular", dropout=0.0), SCORES),
    "classes": (classifier(), LABELS),
    "mixed classes": (classifier(training__feature_mixup=0.9, class_weight="balanced"), LABELS),
    "focal": (classifier(loss="focal", training__feature_mixup=0.5), LABELS),
    "classes of members": (classifier(backbone="tabular", class_weight="balanced"), LABELS),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("enhancer", [same, double, weightless], ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_what_should_change_nothing(name, enhancer, weighted):
    model, y = MODELS[name]
    fit_params = {"sample_weight": WEIGHT} if weighted else {}
    assert_same(clone(model).set_params(enhancers=[enhancer]), clone(model), y, **fit_params)


def test_mixed_images_are_refused():
    images = RNG.integers(0, 255, size=(24, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(24) % 3

    class Body(nn.Module):
        def __init__(self):
            super().__init__()
            self.input_spec = InputSpec(size=(8, 8))
            self.layer = nn.Linear(3 * 8 * 8, 4)

        def forward(self, X):
            return self.layer(X.flatten(1))

    model = GranularClassifier(backbone=Body(), augmentation="granularity", max_epochs=1)
    with pytest.raises(ValueError, match="not for an augmentation that mixes images"):
        model.set_params(enhancers=[same]).fit(images, labels)


def test_what_an_enhancer_is_given():
    seen = []

    def look(batch):
        seen.append(batch)
        return batch

    model = regressor(loss="emd", batch_size=90, mixup_strength=0.5, early_stopping=False)
    model.set_params(enhancers=[look], max_epochs=1).fit(X, SCORES, WEIGHT)
    batch = seen[0]
    assert isinstance(batch, Batch)
    assert batch.features.shape == (135, 6)
    assert batch.target["score"].shape == (135,)
    assert batch.target["distribution"].shape == (135, 20)
    scores = batch.target["score"][:90] * model.score_scale_ + model.score_mean_
    np.testing.assert_allclose(np.sort(scores), np.sort(SCORES), rtol=1e-4)
    np.testing.assert_allclose(
        np.sort(batch.weight[:90]), np.sort(WEIGHT / WEIGHT.mean()), rtol=1e-4
    )
    assert batch.term is None
    seen.clear()
    classifier(enhancers=[look], training__feature_mixup=0.5).fit(X, LABELS)
    assert (seen[0].weight == 1).all()
    label = seen[0].target["label"]
    assert label.shape == (len(seen[0].features), 3)
    np.testing.assert_allclose(label.sum(1), 1, rtol=1e-5)
    assert ((label > 0).sum(1) <= 2).all()


def test_terms_are_added_and_recorded_by_name():
    settings = {"loss": "mse", "alignment_weight": 0.5, "early_stopping": False}
    model = regressor(**settings, enhancers=[Penalty(0.1), Penalty(10.0), same]).fit(X, SCORES)
    for row in model.history_:
        assert row["train_Penalty 2"] == pytest.approx(100 * row["train_Penalty"])
        expected = row["train_task"] + 0.5 * row["train_alignment"]
        expected += row["train_Penalty"] + row["train_Penalty 2"]
        assert row["train_loss"] == pytest.approx(expected)
        assert "train_same" not in row
    norms = [
        np.square(each.fit(X, SCORES).embed(X)).mean() for each in (model, regressor(**settings))
    ]
    assert norms[0] < norms[1]


def test_a_term_of_some_batches_counts_0_in_the_others():
    count = []

    def sometimes(batch):
        count.append(0)
        return batch._replace(term=batch.features.sum() * 0 + 6.0) if len(count) == 2 else batch

    model = regressor(loss="mse", enhancers=[sometimes], early_stopping=False, max_epochs=1)
    row = model.fit(X, SCORES).history_[0]
    assert row["train_batch_count"] == 3
    assert row["train_sometimes"] == pytest.approx(2.0)


def test_mixup_as_an_enhancer_of_ones_own():
    """What the estimator does itself, drawn otherwise: the same kind of rows, nearly as good."""
    mixup = TailMixup(0.5)

    def mix(batch):
        features, score, weight = mixup(
            batch.features, batch.target["score"], batch.weight, generator=batch.generator
        )
        return batch._replace(features=features, target={"score": score}, weight=weight)

    settings = {"loss": "mse", "max_epochs": 30}
    own = regressor(**settings, enhancers=[mix]).set_params(mixup_strength=0.0).fit(X, SCORES)
    built_in = regressor(**settings).set_params(mixup_strength=0.5).fit(X, SCORES)
    assert own.score(X, SCORES) == pytest.approx(built_in.score(X, SCORES), abs=0.1)
    assert not np.allclose(own.predict(X), built_in.predict(X), rtol=1e-3)


class TestRandomness:
    @staticmethod
    def noise(batch):
        """From the generator that it is given, and from all others."""
        scale = 0.1 + 0.1 * random.random() + 0.1 * np.random.random()  # noqa: NPY002
        noise = torch.randn(batch.features.shape, generator=batch.generator)
        noise = noise + torch.randn(batch.features.shape)
        return batch._replace(features=batch.features + scale * noise)

    @pytest.mark.parametrize(
        "model", [regressor(loss="mse"), classifier()], ids=["scores", "classes"]
    )
    def test_it_follows_from_the_seed_and_leaves_the_users_generators(self, model):
        y = LABELS if isinstance(model, GranularClassifier) else SCORES
        model = clone(model).set_params(enhancers=[self.noise])
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
        first = model.fit(X, y).embed(X)
        torch.rand(3)
        random.random()
        np.random.random()  # noqa: NPY002
        np.testing.assert_array_equal(model.fit(X, y).embed(X), first)
        assert not np.allclose(clone(model).set_params(random_state=1).fit(X, y).embed(X), first)
        random.setstate(before[0])
        torch.set_rng_state(before[2])
        state = random.getstate()
        model.fit(X, y)
        assert random.getstate() == state
        assert torch.equal(torch.get_rng_state(), before[2])

    def test_mixup_draws_the_same_beside_it(self):
        drawn = []

        def look(batch):
            torch.randn(5, generator=batch.generator)
            drawn.append(batch.target["score"])
            return batch

        regressor(loss="mse", enhancers=[look], max_epochs=1).fit(X, SCORES)
        with_draws = drawn.copy()
        drawn.clear()
        other = regressor(loss="mse", enhancers=[lambda b: drawn.append(b.target["score"]) or b])
        other.set_params(max_epochs=1).fit(X, SCORES)
        torch.testing.assert_close(with_draws, drawn)


def column(outputs, target):
    return (outputs - target).square().unsqueeze(1)


def number(outputs, target):
    return float((outputs - target).detach().square().mean())


def cut_off(outputs, target):
    return (outputs - target).square().detach()


def infinite(outputs, target):
    return (outputs - target).square() * torch.inf


def scalar(outputs, target):
    return (outputs - target).square().mean()


class TestErrors:
    @pytest.mark.parametrize(
        ("loss", "error", "message"),
        [
            (column, ValueError, r"The loss column returned a tensor of shape \(32, 1\)"),
            (number, TypeError, "The loss number returned float"),
            (cut_off, ValueError, "The loss cut_off returned a tensor without a gradient"),
            (infinite, NonFiniteLossError, "See that the loss infinite and the gradients"),
            (nn.MSELoss, ValueError, r"loss=MSELoss is a class; pass an instance, MSELoss\(...\)"),
        ],
    )
    def test_losses(self, loss, error, message):
        with pytest.raises(error, match=message):
            regressor(loss=loss, mixup_strength=0.0, early_stopping=False).fit(X[:64], SCORES[:64])

    def test_a_number_for_weighted_rows(self):
        regressor(loss=scalar).fit(X, SCORES)
        with pytest.raises(ValueError, match="The loss scalar returned a single number, but the"):
            regressor(loss=scalar).fit(X, SCORES, WEIGHT)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            (lambda b: b.features, TypeError, "returned Tensor; it must return a Batch"),
            (lambda b: b._replace(features=b.features[:, :1]), ValueError, "returned features of"),
            (lambda b: b._replace(features=b.features[:3]), ValueError, "the same rows in"),
            (lambda b: b._replace(weight=b.weight[:, None]), ValueError, "returned weight of"),
            (lambda b: b._replace(target={}), ValueError, "it must return those that it got"),
            (
                lambda b: b._replace(target={"score": b.target["score"].long()}),
                TypeError,
                "of type torch.int64",
            ),
            (lambda b: b._replace(term=b.features), ValueError, "returned the term"),
            (lambda b: b._replace(term=3.0), ValueError, "returned the term float"),
        ],
    )
    def test_enhancers(self, change, error, message):
        def mine(batch):
            return change(batch)

        with pytest.raises(error, match=f"The enhancer mine .*{message}"):
            regressor(loss="mse", enhancers=[mine]).fit(X, SCORES)

    def test_what_is_no_enhancer(self):
        for given in ([Penalty], [3], [TailMixup]):
            for model, y in ((regressor(), SCORES), (classifier(), LABELS)):
                with pytest.raises(ValueError, match=r"enhancers\[0\] is "):
                    clone(model).set_params(enhancers=given).fit(X, y)
        with pytest.raises(NonFiniteLossError, match="the enhancer Penalty and the gradients"):
            regressor(loss="mse", enhancers=[Penalty(float("inf"))]).fit(X, SCORES)
        two = np.c_[SCORES, 1.3 * SCORES]
        for loss in ("mse", squared_error):
            with pytest.raises(ValueError, match="MultiOutputRegressor"):
                regressor(loss=loss).fit(X, two)
