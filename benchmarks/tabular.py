"""Which regressor is best on tables with long tails, overall and for the rarest scores?

Command::

    python -m pip install -e ".[rivals]"
    python benchmarks/tabular.py [--sets movies ...] [--seeds 10] [--rows 4000] [--data FOLDER]

Held fixed: within a set and seed every estimator gets the same training rows (at most 4,000, drawn
anew for every seed) and test rows (at most 5,000; a quarter of small sets; those of STS-B-DIR), as
a data frame with categories and gaps. Who needs validation rows holds a tenth of the training rows
out: LightGBM and CatBoost for early stopping on MAE, all trees for isotonic recalibration.
Seeds vary rows and initialization together. Nothing is tuned but the row that says so.

MAE is that of each estimator's median or absolute-error variant, RMSE that of its mean or
squared-error variant. Levers that trade overall error for that of rare scores:

- ELTARegressor, TailStackingRegressor and the quantile forest have the dial, ``tail``, after the
  one fit.
- The network also has mixup and alignment, each at 0.1, in the first seeds.
- Boosting has training weights, label density to the power -1/4, -1/2 and -1, a fit each (in the
  first seeds, see the tables); after every fit predictions stretched about the median by 1.1, 1.25
  and 1.5, and isotonic regression on held-out rows with the same weights and none.

Rivals: HistGradientBoosting as it comes; LightGBM (rate 0.05) and CatBoost (0.06), at most 1,000
rounds, stopped after 50; a quantile forest (200 trees, 5 rows a leaf, half of the columns); ridge;
LightGBM with 30 random draws of its settings by validation MAE; RealMLP and TabM with the defaults
of pytabkit, which hold out a fifth for early stopping (gaps filled by medians), in few seeds, since
they take up to minutes a fit. CatBoost, the forest and weights are left out on STS-B-DIR, whose 768
columns take them minutes and whose test has no rarest band.

Finished fits are kept in ``OUT/tabular.jsonl`` and not repeated.
"""

import argparse
import time
import warnings
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _data import CACHE, DEFAULT_DATA
from _markdown import markdown_table
from _runs import read_runs, run_missing
from _tables import LARGE, SMALL, load_frame
from render import write_page
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor

from ltlearn import ELTARegressor, TailStackingRegressor
from ltlearn.calibration import RecalibrationMap
from ltlearn.exceptions import LTLearnWarning
from ltlearn.losses import quantile_levels
from ltlearn.metrics import LabelBands
from ltlearn.stacking._built_in_regressors import ScaledRidge
from ltlearn.stacking._columns import TableEncoder
from ltlearn.weighting import label_density_weights
from ltlearn.weighting._distributions import QuantileDistributions
from ltlearn.weighting._tail import TailWeights

MAX_TEST, SMALL_TEST_SHARE = 5_000, 0.25
DIAL = (0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5)
STRETCHES, EXPONENTS = (1.1, 1.25, 1.5), (0.25, 0.5, 1.0)
BUDGETS = {"as the better HGB": 1.0, "+2 %": 1.02, "+5 %": 1.05}
LEVELS = quantile_levels().numpy()
NETWORK, STACK, FOREST = "ELTARegressor()", "TailStackingRegressor()", "quantile forest"
PLAIN, RIDGE, TUNED = "ELTARegressor, plain MLP", "ridge", "LightGBM, tuned"
# Variants of the network: mixup and alignment beside the dial, rows held out for early stopping.
VARIANTS = {
    "ELTARegressor, mixup 0.1": {"mixup_strength": 0.1},
    "ELTARegressor, alignment 0.1": {"alignment_weight": 0.1},
    "ELTARegressor, early stopping": {"early_stopping": True},
}
PYTABKIT = {"RealMLP": "RealMLP_TD_Regressor", "TabM": "TabM_D_Regressor"}
# Losses of the families of trees: for absolute and for squared errors.
TREES = {
    "HGB": ("absolute_error", "squared_error"),
    "LightGBM": ("l1", "l2"),
    "CatBoost": ("MAE", "RMSE"),
}
LEGEND = """\
Errors in percent of that of the better plain HistGradientBoosting of the same seed, mean ±
standard deviation over seeds; in brackets the seeds in which an estimator is below it. A
frontier's cell is the lowest MAE on the rarest scores (the few-shot band of label density) that a
family reaches at an overall MAE within the budget, by the best of its settings or between two of
them, as an oracle would choose on the test rows; in brackets the seeds that reach the budget, where
not all do. Seeds share rows, and no test of significance is made.
"""


# Problems


class Problem:
    """Rows of one set and seed."""

    def __init__(self, name, seed, n_rows, data):
        X, y, split = _load(name, data)
        rng = np.random.default_rng(seed)
        if split is None:
            order = rng.permutation(len(y))
            share = SMALL_TEST_SHARE if name in SMALL else 0.2
            n_test = min(MAX_TEST, round(share * len(y)))
            test, train = order[:n_test], order[n_test:]
        else:
            train, test = rng.permutation(split[0]), split[1]
        train = train[:n_rows]
        self.X, self.y = _rows(X, train), y[train]
        self.X_test, self.y_test = _rows(X, test), y[test]
        self.bands = LabelBands.from_density(self.y)
        self.percentiles = LabelBands.from_percentiles(self.y)
        few = self.bands.names.index("few")
        self.n_few = int(np.count_nonzero(self.bands.assign(self.y_test) == few))
        n_held_out = max(1, len(train) // 10)
        self.held_out, self.kept = np.split(np.arange(len(train)), [n_held_out])

    def measure(self, predicted):
        """Errors of predictions of the test rows."""
        error = np.abs(predicted - self.y_test)
        values = {
            "mae": error.mean(),
            "rmse": np.sqrt((error**2).mean()),
            "srcc": spearmanr(predicted, self.y_test).statistic,
        }
        for bands in (self.bands, self.percentiles):
            codes = bands.assign(self.y_test)
            for code, band in enumerate(bands.names):
                values[band] = error[codes == code].mean() if (codes == code).any() else np.nan
        return {k: None if np.isnan(v) else float(f"{v:.6g}") for k, v in values.items()}

    def weights(self, exponent):
        """Weights of the training rows."""
        return label_density_weights(self.y, scheme="inverse") ** exponent


_load = cache(load_frame)


def _rows(X, numbers):
    return X.iloc[numbers].reset_index(drop=True)


# Rows


def run(name, seed, row, *, n_rows, data):
    """Fit a row's model and measure all its settings; a record."""
    torch.set_num_threads(1)
    problem = Problem(name, seed, n_rows, data)
    family, _, detail = row.partition(", ")
    if row == STACK:
        fit = partial(fit_dialed, TailStackingRegressor(random_state=seed))
    elif row == NETWORK or row in VARIANTS:
        fit = partial(fit_dialed, ELTARegressor(random_state=seed, **VARIANTS.get(row, {})))
    elif row == FOREST:
        fit = partial(fit_forest, seed)
    elif row == PLAIN:
        plain = ELTARegressor(backbone="mlp", mixup_strength=0.0, random_state=seed)
        fit = partial(fit_plain, plain)
    elif row == RIDGE:
        fit = fit_ridge
    elif row == TUNED:
        fit = partial(fit_tuned, seed)
    elif row in PYTABKIT:
        fit = partial(fit_pytabkit, row, seed)
    else:
        loss, _, exponent = detail.partition(", weights ")
        fit = partial(fit_trees, family, loss, float(exponent or 0), seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LTLearnWarning)
        seconds, predictions = fit(problem)
    return {
        "seconds": round(seconds, 3),
        "n_train": len(problem.y),
        "n_test": len(problem.y_test),
        "n_few": int(
            (problem.bands.assign(problem.y_test) == problem.bands.names.index("few")).sum()
        ),
        "settings": {name: problem.measure(values) for name, values in predictions.items()},
    }


def timed(fit, *args, **kwargs):
    start = time.process_time()
    fitted = fit(*args, **kwargs)
    return time.process_time() - start, fitted


def fit_dialed(model, problem):
    seconds, model = timed(model.fit, problem.X, problem.y)
    predictions = {"mean": model.predict(problem.X_test)}
    for tail in (0.0, *DIAL):
        predictions[f"tail {tail:g}"] = model.predict(
            problem.X_test, tail=tail, prediction="median"
        )
    return seconds, predictions


def fit_forest(seed, problem):
    from quantile_forest import RandomForestQuantileRegressor

    encode = TableEncoder(problem.X)
    forest = RandomForestQuantileRegressor(
        200, min_samples_leaf=5, max_features=0.5, random_state=seed
    )
    seconds, forest = timed(forest.fit, encode(problem.X), problem.y)
    quantiles = forest.predict(encode(problem.X_test), quantiles=LEVELS.tolist())
    distributions, weights = QuantileDistributions(quantiles, LEVELS), TailWeights(problem.y)
    predictions = {"mean": distributions.mean()}
    for tail in (0.0, *DIAL):
        turned = distributions.reweighted(partial(weights.log_weight, tail=tail))
        predictions[f"tail {tail:g}"] = turned.quantiles([0.5])[:, 0]
    return seconds, predictions


def fit_plain(model, problem):
    encode = TableEncoder(problem.X)
    seconds, model = timed(model.fit, encode(problem.X), problem.y)
    predicted = model.predict(encode(problem.X_test))
    return seconds, {"plain": predicted}


def fit_ridge(problem):
    encode = TableEncoder(problem.X)
    seconds, model = timed(ScaledRidge().fit, encode(problem.X), problem.y)
    return seconds, {"plain": model.predict(encode(problem.X_test))}


def fit_trees(family, loss, exponent, seed, problem):
    """One family of boosting, its predictions as they are, stretched and recalibrated."""
    weight = problem.weights(exponent)
    kept, held_out = problem.kept, problem.held_out
    if family == "HGB":
        model = HistGradientBoostingRegressor(loss=loss, random_state=seed)
        seconds, model = timed(model.fit, problem.X, problem.y, weight)
        predicted = model.predict(problem.X_test)
        if not problem.n_few:  # nothing to turn levers for
            return seconds, {"plain": predicted}
        part = HistGradientBoostingRegressor(loss=loss, random_state=seed)
        part.fit(_rows(problem.X, kept), problem.y[kept], weight[kept])
        seen = part.predict(_rows(problem.X, held_out))
    else:
        fit = fit_lightgbm if family == "LightGBM" else fit_catboost
        seconds, predict = timed(fit, loss, weight, seed, problem)
        predicted, seen = predict(problem.X_test), predict(_rows(problem.X, held_out))
    middle, y_seen = np.median(problem.y), problem.y[held_out]
    predictions = {"plain": predicted}
    for factor in STRETCHES:
        predictions[f"stretched {factor:g}"] = middle + factor * (predicted - middle)
    for exponent in (0.0, *EXPONENTS):
        weight = problem.weights(exponent)[held_out]
        recalibrated = RecalibrationMap("isotonic").fit(seen, y_seen, sample_weight=weight)
        predictions[f"isotonic {exponent:g}"] = recalibrated.predict(predicted)
    return seconds, predictions


def fit_lightgbm(loss, weight, seed, problem, **settings):
    import lightgbm

    kept, held_out = problem.kept, problem.held_out
    model = lightgbm.LGBMRegressor(
        **{
            "objective": loss,
            "n_estimators": 1000,
            "learning_rate": 0.05,
            "n_jobs": 1,
            "verbose": -1,
            "random_state": seed,
            "metric": "l1",
            **settings,
        }
    )
    model.fit(
        _rows(problem.X, kept),
        problem.y[kept],
        sample_weight=weight[kept],
        eval_set=[(_rows(problem.X, held_out), problem.y[held_out])],
        callbacks=[lightgbm.early_stopping(50, verbose=False)],
    )
    return model.predict


def fit_catboost(loss, weight, seed, problem):
    from catboost import CatBoostRegressor, Pool

    X, kept, held_out = with_texts(problem.X), problem.kept, problem.held_out
    categories = [name for name in X.columns if problem.X[name].dtype == "category"]
    model = CatBoostRegressor(
        loss_function=loss,
        eval_metric="MAE",
        iterations=1000,
        learning_rate=0.06,
        random_seed=seed,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
    )
    model.fit(
        Pool(_rows(X, kept), problem.y[kept], categories, weight=weight[kept]),
        eval_set=Pool(_rows(X, held_out), problem.y[held_out], categories),
        early_stopping_rounds=50,
    )
    return lambda X: model.predict(with_texts(X))


def with_texts(X):
    """Categories as strings, of which "missing" is one."""
    texts = {
        name: X[name].astype(object).where(X[name].notna(), "missing").astype(str)
        for name in X.columns
        if X[name].dtype == "category"
    }
    return X.assign(**texts)


def fit_pytabkit(row, seed, problem):
    from pytabkit.models.sklearn import sklearn_interfaces

    columns = [name for name in problem.X.columns if problem.X[name].dtype != "category"]
    middle = problem.X[columns].median()
    filled, filled_test = (
        with_texts(X).assign(**X[columns].fillna(middle).astype(float))
        for X in (problem.X, problem.X_test)
    )
    model = getattr(sklearn_interfaces, PYTABKIT[row])(
        device="cpu", random_state=seed, n_threads=1, verbosity=0
    )
    seconds, model = timed(model.fit, filled, problem.y)
    return seconds, {"plain": model.predict(filled_test)}


def fit_tuned(seed, problem, n_draws=30):
    """The best of random settings of LightGBM by MAE of the held-out rows."""
    rng = np.random.default_rng(seed)
    held_out, weight = problem.held_out, np.ones(len(problem.y))

    def search():
        best = np.inf, None
        for _ in range(n_draws):
            settings = {
                "num_leaves": int(rng.integers(7, 128)),
                "learning_rate": float(np.exp(rng.uniform(np.log(0.02), np.log(0.2)))),
                "min_child_samples": int(rng.integers(2, 60)),
                "colsample_bytree": float(rng.uniform(0.4, 1)),
                "subsample": float(rng.uniform(0.5, 1)),
                "subsample_freq": 1,
                "reg_lambda": float(np.exp(rng.uniform(np.log(1e-3), np.log(30)))),
            }
            predict = fit_lightgbm(str(rng.choice(["l1", "l2"])), weight, seed, problem, **settings)
            error = np.abs(predict(_rows(problem.X, held_out)) - problem.y[held_out]).mean()
            if error < best[0]:
                best = error, predict
        return best[1]

    seconds, predict = timed(search)
    return seconds, {"plain": predict(problem.X_test)}


def plain_rows(name):
    """Rows that every seed has, by the kind of set."""
    rows = [NETWORK, STACK, PLAIN, RIDGE]
    wide = name == "sts_b_dir"
    families = [family for family in TREES if not (wide and family == "CatBoost")]
    rows += [f"{family}, {loss}" for family in families for loss in TREES[family]]
    return rows if wide else [*rows, FOREST]


def weighted_rows(name):
    if name not in LARGE or name == "sts_b_dir":
        return []
    return [
        f"{family}, {loss}, weights {exponent:g}"
        for family, losses in TREES.items()
        for loss in losses
        for exponent in EXPONENTS
    ]


# Tables


def read_frame(path):
    """A line a set, seed, row and setting."""
    lines = []
    for (name, seed, row), record in read_runs(path).items():
        family, _, detail = (row, "", "") if row in VARIANTS else row.partition(", ")
        about = {k: record[k] for k in ("seconds", "n_train", "n_test", "n_few")}
        for setting, values in record["settings"].items():
            lines.append(
                {"set": name, "seed": seed, "row": row, "family": family, "detail": detail}
                | {"setting": setting, **about, **values}
            )
    return pd.DataFrame(lines)


def plain_values(frame, metric):
    """Values of each estimator by (set, seed) and title: one column an estimator."""
    for_mae = metric != "rmse"
    columns = {}
    for title in (NETWORK, STACK, FOREST, *VARIANTS):
        columns[title] = (title, "tail 0" if for_mae else "mean")
    for family, losses in TREES.items():
        for loss in losses:
            columns[f"{family}, {loss}"] = (f"{family}, {loss}", "plain")
    for title in (TUNED, *PYTABKIT, RIDGE, PLAIN):
        columns[title] = (title, "plain")
    values = {}
    for title, (row, setting) in columns.items():
        of_row = frame[(frame["row"] == row) & (frame["setting"] == setting)]
        values[title] = of_row.set_index(["set", "seed"])[metric]
    return pd.DataFrame(values).dropna(axis=1, how="all")


def better_hgb(frame, metric="mae"):
    """The error of the better plain HGB by (set, seed)."""
    values = plain_values(frame, metric)
    return values[[f"HGB, {loss}" for loss in TREES["HGB"]]].min(axis=1)


def ratio_table(frame, sets, metric):
    """Errors in percent of the better HGB, by estimator and set."""
    values = plain_values(frame, metric)
    ratios = 100 * values.div(better_hgb(frame, metric), axis=0)
    names = [name for name in sets if name in frame["set"].unique()]
    lines = []
    for title in ratios.columns:
        cells = []
        for name in names:
            of_set = ratios.loc[name, title].dropna()
            if len(of_set):
                spread = f" ± {of_set.std():.1f}" if len(of_set) > 1 else ""
                cells.append(f"{of_set.mean():.1f}{spread} ({(of_set < 100).sum()})")
            else:
                cells.append("–")
        lines.append([title, *cells])
    return markdown_table(["", *names], lines)


def mean_table(frame, sets, metric, form):
    """Means over seeds, by estimator and set."""
    values = plain_values(frame, metric)
    names = [name for name in sets if name in frame["set"].unique()]
    lines = []
    for title in values.columns:
        means = [values.loc[name, title].mean() for name in names]
        lines.append([title, *("–" if np.isnan(m) else format(m, form) for m in means)])
    return markdown_table(["", *names], lines)


def duel_table(frame, sets):
    """Seeds in which the two are below each rival in MAE, by set."""
    values = plain_values(frame, "mae")
    names = [name for name in sets if name in frame["set"].unique()]
    lines = []
    for own in (NETWORK, STACK):
        for rival in values.columns.drop(own):
            cells = []
            for name in names:
                pair = values.loc[name, [own, rival]].dropna()
                change = 100 * (pair[own].mean() / pair[rival].mean() - 1) if len(pair) else 0
                won = f"{(pair[own] < pair[rival]).sum()} of {len(pair)}"
                cells.append(f"{change:+.1f} % ({won})" if len(pair) else "–")
            lines.append([f"{own} against {rival}", *cells])
    return markdown_table(["", *names], lines)


def frontier(points, budget):
    """The lowest second error of points, or between two of them, at a first within the budget.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Overall error and that of the rarest scores of settings.
    budget : float

    Returns
    -------
    error : float
        NaN where no setting is within the budget.
    """
    within = points[points[:, 0] <= budget]
    beyond = points[points[:, 0] > budget]
    if not len(within):
        return np.nan
    best = within[:, 1].min()
    for overall, few in beyond:
        share = (budget - within[:, 0]) / (overall - within[:, 0])
        best = min(best, ((1 - share) * within[:, 1] + share * few).min())
    return best


def frontiers(frame, name):
    """Errors of the rarest scores by (budget, seed) and family, in the seeds that have weights."""
    of_set = frame[(frame["set"] == name) & (frame["setting"] != "mean")].dropna(subset=["few"])
    weighted = of_set[of_set["detail"].str.contains("weights")]
    seeds = sorted(weighted["seed"].unique() if len(weighted) else of_set["seed"].unique())
    reference = better_hgb(frame)
    families = [NETWORK, *VARIANTS, STACK, FOREST, *TREES]
    rows = {}
    for budget, factor in BUDGETS.items():
        for seed in seeds:
            of_seed = of_set[of_set["seed"] == seed]
            limit = factor * reference[(name, seed)]
            rows[budget, seed] = {
                family: frontier(points[["mae", "few"]].to_numpy(), limit)
                for family in families
                if len(points := of_seed[of_seed["family"] == family])
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def frontier_table(frame, name):
    errors = frontiers(frame, name)
    lines = []
    for family in errors.columns:
        cells = []
        for budget in BUDGETS:
            of_budget = errors.loc[budget, family]
            reached = of_budget.dropna()
            note = f" ({len(reached)})" if len(reached) < len(of_budget) else ""
            cells.append(f"{reached.mean():.4g}{note}" if len(reached) else "not reached")
        lines.append([family, *cells])
    return markdown_table(["", *BUDGETS], lines)


def dial_table(frame, sets):
    """Change of MAE overall / of the rarest scores with the dial, to that at 0, in percent."""
    names = [n for n in sets if len(frame[(frame["set"] == n)].dropna(subset=["few"]))]
    lines = []
    for own in (NETWORK, STACK, FOREST):
        for tail in DIAL:
            cells = []
            for name in names:
                of_row = frame[(frame["set"] == name) & (frame["row"] == own)]
                means = of_row.groupby("setting")[["mae", "few"]].mean()
                if f"tail {tail:g}" in means.index:
                    change = 100 * (means.loc[f"tail {tail:g}"] / means.loc["tail 0"] - 1)
                    cells.append(f"{change['mae']:+.1f} / {change['few']:+.1f}")
                else:
                    cells.append("–")
            lines.append([f"{own}, {tail:g}", *cells])
    return markdown_table(["", *names], lines)


def result_tables(path):
    """The tables of a file of measurements, by title."""
    frame = read_frame(path)
    tables = {}
    for kind, sets in (("large", LARGE), ("small", SMALL)):
        of_kind = frame[frame["set"].isin(list(sets))]
        if not len(of_kind):
            continue
        seeds = of_kind[of_kind["row"] == STACK].groupby("set")["seed"].nunique()
        about = f"{kind} sets, {_span(seeds)} seeds, {_span(of_kind['n_train'])} training rows"
        tables[f"MAE, {about}"] = ratio_table(of_kind, sets, "mae")
        tables[f"MAE against each rival, {kind} sets: change, and seeds won"] = duel_table(
            of_kind, sets
        )
        tables[f"RMSE, {kind} sets"] = ratio_table(of_kind, sets, "rmse")
        tables[f"SRCC, {kind} sets"] = mean_table(of_kind, sets, "srcc", ".3f")
        for band in ("few", "0-20", "20-80", "80-100"):
            if of_kind[band].notna().any():
                title = "the rarest scores" if band == "few" else f"percentiles {band}"
                tables[f"MAE of {title}, {kind} sets"] = ratio_table(
                    of_kind.dropna(subset=[band]), sets, band
                )
        tables[f"CPU seconds of a fit, {kind} sets"] = mean_table(of_kind, sets, "seconds", ".2f")
    large = frame[frame["set"].isin(list(LARGE))]
    for name in LARGE:
        if len(large[large["set"] == name].dropna(subset=["few"])):
            n_seeds = frontiers(frame, name).index.get_level_values(1).nunique()
            title = f"Frontier of {name}: MAE of the rarest scores, {n_seeds} seeds"
            tables[title] = frontier_table(frame, name)
    tables["The dial: change of MAE overall / of the rarest scores, in percent"] = dial_table(
        frame, LARGE
    )
    return tables


def summary(folder):
    """MAE, and that of the rarest scores at 2 % more, in percent of HistGradientBoosting's."""
    frame = read_frame(folder / "tabular.jsonl")
    values = plain_values(frame, "mae")
    ratios = 100 * values.div(better_hgb(frame), axis=0)
    large = [name for name in LARGE if name in frame["set"].unique()]
    rarest = {name: frontiers(frame, name) for name in large}
    lines = []
    for family in (NETWORK, STACK, *TREES):
        own = [title for title in ratios.columns if title.partition(", ")[0] == family]
        means = ratios[[title for title in own if title != TUNED]].groupby("set").mean().min(axis=1)
        cells = []
        for name in large:
            overall = f"{means[name]:.1f}" if name in means.dropna() else "–"
            few = "–"
            if len(rarest[name]):
                errors = rarest[name].loc["+2 %"].mean().dropna()
                if family in errors:
                    few = f"{100 * errors[family] / errors['HGB']:.1f}"
            cells.append(f"{overall} / {few}")
        cells.append(f"{means[means.index.isin(list(SMALL))].mean():.1f}")
        lines.append([family, *cells])
    return markdown_table(["", *large, "six small"], lines)


def _span(values):
    low, high = values.min(), values.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=[*LARGE, *SMALL])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--weighted-seeds", type=int, default=3)
    parser.add_argument("--tuned-seeds", type=int, default=1)
    parser.add_argument("--variant-seeds", type=int, default=3)
    parser.add_argument("--pytabkit-seeds", type=int, default=1)
    parser.add_argument("--wide-seeds", type=int, default=3, help="of STS-B-DIR")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--only", nargs="+", help="rows; default: all")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=CACHE)
    args = parser.parse_args()
    keys = []
    for number in range(args.seeds):
        for name in args.sets:
            if name == "sts_b_dir" and number >= args.wide_seeds:
                continue
            rows = plain_rows(name)
            rows += weighted_rows(name) if number < args.weighted_seeds else []
            rows += list(VARIANTS) if number < args.variant_seeds else []
            rows += [TUNED] if number < args.tuned_seeds and name != "sts_b_dir" else []
            rows += list(PYTABKIT) if number < args.pytabkit_seeds and name != "sts_b_dir" else []
            keys += [(name, args.first_seed + number, row) for row in rows]
    keys = [key for key in keys if args.only is None or key[2] in args.only]
    # What takes longest comes last.
    keys.sort(key=lambda key: (key[2] in PYTABKIT, key[0] == "sts_b_dir", "weights" in key[2]))
    path = args.out / "tabular.jsonl"
    run_missing(partial(run, n_rows=args.rows, data=args.data), keys, 1, path)
    print(write_page(path))


if __name__ == "__main__":
    main()
