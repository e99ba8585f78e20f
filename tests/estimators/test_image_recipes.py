"""Losses of mixed views and growing weights against plain loops; the recipe as a whole."""

import math

import numpy as np
import pytest
import skorch
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

import ltlearn
from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.enhancers import two_views
from ltlearn.images import RECIPES, InputSpec, Preparation, Recipe
from ltlearn.objectives._image_views import MixedImages, TwoViews
from ltlearn.options import Architecture, Training

SIDE = 8


class TinyBody(nn.Module):
    """A convolution and a mean; a class, not an instance, so that fits start anew."""

    input_spec = InputSpec(size=(SIDE, SIDE), crop_pct=1.0)

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    def forward(self, images):
        return self.layers(images)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [30, 12, 6])
    X = rng.integers(0, 120, (len(y), 3, SIDE, SIDE)) + 60 * y[:, None, None, None]
    return X.astype(np.uint8), y


def classifier(**params):
    training = {"optimizer": "sgd", "weight_decay": 5e-3, **params.pop("training", {})}
    defaults = {"backbone": TinyBody, "max_epochs": 2, "batch_size": 16, "lr": 0.05}
    defaults |= {"random_state": 0, "early_stopping": False, "training": Training(**training)}
    return GranularClassifier(**{**defaults, **params})


class TestTwoViews:
    def test_views_are_a_mix_and_a_paste_of_the_same_partner(self):
        images = torch.rand(5, 3, 10, 12, dtype=torch.float64)
        mixed, pasted = two_views(images, generator=torch.Generator().manual_seed(1))
        partners = images[mixed.partners]
        expected = mixed.share * images + (1 - mixed.share) * partners
        torch.testing.assert_close(mixed.images, expected)
        from_partner = (pasted.images == partners) & (partners != images)
        kept = 1 - from_partner[mixed.partners != torch.arange(5)].double().mean()
        assert kept.item() == pytest.approx(pasted.share)
        # The rectangle is cut off at the border, so it keeps that much or more.
        assert pasted.share >= mixed.share - 0.15

    def test_the_share_is_uniform(self):
        source = torch.Generator().manual_seed(0)
        images = torch.rand(2, 3, 4, 4)
        shares = [two_views(images, generator=source)[0].share for _ in range(1500)]
        assert np.mean(shares) == pytest.approx(1 / 2, abs=0.03)
        assert np.var(shares) == pytest.approx(1 / 12, abs=0.006)


def step_of(model, pictures, views, weighted):
    """A training step in evaluation mode, and what a plain loop needs to do the same."""
    net, rows = model.net_, [0, 31, 45, 2]
    X = model._inputs.check(model, pictures[0][rows], reset=False)
    batch = next(iter(model._inputs.data(X).batches(torch.arange(4), 1)))[0]
    target = {"label": torch.tensor(pictures[1][rows])}
    if weighted:
        target["weight"] = torch.tensor([0.5, 2.0, 1.0, 3.0])
    objective, module = net.criterion_, net.module_.eval()
    objective.generator = torch.Generator().manual_seed(7)
    objective.views = views
    terms = objective.training_terms(module, batch, target)
    replayed = torch.Generator().manual_seed(7)
    return terms, module, batch, target, objective.loss, replayed


def mean_loss(loss, logits, target, rows):
    """Row by row: labels and weights of ``rows`` for the logits in their order."""
    total = 0.0
    for i, j in enumerate(rows):
        weight = target["weight"][j].item() if "weight" in target else 1.0
        total += weight * loss(logits[[i]], target["label"][[j]]).item()
    return total / len(rows)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_two_views_is_that_of_a_plain_loop(pictures, weighted):
    model = classifier(augmentation=Recipe(consistency_weight=4.0)).fit(*pictures)
    with torch.no_grad():
        terms, module, batch, target, loss, replayed = step_of(
            model, pictures, TwoViews(4.0), weighted
        )
        parts, projections = [], []
        for view in two_views(module.prepare(batch), generator=replayed):
            features = module.backbone(view.images)
            logits = module.head(features)
            own = mean_loss(loss, logits, target, range(4))
            other = mean_loss(loss, logits, target, view.partners.tolist())
            parts.append(view.share * own + (1 - view.share) * other)
            z = module.head.projector(features)
            projections.append((z, module.head.predictor(z)))
        (z1, p1), (z2, p2) = projections
        cosines = [
            (p * z).sum(1) / (p.norm(dim=1) * z.norm(dim=1)) for p, z in ((p1, z2), (p2, z1))
        ]
    disagreement = -sum(each.mean().item() for each in cosines) / 2
    assert terms["disagreement"].item() == pytest.approx(disagreement, rel=1e-4)
    expected = sum(parts) / 2 + 4.0 * disagreement
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-4)


def test_no_gradient_reaches_the_view_that_is_predicted(pictures):
    model = classifier(augmentation=Recipe(consistency_weight=1.0)).fit(*pictures)
    terms, module, *_ = step_of(model, pictures, TwoViews(1.0), False)
    terms["disagreement"].backward()
    # Without the predictor, p = z: the gradient of cosines with one side held is not zero, but
    # that of the predictor's weights must come from predictions alone, and the head gets none.
    assert module.head.predictor.weight.grad.abs().max() > 0
    assert all(values.grad is None for values in module.head.head.parameters())


def test_mixup_beside_the_images_as_they_are(pictures):
    model = classifier(augmentation=Recipe(mixup_alpha=10.0, clean_weight=0.7)).fit(*pictures)
    with torch.no_grad():
        views = MixedImages(10.0, 0.0, 0.7)
        terms, module, batch, target, loss, replayed = step_of(model, pictures, views, True)
        mixed, _, partners, share = ltlearn.enhancers.mix_images(
            module.prepare(batch),
            torch.arange(4),
            mixup_alpha=10.0,
            cutmix_alpha=0.0,
            generator=replayed,
        )
        clean = mean_loss(loss, module(batch), target, range(4))
        logits = module.head(module.backbone(mixed))
        mixed_part = share * mean_loss(loss, logits, target, range(4))
        mixed_part += (1 - share) * mean_loss(loss, logits, target, partners.tolist())
    assert terms["loss"].item() == pytest.approx(mixed_part + 0.7 * clean, rel=1e-4)


def test_cutout_sets_a_square_of_each_image_to_the_mean():
    spec = InputSpec(size=(16, 16))
    prepare = Preparation(spec, Recipe(cutout=0.5)).train()
    images = torch.full((400, 3, 16, 16), 255, dtype=torch.uint8)
    torch.manual_seed(0)
    is_cut = prepare(images)[:, 0] == 0
    assert (is_cut.flatten(1).sum(1) <= 64).all()
    assert is_cut.flatten(1).any(1).all()
    for one in is_cut[:20]:
        rows, columns = one.any(1), one.any(0)
        assert torch.equal(one, rows[:, None] & columns[None])
    # On average, of the 8 x 8 pixels around a uniform center, those inside the image.
    inside = [sum(0 <= center + d < 16 for d in range(-4, 4)) for center in range(16)]
    expected = np.mean(inside) ** 2
    assert is_cut.flatten(1).sum(1).double().mean().item() == pytest.approx(expected, rel=0.05)
    assert not (prepare.eval()(images)[:, 0] == 0).any()


class Weights(skorch.callbacks.Callback):
    """Keeps the weights that reach the loss, by epoch."""

    def __init__(self, seen):
        self.seen = seen

    def on_train_begin(self, net, **kwargs):
        loss, seen = net.criterion_.loss, self.seen

        def spy(module, arguments):
            seen.append((len(net.history), arguments[1].clone(), arguments[2].clone()))

        self.handle_ = loss.register_forward_pre_hook(spy)

    def on_train_end(self, net, **kwargs):
        self.handle_.remove()


@pytest.mark.parametrize("sampled", [False, True])
def test_class_weights_grow_with_the_epochs(pictures, sampled):
    seen, T = [], 4
    own = {0: 1.0, 1: 3.0, 2: 0.5}
    weights = np.linspace(0.5, 1.5, len(pictures[1])) if sampled else None
    model = classifier(
        max_epochs=T,
        batch_size=len(pictures[1]),
        class_weight=own,
        callbacks=[Weights(seen)],
        training={"reweighting_growth": 2.0},
    ).fit(*pictures, sample_weight=weights)
    full = model._trained_class_weights
    for epoch, label, weight in seen:
        share = (epoch / T) ** 2
        wanted = 1 + (full[label.numpy()] - 1) * share
        if sampled:  # every label has its rows' weights: compare what each class adds up to
            plain = weights / weights.mean()
            for k in range(3):
                total = plain[pictures[1] == k].sum() * (1 + (full[k] - 1) * share)
                assert weight[label == k].sum().item() == pytest.approx(total, rel=1e-5)
        else:
            np.testing.assert_allclose(weight.numpy(), wanted, rtol=1e-5)
    assert [epoch for epoch, *_ in seen] == [1, 2, 3, 4]


def test_weights_of_rare_scores_grow_too():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    y = np.exp(X[:, 0])

    def fitted(**params):
        training = Training(**params.pop("training", {}))
        params = {"backbone": "mlp", "loss": "mse", "max_epochs": 1, "random_state": 0, **params}
        model = ELTARegressor(**params, mixup_strength=0.3, early_stopping=False, training=training)
        return model.fit(X, y).predict(X)

    plain = fitted()
    full = fitted(reweighting="inverse")
    # The last epoch, here the only one, counts all of them.
    np.testing.assert_allclose(
        fitted(reweighting="inverse", training={"reweighting_growth": 2.0}), full, rtol=1e-6
    )
    late = fitted(reweighting="inverse", training={"reweighting_growth": 60.0}, max_epochs=3)
    # A power so high that the first two of three epochs are those of a plain fit.
    assert not np.allclose(late, fitted(reweighting="inverse", max_epochs=3))
    assert not np.allclose(late, fitted(max_epochs=3))
    assert not np.allclose(plain, full)


def test_projections_are_no_last_layer_to_hold_short(pictures):
    params = {"augmentation": Recipe(consistency_weight=1.0), "max_epochs": 1}
    model = classifier(**params, training={"head_max_norm": 1.0})
    with pytest.raises(ValueError, match="head_max_norm is for a head that ends in one linear"):
        clone(model).set_params(architecture=Architecture(head="cosine")).fit(*pictures)
    head = model.set_params(training__head_max_norm=1e-3).fit(*pictures).net_.module_.head
    assert head.head(torch.zeros(1, 6)).shape == (1, 3)
    lengths = {
        name: values.norm(dim=1).max()
        for name, values in head.named_parameters()
        if values.ndim == 2
    }
    short = [name for name, length in lengths.items() if length < 1.01e-3]
    assert len(short) == 1
    assert short[0].startswith("head.")


class TestWholeRecipe:
    def recipe(self, **params):
        return classifier(
            augmentation="glmc",
            class_weight="balanced",
            logit_adjustment=0.0,
            training={
                "lr_schedule": "cosine",
                "reweighting_growth": 2.0,
                "head_max_norm": 1.0,
                "sam_radius": 0.05,
                "weight_averaging": "ema",
            },
            **params,
        )

    def test_all_switches_together_are_reproducible_and_finite(self, pictures):
        before = torch.get_rng_state()
        one, two = (self.recipe().fit(*pictures) for _ in range(2))
        probabilities = one.predict_proba(pictures[0])
        np.testing.assert_array_equal(probabilities, two.predict_proba(pictures[0]))
        assert np.isfinite(probabilities).all()
        assert {"train_loss", "train_disagreement"} <= set(one.history_[0])
        assert all(-1 <= row["train_disagreement"] <= 1 for row in one.history_)
        assert torch.equal(torch.get_rng_state(), before)

    def test_files_of_it(self, pictures, tmp_path):
        X, y = pictures
        model = clone(self.recipe()).set_params(backbone="test_resnet", max_epochs=1)
        model.set_params(backbone_params={"pretrained": False})
        model.fit(X, y)
        ltlearn.save(model, tmp_path / "model.zip")
        loaded = ltlearn.load(tmp_path / "model.zip")
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))

    def test_a_search_turns_switches(self, pictures):
        grid = {
            "augmentation": [None, RECIPES["glmc"]],
            "training__sam_radius": [0.0, 0.05],
        }
        search = GridSearchCV(classifier(max_epochs=1), grid, cv=2).fit(*pictures)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"consistency_weight": -1.0}, "consistency_weight must be 0 or a positive number"),
        ({"cutout": math.nan}, "cutout must be 0 or a positive number"),
        ({"clean_weight": 1.0}, "clean_weight=1.0 goes with mixup_alpha or cutmix_alpha"),
        ({"clean_weight": 1.0, "mixup_alpha": 1.0, "consistency_weight": 1.0}, "clean_weight=1.0"),
    ],
)
def test_recipes_that_contradict_themselves(params, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**params)
