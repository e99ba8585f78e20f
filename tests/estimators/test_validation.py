"""Extra rows of another scale, and targets that are no votes."""

import warnings

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.estimators._validation import Rows, hold_out, warn_of_other_scale
from ltlearn.exceptions import OutOfRangeWarning


@pytest.fixture
def tall():
    """Columns of very different scales; (X, y, X_val, y_val)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)) * [1.0, 100.0, 1e-3] + [0.0, 5000.0, 0.0]
    y = np.exp(rng.normal(size=300) + X[:, 0])
    return X[:240], y[:240], X[240:], y[240:]


def quick():
    return ELTARegressor(max_epochs=1, random_state=0)


class TestHoldOut:
    @pytest.mark.parametrize("tied", [False, True])
    def test_every_place_of_a_stretch_is_held_out_alike(self, tied):
        """Twenty stretches of ten rows: over many draws no row is preferred, nor with ties."""
        order = np.random.default_rng(0).permutation(200)
        strata = (order // 10 if tied else order).astype(float)
        rows, counts = Rows(np.arange(200), np.arange(200), None), np.zeros(200)
        for seed in range(400):
            train, valid = hold_out(rows, 0.1, strata, np.random.RandomState(seed))
            assert np.sort(order[valid.X] // 10).tolist() == list(range(20))
            assert np.sort(np.r_[train.X, valid.X]).tolist() == list(range(200))
            counts[order[valid.X]] += 1
        places = counts.reshape(20, 10)
        assert chisquare(places.sum(axis=0)).pvalue > 1e-3
        assert chisquare(places.ravel()).pvalue > 1e-3


class TestScale:
    def test_validation_rows_that_a_pipeline_does_not_scale(self, tall):
        X, y, X_val, y_val = tall
        model = make_pipeline(StandardScaler(), quick())
        with pytest.warns(OutOfRangeWarning, match=r"^X_val mostly lie far outside in column 1.*X"):
            model.fit(X, y, eltaregressor__X_val=X_val, eltaregressor__y_val=y_val)

    def test_columns_that_shrink_are_noticed_too(self, tall):
        X, y, X_val, y_val = tall
        with pytest.warns(OutOfRangeWarning, match="X_val spread over less than a tenth"):
            quick().fit(1000 * X, y, X_val=X_val + 1000 * X.mean(0), y_val=y_val)

    def test_validation_scores_that_are_not_transformed(self, tall):
        X, y, X_val, y_val = tall
        model = TransformedTargetRegressor(quick(), func=np.log, inverse_func=np.exp)
        with pytest.warns(OutOfRangeWarning, match=r"^y_val .*transformed here, too"):
            model.fit(X, y, X_val=X_val, y_val=1000 * y_val)

    def test_unlabeled_and_auxiliary_rows(self, tall):
        X, y, X_val, _ = tall
        scaled = (X - X.mean(0)) / X.std(0)
        labels = (y > np.median(y)).astype(int)
        with pytest.warns(OutOfRangeWarning, match="^X_unlabeled "):
            ELTARegressor(max_epochs=1, loss="emd").fit(scaled, y, X_unlabeled=X_val)
        with pytest.warns(OutOfRangeWarning, match="^X_aux "):
            GranularClassifier(max_epochs=1).fit(
                scaled, labels, X_aux=X_val, y_aux=np.full(len(X_val), 7)
            )

    def test_honest_rows_are_no_cause_for_warnings(self):
        rng = np.random.default_rng(0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(300):
                n, m = rng.integers(30, 300), rng.integers(5, 60)
                rows = np.exp(2 * rng.standard_t(3, size=(n + m, 4)).clip(-8, 8))  # heavy tails
                rows[:, 3] = rng.random(n + m) < 0.1  # a rare indicator
                warn_of_other_scale("X_val", rows[n:], rows[:n])

    def test_features_that_are_zero_in_most_rows(self):
        """Other rows may light up other features, on one scale."""
        rng = np.random.default_rng(0)
        like = np.maximum(rng.normal(size=(60, 50)), 0)  # some half of them are above zero
        rows = np.maximum(rng.normal(size=(40, 50)) - 1.5, 0)  # a fifteenth
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_other_scale("X_aux", rows, like)
        with pytest.warns(OutOfRangeWarning, match="less than a tenth"):
            warn_of_other_scale("X_aux", like[:40] / 300, like)

    def test_kinds_without_a_scale(self):
        for rows in (np.array(["a.png"] * 9, dtype=object), np.zeros((9, 2, 2, 3), np.uint8)):
            warn_of_other_scale("X_val", rows, rows)
        warn_of_other_scale("X_val", np.full((9, 1), 1e6), np.ones((9, 1)))  # a constant column


class TestTargets:
    @pytest.mark.parametrize("scale", [[1.0, 1.0], [1e5, 900.0]])
    def test_two_targets_are_no_votes(self, tall, scale):
        X, y, *_ = tall
        targets = np.column_stack([y, y[::-1]]) * scale
        with pytest.raises(ValueError, match=r"y has 2 columns.*MultiOutputRegressor"):
            quick().fit(X, targets)

    def test_votes_and_shares_are(self):
        rng = np.random.default_rng(0)
        X, votes = rng.normal(size=(60, 2)), rng.multinomial(20, [0.2, 0.5, 0.3], size=60)
        shares = votes / 20
        by_votes, by_shares = (quick().fit(X, y).predict(X) for y in (votes, shares))
        np.testing.assert_allclose(by_votes, by_shares, rtol=1e-6)
        percent = quick().set_params(loss="emd").fit(X, 100 * shares + 0.25)  # said to be
        assert percent.bin_centers_.tolist() == [1, 2, 3]
