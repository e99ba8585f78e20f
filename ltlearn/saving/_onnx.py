"""Predictions of fitted deep estimators as ONNX graphs, with all scaling inside."""

import copy
import json
import logging
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ltlearn.data._inputs import ColumnInputs, ImageInputs, TableInputs
from ltlearn.estimators import ELTARegressor, GranularClassifier
from ltlearn.persistence._archive import replace_file
from ltlearn.saving._graphs import ClassOutputs, PreparedColumns, PreparedTable, ScoreOutputs
from ltlearn.utils._optional import import_optional_dependency
from ltlearn.utils._random import isolated_generators
from ltlearn.utils._typing import FilePath


def export_onnx(estimator: Any, path: FilePath) -> None:
    """Write the prediction of a fitted deep estimator as an ONNX file.

    The graph holds the scaling of the inputs, the network, and all that turns its outputs into
    predictions: for scores the parameters ``tail`` and ``prediction`` as they are now, for classes
    ``prior``. Built-in backbones for tables compute in float64, in ``predict`` in float32.

    - Its input ``X`` are, for these, float64 rows (n, n_features). Categories are given by their
      positions in the lists of the metadata ``categories``, -1 for others, and NaN for what is
      missing. For images they are uint8 (n, C, H, W) of the size that the backbone takes, which the
      graph does not bring about; for other modules float32 (n, ...).
    - Its output is ``scores`` (n,); or ``probabilities`` (n, n_classes) and ``class_index`` (n,),
      positions in the list of the metadata ``classes``.

    Needs the packages of ``pip install "ltlearn[onnx]"``.

    Parameters
    ----------
    estimator : ELTARegressor or GranularClassifier
        Fitted, with ``n_estimators=1``.
    path : str or path-like

    Raises
    ------
    TypeError
        For other estimators.
    ValueError
        For an ensemble, or a backbone that torch cannot export.
    ImportError
        When the packages are not installed.

    See Also
    --------
    save : Saves all of an estimator.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import ltlearn
    >>> import onnxruntime
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> model = ltlearn.ELTARegressor(max_epochs=2, random_state=0).fit(X, X[:, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.onnx")
    ...     ltlearn.export_onnx(model, path)
    ...     session = onnxruntime.InferenceSession(path)
    >>> (scores,) = session.run(None, {"X": X})
    >>> bool(np.allclose(scores, model.predict(X)))
    True
    """
    for package in ("onnx", "onnxscript"):
        import_optional_dependency(package, "onnx")
    if not isinstance(estimator, ELTARegressor | GranularClassifier):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}; export_onnx takes an ELTARegressor or a "
            "GranularClassifier. Of a pipeline, export the last step."
        )
    check_is_fitted(estimator)
    if not hasattr(estimator, "net_"):
        raise ValueError(
            f"estimator has n_estimators={estimator.n_estimators}; export its members, "
            "estimators_, one by one."
        )
    graph, example = _graph(estimator), _example(estimator)
    is_regressor = isinstance(estimator, ELTARegressor)
    names = ["scores"] if is_regressor else ["probabilities", "class_index"]
    with isolated_generators(0, torch.device("cpu")):
        content = _exported(graph, example, names, _metadata(estimator))
    replace_file(path, content)


class _Prediction(nn.Module):
    """From rows as a user has them to predictions."""

    def __init__(self, prepare, network, finish):
        super().__init__()
        self.prepare = prepare
        self.network = network
        self.finish = finish

    def forward(self, X):
        return self.finish(self.network(self.prepare(X)))


def _graph(estimator):
    network = copy.deepcopy(estimator.net_.module_).cpu().eval()
    inputs = estimator._inputs
    prepare = nn.Identity()
    if isinstance(inputs, TableInputs | ColumnInputs):
        network = network.double()
        is_plain = isinstance(inputs, TableInputs)
        prepare = PreparedTable(inputs) if is_plain else PreparedColumns(inputs.scaler)
    is_regressor = isinstance(estimator, ELTARegressor)
    finish = (ScoreOutputs if is_regressor else ClassOutputs)(estimator)
    return _Prediction(prepare, network, finish).eval()


def _example(estimator):
    """Some rows; the graph takes any number."""
    inputs = estimator._inputs
    if isinstance(inputs, TableInputs | ColumnInputs):
        return torch.zeros(3, estimator.n_features_in_, dtype=torch.float64)
    if isinstance(inputs, ImageInputs):
        return torch.zeros(3, inputs.spec.channels, *inputs.spec.size, dtype=torch.uint8)
    return torch.zeros(3, *inputs.sample_shape)


def _metadata(estimator):
    metadata = {}
    if isinstance(estimator, GranularClassifier):
        metadata["classes"] = estimator.classes_.tolist()
    if isinstance(estimator._inputs, ColumnInputs):
        categories = estimator._inputs.reader.categories_
        if any(each is not None for each in categories):
            metadata["categories"] = categories
    return {name: json.dumps(values, default=_plain) for name, values in metadata.items()}


def _plain(value):
    return value.item() if isinstance(value, np.generic) else str(value)


def _exported(graph, example, names, metadata):
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's notes on itself
            logger.setLevel(logging.ERROR)
            program = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                input_names=["X"],
                output_names=names,
                dynamic_shapes=({0: torch.export.Dim("n_rows")},),
                verbose=False,
            )
    except Exception as error:  # whatever a module does that cannot be traced
        first_line = str(error).strip().partition("\n")[0]
        raise ValueError(f"torch cannot export this backbone to ONNX: {first_line}") from error
    finally:
        logger.setLevel(level)
    model = program.model_proto
    for name, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, value
    return model.SerializeToString()
