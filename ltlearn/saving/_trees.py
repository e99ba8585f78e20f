"""Trees of scikit-learn, and sparse matrices, as plain arrays.

Compiled code follows the numbers of a tree wherever they lead. So all of them are looked at before
a tree is built from a file: a node's children come after it, every node but the first is the child
of one other, and columns are among those that there are.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ltlearn.utils._compat import NODE_DTYPE, Tree

_WHOLE = ("left_child", "right_child", "feature", "n_node_samples")
_REAL = ("threshold", "impurity", "weighted_n_node_samples")
_NO_CHILD = -1


@dataclass
class SavedTree:
    """A tree of scikit-learn, taken apart.

    Parameters
    ----------
    n_features : int
    n_classes : ndarray of shape (n_outputs,), dtype int64
        1 each for a regressor.
    whole : ndarray of shape (n_nodes, 4), dtype int64
        Left and right child, column, number of rows.
    real : ndarray of shape (n_nodes, 3), dtype float64
        Threshold, impurity, weight of the rows.
    missing_go_left : ndarray of shape (n_nodes,), dtype uint8
    values : ndarray of shape (n_nodes, n_outputs, most classes), dtype float64
    """

    n_features: int
    n_classes: np.ndarray
    whole: np.ndarray
    real: np.ndarray
    missing_go_left: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, tree):
        state = tree.__getstate__()
        nodes = state["nodes"]
        return cls(
            n_features=int(tree.n_features),
            n_classes=np.array(tree.n_classes, dtype=np.int64),
            whole=np.stack([nodes[name].astype(np.int64) for name in _WHOLE], axis=1),
            real=np.stack([nodes[name] for name in _REAL], axis=1),
            missing_go_left=np.array(nodes["missing_go_to_left"]),
            values=np.array(state["values"], order="C"),
        )

    def restore(self):
        """The tree."""
        nodes = np.zeros(len(self.whole), dtype=NODE_DTYPE)
        for name, column in zip((*_WHOLE, *_REAL), (*self.whole.T, *self.real.T), strict=True):
            nodes[name] = column
        nodes["missing_go_to_left"] = self.missing_go_left
        tree = Tree(int(self.n_features), self.n_classes.astype(np.intp), len(self.n_classes))
        tree.__setstate__(
            {
                "max_depth": _depth(*self.whole[:, :2].T),
                "node_count": len(nodes),
                "nodes": nodes,
                "values": np.ascontiguousarray(self.values),
            }
        )
        return tree


def check_saved_tree(tree):
    """Raise ValueError where numbers of a taken-apart tree do not make one."""
    n_nodes, n_outputs = len(tree.whole), len(tree.n_classes)
    require(n_nodes > 0 and n_outputs > 0, "it has no node or no output")
    require((tree.n_classes > 0).all(), "an output has no class")
    shapes = {
        "whole": (n_nodes, len(_WHOLE)),
        "real": (n_nodes, len(_REAL)),
        "missing_go_left": (n_nodes,),
        "values": (n_nodes, n_outputs, int(tree.n_classes.max())),
    }
    dtypes = {
        **{"n_classes": np.int64, "whole": np.int64, "real": np.float64},
        **{"missing_go_left": np.uint8, "values": np.float64},
    }
    for name, shape in shapes.items():
        require(getattr(tree, name).shape == shape, f"{name} must have the shape {shape}")
    for name, dtype in dtypes.items():
        found = getattr(tree, name).dtype
        require(found == dtype, f"{name} must be of the type {np.dtype(dtype)}, not {found}")
    left, right, feature, n_rows = tree.whole.T
    inner = left != _NO_CHILD
    check_children(left, right, ~inner)
    require((right[~inner] == _NO_CHILD).all(), "a leaf has a child")
    columns = feature[inner]
    require(((columns >= 0) & (columns < tree.n_features)).all(), "it splits a column there is not")
    require((n_rows >= 0).all(), "a node has fewer than no rows")
    require(not np.isnan(tree.real[inner, 0]).any(), "a threshold is missing")
    require(np.isfinite(tree.values).all(), "its values are not finite")
    require((tree.missing_go_left <= 1).all(), "missing values go neither left nor right")


def check_children(left, right, is_leaf):
    """Raise where nodes are no tree, of which each comes after its parent."""
    n_nodes = len(left)
    own = np.arange(n_nodes)[~is_leaf]
    left, right = left[~is_leaf], right[~is_leaf]
    children = np.concatenate([left, right])
    require(((children > 0) & (children < n_nodes)).all(), "a child is no node")
    require(((left > own) & (right > own)).all(), "a child comes before its parent")
    parents = np.bincount(children, minlength=n_nodes)
    require((parents[1:] == 1).all(), "a node is not the child of one other")


def _depth(left, right):
    """Edges from the first node to the farthest one."""
    depth, level = -1, np.array([0])
    while len(level):
        depth += 1
        inner = level[left[level] != _NO_CHILD]
        level = np.concatenate([left[inner], right[inner]])
    return depth


def check_tree_model(model):
    """Raise ValueError where a tree does not fit the model that it belongs to."""
    tree = getattr(model, "tree_", None)
    if tree is None:
        return
    require(getattr(model, "n_features_in_", None) == tree.n_features, "its columns are others")
    require(getattr(model, "n_outputs_", None) == tree.n_outputs, "its outputs are others")
    _check_classes(model, tree)


def check_forest(forest):
    """Raise ValueError where the trees of a forest do not fit it and each other."""
    models = getattr(forest, "estimators_", None)
    if models is None:
        return
    require(len(models) > 0, "it has no trees")
    for model in models:
        require(type(model) is type(forest.estimator), "a tree of it is of another class")
        require(hasattr(model, "tree_"), "a tree of it is not fitted")
        for name in ("n_features_in_", "n_outputs_"):
            require(
                getattr(forest, name, None) == getattr(model, name), f"trees have another {name}"
            )
        _check_classes(forest, model.tree_)


def _check_classes(model, tree):
    if not hasattr(model, "predict_proba"):
        require(tree.max_n_classes == 1, "a regressor has classes")
        return
    several = model.n_outputs_ > 1
    classes = model.classes_ if several else [model.classes_]
    counts = [len(labels) for labels in classes]
    require(np.atleast_1d(model.n_classes_).tolist() == counts, "its classes are others")
    require(tree.n_classes.tolist() == counts, "its classes are others")


@dataclass
class SavedRows:
    """A sparse matrix by rows, taken apart as SciPy holds it."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple

    @classmethod
    def of(cls, matrix):
        return cls(matrix.data, matrix.indices, matrix.indptr, tuple(map(int, matrix.shape)))

    def restore(self):
        """The matrix."""
        return sparse.csr_array((self.data, self.indices, self.indptr), shape=tuple(self.shape))


def check_saved_rows(saved):
    """Raise ValueError where numbers do not make a sparse matrix."""
    require(len(saved.shape) == 2, "it has not two dimensions")
    n_rows, n_columns = saved.shape
    require(len(saved.indptr) == n_rows + 1, "its rows are others")
    require(len(saved.data) == len(saved.indices), "it has more numbers than columns, or fewer")
    require(saved.indptr[0] == 0 and saved.indptr[-1] == len(saved.data), "its rows are others")
    require((np.diff(saved.indptr) >= 0).all(), "a row has fewer than no numbers")
    require(saved.indptr.dtype == saved.indices.dtype, "its positions are of two types")
    inside = (saved.indices >= 0) & (saved.indices < n_columns)
    require(inside.all(), "a number is in a column there is not")


def check_quantile_forest(model):
    """Raise ValueError where the labels in leaves are not those of a quantile forest's trees."""
    if not hasattr(model, "forest_"):
        return
    n_leaves = sum(tree.tree_.node_count for tree in model.forest_.estimators_)
    require(model._shares.shape == (n_leaves, len(model._labels)), "its leaves are others")
    require(model.n_features_in_ == model.forest_.n_features_in_, "its columns are others")


def require(holds, what):
    """Raise ValueError with ``what`` where something does not hold."""
    if not holds:
        raise ValueError(f"{what}.")
