"""What BackboneFeatures shows and says about its cache."""

import numpy as np
import pytest
import torch
from torch import nn

from ltlearn import BackboneFeatures
from ltlearn.exceptions import FeatureCacheWarning
from ltlearn.utils._progress import progress_bar

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))


def embedder(backbone, **options):
    return BackboneFeatures(backbone=backbone, image_size=8, batch_size=2, **options)


def test_a_cache_that_cannot_be_written_warns_once_and_changes_nothing(backbone, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.warns(FeatureCacheWarning, match="cannot be kept in the cache") as caught:
        features = embedder(backbone, cache=tmp_path / "file").fit_transform(IMAGES)
    assert len(caught) == 1
    assert str(tmp_path / "file") in str(caught[0].message)
    np.testing.assert_array_equal(features, embedder(backbone).fit_transform(IMAGES))


def test_a_bar_over_what_yields_nothing_is_quiet(capsys):
    for nothing in ([], iter(())):
        assert list(progress_bar(nothing, desc="Propose")) == []
    assert capsys.readouterr().err == ""
    assert list(progress_bar([1, 2], desc="Propose")) == [1, 2]
    assert "2/2" in capsys.readouterr().err


def test_a_bar_is_shown_only_where_there_is_something_to_do(backbone, tmp_path, capsys):
    model = embedder(backbone, cache=tmp_path, verbose=1).fit(IMAGES)
    model.transform(IMAGES[:4])
    assert "4/4" in capsys.readouterr().err
    model.transform(IMAGES[:4])
    assert capsys.readouterr().err == ""
    model.transform(IMAGES)
    assert "3/3" in capsys.readouterr().err
