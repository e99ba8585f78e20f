"""Training steps on a GPU, without one.

Tensors of torch's fake mode have a device but no values, so an operation that mixes devices fails,
and so does one whose result the host would have to wait for. Copies to the device for which the
host would wait are found by their arguments.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.data._batches import WholeBatches
from ltlearn.data._tensors import TensorData
from ltlearn.images import Recipe
from ltlearn.images._auto_augment import CIFAR10_POLICIES, apply_operation
from ltlearn.objectives._elta import ELTAObjective
from ltlearn.training._net import ObjectiveNet

pytestmark = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10),
    reason="fake tensors of older torch need a real GPU",
)

GPU = torch.device("cuda", 0)
N_ROWS, BATCH_SIZE = 150, 64


class NoBlockingCopies(TorchDispatchMode):
    """An error where the host would wait until values have been copied to the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default:
            target = torch.device(kwargs.get("device") or args[0].device)
            moves = args[0].device.type != target.type
            if moves and not kwargs.get("non_blocking"):
                raise RuntimeError(f"a blocking copy from {args[0].device} to {target}")
        return func(*args, **kwargs)


class Step(nn.Module):
    """The part of a training step that an estimator's objective does."""

    def __init__(self, network, objective):
        super().__init__()
        self.network = network
        self.objective = objective

    def forward(self, X, target):
        return self.objective.training_terms(self.network, X, target)


def losses_of_epoch(net, data):
    """What the training steps of an epoch compute on a fake GPU, up to the backward passes."""
    step = Step(net.module_, net.criterion_).train()
    mode = FakeTensorMode()

    def on_gpu(tensors):
        fake = {name: mode.from_tensor(values.detach()) for name, values in tensors.items()}
        with mode:
            return {name: values.to(GPU) for name, values in fake.items()}

    state = on_gpu({**dict(step.named_parameters()), **dict(step.named_buffers())})
    target, rows = on_gpu(data.target), on_gpu({"X": data.X})["X"]
    index = mode.from_tensor(data.epoch_index())
    moved = TensorData(rows, target, lambda: index, data.transforms, training=True)
    prepare = getattr(net.criterion_, "prepare_targets", None)
    losses = []
    with mode:
        for batch in WholeBatches(moved, BATCH_SIZE, prepare):
            with NoBlockingCopies():
                losses.append(torch.func.functional_call(step, state, batch)["loss"])
    return losses


@pytest.fixture
def check_epoch(monkeypatch):
    """Fit on the CPU, then train an epoch on the fake GPU with the same data."""
    fitted = []
    fit_data = ObjectiveNet.fit_data

    def remember(net, data, *args, **kwargs):
        fitted.append((net, data))
        return fit_data(net, data, *args, **kwargs)

    monkeypatch.setattr(ObjectiveNet, "fit_data", remember)

    def check(model, X, y, sample_weight=None):
        model.fit(X, y, sample_weight)
        net, data = fitted[-1]
        losses = losses_of_epoch(net, data)
        assert len(losses) == net.history[-1, "train_batch_count"]
        assert {loss.device for loss in losses} == {GPU}

    return check


X = np.random.default_rng(0).normal(size=(N_ROWS, 4))
SCORES = np.exp(X[:, 0])
CLASSES = np.array(["a", "b", "c"])[np.digitize(SCORES, [1.0, 2.0])]
IMAGES = np.random.default_rng(0).integers(0, 256, size=(N_ROWS, 16, 16, 3), dtype=np.uint8)
QUICK = {"max_epochs": 1, "batch_size": BATCH_SIZE, "early_stopping": False, "device": "cpu"}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "params",
    [
        {"mixup_strength": 0},
        {"mixup_strength": 0.25},
        {"mixup_strength": 0.25, "dropout": 0.2},
        {"alignment_weight": 0.1},
        {"loss": "emd", "bins__n_bins": 5, "alignment_weight": 0.1},
        {"loss": "emd", "bins__n_bins": 5, "bins__logit_adjustment": 1.0},
        {"reweighting": "sqrt_inverse"},
    ],
    ids=str,
)
def test_regression(params, weighted, check_epoch):
    weight = np.linspace(0.5, 2, N_ROWS) if weighted else None
    check_epoch(ELTARegressor(**QUICK).set_params(**params), X, SCORES, weight)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"auxiliary": "synthesize"},
        {
            "training__label_smoothing": 0.1,
            "architecture__batch_norm_head": True,
            "logit_adjustment": 0,
        },
    ],
    ids=str,
)
def test_classification(params, weighted, check_epoch):
    weight = np.linspace(0.5, 2, N_ROWS) if weighted else None
    check_epoch(GranularClassifier(**QUICK).set_params(**params), X, CLASSES, weight)


@pytest.mark.parametrize(
    ("estimator", "y", "augmentation"),
    [
        (ELTARegressor, SCORES, None),
        (ELTARegressor, SCORES, "standard"),
        (ELTARegressor, SCORES, "granularity"),
        (GranularClassifier, CLASSES, None),
        # Without mixing of images, whose shares come from a generator of the CPU.
        (GranularClassifier, CLASSES, Recipe(erasing_probability=0.5, label_smoothing=0.1)),
        (GranularClassifier, CLASSES, Recipe(cutout=0.5)),
    ],
)
def test_images(estimator, y, augmentation, check_epoch):
    model = estimator(
        **QUICK,
        backbone="resnet10t",
        backbone_params={"pretrained": False, "img_size": 16},
        augmentation=augmentation,
    )
    check_epoch(model, IMAGES, y)


@pytest.mark.parametrize(
    "name", sorted({name for policy in CIFAR10_POLICIES for name, *_ in policy})
)
def test_operations_of_auto_augment(name):
    """Which images an operation is for is drawn on the host, which this mode does not know."""
    with FakeTensorMode(), NoBlockingCopies():
        images = torch.empty(4, 3, 16, 16, dtype=torch.uint8, device=GPU)
        changed = apply_operation(images, name, [(3, 1), (9, -1), (0, 1), (5, 1)])
    assert (changed.shape, changed.dtype, changed.device) == (images.shape, images.dtype, GPU)


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("a value", DataDependentOutputException, "local_scalar_dense"),
        ("another device", RuntimeError, "cuda:0 and cpu"),
        ("a copy", RuntimeError, "a blocking copy from cpu to cuda"),
    ],
)
def test_what_must_not_happen_is_noticed(what, error, message, monkeypatch, check_epoch):
    right_terms = ELTAObjective.training_terms

    def wrong_terms(self, network, batch, target):
        computed = right_terms(self, network, batch, target)
        if batch.device != GPU:
            return computed
        if what == "a value":
            computed["loss"].item()
        if what == "a copy":
            return {"loss": computed["loss"] * torch.tensor(1.0, device=GPU)}
        return {"loss": computed["loss"] * torch.ones(1)}

    monkeypatch.setattr(ELTAObjective, "training_terms", wrong_terms)
    with pytest.raises(error, match=message):
        check_epoch(ELTARegressor(**QUICK), X, SCORES)
