"""Fits and predictions of the two deep estimators, in the manner of :mod:`_strategies`.

Networks are small and train for an epoch or two. A training that diverges may say so by
NonFiniteLossError.
"""

from contextlib import nullcontext
from functools import cache, partial

import numpy as np
import pandas as pd
import torch
from _strategies import (
    SCALES,
    Case,
    array_or_not,
    labels,
    numbers,
    often,
    scalar,
    score_range,
    scores,
    small,
    weights,
)
from hypothesis import strategies as st

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.exceptions import NonFiniteLossError

_COUNTS = [True, 0, -1, 0.5, 2**63, 2**70, 10**400, "a", None]

_COMMON = {
    "max_epochs": small(1, 2, "auto"),
    "lr": scalar(1e-3, 0.1, "auto"),
    "batch_size": scalar("auto", 1, 8, np.int8(16), np.uint64(4)),
    "hidden_layer_sizes": often(
        st.sampled_from([(4,), [4, 3], (), np.array([3, 2])]),
        [(True,), (0,), (2**70,), ("a",), 4, None, (1.5,), "ab", np.array(2.0), {3: 4}, [[3]]],
    ),
    "early_stopping": scalar("auto", True, False),
    "dropout": scalar(0.0, 0.5, "auto"),
    "device": often(st.sampled_from(["auto", "cpu"]), ["meta", "gpu", "", 0, "cuda:99", "mps"]),
    "backbone": often(
        st.sampled_from(["mlp", "tabular", torch.nn.Linear(3, 4), torch.nn.Identity]),
        [
            "no_such_model",
            "",
            3,
            dict,
            len,
            torch.nn.Linear,
            torch.nn.Module,
            torch.nn.Linear(7, 2),
        ],
    ),
    "backbone_params": often(st.none(), [{}, {"pretrained": False}, 3, "a"]),
    "categorical_features": often(
        st.sampled_from(["from_dtype", None, [], [0], [False, True, False]]),
        [[7], [-1], ["a"], [True], [0.5], [[0]], 3, "a", [None], [[1], [1, 2]], {1}, (2**70,)],
    ),
    "augmentation": often(st.none(), ["standard", "no_such", 3, ()]),
    "warm_start": scalar(True, False),
    "verbose": often(st.just(0), [-1, "a", None, 0.5]),
    "callbacks": often(st.none(), [[3], 3, "ab", [len], [("a", 3)], [()]]),
    "random_state": scalar(0, 1),
    "n_estimators": often(st.sampled_from([1, 2]), _COUNTS),
    "training": often(st.none(), [3, "a", {}, {"lr": 1}, object]),
    "training__optimizer": often(
        st.sampled_from(["adam", "adamw", "sgd", torch.optim.RMSprop]),
        [dict, len, "a", None, object, torch.optim.SparseAdam, torch.optim.Optimizer],
    ),
    "training__weight_decay": scalar(0.0, 1e-4, "auto"),
    "training__lr_schedule": scalar("auto", "constant", "cosine"),
    "training__lr_warmup_epochs": scalar("auto", 0, 1),
    "training__layer_decay": scalar(1.0, 0.5),
    "training__freeze_backbone": scalar(True, False),
    "training__head_warmup_epochs": scalar(0, 1),
    "training__max_grad_norm": scalar(None, 1.0, "auto"),
    "training__accumulation_steps": scalar(1, 2, np.int8(3)),
    "training__validation_fraction": scalar(0.1, 0.5),
    "training__n_iter_no_change": scalar(1, 10, "auto"),
    "training__sam_radius": scalar(0.0, 0.05),
    "training__weight_averaging": scalar(None, "ema", "swa"),
    "training__head_max_norm": scalar(None, 1.0),
    "training__precision": scalar("auto", "float32", "bfloat16"),
    "architecture__n_members": often(st.sampled_from(["auto", 1, 3]), _COUNTS),
    "architecture__n_pieces": often(st.sampled_from(["auto", 1, 20]), _COUNTS),
    "architecture__feature_pooling": scalar(None, "avg"),
}
_ELTA = {
    **_COMMON,
    "training__scoring": scalar("auto", "loss", "mae", "srcc"),
    "loss": scalar("auto", "mse", "emd", "quantile"),
    "prediction": scalar("mean", "median"),
    "tail": scalar(0.0, 0.5, 2),
    "reweighting": scalar(None, "inverse", "sqrt_inverse"),
    "mixup_strength": scalar(0.0, 0.1, 1.0),
    "alignment_weight": scalar(0.0, 1.0),
    "bins__n_bins": often(st.sampled_from(["auto", 2, 5, 10_000]), [1, *_COUNTS]),
    "bins__score_range": score_range(),
    "architecture__head": scalar("linear", "sigmoid"),
    "bins__emd_form": scalar("sample", "batch"),
    "bins__logit_adjustment": scalar(0.0, 1.0),
    "enhancers__tail_temperature": scalar(0.5, 1e-3, 1e9, 1e-9),
    "enhancers__pair_temperature": scalar(2.0, 1e-3, 1e9, 1e-9),
    "enhancers__temperature_unit": scalar("std", 1.0, 1e9),
    "enhancers__sampler": scalar("distance", "density"),
    "enhancers__density_power": scalar(10.0, 0.0),
    "enhancers__head_retraining_epochs": small(0, 1),
    "enhancers__self_training_rounds": small(0, 1, 2),
    "enhancers__sharpening": scalar("auto", 0.0, 1.25, 1e6),
    "enhancers__confidence_threshold": scalar("auto", 0.0, 0.9),
}
_GRANULAR = {
    **_COMMON,
    "training__scoring": scalar("auto", "loss", "accuracy", "balanced_accuracy"),
    "training__label_smoothing": scalar(0.0, 0.1),
    "training__feature_mixup": scalar("auto", 0.0, 0.5, 1e6, 1e-9),
    "logit_adjustment": scalar(0.0, 1.0, "auto", 1e6),
    "silencing": scalar(0.0, 0.1, 1.0),
    "auxiliary": scalar(None, "synthesize"),
    "auxiliary__synthesize": scalar(True, False),
    "auxiliary__max_samples": often(st.sampled_from([0, 5, 50, np.int8(9), 2**62]), _COUNTS),
    "auxiliary__silencing_direction": scalar("both", "auxiliary", "target"),
    "auxiliary__neighbor_similarity": often(
        st.sampled_from([0.9, 0.0, (0.1, 0.9), [-1, 1]]),
        [1.0, (1,), ("a", "b"), (1, 0), (None, 1), ((0, 1), (1, 2)), "a", (np.nan, 1), [True, 2]],
    ),
    "auxiliary__neighbors": often(
        st.sampled_from(["auto", {}, {0: ["x"], 1: ["x", "y"]}]),
        ["a", {0: "x"}, {0: 3}, {0: ["z"]}, {"q": ["x"]}, {0: None}, {0: [[]]}, 3],
    ),
    "class_weight": often(
        st.sampled_from([None, "balanced", {0: 2.0}, {0: 1e308, 1: 1e-300}]),
        [{0: -1}, {"a": "b"}, 3, {0: None}, {0: np.nan}, {0: 2**70}, "a", {0: [1]}],
    ),
    "prior": often(
        st.sampled_from(["balanced", "train", [1e308] * 6, [0.5, 0.5]]),
        ["a", [1, 2], [0.0] * 6, [np.nan] * 6, 3, [[1, 2]], ["a"] * 6],
    ),
    "architecture__batch_norm_head": scalar(True, False),
    "architecture__head": scalar("linear", "cosine"),
    "architecture__feature_power": scalar(1.0, 0.5, "auto"),
    "calibrate_temperature": scalar(True, False),
}

# What a user may be in the middle of when a fit or a prediction begins.
_MODES = {
    "none": nullcontext,
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": partial(torch.autocast, "cpu", dtype=torch.bfloat16),
}


def _fit_and_predict(estimator, mode, X, y, sample_weight, more_rows, **params):
    with _MODES[mode]():
        model = estimator().set_params(**{"max_epochs": 1, "random_state": 0, **params})
        model.fit(X, y, sample_weight, **more_rows)
        outputs = [model.predict(X)] if estimator is ELTARegressor else [model.predict_proba(X)]
        if estimator is ELTARegressor and model.loss_ != "mse":
            outputs += [model.predict_interval(X), model.predict_distribution(X)]
        return [*outputs, [row["train_loss"] for row in model.history_]]


@st.composite
def _table(draw, n):
    """A table of three columns, sometimes far from 1, or with gaps and categories."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n, 3))
    kind = draw(st.sampled_from(["plain"] * 6 + ["float32", "scaled", "frame"]))
    if kind == "float32":
        return X.astype(np.float32)
    if kind == "scaled":
        with np.errstate(over="ignore"):
            return X.clip(-1.7, 1.7) * draw(st.sampled_from(SCALES))
    if kind == "frame":
        frame = pd.DataFrame(X, columns=list("abc"))
        frame.loc[rng.random(n) < 0.2, "a"] = np.nan
        return frame.assign(b=rng.choice(["u", "v", None], size=n))
    return X


_RARELY = st.integers(0, 5).map(lambda i: i == 3)


@st.composite
def _more_rows(draw, estimator, y):
    """Arguments of fit beyond the training rows."""
    n, rows = draw(st.sampled_from([1, 5, 30])), {}
    if draw(_RARELY):
        rows |= {"X_val": draw(array_or_not(_table(n))), "y_val": draw(array_or_not(y(n)))}
        if draw(_RARELY):
            rows |= {"sample_weight_val": draw(array_or_not(weights(n)))}
    if estimator is ELTARegressor and draw(_RARELY):
        rows |= {"X_unlabeled": draw(array_or_not(_table(n)))}
    if estimator is GranularClassifier and draw(_RARELY):
        names = st.just(np.array(["x", "y"])[np.arange(n) % 2]) | st.just(10 + np.arange(n) % 3)
        rows |= {"X_aux": draw(array_or_not(_table(n))), "y_aux": draw(array_or_not(names))}
    if rows and draw(_RARELY):
        rows.pop(draw(st.sampled_from(sorted(rows))))
    return {name: Whole(values) for name, values in rows.items()}


@st.composite
def _fit(draw, estimator, y, table):
    n = draw(st.sampled_from([1, 3, 20, 20, 110]))
    chosen = draw(st.lists(st.sampled_from(sorted(table)), max_size=4, unique=True))
    params = {path: draw(table[path]) for path in chosen}
    if "auxiliary" in params:  # a word, which its nested options would replace
        params = {path: v for path, v in params.items() if path[:11] != "auxiliary__"}
    params = {path: v for path, v in params.items() if path[:10] != "training__"} | {
        path: v for path, v in params.items() if "training" not in params
    }
    arguments = {
        "mode": draw(often(st.just("none"), sorted(_MODES))),
        "X": draw(array_or_not(_table(n))),
        "y": draw(y(n)),
        "sample_weight": draw(st.none() | array_or_not(weights(n))),
        "more_rows": draw(_more_rows(estimator, y)),
        **params,
    }
    call = partial(_fit_and_predict, estimator, **arguments)
    names = (*(path.rpartition("__")[2] for path in params), *arguments["more_rows"])
    # Options that are not for what others ask for.
    names += ("loss", "backbone", "early_stopping", "warm_start")
    return Case(f"{estimator.__name__}.fit", call, arguments, names, (NonFiniteLossError,))


_N_ROWS = 60


@cache
def _fitted(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(_N_ROWS, 3))
    scores_, classes = np.exp(X[:, 0]), np.digitize(X[:, 0], [0.0, 1.0])
    quick = {"max_epochs": 2, "random_state": 0, "hidden_layer_sizes": (4,)}
    if kind == "classes":
        return GranularClassifier(**quick).fit(X, classes)
    if kind == "classes, tabular":
        return GranularClassifier(backbone="tabular", **quick).fit(X, classes)
    if kind == "module":
        return ELTARegressor(backbone=torch.nn.Linear(3, 4), max_epochs=2).fit(X, scores_)
    backbone = "tabular" if kind == "quantile" else "mlp"
    return ELTARegressor(loss=kind, backbone=backbone, **quick).fit(X, scores_)


_KINDS = ["mse", "emd", "quantile", "module", "classes", "classes, tabular"]


def _predict(kind, method, mode, **arguments):
    with _MODES[mode]():
        return getattr(_fitted(kind), method)(**arguments)


@st.composite
def _prediction(draw):
    kind = draw(st.sampled_from(_KINDS))
    n = draw(st.sampled_from([1, 3, 40]))
    tail = {"tail": scalar(None, 0.0, 0.5)}
    methods = {"predict": {}, "embed": {}, "score": {"y": scores(n)}}
    if kind.startswith("classes"):
        y = array_or_not(labels(n).filter(lambda y: y.dtype.kind in "if").map(lambda y: y % 3))
        methods |= {"predict_proba": {}, "decision_function": {}, "score": {"y": y}}
    else:
        methods["predict"] = tail | {"prediction": scalar(None, "mean", "median")}
    if kind in ("emd", "quantile"):
        levels = array_or_not(st.sampled_from([[0.5], [0.1, 0.9], np.array([1e-300])]))
        methods |= {
            "predict_quantiles": tail | {"levels": levels},
            "predict_interval": tail | {"confidence_level": scalar(None, 0.5, 0.999)},
            "predict_distribution": tail,
        }
    method = draw(st.sampled_from(sorted(methods)))
    given = {name: draw(value) for name, value in methods[method].items()}
    if method == "score" and draw(st.booleans()):
        given["sample_weight"] = draw(array_or_not(weights(n)))
    if kind in ("mse", "module"):  # which have no distribution to turn
        given = {name: v for name, v in given.items() if name not in ("tail", "prediction")}
    far = numbers(3 * n).map(lambda values: values.reshape(n, 3))
    mode = draw(often(st.just("none"), sorted(_MODES)))
    arguments = {"X": draw(array_or_not(_table(n) | far)), **given}
    call = partial(_predict, kind, method, mode, **arguments)
    return Case(f"{method} of {kind}", call, arguments)


def _labels_or_not(n):
    return array_or_not(labels(n))


ESTIMATORS = st.one_of(
    _fit(ELTARegressor, scores, _ELTA),
    _fit(GranularClassifier, _labels_or_not, _GRANULAR),
    _prediction(),
)
