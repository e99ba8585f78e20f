"""Fits go on where they were killed, and folders are never taken for those of other fits."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import LRScheduler

import ltlearn
from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.calibration import ConformalRegressor
from ltlearn.exceptions import (
    CheckpointError,
    CheckpointWarning,
    InterruptedFitWarning,
    SmallSampleWarning,
)
from ltlearn.model_selection import BatchedGridSearchCV
from ltlearn.options import Architecture, Enhancers, Training
from ltlearn.training import _checkpoint
from ltlearn.training._net import ObjectiveNet

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
y = X[:, 0] + 0.3 * rng.normal(size=60)
CLASSES = (y > 0.8).astype(int)
SMALL = {"hidden_layer_sizes": (6,), "max_epochs": 4, "random_state": 0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children come from fork")
def test_killed_fits_end_in_the_same_predictions():
    script = Path(__file__).parent / "killed_fits.py"
    command = [sys.executable, str(script), "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["name"] for result in results if not result["equal"]] == []
    assert sum(result["killed"] for result in results) >= 20


class Stopped(BaseException):
    """Ends a fit as abruptly as a test can."""


def stop_after(monkeypatch, n_writes):
    """Let the fit stop right after so many writes of its state."""
    write, left = _checkpoint.StageCheckpoint.write, [n_writes]

    def counted(self, *args, **kwargs):
        write(self, *args, **kwargs)
        left[0] -= 1
        if not left[0]:
            raise Stopped

    monkeypatch.setattr(_checkpoint.StageCheckpoint, "write", counted)


def fit_until(model, n_writes, monkeypatch, *args, **kwargs):
    with monkeypatch.context() as context:
        stop_after(context, n_writes)
        with pytest.raises(Stopped):
            model.fit(*args, **kwargs)


def epochs_of(monkeypatch):
    """A list that gets an entry for every epoch trained from now on."""
    seen, train_epoch = [], ObjectiveNet._train_epoch

    def counted(self, *args):
        seen.append(len(self.history))
        return train_epoch(self, *args)

    monkeypatch.setattr(ObjectiveNet, "_train_epoch", counted)
    return seen


@pytest.mark.parametrize("n_writes", [1, 3, 4])
def test_it_goes_on_with_the_next_epoch(n_writes, tmp_path, monkeypatch):
    whole = ELTARegressor(**SMALL).fit(X, y)
    model = ELTARegressor(checkpoint=tmp_path / "fit", **SMALL)
    fit_until(model, n_writes, monkeypatch, X, y)
    assert not hasattr(model, "net_")
    seen = epochs_of(monkeypatch)
    model.fit(X, y)
    assert seen == list(range(n_writes + 1, 5))
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))
    drop = {"dur"}
    rows, expected = (
        [{k: v for k, v in row.items() if k not in drop} for row in each.history_]
        for each in (model, whole)
    )
    assert rows == expected


def test_a_finished_one_trains_nothing(tmp_path, monkeypatch):
    options = {"enhancers": Enhancers(head_retraining_epochs=2, confidence_threshold=0.05)}
    model = ELTARegressor(loss="emd", early_stopping=True, checkpoint=tmp_path, **options, **SMALL)
    first = model.fit(X, y, X_unlabeled=X[:20] + 0.1).predict(X)
    seen = epochs_of(monkeypatch)
    again = clone(model).set_params(checkpoint=str(tmp_path))
    del again._has_twins  # as a new one with these parameters
    np.testing.assert_array_equal(again.fit(X, y, X_unlabeled=X[:20] + 0.1).predict(X), first)
    assert seen == []
    assert [row["stage"] for row in again.history_] == [row["stage"] for row in model.history_]


def test_without_a_seed_the_stored_one_goes_on(tmp_path, monkeypatch):
    params = {**SMALL, "random_state": None, "checkpoint": tmp_path}
    fit_until(ELTARegressor(**params), 2, monkeypatch, X, y)
    model = ELTARegressor(**params).fit(X, y)
    seed = json.loads((tmp_path / "fit.json").read_text())["seed"]
    expected = ELTARegressor(**{**SMALL, "random_state": seed}).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    members = ELTARegressor(**{**params, "checkpoint": tmp_path / "members"}, n_estimators=2)
    first = members.fit(X, y).predict(X)
    np.testing.assert_array_equal(members.fit(X, y).predict(X), first)


def test_warm_starts_have_checkpoints_of_their_own(tmp_path, monkeypatch):
    expected = GranularClassifier(warm_start=True, **SMALL).fit(X, CLASSES)
    model = GranularClassifier(warm_start=True, checkpoint=tmp_path / "1", **SMALL).fit(X, CLASSES)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    with pytest.raises(CheckpointError, match="the model that warm_start goes on with"):
        model.fit(X, CLASSES)
    model.set_params(checkpoint=tmp_path / "2")
    fit_until(model, 2, monkeypatch, X, CLASSES)
    np.testing.assert_array_equal(
        model.fit(X, CLASSES).predict_proba(X), expected.fit(X, CLASSES).predict_proba(X)
    )
    assert len(model.net_.history) == 8


OTHERS = {
    "X": ({}, (X + 1e-9, y)),
    "y": ({}, (X, y + 1e-9)),
    "sample_weight": ({}, (X, y, np.ones(60))),
    "lr": ({"lr": 0.01}, (X, y)),
    "random_state": ({"random_state": 1}, (X, y)),
    "architecture__n_members": ({"architecture": Architecture(n_members=2)}, (X, y)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_fit_is_refused_and_nothing_changed(name, tmp_path):
    model = ELTARegressor(checkpoint=str(tmp_path), **SMALL).fit(X, y)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    params, data = OTHERS[name]
    other = ELTARegressor(**{**SMALL, "checkpoint": str(tmp_path), **params})
    with pytest.raises(CheckpointError, match=rf"another fit, which differs in {name}\."):
        other.fit(*data)
    with pytest.raises(CheckpointError, match="the class of the estimator"):
        GranularClassifier(checkpoint=str(tmp_path), **SMALL).fit(X, CLASSES)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    model.set_params(verbose=0, training__checkpoint_seconds=60.0).fit(X, y)  # the same fit


def test_searches_folds_and_pipelines_have_a_folder_for_each_fit(tmp_path, monkeypatch):
    params = {**SMALL, "max_epochs": 2}
    pipeline = make_pipeline(StandardScaler(), ELTARegressor(checkpoint=tmp_path / "a", **params))
    search = GridSearchCV(pipeline, {"eltaregressor__lr": [1e-3, 1e-2]}, cv=2).fit(X, y)
    assert len(list((tmp_path / "a").iterdir())) == 2 * 2 + 1
    plain = GridSearchCV(
        make_pipeline(StandardScaler(), ELTARegressor(**params)), search.param_grid, cv=2
    ).fit(X, y)
    np.testing.assert_array_equal(search.predict(X), plain.predict(X))
    seen = epochs_of(monkeypatch)
    again = clone(search).fit(X, y)
    assert seen == []
    np.testing.assert_array_equal(
        again.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"]
    )
    model = ELTARegressor(checkpoint=tmp_path / "b", **params)
    with pytest.warns(SmallSampleWarning):
        ConformalRegressor(model, cv=2).fit(X, y)
    assert len(list((tmp_path / "b").iterdir())) == 3


def test_batched_searches_train_those_with_checkpoints_one_by_one(tmp_path, monkeypatch):
    model = ELTARegressor(backbone="mlp", loss="mse", checkpoint=tmp_path, **SMALL)
    grid = {"lr": [1e-3, 1e-2]}
    batched = BatchedGridSearchCV(model, grid, cv=2).fit(X, y)
    seen = epochs_of(monkeypatch)
    single = GridSearchCV(model, grid, cv=2).fit(X, y)
    assert seen == []
    np.testing.assert_array_equal(batched.predict(X), single.predict(X))


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CheckpointError, match="cannot be used"):
            ELTARegressor(checkpoint=folder, **SMALL).fit(X, y)
    assert (tmp_path / "file").read_text() == "mine"
    for text in ("mine", "[]", "{}", '{"format": 99, "seed": 1, "parts": {}}', "[" * 100_000):
        (tmp_path / "fit.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"fit\.json is no checkpoint"):
            ELTARegressor(checkpoint=tmp_path, **SMALL).fit(X, y)
        assert (tmp_path / "fit.json").read_text() == text


def no_space(*args):
    raise OSError(28, "No space left on device")


def test_full_disks_at_the_start_and_later(tmp_path, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(os, "fsync", no_space)
        with pytest.raises(CheckpointError, match=r"No space left.*Nothing was trained"):
            ELTARegressor(checkpoint=tmp_path, **SMALL).fit(X, y)
    assert list(tmp_path.iterdir()) == []
    model = ELTARegressor(checkpoint=tmp_path, **SMALL)
    fit_until(model, 2, monkeypatch, X, y)
    good = (tmp_path / "fit.state").read_bytes()
    with monkeypatch.context() as context:
        context.setattr(os, "fsync", no_space)
        with pytest.warns(CheckpointWarning, match="No space left") as warned:
            model.fit(X, y)
    assert len(warned) == 1
    assert (tmp_path / "fit.state").read_bytes() == good
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fit.json", "fit.state"]
    expected = ELTARegressor(**SMALL).fit(X, y).predict(X)
    np.testing.assert_array_equal(model.predict(X), expected)
    np.testing.assert_array_equal(clone_here(model).fit(X, y).predict(X), expected)


def read_only(*args, **kwargs):
    raise PermissionError(30, "Read-only file system")


def test_read_only_folders_at_the_start_and_later(tmp_path, monkeypatch):
    """A folder that turns read-only in between; chmod would not stop an administrator."""
    with monkeypatch.context() as context:
        context.setattr(tempfile, "mkstemp", read_only)
        with pytest.raises(CheckpointError, match=r"Read-only file system.*Nothing was trained"):
            ELTARegressor(checkpoint=tmp_path / "fit", **SMALL).fit(X, y)
    model = ELTARegressor(checkpoint=tmp_path, **SMALL)
    fit_until(model, 2, monkeypatch, X, y)
    good = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with monkeypatch.context() as context:
        context.setattr(tempfile, "mkstemp", read_only)
        with pytest.warns(CheckpointWarning, match="Read-only file system") as warned:
            model.fit(X, y)
    assert len(warned) == 1
    assert {path: path.read_bytes() for path in good} == good
    np.testing.assert_array_equal(model.predict(X), ELTARegressor(**SMALL).fit(X, y).predict(X))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may write anywhere")
def test_folders_without_the_right_to_write(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match="checkpoint="):
        ELTARegressor(checkpoint=tmp_path, **SMALL).fit(X, y)
    tmp_path.chmod(0o700)


def clone_here(model):
    """A new estimator with the same parameters, the folder included."""
    return type(model)(**model.get_params(deep=False))


@pytest.mark.parametrize("damage", ["truncated", "foreign", "a saved model", "other values"])
def test_states_that_are_damaged_or_foreign(damage, tmp_path, monkeypatch):
    model = ELTARegressor(checkpoint=tmp_path, **SMALL)
    fit_until(model, 2, monkeypatch, X, y)
    path = tmp_path / "fit.state"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "foreign":
        path.write_text("mine")
    elif damage == "a saved model":
        ltlearn.save(Ridge().fit(X, y), path)
    else:
        description, tensors = _checkpoint.read_archive(path)
        description["state"] = {"object": "Ridge", "state": {}}
        _checkpoint.write_archive(path, description, tensors)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"fit\.state|Delete it"):
        model.fit(X, y)
    assert path.read_bytes() == before
    path.unlink()
    np.testing.assert_array_equal(
        model.fit(X, y).predict(X), ELTARegressor(**SMALL).fit(X, y).predict(X)
    )


def test_seconds_between_writes(tmp_path, monkeypatch):
    written, write = [], _checkpoint.write_archive
    monkeypatch.setattr(
        _checkpoint, "write_archive", lambda *args: (written.append(args[0]), write(*args))
    )
    options = {"training": Training(checkpoint_seconds=1e6)}
    ELTARegressor(checkpoint=tmp_path / "rare", **options, **SMALL).fit(X, y)
    assert len(written) == 2  # the last epoch, and the finished model
    ELTARegressor(checkpoint=tmp_path / "often", **SMALL).fit(X, y)
    assert len(written) == 2 + 4 + 1


class LearnedScale(torch.nn.Module):
    """Squared error in units that are learned, and a buffer that counts calls."""

    def __init__(self):
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.zeros(()))
        self.register_buffer("n_calls", torch.zeros(()))

    def forward(self, outputs, target):
        self.n_calls += 1
        error = (outputs - target).square() / self.log_scale.exp() + self.log_scale
        return error * (1 + 0.1 * self.n_calls.cos())


@pytest.mark.parametrize("kind", ["loss", "enhancer"])
def test_what_own_parts_have_learned_is_kept(kind, tmp_path, monkeypatch):
    scale = LearnedScale()

    class Enhancer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = torch.nn.Parameter(torch.zeros(()))

        def forward(self, batch):
            return batch._replace(features=batch.features + self.shift)

    own = {"loss": scale} if kind == "loss" else {"enhancers": Enhancers(own=[Enhancer()])}
    params = {**SMALL, "backbone": "mlp", "lr": 0.05, "training": Training(optimizer="sgd"), **own}
    whole = ELTARegressor(**params).fit(X, y)
    model = ELTARegressor(checkpoint=tmp_path, **params)
    fit_until(model, 2, monkeypatch, X, y)
    model.fit(X, y)
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))
    learned = [list(each.net_.criterion_.parameters()) for each in (model, whole)]
    assert [values.item() for values in learned[0]] == [values.item() for values in learned[1]]
    assert all(values.item() != 0 for values in learned[0])
    assert scale.log_scale.item() == 0  # the user's own is left as it was
    finished = ELTARegressor(checkpoint=tmp_path, **params).fit(X, y)
    assert [v.item() for v in finished.net_.criterion_.parameters()] == [
        v.item() for v in learned[1]
    ]


def test_a_warm_start_goes_on_with_what_a_loss_has_learned():
    params = {**SMALL, "backbone": "mlp", "lr": 0.05, "loss": LearnedScale(), "warm_start": True}
    model = ELTARegressor(**params).fit(X, y)
    learned = model.net_.criterion_.own_loss.function.log_scale.item()
    model.set_params(lr=1e-12).fit(X, y)
    assert model.net_.criterion_.own_loss.function.log_scale.item() == pytest.approx(
        learned, abs=1e-9
    )
    assert learned != 0


def test_callbacks_are_refused(tmp_path):
    model = ELTARegressor(callbacks=[LRScheduler()], checkpoint=tmp_path, **SMALL)
    with pytest.raises(ValueError, match="state of callbacks"):
        model.fit(X, y)
    assert list(tmp_path.iterdir()) == []


# Ctrl-C


def interrupt_in_epoch(monkeypatch, number):
    """Send this process an interrupt in the middle of an epoch, counted over all trainings."""
    train_step, seen = ObjectiveNet.train_step, []

    def step(self, batch, **params):
        key = (id(self), len(self.history))
        if key not in seen:
            seen.append(key)
        elif len(seen) == number:
            seen.append(None)
            signal.raise_signal(signal.SIGINT)
        return train_step(self, batch, **params)

    monkeypatch.setattr(ObjectiveNet, "train_step", step)


def test_interrupts_leave_the_estimator_as_it_was_and_the_checkpoint(tmp_path, monkeypatch):
    model = ELTARegressor(checkpoint=tmp_path, **SMALL)
    with monkeypatch.context() as context:
        interrupt_in_epoch(context, 3)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    assert vars(model) == vars(ELTARegressor(checkpoint=tmp_path, **SMALL))
    seen = epochs_of(monkeypatch)
    model.fit(X, y)
    assert seen == [3, 4]
    np.testing.assert_array_equal(model.predict(X), ELTARegressor(**SMALL).fit(X, y).predict(X))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupts_can_keep_the_best_so_far(early_stopping, tmp_path, monkeypatch):
    params = {**SMALL, "early_stopping": early_stopping}
    constant = {"lr_schedule": "constant", "lr_warmup_epochs": 0, "scoring": "loss"}
    model = ELTARegressor(
        checkpoint=tmp_path, training=Training(on_interrupt="keep", **constant), **params
    )
    with monkeypatch.context() as context:
        interrupt_in_epoch(context, 3)
        with pytest.warns(InterruptedFitWarning, match="after 2 epochs"):
            model.fit(X, y)
    assert model.n_iter_ == 2
    n_epochs = 2
    if early_stopping:
        n_epochs = min(model.history_, key=lambda row: row["valid_loss"])["epoch"]
    short = ELTARegressor(training=Training(**constant), **{**params, "max_epochs": n_epochs})
    np.testing.assert_array_equal(model.predict(X), short.fit(X, y).predict(X))
    whole = ELTARegressor(training=Training(**constant), **params).fit(X, y)
    np.testing.assert_array_equal(model.fit(X, y).predict(X), whole.predict(X))


def test_interrupts_in_the_first_epoch_or_a_callback_raise(monkeypatch):
    model = ELTARegressor(training=Training(on_interrupt="keep"), **SMALL)
    interrupt_in_epoch(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not hasattr(model, "net_")


@pytest.mark.parametrize("epoch", [3, 7, 11])
def test_interrupts_of_later_trainings_keep_the_earlier_ones(epoch, monkeypatch):
    """Four epochs of the fit, four of a round of self-training, four of a new head."""
    enhancers = {"confidence_threshold": 0.05, "sharpening": 1.0, "head_retraining_epochs": 4}
    params = {**SMALL, "loss": "emd", "early_stopping": False}
    training = Training(on_interrupt="keep")
    model = ELTARegressor(enhancers=Enhancers(**enhancers), training=training, **params)
    interrupt_in_epoch(monkeypatch, epoch)
    with pytest.warns(InterruptedFitWarning):
        model.fit(X, y, X_unlabeled=X[:30] + 0.1)
    stages = {row["stage"] for row in model.history_}
    kept = {3: {"fit"}, 7: {"fit"}, 11: {"fit", "self-training 1"}}[epoch]
    assert stages == kept
    if epoch == 3:
        return
    enhancers |= {"head_retraining_epochs": 0, "self_training_rounds": int(epoch == 11)}
    expected = ELTARegressor(enhancers=Enhancers(**enhancers), **params)
    expected.fit(X, y, X_unlabeled=X[:30] + 0.1)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


def test_files_of_models_do_not_name_folders_of_this_machine(tmp_path):
    model = ELTARegressor(checkpoint=tmp_path / "fit", **SMALL).fit(X, y)
    ltlearn.save(model, tmp_path / "model")
    assert ltlearn.load(tmp_path / "model").checkpoint is None
    assert str(tmp_path).encode() not in (tmp_path / "model").read_bytes()
