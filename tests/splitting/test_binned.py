import pickle
import warnings

import numpy as np
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.metrics import LabelBands, expected_score
from ltlearn.model_selection import (
    BinnedStratifiedKFold,
    BinnedStratifiedShuffleSplit,
    RareClassStratifiedKFold,
)

RNG = np.random.default_rng(0)
Y = np.exp(RNG.normal(size=203))
X = np.column_stack([Y + RNG.normal(size=203), RNG.normal(size=203)])
GROUPS = RNG.integers(0, 40, size=203)
CLASSES = np.array(["a"] * 50 + ["b"] * 7 + ["c"] * 3 + ["d"] * 2 + ["e"])

KFOLDS = [
    BinnedStratifiedKFold(4),
    BinnedStratifiedKFold(4, shuffle=True, random_state=0),
    BinnedStratifiedKFold(4, n_bins=7),
    BinnedStratifiedKFold(4, binning="width"),
    BinnedStratifiedKFold(4, n_bins=30, binning="width", shuffle=True, random_state=0),
]
SHUFFLES = [
    BinnedStratifiedShuffleSplit(5, test_size=0.2, random_state=0),
    BinnedStratifiedShuffleSplit(5, test_size=12, train_size=25, n_bins=7, random_state=0),
    BinnedStratifiedShuffleSplit(5, train_size=0.5, binning="width", random_state=0),
]
BINNED = KFOLDS + SHUFFLES


def is_ordered(indices):
    return np.all(np.diff(indices) > 0)


@pytest.mark.parametrize("groups", [None, GROUPS])
@pytest.mark.parametrize("splitter", KFOLDS)
def test_folds_are_a_partition(splitter, groups):
    splits = list(splitter.split(X, Y, groups))
    assert len(splits) == splitter.get_n_splits() == 4
    for train, test in splits:
        assert is_ordered(train)
        assert is_ordered(test)
        np.testing.assert_array_equal(np.union1d(train, test), np.arange(203))
        assert len(train) + len(test) == 203
    np.testing.assert_array_equal(np.sort(np.hstack([t for _, t in splits])), np.arange(203))


@pytest.mark.parametrize("splitter", [*BINNED, RareClassStratifiedKFold(4)])
def test_groups_stay_together(splitter):
    y = np.resize(CLASSES, 203) if isinstance(splitter, RareClassStratifiedKFold) else Y
    for train, test in splitter.split(X, y, GROUPS):
        assert not set(GROUPS[train]) & set(GROUPS[test])


def counts_per_fold(splitter, is_chosen):
    return [np.count_nonzero(is_chosen[test]) for _, test in splitter.split(X, Y)]


@pytest.mark.parametrize("splitter", KFOLDS)
@pytest.mark.parametrize("n_top", [4, 10, 50, 101])
def test_every_top_is_spread_evenly_over_the_folds(splitter, n_top):
    # Bins cut the order of labels where they please; a run of k labels overlaps whole bins and
    # two parts, and each part may put two more or fewer samples in a fold.
    counts = counts_per_fold(splitter, np.sort(Y)[-n_top] <= Y)
    finest = splitter.n_bins is None and splitter.binning == "quantile"
    if finest:
        assert max(counts) - min(counts) <= 2
    bins = splitter.n_bins or (50 if finest else 10)
    edges = (
        np.quantile(Y, np.linspace(0, 1, bins + 1))
        if splitter.binning == "quantile"
        else np.linspace(Y.min(), Y.max(), bins + 1)
    )
    # Everything above an edge of the bins is spread as evenly as its size allows.
    counts = counts_per_fold(splitter, edges[-min(n_top, bins)] < Y)
    assert max(counts) - min(counts) <= 1


def test_each_fold_has_a_sample_of_each_of_the_finest_bins():
    order = np.argsort(Y[:200])
    for _, test in BinnedStratifiedKFold(5, shuffle=True, random_state=0).split(X[:200], Y[:200]):
        is_tested = np.isin(order, test)
        np.testing.assert_array_equal(is_tested.reshape(40, 5).sum(axis=1), 1)


@pytest.mark.parametrize("splitter", SHUFFLES)
@pytest.mark.parametrize("groups", [None, GROUPS])
def test_shuffle_splits_have_the_requested_sizes(splitter, groups):
    n_units = 203 if groups is None else len(set(groups))
    units = np.arange(203) if groups is None else groups
    splits = list(splitter.split(X, Y, groups))
    assert len(splits) == 5
    for train, test in splits:
        assert len(np.unique(test)) == len(test)
        assert not set(train) & set(test)
        sizes = len(set(units[train])), len(set(units[test]))
        if splitter.test_size == 0.2:
            assert sizes == (n_units - np.ceil(0.2 * n_units), np.ceil(0.2 * n_units))
        elif splitter.test_size == 12:
            assert sizes == (25, 12)
        else:
            assert sizes == (n_units // 2, n_units - n_units // 2)


def test_shuffle_splits_draw_one_sample_of_each_of_the_finest_bins():
    splitter = BinnedStratifiedShuffleSplit(20, test_size=0.2, random_state=0)
    order = np.argsort(Y[:200])
    for _, test in splitter.split(X[:200], Y[:200]):
        np.testing.assert_array_equal(np.isin(order, test).reshape(40, 5).sum(axis=1), 1)


def test_shuffle_splits_draw_every_sample_equally_often():
    splitter = BinnedStratifiedShuffleSplit(2000, test_size=0.25, random_state=0)
    y = RNG.normal(size=40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmptyBandWarning)
        tests = [test for _, test in splitter.split(y, y)]
    shares = np.bincount(np.hstack(tests), minlength=40) / 2000
    # Four standard deviations of the mean of 2000 draws.
    np.testing.assert_allclose(shares, 0.25, atol=4 * np.sqrt(0.25 * 0.75 / 2000))


@pytest.mark.parametrize("splitter", BINNED)
def test_distributions_stand_for_their_expected_scores(splitter):
    votes = RNG.dirichlet(np.ones(10), size=203)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmptyBandWarning)
        by_votes = list(splitter.split(X, votes))
        by_scores = list(splitter.split(X, expected_score(votes)))
    for (train, test), (train_by_score, test_by_score) in zip(by_votes, by_scores, strict=True):
        np.testing.assert_array_equal(train, train_by_score)
        np.testing.assert_array_equal(test, test_by_score)


@pytest.mark.parametrize("splitter", [BinnedStratifiedKFold(5), KFOLDS[3], SHUFFLES[0]])
@pytest.mark.parametrize(
    "y",
    [np.full(20, 3.0), np.repeat([1.0, 2.0], 10), np.arange(20) % 3],
    ids=["one", "two", "three"],
)
def test_few_distinct_labels(splitter, y):
    for train, test in splitter.split(y, y):
        assert len(train) >= 15
        assert len(test) >= 4


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: BinnedStratifiedKFold(4, shuffle=True, random_state=seed),
        lambda seed: BinnedStratifiedShuffleSplit(4, random_state=seed),
    ],
)
def test_the_seed_determines_the_folds(make):
    first, again, other = ([test for _, test in make(seed).split(X, Y)] for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("splitter", "y"),
    [
        (BinnedStratifiedKFold(4, shuffle=True, random_state=0), Y),
        (BinnedStratifiedShuffleSplit(4, random_state=0), Y),
        (RareClassStratifiedKFold(2, shuffle=True, random_state=0), CLASSES),
    ],
)
def test_global_random_state_is_left_alone(splitter, y):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    list(splitter.split(y, y))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_a_missing_tail_is_said_once_per_fold():
    y = np.r_[RNG.uniform(size=100), 50.0, 60.0]
    assert LabelBands.from_density(y).counts["few"] == 2
    with pytest.warns(EmptyBandWarning, match="to which 2 of 102 samples belong") as record:
        list(BinnedStratifiedKFold(5).split(y, y))
    assert len(record) == 3
    assert [f"fold {fold} " in str(record[i].message) for i, fold in enumerate((2, 3, 4))]
    with pytest.warns(EmptyBandWarning, match="'few' band"):
        list(BinnedStratifiedShuffleSplit(20, test_size=3, random_state=0).split(y, y))


def test_a_tail_in_every_fold_is_not_warned_about():
    y = np.r_[RNG.uniform(size=100), RNG.uniform(50, 60, size=5)]
    assert len(list(BinnedStratifiedKFold(5).split(y, y))) == 5


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (BinnedStratifiedKFold(3, n_bins=0), "n_bins"),
        (BinnedStratifiedKFold(3, n_bins=2.5), "n_bins"),
        (BinnedStratifiedKFold(3, binning="equal"), "binning"),
        (BinnedStratifiedShuffleSplit(n_bins=-1), "n_bins"),
        (BinnedStratifiedShuffleSplit(test_size=2.0), "test_size"),
        (BinnedStratifiedKFold(300), "n_splits=300 greater than the number of samples"),
        (RareClassStratifiedKFold(300), "n_splits=300 greater than the number of samples"),
    ],
)
def test_invalid_settings(splitter, message):
    with pytest.raises(ValueError, match=message):
        next(splitter.split(X, Y))


@pytest.mark.parametrize("splitter", [KFOLDS[0], SHUFFLES[0]])
def test_invalid_labels(splitter):
    with pytest.raises(ValueError, match="NaN"):
        next(splitter.split(X, np.where(Y > 2, np.nan, Y)))
    with pytest.raises(ValueError, match="inconsistent numbers"):
        next(splitter.split(X, Y[:-1]))


def test_more_folds_than_groups():
    for splitter, y in ((BinnedStratifiedKFold(5), Y), (RareClassStratifiedKFold(5), GROUPS)):
        with pytest.raises(ValueError, match="n_splits=5 folds need as many groups, got 3"):
            next(splitter.split(X, y, GROUPS % 3))


@pytest.mark.parametrize("shuffle", [False, True])
def test_every_class_is_in_every_training_fold(shuffle):
    splitter = RareClassStratifiedKFold(5, shuffle=shuffle, random_state=0 if shuffle else None)
    tested = []
    for train, test in splitter.split(CLASSES, CLASSES):
        assert set(CLASSES[train]) == set(CLASSES)
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(len(CLASSES)))
        tested.extend(test)
    # All samples are tested once, but for the only one of its class.
    np.testing.assert_array_equal(np.sort(tested), np.flatnonzero(CLASSES != "e"))


def test_common_classes_are_stratified():
    splitter = RareClassStratifiedKFold(5)
    for _, test in splitter.split(CLASSES, CLASSES):
        assert np.count_nonzero(CLASSES[test] == "a") == 10
        assert np.count_nonzero(CLASSES[test] == "b") in (1, 2)


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_in_every_training_fold_with_groups(seed):
    rng = np.random.default_rng(seed)
    y, groups = rng.permutation(CLASSES), rng.integers(0, 15, size=len(CLASSES))
    for train, test in RareClassStratifiedKFold(3).split(y, y, groups):
        assert set(y[train]) == set(y)
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == len(y)


def test_classes_that_all_have_one_sample():
    with pytest.raises(ValueError, match="would be empty"):
        next(RareClassStratifiedKFold(2).split(np.arange(6), list("abcdef")))


def test_continuous_labels_are_no_classes():
    with pytest.raises(ValueError, match="y holds fractions"):
        next(RareClassStratifiedKFold(2).split(X, Y))


def test_classifiers_keep_all_classes_where_stratified_folds_lose_one():
    features = RNG.normal(size=(len(CLASSES), 3))
    model = LogisticRegression()
    results = cross_validate(
        model, features, CLASSES, cv=RareClassStratifiedKFold(5), return_estimator=True
    )
    assert all(len(fitted.classes_) == 5 for fitted in results["estimator"])
    with pytest.warns(UserWarning, match="least populated class"):
        results = cross_validate(
            model, features, CLASSES, cv=StratifiedKFold(5), return_estimator=True
        )
    assert any(len(fitted.classes_) == 4 for fitted in results["estimator"])


def test_cross_val_predict_with_binned_folds():
    predictions = cross_val_predict(Ridge(), X, Y, cv=BinnedStratifiedKFold(4))
    expected = np.empty(203)
    for train, test in BinnedStratifiedKFold(4).split(X, Y):
        expected[test] = Ridge().fit(X[train], Y[train]).predict(X[test])
    np.testing.assert_allclose(predictions, expected)


@pytest.mark.parametrize("splitter", [KFOLDS[1], SHUFFLES[0]])
def test_searches_take_the_splitters(splitter):
    model = RandomForestRegressor(5, random_state=0)
    search = GridSearchCV(model, {"max_depth": [1, 4]}, cv=splitter).fit(X, Y)
    assert search.best_params_ == {"max_depth": 4}


def test_imbalanced_learn_pipeline_with_rare_classes():
    pipeline = make_pipeline(RandomOverSampler(random_state=0), LogisticRegression())
    features = RNG.normal(size=(len(CLASSES), 3))
    scores = cross_val_score(
        pipeline, features, CLASSES, cv=RareClassStratifiedKFold(5), scoring="accuracy"
    )
    assert scores.shape == (5,)
    assert np.all(np.isfinite(scores))


@pytest.mark.parametrize("splitter", [KFOLDS[0], SHUFFLES[0], RareClassStratifiedKFold(4)])
def test_groups_are_routed_by_default(splitter):
    y = np.resize(CLASSES, 203) if isinstance(splitter, RareClassStratifiedKFold) else Y
    model = LogisticRegression() if isinstance(splitter, RareClassStratifiedKFold) else Ridge()
    with sklearn.config_context(enable_metadata_routing=True):
        results = cross_validate(
            model, X, y, cv=splitter, params={"groups": GROUPS}, return_indices=True
        )
    for train, test in zip(results["indices"]["train"], results["indices"]["test"], strict=True):
        assert not set(GROUPS[train]) & set(GROUPS[test])


@pytest.mark.parametrize("splitter", [*BINNED, RareClassStratifiedKFold(3)])
def test_splitters_print_their_parameters_and_survive_pickling(splitter):
    assert repr(splitter).startswith(f"{type(splitter).__name__}(")
    assert repr(pickle.loads(pickle.dumps(splitter))) == repr(splitter)
    assert "random_state=" in repr(splitter)
