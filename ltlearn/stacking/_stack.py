"""What stacks are as estimators: heads by name, what comes in, routing, tags."""

from abc import abstractmethod
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import MetaEstimatorMixin
from sklearn.utils import Bunch, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import has_fit_parameter, validate_data

from ltlearn.stacking._columns import check_table
from ltlearn.utils._compat import _BaseComposition, _routing_enabled, _VisualBlock
from ltlearn.utils._estimator import BaseEstimator
from ltlearn.utils._frames import as_pandas, without_extension_types

STACK = "stack"  # what held_out_loss_ calls it


class BaseStack(MetaEstimatorMixin, BaseEstimator, _BaseComposition):
    """A stack with the parameters ``heads``, a string or a list of pairs, and ``cv``."""

    # What a subclass decides

    _kinds_of_heads: tuple  # strings that the parameter heads may be
    _kind_of_estimator: str  # of which its lists are, in messages

    @abstractmethod
    def _check_head(self, name, head):
        """Raise where a head of a list cannot be used."""

    @abstractmethod
    def _default_splitter(self):
        """A splitter of the kind that a number of folds stands for."""

    # Parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the stack and, with ``deep``, of the heads of a list.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        params : dict
        """
        return self._get_params("heads", deep=deep)

    def set_params(self, **params: Any) -> Any:
        """Set parameters of the stack, heads by name, and parameters of heads.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : object
        """
        return self._set_params("heads", **params)

    def _listed_heads(self):
        """Heads of a list by name; none where the stack chooses them."""
        if isinstance(self.heads, str):
            return {}
        pairs = all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in self.heads)
        if not self.heads or not pairs:
            kinds = ", ".join(f'"{kind}"' for kind in self._kinds_of_heads)
            raise ValueError(
                f"heads must be {kinds} or a list of pairs of a name and a "
                f"{self._kind_of_estimator}; got {self.heads!r}."
            )
        self._validate_names([name for name, _ in self.heads])
        for name, head in self.heads:
            self._check_head(name, head)
        if STACK in dict(self.heads):
            raise ValueError(f"No head can be named {STACK!r}: choose another name.")
        return dict(self.heads)

    # Inputs and routing

    def _validate_X(self, X, *, reset):
        takes = get_tags(self).input_tags
        is_frame = hasattr(X, "columns") and hasattr(X, "dtypes")
        if is_frame or not takes.two_d_array or _holds_texts(X):
            (X,) = indexable(X)
            validate_data(self, X, skip_check_array=True, reset=reset)
            if isinstance(self.heads, str):
                X = as_pandas(X)
                X = without_extension_types(X) if hasattr(X, "iloc") else X
                check_table(X)
            return X
        return validate_data(
            self,
            X,
            reset=reset,
            dtype="numeric",
            accept_sparse=["csr"] if takes.sparse else False,
            ensure_all_finite="allow-nan" if takes.allow_nan else True,
        )

    def _route(self, sample_weight, fit_params):
        """What each head's ``fit`` gets besides X and y, by its name, and the splitter."""
        listed = self._listed_heads()
        if _routing_enabled():
            routed = process_routing(self, "fit", sample_weight=sample_weight, **fit_params)
            if isinstance(self.heads, str):
                routed = Bunch(splitter=routed.get("splitter", Bunch(split={})))
        else:
            if fit_params:
                raise TypeError(
                    f"fit got {sorted(fit_params)}, which reach heads only with metadata routing: "
                    "sklearn.set_config(enable_metadata_routing=True)."
                )
            routed = Bunch(splitter=Bunch(split={}))
            for name, head in listed.items():
                if sample_weight is not None and not has_fit_parameter(head, "sample_weight"):
                    raise TypeError(
                        f"The head {name!r} does not take sample_weight in fit. Inside a pipeline "
                        "it can be routed: sklearn.set_config(enable_metadata_routing=True)."
                    )
                routed[name] = Bunch(fit={} if sample_weight is None else _weights(sample_weight))
        return _Routed(routed, {} if sample_weight is None else _weights(sample_weight))

    def get_metadata_routing(self) -> MetadataRouter:
        """Routing of metadata to the heads of a list and to ``cv``.

        Returns
        -------
        routing : MetadataRouter
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        for name, head in self._listed_heads().items():
            router.add(**{name: head}, method_mapping=to_fit)
        splitter = self._default_splitter() if isinstance(self.cv, Integral | str) else self.cv
        if hasattr(splitter, "split"):
            to_split = MethodMapping().add(caller="fit", callee="split")
            router.add(splitter=splitter, method_mapping=to_split)
        return router

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if isinstance(self.heads, str):
            tags.input_tags.allow_nan = True
            tags.input_tags.categorical = True
        else:
            heads = [get_tags(head).input_tags for head in self._listed_heads().values()]
            for kind in ("two_d_array", "sparse", "allow_nan", "categorical"):
                setattr(tags.input_tags, kind, all(getattr(head, kind) for head in heads))
        return tags

    def _sk_visual_block_(self):
        heads = getattr(self, "heads_", None) or self._listed_heads()
        return _VisualBlock("parallel", list(heads.values()), names=list(heads), dash_wrapped=False)


class _Routed:
    """Fit parameters by head; heads that the stack chose get the weights."""

    def __init__(self, routed, default):
        self.routed, self.default = routed, default
        self.splitter = routed.get("splitter", Bunch(split={}))

    def __getitem__(self, name):
        return self.routed.get(name, Bunch(fit=self.default))


def _holds_texts(X):
    """Whether rows, or their first values, are strings: texts, paths, categories."""
    values = X if hasattr(X, "dtype") else np.asarray(X, dtype=object)
    return values.dtype.kind in "US" or (
        values.dtype.kind == "O" and values.size > 0 and isinstance(values.flat[0], str)
    )


def _weights(sample_weight):
    return {"sample_weight": sample_weight}
