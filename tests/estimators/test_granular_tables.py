"""Classes of tables and embeddings: mixup, cosine head, powers, fitted adjustment, defaults."""

import random

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import clone

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.enhancers import FeatureMixup
from ltlearn.estimators._defaults import classifier_defaults
from ltlearn.losses import NeighborSilencingLoss
from ltlearn.objectives._granular import GranularObjective


def tail_problem(counts=(60, 20, 8), n_columns=5, seed=0):
    rng = np.random.default_rng(seed)
    means = 2 * rng.normal(size=(len(counts), n_columns))
    codes = np.repeat(np.arange(len(counts)), counts)
    return means[codes] + rng.normal(size=(len(codes), n_columns)), np.array(list("abc"))[codes]


def quick(**params):
    params = {"max_epochs": 3, "random_state": 0, "hidden_layer_sizes": (8,), **params}
    return GranularClassifier().set_params(**params)


class TwoLayers(torch.nn.Module):
    """As far as an objective sees a network."""

    def __init__(self):
        super().__init__()
        self.prepare = lambda X: X + 1
        self.backbone = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU())
        self.apply_head = torch.nn.Linear(6, 3)

    def features_of(self, prepared):
        return self.backbone(prepared)

    def features(self, X):
        return self.features_of(self.prepare(X))


class TestFeatureMixup:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_the_objective_mixes_prepared_rows_and_takes_both_losses(self, weighted):
        """Row by row: each label with the weight and the silenced neighbors that are its own."""
        torch.manual_seed(0)
        network, X = TwoLayers(), torch.randn(6, 4)
        target = {"label": torch.tensor([0, 1, 2, 2, 1, 0])}
        if weighted:
            target["weight"] = torch.rand(6)
        loss = NeighborSilencingLoss([9, 3, 5], [[False], [True]], silencing=0.2)
        zeros = torch.zeros(2)
        objective = GranularObjective(
            loss=loss, log_share=zeros, log_balance=zeros, log_prior=zeros, feature_mixup=0.5
        )
        objective.seed(7, "cpu")
        found = objective.training_terms(network, X, target)["loss"].item()
        share, expected = FeatureMixup(0.5).draw(6, random.Random(7)).share, 0.0
        for i in range(6):
            j = 5 - i
            row = share * (X[i] + 1) + (1 - share) * (X[j] + 1)
            logits = network.apply_head(network.backbone(row))[None]
            for k, part in ((i, share), (j, 1 - share)):
                weight = target["weight"][k].item() if weighted else 1.0
                expected += part * weight * loss(logits, target["label"][[k]]).item() / 6
        assert found == pytest.approx(expected, rel=1e-5)

    def test_it_acts_and_is_reproducible(self):
        X, y = tail_problem()
        mixed, again, plain = (
            quick(training__feature_mixup=alpha).fit(X, y) for alpha in (0.5, 0.5, 0.0)
        )
        np.testing.assert_array_equal(mixed.predict_proba(X), again.predict_proba(X))
        assert not np.array_equal(mixed.predict_proba(X), plain.predict_proba(X))

    def test_it_goes_with_auxiliary_classes_weights_and_smoothing(self):
        X, y = tail_problem()
        X_aux = np.random.default_rng(1).normal(size=(30, 5))
        model = quick(
            training__feature_mixup=1.0, training__label_smoothing=0.1, class_weight="balanced"
        )
        model.fit(
            X,
            y,
            sample_weight=np.linspace(0, 1, len(y)),
            X_aux=Whole(X_aux),
            y_aux=Whole(["x"] * 15 + ["y"] * 15),
        )
        assert np.isfinite(model.predict_proba(X)).all()

    def test_auto_is_on_for_tables_alone(self):
        X, y = tail_problem()
        explicit = quick(training__feature_mixup=0.5).fit(X, y)
        np.testing.assert_array_equal(quick().fit(X, y).predict_proba(X), explicit.predict_proba(X))
        module = quick(backbone=torch.nn.Linear(5, 4)).fit(X, y)
        assert module.net_.criterion_.feature_mixup is None

    def test_scores_refuse_it(self):
        X, y = tail_problem()
        with pytest.raises(ValueError, match=r"training.feature_mixup=0.5 is not for ELTA"):
            ELTARegressor().set_params(training__feature_mixup=0.5).fit(X, np.arange(len(y)))


class TestCosineHead:
    def test_it_starts_from_class_means(self):
        """Without a hidden layer, at a rate too small to move: nearest mean by angle."""
        X, y = tail_problem()
        model = quick(
            architecture__head="cosine", hidden_layer_sizes=(), lr=1e-9, max_epochs=1, dropout=0.0
        ).fit(X, y)
        scaled = (X - X.mean(axis=0)) / X.std(axis=0)
        means = np.stack([scaled[y == name].mean(axis=0) for name in "abc"])
        cosines = (scaled / np.linalg.norm(scaled, axis=1, keepdims=True)) @ (
            means / np.linalg.norm(means, axis=1, keepdims=True)
        ).T
        np.testing.assert_allclose(model.predict_proba(X), softmax(16 * cosines, axis=1), atol=1e-4)

    def test_the_start_is_from_the_features_that_training_starts_from(self):
        X, y = tail_problem()
        model = quick(architecture__head="cosine", lr=1e-9, max_epochs=1, dropout=0.0).fit(X, y)
        features = model.embed(X)
        means = np.stack([features[y == name].mean(axis=0) for name in "abc"])
        weight = model.net_.module_.head[-1].weight.detach().numpy()
        np.testing.assert_allclose(
            weight, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-4
        )

    def test_it_goes_with_auxiliary_classes_and_warm_start(self):
        X, y = tail_problem()
        aux = {
            "X_aux": Whole(np.random.default_rng(1).normal(size=(20, 5))),
            "y_aux": Whole(["x"] * 20),
        }
        model = quick(architecture__head="cosine", warm_start=True, max_epochs=1)
        model.fit(X, y, **aux)
        first = model.net_.module_.head[-1].weight.detach().clone()
        assert first.shape == (4, 8)
        model.fit(X, y, **aux)
        assert not torch.equal(model.net_.module_.head[-1].weight, first)


class TestFeaturePower:
    def test_it_is_a_signed_power_before_standardization(self):
        X, y = tail_problem()
        X_new = tail_problem(seed=1)[0]
        powered = quick(architecture__feature_power=0.5).fit(X, y)
        by_hand = quick().fit(np.sign(X) * np.sqrt(np.abs(X)), y)
        np.testing.assert_allclose(
            powered.predict_proba(X_new),
            by_hand.predict_proba(np.sign(X_new) * np.sqrt(np.abs(X_new))),
            rtol=1e-5,
        )
        assert powered.feature_power_ == 0.5

    @pytest.mark.parametrize("true_power", [1.0, 0.5])
    def test_auto_takes_the_scale_that_validates_better(self, true_power):
        """Rows are Gaussian around their class means on one of the two scales."""
        rng = np.random.default_rng(0)
        codes = np.repeat([0, 1], 200)
        scaled = rng.normal(size=(400, 3)) + codes[:, None] * 1.2
        X = np.sign(scaled) * np.abs(scaled) ** (1 / true_power)
        settings = {"hidden_layer_sizes": (), "dropout": 0.0, "max_epochs": 20}
        settings["training__feature_mixup"] = 0.0
        model = quick(architecture__feature_power="auto", **settings)
        model.fit(X[::2], codes[::2], X_val=Whole(X[1::2]), y_val=Whole(codes[1::2]))
        losses = {}
        for power in (1.0, 0.5):
            fixed = quick(architecture__feature_power=power, early_stopping=False, **settings)
            fixed.fit(X[::2], codes[::2])
            proba = fixed.predict_proba(X[1::2])
            losses[power] = -np.log(proba[np.arange(200), codes[1::2]]).mean()
        assert model.feature_power_ == min(losses, key=losses.get)

    def test_auto_holds_rows_out(self):
        X, y = tail_problem()
        model = quick(architecture__feature_power="auto").fit(X, y)
        assert model.feature_power_ in (1.0, 0.5)
        assert "valid_loss" in model.history_[-1]

    def test_other_backbones_refuse_it(self):
        X, y = tail_problem()
        model = quick(backbone=torch.nn.Linear(5, 4), architecture__feature_power=0.5)
        with pytest.raises(ValueError, match="is for tables"):
            model.fit(X, y)


class TestFittedAdjustment:
    def test_it_has_the_least_balanced_loss_of_validation_rows(self):
        X, y = tail_problem((200, 60, 25), seed=2)
        X_val, y_val = tail_problem((60, 30, 12), seed=2)
        X_val = X_val + np.random.default_rng(5).normal(size=X_val.shape)
        model = quick(logit_adjustment="auto", early_stopping=False, max_epochs=10)
        model.fit(X, y, X_val=Whole(X_val), y_val=Whole(y_val))
        codes = np.searchsorted(model.classes_, y_val)
        counts = np.bincount(codes)
        balanced = log_softmax(model.predict_proba(X_val), axis=1)
        logits = np.log(model.predict_proba(X_val).astype(float))
        share = np.log([200 / 285, 60 / 285, 25 / 285])
        raw = (logits + model.tau_ * share) * model.temperature_

        def loss(temperature, tau):
            losses = -log_softmax(raw / temperature - tau * share, axis=1)
            own = losses[np.arange(len(codes)), codes]
            n_effective = 9 / np.sum(1 / counts)
            return np.mean([own[codes == k].mean() for k in range(3)]) + 2 * tau**2 / n_effective

        found = loss(model.temperature_, model.tau_)
        assert balanced.shape == (102, 3)
        for temperature in np.linspace(0.3, 4, 25):
            for tau in np.linspace(-1, 1, 21):
                assert found <= loss(temperature, tau) + 1e-5

    def test_training_is_that_of_balanced_cross_entropy(self):
        X, y = tail_problem()
        fitted = quick(logit_adjustment="auto").fit(X, y)
        plain = quick(calibrate_temperature=True).fit(X, y)
        assert plain.tau_ == 0.0
        for a, b in zip(
            fitted.net_.module_.parameters(), plain.net_.module_.parameters(), strict=True
        ):
            torch.testing.assert_close(a, b)

    def test_priors_apply_on_top(self):
        X, y = tail_problem()
        model = quick(logit_adjustment="auto").fit(X, y)
        balanced = model.predict_proba(X).astype(float)
        shares = np.array([60, 20, 8]) / 88
        expected = balanced * model.set_params(prior="train").prediction_prior_
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-4)
        np.testing.assert_allclose(model.prediction_prior_, shares, atol=0.02)


class TestDefaults:
    def test_they_follow_the_kind_and_size_of_the_data(self):
        small, large = (classifier_defaults(n, 16, True) for n in (400, 20_000))
        embedding = classifier_defaults(400, 129, True)
        other = classifier_defaults(400, 16, False)
        assert small["hidden_layer_sizes"] == (256, 256)
        assert embedding["hidden_layer_sizes"] == (128,)
        assert embedding["max_epochs"] * np.ceil(400 / embedding["batch_size"]) >= 600
        assert classifier_defaults(10**6, 129, True)["max_epochs"] == 15
        assert [d["early_stopping"] for d in (small, large, embedding, other)] == [
            False,
            True,
            False,
            True,
        ]
        assert other["feature_mixup"] == 0.0 < small["feature_mixup"]
        assert set(small) == set(embedding) == {*other, "batch_size"}

    def test_what_is_set_is_taken(self):
        X, y = tail_problem()
        defaults = classifier_defaults(len(y), 5, True)
        names = ["hidden_layer_sizes", "dropout", "lr", "max_epochs", "batch_size"]
        explicit = {name: defaults[name] for name in names}
        explicit["max_epochs"] = 4
        options = {f"training__{name}": defaults[name] for name in ("lr_schedule", "feature_mixup")}
        by_hand = GranularClassifier(early_stopping=False, random_state=0, **explicit)
        auto = GranularClassifier(max_epochs=4, random_state=0)
        np.testing.assert_array_equal(
            by_hand.set_params(**options).fit(X, y).predict_proba(X),
            auto.fit(X, y).predict_proba(X),
        )

    def test_validation_rows_are_used_where_they_are_given(self):
        X, y = tail_problem()
        model = quick(max_epochs=40, training__n_iter_no_change=2, lr=0.05)
        model.fit(X, y, X_val=X[::3], y_val=y[::3])
        assert model.n_iter_ < 40
        assert quick(max_epochs=5).fit(X, y).n_iter_ == 5
        assert "valid_loss" not in quick().fit(X, y).history_[-1]

    def test_refitting_infers_them_again(self):
        rng = np.random.default_rng(0)
        model = GranularClassifier(max_epochs=1, random_state=0)
        for n_columns, width in ((5, 256), (130, 128)):
            X = rng.normal(size=(40, n_columns))
            model.fit(X, np.arange(40) % 2)
            assert model.embed(X).shape == (40, width)

    def test_bad_values_raise(self):
        X, y = tail_problem()
        for params in ({"lr": "fast"}, {"dropout": "some"}, {"hidden_layer_sizes": "wide"}):
            with pytest.raises(ValueError, match=next(iter(params))):
                clone(quick()).set_params(**params).fit(X, y)
