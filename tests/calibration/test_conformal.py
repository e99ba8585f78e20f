import math
import pickle
import re
import warnings
from fractions import Fraction

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from mapie.regression import CrossConformalRegressor, SplitConformalRegressor
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, RepeatedKFold, ShuffleSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from ltlearn import Whole
from ltlearn.calibration import ConformalRegressor
from ltlearn.calibration._conformal import rows_needed
from ltlearn.calibration._ladder import Ladder
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import LabelBands, expected_score
from ltlearn.model_selection import BinnedStratifiedKFold

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 2))
Y = np.exp(X[:, 0]) * (1 + 0.3 * RNG.normal(size=600))
few_rows = pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")


class NormalRegressor(RegressorMixin, BaseEstimator):
    """Least squares; normal quantiles whose deviation grows with the first column.

    ``narrowness`` divides the deviation: above 1 the regressor is overconfident.
    """

    def __init__(self, narrowness=1.0):
        self.narrowness = narrowness

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y, y_numeric=True)
        self.inner_ = LinearRegression().fit(X, y, sample_weight)
        self.deviation_ = np.std(y - self.inner_.predict(X)) / self.narrowness
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.inner_.predict(validate_data(self, X, reset=False))

    def predict_quantiles(self, X, levels):
        center = self.predict(X)[:, None]
        spread = self.deviation_ * (0.5 + np.abs(np.asarray(X)[:, :1]))
        return center + spread * norm.ppf(levels)


class FirstColumn(RegressorMixin, BaseEstimator):
    """Predicts the first column, fitted or not."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.asarray(X)[:, 0]


class FirstColumnQuantiles(FirstColumn):
    def predict_quantiles(self, X, levels):
        return np.asarray(X)[:, :1] + 0.3 * norm.ppf(levels)


@few_rows
@parametrize_with_checks(
    [
        ConformalRegressor(LinearRegression(), confidence_level=0.5),
        ConformalRegressor(DecisionTreeRegressor(random_state=0), confidence_level=0.5, cv=3),
        ConformalRegressor(NormalRegressor(), confidence_level=0.5, n_bands=1),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("level", [0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.99999])
def test_rows_needed_by_counting_in_fractions(level):
    exact = Fraction(str(level))
    n_rows = next(n for n in range(1, 10**6) if math.ceil((n + 1) * exact) <= n)
    assert rows_needed(level) == n_rows


@few_rows
@pytest.mark.parametrize("model", [FirstColumn(), FirstColumnQuantiles()])
@pytest.mark.parametrize(("n_held_out", "level"), [(9, 0.9), (25, 0.9), (60, 0.7)])
def test_coverage_over_many_fits_is_that_of_the_rank(model, n_held_out, level):
    """Split conformal prediction covers rank / (n + 1) exactly, on average over held-out rows."""
    n_fits, n_new = 150, 100
    frozen = FrozenEstimator(model.fit(None, None))
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(n_fits):
        features = rng.exponential(size=(n_held_out + n_new, 1))
        y = features[:, 0] + rng.standard_t(3, size=len(features)) * features[:, 0]
        conformal = ConformalRegressor(frozen, confidence_level=level)
        conformal.fit(features[:n_held_out], y[:n_held_out])
        low, high = conformal.predict_interval(features[n_held_out:]).T
        covered.append(np.mean((low <= y[n_held_out:]) & (y[n_held_out:] <= high)))
    rank = math.ceil((n_held_out + 1) * Fraction(str(level)))
    error = np.std(covered) / np.sqrt(n_fits)
    assert np.mean(covered) == pytest.approx(rank / (n_held_out + 1), abs=4 * error)


@few_rows
@pytest.mark.parametrize(
    "model", [LinearRegression(), KNeighborsRegressor(1), NormalRegressor(narrowness=3)]
)
def test_cross_conformal_coverage_over_many_fits(model):
    """At least 2c - 1 always, and close to c for what is not pathological."""
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(30):
        features = rng.normal(size=(240, 2))
        y = features[:, 0] + rng.normal(size=240) * (0.2 + np.abs(features[:, 1]))
        conformal = ConformalRegressor(model, confidence_level=0.8).fit(features[:40], y[:40])
        low, high = conformal.predict_interval(features[40:]).T
        covered.append(np.mean((low <= y[40:]) & (y[40:] <= high)))
    assert 0.78 < np.mean(covered) < 0.87


def test_split_against_a_loop():
    model = ConformalRegressor(Ridge(), n_bands=3).fit(
        X[:200], Y[:200], X_val=X[200:], y_val=Y[200:]
    )
    ridge = Ridge().fit(X[:200], Y[:200])
    held_out = ridge.predict(X[200:])
    borders = np.sort(held_out)[[133, 266]]  # thirds of 400: up to row 399 // 3 and 2 * 399 // 3
    np.testing.assert_array_equal(model.band_edges_, np.sort(held_out)[[133, 266]])
    for row, (low, high) in zip(X[:50], model.predict_interval(X[:50]), strict=True):
        center = ridge.predict([row])[0]
        band = sum(center > border for border in borders)
        residuals = sorted(
            abs(y - p)
            for y, p in zip(Y[200:], held_out, strict=True)
            if sum(p > border for border in borders) == band
        )
        radius = residuals[math.ceil((len(residuals) + 1) * 0.9) - 1]
        assert (low, high) == pytest.approx((center - radius, center + radius))


def test_cross_against_a_loop():
    model = ConformalRegressor(Ridge(), cv=KFold(3), confidence_level=0.8, n_bands=2).fit(X, Y)
    folds = [(Ridge().fit(X[train], Y[train]), test) for train, test in KFold(3).split(X)]
    centers = Ridge().fit(X, Y).predict(X[:20])
    held_out = np.concatenate([ridge.predict(X[test]) for ridge, test in folds])
    border = np.sort(held_out)[299]
    for row, center, interval in zip(X, centers, model.predict_interval(X[:20]), strict=False):
        lows, highs = [], []
        for ridge, test in folds:
            prediction = ridge.predict([row])[0]
            for own, y in zip(ridge.predict(X[test]), Y[test], strict=True):
                if (own > border) == (center > border):
                    lows.append(prediction - abs(y - own))
                    highs.append(prediction + abs(y - own))
        rank = math.ceil((len(lows) + 1) * Fraction("0.8"))
        expected = [sorted(lows, reverse=True)[rank - 1], sorted(highs)[rank - 1]]
        np.testing.assert_allclose(interval, expected)


def test_intervals_of_mapie():
    """An independent implementation, which knows no bands."""
    ridge = Ridge().fit(X[:200], Y[:200])
    theirs = SplitConformalRegressor(ridge, confidence_level=0.9).conformalize(X[200:], Y[200:])
    _, expected = theirs.predict_interval(X[:100])
    ours = ConformalRegressor(FrozenEstimator(ridge), n_bands=1).fit(X[200:], Y[200:])
    np.testing.assert_allclose(ours.predict_interval(X[:100]), expected[:, :, 0])

    theirs = CrossConformalRegressor(Ridge(), confidence_level=0.9, cv=KFold(4))
    _, expected = theirs.fit_conformalize(X, Y).predict_interval(X[:100])
    ours = ConformalRegressor(Ridge(), cv=KFold(4), n_bands=1).fit(X, Y)
    np.testing.assert_allclose(ours.predict_interval(X[:100]), expected[:, :, 0])


class TestLadder:
    """Conformity scores of quantiles against a search for the first interval that holds a label."""

    @pytest.fixture
    def ladder(self):
        return Ladder.from_quantiles(FirstColumnQuantiles(), RNG.normal(size=(200, 1)))

    def test_rungs_are_central_intervals(self, ladder):
        for j, coverage in enumerate(ladder.coverages):
            half = 0.3 * norm.ppf((1 + coverage) / 2)
            np.testing.assert_allclose(
                ladder.upper[:, j] - ladder.lower[:, j], 2 * half, atol=1e-12
            )
        assert ladder.coverages[0] == 0
        assert ladder.heights[-1] == 0

    @pytest.mark.parametrize("spread", [0.05, 0.3, 3.0])
    def test_scores_by_search(self, ladder, spread):
        y = ladder.lower[:, 0] + spread * RNG.normal(size=200)
        grid = np.linspace(-1, 12, 13001)
        lower, upper = ladder.ends(grid)
        holds = (lower <= y[:, None]) & (y[:, None] <= upper)
        first = grid[holds.argmax(axis=1)]
        np.testing.assert_allclose(ladder.scores(y), first, atol=1.1e-3)
        assert np.all(np.diff(holds.astype(int), axis=1) >= 0)

    def test_labels_at_the_rungs(self, ladder):
        for j in range(1, len(ladder.coverages)):
            for ends in (ladder.lower, ladder.upper):
                np.testing.assert_allclose(ladder.scores(ends[:, j]), ladder.heights[j], atol=1e-9)
        np.testing.assert_allclose(ladder.scores(ladder.upper[:, 0]), ladder.heights[0])

    def test_quantiles_that_coincide(self):
        """Zero-inflated: most quantiles are 0."""
        coverages = np.array([0, 0.5, 0.9])
        zeros = np.zeros((4, 3))
        ladder = Ladder(coverages, zeros, np.array([[0, 0, 2.0]] * 4))
        scores = ladder.scores(np.array([0.0, 1.0, 2.0, 5.0]))
        np.testing.assert_allclose(scores, [-0.9, -0.2, 0.0, 3.0])
        np.testing.assert_allclose(ladder.ends(np.array([-0.2]))[1], [[1.0]] * 4)


def test_widths_follow_the_errors_of_each_band():
    rng = np.random.default_rng(3)
    features = rng.exponential(size=(12000, 1))
    y = features[:, 0] * (1 + 0.5 * rng.normal(size=12000))
    frozen = FrozenEstimator(FirstColumn().fit(None, None))
    banded, flat = (
        ConformalRegressor(frozen, n_bands=n).fit(features[:4000], y[:4000]) for n in ("auto", 1)
    )
    assert banded.n_held_out_.tolist() == [400] * 10
    new, y = features[4000:], y[4000:]
    top = new[:, 0] > np.quantile(features[:4000], 0.9)
    for model, expected in ((banded, 0.9), (flat, None)):
        low, high = model.predict_interval(new).T
        is_covered = (low <= y) & (y <= high)
        assert np.mean(is_covered) == pytest.approx(0.9, abs=0.02)
        if expected:
            assert np.mean(is_covered[top]) == pytest.approx(expected, abs=0.05)
        else:
            assert np.mean(is_covered[top]) < 0.75
    # Noise of deviation x / 2: the interval of a narrow band is about ± 1.64 x / 2.
    low, high = banded.predict_interval([[0.5], [1.0]]).T
    np.testing.assert_allclose((high - low) / 2, 1.645 * np.array([0.5, 1.0]) / 2, rtol=0.15)


def test_quantiles_give_every_row_its_width():
    rng = np.random.default_rng(4)
    features = rng.normal(size=(4000, 2))
    y = features[:, 0] + rng.normal(size=4000) * (0.5 + np.abs(features[:, 0]))
    model = ConformalRegressor(NormalRegressor(narrowness=1.5), n_bands=1).fit(features, y)
    for level in (0.5, 0.9):
        low, high = model.predict_interval([[0.0, 0.0], [2.0, 0.0]], level).T
        exact = norm.ppf((1 + level) / 2) * np.array([0.5, 2.5])
        np.testing.assert_allclose((high - low) / 2, exact, rtol=0.12)


@few_rows
@pytest.mark.parametrize("model", [LinearRegression(), NormalRegressor(3.0), NormalRegressor(0.3)])
@pytest.mark.parametrize("validated", [True, False])
def test_intervals_are_nested_and_hold_the_center(model, validated):
    held_out = {"X_val": X[60:], "y_val": Y[60:]} if validated else {}
    conformal = ConformalRegressor(model, confidence_level=0.5, cv=7).fit(
        X[:60], Y[:60], **held_out
    )
    center = conformal.predict(X)
    before = np.column_stack([center, center])
    for level in (1e-9, 0.02, 0.1, 0.3, 0.5, 0.8, 0.9, 0.98):
        low, high = conformal.predict_interval(X, level).T
        assert np.all(low <= before[:, 0] + 1e-12)
        assert np.all(high >= before[:, 1] - 1e-12)
        before = np.column_stack([low, high])


def test_default_level_and_others():
    model = ConformalRegressor(Ridge(), confidence_level=0.8).fit(X, Y)
    np.testing.assert_array_equal(model.predict_interval(X), model.predict_interval(X, 0.8))
    assert model.predict_interval(X).shape == (600, 2)
    for level in (0, 1, 1.5, -0.1, np.nan, "high", [0.9], True):
        with pytest.raises(ValueError, match="confidence_level must be"):
            model.predict_interval(X, level)


def test_too_few_rows_are_said_and_what_is_needed():
    with pytest.raises(ValueError, match=r"8 held-out rows in 1 band are too few .* needs 9"):
        ConformalRegressor(Ridge()).fit(X, Y, X_val=X[:8], y_val=Y[:8])
    with pytest.raises(ValueError, match=r"600 held-out rows in 50 bands .* needs 19 in each"):
        ConformalRegressor(Ridge(), confidence_level=0.95, n_bands=50).fit(X, Y)
    short = ShuffleSplit(1, test_size=8, random_state=0)  # known only after the folds are
    with pytest.raises(ValueError, match=r"8 held-out rows in 1 band are too few"):
        ConformalRegressor(Ridge(), cv=short).fit(X, Y)
    model = ConformalRegressor(Ridge(), n_bands=8).fit(X, Y)
    with pytest.raises(ValueError, match=r"0.99 needs 99 held-out rows in every band.*has 75"):
        model.predict_interval(X, 0.99)
    with pytest.warns(SmallSampleWarning, match=r"9 held-out rows: nine of ten .* between 72% and"):
        model = ConformalRegressor(Ridge()).fit(X, Y, X_val=X[:9], y_val=Y[:9])
    assert np.all(np.isfinite(model.predict_interval(X)))


def test_the_warning_says_the_spread_of_coverage():
    with pytest.warns(SmallSampleWarning, match="50 held-out rows") as record:
        ConformalRegressor(Ridge()).fit(X, Y, X_val=X[:50], y_val=Y[:50])
    assert record[0].filename == __file__
    said = re.search(r"between (\d+)% and (\d+)%", str(record[0].message)).groups()
    # Uniform scores: the one of rank 46 of 50 is the coverage.
    coverages = np.sort(np.random.default_rng(0).uniform(size=(20000, 50)), axis=1)[:, 45]
    expected = 100 * np.quantile(coverages, [0.05, 0.95])
    np.testing.assert_allclose(np.array(said, float), expected, atol=1.1)


@few_rows
def test_equal_predictions_share_a_band():
    y = RNG.normal(size=300)
    constant = ConformalRegressor(LinearRegression(), n_bands=5).fit(np.zeros((300, 1)), y)
    assert constant.n_held_out_.sum() == 300
    assert np.all(constant.n_held_out_ >= 9)
    two = np.repeat([0.0, 1.0], [290, 10])[:, None]
    frozen = FrozenEstimator(FirstColumn().fit(None, None))
    model = ConformalRegressor(frozen, n_bands=10).fit(two, y)
    assert model.n_held_out_.tolist() == [290, 10]
    assert np.all(np.isfinite(model.predict_interval([[-9.0], [0.5], [9.0]])))
    equal = ConformalRegressor(Ridge()).fit(X[:100], np.ones(100))
    np.testing.assert_allclose(equal.predict_interval(X), 1.0)


WEIGHTS = RNG.integers(0, 3, size=600)


def test_weights_reach_the_regressor_and_rows_of_weight_zero_are_absent():
    model = ConformalRegressor(Ridge(), cv=KFold(3)).fit(X, Y, sample_weight=WEIGHTS.tolist())
    np.testing.assert_allclose(model.estimator_.coef_, Ridge().fit(X, Y, WEIGHTS).coef_)
    expected = []
    for train, test in KFold(3).split(X):
        ridge = Ridge().fit(X[train], Y[train], WEIGHTS[train])
        test = test[WEIGHTS[test] > 0]
        expected.append(np.abs(Y[test] - ridge.predict(X[test])))
    for scores, of_fold in zip(model.conformity_scores_, expected, strict=True):
        np.testing.assert_allclose(scores, of_fold)
    frozen = FrozenEstimator(Ridge().fit(X, Y))
    assert ConformalRegressor(frozen).fit(X, Y, sample_weight=WEIGHTS).n_held_out_.sum() == sum(
        WEIGHTS > 0
    )


def test_weights_of_training_do_not_move_the_coverage():
    in_tail = np.quantile(Y, 0.9) < Y
    frozen = FrozenEstimator(Ridge().fit(X, Y))
    weighted = ConformalRegressor(frozen).fit(X, Y, sample_weight=1 + 9.0 * in_tail)
    plain = ConformalRegressor(frozen).fit(X, Y)
    np.testing.assert_array_equal(weighted.predict_interval(X), plain.predict_interval(X))


def test_weights_that_the_regressor_does_not_take():
    with pytest.raises(TypeError, match="does not take sample_weight"):
        ConformalRegressor(KNeighborsRegressor()).fit(X, Y, sample_weight=WEIGHTS)


def test_weights_and_groups_are_routed():
    groups = RNG.integers(0, 40, size=600)
    with sklearn.config_context(enable_metadata_routing=True):
        ridge = Ridge().set_fit_request(sample_weight=True)
        model = ConformalRegressor(make_pipeline(ridge)).set_fit_request(sample_weight=True)
        model.fit(X, Y, sample_weight=WEIGHTS + 1, groups=groups)
    for (train, test), fold in zip(
        BinnedStratifiedKFold(5).split(X, Y, groups), model.fold_estimators_, strict=True
    ):
        expected = Ridge().fit(X[train], Y[train], WEIGHTS[train] + 1)
        np.testing.assert_allclose(fold[-1].coef_, expected.coef_)
        assert not set(groups[train]) & set(groups[test])


def test_kinds_of_cv():
    one = ConformalRegressor(Ridge(), cv=ShuffleSplit(1, test_size=0.5, random_state=0)).fit(X, Y)
    assert one.n_held_out_.sum() == 300
    train, test = next(ShuffleSplit(1, test_size=0.5, random_state=0).split(X))
    ridge = FrozenEstimator(Ridge().fit(X[train], Y[train]))
    split = ConformalRegressor(ridge).fit(X[test], Y[test])
    inside = np.abs(one.predict(X) - split.predict(X)) < 1  # the centers differ
    np.testing.assert_allclose(one.conformity_scores_[0], split.conformity_scores_[0])
    assert np.all(inside)
    default, five, four = (ConformalRegressor(Ridge(), cv=cv).fit(X, Y) for cv in (None, 5, 4))
    assert [len(m.fold_estimators_) for m in (default, five, four)] == [5, 5, 4]
    with pytest.raises(ValueError, match="more than once"):
        ConformalRegressor(Ridge(), cv=RepeatedKFold(n_splits=3, n_repeats=2)).fit(X, Y)
    with pytest.raises(ValueError, match="holds out no row"):
        ConformalRegressor(Ridge(), cv=[(np.arange(600), np.arange(0))]).fit(X, Y)


def test_validation_rows_come_in_pairs_and_whole():
    with pytest.raises(ValueError, match="belong together"):
        ConformalRegressor(Ridge()).fit(X, Y, X_val=X[:100])
    with pytest.raises(ValueError, match="X_val=ltlearn"):
        ConformalRegressor(Ridge()).fit(X, Y, X_val=X, y_val=Y)
    with pytest.raises(ValueError, match="X_val 100 and y_val 99"):
        ConformalRegressor(Ridge()).fit(X, Y, X_val=X[:100], y_val=Y[:99])
    with pytest.raises(ValueError, match="y_val contains NaN"):
        ConformalRegressor(Ridge()).fit(X, Y, X_val=X[:100], y_val=np.full(100, np.nan))
    whole = ConformalRegressor(Ridge()).fit(X, Y, X_val=Whole(X), y_val=Whole(Y))
    assert whole.n_held_out_.sum() == 600


WRAPPED = [
    make_pipeline(StandardScaler(), NormalRegressor()),
    make_pipeline(NormalRegressor()),
    GridSearchCV(NormalRegressor(), {"narrowness": [1.0]}, cv=2),
    make_pipeline(StandardScaler(), GridSearchCV(NormalRegressor(), {"narrowness": [1.0]}, cv=2)),
]


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_quantiles_are_found_inside_wrappers(wrapped):
    fitted = wrapped.fit(X[:300], Y[:300])
    for model in (clone(wrapped), FrozenEstimator(fitted)):
        conformal = ConformalRegressor(model)
        conformal.fit(X[:300], Y[:300], X_val=X[300:550], y_val=Y[300:550])
        low, high = conformal.predict_interval(X).T
        assert np.ptp(high - low) > 0.1
        assert np.all(conformal.conformity_scores_[0].min() < 0)


class VoteRegressor(NormalRegressor):
    """Learns from votes; its quantiles are those of votes, not of mean scores."""

    def fit(self, X, y):
        self.bin_centers_ = np.array([0.0, 10.0, 40.0])
        return super().fit(X, expected_score(y, bin_centers=self.bin_centers_))


def test_votes_count_as_scores_and_by_residuals():
    first = 1 / (1 + np.exp(-X[:, 0]))
    votes = np.column_stack([1 - first, first / 2, first / 2])
    scores = votes @ [0, 10, 40]
    model = ConformalRegressor(VoteRegressor(), cv=KFold(3)).fit(X, votes)
    low, high = model.predict_interval(X).T
    assert np.mean((low <= scores) & (scores <= high)) == pytest.approx(0.9, abs=0.05)
    residuals = np.concatenate(model.conformity_scores_)
    assert np.all(residuals >= 0)
    assert model.label_bands_ == LabelBands.from_density(scores)
    assert model.score(X, votes) > 0.5


@few_rows
def test_predictions_that_are_not_finite():
    class Broken(FirstColumn):
        def predict(self, X):
            return np.full(len(X), np.nan)

    with pytest.raises(ValueError, match="predict of Broken contains NaN"):
        ConformalRegressor(Broken()).fit(X, Y)

    class BrokenQuantiles(FirstColumn):
        def predict_quantiles(self, X, levels):
            return np.full((len(X), len(levels)), np.inf)

    with pytest.raises(ValueError, match="predict_quantiles of BrokenQuantiles contains infinity"):
        ConformalRegressor(BrokenQuantiles()).fit(X, Y)

    class Narrow(FirstColumn):
        def predict_quantiles(self, X, levels):
            return np.zeros((len(X), 3))

    with pytest.raises(ValueError, match=r"a column for each of \d+ levels, got 3"):
        ConformalRegressor(Narrow()).fit(X, Y)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_units_do_not_matter(scale):
    for model in (LinearRegression(), NormalRegressor(3.0)):
        plain = ConformalRegressor(model).fit(X, Y).predict_interval(X)
        scaled = ConformalRegressor(model).fit(X, scale * Y).predict_interval(X)
        np.testing.assert_allclose(scaled, scale * plain, rtol=1e-6, atol=1e-9 * scale)


def test_large_matrices_are_cut(monkeypatch):
    model = ConformalRegressor(Ridge(), n_bands=2).fit(X, Y)
    whole = model.predict_interval(X)
    monkeypatch.setattr("ltlearn.calibration._conformal._MAX_CELLS", 1000)
    np.testing.assert_array_equal(model.predict_interval(X), whole)


def test_pickles_clones_threads_and_names():
    frame = pd.DataFrame(X, columns=["left", "right"])
    model = ConformalRegressor(NormalRegressor(), n_bands=2).fit(frame, Y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_interval(frame), model.predict_interval(frame))
    np.testing.assert_array_equal(model.feature_names_in_, ["left", "right"])
    with joblib.parallel_config("threading"):
        together = clone(model).set_params(n_jobs=2).fit(frame, Y)
    np.testing.assert_array_equal(together.predict_interval(frame), model.predict_interval(frame))
    with pytest.raises(sklearn.exceptions.NotFittedError):
        clone(model).predict_interval(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GridSearchCV(ConformalRegressor(Ridge()), {"estimator__alpha": [1, 10]}, cv=2).fit(X, Y)
