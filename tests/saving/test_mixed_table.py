"""A table of numbers, categories and gaps on its whole way: fit, search, compare, save, load."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV

import ltlearn
from ltlearn import ELTARegressor
from ltlearn.evaluation import compare

pytestmark = [
    pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning"),
    pytest.mark.filterwarnings("ignore::ltlearn.exceptions.EmptyBandWarning"),
]

SMALL = {"max_epochs": 2, "random_state": 0, "hidden_layer_sizes": (8,)}


def films(n, seed):
    """In the manner of a list of films: mostly without a budget, often without a rating."""
    rng = np.random.default_rng(seed)
    length = rng.gamma(9, 11, n).round()
    length[0] = 5220  # there are such films
    budget = np.where(rng.random(n) < 0.85, np.nan, rng.lognormal(15, 2, n))
    rating = rng.choice(
        np.array(["", "PG", "PG-13", "R", "NC-17"]), n, p=[0.8, 0.06, 0.06, 0.07, 0.01]
    )
    frame = pd.DataFrame(
        {
            "year": rng.integers(1900, 2006, n),
            "length": length,
            "budget": budget,
            "votes": pd.array(
                np.where(rng.random(n) < 0.1, None, rng.integers(5, 9999, n)), "Int64"
            ),
            "mpaa": pd.Series(rating).replace("", None).astype("category"),
            "studio": rng.choice(["a", "b", "c"], n),
            "comedy": rng.random(n) < 0.3,
        }
    )
    score = 6 + (frame["studio"] == "a") - 0.01 * (frame["year"] - 1950) / 10
    return frame, np.clip(score + rng.normal(size=n), 1, 10).to_numpy()


def test_films(tmp_path):
    X, y = films(150, 0)
    X_new, _ = films(40, 1)
    X_new.loc[0, "studio"] = "new"
    model = ELTARegressor(**SMALL).fit(X, y)
    search = GridSearchCV(ELTARegressor(**SMALL), {"lr": [1e-3, 1e-2]}, cv=2).fit(X, y)
    for number, fitted in enumerate((model, search.best_estimator_)):
        ltlearn.save(fitted, tmp_path / str(number))
        loaded = ltlearn.load(tmp_path / str(number))
        for rows in (X, X_new, X_new.iloc[:1], X_new.iloc[:, :]):
            expected = fitted.predict(rows)
            assert np.isfinite(expected).all()
            np.testing.assert_array_equal(loaded.predict(rows), expected)
            np.testing.assert_array_equal(
                loaded.predict_interval(rows, 0.8), fitted.predict_interval(rows, 0.8)
            )
        np.testing.assert_array_equal(clone(loaded).fit(X, y).predict(X), fitted.predict(X))
    runs = compare(
        {"network": ELTARegressor(**SMALL), "mean": DummyRegressor()},
        X,
        y,
        cv=2,
        controls=False,
        tails=None,
    )
    assert set(runs["estimator"]) == {"network", "mean"}
    assert np.isfinite(runs["value"][runs["metric"] == "mae"]).any()
    shuffled = X_new[X_new.columns[::-1]]
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(shuffled)
