"""Validation needs no outputs of all rows at once."""

import numpy as np
import pytest
import torch

from ltlearn.objectives._elta import ELTAObjective

LEVELS = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ranks", [False, True])
def test_quantiles_are_judged_part_by_part(weighted, ranks):
    rng = np.random.default_rng(0)
    outputs, score = rng.normal(size=(30, 5)), rng.normal(size=30)
    weight = rng.integers(1, 4, 30).astype(float)
    objective = ELTAObjective(
        levels=LEVELS, quantile_center=0.2, quantile_scale=1.5, score_scale=3.0, ranks=ranks
    )
    target = {"score": torch.from_numpy(score)}
    if weighted:
        target["weight"] = torch.from_numpy(weight)
    rows = [
        objective.validation_rows(
            torch.from_numpy(outputs[part]), {name: values[part] for name, values in target.items()}
        )
        for part in (slice(0, 7), slice(7, 30))
    ]
    terms = objective.terms_of_rows(torch.cat(rows), target)
    loss = error = total = 0.0
    for own, true, count in zip(outputs, score, weight if weighted else np.ones(30), strict=True):
        for level, quantile in zip(LEVELS.tolist(), own, strict=True):
            gap = (true - 0.2) / 1.5 - quantile
            loss += count * max(level * gap, (level - 1) * gap) / 5
        error += count * 3.0 * abs(0.2 + 1.5 * np.median(own) - true)
        total += count
    assert terms["loss"].item() == pytest.approx(loss / 30)
    assert terms["mae"].item() == pytest.approx(error / total)
    assert ("srcc" in terms) == ranks
