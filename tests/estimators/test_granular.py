"""GranularClassifier: class shares and priors, auxiliary classes, epochs, machinery."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import skorch
import torch
from scipy.special import log_softmax, softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from torch import nn

from ltlearn import GranularClassifier, Whole
from ltlearn.exceptions import NonFiniteLossError

CENTERS = {
    "cat": (0, 0, 4),
    "dog": (0, 4, 0),
    "eel": (4, 0, 0),
    "lynx": (1, 1, 5),
    "wolf": (0, 5, 1),
    "oak": (-5, -5, -5),
}
NEIGHBORS = {"cat": ["lynx"], "dog": ["lynx", "wolf"]}


def draw(counts, seed=0):
    """Rows around the centers of the named classes."""
    rng = np.random.default_rng(seed)
    y = np.repeat(list(counts), list(counts.values()))
    return np.array([CENTERS[name] for name in y]) + rng.normal(size=(len(y), 3)), y


@pytest.fixture
def target():
    return draw({"cat": 60, "dog": 20, "eel": 4})


@pytest.fixture
def auxiliary():
    return draw({"lynx": 12, "wolf": 12, "oak": 12}, seed=1)


def quick(**params):
    return GranularClassifier(max_epochs=4, random_state=0).set_params(**params)


def constant(**params):
    """A model without inputs to speak of: it can only learn the shares of the classes."""
    settings = {
        "hidden_layer_sizes": (),
        "training__optimizer": "sgd",
        "lr": 0.5,
        "max_epochs": 300,
    }
    settings |= {"batch_size": 200, "early_stopping": False, "training__weight_decay": 0.0}
    return quick(**settings, **params)


class TestPrior:
    y = np.repeat(["a", "b", "c"], [30, 15, 5])
    share = np.array([0.6, 0.3, 0.1])
    X = np.zeros((50, 1))

    @pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
    @pytest.mark.parametrize("with_auxiliary", [False, True])
    def test_probabilities_refer_to_the_prior_whatever_was_trained(self, tau, with_auxiliary):
        extra = {"X_aux": np.zeros((20, 1)), "y_aux": ["d", "e"] * 10} if with_auxiliary else {}
        model = constant(logit_adjustment=tau, silencing=1.0).fit(self.X, self.y, **extra)
        other = np.array([5.0, 3.0, 2.0])
        for prior, expected in (
            ("balanced", np.full(3, 1 / 3)),
            ("train", self.share),
            (other, other / 10),
        ):
            proba = model.set_params(prior=prior).predict_proba([[0.0]])[0]
            np.testing.assert_allclose(proba, expected, atol=2e-3)

    @pytest.mark.parametrize("tau", [0.0, 1.0])
    def test_class_shares_count_sample_weights(self, tau):
        weight = np.select([self.y == "a", self.y == "b"], [1.0, 2.0], 3.0)
        model = constant(logit_adjustment=tau).fit(self.X, self.y, sample_weight=weight)
        proba = model.set_params(prior="train").predict_proba([[0.0]])[0]
        np.testing.assert_allclose(proba, [30 / 75, 30 / 75, 15 / 75], atol=2e-3)
        proba = model.set_params(prior="balanced").predict_proba([[0.0]])[0]
        np.testing.assert_allclose(proba, 1 / 3, atol=2e-3)

    @pytest.mark.parametrize("tau", [0.0, 0.7, 1.0])
    def test_formula(self, target, tau):
        X, y = target
        model = quick(logit_adjustment=tau, early_stopping=False).fit(X, y)
        head = model.net_.module_.head
        logits = head(torch.from_numpy(model.embed(X))).detach().numpy().astype(float)
        share = np.array([60, 20, 4]) / 84
        for prior, rho in (
            ("balanced", np.ones(3)),
            ("train", share),
            ([1, 2, 7], np.array([1, 2, 7])),
        ):
            weights = rho * np.exp(logits) * share ** (tau - 1)
            model.set_params(prior=prior)
            expected = weights / weights.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-4)
            np.testing.assert_array_equal(model.predict(X), model.classes_[expected.argmax(1)])
            np.testing.assert_allclose(
                softmax(model.decision_function(X), axis=1), expected, rtol=1e-4
            )

    def test_the_prior_changes_nothing_in_training(self, target):
        X, y = target
        skewed = quick(prior=[1, 1, 100]).fit(X, y)
        balanced = quick().fit(X, y)
        assert (skewed.predict(X) == "eel").sum() > (balanced.predict(X) == "eel").sum()
        skewed.set_params(prior="balanced")
        np.testing.assert_array_equal(skewed.predict_proba(X), balanced.predict_proba(X))

    @pytest.mark.parametrize(
        "prior", ["uniform", [1, 1], [1, 1, 0], [1, 1, np.nan], ["a", "b", "c"], [[1, 1, 1]]]
    )
    def test_bad_priors_after_fitting(self, target, prior):
        model = quick(max_epochs=1).fit(*target)
        with pytest.raises(ValueError, match='"balanced", "train" or 3 positive numbers'):
            model.set_params(prior=prior).predict(target[0])

    @pytest.mark.parametrize("tau", [0.0, 1.0])
    def test_class_weights_multiply_the_odds(self, tau):
        weight = {"a": 1.0, "c": 6.0}
        model = constant(class_weight=weight, logit_adjustment=tau, prior="train")
        odds = self.share * [1.0, 1.0, 6.0]
        proba = model.fit(self.X, self.y).predict_proba([[0.0]])[0]
        np.testing.assert_allclose(proba, odds / odds.sum(), atol=2e-3)

    def test_balanced_class_weights_make_classes_equal(self):
        model = constant(class_weight="balanced", logit_adjustment=0.0, prior="train")
        proba = model.fit(self.X, self.y).predict_proba([[0.0]])[0]
        np.testing.assert_allclose(proba, 1 / 3, atol=2e-3)

    def test_label_smoothing_mixes_in_the_uniform_distribution(self):
        model = constant(training__label_smoothing=0.3, logit_adjustment=0.0, prior="train")
        proba = model.fit(self.X, self.y).predict_proba([[0.0]])[0]
        np.testing.assert_allclose(proba, 0.7 * self.share + 0.3 / 3, atol=2e-3)


class TestAuxiliaryClasses:
    def test_fitted_attributes_and_predictions_over_target_classes(self, target, auxiliary):
        X, y = target
        model = quick(auxiliary__neighbors=NEIGHBORS).fit(
            X, y, X_aux=auxiliary[0], y_aux=auxiliary[1]
        )
        assert model.classes_.tolist() == ["cat", "dog", "eel"]
        assert model.auxiliary_classes_.tolist() == ["lynx", "oak", "wolf"]
        assert model.class_counts_.tolist() == [60, 20, 4]
        assert model.neighbors_ == NEIGHBORS | {"eel": []}
        assert model.net_.module_.head[-1].out_features == 6
        everything = np.concatenate([X, auxiliary[0]])
        proba = model.predict_proba(everything)
        assert proba.shape == (len(everything), 3)
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
        assert set(model.predict(everything)) <= {"cat", "dog", "eel"}

    def test_target_rows_are_learned_beside_auxiliary_ones(self, target, auxiliary):
        model = quick(max_epochs=40, auxiliary__neighbors=NEIGHBORS)
        model.fit(*target, X_aux=auxiliary[0], y_aux=auxiliary[1])
        X, y = draw({"cat": 30, "dog": 30, "eel": 30}, seed=2)
        assert balanced_accuracy_score(y, model.predict(X)) > 0.9

    @pytest.mark.parametrize("max_samples", [5, 12, 50])
    def test_an_epoch_is_all_target_rows_and_some_of_each_auxiliary_class(
        self, target, auxiliary, max_samples
    ):
        class CountLabels(skorch.callbacks.Callback):
            def on_train_begin(self, net, **kwargs):
                self.counts_ = []

            def on_epoch_begin(self, net, **kwargs):
                self.counts_.append(np.zeros(6, dtype=int))

            def on_batch_end(self, net, batch, **kwargs):
                self.counts_[-1] += np.bincount(batch[1]["label"], minlength=6)

        model = quick(
            auxiliary__max_samples=max_samples,
            callbacks=[CountLabels()],
            early_stopping=False,
            batch_size=16,
        )
        model.fit(*target, X_aux=auxiliary[0], y_aux=auxiliary[1])
        drawn = min(max_samples, 12)
        count = next(each for _, each in model.net_.callbacks_ if isinstance(each, CountLabels))
        assert [counts.tolist() for counts in count.counts_] == [[60, 20, 4] + 3 * [drawn]] * 4
        updates = int(np.ceil((84 + 3 * drawn) / 16))
        assert [row["train_batch_count"] for row in model.history_] == [updates] * 4
        log_prior = model.net_.criterion_.loss.log_share.exp().numpy()
        np.testing.assert_allclose(log_prior, count.counts_[0] / sum(count.counts_[0]), rtol=1e-5)

    def test_no_auxiliary_samples_is_as_if_there_were_no_auxiliary_data(self, target, auxiliary):
        X, y = target
        model = quick(auxiliary__max_samples=0, auxiliary__neighbors=NEIGHBORS)
        model.fit(X, y, X_aux=auxiliary[0], y_aux=auxiliary[1])
        assert model.auxiliary_classes_.tolist() == []
        assert model.neighbors_ == {"cat": [], "dog": [], "eel": []}
        np.testing.assert_array_equal(model.predict_proba(X), quick().fit(X, y).predict_proba(X))

    def test_the_relation_matters_only_with_silencing(self, target, auxiliary):
        def fitted(**params):
            model = quick(**params).fit(*target, X_aux=auxiliary[0], y_aux=auxiliary[1])
            return model.predict_proba(target[0])

        other = {"eel": ["wolf"]}
        np.testing.assert_array_equal(
            fitted(auxiliary__neighbors=NEIGHBORS, silencing=1.0),
            fitted(auxiliary__neighbors=other, silencing=1.0),
        )
        silenced = [
            fitted(
                auxiliary__neighbors=NEIGHBORS,
                silencing=silencing,
                auxiliary__silencing_direction=direction,
            )
            for silencing, direction in (
                (1.0, "both"),
                (0.1, "both"),
                (0.0, "both"),
                (0.1, "auxiliary"),
                (0.1, "target"),
            )
        ]
        assert len(np.unique([proba.sum(axis=0)[0] for proba in silenced])) == 5
        assert np.isfinite(silenced).all()

    def test_neighbors_are_found_by_prototypes_of_standardized_inputs(self, target, auxiliary):
        X, y = target
        model = quick(auxiliary__neighbor_similarity=0.7, early_stopping=False)
        model.fit(X, y, X_aux=auxiliary[0], y_aux=auxiliary[1])
        scaler = StandardScaler().fit(X)

        def prototype(rows):
            return normalize(normalize(scaler.transform(rows)).mean(axis=0, keepdims=True))[0]

        similarity = {
            (a, b): prototype(X[y == a]) @ prototype(auxiliary[0][auxiliary[1] == b])
            for a in model.classes_
            for b in model.auxiliary_classes_
        }
        cut = np.quantile(list(similarity.values()), 0.7)
        found = {(a, b) for a, names in model.neighbors_.items() for b in names}
        assert found == {pair for pair, value in similarity.items() if value >= cut}
        assert {("cat", "lynx"), ("dog", "wolf")} <= found

    def test_neighbors_are_found_in_features_of_the_backbone_before_training(
        self, target, auxiliary
    ):
        X, y = target
        flip = nn.Linear(3, 3, bias=False)  # a "pretrained" backbone that swaps two axes
        flip.weight.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        X_aux, y_aux = auxiliary
        X_aux = np.where((y_aux == "lynx")[:, None], X_aux, X_aux[:, [0, 2, 1]])
        settings = {"auxiliary__neighbor_similarity": (0.8, 1.0), "max_epochs": 1}
        one = quick(backbone=flip, **settings).fit(X, y, X_aux=X_aux, y_aux=y_aux)
        assert one.neighbors_ == {"cat": ["lynx", "wolf"], "dog": [], "eel": []}
        drop = nn.Linear(3, 2, bias=False)  # keeps the last two axes, the latter squeezed
        drop.weight.data = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1e-3]])
        other = quick(backbone=drop, **settings).fit(X, y, X_aux=X_aux, y_aux=y_aux)
        assert other.neighbors_ != one.neighbors_

    def test_a_factory_gives_the_same_neighbors_every_time(self, target, auxiliary):
        def fitted():
            model = quick(
                backbone=lambda shape: nn.Linear(shape[0], 4), auxiliary__neighbor_similarity=0.5
            )
            return model.fit(*target, X_aux=auxiliary[0], y_aux=auxiliary[1]).neighbors_

        assert fitted() == fitted()

    def test_integer_and_mixed_labels(self, target, auxiliary):
        X, y = target
        numbers = np.unique(y, return_inverse=True)[1] + 10
        model = quick(auxiliary__neighbors={10: ["lynx"], 12: ["wolf"]})
        model.fit(X, numbers, X_aux=auxiliary[0], y_aux=auxiliary[1])
        assert model.neighbors_ == {10: ["lynx"], 11: [], 12: ["wolf"]}
        assert set(model.predict(X)) <= {10, 11, 12}

    @pytest.mark.parametrize(
        ("params", "change", "message"),
        [
            ({}, {"y_aux": None}, "pass both or neither"),
            ({}, {"X_aux": None}, "pass both or neither"),
            ({}, {"y_aux": ["lynx"] * 35}, "X_aux has 36 rows and y_aux 35.*ltlearn.Whole"),
            ({}, {"y_aux": ["cat", "dog", "lynx"] * 12}, r"\['cat', 'dog'\] are in y and in y_aux"),
            ({"auxiliary": "synthesize"}, {}, "use one of the two"),
            (
                {"auxiliary__neighbors": {"cat": ["bear"]}},
                {},
                r"\['bear'\].*\['lynx', 'oak', 'wolf'\]",
            ),
            (
                {"auxiliary__neighbors": NEIGHBORS},
                {"X_aux": None, "y_aux": None},
                "fit was given none",
            ),
            ({"auxiliary__neighbors": {"cat": [["lynx"]]}}, {}, r"names \[\['lynx'\]\]"),
            ({"class_weight": {"cat": -1}}, {}, "class_weight must map"),
            ({"class_weight": {"cat": np.nan}}, {}, "class_weight must map"),
            ({"class_weight": {"cat": "a"}}, {}, "class_weight must map"),
            ({"auxiliary__neighbor_similarity": (0.9, 0.5)}, {}, "neighbor_similarity must be"),
            ({"auxiliary__neighbor_similarity": (0.5,)}, {}, "neighbor_similarity must be"),
            ({"auxiliary__neighbor_similarity": ("a", "b")}, {}, "neighbor_similarity must be"),
            ({"auxiliary__neighbor_similarity": (np.nan, 1)}, {}, "neighbor_similarity must be"),
            ({}, {"y_aux": [*["lynx"] * 35, None]}, "y_aux mixes labels of the types.*NoneType"),
            ({}, {"y_aux": [*[7.0] * 35, np.nan]}, "y_aux contains NaN"),
            ({}, {"X_val": np.zeros((2, 3)), "y_val": [1, 2]}, r"y_val has the classes \[1, 2\]"),
            (
                {"auxiliary": "synthesize", "auxiliary__neighbors": NEIGHBORS},
                {"X_aux": None, "y_aux": None},
                'leave auxiliary.neighbors="auto"',
            ),
            ({}, {"X_aux": np.zeros((36, 2))}, "X_aux is not as X: .*expecting 3 features"),
            ({}, {"y_aux": np.linspace(0, 1, 36)}, "y_aux cannot be used.*Unknown label type"),
        ],
    )
    def test_errors_say_what_is_wrong(self, target, auxiliary, params, change, message):
        arguments = {"X_aux": auxiliary[0], "y_aux": auxiliary[1]} | change
        with pytest.raises(ValueError, match=message):
            quick(**params).fit(*target, **arguments)

    @pytest.mark.parametrize("kind", ["given", "synthesize"])
    def test_the_default_device_of_torch_does_not_matter(self, target, auxiliary, kind):
        X, y = target
        given = dict(zip(("X_aux", "y_aux"), auxiliary, strict=True)) if kind == "given" else {}
        model = quick(auxiliary=None if kind == "given" else kind)
        expected = model.fit(X, y, **given).predict_proba(X)
        with torch.device("meta"):  # any tensor made there would fail
            probabilities = model.fit(X, y, **given).predict_proba(X)
        np.testing.assert_array_equal(probabilities, expected)

    def test_an_empty_relation_needs_no_auxiliary_data(self, target):
        assert quick(auxiliary__neighbors={}).fit(*target).neighbors_ == {
            "cat": [],
            "dog": [],
            "eel": [],
        }

    def test_class_weights_may_name_auxiliary_classes(self, target, auxiliary):
        def fitted(class_weight):
            model = quick(class_weight=class_weight)
            return model.fit(*target, X_aux=auxiliary[0], y_aux=auxiliary[1])

        plain, weighted = fitted(None), fitted({"oak": 0.0})
        assert not np.array_equal(plain.predict_proba(target[0]), weighted.predict_proba(target[0]))

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize(
        "class_weight", [None, "balanced", {"a": 2.0, "d": 5.0, "e": 0.25}], ids=str
    )
    def test_class_weights_count_for_auxiliary_rows(self, class_weight, weighted):
        """Without inputs to speak of, the softmax learns the weighted shares of all classes."""
        y, y_aux = np.repeat(["a", "b", "c"], [30, 15, 5]), np.repeat(["d", "e"], [10, 20])
        weight = np.where(y == "b", 3.0, 1.0) if weighted else np.ones(50)
        model = constant(class_weight=class_weight, logit_adjustment=0.0, silencing=1.0)
        model.fit(
            np.zeros((50, 1)),
            y,
            sample_weight=weight if weighted else None,
            X_aux=np.zeros((30, 1)),
            y_aux=y_aux,
        )
        weight = weight * 50 / weight.sum()  # auxiliary rows weigh as much as others on average
        counts = [weight[y == name].sum() for name in "abc"] + [10, 20]
        if class_weight == "balanced":
            expected = np.ones(5)
        else:
            expected = np.array([(class_weight or {}).get(name, 1.0) for name in "abcde"]) * counts
        shares = softmax(model._outputs(np.zeros((1, 1)))[0])
        np.testing.assert_allclose(shares, expected / expected.sum(), atol=2e-3)


class TestSynthesis:
    def test_auxiliary_classes_are_mixed_from_similar_target_classes(self, target):
        X, y = target
        model = quick(auxiliary="synthesize", auxiliary__max_samples=7, batch_size=16)
        model.fit(X, y)
        names = model.auxiliary_classes_.tolist()
        assert 2 <= len(names) <= 3
        for name in names:
            assert [t for t, near in model.neighbors_.items() if name in near] == name.split("+")
        assert all(model.neighbors_.values())
        rows = 84 + 7 * len(names)
        assert model.history_[0]["train_batch_count"] == int(np.ceil(rows / 16))
        assert model.predict_proba(X).shape == (84, 3)

    def test_images(self):
        images = np.random.default_rng(0).integers(0, 256, size=(40, 1, 4, 4), dtype=np.uint8)
        model = quick(backbone=lambda: nn.Flatten(), auxiliary="synthesize")
        model.fit(images, np.arange(40) % 4)
        assert model.predict(images).shape == (40,)

    def test_one_class_cannot_be_mixed(self):
        with pytest.raises(ValueError, match="only one has rows"):
            quick(auxiliary="synthesize").fit(np.zeros((5, 1)), np.zeros(5))


class TestClasses:
    def test_binary_decision_function(self, target):
        X, y = target
        binary = y == "cat"
        model = quick().fit(X, binary)
        scores = model.decision_function(X)
        assert scores.shape == (84,)
        np.testing.assert_array_equal(model.predict(X), scores > 0)
        np.testing.assert_allclose(
            model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-scores.astype(float))), rtol=1e-4
        )

    def test_a_class_with_one_sample_is_never_held_out(self):
        X, y = draw({"cat": 150, "dog": 30, "eel": 1, "oak": 1})
        for seed in range(5):
            model = quick(training__validation_fraction=0.5)
            rows = model._validate_fit_rows(X, y, None, None, None)[0]
            train, valid = model._hold_out(rows, np.random.RandomState(seed))
            assert set(train.y) == {0, 1, 2, 3}
            assert not {2, 3} & set(valid.y)
            assert len(train.y) + len(valid.y) == 182
            assert abs((valid.y == 0).sum() - 75) <= 1
        model = quick(max_epochs=1).fit(X, y)
        assert model.class_counts_.tolist() == [150, 30, 1, 1]

    def test_only_classes_with_one_sample(self):
        with pytest.raises(ValueError, match="can be held out"):
            quick(early_stopping=True).fit(np.zeros((4, 1)), list("abcd"))
        quick().fit(np.eye(4), list("abcd"))

    def test_a_class_missing_from_the_validation_rows(self, target):
        X_val, y_val = draw({"cat": 10, "dog": 5}, seed=3)
        model = quick(training__scoring="balanced_accuracy").fit(*target, X_val=X_val, y_val=y_val)
        assert np.isfinite([row["valid_loss"] for row in model.history_]).all()
        assert model.classes_.tolist() == ["cat", "dog", "eel"]

    def test_validation_rows_of_unknown_classes_are_refused(self, target):
        X_val, y_val = draw({"cat": 10, "oak": 5}, seed=3)
        with pytest.raises(ValueError, match=r"y_val has the classes \['oak'\]"):
            quick().fit(*target, X_val=X_val, y_val=y_val)

    @pytest.mark.parametrize("absent", ["cat", "eel"])
    def test_classes_without_weight_have_no_neighbors(self, target, auxiliary, absent):
        X, y = target
        weight = np.where(y == absent, 0.0, 1.0)
        extra = {"X_aux": auxiliary[0], "y_aux": auxiliary[1]}
        model = quick(auxiliary__neighbor_similarity=0.0).fit(X, y, weight, **extra)
        others = {name: ["lynx", "oak", "wolf"] for name in {"cat", "dog", "eel"} - {absent}}
        assert model.neighbors_ == {**others, absent: []}
        # The same classes, as if the rows of the other one were not there.
        synthesized = quick(auxiliary="synthesize").fit(X, y, weight)
        expected = quick(auxiliary="synthesize").fit(X[weight > 0], y[weight > 0])
        np.testing.assert_array_equal(synthesized.auxiliary_classes_, expected.auxiliary_classes_)
        with pytest.raises(ValueError, match="only one has rows"):
            quick(auxiliary="synthesize").fit(X, y, (y == absent) * 1.0)

    def test_class_weights_of_unknown_classes_are_reported(self, target):
        model = quick(class_weight={"cat": 2.0, "dog": 3.0})
        expected = model.fit(*target).predict_proba(target[0])
        model.set_params(class_weight={**model.class_weight, "bear": 9.0})
        with pytest.warns(UserWarning, match=r"class_weight names \['bear'\]"):
            model.fit(*target)
        np.testing.assert_array_equal(model.predict_proba(target[0]), expected)

    def test_strings_of_two_classes_are_all_strings(self, target):
        X, y = target
        mixed = y.astype(object)
        mixed[0] = np.str_(mixed[0])
        expected = quick().fit(X, y).predict_proba(X)
        np.testing.assert_array_equal(quick().fit(X, mixed).predict_proba(X), expected)

    def test_huge_priors(self, target):
        model = quick(prior=[1e308] * 3).fit(*target)
        expected = quick().fit(*target).predict_proba(target[0])
        np.testing.assert_allclose(model.predict_proba(target[0]), expected, rtol=1e-6)

    def test_continuous_targets_are_refused(self, target):
        with pytest.raises(ValueError, match="Unknown label type"):
            quick().fit(target[0], target[0][:, 0])

    def test_a_class_of_weight_zero_is_never_predicted(self, target):
        X, y = target
        weight = np.where(y == "dog", 0.0, 1.0)
        model = quick(max_epochs=60, early_stopping=False).fit(X, y, sample_weight=weight)
        proba = model.predict_proba(X)
        assert np.isfinite(proba).all()
        assert proba[y != "dog", 1].max() < 0.2


class TestValidation:
    @pytest.mark.parametrize("tau", [0.0, 1.0])
    def test_terms_against_plain_loops(self, target, tau):
        X_val, y_val = draw({"cat": 8, "dog": 5, "eel": 7}, seed=3)
        X_val += np.random.default_rng(0).normal(size=X_val.shape)
        model = quick(logit_adjustment=tau, prior="train", max_epochs=1, early_stopping=False)
        model.fit(*target, X_val=X_val, y_val=y_val)
        row = model.history_[0]
        predicted = model.predict(X_val)
        assert row["valid_accuracy"] == pytest.approx(accuracy_score(y_val, predicted))
        assert row["valid_balanced_accuracy"] == pytest.approx(
            balanced_accuracy_score(y_val, predicted)
        )
        shares = np.array([8, 5, 7]) + np.array([60, 20, 4]) / 84
        log_proba = log_softmax(
            model.set_params(prior=shares).decision_function(X_val).astype(float), axis=1
        )
        losses = [-log_proba[i, list(model.classes_).index(y)] for i, y in enumerate(y_val)]
        assert row["valid_loss"] == pytest.approx(np.mean(losses), rel=1e-4)

    def test_the_best_epoch_by_score_is_kept(self, target):
        X_val, y_val = draw({"cat": 30, "dog": 30, "eel": 30}, seed=3)
        model = quick(
            max_epochs=30, training__scoring="balanced_accuracy", training__n_iter_no_change=5
        )
        model.fit(*target, X_val=X_val, y_val=y_val)
        best = max(row["valid_balanced_accuracy"] for row in model.history_)
        assert model.n_iter_ < 30
        assert balanced_accuracy_score(y_val, model.predict(X_val)) == pytest.approx(best)

    def test_weights_of_held_out_rows_count(self):
        X, y = draw({"cat": 100, "dog": 100})
        weight = np.where(np.arange(200) % 2, 1.0, 1e-6)
        y = np.where(np.arange(200) % 2, y, "cat")  # wrong half the time, where nothing counts
        model = quick(
            max_epochs=60,
            early_stopping=True,
            training__n_iter_no_change=60,
            training__validation_fraction=0.3,
        )
        model.fit(X, y, sample_weight=weight)
        assert model.history_[-1]["valid_accuracy"] > 0.9
        assert model.history_[-1]["valid_loss"] < 0.2

    def test_temperature_has_the_least_validation_loss(self, target):
        X_val, y_val = draw({"cat": 20, "dog": 20, "eel": 20}, seed=3)
        X_val += 2 * np.random.default_rng(0).normal(size=X_val.shape)  # harder than in training
        settings = {"max_epochs": 30, "early_stopping": False}
        plain = quick(**settings).fit(*target, X_val=X_val, y_val=y_val)
        model = quick(calibrate_temperature=True, **settings)
        model.fit(*target, X_val=X_val, y_val=y_val)
        assert plain.temperature_ == 1.0
        assert model.temperature_ > 1.0
        shares = np.log(20 + np.array([60, 20, 4]) / 84)
        codes = np.searchsorted(model.classes_, y_val)

        def loss(temperature):
            logits = plain.decision_function(X_val) / temperature + shares
            return -log_softmax(logits, axis=1)[np.arange(60), codes].mean()

        grid = np.geomspace(0.05, 20, 300)
        best = grid[np.argmin([loss(temperature) for temperature in grid])]
        assert model.temperature_ == pytest.approx(best, rel=2e-2)
        np.testing.assert_array_equal(model.predict(X_val), plain.predict(X_val))
        np.testing.assert_allclose(
            model.decision_function(X_val),
            plain.decision_function(X_val) / model.temperature_,
            rtol=1e-5,
        )

    def test_temperature_holds_rows_out_where_there_are_none(self, target):
        model = quick(calibrate_temperature=True, early_stopping=False).fit(*target)
        assert "valid_loss" in model.history_[0]
        assert model.temperature_ != 1.0


class TestTraining:
    def test_warmup_leaves_the_backbone_as_it_was(self, target):
        backbone = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4))
        backbone[0].bias.requires_grad_(False)

        def moved(**params):
            model = quick(backbone=backbone, **params).fit(*target)
            fitted = model.net_.module_.backbone
            assert [p.requires_grad for p in fitted.parameters()] == [True, False, True, True]
            pairs = zip(backbone.parameters(), fitted.parameters(), strict=True)
            return [not torch.equal(before, after) for before, after in pairs]

        assert moved(training__head_warmup_epochs=4) == [False] * 4
        assert moved(training__head_warmup_epochs=9) == [False] * 4
        assert moved(training__head_warmup_epochs=3) == [True, False, True, True]
        assert moved(training__head_warmup_epochs=2, training__optimizer="sgd") == [
            True,
            False,
            True,
            True,
        ]
        assert moved() == [True, False, True, True]

    def test_warmup_goes_on_in_a_warm_start(self, target):
        model = quick(training__head_warmup_epochs=3, max_epochs=2, warm_start=True).fit(*target)
        weight = model.net_.module_.backbone[0].weight.clone()
        model.set_params(max_epochs=1).fit(*target)
        assert torch.equal(model.net_.module_.backbone[0].weight, weight)
        model.fit(*target)
        assert not torch.equal(model.net_.module_.backbone[0].weight, weight)

    def test_a_backbone_thaws_in_a_warm_start(self, target):
        backbone = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4))
        backbone[0].bias.requires_grad_(False)
        model = quick(backbone=backbone, training__freeze_backbone=True, warm_start=True).fit(
            *target
        )

        def moved():
            fitted = model.net_.module_.backbone
            pairs = zip(backbone.parameters(), fitted.parameters(), strict=True)
            return [not torch.equal(before, after) for before, after in pairs]

        assert moved() == [False] * 4
        model.set_params(training__freeze_backbone=False).fit(*target)
        assert moved() == [True, False, True, True]

    def test_warmup_is_not_repeated_by_warm_start(self, target):
        model = quick(training__head_warmup_epochs=2, max_epochs=2, warm_start=True).fit(*target)
        before = [p.clone() for p in model.net_.module_.backbone.parameters()]
        after = model.fit(*target).net_.module_.backbone.parameters()
        assert not any(torch.equal(*pair) for pair in zip(before, after, strict=True))

    def test_batch_norm_head_normalizes_features(self, target):
        X, y = target
        model = quick(architecture__batch_norm_head=True, batch_size=84, early_stopping=False).fit(
            X, y
        )
        norm = model.net_.module_.head[0]
        assert not norm.affine
        features = torch.from_numpy(model.embed(X))
        normalized = norm.train()(features)
        torch.testing.assert_close(normalized.mean(0), torch.zeros(256), atol=1e-5, rtol=0)

    def test_batch_norm_head_takes_batches_of_one(self, target):
        model = quick(architecture__batch_norm_head=True, batch_size=1, max_epochs=1).fit(*target)
        assert np.isfinite(model.predict_proba(target[0])).all()

    def test_warm_start_goes_on_and_keeps_auxiliary_classes(self, target, auxiliary):
        X_aux, y_aux = auxiliary
        model = quick(warm_start=True, auxiliary__neighbors=NEIGHBORS)
        model.fit(*target, X_aux=X_aux, y_aux=y_aux)
        model.fit(*target, X_aux=X_aux, y_aux=y_aux)
        assert [row["epoch"] for row in model.history_] == list(range(1, 9))
        keep = y_aux != "oak"
        with pytest.raises(ValueError, match=r"\['lynx', 'oak', 'wolf'\]; y_aux has"):
            model.fit(*target, X_aux=X_aux[keep], y_aux=y_aux[keep])
        synthesized = quick(warm_start=True, auxiliary="synthesize").fit(*target)
        assert len(synthesized.fit(*target).history_) == 8
        keep = target[1] != "eel"
        with pytest.raises(ValueError, match=r"no rows of \['eel'\]"):
            synthesized.fit(target[0][keep], target[1][keep])

    def test_warm_start_takes_over_changed_parameters(self, target, auxiliary):
        extra = {"X_aux": auxiliary[0], "y_aux": auxiliary[1]}
        model = quick(warm_start=True).fit(*target, **extra)
        model.set_params(silencing=1.0, logit_adjustment=0.0, prior="train").fit(*target, **extra)
        loss = model.net_.criterion_.loss
        assert (loss.silencing, loss.tau) == (1.0, 0.0)
        share = np.array([60, 20, 4]) / 84
        log_prior = model.net_.criterion_.log_prior.exp().numpy()
        np.testing.assert_allclose(log_prior, share, atol=0.02)  # less the rows held out
        # Predictions at tau 0 are those of plain logits at the class shares of training.
        logits = model._outputs(target[0])[:, :3]
        np.testing.assert_allclose(
            model.predict_proba(target[0]), softmax(logits, axis=1), rtol=1e-5
        )

    def test_baseline_without_enhancers(self, target, auxiliary):
        X, y = target
        model = quick(
            logit_adjustment=0.5, auxiliary__neighbors=NEIGHBORS, lr=0.01, class_weight="balanced"
        )
        baseline = model.without_enhancers()
        assert baseline.lr == 0.01
        assert model.auxiliary.neighbors == NEIGHBORS
        baseline.fit(X, y, X_aux=auxiliary[0], y_aux=auxiliary[1])
        expected = quick(lr=0.01, training__feature_mixup=0.0).fit(X, y)
        np.testing.assert_array_equal(baseline.predict_proba(X), expected.predict_proba(X))

    def test_the_baseline_keeps_what_routing_was_asked_for(self):
        with sklearn.config_context(enable_metadata_routing=True):
            model = quick().set_fit_request(X_aux=True, y_aux=True)
            requests = model.without_enhancers().get_metadata_routing().fit.requests
        assert requests["X_aux"] is True
        assert requests["y_aux"] is True

    def test_same_seed_gives_the_same_bits(self, target, auxiliary):
        def fitted(seed):
            model = quick(random_state=seed, auxiliary__max_samples=5, dropout=0.2)
            model.fit(*target, X_aux=auxiliary[0], y_aux=auxiliary[1])
            return model.predict_proba(target[0])

        np.testing.assert_array_equal(fitted(1), fitted(1))
        assert not np.array_equal(fitted(1), fitted(2))

    def test_round_trip_through_pickle(self, target, auxiliary):
        X, y = target
        model = quick(auxiliary__neighbors=NEIGHBORS, training__head_warmup_epochs=1, prior="train")
        model.fit(X, y, X_aux=auxiliary[0], y_aux=auxiliary[1])
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        assert again.neighbors_ == model.neighbors_

    def test_divergence_is_an_error(self, target):
        with pytest.raises(NonFiniteLossError):
            quick(lr=1e30, training__optimizer="sgd").fit(*target)


def as_frame(values):
    return pd.DataFrame(values, columns=["a", "b", "c"])


class TestMachinery:
    """Auxiliary data as long as X, which cross-validation would slice."""

    @pytest.fixture
    def equally_long(self):
        X, y = draw({"cat": 30, "dog": 20, "eel": 10})
        return X, y, *draw({"lynx": 20, "wolf": 20, "oak": 20}, seed=1)

    @pytest.mark.parametrize("container", [np.asarray, as_frame])
    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_every_fold_sees_all_auxiliary_rows(self, equally_long, container, n_jobs):
        X, y, X_aux, y_aux = equally_long
        result = cross_validate(
            quick(auxiliary__max_samples=20, batch_size=1000, auxiliary__neighbors=NEIGHBORS),
            container(X),
            y,
            cv=3,
            params={"X_aux": Whole(container(X_aux)), "y_aux": Whole(y_aux)},
            return_estimator=True,
            n_jobs=n_jobs,
            error_score="raise",
        )
        for model in result["estimator"]:
            shares = model.net_.criterion_.loss.log_share.exp().numpy()
            np.testing.assert_allclose(100 * shares[3:], [20, 20, 20], rtol=1e-5)

    def test_sliced_auxiliary_rows_are_refused(self, equally_long):
        X, y, X_aux, y_aux = equally_long
        for params, name in (
            ({"X_aux": X_aux, "y_aux": y_aux}, "X_aux"),
            ({"X_aux": Whole(X_aux), "y_aux": y_aux}, "y_aux"),
            ({"X_aux": X_aux, "y_aux": Whole(y_aux)}, "X_aux"),
        ):
            with pytest.raises(ValueError, match=rf"{name}=ltlearn\.Whole\({name}\)"):
                cross_validate(quick(), X, y, cv=3, params=params, error_score="raise")

    @pytest.mark.parametrize("container", [np.asarray, as_frame])
    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_pipeline_in_a_search_transforms_auxiliary_and_validation_rows(
        self, equally_long, container, n_jobs
    ):
        X, y, X_aux, y_aux = equally_long
        X_val, y_val = draw({"cat": 20, "dog": 20, "eel": 20}, seed=2)
        names = ["X_aux", "y_aux", "X_val", "y_val"]
        contents = [container(X_aux), y_aux, container(X_val), y_val]
        arguments = dict(zip(names, map(Whole, contents), strict=True))
        with sklearn.config_context(enable_metadata_routing=True):
            model = quick().set_fit_request(**dict.fromkeys(names, True))
            pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_aux", "X_val"])
            search = GridSearchCV(
                pipeline, {"granularclassifier__silencing": [0.1, 1.0]}, cv=3, n_jobs=n_jobs
            )
            search.fit(container(X), y, **arguments)
        scaler = StandardScaler().fit(X)
        expected = quick(silencing=search.best_params_["granularclassifier__silencing"]).fit(
            scaler.transform(X),
            y,
            X_aux=Whole(scaler.transform(X_aux)),
            y_aux=Whole(y_aux),
            X_val=Whole(scaler.transform(X_val)),
            y_val=Whole(y_val),
        )
        np.testing.assert_allclose(
            search.predict_proba(container(X)),
            expected.predict_proba(scaler.transform(X)),
            rtol=1e-4,
        )
