"""Means of terms over the steps of an epoch."""

import numpy as np
import pytest
import torch

from ltlearn.training import _terms
from ltlearn.training._terms import StepTerms


@pytest.mark.parametrize("n_steps", [1, 3, 4, 5, 12])
def test_means_are_over_rows_whatever_is_put_together(n_steps, monkeypatch):
    monkeypatch.setattr(_terms, "_STEPS_AT_ONCE", 4)
    rng = np.random.default_rng(n_steps)
    loss, task = rng.normal(size=(2, n_steps)).astype(np.float32)
    sizes = rng.integers(1, 9, n_steps)
    steps = StepTerms()
    for number in range(n_steps):
        terms = {"loss": torch.tensor(loss[number])}
        if number % 5 == 2:  # whole blocks lack it
            terms["task"] = torch.tensor(task[number])
        steps.add(terms, int(sizes[number]))
    assert len(steps) == n_steps
    means = steps.means()
    assert means["loss"] == pytest.approx(np.average(loss.astype(float), weights=sizes))
    if n_steps > 2:
        task[np.arange(n_steps) % 5 != 2] = 0
        assert means["task"] == pytest.approx(np.average(task.astype(float), weights=sizes))
    else:
        assert list(means) == ["loss"]
