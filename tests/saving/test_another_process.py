"""Every public estimator, loaded in a fresh process: the same bits, and nothing is unpickled."""

import inspect
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ltlearn
from ltlearn import (
    BackboneFeatures,
    ELTARegressor,
    GranularClassifier,
    PLDAClassifier,
    TailLogisticClassifier,
    TailStackingClassifier,
    TailStackingRegressor,
)
from ltlearn.calibration import (
    ConformalRegressor,
    DistributionCalibrator,
    LogitAdjuster,
    RecalibrationMap,
    Recalibrator,
    TailDial,
)
from ltlearn.model_selection import BatchedGridSearchCV, BatchedRandomizedSearchCV, TunedTailCV
from ltlearn.stacking._built_in_regressors import ScaledRidge
from ltlearn.stacking._network import NetworkHead
from ltlearn.stacking._quantile_forest import QuantileForest

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
SCORES = X[:, 0] + 0.3 * rng.normal(size=60)
CLASSES = np.array(["a", "b", "rare"])[np.digitize(SCORES, [0.0, 1.2])]
IMAGES = rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
SMALL = {"max_epochs": 1, "random_state": 0, "hidden_layer_sizes": (4,)}
RATES = {"lr": [1e-3, 1e-2]}
SEARCHES = (BatchedGridSearchCV, BatchedRandomizedSearchCV)

MODELS = {
    "votes": (ELTARegressor(**SMALL), np.eye(5)[rng.integers(5, size=60)]),
    "ensemble": (ELTARegressor(n_estimators=2, **SMALL), SCORES),
    "pipeline": (make_pipeline(StandardScaler(), ELTARegressor(backbone="mlp", **SMALL)), SCORES),
    "classes": (GranularClassifier(**SMALL), CLASSES),
    "logistic": (TailLogisticClassifier(random_state=0), CLASSES),
    "plda": (PLDAClassifier(random_state=0), CLASSES),
    "network head": (NetworkHead(n_networks=1, random_state=0), CLASSES),
    "scaled ridge": (ScaledRidge(), SCORES),
    "quantile forest": (QuantileForest(3, random_state=0), SCORES),
    "stack of classifiers": (
        TailStackingClassifier([("trees", ExtraTreesClassifier(3)), ("bayes", GaussianNB())], cv=2),
        CLASSES,
    ),
    "stack of regressors": (
        TailStackingRegressor([("a", ELTARegressor(**SMALL)), ("b", QuantileForest(3))], cv=2),
        SCORES,
    ),
    "conformal": (ConformalRegressor(ELTARegressor(**SMALL), cv=2), SCORES),
    "distribution": (DistributionCalibrator(ELTARegressor(**SMALL), cv=2), SCORES),
    "adjuster": (LogitAdjuster(GaussianNB(), tau="auto"), CLASSES),
    "recalibrator": (Recalibrator(Ridge()), SCORES),
    "map": (RecalibrationMap("isotonic"), SCORES),
    "dial": (TailDial(ConformalRegressor(Ridge(), cv=2), tail=0.5), SCORES),
    "tuned": (TunedTailCV(TailDial(ConformalRegressor(Ridge(), cv=2)), cv=2), SCORES),
    "search": (BatchedGridSearchCV(ELTARegressor(**SMALL), RATES, cv=2), SCORES),
    "random search": (
        BatchedRandomizedSearchCV(ELTARegressor(**SMALL), RATES, n_iter=1, cv=2, random_state=0),
        SCORES,
    ),
    "features": (
        BackboneFeatures(
            backbone="resnet10t",
            backbone_params={"pretrained": False},
            image_size=32,
            random_state=0,
        ),
        None,
    ),
}

IN_ANOTHER_PROCESS = """
import sys
import numpy as np
import torch
import ltlearn

torch.set_num_threads(1)  # as in the tests: with more, convolutions round otherwise
found = []
sys.addaudithook(lambda event, args: found.append(args) if event == "pickle.find_class" else None)
for path in sys.argv[1:]:
    loaded = ltlearn.load(path)
    with np.load(path + ".npz") as file:
        data = file["data"]
        for method in set(file.files) - {"data"}:
            assert np.array_equal(getattr(loaded, method)(data), file[method]), (path, method)
assert not found, found
import pickle
pickle.loads(pickle.dumps(print))
assert found, "the hook sees nothing"
"""


def test_every_public_estimator_is_here():
    tested = {type(model) for model, _ in MODELS.values()}
    for name in ("", ".calibration", ".model_selection", ".stacking"):
        module = import_module(f"ltlearn{name}")
        public = {getattr(module, each) for each in module.__all__}
        assert {each for each in public if inspect.isclass(each) and hasattr(each, "fit")} <= tested


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.EmptyBandWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_another_process_predicts_the_same_bits_and_unpickles_nothing(tmp_path):
    paths = []
    for name, (model, y) in MODELS.items():
        data = IMAGES if name == "features" else SCORES if name == "map" else X
        model.fit(data, y)
        if isinstance(model, SEARCHES):
            model = model.best_estimator_
        paths.append(str(tmp_path / name))
        ltlearn.save(model, paths[-1])
        asked = [m for m in ("predict", "predict_proba", "transform") if hasattr(model, m)]
        assert asked
        np.savez(
            f"{paths[-1]}.npz", data=data, **{each: getattr(model, each)(data) for each in asked}
        )
    subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS, *paths], check=True)
