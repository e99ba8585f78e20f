"""Taking estimators apart and putting them together, beyond plain attributes.

Networks become what builds them and their weights; modules of one's own, a name.
"""

import warnings

import torch
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from ltlearn.estimators._base import BaseDeepEstimator
from ltlearn.exceptions import SavedFileError, SavedFileWarning
from ltlearn.features import BackboneFeatures
from ltlearn.networks._builders import GivenBackbone
from ltlearn.persistence._values import NotSavableError
from ltlearn.saving._boosting import BOOSTING, take_boosting_apart
from ltlearn.saving._networks import OwnBackbone, SavedBackbone, SavedNet, is_own
from ltlearn.saving._registry import build, describe
from ltlearn.saving._trees import SavedRows, SavedTree
from ltlearn.utils._compat import Tree
from ltlearn.utils._device import resolve_device


def take_apart(value, where):
    """Name and state of an object, or None for what no file holds; for a :class:`Writer`."""
    if hasattr(value, "module__build_backbone"):
        value = SavedNet.of(value)
    if isinstance(value, GivenBackbone):
        return "GivenBackbone", {"backbone": OwnBackbone.of(value.backbone)}
    if type(value) is Tree:
        value = SavedTree.of(value)
    if type(value) in BOOSTING:
        return take_boosting_apart(value, where)
    if type(value) is csr_array:
        value = SavedRows.of(value)
    if type(value) is BackboneFeatures:
        value = _without_backbone(value)
    try:
        found = describe(value)
    except AttributeError as error:
        raise NotSavableError(where, str(error)) from error
    if found is None or not isinstance(value, BaseDeepEstimator | BackboneFeatures):
        return found
    name, state = found
    params = dict(state["parameters"])
    if params.get("callbacks"):
        raise NotSavableError(
            f"{where}.callbacks",
            "a list of callbacks (leave them out by set_params(callbacks=None))",
        )
    if "checkpoint" in params:  # a folder of this machine
        params["checkpoint"] = None
    if is_own(params["backbone"]):
        params["backbone"] = OwnBackbone.of(params["backbone"])
    return name, {**state, "parameters": params}


def _without_backbone(features):
    """A copy whose backbone is taken apart and that has no cache."""
    copied = BackboneFeatures(**{**features.get_params(deep=False), "cache": None})
    vars(copied).update(vars(features))
    copied.cache = None
    if hasattr(features, "backbone_"):
        copied.backbone_ = SavedBackbone.of(features)
        del copied._backbone_fingerprint
    return copied


class Loading:
    """Puts the objects of one file together.

    Parameters
    ----------
    device : str, torch.device or None
    precision : str or None
    backbone : torch.nn.Module, callable or None
        As of :func:`ltlearn.load`.

    Attributes
    ----------
    has_scikit_learn : bool
        Whether any object was one of scikit-learn's.
    """

    def __init__(self, device, precision, backbone):
        self.device = None if device is None else str(resolve_device(device))
        self.precision = precision
        self.backbone = backbone
        self.has_scikit_learn = False

    def build(self, name, state, where):
        """An object from its name and state; for a :class:`Reader`."""
        built = build(name, self._with_own(state, where), where)
        if isinstance(built, SavedTree | SavedRows):
            return built.restore()
        if isinstance(built, BaseDeepEstimator | BackboneFeatures):
            try:
                self._finish(built)
            except SavedFileError as error:
                raise SavedFileError(f"{where} ({name}): {error}") from error
            except Exception as error:  # whatever torch says of what does not fit
                raise SavedFileError(f"{where} ({name}) cannot be put together: {error}") from error
        is_model = isinstance(built, BaseEstimator)
        self.has_scikit_learn |= is_model and type(built).__module__.startswith("sklearn.")
        return built

    def _with_own(self, state, where):
        """The state with the user's own module in place of what stands for it."""
        params = state.get("parameters")
        if isinstance(params, dict) and isinstance(params.get("backbone"), OwnBackbone):
            backbone = self._own(params["backbone"], where)
            return {**state, "parameters": {**params, "backbone": backbone}}
        return state

    def _own(self, stand_in, where):
        if self.backbone is None:
            raise SavedFileError(
                f"{where} was fitted with a backbone of your own, {stand_in.name[:80]}, whose code "
                "no file holds. Pass it: ltlearn.load(path, backbone=...)."
            )
        return self.backbone

    def _finish(self, estimator):
        if self.device is not None:
            estimator.device = self.device
        elif not _is_here(estimator.device):
            warnings.warn(
                f"The model was on {estimator.device!r}, which is not here; it is on the CPU now.",
                SavedFileWarning,
                stacklevel=2,
            )
            estimator.device = "cpu"
        if isinstance(estimator, BackboneFeatures):
            if hasattr(estimator, "backbone_"):
                self._finish_features(estimator)
        elif hasattr(estimator, "net_"):
            self._finish_net(estimator)
        if self.precision is not None:
            estimator.to(precision=self.precision)

    def _finish_net(self, estimator):
        saved = vars(estimator).pop("net_")  # nothing is to take it for a net
        if isinstance(saved.build_backbone, GivenBackbone):
            saved.build_backbone = GivenBackbone(self._own(saved.build_backbone.backbone, "net_"))
        estimator.net_ = saved.restore(estimator)

    def _finish_features(self, features):
        saved = features.backbone_
        if isinstance(saved.build, GivenBackbone):
            saved.build = GivenBackbone(self._own(saved.build.backbone, "backbone_"))
        frozen = saved.restore(features)
        features.backbone_, features._backbone_fingerprint, n_features = frozen
        if n_features != features.n_features_out_:
            raise SavedFileError(
                f"the backbone gives {n_features} features, not {features.n_features_out_}."
            )


def _is_here(device):
    try:
        torch.empty(0, device=resolve_device(device))
    except (ValueError, RuntimeError, AssertionError):
        return False
    return True
