"""Mixup and cutmix of images."""

import numpy as np
import pytest
import torch

from ltlearn.images import mix_images


@pytest.fixture
def batch():
    images = torch.rand(6, 3, 10, 14, generator=torch.Generator().manual_seed(0))
    return images, torch.arange(6)


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(5))
def test_mixup_is_the_weighted_mean_of_images(seed, batch):
    images, y = batch
    mixed, y1, y2, lam = mix_images(images, y, cutmix_alpha=0, generator=generator(seed))
    assert 0 <= lam <= 1
    assert torch.equal(y1, y)
    assert sorted(y2.tolist()) == y.tolist()
    for row in range(6):
        expected = lam * images[row] + (1 - lam) * images[y2[row]]
        torch.testing.assert_close(mixed[row], expected)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_pastes_one_rectangle_of_the_share_it_says(seed, batch):
    images, y = batch
    before = images.clone()
    mixed, _, y2, lam = mix_images(images, y, mixup_alpha=0, generator=generator(seed))
    assert torch.equal(images, before)
    pasted = None
    for row in range(6):
        other = images[y2[row]]
        here = ((mixed[row] == other) & (mixed[row] != images[row])).all(0).numpy()
        assert (mixed[row][:, ~here] == images[row][:, ~here]).all()
        if y2[row] != row:
            assert pasted is None or np.array_equal(pasted, here)
            pasted = here
    assert pasted.mean() == pytest.approx(1 - lam)
    rows, columns = np.flatnonzero(pasted.any(1)), np.flatnonzero(pasted.any(0))
    assert pasted.sum() == len(rows) * len(columns)


def test_both_methods_take_turns(batch):
    images, y = batch
    is_cutmix = []
    for seed in range(40):
        mixed, _, y2, lam = mix_images(images, y, generator=generator(seed))
        mean = lam * images + (1 - lam) * images[y2]
        is_cutmix.append(not torch.allclose(mixed, mean, atol=1e-6))
    assert 8 <= sum(is_cutmix) <= 32


def test_lambda_follows_its_distribution(batch):
    """Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1))."""
    images, y = batch
    source = generator(0)
    lams = [
        mix_images(images, y, mixup_alpha=0.8, cutmix_alpha=0, generator=source)[3]
        for _ in range(2000)
    ]
    assert np.mean(lams) == pytest.approx(0.5, abs=0.03)
    assert np.var(lams) == pytest.approx(1 / (4 * 2.6), abs=0.01)


def test_off_changes_nothing(batch):
    images, y = batch
    mixed, y1, y2, lam = mix_images(images, y, mixup_alpha=0, cutmix_alpha=0)
    assert mixed is images
    assert y1 is y2 is y
    assert lam == 1


def test_a_batch_of_one_and_labels_of_any_shape():
    images, y = torch.rand(1, 3, 4, 4), torch.rand(1, 7)
    mixed, y1, y2, _ = mix_images(images, y, generator=generator(1))
    torch.testing.assert_close(mixed, images)
    assert torch.equal(y1, y2)


def test_gradients_flow_through_both_images(batch):
    images, y = batch
    images = images.requires_grad_()
    mixed, *_ = mix_images(images, y, cutmix_alpha=0, generator=generator(0))
    mixed.sum().backward()
    torch.testing.assert_close(images.grad, torch.ones_like(images))
