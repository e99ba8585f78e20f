"""Low-rank fine-tuning: what is computed, and that only it and the head learn."""

import copy
import pickle

import numpy as np
import pytest
import torch

import ltlearn
from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.networks import timm_backbone
from ltlearn.networks._low_rank import ADAPTED
from ltlearn.options import Architecture, Training

SMALL = {"pretrained": False, "img_size": 32}
THIN = {"down", "up"}


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    score = np.sort(rng.beta(1, 3, size=36))
    X = rng.integers(0, 100, size=(36, 3, 32, 32)) + (150 * score)[:, None, None, None]
    return X.astype(np.uint8), score


def backbone(rank=None, seed=0):
    torch.manual_seed(seed)
    return timm_backbone("test_vit", **SMALL, lora_rank=rank).eval()


def model_of(kind, module, **params):
    model = kind(
        backbone=module,
        max_epochs=2,
        batch_size=12,
        lr=0.01,
        early_stopping=False,
        device="cpu",
        random_state=0,
    )
    return model.set_params(**params)


def fitted(kind, pictures, module, **params):
    X, score = pictures
    y = score if kind is ELTARegressor else np.digitize(score, [0.1, 0.3])
    return model_of(kind, module, **params).fit(X, y)


def split(weights):
    """Those that are beside the model's own, and those."""
    thin = {name: values for name, values in weights.items() if name.split(".")[-1] in THIN}
    return thin, {name: values for name, values in weights.items() if name not in thin}


def test_it_starts_as_the_model_and_adds_a_product_of_matrices():
    plain, adapted = backbone(), backbone(rank=3)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(adapted(images), plain(images))

    thin, own = split(adapted.state_dict())
    assert len(thin) == 2 * len(ADAPTED) * len(plain.model.blocks)
    for name, values in thin.items():
        values.copy_(0.1 * torch.randn(values.shape, generator=torch.Generator().manual_seed(1)))
        assert 3 in values.shape, name
    merged = copy.deepcopy(plain)
    for name, values in merged.state_dict().items():
        stem = name.removesuffix(".weight")
        if f"{stem}.up" in thin:
            values += thin[f"{stem}.up"] @ thin[f"{stem}.down"]
        else:
            kept = own[name if name in own else name.replace(".bias", ".linear.bias")]
            torch.testing.assert_close(values, kept)
    torch.testing.assert_close(adapted(images), merged(images), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(adapted(images), plain(images), rtol=1e-2)


@pytest.mark.parametrize("kind", [ELTARegressor, GranularClassifier])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"training": Training(optimizer="sgd", weight_decay=0.1, layer_decay=0.7)},
        {"training": Training(sam_radius=0.05, weight_averaging="ema", max_grad_norm=1.0)},
        {"training": Training(accumulation_steps=2)},
    ],
    ids=["adamw", "layer decay", "sam and ema", "accumulation"],
)
def test_only_the_products_and_the_head_learn(kind, params, pictures):
    module = backbone(rank=2)
    thin, own = split(copy.deepcopy(module.state_dict()))
    model = fitted(kind, pictures, module, **params)
    thin_now, own_now = split(model.net_.module_.backbone.state_dict())
    for name, values in own.items():
        assert torch.equal(own_now[name], values), name
    for name, values in thin.items():
        assert not torch.equal(thin_now[name], values), name
    assert np.isfinite(model.predict(pictures[0])).all()


@pytest.mark.parametrize(
    ("option", "learns_at_last"),
    [({"freeze_backbone": True}, False), ({"head_warmup_epochs": 1}, True)],
)
def test_what_is_frozen_stays(option, learns_at_last, pictures):
    module = backbone(rank=2)
    weights = copy.deepcopy(module.state_dict())
    model = fitted(GranularClassifier, pictures, module, training=Training(**option))
    now = model.net_.module_.backbone.state_dict()
    changed = {name for name, values in weights.items() if not torch.equal(now[name], values)}
    assert {name.split(".")[-1] for name in changed} == (THIN if learns_at_last else set())


def test_the_published_recipe_in_files_and_copies(pictures, tmp_path):
    """By name, with a head of cosines from class means and balanced cross-entropy."""
    params = {"backbone_params": {**SMALL, "lora_rank": 2}}
    params["architecture"] = Architecture(head="cosine")
    model = fitted(GranularClassifier, pictures, "test_vit", **params)
    proba = model.predict_proba(pictures[0])
    ltlearn.save(model, tmp_path / "model.zip")
    for copied in (ltlearn.load(tmp_path / "model.zip"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copied.predict_proba(pictures[0]), proba)
    first = fitted(GranularClassifier, pictures, "test_vit", **params, checkpoint=tmp_path / "fit")
    again = fitted(GranularClassifier, pictures, "test_vit", **params, checkpoint=tmp_path / "fit")
    np.testing.assert_array_equal(first.predict_proba(pictures[0]), proba)
    np.testing.assert_array_equal(again.predict_proba(pictures[0]), proba)


@pytest.mark.parametrize("rank", [0, -1, 1.5, True, "8", 10**9])
def test_what_is_no_rank(rank):
    with pytest.raises(ValueError, match="lora_rank"):
        backbone(rank=rank)


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="lora_rank=4 is for vision transformers"):
        timm_backbone("test_resnet", **SMALL, lora_rank=4)
