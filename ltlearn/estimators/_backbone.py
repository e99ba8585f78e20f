"""Which inputs and which backbone the parameters of an estimator ask for."""

from functools import partial

from ltlearn.data._inputs import ArrayInputs, ImageInputs, TableInputs
from ltlearn.images import RECIPES, Recipe
from ltlearn.networks import MLP, timm_input_spec
from ltlearn.networks._builders import GivenBackbone, NamedBackbone
from ltlearn.networks._timm import input_spec_of, timm_params


def make_inputs(estimator):
    """What X may be and how it becomes data, by the parameter ``backbone``."""
    backbone, images = estimator.backbone, estimator._option("images")
    if backbone == "mlp":
        return TableInputs()
    if isinstance(backbone, str):
        spec = timm_input_spec(backbone, _timm_params(estimator))
    else:
        spec = input_spec_of(backbone)
    if spec is None:
        return ArrayInputs()
    recipe = resolve_recipe(estimator.augmentation)
    return ImageInputs(spec, recipe, images.num_workers, images.on_bad_image)


def backbone_builder(estimator):
    """A callable from the shape of a sample to the backbone."""
    backbone = estimator.backbone
    if backbone == "mlp":
        widths = tuple(estimator.hidden_layer_sizes)
        return partial(_build_mlp, hidden_layer_sizes=widths, dropout=estimator.dropout)
    if isinstance(backbone, str):
        return NamedBackbone(backbone, _timm_params(estimator))
    return GivenBackbone(backbone)


def resolve_recipe(augmentation):
    """The :class:`~ltlearn.images.Recipe` of the parameter ``augmentation``, or None."""
    if augmentation is None or isinstance(augmentation, Recipe):
        return augmentation
    if augmentation not in RECIPES:
        raise ValueError(
            f"augmentation={augmentation!r} is not one of {sorted(RECIPES)}, a "
            "ltlearn.images.Recipe or None."
        )
    return RECIPES[augmentation]


def _timm_params(estimator):
    feature_pooling = estimator._option("architecture").feature_pooling
    return timm_params(estimator.backbone_params, feature_pooling)


def _build_mlp(input_shape, hidden_layer_sizes, dropout):
    return MLP(input_shape[0], hidden_layer_sizes, dropout)
