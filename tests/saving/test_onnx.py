"""Exported graphs predict in another runtime what the estimators predict."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from torch import nn

import ltlearn
from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.options import Architecture

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

rng = np.random.default_rng(0)
X = rng.normal(size=(90, 4)) * [1, 1e-3, 1e9, 3] + [0, 0, 1e12, 5]
X[:, 3] = X[:, 3] > 5  # a column of two values
LABEL = (X[:, 0] + 0.3 * rng.normal(size=90)) * 100
CLASSES = np.array(["a", "b", "rare"])[np.digitize(LABEL, [0.0, 120])]
MORE = np.concatenate([X[:7], X[:3] * 50, -X[:3]])
SMALL = {"max_epochs": 3, "random_state": 0, "hidden_layer_sizes": (8,)}


def run(model, folder, rows):
    ltlearn.export_onnx(model, folder / "model.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    return session, session.run(None, {"X": rows})


REGRESSORS = {
    "mlp": {"backbone": "mlp", "loss": "mse"},
    "mlp, bins": {"backbone": "mlp", "loss": "emd", "tail": 0.7},
    "bins, median": {"loss": "emd", "prediction": "median", "tail": 0.5},
    "quantiles": {},
    "quantiles, median": {"prediction": "median"},
    "quantiles to the tail": {"tail": 1.0},
    "quantiles to the tail, median": {"tail": 1.0, "prediction": "median"},
    "body of one layer": {"loss": "mse", "hidden_layer_sizes": ()},
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_scores(name, tmp_path):
    model = ELTARegressor(**{**SMALL, **REGRESSORS[name]}).fit(X, LABEL)
    _, (scores,) = run(model, tmp_path, MORE)
    np.testing.assert_allclose(scores, model.predict(MORE), rtol=1e-5)


CLASSIFIERS = {
    "mlp": ({"architecture": Architecture(feature_power=0.5), "prior": "train"}, X),
    "calibrated": ({"logit_adjustment": "auto", "class_weight": {"rare": 3.0}}, X),
    "cosine": ({"architecture": Architecture(head="cosine", batch_norm_head=True)}, X),
    "tabular": ({"backbone": "tabular", "prior": [0.2, 0.5, 0.3]}, X),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classes(name, tmp_path):
    params, data = CLASSIFIERS[name]
    auxiliary = {
        "X_aux": Whole(np.add(X[:20], [1, 1e-3, 1e9, 0])),
        "y_aux": Whole(np.repeat(["c", "d"], 10)),
    }
    model = GranularClassifier(**SMALL, **params).fit(data, CLASSES, **auxiliary)
    session, (probabilities, index) = run(model, tmp_path, MORE)
    np.testing.assert_allclose(probabilities, model.predict_proba(MORE), atol=1e-5)
    classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    assert [classes[i] for i in index] == model.predict(MORE).tolist()


def test_categories_and_gaps(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd")).assign(
        kind=pd.Categorical(np.array(["u", "v", "w"])[rng.integers(0, 3, 90)]),
        gap=np.where(rng.random(90) < 0.2, np.nan, X[:, 1]),
    )
    frame.loc[5, "kind"] = np.nan
    model = ELTARegressor(**SMALL).fit(frame, LABEL)
    new = frame[:12].assign(kind=["u", "v", "w", None, "other", "u"] * 2)
    ltlearn.export_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    categories = json.loads(session.get_modelmeta().custom_metadata_map["categories"])
    assert categories == [None] * 4 + [["u", "v", "w"], None]
    codes = ["uvw".find(k) if isinstance(k, str) else np.nan for k in new["kind"].tolist()]
    rows = new.assign(kind=codes).to_numpy(dtype=float)
    (scores,) = session.run(None, {"X": rows})
    np.testing.assert_allclose(scores, model.predict(new), rtol=1e-5)


def test_modules_and_images(tmp_path):
    model = ELTARegressor(
        backbone=lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh()), loss="mse", max_epochs=1,
        random_state=0,
    ).fit(X / X.max(0), LABEL)  # fmt: skip
    rows = (X[:5] / X.max(0)).astype(np.float32)
    _, (scores,) = run(model, tmp_path, rows)
    np.testing.assert_allclose(scores, model.predict(rows), rtol=1e-4)
    images = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    model = GranularClassifier(
        backbone="resnet10t", backbone_params={"pretrained": False, "img_size": 32}, max_epochs=1,
        random_state=0,
    ).fit(images, [0, 1, 0, 1, 0, 1])  # fmt: skip
    size = model._inputs.spec.size
    from ltlearn.images import eval_transform

    prepared = eval_transform(model._inputs.spec)(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert prepared.shape[2:] == size
    _, (probabilities, _) = run(model, tmp_path, prepared.numpy())
    np.testing.assert_allclose(probabilities, model.predict_proba(images), atol=1e-4)


def test_what_cannot_be_exported(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(TypeError, match=r"Pipeline.*last step"):
        ltlearn.export_onnx(make_pipeline(Ridge()).fit(X[:, :1], LABEL), path)
    members = ELTARegressor(n_estimators=2, **SMALL).fit(X, LABEL)
    with pytest.raises(ValueError, match=r"n_estimators=2.*one by one"):
        ltlearn.export_onnx(members, path)

    assert not path.exists()
