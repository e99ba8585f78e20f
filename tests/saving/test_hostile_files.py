"""Files that are damaged or made to do harm: refused by an error that says why; nothing runs."""

import copy
import json
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save as as_safetensors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import ltlearn
from ltlearn import ELTARegressor
from ltlearn.exceptions import SavedFileError, SavedFileWarning
from ltlearn.persistence._archive import DESCRIPTION, TENSORS, read_archive, write_archive

X = np.random.default_rng(0).normal(size=(40, 3))


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model"
    model = ELTARegressor(hidden_layer_sizes=(4, 4), max_epochs=1, random_state=0)
    ltlearn.save(make_pipeline(StandardScaler(), model).fit(X, X[:, 0]), path)
    return path


@pytest.fixture
def parts(model_file):
    description, tensors = read_archive(model_file)
    return copy.deepcopy(description), tensors


class Runs:
    """Leaves a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def archive_of(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)


def loading_fails(path, match):
    with pytest.raises(SavedFileError, match=match):
        ltlearn.load(path)


def rewritten(parts, change, folder):
    """A file like the parts after ``change`` has been at the JSON of the pipeline and tensors."""
    description, tensors = parts
    change(description["estimator"], tensors)
    write_archive(folder / "changed", description, tensors)
    return folder / "changed"


def steps(node):
    return node["state"]["parameters"]["dict"][_index(node, "steps")][1]


def _index(node, name):
    return [key for key, _ in node["state"]["parameters"]["dict"]].index(name)


def learned(node):
    return dict(node["state"]["learned"]["dict"])


def step(node, number):
    return steps(node)[number]["tuple"][1]


def set_learned(node, name, value):
    for item in node["state"]["learned"]["dict"]:
        if item[0] == name:
            item[1] = value
            return
    node["state"]["learned"]["dict"].append([name, value])


# Pickles and archives


def test_pickles_under_any_name(tmp_path, parts):
    mark = tmp_path / "ran"
    bomb = pickle.dumps(Runs(mark))
    assert pickle.loads(bomb) is None
    assert mark.exists()  # the trap works
    mark.rmdir()
    path = tmp_path / "file"
    path.write_bytes(bomb)
    loading_fails(path, "no file that ltlearn saved")
    torch.save({"a": Runs(mark)}, path)
    loading_fails(path, "no file that ltlearn saved")
    archive_of(path, [(DESCRIPTION, json.dumps(parts[0])), (TENSORS, bomb)])
    loading_fails(path, "cannot be read")
    archive_of(path, [(DESCRIPTION, bomb), (TENSORS, as_safetensors(parts[1]))])
    loading_fails(path, "no valid JSON")
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["../out", "/tmp/out", "data.pkl", "a/../../out", DESCRIPTION.upper(), "x" * 60_000]
)
def test_other_members(name, tmp_path, model_file):
    with zipfile.ZipFile(model_file) as archive:
        members = [(n, archive.read(n)) for n in (DESCRIPTION, TENSORS)]
    archive_of(tmp_path / "file", [*members, (name, b"")])
    loading_fails(tmp_path / "file", "it holds")
    archive_of(tmp_path / "file", [members[0], (name, members[1][1])])
    loading_fails(tmp_path / "file", "it holds")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_twice_or_none(tmp_path):
    archive_of(tmp_path / "file", [(DESCRIPTION, "{}"), (DESCRIPTION, "{}")])
    loading_fails(tmp_path / "file", "it holds")
    archive_of(tmp_path / "file", [])
    loading_fails(tmp_path / "file", "holds nothing")


def test_compressed_members_are_not_expanded(tmp_path):
    zeros = bytes(200 * 2**20)
    archive_of(
        tmp_path / "bomb", [(DESCRIPTION, b" " * 2**20), (TENSORS, zeros)], zipfile.ZIP_DEFLATED
    )
    del zeros
    assert (tmp_path / "bomb").stat().st_size < 2**20
    tracemalloc.start()
    loading_fails(tmp_path / "bomb", "compressed")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_sizes_that_lie(tmp_path, model_file):
    content = bytearray(model_file.read_bytes())
    with zipfile.ZipFile(model_file) as archive:
        entry = archive.start_dir
    assert content[entry : entry + 4] == b"PK\x01\x02"
    struct.pack_into("<II", content, entry + 20, 2**31, 2**31)
    (tmp_path / "file").write_bytes(content)
    loading_fails(tmp_path / "file", "sizes cannot be right|damaged")


@pytest.mark.parametrize("size", [2**62, 2**40, 99 * 2**20])
def test_huge_headers_of_safetensors(size, tmp_path, parts):
    header = struct.pack("<Q", size) + b"{}"
    archive_of(tmp_path / "file", [(DESCRIPTION, json.dumps(parts[0])), (TENSORS, header)])
    loading_fails(tmp_path / "file", "cannot be read")


def test_headers_that_point_elsewhere(tmp_path, parts):
    for offsets in ([0, 2**40], [-8, 0], [8, 0]):
        header = json.dumps(
            {"t0": {"dtype": "F64", "shape": [1], "data_offsets": offsets}}
        ).encode()
        content = struct.pack("<Q", len(header)) + header + bytes(8)
        archive_of(tmp_path / "file", [(DESCRIPTION, json.dumps(parts[0])), (TENSORS, content)])
        loading_fails(tmp_path / "file", "cannot be read")


def test_truncated_anywhere(tmp_path, model_file):
    content = model_file.read_bytes()
    for length in np.linspace(0, len(content) - 1, 60).astype(int):
        (tmp_path / "file").write_bytes(content[:length])
        loading_fails(tmp_path / "file", "damaged|no file that ltlearn saved")


def test_flipped_bytes_never_give_another_model(tmp_path, model_file):
    """The archive has checksums of both members; only bytes that mean nothing can change."""
    content = model_file.read_bytes()
    expected = ltlearn.load(model_file).predict(X)
    generator = np.random.default_rng(0)
    for position in generator.integers(0, len(content), 60):
        changed = bytearray(content)
        changed[position] ^= 1 << generator.integers(8)
        (tmp_path / "file").write_bytes(changed)
        try:
            loaded = ltlearn.load(tmp_path / "file")
        except SavedFileError:
            continue
        np.testing.assert_array_equal(loaded.predict(X), expected)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        ltlearn.load(tmp_path / "none")
    with pytest.raises(OSError, match=r"directory|denied"):
        ltlearn.load(tmp_path)


# JSON


SCALER = {
    "object": "StandardScaler",
    "state": {"parameters": {"dict": []}, "learned": {"dict": []}},
}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[]",
        "NaN",
        '{"estimator": NaN}',
        '{"estimator": ' + "9" * 10_000 + "}",
        "\ud800".encode("utf-16-le", "surrogatepass"),
    ],
    ids=["lists", "dicts", "list", "constant", "inner constant", "digits", "no text"],
)
def test_json_that_is_none(text, tmp_path):
    archive_of(tmp_path / "file", [(DESCRIPTION, text), (TENSORS, as_safetensors({}))])
    loading_fails(tmp_path / "file", "damaged|does not say which version")


def test_values_nested_deeply(tmp_path, parts):
    description, tensors = parts
    node = None
    for _ in range(400):
        node = [node]
    write_archive(tmp_path / "file", {**description, "estimator": node}, tensors)
    loading_fails(tmp_path / "file", "nested too deeply")


@pytest.mark.parametrize(
    "node",
    [
        {"object": "os.system", "state": {}},
        {"object": "builtins.eval", "state": {}},
        {"object": "sklearn.linear_model.Ridge", "state": {}},
        {"object": "KNeighborsRegressor", "state": SCALER["state"]},
        {"object": "SavedNet", "state": {}},
        {"object": ["Ridge"], "state": {}},
        {"function": "os.system"},
        {"function": "numpy.load"},
        {"type": "eval"},
        {"numpy dtype": "O8; import os"},
        {"torch type": "load"},
        {"device": "meta; rm"},
        {"texts": ["a"], "shape": [1], "dtype": "<U999999999999"},
        {"texts": ["a"], "shape": [1 << 40], "dtype": "<U1"},
        {"objects": [], "shape": [-1]},
        {"scalar": "<U5", "value": 1},
        {"scalar": "|i1", "value": 10**6},
        {"array": "t99999"},
        {"same": 77},
        {"random state": [1, 2], "keys": None},
        {"random state": [1, 0, 0.0], "keys": None},
        {"random state": [1, 0, 0.0], "keys": {"array": "t0"}},
        {"slice": [1, 2]},
        {"dict": [[1]]},
        {"dict": [[[], 1]]},
        {"unknown": 1},
        {"tuple": [], "float": "nan"},
        "text",
        3,
        None,
        [],
    ],
    ids=lambda node: json.dumps(node)[:40],
)  # fmt: skip
def test_values_that_no_writer_makes(node, tmp_path, parts):
    description, tensors = parts
    write_archive(tmp_path / "file", {**description, "estimator": node}, tensors)
    with pytest.raises(SavedFileError):
        ltlearn.load(tmp_path / "file")
    changed = rewritten(parts, lambda e, t: set_learned(step(e, 0), "mean_", node), tmp_path)
    if node is not None:
        loading_fails(changed, "mean_")


# Changes of the parts of a saved pipeline, and what the error says.
ATTACKS = {
    "unknown attribute": (
        lambda e, t: set_learned(step(e, 0), "predict", 1),
        "attribute 'predict'",
    ),
    "dunder attribute": (
        lambda e, t: set_learned(step(e, 0), "__class__", "StandardScaler"),
        "attribute '__class__'",
    ),
    "floats as text": (lambda e, t: set_learned(step(e, 0), "mean_", "abc"), "mean_ must be"),
    "array of another type": (
        lambda e, t: t.update({learned(step(e, 0))["mean_"]["array"]: torch.arange(3)}),
        "mean_ must be an array of floats",
    ),
    "array of another shape": (
        lambda e, t: t.update({learned(step(e, 0))["mean_"]["array"]: torch.ones(3, 1, 1)}),
        "mean_ must be an array of floats of 1 dim",
    ),
    "parameter of another kind": (
        lambda e, t: step(e, 0)["state"]["parameters"]["dict"].append(["with_std", "yes"]),
        "with_std",
    ),
    "unknown parameter": (
        lambda e, t: step(e, 0)["state"]["parameters"]["dict"].append(["system", "ls"]),
        "no parameter 'system'",
    ),
    "object in place of an array": (
        lambda e, t: set_learned(step(e, 0), "mean_", copy.deepcopy(SCALER)),
        "mean_ must be",
    ),
    "net of another class": (
        lambda e, t: set_learned(step(e, 1), "net_", copy.deepcopy(SCALER)),
        "net_ must be",
    ),
    "lost attribute": (
        lambda e, t: step(e, 1)["state"]["learned"]["dict"].__setitem__(
            slice(None), [i for i in step(e, 1)["state"]["learned"]["dict"] if i[0] != "_defaults"]
        ),
        "cannot be put together",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attributes_and_parameters(name, parts, tmp_path):
    change, message = ATTACKS[name]
    loading_fails(rewritten(parts, change, tmp_path), message)


def net_of(estimator):
    return learned(step(estimator, 1))["net_"]["state"]


def weights_of(estimator):
    return net_of(estimator)["weights"]["dict"]


def change_weights(make):
    def change(estimator, tensors):
        name = weights_of(estimator)[-1][1]["tensor"]
        tensors[name] = make(tensors[name])

    return change


def set_net(path, value):
    def change(estimator, tensors):
        node = net_of(estimator)
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


def large_first_layer(estimator, tensors):
    net_of(estimator)["build_backbone"]["state"]["hidden_layer_sizes"] = {"tuple": [10**6, 10**6]}


NET_ATTACKS = {
    "shape": (change_weights(lambda w: w.flatten()[:-1].clone()), "of the file are of type"),
    "type": (change_weights(lambda w: w.double()), "of the file are of type torch.float64"),
    "not finite": (change_weights(lambda w: torch.full_like(w, torch.nan)), "not finite"),
    "name": (lambda e, t: weights_of(e)[0].__setitem__(0, "backdoor"), "are not those of Network"),
    "huge layers": (large_first_layer, "larger than its weights"),
    "huge layer": (
        set_net(["build_backbone", "state", "hidden_layer_sizes"], {"tuple": [4, 10**12]}),
        "larger than its weights",
    ),
    "huge ensemble": (
        set_net(["build_backbone", "state", "n_members"], 10**9),
        "larger than its weights",
    ),
    "huge head": (set_net(["build_head", "state", "n_outputs"], 10**12), "larger than its weights"),
    "negative layer": (
        set_net(["build_backbone", "state", "hidden_layer_sizes"], {"tuple": [-4, 4]}),
        "hidden_layer_sizes must be",
    ),
    "own backbone": (
        set_net(
            ["build_backbone"],
            {"object": "GivenBackbone", "state": {
                "backbone": {"object": "OwnBackbone", "state": {"name": "os.system"}}}},
        ),
        "backbone of your own, os.system",
    ),
    "model of the hub": (
        set_net(
            ["build_backbone"],
            {"object": "NamedBackbone", "state": {
                "name": "hf-hub:somebody/something", "params": {"dict": []}}},
        ),
        "no model 'hf-hub:somebody/something'",
    ),
    "weights from elsewhere": (
        set_net(
            ["build_backbone"],
            {"object": "NamedBackbone", "state": {
                "name": "resnet10t", "params": {"dict": [["checkpoint_path", "/etc/passwd"]]}}},
        ),
        "cannot be put together",
    ),
    "optimizer": (
        set_net(["optimizer"], {"dict": [[0, {"dict": [["exp_avg", {"tensor": "t0"}]]}]]}),
        "state of the optimizer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NET_ATTACKS)
def test_networks(name, parts, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("ltlearn.networks._timm.read_checkpoint", read.append)
    change, message = NET_ATTACKS[name]
    loading_fails(rewritten(parts, change, tmp_path), message)
    assert not read


def test_encoders_whose_codes_lie_outside(tmp_path):
    """Their codes become positions in memory."""
    encoder = OneHotEncoder(max_categories=2).fit([["a"], ["b"], ["b"], ["c"]])
    ltlearn.save(encoder, tmp_path / "file")
    description, tensors = read_archive(tmp_path / "file")
    node = description["estimator"]
    mapping = learned(node)["_default_to_infrequent_mappings"][0]["array"]
    for values in ([0, 1, 10**6], [0, -5, 1], [0, 1]):
        changed = {**tensors, mapping: torch.tensor(values)}
        write_archive(tmp_path / "changed", description, changed)
        loading_fails(tmp_path / "changed", "OneHotEncoder.*cannot be put together")
    set_learned(node, "_n_features_outs", [1])
    write_archive(tmp_path / "changed", description, tensors)
    loading_fails(tmp_path / "changed", "OneHotEncoder.*cannot be put together")


def test_random_changes_of_the_description_end_in_a_model_or_one_kind_of_error(parts, tmp_path):
    description, tensors = parts
    generator = np.random.default_rng(0)
    replacements = [None, -1, 10**9, "x", [], {}, {"dict": []}, True, {"array": "t0"}, 0.5]
    for _ in range(150):
        changed = copy.deepcopy(description)
        holder, key = random_place(changed["estimator"], generator)
        holder[key] = replacements[generator.integers(len(replacements))]
        write_archive(tmp_path / "file", changed, tensors)
        try:
            loaded = ltlearn.load(tmp_path / "file")
        except SavedFileError:
            continue
        assert hasattr(loaded, "predict") or hasattr(loaded, "transform")


def random_place(node, generator):
    places = []

    def collect(value):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            places.append((value, key))
            if isinstance(inner, dict | list):
                collect(inner)

    collect(node)
    return places[generator.integers(len(places))]


# Versions


def described(parts, tmp_path, **changes):
    write_archive(tmp_path / "file", {**parts[0], **changes}, parts[1])
    return tmp_path / "file"


def test_newer_formats_and_other_major_versions(parts, tmp_path):
    loading_fails(
        described(parts, tmp_path, format=2, ltlearn="0.9.0"), "ltlearn 0.9.0 in format 2"
    )
    major = int(ltlearn.__version__.split(".")[0])
    loading_fails(described(parts, tmp_path, ltlearn=f"{major + 1}.0.0"), "other major|own major")
    for changes in ({"format": "1"}, {"format": None}, {"ltlearn": 1}, {"packages": []}):
        loading_fails(described(parts, tmp_path, **changes), "does not say which version")


def test_another_scikit_learn_is_a_warning(parts, tmp_path):
    packages = {**parts[0]["packages"], "scikit-learn": "1.2.0"}
    with pytest.warns(SavedFileWarning, match=r"scikit-learn 1\.2\.0"):
        ltlearn.load(described(parts, tmp_path, packages=packages))


def test_parameters_that_a_file_lacks_are_at_their_defaults(parts, tmp_path):
    """As in files of older versions."""

    def drop(estimator, tensors):
        params = step(estimator, 1)["state"]["parameters"]["dict"]
        params[:] = [item for item in params if item[0] != "tail"]

    assert ltlearn.load(rewritten(parts, drop, tmp_path))[-1].tail == 0.0
