"""Parts of ELTA as published: the head for squared error, anchors by density."""

from unittest import mock

import numpy as np
import pytest
import torch
from sklearn.base import clone

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.enhancers import TailMixup
from ltlearn.networks import timm_backbone
from ltlearn.weighting import label_density

RNG = np.random.default_rng(0)
X = RNG.normal(size=(160, 3))
RATINGS = 1 + 9 / (1 + np.exp(-X[:, 0] + 0.3 * RNG.normal(size=160)))


def quick(**params):
    model = ELTARegressor(backbone="mlp", loss="mse", max_epochs=4, lr=0.01, random_state=0)
    return model.set_params(**params)


class TestPublishedHead:
    SETTINGS = {"architecture__head": "sigmoid", "bins__score_range": (0, 10)}

    @pytest.mark.parametrize("backbone", ["mlp", "tabular"])
    @pytest.mark.parametrize("dropout", [0.0, 0.75])
    def test_the_head_by_hand(self, backbone, dropout):
        """Ten times the sigmoid of a linear function of the features; of members, their mean."""
        model = quick(backbone=backbone, dropout=dropout, **self.SETTINGS).fit(X, RATINGS)
        head = model.net_.module_.head
        linear = next(
            part
            for part in head.modules()
            if getattr(part, "weight", None) is not None and part is not head
        )
        weight, bias = (v.detach().numpy() for v in (linear.weight, linear.bias))
        predicted = model.predict(X)
        assert (predicted > 0).all()
        assert (predicted < 10).all()
        if backbone == "mlp":
            expected = 10 / (1 + np.exp(-(model.embed(X) @ weight[0] + bias[0])))
        else:
            raw = model._outputs(X.astype(np.float32), "features")
            raw = raw.reshape(len(X), len(bias), -1)
            z = np.einsum("nmd,md->nm", raw, weight[:, 0]) + bias[:, 0]
            expected = (10 / (1 + np.exp(-z))).mean(axis=1)
        np.testing.assert_allclose(predicted, expected, rtol=1e-4)

    def test_the_loss_is_that_of_scores_over_ten(self):
        """Up to the factor between scores over ten and standardized ones."""
        model = quick(
            **self.SETTINGS,
            lr=1e-12,
            max_epochs=1,
            batch_size=160,
            mixup_strength=0.0,
            early_stopping=False,
        ).fit(X, RATINGS)
        published = np.mean((model.predict(X) / 10 - RATINGS / 10) ** 2)
        factor = (10 / model.score_scale_) ** 2
        assert model.history_[0]["train_loss"] == pytest.approx(factor * published, rel=1e-4)

    def test_it_stays_in_the_range_of_the_scores_by_default(self):
        model = quick(architecture__head="sigmoid", max_epochs=20).fit(X, RATINGS)
        for rows in (X, 1e3 * X):
            predicted = model.predict(rows)
            assert predicted.min() >= RATINGS.min() - 1e-5
            assert predicted.max() <= RATINGS.max() + 1e-5
        assert np.ptp(predicted) > 0.9 * np.ptp(RATINGS)

    def test_features_are_mixed_before_the_sigmoid(self):
        """Mixing outputs instead would be right for a linear head alone."""
        assert quick(mixup_strength=0.5).fit(X, RATINGS).net_.criterion_.mixes_outputs
        model = quick(mixup_strength=0.5, **self.SETTINGS).fit(X, RATINGS)
        assert not model.net_.criterion_.mixes_outputs

    @pytest.mark.parametrize("dropout", [0.0, 0.2])
    def test_retrained_heads_and_warm_starts_keep_it(self, dropout):
        model = quick(
            **self.SETTINGS, warm_start=True, dropout=dropout, enhancers__head_retraining_epochs=2
        )
        model.fit(X, RATINGS)
        model.fit(X, RATINGS - 5)
        predicted = model.predict(100 * X)
        assert predicted.min() >= 0
        assert predicted.max() <= 10

    def test_equal_scores(self):
        model = quick(architecture__head="sigmoid").fit(X, np.full(160, 4.0))
        assert np.isfinite(model.predict(X)).all()

    def test_what_is_refused(self):
        for loss in ("emd", "quantile"):
            with pytest.raises(ValueError, match='head="sigmoid" is for loss="mse"'):
                quick(loss=loss, architecture__head="sigmoid").fit(X, RATINGS)
        with pytest.raises(ValueError, match='head="cosine" is for classes'):
            quick(architecture__head="cosine").fit(X, RATINGS)
        with pytest.raises(ValueError, match='head="sigmoid" is for scores'):
            GranularClassifier().set_params(architecture__head="sigmoid").fit(X, RATINGS > 5)


class TestAnchorsByDensity:
    def drawn(self, model, weight=None):
        """Log-weights of the anchors of the first batches, by score."""
        found, draw = {}, TailMixup.draw

        def record(mixup, scores, generator=None):
            log_weight = mixup.sampler(scores)
            found.update(zip(scores.flatten().tolist(), log_weight.flatten().tolist(), strict=True))
            return draw(mixup, scores, generator)

        with mock.patch.object(TailMixup, "draw", record):
            model.fit(X, RATINGS, weight)
        return np.array(list(found)), np.array(list(found.values()))

    @pytest.mark.parametrize("unit", ["std", 2.0])
    @pytest.mark.parametrize("power", [1.0, 10.0])
    def test_against_the_density_of_the_training_scores(self, unit, power):
        model = quick(
            mixup_strength=0.2,
            early_stopping=False,
            enhancers__sampler="density",
            enhancers__density_power=power,
            enhancers__temperature_unit=unit,
        )
        scores, log_weight = self.drawn(model)
        scale = 1 if unit == "std" else model.score_scale_ / unit
        ratings = np.sort(RATINGS)
        np.testing.assert_allclose(
            np.sort(scores),
            scale * (ratings - ratings.mean()) / ratings.std(),
            rtol=1e-4,
            atol=1e-5,
        )
        density = label_density(RATINGS, at=ratings)
        expected = -power * np.log(density)
        found = log_weight[np.argsort(scores)]
        np.testing.assert_allclose(
            found - found.mean(), expected - expected.mean(), atol=0.02 * power
        )

    def test_weights_of_rows_count_in_the_density(self):
        """Scores of heavy rows are not rare."""
        settings = {"mixup_strength": 0.2, "early_stopping": False, "enhancers__sampler": "density"}
        low = np.median(RATINGS) > RATINGS
        scores, log_weight = self.drawn(quick(**settings), np.where(low, 9.0, 1.0))
        order = np.argsort(scores)
        plain = self.drawn(quick(**settings))
        change = log_weight[order] - plain[1][np.argsort(plain[0])]
        assert change[:60].max() < change[-60:].min()

    def test_it_has_no_part_without_mixup(self):
        model = quick(mixup_strength=0.0).fit(X, RATINGS)
        other = clone(model).set_params(enhancers__sampler="density").fit(X, RATINGS)
        np.testing.assert_array_equal(model.predict(X), other.predict(X))
        mixed = clone(other).set_params(mixup_strength=0.3).fit(X, RATINGS)
        by_distance = clone(mixed).set_params(enhancers__sampler="distance").fit(X, RATINGS)
        assert not np.allclose(mixed.predict(X), by_distance.predict(X))


@pytest.mark.parametrize("loss", ["mse", "emd"])
def test_the_recipe_for_images_at_toy_size(loss):
    """A small Swin-V2 with one mixed pair a batch, alignment, and Adam at a rate of 1e-5.

    Adam moves a weight by little more than the rate at each of the first updates.
    """
    torch.manual_seed(0)
    sizes = {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
    name = "swinv2_tiny_window8_256"
    backbone = timm_backbone(name, pretrained=False, img_size=64, **sizes)
    photos = RNG.integers(256, size=(16, 80, 70, 3), dtype=np.uint8)
    model = ELTARegressor(
        backbone=backbone,
        augmentation="elta",
        loss=loss,
        dropout=0.0 if loss == "emd" else 0.75,
        lr=1e-5,
        batch_size=8,
        max_epochs=2,
        mixup_strength=1 / 8,
        alignment_weight=1.0,
        early_stopping=False,
        device="cpu",
        random_state=0,
    ).set_params(training__optimizer="adam", training__weight_decay=0.0)
    model.fit(photos, RATINGS[:16])
    fitted = dict(model.net_.module_.backbone.named_parameters())
    moved = [(fitted[name] - values).abs().max() for name, values in backbone.named_parameters()]
    assert 0 < max(moved) < 4 * 1.5e-5
    assert np.isfinite(model.predict(photos)).all()
