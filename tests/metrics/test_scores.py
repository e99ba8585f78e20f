import numpy as np
import pytest

from ltlearn.metrics import expected_score


def test_expected_score_against_a_loop():
    votes = np.random.default_rng(0).integers(0, 9, size=(6, 4)) + np.eye(6, 4, dtype=int)
    centers = [0.5, 2.0, 3.0, 10.0]
    expected = []
    for row in votes:
        scores = [center for center, count in zip(centers, row, strict=True) for _ in range(count)]
        expected.append(np.mean(scores) if scores else None)
    rows = [i for i, value in enumerate(expected) if value is not None]
    np.testing.assert_allclose(
        expected_score(votes[rows], bin_centers=centers), [expected[i] for i in rows]
    )


def test_bins_are_scored_from_one():
    np.testing.assert_allclose(expected_score(np.eye(5)), [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("distributions", "centers", "message"),
    [
        ([[0.5, -0.5]], None, "negative"),
        ([[0.0, 0.0]], None, "sums to zero"),
        ([[np.nan, 1.0]], None, "NaN"),
        ([[0.5, 0.5]], [1.0, 2.0, 3.0], "one score for each of the 2 bins"),
        ([0.5, 0.5], None, "2D"),
    ],
)
def test_what_is_no_distribution(distributions, centers, message):
    with pytest.raises(ValueError, match=message):
        expected_score(distributions, bin_centers=centers)
