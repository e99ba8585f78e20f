"""Checkpoints that would run code when they are unpickled: none of it runs, by any way in."""

import collections
import io
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import timm
import torch

from ltlearn import BackboneFeatures, ELTARegressor
from ltlearn.exceptions import MissingWeightsError
from ltlearn.networks import timm_backbone
from ltlearn.networks._weights import read_checkpoint


class Runs:
    """Leaves a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def hostile_state(mark):
    return collections.OrderedDict(weight=torch.zeros(2), more=Runs(mark))


def plain_pickle(path, mark):
    path.write_bytes(pickle.dumps({"state_dict": Runs(mark)}))


def zipped(path, mark):
    torch.save(hostile_state(mark), path)


def legacy(path, mark):
    torch.save(hostile_state(mark), path, _use_new_zipfile_serialization=False)


def under_a_key(path, mark):
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "args": Runs(mark)}, path)


def tar(path, mark):
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            content = pickle.dumps(Runs(mark) if name == "pickle" else 0)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def torchscript(path, mark):
    """What marks an archive as a TorchScript program is this record."""
    torch.save(hostile_state(mark), path)
    with zipfile.ZipFile(path, "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{folder}/constants.pkl", pickle.dumps(Runs(mark)))


def called_safetensors(path, mark):
    plain_pickle(path, mark)


def joblib_dump(path, mark):
    import joblib

    joblib.dump(Runs(mark), path)


ATTACKS = [
    *(plain_pickle, zipped, legacy, under_a_key, tar, torchscript, called_safetensors, joblib_dump)
]


@pytest.fixture(params=ATTACKS, ids=lambda attack: attack.__name__)
def hostile(request, tmp_path):
    """A hostile file, and what it would leave."""
    suffix = "safetensors" if request.param is called_safetensors else "pth"
    path, mark = tmp_path / f"weights.{suffix}", tmp_path / "ran"
    request.param(path, mark)
    return path, mark


def test_the_trap_works(tmp_path):
    path, mark = tmp_path / "weights.pth", tmp_path / "ran"
    zipped(path, mark)
    torch.load(path, weights_only=False)
    assert mark.exists()


def test_read_checkpoint(hostile):
    path, mark = hostile
    with pytest.raises(MissingWeightsError, match=r"weights\.\w+ cannot be read as a checkpoint"):
        read_checkpoint(path)
    assert not mark.exists()


@pytest.mark.parametrize(("attack", "message"), [(torchscript, "TorchScript"), (tar, "tar format")])
def test_formats_that_torch_once_ran_are_not_handed_to_it(attack, message, tmp_path, monkeypatch):
    monkeypatch.delattr(torch, "load")
    attack(tmp_path / "weights.pth", tmp_path / "ran")
    with pytest.raises(MissingWeightsError, match=message):
        read_checkpoint(tmp_path / "weights.pth")


IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
WAYS_IN = {
    "timm_backbone": lambda path: timm_backbone("resnet10t", checkpoint_path=path),
    "BackboneFeatures": lambda path: BackboneFeatures(
        backbone="resnet10t", backbone_params={"checkpoint_path": path}, image_size=32
    ).fit(IMAGES),
    "ELTARegressor": lambda path: ELTARegressor(
        backbone="resnet10t", backbone_params={"checkpoint_path": path, "img_size": 32}
    ).fit(IMAGES, [1.0, 2.0, 3.0, 4.0]),
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_ways_in(way, hostile):
    path, mark = hostile
    with pytest.raises(MissingWeightsError, match="cannot be read as a checkpoint"):
        WAYS_IN[way](str(path))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["pretrained_cfg", "pretrained_cfg_overlay"])
def test_timm_is_not_told_to_load_a_file_itself(name, tmp_path):
    path, mark = tmp_path / "weights.pth", tmp_path / "ran"
    zipped(path, mark)
    for pretrained in (True, False):
        with pytest.raises(ValueError, match=f"leave {name} out"):
            timm_backbone("resnet10t", pretrained=pretrained, **{name: {"file": str(path)}})
    assert not mark.exists()


def test_timms_own_reader_is_never_asked(tmp_path, monkeypatch):
    """Which of its versions run code does not matter then."""

    def refuse(*args, **kwargs):
        raise AssertionError("timm reads a file")

    for name in ("load_state_dict", "load_checkpoint"):
        monkeypatch.setattr(f"timm.models._helpers.{name}", refuse)
        monkeypatch.setattr(f"timm.models.{name}", refuse)
        monkeypatch.setattr(f"timm.models._builder.{name}", refuse, raising=False)
    model = timm.create_model("resnet10t")
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    backbone = timm_backbone("resnet10t", checkpoint_path=tmp_path / "weights.pth")
    expected = model.state_dict()
    for name, values in backbone.model.state_dict().items():
        assert torch.equal(values, expected[name])


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("key", [None, "state_dict", "model", "state_dict_ema", "model_ema"])
def test_honest_files_are_read_as_timm_reads_them(key, new_format, tmp_path):
    state = {"module.a": torch.arange(3.0), "_orig_mod.b": torch.ones(2), "c": torch.ones(1)}
    content = state if key is None else {key: state, "epoch": 3}
    if key in ("state_dict_ema", "model_ema"):
        content["state_dict"] = {"a": torch.zeros(1)}
    path = tmp_path / "weights.pth"
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    ours, theirs = read_checkpoint(path), timm.models.load_state_dict(str(path))
    assert list(ours) == list(theirs) == ["a", "b", "c"]
    for name in ours:
        assert torch.equal(ours[name], theirs[name])
