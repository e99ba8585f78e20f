"""Comparisons in which rows of one group stay together."""

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut
from sklearn.utils.fixes import parse_version

from ltlearn.evaluation import compare
from ltlearn.evaluation._reference_models import TunedAdjuster
from ltlearn.evaluation._splits import make_splits

pytestmark = pytest.mark.filterwarnings(
    "ignore::ltlearn.exceptions.SmallSampleWarning", "ignore::ltlearn.exceptions.EmptyBandWarning"
)

# Before, StratifiedGroupKFold with shuffle=True does not balance what it shuffles.
CUTS_EVENLY = parse_version(sklearn.__version__) >= parse_version("1.8")

RNG = np.random.default_rng(0)
GROUPS = RNG.integers(40, size=400)
SCORES = np.exp(RNG.normal(size=400) + RNG.normal(size=40)[GROUPS])
CLASSES = np.array(["a", "b", "c"])[np.searchsorted([0.8, 0.95], RNG.uniform(size=400))]
X = RNG.normal(size=(400, 3))


def splits(y, cv, fraction=0.1, seeds=(0, 1), groups=GROUPS):
    return make_splits(X, y, cv, seeds, fraction, y.dtype.kind == "U", groups)


def check_no_group_is_cut(found, groups=GROUPS):
    for split in found:
        parts = [set(groups[part]) for part in (split.train, split.validation, split.test)]
        assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
        np.testing.assert_array_equal(split.groups, groups[split.train])


@pytest.mark.parametrize("y", [SCORES, CLASSES], ids=["scores", "classes"])
@pytest.mark.parametrize("cv", [4, GroupKFold(4)])
@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.6])
def test_no_group_is_in_two_parts(y, cv, fraction):
    found = splits(y, cv, fraction)
    check_no_group_is_cut(found)
    assert len(found) == 8
    for split in found:
        n_rows = len(split.train) + len(split.validation)
        assert abs(len(split.validation) / n_rows - fraction) < (0.1 if CUTS_EVENLY else 0.2)
        assert n_rows + len(split.test) == 400
    assert not np.array_equal(found[0].validation, found[1].validation)
    again = splits(y, cv, fraction)
    np.testing.assert_array_equal(again[3].validation, found[3].validation)


def test_validation_rows_are_stratified():
    """Held out in groups that say nothing of the label, its quantiles stay about what they are."""
    groups = RNG.integers(150, size=400)
    errors = []
    for split in splits(SCORES, GroupKFold(4), 0.3, range(5), groups):
        inner = SCORES[np.r_[split.train, split.validation]]
        errors.append(np.mean(SCORES[split.validation] > np.quantile(inner, 0.9)) - 0.1)
    assert np.abs(errors).max() < (0.05 if CUTS_EVENLY else 0.1)


def test_rare_classes_stay_in_training():
    y = CLASSES.copy()
    y[GROUPS == 3] = "in one group"
    two = np.isin(GROUPS, [5, 9])
    y[two] = "in two groups"
    for split in splits(y, GroupKFold(8), 0.4, range(6)):
        n_rows = np.r_[split.train, split.validation]
        assert set(y[split.train]) == set(y[n_rows])


def test_few_groups():
    groups = np.arange(400) % 3
    [split] = splits(SCORES, [(np.flatnonzero(groups < 2), np.flatnonzero(groups == 2))],
                     seeds=[0], groups=groups)  # fmt: skip
    check_no_group_is_cut([split], groups)
    assert len(np.unique(groups[split.train])) == 1
    with pytest.raises(ValueError, match=r"No group can be cut out .* validation_fraction=0"):
        splits(SCORES, LeaveOneGroupOut(), groups=np.arange(400) % 2)
    found = splits(SCORES, LeaveOneGroupOut(), fraction=0, groups=np.arange(400) % 2)
    assert len(found) == 4
    where = np.where(CLASSES == "a", 0, np.where(CLASSES == "b", 1, 2))
    with pytest.raises(ValueError, match="a class would be missing from training"):
        splits(CLASSES, [(np.flatnonzero(where < 2), np.flatnonzero(where == 2))], groups=where)


def test_splits_that_share_a_group_are_refused():
    with pytest.raises(ValueError, match=r"split 0 share the group .*GroupKFold"):
        splits(SCORES, [(np.arange(200), np.arange(200, 400))])
    with (
        pytest.warns(UserWarning, match="groups"),
        pytest.raises(ValueError, match="share the group"),
    ):
        splits(SCORES, KFold(2))
    edges = GROUPS < 20, GROUPS == 20, GROUPS > 20
    splits(SCORES, [edges])


class Recorder(RegressorMixin, BaseEstimator):
    calls = []

    def fit(self, X, y, groups=None, X_val=None, y_val=None):
        self.calls.append({"X": X, "groups": groups, "X_val": X_val})
        self.is_fitted_ = True
        return self

    def predict(self, X):
        return np.zeros(len(X))


def test_compare_hands_groups_on():
    Recorder.calls.clear()
    group_of = {tuple(row): group for row, group in zip(X, GROUPS, strict=True)}
    results = compare(
        {"a": Recorder(), "b": Ridge()}, X, SCORES, cv=GroupKFold(3), groups=list(GROUPS),
        fit_params={"a": lambda split: {"groups": split.groups}}, metrics=["mae"],
    )  # fmt: skip
    assert results["value"].notna().all()
    for call in Recorder.calls:
        np.testing.assert_array_equal([group_of[tuple(row)] for row in call["X"]], call["groups"])
        assert not set(call["groups"]) & {group_of[tuple(row)] for row in call["X_val"]}
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        compare({"a": Ridge()}, X, SCORES, groups=GROUPS[:-1])


class Memorizing(ClassifierMixin, BaseEstimator):
    """Knows the label of every row of its training groups, which are its first column."""

    overlaps = []

    def fit(self, X, y):
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.groups_ = set(X[:, 0])
        self.shares_ = np.bincount(codes) / len(y)
        return self

    def predict_proba(self, X):
        self.overlaps.append(len(self.groups_ & set(X[:, 0])))
        return np.tile(self.shares_, (len(X), 1))


def test_tuned_controls_keep_groups_together():
    table = np.column_stack([GROUPS, X])
    Memorizing.overlaps.clear()
    TunedAdjuster(Memorizing()).fit(table, CLASSES, groups=GROUPS)
    assert Memorizing.overlaps == [0, 0, 0]
    Memorizing.overlaps.clear()
    TunedAdjuster(Memorizing()).fit(table, CLASSES)
    assert min(Memorizing.overlaps) > 0


def test_groups_change_what_tuned_controls_get():
    """Each row twice, in one group: without groups the copies would be held out beside it."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(60, 30)), 2, axis=0)
    y = np.repeat(np.where(np.arange(60) % 5 == 0, "rare", "common"), 2)
    groups = np.repeat(np.arange(60), 2)
    cv = list(GroupKFold(3).split(rows, y, groups))
    options = {"cv": cv, "controls": ["logistic_tuned"], "metrics": ["log_loss"]}
    with_groups, without = (
        compare({"lr": LogisticRegression()}, rows, y, groups=given, **options)
        for given in (groups, None)
    )
    losses = [
        results[results["estimator"] == "logistic_tuned"]["value"].mean()
        for results in (with_groups, without)
    ]
    assert losses[0] < losses[1]


def test_groups_count_in_checkpoints(tmp_path):
    Recorder.calls.clear()
    options = {"cv": [(GROUPS < 30, GROUPS >= 30)], "controls": False, "metrics": ["mae"]}
    options["checkpoint"] = tmp_path / "runs"
    for groups, fits in ((None, 1), (None, 1), (GROUPS, 2), (GROUPS, 2)):
        compare({"a": Recorder()}, X, SCORES, groups=groups, **options)
        assert len(Recorder.calls) == fits
