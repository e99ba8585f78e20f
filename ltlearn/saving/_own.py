"""The classes of ltlearn that files may hold, with what their attributes may be."""

from ltlearn.saving._kinds import (
    COUNT,
    FLAG,
    FLOATS1,
    FLOATS2,
    LABELS,
    MODEL,
    NUMBER,
    PLAIN,
    TENSOR,
    TEXT,
    WHOLE,
    WHOLES1,
    array,
    choice,
    instance,
    mapping,
    one_of,
    optional,
    sequence,
)
from ltlearn.saving._trees import check_quantile_forest, check_saved_rows, check_saved_tree

_BANDS = instance("LabelBands")
_FEATURES = {"n_features_in_": COUNT, "feature_names_in_": LABELS}
_WEIGHTS = mapping(TEXT, TENSOR)
_HISTORY = sequence(mapping(TEXT, PLAIN))
_INPUTS = instance("ColumnInputs", "TableInputs", "ArrayInputs", "ImageInputs")
_BACKBONES = instance("MLPBuilder", "TabularBuilder", "NamedBackbone", "GivenBackbone")
_HEADS = instance(
    "MSEHead", "QuantileHead", "EMDHead", "ClassHead", "CosineClassHead", "WithProjection"
)
_SIZES = sequence(COUNT)
_SEED = {"random_state": PLAIN, "shuffle": FLAG, "n_splits": COUNT}


def _entries(module, **classes):
    return {name: (module, kinds) for name, kinds in classes.items()}


_DEEP = {
    **{**_FEATURES, "_inputs": _INPUTS, "_defaults": mapping(TEXT, PLAIN)},
    **{"net_": instance("SavedNet"), "history_": _HISTORY, "n_iter_": COUNT},
    "estimators_": sequence(instance("BaseDeepEstimator")),
}

_ESTIMATORS = _entries(
    "ltlearn",
    ELTARegressor={
        **_DEEP,
        **{"loss_": choice("mse", "quantile", "emd"), "_distribution_centers": optional(FLOATS1)},
        **{"score_mean_": NUMBER, "score_scale_": NUMBER, "label_bands_": _BANDS},
        **{"_tail_weights": instance("TailWeights"), "_quantile_unit": sequence(NUMBER)},
        **{"bin_centers_": optional(FLOATS1), "_logit_shift": optional(FLOATS1)},
        **{"pseudo_labels_": sequence(mapping(TEXT, PLAIN)), "_bounds": optional(sequence(NUMBER))},
    },
    GranularClassifier={
        **{**_DEEP, "classes_": LABELS, "auxiliary_classes_": LABELS, "class_counts_": WHOLES1},
        **{"feature_power_": NUMBER, "temperature_": NUMBER, "tau_": NUMBER, "neighbors_": PLAIN},
        **{"_relation": array("b", 2), "_directions": optional(TENSOR)},
        **{
            name: array("iuf", 1)
            for name in ("_epoch_counts", "_log_share", "_trained_class_weights", "_log_balance")
        },
    },
    BackboneFeatures={
        **{"backbone_": instance("SavedBackbone"), "input_spec_": instance("InputSpec")},
        **{"n_features_out_": COUNT, "_sklearn_output_config": mapping(TEXT, TEXT)},
    },
)

_HELD_OUT = {**_FEATURES, "estimator_": MODEL, "label_bands_": _BANDS}
_TUNED = {
    **{**_FEATURES, "classes_": LABELS, "class_counts_": WHOLES1, "_log_counts": FLOATS1},
    **{"_factors": instance("Factors"), "_scaler": instance("Scaler"), "held_out_loss_": NUMBER},
    **dict.fromkeys(("power_", "factor_", "tau_"), NUMBER),
}

_AROUND_MODELS = {
    **_entries(
        "ltlearn.calibration",
        Recalibrator={**_HELD_OUT, "map_": instance("RecalibrationMap")},
        RecalibrationMap={
            **{"slope_": optional(NUMBER), "intercept_": optional(NUMBER)},
            **{"thresholds_": optional(FLOATS1), "values_": optional(FLOATS1)},
        },
        ConformalRegressor={
            **{**_HELD_OUT, "fold_estimators_": sequence(MODEL), "_has_quantiles": FLAG},
            **{"conformity_scores_": sequence(FLOATS1), "_bands": sequence(WHOLES1)},
            **{"band_edges_": FLOATS1, "n_held_out_": WHOLES1},
        },
        DistributionCalibrator={**_HELD_OUT, "band_edges_": FLOATS1, "pit_": sequence(FLOATS1)},
        LogitAdjuster={
            **{**_FEATURES, "estimator_": MODEL, "classes_": LABELS, "class_counts_": WHOLES1},
            **{"class_prior_": FLOATS1, "floor_": NUMBER, "tau_": NUMBER, "held_out_loss_": NUMBER},
        },
        TailDial={**_HELD_OUT, "_tail_weights": instance("TailWeights")},
    ),
    **_entries(
        "ltlearn.model_selection",
        TunedTailCV={
            **{**_FEATURES, "estimator_": MODEL, "bands_": instance("LabelBands", "ClassBands")},
            **{"tail_": NUMBER, "tail_measure_": TEXT},
            **{"frontier_": mapping(TEXT, PLAIN), "cv_results_": mapping(TEXT, PLAIN)},
        },
    ),
    **_entries(
        "ltlearn.stacking",
        TailLogisticClassifier={**_TUNED, "C_": NUMBER, "_model": instance("LogisticModel")},
        PLDAClassifier={**_TUNED, "shrinkage_": NUMBER, "_model": instance("PLDA")},
        TailStackingRegressor={
            **{**_FEATURES, "heads_": mapping(TEXT, MODEL), "bin_centers_": FLOATS1},
            **{"weights_": mapping(TEXT, NUMBER), "held_out_loss_": mapping(TEXT, NUMBER)},
            **{"_encoders": mapping(TEXT, optional(instance("TableEncoder")))},
            **{"_residuals": mapping(TEXT, optional(FLOATS1)), "label_bands_": _BANDS},
            **{"_tail_weights": instance("TailWeights"), "_used": sequence(TEXT)},
        },
        TailStackingClassifier={
            **{**_FEATURES, "classes_": LABELS, "class_counts_": WHOLES1, "_counts": FLOATS1},
            **{"heads_": mapping(TEXT, MODEL), "settings_": mapping(TEXT, PLAIN), "tau_": NUMBER},
            "_encoder": optional(instance("TableEncoder")),
            **{
                name: mapping(TEXT, NUMBER)
                for name in ("factors_", "temperatures_", "held_out_loss_")
            },
        },
    ),
    **_entries(
        "ltlearn.stacking._built_in_regressors",
        ScaledRidge={
            **{**_FEATURES, "_scaler": instance("Scaler"), "ridge_": instance("RidgeCV")},
        },
    ),
    "QuantileForest": (
        "ltlearn.stacking._quantile_forest",
        {
            **{**_FEATURES, "forest_": instance("RandomForestRegressor"), "_labels": FLOATS1},
            "_shares": instance("csr_array"),
        },
        check_quantile_forest,
    ),
    **_entries(
        "ltlearn.stacking._network",
        NetworkHead={**_TUNED, "_model": instance("Networks")},
        Networks={"turn": FLOATS2, "networks": sequence(MODEL)},
    ),
}

_SPLITTERS = _entries(
    "ltlearn.model_selection",
    BinnedStratifiedKFold={**_SEED, "n_bins": optional(COUNT), "binning": TEXT},
    RareClassStratifiedKFold=_SEED,
)

_OPTIONS = _entries(
    "ltlearn.options",
    Architecture={},
    Auxiliary={},
    Bins={},
    Enhancers={},
    Images={},
    Training={},
)

_PARTS = {
    "SavedTree": (
        "ltlearn.saving._trees",
        {
            **{"n_features": COUNT, "n_classes": WHOLES1, "whole": array("i", 2)},
            **{"real": FLOATS2, "missing_go_left": WHOLES1, "values": array("f", 3)},
        },
        check_saved_tree,
    ),
    **_entries(
        "ltlearn.saving._boosting",
        SavedTrees={
            **{"sizes": array("i", 2), "whole": array("i", 2), "real": FLOATS2},
            "flags": array("u", 2),
        },
    ),
    "SavedRows": (
        "ltlearn.saving._trees",
        {
            **{"data": FLOATS1, "indices": WHOLES1, "indptr": WHOLES1},
            "shape": sequence(COUNT),
        },
        check_saved_rows,
    ),
    **_entries(
        "ltlearn.data._inputs",
        TableInputs={
            **{"power": NUMBER, "scaler": instance("StandardScaler")},
            "exponents": one_of(WHOLE, WHOLES1),
        },
        ColumnInputs={
            **{"reader": instance("ColumnReader"), "n_pieces": COUNT},
            "scaler": instance("ColumnScaler"),
        },
        ArrayInputs={"sample_shape": _SIZES},
        ImageInputs={
            **{"spec": instance("InputSpec"), "recipe": optional(instance("Recipe"))},
            **{"num_workers": COUNT, "on_bad_image": choice("raise", "skip")},
        },
    ),
    **_entries(
        "ltlearn.data._columns",
        ColumnReader={
            **{"categorical_features": PLAIN, "is_categorical_": array("b", 1)},
            "categories_": sequence(optional(PLAIN)),
        },
    ),
    **_entries(
        "ltlearn.data._column_scaling",
        ColumnScaler={
            **{"n_pieces": COUNT, "max_embedded": COUNT, "layout_": instance("TableLayout")},
            **{"_curves": mapping(WHOLE, instance("_Curve")), "_with_gaps": sequence(WHOLE)},
            **{"_ramps": mapping(WHOLE, instance("_Ramp")), "_places": mapping(WHOLE, WHOLES1)},
        },
        TableLayout={"edges": sequence(FLOATS1), "n_plain": COUNT, "n_codes": sequence(COUNT)},
        _Unit={"exponent": WHOLE},
        _Curve={"unit": instance("_Unit"), "center": NUMBER, "scale": NUMBER},
        _Ramp={"unit": instance("_Unit"), "low": NUMBER, "high": NUMBER, "mean": NUMBER},
    ),
    **_entries(
        "ltlearn.images",
        InputSpec={
            **{"channels": COUNT, "size": _SIZES, "mean": sequence(NUMBER), "crop_pct": NUMBER},
            **{"std": sequence(NUMBER), "interpolation": TEXT, "crop_mode": TEXT},
        },
        Recipe={
            **{"resize_ratio": optional(NUMBER), "auto_augment": optional(TEXT)},
            **{"erasing_probability": NUMBER, "mixup_alpha": NUMBER, "cutmix_alpha": NUMBER},
            **{"clean_weight": NUMBER, "consistency_weight": NUMBER, "cutout": NUMBER},
            "label_smoothing": NUMBER,
        },
    ),
    **_entries(
        "ltlearn.metrics",
        LabelBands={
            **{"names": sequence(TEXT), "boundaries": sequence(NUMBER), "codes": sequence(COUNT)},
            "counts": mapping(TEXT, COUNT),
        },
        ClassBands={
            **{"classes": LABELS, "class_counts": array("iuf", 1), "_codes": WHOLES1},
            **{"many_above": NUMBER, "few_below": NUMBER},
        },
    ),
    **_entries(
        "ltlearn.weighting._tail",
        TailWeights={"max_ratio": NUMBER, "grid": FLOATS1, "density": FLOATS1, "most": NUMBER},
    ),
    **_entries("ltlearn.weighting._factors", Factors={"head": FLOATS1, "tau": NUMBER}),
    **_entries(
        "ltlearn.stacking._logistic",
        LogisticModel={"n_iter": COUNT, "coefficients": FLOATS2, "intercepts": FLOATS1},
    ),
    **_entries(
        "ltlearn.stacking._scaling",
        Scaler={
            **{"power": NUMBER, "mean": FLOATS1, "scale": FLOATS1},
            "components": optional(FLOATS2),
        },
    ),
    **_entries(
        "ltlearn.stacking._plda",
        PLDA={
            **{"space": instance("WithinClasses"), "within": FLOATS1, "outside": NUMBER},
            **{"between": FLOATS1, "axes": FLOATS2, "mean": FLOATS2, "variance": FLOATS2},
        },
        WithinClasses={
            **{"n_target": COUNT, "counts": array("iuf", 1)},
            **{"center": FLOATS1, "n_columns": COUNT, "basis": optional(FLOATS2)},
            **{"variance": FLOATS1, "axes": FLOATS2, "mean_variance": NUMBER},
        },
    ),
    **_entries(
        "ltlearn.stacking._columns",
        TableEncoder={
            "has_categories": FLAG,
            "_encoder": optional(instance("ColumnTransformer")),
        },
    ),
}

_LAYERS = {"hidden_layer_sizes": _SIZES, "dropout": NUMBER}
_MEMBERS = {"dropout": NUMBER, "n_members": optional(COUNT)}
_BOUNDED = {**_MEMBERS, "bounds": optional(sequence(NUMBER))}

_NETWORKS = {
    **_entries(
        "ltlearn.networks._builders",
        MLPBuilder=_LAYERS,
        TabularBuilder={
            **{**_LAYERS, "edges": sequence(FLOATS1), "n_plain": COUNT},
            **{"n_codes": sequence(COUNT), "n_members": COUNT},
        },
        NamedBackbone={"name": TEXT, "params": mapping(TEXT, PLAIN)},
        GivenBackbone={"backbone": instance("OwnBackbone")},
    ),
    **_entries(
        "ltlearn.networks._heads",
        MSEHead=_BOUNDED,
        QuantileHead={**_BOUNDED, "n_outputs": COUNT},
        EMDHead={**_MEMBERS, "n_bins": COUNT},
        ClassHead={**_MEMBERS, "batch_norm": FLAG, "n_outputs": COUNT},
        CosineClassHead={
            **{"dropout": NUMBER, "batch_norm": FLAG, "directions": optional(TENSOR)},
            **{"n_outputs": COUNT, "scale": NUMBER},
        },
        WithProjection={"build_head": instance("ClassHead", "CosineClassHead")},
    ),
    **_entries(
        "ltlearn.saving._networks",
        SavedNet={
            **{"build_backbone": _BACKBONES, "build_head": _HEADS, "input_shape": _SIZES},
            **{"is_frozen": FLAG, "weights": _WEIGHTS, "history": _HISTORY, "optimizer": PLAIN},
            **{"batch_size": COUNT, "max_epochs": COUNT},
        },
        SavedBackbone={"build": _BACKBONES, "weights": _WEIGHTS},
        OwnBackbone={"name": TEXT},
    ),
}

# Attributes that came later than the first files, with what they are where a file lacks them.
ADDED = {
    "ELTARegressor": {"_bounds": None},
    "MSEHead": {"bounds": None},
    "QuantileHead": {"bounds": None},
    "TableInputs": {"exponents": 0},
}

# Parameters that went into option objects after the first files, by where they are now.
MOVED = {"GranularClassifier": {"neighbors": "auxiliary__neighbors"}}

OWN = {**_ESTIMATORS, **_AROUND_MODELS, **_SPLITTERS, **_OPTIONS, **_PARTS, **_NETWORKS}
