"""Large arrays of any number of dimensions train and predict from where they are.

The oracle is the same fit to the same rows held in memory; guards count how many rows anything asks
for at once.
"""

import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn

from ltlearn import BackboneFeatures, ELTARegressor, GranularClassifier, Whole
from ltlearn.data import _prepared, _views
from ltlearn.data._tensors import TensorData
from ltlearn.data._views import JoinedRows, RowView, is_mapped
from ltlearn.datasets import _mapping
from ltlearn.images import InputSpec, Recipe
from ltlearn.options import Architecture, Auxiliary, Enhancers, Training

rng = np.random.default_rng(0)
SCORES = rng.beta(1, 4, size=120)
CLASSES = np.where(SCORES > 0.3, "bright", "dark")
NOISE = rng.normal(scale=10, size=(120, 8, 6, 3))
PHOTOS = np.clip(255 * SCORES[:, None, None, None] + NOISE, 0, 255).astype(np.uint8)
GREY = PHOTOS[..., 0] / 255
CHANNELS_FIRST = np.moveaxis(PHOTOS, 3, 1).copy()
SOME_ZERO = 1.0 + np.arange(120) % 3 * (np.arange(120) % 17 > 0) - (np.arange(120) % 17 == 0)

# Rows that may be asked for at once; a batch has fewer.
MOST = 40


class Module(nn.Module):
    """Features of rows of any shape; changes its input, as modules may."""

    def __init__(self, n_inputs, n_features=5):
        super().__init__()
        self.layer = nn.Linear(n_inputs, n_features)

    def forward(self, rows):
        return torch.relu(self.layer(rows.flatten(1).mul_(0.5)))


class Pooled(nn.Module):
    """Features of images."""

    input_spec = InputSpec(size=(6, 6), mean=(0.5,) * 3, std=(0.5,) * 3)

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.Flatten())

    def forward(self, images):
        return self.layers(images)


def module(n_inputs):
    torch.manual_seed(0)
    return Pooled() if n_inputs is None else Module(n_inputs)


def regressor(n_inputs=None, **params):
    params = {"max_epochs": 2, "batch_size": 16, "random_state": 0, **params}
    return ELTARegressor(backbone=module(n_inputs), **params)


def classifier(n_inputs=None, **params):
    params = {"max_epochs": 2, "batch_size": 16, "random_state": 0, **params}
    return GranularClassifier(backbone=module(n_inputs), **params)


SELF_TRAINING = {
    "loss": "emd",
    "enhancers": Enhancers(self_training_rounds=2, confidence_threshold=0.0),
}

# Name: the estimator; X and what else fit is given, of which those that begin with X are arrays.
CASES = {
    "bytes, early stopping": (
        lambda: regressor(144, early_stopping=True),
        {"X": CHANNELS_FIRST, "y": SCORES},
    ),
    "numbers, weights of zero": (
        lambda: regressor(144, early_stopping=False),
        {"X": CHANNELS_FIRST / 7.0, "y": SCORES, "sample_weight": SOME_ZERO},
    ),
    "two dimensions, X_val": (
        lambda: classifier(9),
        {
            "X": NOISE[:, 0].reshape(120, -1)[:, :9].astype(np.float32),
            "y": CLASSES,
            "X_val": Whole(NOISE[:, 1].reshape(120, -1)[:, :9].astype(np.float32)),
            "y_val": Whole(CLASSES),
        },
    ),
    "whole numbers, members": (
        lambda: regressor(144, n_estimators=2),
        {"X": CHANNELS_FIRST.astype(np.int64), "y": SCORES},
    ),
    "self-training": (
        lambda: regressor(144, **SELF_TRAINING),
        {"X": CHANNELS_FIRST, "y": SCORES, "X_unlabeled": CHANNELS_FIRST[:90] // 2},
    ),
    "auxiliary rows of another kind": (
        lambda: classifier(144, calibrate_temperature=True),
        {
            "X": (CHANNELS_FIRST / 255).astype(np.float32),
            "y": CLASSES,
            "X_aux": CHANNELS_FIRST[:90] / 300,
            "y_aux": np.repeat(["a", "b"], 45),
        },
    ),
    "images": (lambda: regressor(early_stopping=True), {"X": PHOTOS, "y": SCORES}),
    "grey images": (lambda: classifier(), {"X": GREY, "y": CLASSES}),
    "mixed images, auxiliary rows": (
        lambda: classifier(augmentation=Recipe(mixup_alpha=1.0, cutmix_alpha=1.0, cutout=0.3)),
        {"X": PHOTOS, "y": CLASSES, "X_aux": PHOTOS[:90] // 2, "y_aux": np.repeat(["a", "b"], 45)},
    ),
    "self-training on images, head retraining": (
        lambda: regressor(
            augmentation="standard",
            loss="emd",
            enhancers=Enhancers(
                self_training_rounds=1, confidence_threshold=0.0, head_retraining_epochs=1
            ),
        ),
        {"X": PHOTOS, "y": SCORES, "X_unlabeled": PHOTOS[:90] // 2},
    ),
    "images, averages, a cosine head": (
        lambda: classifier(
            architecture=Architecture(head="cosine"), training=Training(weight_averaging="swa")
        ),
        {"X": PHOTOS, "y": CLASSES},
    ),
    "synthesized classes": (
        lambda: classifier(auxiliary=Auxiliary(synthesize=True, max_samples=4)),
        {"X": PHOTOS, "y": np.array(["x", "y", "z"])[np.digitize(SCORES, [0.1, 0.3])]},
    ),
}


class Counted:
    """Rows of a source, which notes how many are asked for at once and never becomes an array."""

    def __init__(self, source, seen):
        self.source, self.seen = source, seen
        for name in ("shape", "size", "ndim", "dtype", "itemsize"):
            setattr(self, name, getattr(source, name))

    def __len__(self):
        return len(self.source)

    def __getitem__(self, key):
        rows = self.source[key]
        self.seen.append(len(rows))
        return rows

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("all rows are taken at once")


def rows_in_memory(source):
    """Numbers of rows of the parts of a source that are not mapped from a file."""
    if isinstance(source, JoinedRows):
        return [n for part in source.parts for n in rows_in_memory(part)]
    if isinstance(source, RowView) and isinstance(source.values, JoinedRows):
        return rows_in_memory(source.values)
    return [] if is_mapped(source) else [len(source)]


@pytest.fixture
def seen(monkeypatch):
    """Large arrays begin small; a list of how many rows are held as a copy at the same time."""
    monkeypatch.setattr(_views, "LARGE", 2000)
    monkeypatch.setattr(_views, "_FEW", 500)
    monkeypatch.setattr(_views, "_NUMBERS_AT_ONCE", 9 * 16)
    monkeypatch.setattr(_mapping, "_BYTES_AT_ONCE", 144 * 8 * 8)
    found = []
    init, as_array = _prepared.PreparedData.__init__, RowView.__array__

    def counted(self, source, *args, **kwargs):
        if not isinstance(source, Counted):
            found.extend(rows_in_memory(source))
            source = Counted(source, found)
        init(self, source, *args, **kwargs)

    def noted(self, *args, **kwargs):
        found.append(len(self))
        return as_array(self, *args, **kwargs)

    def never(self, *args, **kwargs):
        raise AssertionError("all rows are taken at once")

    monkeypatch.setattr(_prepared.PreparedData, "__init__", counted)
    monkeypatch.setattr(RowView, "__array__", noted)
    monkeypatch.setattr(JoinedRows, "__array__", never)
    made = TensorData.__init__

    def measured(self, X, *args, **kwargs):
        if X.ndim > 2 or X.shape[1] in (9, 144):  # inputs, no features
            found.append(len(X))
        made(self, X, *args, **kwargs)

    monkeypatch.setattr(TensorData, "__init__", measured)
    return found


def outputs(model, X):
    classes = isinstance(model, GranularClassifier)
    return model.predict_proba(X) if classes else model.predict(X)


def in_files(rows, folder):
    """The same with arrays that are mapped from files."""
    mapped = {}
    for name, values in rows.items():
        if name[0] == "X":
            is_whole = isinstance(values, Whole)
            np.save(folder / f"{name}.npy", values.values if is_whole else values)
            values = np.load(folder / f"{name}.npy", mmap_mode="r")
            values = Whole(values) if is_whole else values
        mapped[name] = values
    return mapped


EXPECTED = {}


def expected(name):
    """What is predicted after a fit to arrays in memory, which are small."""
    if name not in EXPECTED:
        make, rows = CASES[name]
        EXPECTED[name] = outputs(make().fit(**rows), rows["X"])
    return EXPECTED[name]


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
@pytest.mark.parametrize("name", CASES)
def test_mapped_arrays_are_read_batch_by_batch(name, tmp_path, request):
    make, rows = CASES[name]
    wanted = expected(name)
    seen = request.getfixturevalue("seen")
    mapped = in_files(rows, tmp_path)
    model = make().fit(**mapped)
    assert len(seen) > 8
    assert max(seen) <= MOST
    seen.clear()
    np.testing.assert_array_equal(outputs(model, mapped["X"]), wanted)
    assert seen
    assert max(seen) <= MOST


def stored_in_zarr(values, folder):
    zarr = pytest.importorskip("zarr")
    chunks = (16, *values.shape[1:])
    stored = zarr.open_array(
        str(folder / "X.zarr"), mode="w", shape=values.shape, chunks=chunks, dtype=values.dtype
    )
    stored[:] = values
    return stored


def stored_in_hdf5(values, folder):
    h5py = pytest.importorskip("h5py")
    file = h5py.File(folder / "X.h5", "w")
    return file.create_dataset("X", data=values, chunks=(16, *values.shape[1:]))


@pytest.mark.parametrize("store", [stored_in_zarr, stored_in_hdf5])
@pytest.mark.parametrize(
    "name", ["bytes, early stopping", "whole numbers, members", "grey images", "images"]
)
def test_stored_arrays_are_read_batch_by_batch(name, store, tmp_path, request):
    make, rows = CASES[name]
    wanted = expected(name)
    seen = request.getfixturevalue("seen")
    stored = store(rows["X"], tmp_path)
    model = make().fit(stored, rows["y"])
    assert max(seen) <= MOST
    np.testing.assert_array_equal(outputs(model, stored), wanted)


@pytest.mark.parametrize("n_inputs", [3072, None], ids=["module", "images"])
def test_nothing_of_the_size_of_the_data_is_allocated(n_inputs, tmp_path, monkeypatch):
    """Of NumPy's memory, which tracemalloc knows."""
    monkeypatch.setattr(_views, "LARGE", 2**20)
    big = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.uint8, (2500, 3, 32, 32))
    big[:] = rng.integers(0, 255, size=(2500, 1, 1, 1), dtype=np.uint8)
    y = big[:, 0, 0, 0] / 255
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = regressor(n_inputs, max_epochs=1, batch_size=64, early_stopping=True)
    model.fit(X[:50], y[:50])  # loads all there is to load
    tracemalloc.start()
    try:
        model.fit(X, y).predict(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 4


def test_values_too_large_for_float32(tmp_path):
    values = np.zeros((120, 9))
    values[77, 3] = 1e39
    for large in (2**40, 100):
        with pytest.MonkeyPatch.context() as context:
            context.setattr(_views, "LARGE", large)
            with pytest.raises(ValueError, match="too large for float32"):
                regressor(9, early_stopping=False).fit(values, SCORES)
    values[77, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        regressor(9).fit(values, SCORES)


def test_the_arrays_stay_as_they_were(seen):
    X = CHANNELS_FIRST.astype(np.float32)
    before = X.copy()
    regressor(144).fit(X, SCORES).predict(X)
    np.testing.assert_array_equal(X, before)


def test_features_of_mapped_and_stored_images(tmp_path):
    embed = BackboneFeatures(backbone=module(None), batch_size=16, device="cpu").fit(PHOTOS)
    wanted = embed.transform(PHOTOS)
    mapped = in_files({"X": PHOTOS}, tmp_path)["X"]
    for images in (mapped, stored_in_zarr(PHOTOS, tmp_path), stored_in_hdf5(PHOTOS, tmp_path)):
        np.testing.assert_array_equal(embed.transform(images), wanted)
        np.testing.assert_array_equal(embed.fit_transform(images), wanted)
