"""TunedTailCV against plain loops that fit, turn the dial and count."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logit
from sklearn.base import BaseEstimator, RegressorMixin, clone, is_classifier, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from ltlearn import ELTARegressor, GranularClassifier, PLDAClassifier, Whole
from ltlearn.calibration import LogitAdjuster, TailDial
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import ClassBands, LabelBands
from ltlearn.model_selection import BinnedStratifiedKFold, RareClassStratifiedKFold, TunedTailCV
from ltlearn.weighting import label_density

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 2))
Y = np.exp(X[:, 0] + 0.8 * RNG.logistic(size=600) / 1.8)
CODES = np.repeat(np.arange(4), [330, 180, 70, 20])
XC = np.random.default_rng(1).normal(size=(600, 4)) + np.eye(4)[CODES] * 1.2
C = np.array(["a", "b", "c", "d"])[CODES]
few_rows = pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")


class Quantiles(RegressorMixin, BaseEstimator):
    """Least squares with logistic quantiles; counts its fits and predictions."""

    counts = {"fit": 0, "predict_quantiles": 0}

    def __init__(self, spread=0.6):
        self.spread = spread

    def fit(self, X, y, sample_weight=None):
        self.counts["fit"] += 1
        X, y = validate_data(self, X, y, y_numeric=True)
        self.inner_ = LinearRegression().fit(X, y, sample_weight)
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.inner_.predict(validate_data(self, X, reset=False))

    def predict_quantiles(self, X, levels):
        self.counts["predict_quantiles"] += 1
        return self.predict(X)[:, None] + self.spread * logit(np.asarray(levels))


class LogQuantiles(Quantiles):
    """The same for the logarithm of the label."""

    def fit(self, X, y):
        return super().fit(X, np.log(y))

    def predict_quantiles(self, X, levels):
        return np.exp(super().predict_quantiles(X, levels))


def dial(**params):
    return TailDial(Quantiles(), **params)


def adjuster(**params):
    return LogitAdjuster(LogisticRegression(), **params)


@few_rows
@parametrize_with_checks([TunedTailCV(dial(), cv=2), TunedTailCV(adjuster(), cv=2)])
def test_sklearn_checks(estimator, check):
    check(estimator)


# Plain loops


def by_hand_scores(y, predictions, weight, bands, density, budget, tails):
    """Overall and tail errors of each setting, row by row, and the setting to choose."""
    overall, tail = [], []
    rows_of = {name: [] for name in bands.names}
    for i in range(len(y)):
        if weight[i] > 0:
            rows_of[bands.names[bands.assign(y[i : i + 1])[0]]].append(i)
    used = [name for name, rows in rows_of.items() if len(rows) >= 20]
    present = [i for i in range(len(y)) if weight[i] > 0]
    n_rare = -(-len(present) // 10)
    limit = sorted(density[i] for i in present)[n_rare - 1]
    rare = [i for i in present if density[i] <= limit]

    def mean(column, rows):
        total = sum(weight[i] for i in rows)
        return sum(weight[i] * abs(predictions[i][column] - y[i]) for i in rows) / total

    for column in range(len(tails)):
        overall.append(mean(column, present))
        if "few" in used and len(used) > 1:
            tail.append(sum(mean(column, rows_of[name]) for name in used) / len(used))
        else:
            tail.append(mean(column, rare))
    best = 0
    for column in range(len(tails)):
        affordable = overall[column] <= overall[0] * (1 + budget)
        if affordable and tail[column] < tail[best] * (1 - 1e-9):
            best = column
    return np.array(overall), np.array(tail), tails[best]


def by_hand_classes(y, predictions, weight, bands, budget, tails):
    overall, few, every = [], [], []
    present = sorted({y[i] for i in range(len(y)) if weight[i] > 0})
    in_few = {c for c in present if bands.names[bands.assign([c])[0]] == "few"}
    n_few = sum(weight[i] > 0 and y[i] in in_few for i in range(len(y)))
    for column in range(len(tails)):
        hits = [float(predictions[i][column] == y[i]) for i in range(len(y))]
        overall.append(np.dot(hits, weight) / np.sum(weight))
        recall = {}
        for c in present:
            rows = [i for i in range(len(y)) if y[i] == c and weight[i] > 0]
            recall[c] = sum(hits[i] * weight[i] for i in rows) / sum(weight[i] for i in rows)
        every.append(sum(recall.values()) / len(recall))
        few.append(sum(recall[c] for c in in_few) / max(len(in_few), 1))
    tail = few if 20 <= n_few < np.count_nonzero(weight) else every
    best = 0
    for column in range(len(tails)):
        affordable = overall[column] >= overall[0] - budget - 1e-9
        if affordable and tail[column] > tail[best] - 1e-9:
            best = column
    while best and list(predictions[:, best]) == list(predictions[:, best - 1]):
        best -= 1
    return np.array(overall), np.array(tail), tails[best]


def cross_predict(make, X, y, splits, tails, weight=None):
    """Held-out rows, and their predictions by estimators made for each fold and setting."""
    rows, predictions = [], []
    for train, test in splits:
        given = {} if weight is None else {"sample_weight": weight[train]}
        fitted = [make(tail).fit(X[train], y[train], **given) for tail in tails]
        rows.append(test)
        predictions.append(np.stack([model.predict(X[test]) for model in fitted], axis=1))
    return np.concatenate(rows), np.concatenate(predictions)


TAILS = np.round(np.arange(31) * 0.05, 2)
SOME = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


@pytest.mark.parametrize("budget", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("prediction", ["mean", "median"])
def test_scores_by_cross_validation(budget, prediction):
    model = TunedTailCV(dial(prediction=prediction), budget=budget).fit(X, Y)
    splits = list(BinnedStratifiedKFold(5).split(X, Y))
    rows, predictions = cross_predict(
        lambda tail: dial(tail=tail, prediction=prediction), X, Y, splits, TAILS
    )
    bands, density = LabelBands.from_density(Y), label_density(Y, at=Y[rows])
    overall, tail, chosen = by_hand_scores(
        Y[rows], predictions, np.ones(600), bands, density, budget, TAILS
    )
    assert_allclose(model.frontier_["overall"], overall)
    assert_allclose(model.frontier_["tail_error"], tail)
    assert model.tail_ == pytest.approx(chosen)
    assert model.estimator_.tail == model.tail_
    whole = dial(prediction=prediction, tail=model.tail_).fit(X, Y)
    assert_array_equal(model.predict(X), whole.predict(X))
    assert "few" in model.tail_measure_


def test_a_larger_budget_buys_more():
    skewed = TailDial(LogQuantiles(), prediction="median")
    models = [TunedTailCV(skewed, budget=budget, cv=3).fit(X, Y) for budget in (0, 0.02, 0.1)]
    assert models[0].tail_ <= models[1].tail_ < models[2].tail_
    for model in models:
        chosen = model.frontier_["tail"] == model.tail_
        overall = model.frontier_["overall"]
        assert overall[chosen] <= overall[0] * (1 + model.budget) * (1 + 1e-9)
        within = model.frontier_["within_budget"]
        assert model.frontier_["tail_error"][chosen] == model.frontier_["tail_error"][within].min()


@pytest.mark.parametrize("budget", [0.0, 0.02, 0.1])
def test_classes_by_cross_validation(budget):
    model = TunedTailCV(adjuster(), budget=budget, tails=SOME).fit(XC, C)
    splits = list(RareClassStratifiedKFold(5).split(XC, C))
    rows, predictions = cross_predict(lambda tau: adjuster(tau=tau), XC, C, splits, SOME)
    overall, tail, chosen = by_hand_classes(
        C[rows], predictions, np.ones(len(rows)), ClassBands.from_labels(C), budget, SOME
    )
    assert_allclose(model.frontier_["overall"], overall)
    assert_allclose(model.frontier_["tail_accuracy"], tail)
    assert model.tail_ == chosen
    assert_array_equal(model.predict(XC), adjuster(tau=chosen).fit(XC, C).predict(XC))
    assert_array_equal(model.classes_, np.unique(C))


def test_few_classes_count_where_there_are_twenty_rows_of_them():
    codes = np.concatenate([CODES, np.full(15, 4)])
    rows = np.concatenate([XC, XC[:15] + 1])
    shown = codes >= 3  # classes of 20 rows, which is medium, and of 15
    for copies, measure in ((1, "all classes"), (2, "few")):
        X_val = np.concatenate([rows] * copies)
        y_val = np.concatenate([codes] * copies)
        model = TunedTailCV(adjuster()).fit(rows, codes, X_val=Whole(X_val), y_val=Whole(y_val))
        assert model.tail_measure_ == f"mean recall, {measure}"
        assert_array_equal(model.frontier_["tail_accuracy"], model.frontier_[measure])
    assert shown.sum() == 35


def test_few_held_out_rows_of_the_few_band_leave_the_rarest_tenth():
    with pytest.warns(SmallSampleWarning, match="90 held-out rows"):
        model = TunedTailCV(dial()).fit(X[:400], Y[:400], X_val=X[400:490], y_val=Y[400:490])
    assert model.tail_measure_ == "rarest tenth of the rows"
    predictions = np.stack([model.predict(X[400:490], tail=tail) for tail in TAILS], axis=1)
    density = label_density(Y[:400], at=Y[400:490])
    bands = LabelBands.from_density(Y[:400])
    overall, tail, chosen = by_hand_scores(
        Y[400:490], predictions, np.ones(90), bands, density, 0.02, TAILS
    )
    assert_allclose(model.frontier_["tail_error"], tail)
    assert_allclose(model.frontier_["overall"], overall)
    assert model.tail_ == pytest.approx(chosen)


def test_squared_errors():
    model = TunedTailCV(dial(), error="squared").fit(X[:400], Y[:400], X_val=X[400:], y_val=Y[400:])
    found = [np.mean((model.predict(X[400:], tail=t) - Y[400:]) ** 2) ** 0.5 for t in TAILS]
    assert_allclose(model.frontier_["overall"], found)
    absolute = TunedTailCV(dial()).fit(X[:400], Y[:400], X_val=X[400:], y_val=Y[400:])
    assert not np.allclose(absolute.frontier_["overall"], found)


# Ways to hold out


def test_validation_rows_are_seen_by_the_dial_alone():
    model = TunedTailCV(dial()).fit(X[:400], Y[:400], X_val=X[400:], y_val=Y[400:])
    fitted = dial().fit(X[:400], Y[:400])
    prefit = TunedTailCV(fitted, cv="prefit").fit(X[400:], Y[400:])
    assert_array_equal(model.predict(X), prefit.predict(X))
    assert_array_equal(model.frontier_["tail_error"], prefit.frontier_["tail_error"])
    assert model.bands_ == fitted.label_bands_ == prefit.bands_


def test_a_fitted_estimator_stays_as_it_is():
    fitted = make_pipeline(StandardScaler(), PLDAClassifier()).fit(XC[::2], C[::2])
    before = fitted.predict_proba(XC)
    model = TunedTailCV(fitted, cv="prefit", budget=0.05).fit(XC[1::2], C[1::2])
    assert_array_equal(fitted.predict_proba(XC), before)
    assert fitted[-1].prior == "balanced"
    assert model.estimator_[0] is fitted[0]
    assert_array_equal(model.bands_.class_counts, fitted[-1].class_counts_)
    frozen = TunedTailCV(FrozenEstimator(fitted), budget=0.05).fit(XC[1::2], C[1::2])
    assert frozen.tail_ == model.tail_


@few_rows
def test_one_split_of_a_share_of_the_rows():
    model = TunedTailCV(dial(), cv=0.25, random_state=0, store_cv_results=True).fit(X, Y)
    rows = model.cv_results_["row"]
    assert len(np.unique(rows)) == len(rows) == 150
    train = np.setdiff1d(np.arange(600), rows)
    same = TunedTailCV(dial()).fit(X[train], Y[train], X_val=X[rows], y_val=Y[rows], groups=None)
    assert_allclose(model.frontier_["overall"], same.frontier_["overall"])
    kept = clone(model).set_params(refit=False).fit(X, Y)
    assert_allclose(kept.predict(X, tail=0.0), same.predict(X, tail=0.0))
    assert_array_equal(model.predict(X, tail=0.0), dial().fit(X, Y).predict(X))
    assert_array_equal(clone(model).fit(X, Y).cv_results_["row"], rows)


@few_rows
def test_one_split_of_classes_keeps_rare_ones_in_training():
    codes = np.append(CODES, 4)
    rows = np.append(XC, XC[:1], axis=0)
    model = TunedTailCV(adjuster(), cv=0.3, random_state=0, store_cv_results=True)
    held_out = model.fit(rows, codes).cv_results_["row"]
    assert 600 not in held_out
    assert abs(len(held_out) - 180) < 5


@few_rows
@pytest.mark.parametrize("cv", [KFold(3), 3, 0.3, list(KFold(3).split(X))])
def test_kept_predictions_are_those_of_held_out_rows(cv):
    model = TunedTailCV(dial(), cv=cv, tails=[0.5], random_state=0, store_cv_results=True).fit(X, Y)
    results = model.cv_results_
    assert_array_equal(results["tail"], [0.0, 0.5])
    errors = np.abs(results["prediction"] - Y[results["row"], None]).mean(axis=0)
    assert_allclose(model.frontier_["overall"], errors)
    assert not hasattr(model.set_params(store_cv_results=False).fit(X, Y), "cv_results_")


def test_groups_stay_together():
    groups = np.arange(600) // 10
    splits = list(GroupKFold(4).split(X, Y, groups))
    model = TunedTailCV(dial(), cv=GroupKFold(4)).fit(X, Y, groups=groups)
    given = TunedTailCV(dial(), cv=splits).fit(X, Y)
    assert_array_equal(model.frontier_["overall"], given.frontier_["overall"])


@few_rows
def test_groups_stay_together_in_one_split():
    groups = np.arange(600) // 10
    for estimator, rows, labels in ((adjuster(), XC, C), (dial(), X, Y)):
        model = TunedTailCV(estimator, cv=0.3, store_cv_results=True, random_state=0)
        held_out = model.fit(rows, labels, groups=groups).cv_results_["row"]
        assert 100 < len(held_out) < 260
        assert not set(groups[held_out]) & set(np.delete(groups, held_out))


def test_one_fit_a_fold_and_one_prediction():
    before = dict(Quantiles.counts)
    TunedTailCV(dial(), cv=3).fit(X, Y)
    made = {name: Quantiles.counts[name] - before[name] for name in before}
    assert made["fit"] == 4
    assert made["predict_quantiles"] == 3 + 4  # TailDial asks for one row after each fit


# Weights


def test_weights_of_held_out_rows_count_like_repeated_rows():
    times = 1 + np.arange(200) % 3
    fitted = dial().fit(X[:400], Y[:400])
    weighted = TunedTailCV(fitted, cv="prefit").fit(X[400:], Y[400:], sample_weight=times)
    repeated = TunedTailCV(fitted, cv="prefit").fit(
        np.repeat(X[400:], times, 0), np.repeat(Y[400:], times)
    )
    for name in ("overall", "many", "medium", "few"):
        assert_allclose(weighted.frontier_[name], repeated.frontier_[name])


@pytest.mark.parametrize("of", ["scores", "classes"])
def test_weights_by_cross_validation(of):
    weight = np.random.default_rng(2).integers(3, size=600).astype(float)
    if of == "scores":
        splits = list(BinnedStratifiedKFold(3).split(X, Y))
        model = TunedTailCV(dial(), cv=3, tails=SOME).fit(X, Y, sample_weight=weight)
        made = cross_predict(lambda tail: dial(tail=tail), X, Y, splits, SOME, weight)
        rows, predictions = made
        expected = by_hand_scores(
            Y[rows],
            predictions,
            weight[rows],
            LabelBands.from_density(Y),
            label_density(Y, at=Y[rows]),
            0.02,
            SOME,
        )
        tail = model.frontier_["tail_error"]
    else:
        splits = list(RareClassStratifiedKFold(3).split(XC, C))
        model = TunedTailCV(adjuster(), cv=3, tails=SOME).fit(XC, C, sample_weight=weight)
        made = cross_predict(lambda tau: adjuster(tau=tau), XC, C, splits, SOME, weight)
        rows, predictions = made
        bands = ClassBands.from_labels(C)
        expected = by_hand_classes(C[rows], predictions, weight[rows], bands, 0.02, SOME)
        tail = model.frontier_["tail_accuracy"]
    assert_allclose(model.frontier_["overall"], expected[0])
    assert_allclose(tail, expected[1])
    assert model.tail_ == expected[2]


# Which setting


def test_settings_that_change_nothing_leave_the_dial_at_zero():
    model = TunedTailCV(TailDial(Quantiles(spread=0.0)), cv=3).fit(X, Y)
    assert np.ptp(model.frontier_["overall"]) < 1e-9
    assert model.tail_ == 0.0
    balanced = LogitAdjuster(LogisticRegression(class_weight="balanced"))
    assert TunedTailCV(balanced, cv=3).fit(XC, C).tail_ == 0.0


def test_of_settings_that_serve_few_rows_alike_classes_take_the_largest():
    codes = np.concatenate([CODES, np.full(15, 4)])
    rows = np.concatenate([XC, XC[:15] + 1])
    right = adjuster(tau=0.0).fit(rows, codes).predict(rows) == codes
    held_out = np.flatnonzero(right | (codes != 4))  # those of the few class are all right
    held_out = held_out.repeat(np.where(codes[held_out] == 4, 20, 1))
    X_val, y_val = rows[held_out], codes[held_out]
    model = TunedTailCV(adjuster(), budget=0.05, store_cv_results=True)
    model.fit(rows, codes, X_val=Whole(X_val), y_val=Whole(y_val))
    tails, predictions = model.frontier_["tail"], model.cv_results_["prediction"]
    _, tail, chosen = by_hand_classes(
        y_val, predictions, np.ones(len(y_val)), ClassBands.from_labels(codes), 0.05, tails
    )
    alike = tails[np.isclose(tail, tail.max()) & model.frontier_["within_budget"]]
    assert alike[0] < model.tail_ == chosen


def test_zero_is_the_reference_whatever_the_estimator_was_set_to():
    model = TunedTailCV(dial(tail=1.0), tails=[0.3, 0.1], cv=3).fit(X, Y)
    plain = TunedTailCV(dial(), tails=[0.0, 0.1, 0.3], cv=3).fit(X, Y)
    assert_array_equal(model.frontier_["tail"], [0.0, 0.1, 0.3])
    assert_array_equal(model.frontier_["overall"], plain.frontier_["overall"])
    assert model.tail_ == plain.tail_


# Estimators


def test_the_network_for_tables_with_categories_and_gaps():
    frame = pd.DataFrame({"number": X[:, 0], "kind": np.where(X[:, 1] > 0, "u", "v")})
    frame.loc[::7, "number"] = np.nan
    frame["kind"] = frame["kind"].astype("category")
    network = ELTARegressor(max_epochs=4, prediction="median", random_state=0)
    model = TunedTailCV(network, cv=0.4, random_state=0, budget=0.1).fit(frame, Y)
    assert list(model.feature_names_in_) == ["number", "kind"]
    assert_array_equal(model.predict(frame), model.estimator_.predict(frame))
    levels = model.predict_quantiles(frame, [0.1, 0.9])
    assert_allclose(model.predict_interval(frame, 0.8), levels)
    assert model.predict_distribution(frame).shape == (600, 20)
    assert not hasattr(model, "predict_proba")
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(frame), model.predict(frame))


def test_score_distributions(score_distributions):
    votes_X, votes = score_distributions
    model = TunedTailCV(ELTARegressor(max_epochs=3, random_state=0), cv=0.4, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        model.fit(votes_X, votes)
    assert model.estimator_.loss_ == "emd"
    assert np.isfinite(model.frontier_["overall"]).all()
    assert np.isfinite(model.score(votes_X, votes))


def test_the_network_for_classes():
    network = GranularClassifier(max_epochs=3, random_state=0)
    model = TunedTailCV(network, cv=0.4, random_state=0, budget=0.05).fit(XC, C)
    shares = (np.unique(C, return_counts=True)[1] / 600) ** (1 - model.tail_)
    assert_allclose(model.prediction_prior_, shares / shares.sum(), atol=0.01)
    assert_allclose(model.predict_proba(XC).sum(axis=1), 1, rtol=1e-5)


def test_transformed_targets_and_pipelines():
    inner = TransformedTargetRegressor(dial(), func=np.log, inverse_func=np.exp)
    model = TunedTailCV(make_pipeline(StandardScaler(), inner), cv=3, budget=0.1).fit(X, Y)
    fitted = model.estimator_[-1].regressor_
    assert fitted.tail == model.tail_ > 0
    scaled = StandardScaler().fit_transform(X)
    expected = dial(tail=model.tail_).fit(scaled, np.log(Y)).predict(scaled)
    assert_allclose(model.predict(X), np.exp(expected))


def test_what_kind_of_estimator_it_is():
    assert is_regressor(TunedTailCV(dial()))
    assert is_classifier(TunedTailCV(adjuster()))
    fitted = TunedTailCV(dial(), cv=2).fit(X, Y)
    assert not hasattr(fitted, "classes_")
    assert not hasattr(fitted, "prediction_prior_")
    assert TunedTailCV(adjuster(), cv=2).fit(XC, C).score(XC, C, np.ones(600)) > 0.5


def test_searches_over_the_budget():
    search = GridSearchCV(TunedTailCV(dial(), cv=2), {"budget": [0.0, 0.1]}, cv=3).fit(X, Y)
    assert search.cv_results_["mean_test_score"].shape == (2,)
    assert search.predict(X, **{}).shape == (600,)


def test_routing():
    weight = np.linspace(0.5, 1, 600)
    groups = np.arange(600) // 20
    plain = TunedTailCV(dial(), cv=GroupKFold(3)).fit(X, Y, sample_weight=weight, groups=groups)
    expected = plain.predict(X, tail=0.7)
    with sklearn.config_context(enable_metadata_routing=True):
        inner = TailDial(Quantiles().set_fit_request(sample_weight=True))
        inner.set_fit_request(sample_weight=True).set_predict_request(tail=True, prediction=True)
        model = TunedTailCV(inner, cv=GroupKFold(3)).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        outer = make_pipeline(scaler, model).fit(X, Y, sample_weight=weight, groups=groups)
        assert_allclose(outer[-1].frontier_["overall"], plain.frontier_["overall"])
        assert_allclose(outer.predict(X, tail=0.7), expected)


# Errors


def test_estimators_without_a_dial():
    for estimator, y in ((Ridge(), Y), (KNeighborsClassifier(), C)):
        with pytest.raises(TypeError, match="has no dial"):
            TunedTailCV(estimator).fit(X, y)
    with pytest.raises(ValueError, match='loss="mse"'):
        TunedTailCV(ELTARegressor(loss="mse", max_epochs=1), cv=2).fit(X, Y)


@pytest.mark.parametrize("tails", [[-0.1], ["a"], [[0.1]], [np.inf], [np.nan]])
def test_bad_settings(tails):
    with pytest.raises(ValueError, match="tails must be"):
        TunedTailCV(dial(), tails=tails).fit(X, Y)


def test_held_out_rows_that_cannot_be():
    with pytest.raises(ValueError, match="belong together"):
        TunedTailCV(dial()).fit(X, Y, X_val=X[:9])
    with pytest.raises(ValueError, match="prefit"):
        TunedTailCV(dial().fit(X, Y), cv="prefit").fit(X, Y, X_val=X[:9], y_val=Y[:9])
    with pytest.raises(ValueError, match="refit=False is for one split"):
        TunedTailCV(dial(), cv=3, refit=False).fit(X, Y)
    with pytest.raises(ValueError, match="classes that the estimator lacks"):
        TunedTailCV(adjuster()).fit(XC, C, X_val=XC[:9], y_val=["z"] * 9)
    weight = np.r_[np.ones(400), np.zeros(200)]
    cv = [(np.arange(400), np.arange(400, 600))]
    with pytest.raises(ValueError, match="sample_weight 0"):
        TunedTailCV(dial(), cv=cv).fit(X, Y, sample_weight=weight)
    with pytest.raises(ValueError, match="holds out no row"):
        TunedTailCV(dial(), cv=[(np.arange(600), [])]).fit(X, Y)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        TunedTailCV(dial(), cv="prefit").fit(X, Y)
    with pytest.raises(TypeError, match="sample_weight"):
        TunedTailCV(LogitAdjuster(KNeighborsClassifier())).fit(XC, C, sample_weight=np.ones(600))


def test_rows_held_out_twice_count_twice():
    cv = ShuffleSplit(4, test_size=0.5, random_state=0)
    model = TunedTailCV(dial(), cv=cv, store_cv_results=True, tails=[]).fit(X, Y)
    assert len(model.cv_results_["row"]) == 1200
    assert model.tail_ == 0.0
