"""What is said where nothing was kept agrees with the reasons that the filter gives."""

from types import SimpleNamespace

import numpy as np
import pytest

from ltlearn.curation import Candidate, FeatureFilter
from ltlearn.curation._reasons import nothing_kept, what_was_dropped

X = np.array([[1, 0.1], [1, -0.1], [0.1, 1], [-0.1, 1]])
Y = ["east", "east", "north", "north"]


def decided(pool, anchors, **settings):
    """Rows as the filter's verdicts make them, rejected ones alone."""
    judge = FeatureFilter("passthrough", **settings).fit(X, Y)
    pool = [Candidate("x", f"row {i}", np.array(row)) for i, row in enumerate(pool)]
    verdicts = judge.decide(pool, {"x": anchors})
    return rows_of(*(verdict.reason for verdict in verdicts if not verdict.keep))


def rows_of(*reasons, name="x", kept=False):
    return [SimpleNamespace(reason=reason, name=name, kept=kept) for reason in reasons]


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
    text = nothing_kept(rows_of("status 404", "not near red: below 0.7", "not near red: below 0.7"))
    assert text.startswith("None of 3 candidates was kept: 2 are not near enough to a target class")
    assert "1 cannot be used" in text
    by_hand = nothing_kept(rows_of("decided by hand: reject; without: near red"))
    assert by_hand == "None of 1 candidates was kept: 1 were rejected by hand."
    assert nothing_kept([]).startswith("There were no candidates")


def test_what_is_kept_is_not_counted():
    rows = [*rows_of("near red", kept=True), *rows_of("status 404")]
    assert what_was_dropped(rows).startswith("1 cannot be used")
    assert what_was_dropped(rows[:1]) == ""


@pytest.mark.parametrize("min_share", [0.0, 0.25, 0.7])
@pytest.mark.parametrize("seed", range(5))
def test_the_quantile_that_is_named_is_the_largest_that_keeps_the_class(seed, min_share):
    """Against filters with other quantiles: with the one that is named the class is kept."""
    rng = np.random.default_rng(seed)
    codes = np.repeat([0, 1, 2], [60, 40, 20])
    X = np.eye(4)[codes] + rng.normal(0, 0.4, (120, 4)) + 0.5
    y = np.array(["a", "b", "c"])[codes]
    pool = rng.normal([0.5, 0.5, 0.5, 0.9], 0.07, (20, 4))
    pool = [Candidate("far", f"row {i}", row) for i, row in enumerate(pool)]

    def kept(quantile):
        settings = {"anchor_quantile": quantile, "min_share": min_share}
        judge = FeatureFilter("passthrough", duplicate_similarity=1.0, **settings).fit(X, y)
        return judge.decide(pool, {"far": ["a", "b", "c"]})

    refused = kept(1.0)
    assert not any(verdict.keep for verdict in refused)
    rows = rows_of(*(verdict.reason for verdict in refused), name="far")
    named = float(what_was_dropped(rows).partition("far at anchor_quantile=")[2].rstrip("."))
    assert any(verdict.keep for verdict in kept(named))
    # At most a hundredth is lost to rounding, and less than one of at least 59 other rows.
    assert not any(verdict.keep for verdict in kept(min(1.0, named + 0.01 + 1 / 59)))


def test_the_nearest_classes_come_first():
    looser = " (enough of the class are at anchor_quantile={})"
    rows = [
        row
        for name, quantile in [("a", 0.5), ("b", 0.9), ("c", 0.2), ("d", 0.8), ("e", 0.7)]
        for row in rows_of(f"not near red: below 0.7{looser.format(quantile)}", name=name)
    ]
    text = nothing_kept(rows)
    assert text.endswith(
        "Enough of a class would be near: b at anchor_quantile=0.9, d at anchor_quantile=0.8, "
        "e at anchor_quantile=0.7, a at anchor_quantile=0.5."
    )
    assert "Enough" not in nothing_kept(rows_of("not near red: below 0.7"))
