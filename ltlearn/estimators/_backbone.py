"""Which inputs and which backbone the parameters of an estimator ask for."""

from ltlearn.data._inputs import ArrayInputs, ColumnInputs, ImageInputs, TableInputs
from ltlearn.images import RECIPES, Recipe
from ltlearn.networks import timm_input_spec
from ltlearn.networks._builders import GivenBackbone, MLPBuilder, NamedBackbone, TabularBuilder
from ltlearn.networks._timm import input_spec_of, timm_params
from ltlearn.utils._suggestions import did_you_mean

# Names of the backbones that are built in; other names are models of timm.
BUILT_IN = ("auto", "tabular", "mlp")


def is_tabular(estimator):
    """Whether the parameters ask for the body for tables."""
    return isinstance(estimator.backbone, str) and estimator.backbone in ("auto", "tabular")


def takes_tables(estimator):
    """Whether the parameters ask for one of the built-in backbones, whose X has two dimensions."""
    return isinstance(estimator.backbone, str) and estimator.backbone in BUILT_IN


def is_for_images(estimator):
    """Whether the parameters ask for a backbone that takes images."""
    backbone = estimator.backbone
    if isinstance(backbone, str):
        return backbone not in BUILT_IN
    return input_spec_of(backbone) is not None


def make_inputs(estimator):
    """What X may be and how it becomes data, by the parameter ``backbone``."""
    backbone, images = estimator.backbone, estimator._option("images")
    if is_tabular(estimator):
        return ColumnInputs(estimator.categorical_features)
    if backbone == "mlp":
        return TableInputs()
    if isinstance(backbone, str):
        spec = _spec_of_name(backbone, _timm_params(estimator))
    else:
        spec = input_spec_of(backbone)
    if spec is None:
        return ArrayInputs()
    recipe = resolve_recipe(estimator.augmentation)
    return ImageInputs(spec, recipe, images.num_workers, images.on_bad_image)


def backbone_builder(estimator):
    """A callable from the shape of a sample to the backbone."""
    backbone = estimator.backbone
    if is_tabular(estimator) or backbone == "mlp":
        layers = {
            "hidden_layer_sizes": tuple(map(int, estimator._setting("hidden_layer_sizes"))),
            "dropout": estimator._setting("dropout"),
        }
        if backbone == "mlp":
            return MLPBuilder(**layers)
        layout, n_members = estimator._inputs.scaler.layout_, estimator._setting("n_members")
        return TabularBuilder(*layout, n_members=n_members, **layers)
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
            f"ltlearn.images.Recipe or None.{did_you_mean(augmentation, RECIPES)}"
        )
    return RECIPES[augmentation]


def _spec_of_name(name, params):
    try:
        return timm_input_spec(name, params)
    except (TypeError, ValueError) as error:
        names = ", ".join(map(repr, BUILT_IN))
        raise ValueError(
            f"backbone={name!r} with backbone_params={params} cannot be had: {error} Built in are "
            f"{names}; other names are those of timm's models."
        ) from error


def _timm_params(estimator):
    feature_pooling = estimator._option("architecture").feature_pooling
    return timm_params(estimator.backbone_params, feature_pooling)
