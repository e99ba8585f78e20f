"""Histogram gradient boosting of scikit-learn as plain arrays that are checked."""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.preprocessing import LabelEncoder

from ltlearn.persistence._values import NotSavableError
from ltlearn.saving._trees import check_children, require
from ltlearn.utils._compat import PREDICTOR_RECORD_DTYPE, TreePredictor, _BinMapper

BOOSTING = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)

_WHOLE = ("left", "right", "feature_idx", "count", "depth", "bin_threshold")
_REAL = ("num_threshold", "value", "gain")
_FLAGS = ("missing_go_to_left", "is_leaf")

# What fit sets that predictions need; the rest is of use to a warm start alone.
_KEPT = (
    *("n_features_in_", "feature_names_in_", "classes_", "n_trees_per_iteration_"),
    *("_baseline_prediction", "do_early_stopping_", "train_score_", "validation_score_"),
)


@dataclass
class SavedTrees:
    """The trees of all iterations, one after the other.

    Parameters
    ----------
    sizes : ndarray of shape (n_iterations, n_trees), dtype int64
        Nodes of each tree.
    whole : ndarray of shape (n_nodes, 6), dtype int64
    real : ndarray of shape (n_nodes, 3), dtype float64
    flags : ndarray of shape (n_nodes, 2), dtype uint8
    """

    sizes: np.ndarray
    whole: np.ndarray
    real: np.ndarray
    flags: np.ndarray

    @classmethod
    def of(cls, iterations, n_trees):
        sizes = [[len(tree.nodes) for tree in trees] for trees in iterations]
        parts = [tree.nodes for trees in iterations for tree in trees]
        nodes = np.concatenate([np.empty(0, PREDICTOR_RECORD_DTYPE), *parts])
        return cls(
            np.array(sizes, dtype=np.int64).reshape(len(iterations), n_trees),
            *(
                np.stack([nodes[name].astype(kind) for name in names], axis=1)
                for names, kind in ((_WHOLE, np.int64), (_REAL, np.float64), (_FLAGS, np.uint8))
            ),
        )

    def restore(self):
        """Predictors of every iteration."""
        nodes = np.zeros(len(self.whole), dtype=PREDICTOR_RECORD_DTYPE)
        for names, values in ((_WHOLE, self.whole), (_REAL, self.real), (_FLAGS, self.flags)):
            for name, column in zip(names, values.T, strict=True):
                nodes[name] = column
        empty = np.empty((0, 8), dtype=np.uint32)  # of categories, of which there are none
        trees = iter(self._trees(nodes))
        return [
            [TreePredictor(next(trees).copy(), empty, empty) for _ in sizes] for sizes in self.sizes
        ]

    def _trees(self, values):
        return np.split(values, np.cumsum(self.sizes.ravel())[:-1]) if self.sizes.size else []

    def check(self, n_features):
        """Raise ValueError where the numbers make no trees on so many columns."""
        n_nodes = len(self.whole)
        for name, (width, kind) in {
            "whole": (len(_WHOLE), np.int64),
            "real": (len(_REAL), np.float64),
            "flags": (len(_FLAGS), np.uint8),
        }.items():
            found = getattr(self, name)
            fits = found.shape == (n_nodes, width) and found.dtype == kind
            require(fits, f"{name} must have the shape {(n_nodes, width)} and be {kind.__name__}")
        positive = (self.sizes > 0).all() and (self.sizes <= n_nodes).all()
        require(positive and self.sizes.sum() == n_nodes, "its trees have other sizes")
        require((self.flags <= 1).all(), "a flag is neither 0 nor 1")
        require((self.whole >= 0).all(), "a number is negative")
        require((self.whole[:, 3:5] < 2**32).all(), "a number is too large")
        require((self.whole[:, 5] < 2**8).all(), "a number is too large")
        inner = self.flags[:, 1] == 0
        require((self.whole[:, 2] < n_features).all(), "it splits a column there is not")
        require(not np.isnan(self.real[inner, 0]).any(), "a threshold is missing")
        require(np.isfinite(self.real[:, 1]).all(), "its values are not finite")
        for left_right, is_leaf in zip(
            self._trees(self.whole[:, :2]), self._trees(~inner), strict=True
        ):
            check_children(*left_right.T, is_leaf)
            require((left_right[is_leaf] == 0).all(), "a leaf has a child")


def take_boosting_apart(model, where):
    """Name and state of a model, for a :class:`Writer`."""
    if model.warm_start or getattr(model, "is_categorical_", None) is not None:
        what = "warm_start=True" if model.warm_start else "categories; encode them before"
        raise NotSavableError(where, f"a {type(model).__name__} with {what}")
    learned = {name: getattr(model, name) for name in _KEPT if hasattr(model, name)}
    if hasattr(model, "_predictors"):
        learned["trees"] = SavedTrees.of(model._predictors, model.n_trees_per_iteration_)
    return type(model).__name__, {"parameters": model.get_params(deep=False), "learned": learned}


def check_boosting(model):
    """Put the trees of a file into their model; raises ValueError where they do not fit."""
    trees = vars(model).pop("trees", None)
    if trees is None:
        require(not hasattr(model, "n_trees_per_iteration_"), "it has no trees")
        return
    n_trees, n_features = model.n_trees_per_iteration_, model.n_features_in_
    require(trees.sizes.shape[1] == n_trees, "its trees are others")
    require(model._baseline_prediction.shape == (1, n_trees), "its baseline is another")
    if hasattr(model, "predict_proba"):
        n_classes = len(model.classes_)
        require(n_trees == (1 if n_classes == 2 else n_classes), "its classes are others")
    else:
        require(n_trees == 1, "a regressor has several trees an iteration")
    trees.check(n_features)
    model._predictors = trees.restore()
    model._n_features = n_features
    model.is_categorical_ = model._preprocessor = model._is_categorical_remapped = None
    model._bin_mapper = _BinMapper()
    model._bin_mapper.is_categorical_ = np.zeros(n_features, dtype=np.uint8)
    model._bin_mapper.bin_thresholds_ = []
    model._loss = model._get_loss(sample_weight=None)
    if hasattr(model, "predict_proba"):
        model._label_encoder = LabelEncoder().fit(model.classes_)
