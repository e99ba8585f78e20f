"""What is said where nothing was kept agrees with the reasons that the filter gives."""

from types import SimpleNamespace

import numpy as np
import pytest

from ltlearn.curation import Candidate, FeatureFilter
from ltlearn.curation._reasons import nothing_kept

X = np.array([[1, 0.1], [1, -0.1], [0.1, 1], [-0.1, 1]])
Y = ["east", "east", "north", "north"]


def decided(pool, anchors, **settings):
    """Rows as the filter's verdicts make them, rejected ones alone."""
    judge = FeatureFilter("passthrough", **settings).fit(X, Y)
    pool = [Candidate("x", f"row {i}", np.array(row)) for i, row in enumerate(pool)]
    verdicts = judge.decide(pool, {"x": anchors})
    return [SimpleNamespace(reason=verdict.reason) for verdict in verdicts if not verdict.keep]


@pytest.mark.parametrize(
    ("pool", "settings", "said", "loosened"),
    [
        ([[-1, 0]] * 2, {"anchor_similarity": 0.7}, "2 are not near enough", "anchor_quantile"),
        (
            [[1, 0.3], *[[-1, 0.1 * i] for i in range(9)]],
            {"anchor_similarity": 0.9, "min_share": 0.5, "duplicate_similarity": 1.0},
            "1 are in a class of which too few are near",
            "min_share",
        ),
        ([[1, 0.1]], {"anchor_similarity": 0.7}, "1 are too similar to tr", "duplicate_similarity"),
    ],
)
def test_reasons_of_the_filter(pool, settings, said, loosened):
    text = nothing_kept(decided(pool, ["east"], **settings))
    assert said in text
    assert loosened in text.partition("To keep more,")[2]


def test_repeats_of_candidates():
    rows = decided([[1, 0.3], [1, 0.3]], ["east"], anchor_similarity=0.7, duplicate_similarity=1.0)
    assert "1 repeat an earlier candidate." in nothing_kept(rows)


def test_other_reasons_and_their_order():
    reasons = ["status 404", "not near red: below 0.7", "not near red: below 0.7"]
    text = nothing_kept([SimpleNamespace(reason=reason) for reason in reasons])
    assert text.startswith("None of 3 candidates was kept: 2 are not near enough to a target class")
    assert "1 cannot be used" in text
    by_hand = nothing_kept([SimpleNamespace(reason="decided by hand: reject; without: near red")])
    assert by_hand == "None of 1 candidates was kept: 1 were rejected by hand."
    assert nothing_kept([]).startswith("There were no candidates")
