"""Batches are on the device before they are asked for, and image files have one set of workers."""

import gc
import os
import pickle
from contextlib import contextmanager
from multiprocessing import active_children

import numpy as np
import pytest
import torch
from PIL import Image

from ltlearn import ELTARegressor
from ltlearn.data import _files
from ltlearn.data._ahead import copied_ahead
from ltlearn.data._batches import WholeBatches
from ltlearn.data._epochs import ShuffledEpochs
from ltlearn.data._files import FileData
from ltlearn.exceptions import BadImageError
from ltlearn.images import FileSource
from ltlearn.options import Images

GPU = torch.device("cuda", 0)


class Batch:
    """Stands for a tensor on the CPU."""

    def __init__(self, number, log):
        self.number, self.log = number, log

    def to(self, device, non_blocking):
        assert (device, non_blocking) == (GPU, True)
        self.log.append(f"copy {self.number} on {self.log.stream}")
        return self

    def record_stream(self, stream):
        self.log.append(f"{stream} keeps {self.number}")


class Log(list):
    stream = "main"


@pytest.fixture
def log(monkeypatch):
    """Events of streams that do nothing else."""
    log = Log()

    class Stream(str):
        def wait_stream(self, other):
            log.append(f"{self} waits for {other}")

    @contextmanager
    def inside(stream):
        before, log.stream = log.stream, stream
        yield
        log.stream = before

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("side"))
    monkeypatch.setattr(torch.cuda, "stream", inside)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream(log.stream))
    return log


def test_the_next_batch_is_copied_while_one_is_computed_with(log):
    for batch in copied_ahead((Batch(number, log) for number in range(3)), GPU):
        log.append(f"compute with {batch.number} on {log.stream}")
    assert log == [
        "copy 0 on side",
        "copy 1 on side",
        *("main waits for side", "main keeps 0", "compute with 0 on main"),
        "copy 2 on side",
        *("main waits for side", "main keeps 1", "compute with 1 on main"),
        *("main waits for side", "main keeps 2", "compute with 2 on main"),
    ]


def test_nothing_is_copied_where_there_is_nothing(log):
    assert list(copied_ahead([], GPU)) == []
    assert log == []


def test_on_the_cpu_batches_come_one_by_one():
    taken = []
    batches = (taken.append(number) or torch.tensor(number) for number in range(3))
    given = copied_ahead(batches, torch.device("cpu"))
    assert next(given) == 0
    assert taken == [0]


@pytest.fixture
def paths(tmp_path):
    """Gray images, each of its number's gray; the last file is none."""
    for number in range(12):
        Image.new("L", (4, 4), number).save(tmp_path / f"{number:02}.png")
    (tmp_path / "12.png").write_text("no image")
    return sorted(map(str, tmp_path.glob("*.png")))


def first_pixel(image, seed=0):
    return torch.tensor([np.asarray(image)[0, 0], seed % 7, os.getpid()])


def make_data(paths, num_workers=2):
    n = len(paths)
    return FileData(
        FileSource(paths, channels=1),
        {"score": torch.arange(n)},
        ShuffledEpochs(n, 0),
        transforms=(first_pixel, first_pixel),
        training=True,
        num_workers=num_workers,
        input_shape=(1, 4, 4),
    )


def epoch(data, batch_size=5):
    batches = list(WholeBatches(data, batch_size))
    for rows, target in batches:
        assert rows[:, 0].tolist() == target["score"].tolist()
    return torch.cat([rows for rows, _ in batches])


def test_the_same_processes_decode_every_epoch_and_validation(paths, monkeypatch):
    made, loader = [], _files.DataLoader
    monkeypatch.setattr(
        _files, "DataLoader", lambda *args, **kwargs: made.append(1) or loader(*args, **kwargs)
    )
    data = make_data(paths[:12])
    pids = set()
    for each in (
        data,
        data.without_augmentation(),
        data,
        data.with_target({"score": torch.arange(12)}),
    ):
        rows = epoch(each)
        assert sorted(rows[:, 0].tolist()) == list(range(12))
        pids |= set(rows[:, 2].tolist())
    assert len(made) == 1
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_processes_end_with_the_data(paths):
    before = len(active_children())
    data = make_data(paths[:12])
    epoch(data)
    assert len(active_children()) == before + 2
    del data
    gc.collect()
    assert len(active_children()) == before


def test_processes_and_epochs_change_nothing_else(paths):
    one, two = (make_data(paths[:12], num_workers) for num_workers in (0, 2))
    for _ in range(2):
        torch.manual_seed(1)
        first = epoch(one)
        torch.manual_seed(1)
        assert torch.equal(first[:, :2], epoch(two)[:, :2])


def test_two_iterations_at_once_have_rows_of_their_own(paths):
    data = make_data(paths[:12])
    evaluated = data.without_augmentation()
    outer = 0
    for rows, target in WholeBatches(data, 5):
        assert rows[:, 0].tolist() == target["score"].tolist()
        assert epoch(evaluated)[:, 0].tolist() == list(range(12))
        outer += len(rows)
    assert outer == 12


def test_a_file_that_is_no_image_does_not_hurt_what_follows(paths):
    data = make_data(paths)
    for _ in range(2):
        with pytest.raises(BadImageError, match=r"12\.png"):
            epoch(data)
    good = data.without_augmentation()
    given = iter(WholeBatches(good, 5))
    assert next(given)[0][:, 0].tolist() == [0, 1, 2, 3, 4]
    given.close()
    assert next(iter(WholeBatches(good, 3)))[0][:, 0].tolist() == [0, 1, 2]


def test_data_are_pickled_without_their_processes(paths):
    data = make_data(paths[:12])
    epoch(data)
    loaded = pickle.loads(pickle.dumps(data))
    assert loaded._decoder._loader is None
    assert len(epoch(loaded)) == 12


@pytest.mark.parametrize(
    ("size", "n", "expected"),
    [(32, 100_000, 256), (256, 100_000, 48), (256, 640, 20), (256, 100, 16), (1024, 100_000, 16)],
)
def test_batches_have_as_many_images_as_fit(size, n, expected):
    model = ELTARegressor(
        backbone="resnet10t",
        backbone_params={"pretrained": False, "img_size": size},
        images=Images(),
    )
    model._inputs = _inputs_of(model)
    assert model._make_defaults(n)["batch_size"] == expected


def _inputs_of(model):
    from ltlearn.estimators._backbone import make_inputs

    return make_inputs(model)
