"""Saved and loaded, in this process and in another one, models predict the same bits."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNetCV,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    QuantileRegressor,
    Ridge,
    RidgeClassifier,
    RidgeCV,
)
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.random_projection import GaussianRandomProjection
from torch import nn

import ltlearn
from ltlearn import (
    BackboneFeatures,
    ELTARegressor,
    GranularClassifier,
    PLDAClassifier,
    TailLogisticClassifier,
    TailStackingClassifier,
    Whole,
)
from ltlearn.calibration import (
    ConformalRegressor,
    DistributionCalibrator,
    LogitAdjuster,
    Recalibrator,
    TailDial,
)
from ltlearn.exceptions import SavedFileError, SavedFileWarning
from ltlearn.images import Recipe
from ltlearn.model_selection import TunedTailCV
from ltlearn.options import Architecture, Enhancers, Training
from ltlearn.stacking._network import NetworkHead

pytestmark = [
    pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning"),
    pytest.mark.filterwarnings("ignore::ltlearn.exceptions.EmptyBandWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

rng = np.random.default_rng(0)
X = rng.normal(size=(90, 4))
SCORES = X[:, 0] + 0.3 * rng.normal(size=90)
CLASSES = np.array(["a", "b", "rare"])[np.digitize(SCORES, [0.0, 1.2])]
VOTES = rng.integers(1, 9, (90, 5)).astype(float)
FRAME = pd.DataFrame(X, columns=list("abcd")).assign(
    kind=pd.Categorical(np.array(["u", "v", "w"])[rng.integers(0, 3, 90)]),
    gap=np.where(rng.random(90) < 0.2, np.nan, X[:, 1]),
)
SMALL = {"max_epochs": 2, "random_state": 0, "hidden_layer_sizes": (8,)}


def saved(model, folder, **options):
    path = folder / "model.ltlearn"
    ltlearn.save(model, path)
    return ltlearn.load(path, **options)


ASKED = {
    **dict.fromkeys(("predict", "predict_proba", "transform", "embed"), ()),
    "predict_quantiles": ([0.1, 0.5],),
    "predict_interval": (0.8,),
}


def assert_same_predictions(model, loaded, data):
    for method, args in ASKED.items():
        if hasattr(model, method):
            expected, found = (getattr(each, method)(data, *args) for each in (model, loaded))
            assert type(expected) is type(found)
            if hasattr(expected, "toarray"):
                expected, found = expected.toarray(), found.toarray()
            assert expected.dtype == found.dtype
            np.testing.assert_array_equal(expected, found)


DEEP = {
    "quantile": lambda: ELTARegressor(**SMALL).fit(X, SCORES),
    "frame": lambda: ELTARegressor(**SMALL).fit(FRAME, SCORES),
    "emd": lambda: ELTARegressor(loss="emd", tail=1.0, prediction="median", **SMALL).fit(X, SCORES),
    "ensemble": lambda: ELTARegressor(n_estimators=2, **SMALL).fit(X, SCORES),
    "ensemble of classifiers": lambda: GranularClassifier(n_estimators=2, **SMALL).fit(X, CLASSES),
    "votes": lambda: ELTARegressor(**SMALL).fit(X, VOTES),
    "mse": lambda: ELTARegressor(loss="mse", backbone="mlp", **SMALL).fit(X, SCORES),
    "bounded": lambda: ELTARegressor(
        loss="mse", backbone="mlp", architecture=Architecture(head="sigmoid"), **SMALL
    ).fit(X, SCORES),
    "bounded members": lambda: ELTARegressor(
        loss="mse", architecture=Architecture(head="sigmoid"), **SMALL
    ).fit(X, SCORES),
    "anchors by density": lambda: ELTARegressor(
        mixup_strength=0.2, enhancers=Enhancers(sampler="density"), **SMALL
    ).fit(X, SCORES),
    "LDAM": lambda: GranularClassifier(loss="ldam", **SMALL).fit(X, CLASSES),
    "self-training": lambda: ELTARegressor(loss="emd", early_stopping=True, **SMALL).fit(
        X, SCORES, X_unlabeled=X[:30] + 0.1
    ),
    "retrained head": lambda: ELTARegressor(
        enhancers=Enhancers(head_retraining_epochs=1), **SMALL
    ).fit(X, SCORES),
    "granular": lambda: GranularClassifier(
        prior="train", class_weight={"rare": 2.0}, calibrate_temperature=True, **SMALL
    ).fit(X, CLASSES, X_aux=Whole(X[:20] + 1), y_aux=Whole(np.repeat(["c", "d"], 10))),
    "cosine": lambda: GranularClassifier(
        architecture=Architecture(head="cosine", feature_power=0.5, batch_norm_head=True), **SMALL
    ).fit(X, CLASSES),
    "tabular classes": lambda: GranularClassifier(
        backbone="tabular", logit_adjustment="auto", **SMALL
    ).fit(FRAME, CLASSES),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_estimators(name, tmp_path):
    model = DEEP[name]()
    data = FRAME if name in ("frame", "tabular classes") else X
    loaded = saved(model, tmp_path)
    assert_same_predictions(model, loaded, data)
    assert repr(loaded) == repr(model)
    assert loaded.history_ == model.history_
    assert clone(loaded).fit(data, SCORES if isinstance(model, ELTARegressor) else CLASSES)


AROUND = {
    "recalibrator": (Recalibrator(Ridge(), method="isotonic"), SCORES),
    "conformal": (ConformalRegressor(Ridge(), cv=KFold(3)), SCORES),
    "conformal quantiles": (ConformalRegressor(ELTARegressor(**SMALL), cv=2), SCORES),
    "distribution": (DistributionCalibrator(ELTARegressor(**SMALL), cv=2), SCORES),
    "adjuster": (LogitAdjuster(GaussianNB(), tau="auto"), CLASSES),
    "dial": (TailDial(ConformalRegressor(Ridge(), cv=2), tail=0.5), SCORES),
    "tuned dial": (TunedTailCV(TailDial(ConformalRegressor(Ridge(), cv=2)), cv=2), SCORES),
    "tuned classes": (TunedTailCV(LogitAdjuster(GaussianNB()), cv=2), CLASSES),
    "logistic": (TailLogisticClassifier(random_state=0), CLASSES),
    "plda": (PLDAClassifier(random_state=0), CLASSES),
    "stack": (
        TailStackingClassifier(
            [("logistic", TailLogisticClassifier()), ("plda", PLDAClassifier())], random_state=0
        ),
        CLASSES,
    ),
    "stack of a pipeline": (
        TailStackingClassifier([("one", make_pipeline(StandardScaler(), GaussianNB()))]),
        CLASSES,
    ),
}


@pytest.mark.parametrize("name", AROUND)
def test_meta_estimators(name, tmp_path):
    model, y = AROUND[name]
    model = clone(model).fit(X, y)
    assert_same_predictions(model, saved(model, tmp_path), X)


def test_stacks_of_embeddings(tmp_path):
    """With networks that see principal components."""
    wide = rng.normal(size=(90, 300)).astype(np.float32) + 2 * (CLASSES == "rare")[:, None]
    stack = TailStackingClassifier(random_state=0).fit(wide, CLASSES)
    assert_same_predictions(stack, saved(stack, tmp_path), wide)
    network = stack.set_params(heads=[("network", NetworkHead())]).fit(wide, CLASSES)
    assert_same_predictions(network, saved(network, tmp_path), wide)


TRANSFORMERS = [
    *(StandardScaler(), StandardScaler(with_mean=False), MinMaxScaler(), MaxAbsScaler()),
    *(RobustScaler(), RobustScaler(with_centering=False), Normalizer(), Binarizer()),
    *(QuantileTransformer(n_quantiles=20), PowerTransformer(), PolynomialFeatures()),
    *(FunctionTransformer(np.arcsinh), FunctionTransformer(), VarianceThreshold()),
    *(PCA(2), PCA(whiten=True), TruncatedSVD(2), GaussianRandomProjection(2, random_state=0)),
    *(TargetEncoder(random_state=0, cv=2), SimpleImputer(add_indicator=True)),
    KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"),
    FeatureUnion([("a", StandardScaler()), ("b", PCA(1))]),
]


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=lambda t: str(t)[:40])
def test_transformers(transformer, tmp_path):
    data = np.where(rng.random(X.shape) < 0.1, np.nan, X) if "Imputer" in str(transformer) else X
    if isinstance(transformer, TargetEncoder):
        data = X.round()
    model = clone(transformer).fit(data, SCORES)
    assert_same_predictions(model, saved(model, tmp_path), data)


ENCODERS = [
    OneHotEncoder(),
    OneHotEncoder(drop="first", sparse_output=False),
    OneHotEncoder(max_categories=2, handle_unknown="infrequent_if_exist"),
    OneHotEncoder(min_frequency=31, drop="if_binary", dtype=np.float32),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
]


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
def test_encoders(encoder, tmp_path):
    model = clone(encoder).fit(FRAME[["kind"]])
    assert_same_predictions(model, saved(model, tmp_path), FRAME[["kind"]])


MODELS = [
    *((LinearRegression(), SCORES), (Ridge(), SCORES), (RidgeCV(), SCORES), (Lasso(0.1), SCORES)),
    *((ElasticNetCV(cv=2), SCORES), (HuberRegressor(), SCORES), (QuantileRegressor(), SCORES)),
    *((BayesianRidge(), SCORES), (DummyRegressor(), SCORES), (LogisticRegression(), CLASSES)),
    *((RidgeClassifier(), CLASSES), (LinearDiscriminantAnalysis(), CLASSES)),
    *((GaussianNB(), CLASSES), (DummyClassifier(), CLASSES), (LinearRegression(), VOTES)),
    (TransformedTargetRegressor(Ridge(), transformer=StandardScaler()), SCORES),
    (TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), VOTES[:, 0]),
]


@pytest.mark.parametrize(("model", "y"), MODELS, ids=lambda m: str(m)[:30])
def test_models(model, y, tmp_path):
    model = clone(model).fit(X, y)
    assert_same_predictions(model, saved(model, tmp_path), X)


def test_pipeline_of_a_frame(tmp_path):
    columns = ColumnTransformer(
        [("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["a", "b", "gap"]),
         ("kinds", OneHotEncoder(), ["kind"])],
        remainder="passthrough",
    ).set_output(transform="default")  # fmt: skip
    model = make_pipeline(columns, TransformedTargetRegressor(ELTARegressor(**SMALL)))
    model.fit(FRAME, SCORES)
    loaded = saved(model, tmp_path)
    assert_same_predictions(model, loaded, FRAME)
    assert (
        loaded[:-1].get_feature_names_out().tolist() == model[:-1].get_feature_names_out().tolist()
    )


def test_frozen_model_is_held_once(tmp_path):
    inner = ELTARegressor(**SMALL).fit(X, SCORES)
    ltlearn.save(inner, tmp_path / "inner")
    model = Recalibrator(FrozenEstimator(inner)).fit(X, SCORES, X_val=Whole(X), y_val=Whole(SCORES))
    loaded = saved(model, tmp_path)
    assert_same_predictions(model, loaded, X)
    assert loaded.estimator.estimator is loaded.estimator_.estimator
    size = (tmp_path / "model.ltlearn").stat().st_size
    assert size < 1.3 * (tmp_path / "inner").stat().st_size


@pytest.mark.parametrize("backbone", ["mlp", "tabular"])
def test_a_loaded_model_goes_on_training_as_the_saved_one(backbone, tmp_path):
    model = GranularClassifier(backbone=backbone, warm_start=True, **SMALL).fit(X, CLASSES)
    loaded = saved(model, tmp_path)
    np.testing.assert_array_equal(
        loaded.fit(X, CLASSES).predict_proba(X), model.fit(X, CLASSES).predict_proba(X)
    )
    assert len(loaded.net_.history) == 4


def test_parameters_changed_after_the_fit_do_not_change_the_network(tmp_path):
    model = ELTARegressor(**SMALL).fit(X, SCORES)
    model.set_params(hidden_layer_sizes=(5, 5), dropout=0.4, loss="mse", backbone="mlp")
    assert_same_predictions(model, saved(model, tmp_path), X)


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("shift", torch.ones(3))

    def forward(self, X):
        return self.linear(X) + self.shift


@pytest.mark.parametrize("backbone", [Own, Own()], ids=["class", "instance"])
def test_own_backbone_is_passed_again(backbone, tmp_path):
    model = GranularClassifier(backbone=backbone, max_epochs=1, random_state=0).fit(X, CLASSES)
    with pytest.raises(SavedFileError, match=r"your own, Own, whose code.*backbone=\.\.\."):
        saved(model, tmp_path)
    loaded = ltlearn.load(tmp_path / "model.ltlearn", backbone=backbone)
    assert_same_predictions(model, loaded, X)
    assert loaded.backbone is backbone
    with pytest.raises(SavedFileError, match=r"weights of the file are not.*Network"):
        ltlearn.load(tmp_path / "model.ltlearn", backbone=nn.Linear(4, 3))


IMAGES = rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
TIMM = {"backbone": "resnet10t", "backbone_params": {"pretrained": False}}


def test_images(tmp_path):
    model = ELTARegressor(
        **{**TIMM, "backbone_params": {"pretrained": False, "img_size": 32}},
        augmentation=Recipe(erasing_probability=0.1),
        max_epochs=1,
        random_state=0,
        training=Training(freeze_backbone=True),
        architecture=Architecture(feature_pooling="max"),
    ).fit(IMAGES, np.arange(8.0))
    assert_same_predictions(model, saved(model, tmp_path), IMAGES)


def test_backbone_features_need_no_source_and_keep_their_cache_entries(tmp_path, monkeypatch):
    model = BackboneFeatures(**TIMM, image_size=32, random_state=0, cache=tmp_path / "cache")
    model.fit(IMAGES)
    expected = model.transform(IMAGES)
    loaded = saved(model, tmp_path)
    assert loaded.cache is None
    np.testing.assert_array_equal(loaded.transform(IMAGES), expected)
    monkeypatch.setattr(type(loaded.backbone_), "forward", None)  # it is not asked
    loaded.set_params(cache=tmp_path / "cache")
    np.testing.assert_array_equal(loaded.transform(IMAGES), expected)


def test_backbone_features_with_an_own_module(tmp_path):
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(3, 4, 8)

        def forward(self, images):
            return self.convolution(images).mean((2, 3))

    model = BackboneFeatures(backbone=Small(), image_size=16).fit(IMAGES)
    loaded = saved(model, tmp_path, backbone=Small())
    np.testing.assert_array_equal(loaded.transform(IMAGES), model.transform(IMAGES))


def test_precision_and_device_are_chosen_at_load(tmp_path):
    model = ELTARegressor(backbone=nn.Linear(4, 3), loss="mse", max_epochs=1, random_state=0)
    model.fit(X, SCORES)
    ltlearn.save(model, tmp_path / "m")
    loaded = ltlearn.load(
        tmp_path / "m", precision="bfloat16", device="cpu", backbone=nn.Linear(4, 3)
    )
    assert loaded.net_.precision == torch.bfloat16
    assert loaded.get_params()["training__precision"] == "bfloat16"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = loaded.net_.module_.backbone(torch.from_numpy(X).float()).float()
    expected = loaded.net_.module_.head(features)[:, 0].detach().double().numpy()
    np.testing.assert_array_equal(
        loaded.predict(X), loaded.score_mean_ + loaded.score_scale_ * expected
    )
    assert np.abs(loaded.predict(X) - model.predict(X)).max() > 0
    np.testing.assert_array_equal(loaded.to(precision="float32").predict(X), model.predict(X))
    with pytest.raises(ValueError, match="precision"):
        loaded.to(precision="float8")
    with pytest.raises(ValueError, match="no_such"):
        ltlearn.load(tmp_path / "m", device="no_such", backbone=nn.Linear(4, 3))


def test_a_device_that_is_not_here_is_the_cpu_with_a_warning(tmp_path):
    model = ELTARegressor(**SMALL).fit(X, SCORES)
    model.device = "cuda:7"
    ltlearn.save(model, tmp_path / "m")
    with pytest.warns(SavedFileWarning, match="cuda:7.*CPU now"):
        loaded = ltlearn.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_what_cannot_be_saved_is_named(tmp_path):
    path = tmp_path / "model"
    neighbors = make_pipeline(StandardScaler(), KNeighborsRegressor(2)).fit(X, SCORES)
    with pytest.raises(TypeError, match=r"Pipeline.*kneighborsregressor.*KNeighborsRegressor"):
        ltlearn.save(neighbors, path)
    search = GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2).fit(X, SCORES)
    with pytest.raises(TypeError, match="GridSearchCV"):
        ltlearn.save(search, path)
    function = FunctionTransformer(lambda values: values).fit(X)
    with pytest.raises(TypeError, match=r"FunctionTransformer.*func"):
        ltlearn.save(function, path)
    for own in ({"loss": nn.MSELoss(reduction="none")}, {"enhancers": [lambda batch: batch]}):
        with pytest.raises(TypeError, match=rf"ELTARegressor.*{next(iter(own))}"):
            ltlearn.save(ELTARegressor(**own, **SMALL).fit(X, SCORES), path)
    with pytest.raises(TypeError, match="must be an estimator, got list"):
        ltlearn.save([neighbors], path)
    with pytest.raises(NotFittedError):
        ltlearn.save(ELTARegressor(), path)

    class Scaler(StandardScaler):
        """A subclass may do anything: it is not its base class."""

    with pytest.raises(TypeError, match=r"Scaler"):
        ltlearn.save(Scaler().fit(X), path)
    extended = StandardScaler().fit(X)
    extended.note = "mine"
    with pytest.raises(TypeError, match="note"):
        ltlearn.save(extended, path)
    assert not os.listdir(tmp_path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model"
    ltlearn.save(StandardScaler().fit(X), path)
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ltlearn.save(MinMaxScaler().fit(X), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


def test_every_listed_class_is_found():
    from ltlearn.saving._registry import REGISTRY, class_named

    for name in REGISTRY:
        assert class_named(name).__name__ == name
    estimators = [n for n in REGISTRY if issubclass(class_named(n), BaseEstimator)]
    assert {"ELTARegressor", "Pipeline", "TailStackingClassifier"} <= set(estimators)
