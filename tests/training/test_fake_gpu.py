"""Training steps on a GPU, without one.

Tensors of torch's fake mode have a device but no values, so an operation that mixes devices fails,
and so does one whose result the host would have to wait for. Copies to the device for which the
host would wait are found by their arguments.
"""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.data import _prepared
from ltlearn.data._batches import WholeBatches
from ltlearn.data._prepared import PreparedData
from ltlearn.data._tensors import TensorData
from ltlearn.enhancers import _image_mixing
from ltlearn.images import Recipe
from ltlearn.images._auto_augment import CIFAR10_POLICIES, apply_operation
from ltlearn.networks._network import apply_in_batches
from ltlearn.objectives._elta import ELTAObjective
from ltlearn.options import Architecture, Bins
from ltlearn.training._net import ObjectiveNet
from ltlearn.training._parts import backward_in_parts
from ltlearn.training._terms import validation_terms
from ltlearn.utils._precision import autocast

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

    def __init__(self, net):
        super().__init__()
        self.network, self.objective = net.module_, net.criterion_
        self.net = [net]  # no part of this module

    def forward(self, X, target):
        with autocast(self.net[0].precision, GPU):
            return self.objective.training_terms(self.network, X, target)


class Validation(nn.Module):
    """What validation does with a net, all of whose outputs pass through its objective."""

    def __init__(self, net):
        super().__init__()
        self.module_, self.criterion_ = net.module_, net.criterion_
        self.precision = net.precision

    def apply_network(self, data, then=None):
        return apply_in_batches(
            self.module_, data, batch_size=40, device=GPU, precision=self.precision, then=then
        )

    def forward(self, valid):
        return validation_terms(self, valid)


def on_fake_gpu(mode, tensors):
    fake = {name: mode.from_tensor(values.detach()) for name, values in tensors.items()}
    with mode:
        return {name: values.to(GPU) for name, values in fake.items()}


def state_of(module, mode):
    return on_fake_gpu(mode, {**dict(module.named_parameters()), **dict(module.named_buffers())})


def data_on_gpu(data, mode, is_large=False):
    """Data on the fake GPU; of large ones, X stays on the CPU."""
    rows = mode.from_tensor(data.X) if is_large else on_fake_gpu(mode, {"X": data.X})["X"]
    index = mode.from_tensor(data.epoch_index())
    target = on_fake_gpu(mode, data.target)
    moved = TensorData(rows, target, lambda: index, data.transforms, training=data.training)
    moved.device = GPU
    return moved


def losses_of_epoch(net, data, is_large=False):
    """What the training steps of an epoch compute on a fake GPU, up to the backward passes."""
    step = Step(net).train()
    mode = FakeTensorMode(allow_non_fake_inputs=True)  # what was drawn on the host
    state, moved = state_of(step, mode), data_on_gpu(data, mode, is_large)
    prepare = getattr(net.criterion_, "prepare_targets", None)
    if net.accumulation_steps > 1:
        prepare = None

    def terms_of(batch, share=1):
        return torch.func.functional_call(step, state, batch)

    losses = []
    with mode:
        for batch in WholeBatches(moved, BATCH_SIZE, prepare):
            with NoBlockingCopies():
                terms = backward_in_parts(terms_of, batch, net.accumulation_steps)
            losses.append(terms["loss"])
    return losses


def validation_on_gpu(net, valid, is_large=False):
    """Terms of validation on a fake GPU."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    module = Validation(net).eval()
    state = state_of(module, mode)
    valid.epoch_index = lambda: torch.arange(len(valid))
    moved = data_on_gpu(valid, mode, is_large)
    with mode:
        return torch.func.functional_call(module, state, (moved,))


@pytest.fixture
def check_epoch(monkeypatch):
    """Fit on the CPU, then train an epoch on the fake GPU with the same data."""
    fitted = []
    fit_data = ObjectiveNet.fit_data

    def remember(net, data, valid=None, *args, **kwargs):
        fitted.append((net, data, valid))
        return fit_data(net, data, valid, *args, **kwargs)

    monkeypatch.setattr(ObjectiveNet, "fit_data", remember)

    def check(model, X, y, sample_weight=None, precision=torch.float32, is_large=False):
        model.fit(X, y, sample_weight)
        net, data, valid = fitted[-1]
        net.precision = precision
        losses = losses_of_epoch(net, data, is_large)
        assert len(losses) == net.history[-1, "train_batch_count"]
        assert {(loss.device, loss.dtype) for loss in losses} == {(GPU, torch.float32)}
        if valid is not None:
            terms = validation_on_gpu(net, valid, is_large)
            assert {"valid_" + name for name in terms} <= set(net.history[-1])
            assert {value.device for value in terms.values()} == {GPU}

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


MODELS = {
    "mixup, alignment": (ELTARegressor(mixup_strength=0.25, alignment_weight=0.1), SCORES),
    "members": (ELTARegressor(architecture=Architecture(n_members=2)), SCORES),
    "distributions": (ELTARegressor(loss="emd", bins=Bins(n_bins=5)), SCORES),
    "classes": (GranularClassifier(dropout=0.2), CLASSES),
    "cosine": (GranularClassifier(architecture=Architecture(head="cosine")), CLASSES),
}


@pytest.fixture
def parts_of_a_gpu(monkeypatch):
    """Streams, memory (all of it taken) and autocast of a GPU that is not there."""

    class Stream:
        def wait_stream(self, other):
            """Nothing runs on it."""

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 2**30))
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)


@pytest.mark.parametrize("way", ["bfloat16", "accumulation", "validation", "large", "all"])
@pytest.mark.parametrize("name", MODELS)
def test_ways(name, way, check_epoch, parts_of_a_gpu):
    """Autocast, parts of batches, validation, data that stay on the CPU."""
    model, y = MODELS[name]
    model = clone(model).set_params(**QUICK)
    if way in ("accumulation", "all"):
        model.set_params(training__accumulation_steps=2)
    if way in ("validation", "all"):
        model.set_params(early_stopping=True)
    precision = torch.bfloat16 if way in ("bfloat16", "all") else torch.float32
    check_epoch(model, X, y, precision=precision, is_large=way in ("large", "all"))


@pytest.mark.parametrize(
    "mixing",
    [
        {"mixup_alpha": 0.8, "cutmix_alpha": 1.0},
        {"mixup_alpha": 0.4, "clean_weight": 1.0},
        {"cutmix_alpha": 1.0, "consistency_weight": 1.0},
    ],
    ids=lambda mixing: ",".join(mixing),
)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_mixing_of_images(mixing, precision, check_epoch, parts_of_a_gpu, monkeypatch):
    draw = torch.randint

    def drawn_on_the_host(*args, **kwargs):
        is_on_host = kwargs.get("device") == "cpu"
        with unset_fake_temporarily() if is_on_host else nullcontext():
            return draw(*args, **kwargs)

    monkeypatch.setattr(_image_mixing.torch, "randint", drawn_on_the_host)
    model = GranularClassifier(
        **QUICK,
        backbone="resnet10t",
        backbone_params={"pretrained": False, "img_size": 16},
        augmentation=Recipe(**mixing),
    )
    model.set_params(early_stopping=True)
    check_epoch(model, IMAGES, CLASSES, precision=precision, is_large=True)


@pytest.mark.parametrize(
    ("estimator", "y", "augmentation"),
    [
        (ELTARegressor, SCORES, None),
        (ELTARegressor, SCORES, "standard"),
        (ELTARegressor, SCORES, "granularity"),
        (GranularClassifier, CLASSES, None),
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


def test_rows_in_memory_go_to_the_device_where_they_fit(tmp_path, monkeypatch):
    X = np.zeros((120, 4), np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for source, has_room, goes in ((X, True, True), (X, False, False), (mapped, True, False)):
        monkeypatch.setattr(_prepared, "fits", lambda *args, room=has_room: room)
        with FakeTensorMode(allow_non_fake_inputs=True):
            data = PreparedData(source, torch.tensor, {"y": torch.arange(120)}, training=True)
            moved = data.to("cuda:0")
            assert type(moved) is (TensorData if goes else PreparedData)
            assert moved.device == moved.target["y"].device == torch.device("cuda", 0)
            assert len(moved) == 120
            assert moved.training
            if goes:
                assert (moved.X.shape, moved.X.device.type) == ((120, 4), "cuda")
