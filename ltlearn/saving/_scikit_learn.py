"""The classes of scikit-learn that files may hold, with what their ``fit`` sets.

Those are left out whose compiled code trusts what was learned, such as neighbors and support vector
machines: made-up numbers could lead it astray. Of trees all numbers are checked.
"""

from ltlearn.saving._boosting import check_boosting
from ltlearn.saving._kinds import (
    COUNT,
    FLAG,
    FLOATS1,
    FLOATS2,
    FLOATS12,
    LABELS,
    MODEL,
    NUMBER,
    PLAIN,
    TEXT,
    WHOLE,
    WHOLES1,
    array,
    instance,
    mapping,
    one_of,
    optional,
    sequence,
)
from ltlearn.saving._trees import check_forest, check_tree_model

_FLOATS = array("f", 0, 1, 2)
_FLOATS_TO_3 = array("f", 1, 2, 3)
_COEFFICIENTS = {"coef_": FLOATS12, "intercept_": one_of(NUMBER, FLOATS1)}
_ITERATIONS = optional(one_of(NUMBER, array("iu", 0, 1, 2, 3)))
_LINEAR = {**_COEFFICIENTS, "n_iter_": _ITERATIONS}
_DESCENT = {
    **_LINEAR,
    **{"dual_gap_": one_of(NUMBER, _FLOATS), "alpha_": NUMBER, "alphas_": FLOATS12},
    **{"l1_ratio": NUMBER, "l1_ratio_": NUMBER, "mse_path_": array("f", 2, 3)},
}
_CATEGORIES = {
    "categories_": sequence(LABELS),
    "_infrequent_enabled": FLAG,
    "_infrequent_indices": sequence(optional(WHOLES1)),
    "_default_to_infrequent_mappings": sequence(optional(WHOLES1)),
}
_DECOMPOSITION = {
    **{"components_": FLOATS2, "explained_variance_": FLOATS1, "singular_values_": FLOATS1},
    "explained_variance_ratio_": FLOATS1,
}


def _check_one_hot(encoder):
    """Codes become positions in a sparse matrix, which nothing else checks."""
    if not hasattr(encoder, "categories_"):
        return
    mappings = getattr(encoder, "_default_to_infrequent_mappings", None)
    dropped = encoder._drop_idx_after_grouping
    n_columns = len(encoder.categories_)
    dropped = [None] * n_columns if dropped is None else dropped
    mappings = [None] * n_columns if mappings is None else mappings
    if not (len(dropped) == len(mappings) == len(encoder._n_features_outs) == n_columns):
        raise ValueError("its lists are of different lengths.")
    for categories, mapping_, drop, n_outputs in zip(
        encoder.categories_, mappings, dropped, encoder._n_features_outs, strict=True
    ):
        n_codes = len(categories)
        if mapping_ is not None:
            if len(mapping_) != n_codes or mapping_.min(initial=0) < 0:
                raise ValueError("its infrequent categories are no categories.")
            n_codes = int(mapping_.max(initial=-1)) + 1
        if drop is not None and not 0 <= drop < n_codes:
            raise ValueError("it drops a category that there is not.")
        if n_outputs != n_codes - (drop is not None):
            raise ValueError("it has another number of outputs than of categories.")


def _entries(module, **classes):
    common = {
        **{"n_features_in_": COUNT, "feature_names_in_": LABELS},
        "_sklearn_output_config": mapping(TEXT, TEXT),
    }
    return {name: (module, {**common, **kinds}) for name, kinds in classes.items()}


def _checked(entries, check):
    return {name: (*entry, check) for name, entry in entries.items()}


_TREE = {
    **{"tree_": instance("Tree"), "max_features_": COUNT, "n_outputs_": COUNT},
    **{"classes_": one_of(LABELS, sequence(LABELS)), "n_classes_": one_of(COUNT, WHOLES1)},
}
_FOREST = {
    **{"estimator_": MODEL, "n_outputs_": COUNT, "_sample_weight": optional(FLOATS1)},
    **{"_n_samples": COUNT, "_n_samples_bootstrap": optional(COUNT), "oob_score_": NUMBER},
}
_FOREST_OF_CLASSES = {
    **{"estimators_": sequence(instance("DecisionTreeClassifier")), **_FOREST},
    **{"classes_": one_of(LABELS, sequence(LABELS)), "oob_decision_function_": _FLOATS_TO_3},
    "n_classes_": one_of(COUNT, sequence(COUNT)),
}
_FOREST_OF_SCORES = {
    **{"estimators_": sequence(instance("DecisionTreeRegressor")), **_FOREST},
    "oob_prediction_": FLOATS12,
}
_BOOSTING = {
    **{"classes_": LABELS, "n_trees_per_iteration_": COUNT, "_baseline_prediction": FLOATS2},
    **{"do_early_stopping_": FLAG, "train_score_": FLOATS1, "validation_score_": FLOATS1},
    "trees": instance("SavedTrees"),
}
_TREES = {
    **_checked(
        _entries(
            "sklearn.tree",
            **dict.fromkeys(
                (
                    *("DecisionTreeClassifier", "DecisionTreeRegressor"),
                    *("ExtraTreeClassifier", "ExtraTreeRegressor"),
                ),
                _TREE,
            ),
        ),
        check_tree_model,
    ),
    **_checked(
        _entries(
            "sklearn.ensemble",
            **dict.fromkeys(("ExtraTreesClassifier", "RandomForestClassifier"), _FOREST_OF_CLASSES),
            **dict.fromkeys(("ExtraTreesRegressor", "RandomForestRegressor"), _FOREST_OF_SCORES),
        ),
        check_forest,
    ),
    **_checked(
        _entries(
            "sklearn.ensemble",
            **dict.fromkeys(
                ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"), _BOOSTING
            ),
        ),
        check_boosting,
    ),
}

_PREPROCESSING = _entries(
    "sklearn.preprocessing",
    StandardScaler={
        "n_samples_seen_": one_of(NUMBER, array("iuf", 1)),
        **{name: optional(FLOATS1) for name in ("mean_", "var_", "scale_")},
    },
    MinMaxScaler={
        "n_samples_seen_": COUNT,
        **{f"{name}_": FLOATS1 for name in ("scale", "min", "data_min", "data_max", "data_range")},
    },
    MaxAbsScaler={"n_samples_seen_": COUNT, "max_abs_": FLOATS1, "scale_": FLOATS1},
    RobustScaler={"center_": optional(FLOATS1), "scale_": optional(FLOATS1)},
    QuantileTransformer={"n_quantiles_": COUNT, "references_": FLOATS1, "quantiles_": FLOATS2},
    PowerTransformer={"lambdas_": FLOATS1, "_scaler": instance("StandardScaler")},
    Normalizer={},
    Binarizer={},
    FunctionTransformer={},
    PolynomialFeatures={
        **{"_min_degree": COUNT, "_max_degree": COUNT},
        **{"n_output_features_": COUNT, "_n_out_full": COUNT},
    },
    KBinsDiscretizer={
        "bin_edges_": array("O", 1),
        "n_bins_": WHOLES1,
        "_encoder": instance("OneHotEncoder"),
    },
    OneHotEncoder={
        **_CATEGORIES,
        "_drop_idx_after_grouping": optional(array("iuO", 1)),
        "drop_idx_": optional(array("iuO", 1)),
        "_n_features_outs": sequence(COUNT),
    },
    OrdinalEncoder={**_CATEGORIES, "_missing_indices": mapping(WHOLE, NUMBER)},
    TargetEncoder={
        **_CATEGORIES,
        **{"target_type_": TEXT, "classes_": optional(LABELS), "encodings_": sequence(FLOATS1)},
        "target_mean_": one_of(NUMBER, FLOATS1),
    },
    LabelBinarizer={"y_type_": TEXT, "classes_": LABELS, "sparse_input_": FLAG},
    LabelEncoder={"classes_": LABELS},
)
_PREPROCESSING["OneHotEncoder"] += (_check_one_hot,)

SCIKIT_LEARN = {
    **_PREPROCESSING,
    **_TREES,
    **_entries(
        "sklearn.impute",
        SimpleImputer={
            "statistics_": array("biufUO", 1),
            "indicator_": optional(instance("MissingIndicator")),
            "_fit_dtype": PLAIN,
            "_fill_dtype": PLAIN,
        },
        MissingIndicator={"features_": WHOLES1, "_precomputed": FLAG, "_n_features": COUNT},
    ),
    **_entries(
        "sklearn.decomposition",
        PCA={
            **_DECOMPOSITION,
            **{"mean_": FLOATS1, "noise_variance_": NUMBER, "_fit_svd_solver": TEXT},
            **{"n_components_": COUNT, "n_samples_": COUNT},
        },
        TruncatedSVD=_DECOMPOSITION,
    ),
    **_entries(
        "sklearn.random_projection",
        GaussianRandomProjection={
            **{"n_components_": COUNT, "components_": FLOATS2, "_n_features_out": COUNT},
        },
    ),
    **_entries(
        "sklearn.feature_selection",
        VarianceThreshold={"variances_": FLOATS1},
    ),
    **_entries(
        "sklearn.compose",
        ColumnTransformer={
            "transformers_": sequence(sequence(one_of(PLAIN, MODEL))),
            **{"_columns": PLAIN, "_transformer_to_input_indices": PLAIN, "output_indices_": PLAIN},
            "_remainder": sequence(one_of(PLAIN, MODEL)),
            **{"sparse_output_": FLAG, "_n_features": COUNT},
        },
        TransformedTargetRegressor={
            **{"transformer_": MODEL, "regressor_": MODEL, "_training_dim": COUNT},
        },
    ),
    **_entries("sklearn.pipeline", Pipeline={}, FeatureUnion={}),
    **_entries("sklearn.frozen", FrozenEstimator={}),
    **_entries(
        "sklearn.linear_model",
        LinearRegression={**_COEFFICIENTS, "rank_": WHOLE, "singular_": FLOATS1},
        Ridge={**_LINEAR, "solver_": TEXT},
        RidgeCV={**_LINEAR, "alpha_": one_of(NUMBER, FLOATS1), "best_score_": PLAIN},
        **dict.fromkeys(("Lasso", "ElasticNet"), _DESCENT),
        # Of these, _alphas is known to scikit-learn 1.7 and 1.8 alone.
        LassoCV={**_DESCENT, "_alphas": one_of(COUNT, FLOATS1)},
        ElasticNetCV={**_DESCENT, "_alphas": one_of(COUNT, FLOATS1)},
        HuberRegressor={**_LINEAR, "scale_": NUMBER, "outliers_": array("b", 1)},
        QuantileRegressor=_LINEAR,
        BayesianRidge={
            **{**_LINEAR, "X_offset_": FLOATS1, "X_scale_": FLOATS1, "scores_": PLAIN},
            **{"alpha_": NUMBER, "lambda_": NUMBER, "sigma_": FLOATS2},
        },
        LogisticRegression={**_LINEAR, "classes_": LABELS},
        RidgeClassifier={
            **{**_LINEAR, "classes_": LABELS, "solver_": TEXT},
            "_label_binarizer": instance("LabelBinarizer"),
        },
    ),
    **_entries(
        "sklearn.discriminant_analysis",
        LinearDiscriminantAnalysis={
            **{**_COEFFICIENTS, "classes_": LABELS, "priors_": FLOATS1, "means_": FLOATS2},
            **{"xbar_": FLOATS1, "scalings_": FLOATS2, "explained_variance_ratio_": FLOATS1},
            **{"_max_components": COUNT, "_n_features_out": COUNT, "covariance_": FLOATS2},
        },
    ),
    **_entries(
        "sklearn.naive_bayes",
        GaussianNB={
            **{"classes_": LABELS, "class_count_": FLOATS1, "class_prior_": FLOATS1},
            **{"theta_": FLOATS2, "var_": FLOATS2, "epsilon_": NUMBER},
        },
    ),
    **_entries(
        "sklearn.dummy",
        DummyRegressor={"n_outputs_": COUNT, "constant_": FLOATS2},
        DummyClassifier={
            **{"classes_": LABELS, "n_classes_": COUNT, "class_prior_": FLOATS1},
            **{"n_outputs_": COUNT, "sparse_output_": FLAG, "_strategy": TEXT},
        },
    ),
    **{
        name: (
            "sklearn.model_selection",
            dict.fromkeys(("n_splits", "shuffle", "random_state"), PLAIN),
        )
        for name in ("KFold", "StratifiedKFold")
    },
}
