import warnings

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.metrics import expected_score
from ltlearn.model_selection import (
    BinnedStratifiedShuffleSplit,
    BlindSpotSplit,
    ExtrapolationSplit,
    InterpolationSplit,
)

RNG = np.random.default_rng(0)
Y = RNG.gamma(2, size=500)
X = np.column_stack([Y, RNG.normal(size=500)])
GROUPS = RNG.integers(0, 60, size=500)
RANK = np.argsort(np.argsort(Y))
RANGE = np.ptp(Y)
SPLITTERS = [
    ExtrapolationSplit(4, random_state=0),
    ExtrapolationSplit(4, tail="both", share=0.05, random_state=0),
    ExtrapolationSplit(4, tail="lower", kept=0.25, random_state=0),
    ExtrapolationSplit(4, share=0.5, binning="width", random_state=0),
    InterpolationSplit(4, random_state=0),
    InterpolationSplit(4, share=0.6, binning="width", random_state=0),
    BlindSpotSplit(4, random_state=0),
    BlindSpotSplit(2, share=0.3, binning="width", random_state=0),
]


@pytest.mark.parametrize(
    ("splitter", "is_inside"),
    [
        (ExtrapolationSplit(3), RANK >= 450),
        (ExtrapolationSplit(3, tail="lower", share=0.2), RANK < 100),
        (ExtrapolationSplit(3, tail="both", share=0.02), (RANK < 10) | (RANK >= 490)),
        (ExtrapolationSplit(3, share=0.5, binning="width"), Y.max() - 0.5 * RANGE <= Y),
        (ExtrapolationSplit(3, tail="lower", binning="width"), Y.min() + 0.1 * RANGE >= Y),
        (InterpolationSplit(3), (RANK >= 175) & (RANK < 325)),
        (
            InterpolationSplit(3, share=0.5, binning="width"),
            (Y.min() + 0.25 * RANGE <= Y) & (Y.max() - 0.25 * RANGE >= Y),
        ),
    ],
)
def test_stretches(splitter, is_inside):
    np.testing.assert_array_equal(splitter.in_stretch(Y), [is_inside] * 3)


def test_places_of_blind_spots():
    spots = BlindSpotSplit(10, share=0.02).in_stretch(Y)
    np.testing.assert_array_equal(spots.sum(axis=1), 10)
    # Centers are even over the ranks.
    centers = [RANK[spot].mean() for spot in spots]
    np.testing.assert_allclose(centers, np.linspace(24.5 + 4.5, 465.5 + 4.5, 10), atol=1)
    wide = BlindSpotSplit(4, share=0.25, binning="width").in_stretch(np.linspace(0, 1, 101))
    lows = [np.linspace(0, 1, 101)[spot].min() for spot in wide]
    np.testing.assert_allclose(lows, 0.75 * np.array([1, 3, 5, 7]) / 8, atol=0.011)


@pytest.mark.parametrize("groups", [None, GROUPS])
@pytest.mark.parametrize("splitter", SPLITTERS)
def test_training_lacks_the_stretch_and_nothing_else(splitter, groups):
    """The parts are those of BinnedStratifiedShuffleSplit but for the stretch."""
    reference = BinnedStratifiedShuffleSplit(splitter.n_splits, test_size=0.2, random_state=0)
    expected_tests = [test for _, test in reference.split(X, Y, groups)]
    splits = list(splitter.split(X, Y, groups))
    assert len(splits) == splitter.get_n_splits() == splitter.n_splits
    for number, (train, test) in enumerate(splits):
        np.testing.assert_array_equal(test, expected_tests[number])
        inside = splitter.in_stretch(Y)[number]
        others = np.setdiff1d(np.arange(500), test)
        np.testing.assert_array_equal(np.sort(train[~inside[train]]), others[~inside[others]])
        expected = round(splitter.kept * np.count_nonzero(inside[others]))
        assert np.count_nonzero(inside[train]) == expected
        assert len(set(train)) == len(train)
        assert inside[test].any()
        assert not inside[test].all()
        if groups is not None:
            assert not set(groups[train]) & set(groups[test])


def test_a_thinned_tail_is_drawn_evenly():
    splitter = ExtrapolationSplit(400, share=0.2, kept=0.5, test_size=0.5, random_state=0)
    shares = np.zeros(40)
    y = np.arange(200.0)
    for train, _ in splitter.split(y, y):
        shares += np.isin(np.arange(160, 200), train)
    # A quarter of 400 each: four deviations.
    np.testing.assert_allclose(shares / 400, 0.25, atol=4 * np.sqrt(0.25 * 0.75 / 400))


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_distributions_stand_for_their_expected_scores(splitter):
    votes = RNG.dirichlet(np.ones(10), size=500)
    by_votes, by_scores = (list(splitter.split(X, y)) for y in (votes, expected_score(votes)))
    for (train, test), (train_by_score, test_by_score) in zip(by_votes, by_scores, strict=True):
        np.testing.assert_array_equal(train, train_by_score)
        np.testing.assert_array_equal(test, test_by_score)


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_equal_labels_are_not_torn_apart(splitter):
    y = np.round(4 * Y)
    for number, (train, _) in enumerate(splitter.split(X, y)):
        inside = splitter.in_stretch(y)[number]
        assert not set(y[inside]) & set(y[~inside])
        if not splitter.kept:
            assert not set(y[train]) & set(y[inside])


@pytest.mark.parametrize("kind", [ExtrapolationSplit, InterpolationSplit, BlindSpotSplit])
def test_the_seed_determines_the_splits(kind):
    first, again, other = (
        [test for _, test in kind(3, random_state=seed).split(X, Y)] for seed in (0, 0, 1)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    list(kind(3, random_state=0).split(X, Y))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_in_cross_validation():
    """A forest cannot leave the range it was trained on; a line can."""
    X_plain = np.linspace(0, 1, 400)[:, None]
    splitter = ExtrapolationSplit(3, share=0.2, random_state=0)
    errors = {
        model: cross_validate(
            model, X_plain, 3 * X_plain[:, 0], cv=splitter, scoring="neg_mean_absolute_error"
        )["test_score"]
        for model in (Ridge(1e-6), RandomForestRegressor(10, random_state=0))
    }
    line, forest = errors.values()
    assert line.min() > -1e-3 > -0.02 > forest.max()
    search = GridSearchCV(Ridge(), {"alpha": [1e-6, 1e6]}, cv=splitter)
    assert search.fit(X_plain, X_plain[:, 0]).best_params_ == {"alpha": 1e-6}


def test_nothing_to_train_on_or_to_learn():
    with pytest.raises(ValueError, match="no sample is left to train on"):
        list(ExtrapolationSplit(1).split(Y, np.ones(500)))
    with pytest.raises(ValueError, match=r"from 0 to 1, reaches an end of them: from 0 to 2"):
        list(InterpolationSplit(1).split(X, np.repeat([0, 1, 2], [200, 290, 10])))
    y = np.r_[np.linspace(0, 1, 99), 100.0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Test fold", EmptyBandWarning)
        with pytest.warns(EmptyBandWarning, match=r"Split 0: no (test|training) sample has its"):
            list(ExtrapolationSplit(1, binning="width", random_state=0).split(y, y))


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (ExtrapolationSplit(0), "n_splits"),
        (ExtrapolationSplit(1.5), "n_splits"),
        (ExtrapolationSplit(True), "n_splits"),
        (ExtrapolationSplit(tail="top"), "tail must be one of"),
        (ExtrapolationSplit(share=0), "share"),
        (InterpolationSplit(share=1.0), "share"),
        (BlindSpotSplit(share=np.nan), "share"),
        (BlindSpotSplit(share="a"), "share"),
        (ExtrapolationSplit(kept=1), "kept"),
        (ExtrapolationSplit(kept=-0.1), "kept"),
        (InterpolationSplit(binning="log"), "binning"),
        (BlindSpotSplit(test_size=2.0), "test_size"),
    ],
)
def test_bad_parameters(splitter, message):
    with pytest.raises(ValueError, match=message):
        list(splitter.split(X, Y))


def test_bad_labels():
    with pytest.raises(ValueError, match="y contains NaN"):
        list(BlindSpotSplit().split(X, np.where(Y > 3, np.nan, Y)))
