"""Estimators on tables: mixed columns with gaps, members, quantiles, the dial."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.options import Architecture
from ltlearn.weighting import label_density

SMALL = {
    "hidden_layer_sizes": (16, 16),
    "architecture": Architecture(n_members=3, n_pieces=8),
    "batch_size": 64,
    "lr": 0.02,
    "max_epochs": 3,
    "random_state": 0,
}


def quick(**params):
    return ELTARegressor(**SMALL).set_params(**params)


@pytest.fixture
def mixed_table():
    """Numbers, categories and dates turned into numbers, all with gaps; (frame, scores)."""
    rng = np.random.default_rng(0)
    n = 150
    size, kind = rng.lognormal(size=n), rng.choice(["flat", "house", "villa"], n, p=[0.6, 0.3, 0.1])
    y = np.exp(0.5 * np.log(size) + (kind == "villa") + 0.1 * rng.normal(size=n))
    frame = pd.DataFrame(
        {
            "size": size,
            "kind": pd.Categorical(kind),
            "city": pd.Series(rng.choice(["Rome", "Oslo", "Bonn"], n), dtype="str"),
            "rooms": pd.array(rng.integers(1, 6, n), dtype="Int64"),
            "is_new": rng.random(n) < 0.5,
            "built": 1.7e9 + rng.uniform(0, 1, n),
        }
    )
    for j, column in enumerate(frame.columns[:4]):
        frame.loc[rng.choice(n, 5 + j, replace=False), column] = None
    return frame, y


@pytest.fixture(scope="module")
def fitted():
    """A model of 400 skewed scores, and the rows; (model, X, y)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    y = np.exp(X @ [0.8, 0.4, 0.2, 0.0] + 0.5 * rng.normal(size=400))
    return quick(max_epochs=60, mixup_strength=0).fit(X, y), X, y


class TestMixedColumns:
    def test_they_go_straight_into_fit(self, mixed_table):
        X, y = mixed_table
        model = quick(max_epochs=40).fit(X, y)
        assert list(model.feature_names_in_) == list(X.columns)
        assert model.score(X, y) > 0.7
        classes = GranularClassifier(backbone="tabular", **SMALL).set_params(max_epochs=40)
        is_villa = np.where(X["kind"] == "villa", "villa", "other")
        assert classes.fit(X, is_villa).score(X, is_villa) > 0.9

    @pytest.mark.parametrize("column", ["size", "kind", "city", "rooms", "is_new", "built"])
    def test_every_column_counts(self, mixed_table, column):
        X, y = mixed_table
        X = X.copy()
        informative = pd.Series(y > np.median(y))
        rng = np.random.default_rng(1)
        for name in X.columns:
            X[name] = X[name].sample(frac=1, random_state=rng).to_numpy()
        X.loc[informative, column], X.loc[~informative, column] = {
            "size": (5.0, 0.1),
            "kind": ("villa", "flat"),
            "city": ("Rome", None),
            "rooms": (None, 2),
            "is_new": (True, False),
            "built": (1.7e9, 1.7e9 + 1e-3),
        }[column]
        model = quick(max_epochs=80, early_stopping=False, dropout=0)
        model.fit(X, informative.to_numpy(float))
        assert np.corrcoef(model.predict(X), informative)[0, 1] > 0.8

    def test_searches_cross_validation_and_pickles(self, mixed_table):
        X, y = mixed_table
        search = GridSearchCV(quick(), {"architecture__n_members": [1, 2]}, cv=2).fit(X, y)
        again = pickle.loads(pickle.dumps(search.best_estimator_))
        np.testing.assert_array_equal(again.predict(X), search.predict(X))
        scores = cross_validate(quick(), X, y, cv=2)["test_score"]
        assert np.isfinite(scores).all()

    def test_categories_and_gaps_that_fit_did_not_see(self, mixed_table):
        X, y = mixed_table
        model = quick().fit(X.dropna(), y[X.notna().all(axis=1)])
        new = X.head(4).copy()
        new["kind"] = ["castle", None, "flat", "flat"]
        new.loc[0, "built"] = np.nan
        assert np.isfinite(model.predict(new)).all()

    def test_validation_rows_are_read_as_the_others(self, mixed_table):
        X, y = mixed_table
        rows = X.iloc[:100], y[:100]
        model = quick(max_epochs=2).fit(*rows, X_val=X.iloc[100:], y_val=y[100:])
        error = np.abs(model.predict(X.iloc[100:], prediction="median") - y[100:]).mean()
        best = min(row["valid_mae"] for row in model.history_)
        assert error == pytest.approx(best, rel=1e-4)
        with pytest.raises(
            ValueError, match=r"X_val is not as X: could not convert .* column 'kind'"
        ):
            quick(categorical_features=["city"]).fit(
                X.assign(kind=1.0), y, X_val=X.iloc[100:], y_val=y[100:]
            )

    def test_validation_rows_teach_nothing_about_scales(self, mixed_table):
        X, y = mixed_table
        other = X.assign(size=100 * X["size"], city="Paris").iloc[:40]
        plain, with_other = (
            quick(early_stopping=False).fit(X, y, X_val=X_val, y_val=y[:40])
            for X_val in (X.iloc[:40], other.assign(size=X["size"].iloc[:40] * 1.5))
        )
        np.testing.assert_array_equal(plain.predict(X), with_other.predict(X))

    def test_tags(self):
        for estimator in (quick(), GranularClassifier(backbone="tabular")):
            tags = estimator.__sklearn_tags__().input_tags
            assert tags.allow_nan
            assert tags.categorical
        for estimator in (quick(backbone="mlp"), GranularClassifier()):
            tags = estimator.__sklearn_tags__().input_tags
            assert not tags.allow_nan
            assert not tags.categorical

    def test_other_backbones_refuse_what_is_for_tables(self, skewed_regression):
        for params, message in [
            ({"categorical_features": [0]}, "categorical_features.* is for the body for tables"),
            ({"architecture__n_members": 2}, "architecture.n_members=2 is for the body for tables"),
            ({"architecture__n_pieces": 2}, "architecture.n_pieces=2 is for the body for tables"),
        ]:
            with pytest.raises(ValueError, match=message):
                ELTARegressor(backbone="mlp").set_params(**params).fit(*skewed_regression)
        with pytest.raises(ValueError, match="batch_norm_head=True is not for the body for tables"):
            GranularClassifier(
                backbone="tabular", architecture=Architecture(batch_norm_head=True)
            ).fit(skewed_regression[0], skewed_regression[1] > 1)

    def test_synthesized_classes_need_numbers(self, mixed_table):
        X, y = mixed_table
        model = GranularClassifier(backbone="tabular", **SMALL)
        model.set_params(auxiliary__synthesize=True)
        with pytest.raises(ValueError, match="X has categories or missing values"):
            model.fit(X, y > 1)
        numbers = X[["is_new", "built"]].astype(float)
        assert model.fit(numbers, y > 1).predict_proba(numbers).shape == (150, 2)

    @pytest.mark.parametrize("n_columns", [1, 200])
    def test_few_and_many_columns(self, n_columns):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(120, n_columns))
        model = quick(max_epochs=20).fit(X, np.exp(X[:, 0]))
        assert (model.net_.module_.backbone.numeric is None) == (n_columns > 128)
        assert np.isfinite(model.predict(X)).all()

    def test_columns_without_information(self):
        y = np.random.default_rng(0).lognormal(size=60)
        X = np.column_stack([np.ones(60), np.full(60, np.nan)])
        predicted = quick(max_epochs=40).fit(X, y).predict(X, prediction="median")
        assert np.ptp(predicted) == 0
        assert np.quantile(y, 0.2) < predicted[0] < np.quantile(y, 0.8)


class TestMembers:
    def test_embed_gives_the_mean_over_members(self, fitted):
        model, X, _ = fitted
        network = model.net_.module_
        with torch.no_grad():
            members = network.features(model._inputs.data(X).X).view(400, 3, 16)
        np.testing.assert_allclose(model.embed(X), members.mean(1), rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("loss", ["quantile", "mse", "emd"])
    def test_the_prediction_is_that_of_the_mean_member(self, skewed_regression, loss):
        X, y = skewed_regression
        model = quick(loss=loss).fit(X, y)
        network = model.net_.module_.double()
        with torch.no_grad():
            X_ready = model._inputs.data(X).X.double()
            members = network.apply_head(network.features(X_ready)).numpy()
        assert members.shape[1] == 3
        if loss == "emd":
            share = np.exp(members) / np.exp(members).sum(axis=2, keepdims=True)
            expected = share.mean(axis=1)
            np.testing.assert_allclose(model.predict_distribution(X), expected, rtol=1e-6)
        elif loss == "mse":
            expected = model.score_mean_ + model.score_scale_ * members.mean(axis=1)[:, 0]
            np.testing.assert_allclose(model.predict(X), expected)
        else:
            middle = np.median(members.mean(axis=1), axis=1)
            unit = np.abs(y - np.median(y)).mean()
            expected = np.median(y) + unit * middle
            got = model.predict(X, prediction="median")
            held_in = np.abs(got - expected).max() / np.ptp(expected)
            assert held_in < 0.05  # the unit is that of the rows that were not held out

    def test_classes_average_probabilities(self, skewed_regression):
        X, y = skewed_regression
        model = GranularClassifier(backbone="tabular", **SMALL).fit(X, y > 1)
        network = model.net_.module_.double()
        with torch.no_grad():
            logits = network.apply_head(network.features(model._inputs.data(X).X.double()))
        np.testing.assert_allclose(model.predict_proba(X), logits.softmax(2).mean(1), rtol=1e-5)

    def test_seeds_and_generators(self, skewed_regression):
        X, y = skewed_regression
        state = torch.get_rng_state()
        model = quick(dropout=0.3)
        first = model.fit(X, y).predict(X)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(7)
        np.testing.assert_array_equal(clone(model).fit(X, y).predict(X), first)
        assert not np.array_equal(
            clone(model).set_params(random_state=1).fit(X, y).predict(X), first
        )

    def test_rows_predict_the_same_alone_and_together(self, fitted):
        model, X, _ = fitted
        together = model.predict(X[:5])
        alone = [model.predict(X[i : i + 1])[0] for i in range(5)]
        np.testing.assert_allclose(alone, together, rtol=1e-9)

    def test_warm_start_keeps_the_members(self, skewed_regression):
        X, y = skewed_regression
        model = ELTARegressor(
            max_epochs=1, warm_start=True, random_state=0, hidden_layer_sizes=(8,)
        )
        model.set_params(architecture__n_members=3, enhancers__head_retraining_epochs=1)
        model.fit(X[:50], y[:50]).set_params(architecture__n_members="auto")
        more = np.random.default_rng(0).normal(size=(1100, 4))  # which by itself wants 4 members
        model.fit(more, np.exp(more[:, 0]))
        assert model.net_.module_.backbone.n_members == 3
        assert np.isfinite(model.predict(X)).all()
        assert len(model.net_.history) == 2
        model.set_params(architecture__n_members=2).fit(X, y)  # the network stays as it is
        assert model.net_.module_.backbone.n_members == 3


class TestDefaults:
    def test_they_follow_the_number_of_rows(self):
        rng = np.random.default_rng(0)
        shapes = []
        for n in (60, 800, 1500):
            X = rng.normal(size=(n, 2))
            body = ELTARegressor(max_epochs=1, random_state=0).fit(X, X[:, 0]).net_.module_.backbone
            shapes.append((body.n_members, body.numeric.piece_weight.shape[2], body.dropouts[0].p))
        assert shapes[0] == (4, 16, 0.2)
        assert shapes[2] == (4, 48, 0.1)
        n_members, n_pieces, dropout = shapes[1]
        assert n_members == 4
        assert 16 < n_pieces < 48
        assert 0.1 < dropout < 0.2

    def test_rows_are_held_out_only_where_asked_for(self, skewed_regression):
        """The body for tables learns from all rows, other backbones stop early from 100."""
        X, y = skewed_regression

        def validates(early_stopping="auto", **rows):
            model = quick(early_stopping=early_stopping, max_epochs=1)
            return "valid_loss" in model.fit(X, y, **rows).history_[0]

        assert not validates()
        assert validates(early_stopping=True)
        assert validates(X_val=X[:30], y_val=y[:30])
        model = ELTARegressor(backbone="mlp", max_epochs=1).fit(X, y)
        assert "valid_loss" in model.history_[0]

    @pytest.mark.parametrize(
        ("backbone", "votes", "loss"),
        [
            ("auto", False, "quantile"),
            ("tabular", True, "emd"),
            ("mlp", False, "mse"),
            ("mlp", True, "emd"),
        ],
    )
    def test_loss(self, skewed_regression, score_distributions, backbone, votes, loss):
        data = score_distributions if votes else skewed_regression
        assert ELTARegressor(backbone=backbone, max_epochs=1).fit(*data).loss_ == loss

    def test_what_is_set_is_used(self, skewed_regression):
        model = quick(lr=0.5, batch_size=17, dropout=0.2, training__n_iter_no_change=3)
        model.set_params(training__weight_decay=0.01, training__lr_schedule="constant")
        model.set_params(early_stopping=True)
        net = model.fit(*skewed_regression).net_
        assert (net.lr, net.batch_size, net.optimizer__weight_decay) == (0.5, 17, 0.01)
        assert net.module_.backbone.dropouts[0].p == 0.2
        assert net.callbacks[-1].patience == 3
        assert net.callbacks[-1].monitor == "valid_mae"


class TestQuantiles:
    def test_they_rise_with_the_level_and_are_calibrated_in_training(self, fitted):
        model, X, y = fitted
        levels = np.linspace(0.02, 0.98, 25)
        quantiles = model.predict_quantiles(X, levels)
        assert (np.diff(quantiles, axis=1) >= 0).all()
        coverage = (y[:, None] <= quantiles).mean(axis=0)
        np.testing.assert_allclose(coverage, levels, atol=0.2)

    def test_mean_and_median(self, fitted):
        model, X, _ = fitted
        levels = (np.arange(4000) + 0.5) / 4000
        quantiles = model.predict_quantiles(X[:20], levels)
        np.testing.assert_allclose(model.predict(X[:20]), quantiles.mean(axis=1), rtol=0.01)
        median = model.predict_quantiles(X[:20], [0.5])[:, 0]
        np.testing.assert_array_equal(model.predict(X[:20], prediction="median"), median)

    def test_intervals(self, fitted):
        model, X, _ = fitted
        np.testing.assert_array_equal(
            model.predict_interval(X, 0.5), model.predict_quantiles(X, [0.25, 0.75])
        )
        np.testing.assert_array_equal(model.predict_interval(X), model.predict_interval(X, 0.9))

    def test_distributions_over_bins(self, fitted):
        model, X, _ = fitted
        shares = model.predict_distribution(X[:20])
        centers = model.bin_centers_
        assert shares.shape == (20, len(centers)) == (20, 20)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        assert (shares >= 0).all()
        quantiles = model.predict_quantiles(X[:20], (np.arange(5000) + 0.5) / 5000)
        nearest = np.abs(quantiles[:, :, None] - centers).argmin(axis=2)
        counts = np.stack([np.bincount(row, minlength=20) for row in nearest]) / 5000
        np.testing.assert_allclose(shares, counts, atol=2e-3)

    def test_wrong_arguments_are_named(self, fitted):
        model, X, _ = fitted
        for levels in ([0.0], [1.0], [[0.5]], [np.nan]):
            with pytest.raises(
                ValueError, match=r"levels (must be numbers between 0 and 1|contains NaN)"
            ):
                model.predict_quantiles(X, levels)
        for level in (0, 1.5, "high"):
            with pytest.raises(ValueError, match=r"confidence_level=.* must be a number between"):
                model.predict_interval(X, level)
        with pytest.raises(ValueError, match="prediction='mode' must be"):
            model.predict(X, prediction="mode")
        for tail in (-0.5, np.inf, np.nan, True, "high"):
            with pytest.raises(ValueError, match=r"tail=.* must be a number from 0"):
                model.predict(X, tail=tail)

    def test_votes_have_no_quantile_loss(self, score_distributions):
        with pytest.raises(ValueError, match='loss="quantile" is for scalar scores'):
            quick(loss="quantile").fit(*score_distributions)

    def test_scores_of_any_scale_train_alike(self, skewed_regression):
        X, y = skewed_regression
        model = quick(prediction="median")
        expected = clone(model).fit(X, y).predict(X)
        for factor, shift in ((1e6, 0), (1e-6, 0), (1, 1e3)):
            scaled = clone(model).fit(X, factor * y + shift).predict(X)
            np.testing.assert_allclose((scaled - shift) / factor, expected, rtol=0.02, atol=0.02)

    @pytest.mark.parametrize("y", [np.full(40, 5.0), np.r_[np.zeros(35), np.arange(5.0)]])
    def test_scores_of_few_values(self, y):
        X = np.random.default_rng(0).normal(size=(40, 2))
        model = quick(max_epochs=20, tail=0.5).fit(X, y)
        assert np.isfinite(model.predict(X)).all()
        assert np.isfinite(model.predict_interval(X)).all()
        np.testing.assert_allclose(model.predict_distribution(X).sum(axis=1), 1)


class TestDial:
    def test_it_matches_a_weighted_sample(self, fitted):
        model, X, _ = fitted
        sample = model.predict_quantiles(X[:10], (np.arange(2000) + 0.5) / 2000)
        # The density is that of the rows that were not held out.
        weight = np.exp(0.5 * model._tail_weights.log_weight(sample, 1.0))
        means, medians = (
            model.predict(X[:10], tail=0.5, prediction=prediction)
            for prediction in ("mean", "median")
        )
        for i in range(10):
            assert means[i] == pytest.approx(np.average(sample[i], weights=weight[i]), rel=0.02)
            share = np.cumsum(weight[i]) / weight[i].sum()
            assert medians[i] == pytest.approx(sample[i][np.searchsorted(share, 0.5)], rel=0.01)

    def test_it_weighs_by_the_density_of_the_training_scores(self):
        X, y = np.zeros((300, 1)), np.random.default_rng(0).lognormal(size=300)
        model = quick(early_stopping=False).fit(X, y)
        expected = np.log(np.minimum(label_density(y).max() / label_density(y), 200))
        np.testing.assert_allclose(model._tail_weights.log_weight(y, 1.0), expected)

    @pytest.mark.parametrize("loss", ["quantile", "emd"])
    def test_it_is_set_after_the_fit_or_for_one_call(self, skewed_regression, loss):
        X, y = skewed_regression
        model = quick(loss=loss, max_epochs=15).fit(X, y)
        plain, turned = model.predict(X), model.predict(X, tail=0.5)
        assert turned.mean() > plain.mean()
        np.testing.assert_array_equal(model.predict(X), plain)
        model.set_params(tail=0.5)
        np.testing.assert_array_equal(model.predict(X), turned)
        np.testing.assert_array_equal(model.predict(X, tail=0), plain)
        interval = model.predict_interval(X)
        assert (interval != model.predict_interval(X, tail=0)).any()
        np.testing.assert_allclose(model.predict_distribution(X).sum(axis=1), 1)
        np.testing.assert_array_equal(
            quick(loss=loss, max_epochs=15, tail=0.5).fit(X, y).predict(X), turned
        )

    def test_rare_scores_gain(self, fitted):
        model, X, y = fitted
        rare = y > np.quantile(y, 0.9)
        plain, turned = (
            np.abs(model.predict(X, tail=tail, prediction="median") - y)[rare].mean()
            for tail in (0, 0.5)
        )
        assert turned < plain

    def test_sample_weights_count_in_the_density(self):
        rng = np.random.default_rng(0)
        y = np.concatenate([rng.normal(0, 1, 150), rng.normal(10, 1, 150)])
        weight = np.r_[np.full(150, 9.0), np.ones(150)]
        model = quick(early_stopping=False).fit(np.zeros((300, 1)), y, sample_weight=weight)
        low, high = model._tail_weights.log_weight(np.array([0.0, 10.0]), 1.0)
        assert high - low == pytest.approx(np.log(9), abs=0.05)

    def test_wrappers_reach_it(self, skewed_regression):
        X, y = skewed_regression
        model = quick(max_epochs=8)
        logs = TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp).fit(X, y)
        inner = logs.regressor_.predict(X, tail=0.7)
        np.testing.assert_allclose(logs.predict(X, tail=0.7), np.exp(inner))
        pipeline = make_pipeline(FunctionTransformer(), model).fit(X, y)
        assert (pipeline.predict(X, tail=0.7) != pipeline.predict(X)).any()
        bagging = BaggingRegressor(model, n_estimators=2, random_state=0).fit(X, y)
        assert np.isfinite(bagging.predict(X)).all()

    def test_squared_error_has_none(self, skewed_regression):
        X, y = skewed_regression
        model = quick(loss="mse").fit(X, y)
        for params in ({"tail": 0.5}, {"prediction": "median"}):
            name = next(iter(params))
            with pytest.raises(ValueError, match=f"{name}=.* needs a predicted distribution"):
                model.predict(X, **params)
            with pytest.raises(ValueError, match=f"{name}=.* needs a predicted distribution"):
                quick(loss="mse", **params).fit(X, y)
        for name in ("predict_quantiles", "predict_interval", "predict_distribution"):
            assert not hasattr(model, name)
            assert hasattr(quick(loss="emd"), name)
