from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
import torch

from ltlearn.enhancers import Batch

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_enhancer.py"


def test_it_compares_with_mixup(capsys):
    run_path(str(EXAMPLE))["main"](max_epochs=2)
    printed = capsys.readouterr().out
    for part in ("no enhancer", "TailMixup", "NoisyTail", "ridge", "few", "p_holm"):
        assert part in printed
    assert "nan" not in printed


def test_copies_are_those_of_the_rarest_scores():
    scores = torch.tensor([0.1, -3.0, 0.4, 2.0, 0.0, -0.2, 0.3, 1.0])
    features = torch.arange(16.0).reshape(8, 2)
    weight = torch.arange(1.0, 9.0)
    generator = torch.Generator().manual_seed(0)
    enhance = run_path(str(EXAMPLE))["NoisyTail"](strength=0.25, noise=0.01)
    batch = enhance(Batch(features, {"score": scores}, weight, generator))
    assert batch.target["score"][8:].tolist() == pytest.approx([-3.0, 2.0])
    assert batch.weight[8:].tolist() == [2.0, 4.0]
    np.testing.assert_allclose(batch.features[8:], features[[1, 3]], atol=0.3)
    assert not np.allclose(batch.features[8:], features[[1, 3]], atol=1e-6)
