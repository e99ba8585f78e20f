"""Files that earlier versions wrote still load. ``data`` holds one of each format."""

from pathlib import Path

import numpy as np
import pytest

import ltlearn
from ltlearn.exceptions import SavedFileError
from ltlearn.persistence._archive import read_archive
from ltlearn.saving._registry import build

FILES = sorted(Path(__file__).parent.glob("data/*.ltlearn"))
X = np.random.default_rng(0).normal(size=(20, 3))


def test_there_are_small_files_of_format_1():
    assert {"format_1_regressor.ltlearn"} <= {path.name for path in FILES}
    assert all(path.stat().st_size < 100_000 for path in FILES)


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SavedFileWarning")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_they_load_and_go_on(path, tmp_path):
    model = ltlearn.load(path)
    predicted = model.predict(X)
    assert len(predicted) == len(X)
    ltlearn.save(model, tmp_path / "again")
    np.testing.assert_array_equal(ltlearn.load(tmp_path / "again").predict(X), predicted)


@pytest.mark.parametrize(
    ("before", "expected"),
    [("auto", "auto"), ({1: ["lynx"], 2: []}, {1: ["lynx"], 2: []})],
    ids=["default", "dict"],
)
def test_a_parameter_that_moved_into_an_option(before, expected):
    state = {"parameters": {"neighbors": before, "silencing": 0.5}, "learned": {}}
    model = build("GranularClassifier", state, "estimator")
    assert model.silencing == 0.5
    assert model.get_params()["auxiliary__neighbors"] == expected
    assert (model.auxiliary is None) == (before == "auto")


def test_a_parameter_that_moved_is_checked():
    state = {"parameters": {"neighbors": 3}, "learned": {}}
    with pytest.raises(SavedFileError, match="neighbors"):
        build("GranularClassifier", state, "estimator")


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SavedFileWarning")
def test_predictions_of_format_1_are_what_its_numbers_say():
    """The network of the file worked out by hand: scaler, scaler of the inputs, two layers."""
    path = Path(__file__).parent / "data" / "format_1_regressor.ltlearn"
    model = ltlearn.load(path)
    _, tensors = read_archive(path)
    scaler, elta = model[0], model[-1]
    rows = (X - scaler.mean_) / scaler.scale_
    rows = (rows - elta._inputs.scaler.mean_) / elta._inputs.scaler.scale_
    rows = rows.astype(np.float32).astype(np.float64)
    shapes = {tuple(t.shape): t.double().numpy() for t in tensors.values() if t.is_floating_point()}
    hidden = np.maximum(rows @ shapes[4, 3].T + shapes[4,], 0)
    scores = hidden @ shapes[1, 4].T + elta.net_.module_.head[-1].bias.item()
    expected = elta.score_mean_ + elta.score_scale_ * scores[:, 0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-6)
