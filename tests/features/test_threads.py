"""Several threads embed at once: right features, nobody waits, the user's defaults come back."""

import multiprocessing
import os
import threading

import numpy as np
import pytest
import torch
from torch import nn

from ltlearn import BackboneFeatures
from ltlearn.utils._device import torch_defaults

IMAGES = np.random.default_rng(0).integers(0, 256, size=(4, 16, 16, 3), dtype=np.uint8)


class Mean(nn.Module):
    """The mean of each channel times a number, which is made anew in the default type."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, images):
        return images.mean((2, 3)) * torch.tensor(self.factor)


class Waiting(Mean):
    """Waits for a sign before it gives features."""

    entered, go_on = threading.Event(), threading.Event()

    def __deepcopy__(self, memo):  # events cannot be copied
        return self

    def forward(self, images):
        self.entered.set()
        assert self.go_on.wait(30)
        return super().forward(images)


def means(factor):
    return factor * IMAGES.mean(axis=(1, 2)) / 255


def embed(factor):
    return BackboneFeatures(backbone=Mean(factor), image_size=16).fit_transform(IMAGES)


def in_threads(work, n):
    """What ``work(0)``, ..., ``work(n - 1)`` return, each in a thread of its own."""
    found, start = [None] * n, threading.Barrier(n)

    def run(number):
        start.wait(30)
        found[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


@pytest.fixture
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_fits_and_transforms_at_once(float64_by_default):
    for _ in range(15):
        for factor, features in enumerate(in_threads(lambda n: embed(1.0 + n), 4), 1):
            assert features.dtype == np.float32
            np.testing.assert_allclose(features, means(factor), rtol=1e-5)
        assert torch.get_default_dtype() == torch.float64


def test_nobody_waits_for_anothers_fit(float64_by_default):
    Waiting.entered.clear(), Waiting.go_on.clear()
    ready = BackboneFeatures(backbone=Mean(2.0), image_size=16).fit(IMAGES)
    slow = BackboneFeatures(backbone=Waiting(3.0), image_size=16)
    found = []
    fitting = threading.Thread(target=lambda: found.append(slow.fit_transform(IMAGES)))
    fitting.start()
    try:
        assert Waiting.entered.wait(30)
        np.testing.assert_allclose(ready.transform(IMAGES), means(2), rtol=1e-5)
        np.testing.assert_allclose(embed(5.0), means(5), rtol=1e-5)
        assert not found
    finally:
        Waiting.go_on.set()
        fitting.join(60)
    np.testing.assert_allclose(found[0], means(3), rtol=1e-5)
    assert torch.get_default_dtype() == torch.float64


def test_a_default_set_meanwhile_is_what_comes_back():
    with torch_defaults():
        torch.set_default_dtype(torch.float64)
        with torch_defaults():
            assert torch.zeros(1).dtype == torch.float32
    assert torch.get_default_dtype() == torch.float64
    torch.set_default_dtype(torch.float32)


def _tell_dtype(results):
    outside = torch.get_default_dtype()
    with torch_defaults():
        results.put((outside, torch.get_default_dtype()))


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_fork_has_the_users_default(float64_by_default):
    entered, leave = threading.Event(), threading.Event()

    def stay():
        with torch_defaults():
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=stay)
    thread.start()
    try:
        assert entered.wait(30)
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        child = context.Process(target=_tell_dtype, args=(results,), daemon=True)
        child.start()
        assert results.get(timeout=20) == (torch.float64, torch.float32)
        child.join(20)
    finally:
        leave.set()
        thread.join()
