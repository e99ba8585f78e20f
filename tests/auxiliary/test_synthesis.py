"""Epochs with auxiliary rows, and synthetic rows, against their definitions."""

from collections import Counter

import numpy as np
import pytest

from ltlearn.auxiliary._synthesis import synthesize
from ltlearn.data._epochs import AuxiliaryEpochs


@pytest.mark.parametrize("max_samples", [1, 3, 100])
def test_an_epoch_is_every_target_row_once_and_some_rows_of_each_auxiliary_class(max_samples):
    codes = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [2, 5, 9]))
    epochs = AuxiliaryEpochs(20, codes, max_samples, seed=0)
    for _ in range(3):
        rows = epochs().numpy()
        assert len(np.unique(rows)) == len(rows)
        assert set(range(20)) <= set(rows)
        drawn = Counter(codes[rows[rows >= 20] - 20].tolist())
        assert drawn == {c: min(max_samples, n) for c, n in enumerate([2, 5, 9])}


def test_every_epoch_draws_afresh_and_repeats_with_the_seed():
    codes = np.zeros(1000, dtype=int)
    epochs, again = (AuxiliaryEpochs(5, codes, 10, seed=3) for _ in range(2))
    first, second = epochs().tolist(), epochs().tolist()
    assert len(set(first) & set(second)) < 10  # the target rows, and hardly any other
    assert [again().tolist(), again().tolist()] == [first, second]


def test_auxiliary_rows_are_drawn_uniformly():
    epochs = AuxiliaryEpochs(0, np.zeros(6, dtype=int), 2, seed=0)
    drawn = np.bincount(np.concatenate([epochs().numpy() for _ in range(3000)]), minlength=6)
    np.testing.assert_allclose(drawn / 3000, 1 / 3, atol=0.05)


def test_rows_are_shuffled_together():
    epochs = AuxiliaryEpochs(500, np.zeros(500, dtype=int), 500, seed=0)
    assert 200 < (epochs()[:500] < 500).sum() < 300


def test_without_auxiliary_rows_an_epoch_is_a_shuffle():
    rows = AuxiliaryEpochs(10, np.zeros(0, dtype=int), 50, seed=0)().tolist()
    assert sorted(rows) == list(range(10))


def make_points():
    """Three classes at the corners of a triangle."""
    codes = np.repeat([0, 1, 2], 10)
    return np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])[codes], codes


def test_synthetic_rows_lie_in_the_middle_third_between_their_classes():
    X, codes = make_points()
    pairs = np.array([[0, 1], [1, 2]])
    mixed, number = synthesize(X, codes, pairs, 200, np.random.RandomState(0))
    np.testing.assert_array_equal(number, np.repeat([0, 1], 200))
    between_0_and_1, between_1_and_2 = mixed[:200], mixed[200:]
    np.testing.assert_array_equal(between_0_and_1[:, 1], 0)
    np.testing.assert_allclose(between_1_and_2.sum(axis=1), 6)
    for coordinate in (between_0_and_1[:, 0], between_1_and_2[:, 0]):
        assert 2 <= coordinate.min() < 2.2
        assert 3.8 < coordinate.max() <= 4


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_synthetic_images_keep_shape_and_type(dtype):
    images = np.random.default_rng(0).integers(0, 256, size=(20, 3, 4, 4)).astype(dtype)
    codes = np.arange(20) % 2
    mixed, _ = synthesize(images, codes, np.array([[0, 1]]), 7, np.random.RandomState(0))
    assert mixed.shape == (7, 3, 4, 4)
    assert mixed.dtype == dtype
    assert mixed.astype(float).std() < images.astype(float).std()


def test_mixing_before_and_after_standardization_is_the_same():
    X, codes = make_points()
    mean, scale = np.array([3.0, -2.0]), np.array([0.1, 7.0])
    pairs = np.array([[0, 2]])
    mixed, _ = synthesize(X, codes, pairs, 30, np.random.RandomState(1))
    standardized, _ = synthesize((X - mean) / scale, codes, pairs, 30, np.random.RandomState(1))
    np.testing.assert_allclose(standardized, (mixed - mean) / scale)
