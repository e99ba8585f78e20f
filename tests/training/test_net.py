"""What a fit leaves behind, and how it ends."""

import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import joblib
import numpy as np
import pytest
import skorch
import torch
from sklearn.ensemble import BaggingRegressor
from torch import nn

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.options import Enhancers, Training
from ltlearn.training._freezing import final_norm
from ltlearn.utils._interrupts import watched_interrupts


class Body(nn.Module):
    """Batch normalization in the middle, a norm at the end."""

    def __init__(self, shape):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(*shape, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.norm = nn.LayerNorm(6)

    def forward(self, X):
        return self.norm(self.layers(X))


def fitted_state(skewed_regression, **training):
    model = ELTARegressor(
        backbone=Body,
        max_epochs=4,
        lr=0.05,
        early_stopping=False,
        random_state=0,
        training=Training(**training),
    ).fit(*skewed_regression)
    return model.net_.module_.backbone.state_dict()


class TestHeadWarmup:
    def test_the_final_norm_learns_and_all_else_stays(self, skewed_regression):
        # Early epochs of one seed start from the same weights, however many there are.
        one = fitted_state(skewed_regression, head_warmup_epochs=4)
        frozen = fitted_state(skewed_regression, freeze_backbone=True)
        changed = {name for name in one if not torch.equal(one[name], frozen[name])}
        assert changed == {"norm.weight", "norm.bias"}

    def test_everything_learns_afterwards(self, skewed_regression):
        after = fitted_state(skewed_regression, head_warmup_epochs=2)
        frozen = fitted_state(skewed_regression, freeze_backbone=True)
        assert all(not torch.equal(after[name], frozen[name]) for name in after)

    @pytest.mark.parametrize(
        ("backbone", "expected"),
        [
            (nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Flatten()), "1"),
            (nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 3)), None),
            (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten()), "1"),
            (nn.Flatten(), None),
        ],
    )
    def test_the_final_norm_is_found(self, backbone, expected):
        norm = final_norm(backbone)
        assert norm is (None if expected is None else backbone.get_submodule(expected))


class TestEnd:
    def test_the_last_epoch_ends_for_every_callback(self, skewed_regression):
        class Count(skorch.callbacks.Callback):
            def initialize(self):
                self.begun_ = self.ended_ = 0

            def on_epoch_begin(self, net, **kwargs):
                self.begun_ += 1

            def on_epoch_end(self, net, **kwargs):
                self.ended_ += 1

        stop = skorch.callbacks.EarlyStopping(monitor="train_loss", patience=2, threshold=10.0)
        model = ELTARegressor(callbacks=[stop, Count()], max_epochs=20, early_stopping=False)
        model.fit(*skewed_regression)
        count = next(c for _, c in model.net_.callbacks_ if isinstance(c, Count))
        assert count.begun_ == count.ended_ == len(model.history_) < 20

    def test_an_interrupt_in_a_callback_ends_fit(self, skewed_regression):
        class PressCtrlC(skorch.callbacks.Callback):
            def on_epoch_end(self, net, **kwargs):
                signal.raise_signal(signal.SIGINT)
                time.sleep(5)

        model = ELTARegressor(callbacks=[PressCtrlC()], max_epochs=3)
        with pytest.raises(KeyboardInterrupt):
            model.fit(*skewed_regression)
        assert not hasattr(model, "net_")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_only_real_interrupts_are_seen(self):
        with watched_interrupts() as seen, pytest.raises(KeyboardInterrupt):
            raise KeyboardInterrupt
        assert not seen
        with watched_interrupts() as seen, pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert seen

    def test_weights_are_held_once(self, skewed_regression):
        model = ELTARegressor(max_epochs=30, random_state=0, enhancers=Enhancers())
        model.fit(*skewed_regression)
        weights = sum(p.numel() * p.element_size() for p in model.net_.module_.parameters())
        assert len(pickle.dumps(model)) < 1.5 * weights + 30_000
        assert all(p.grad is None for p in model.net_.module_.parameters())
        assert weights > 30_000


class NoisyBody(nn.Module):
    """Batch normalization and dropout, which do one thing in training and another afterwards."""

    def __init__(self, shape):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(*shape, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5)
        )

    def forward(self, X):
        return self.layers(X)


BACKBONES = {
    "own": {"backbone": NoisyBody, "lr": 0.05},
    "mlp": {"backbone": "mlp", "dropout": 0.5},
    "tabular": {"backbone": "tabular", "dropout": 0.5},
}


class TestEvaluation:
    """What is validated and predicted comes from the network at rest."""

    @pytest.fixture
    def halves(self, skewed_regression):
        X, y = skewed_regression
        X = X.astype(np.float32)
        return X[:120], y[:120], X[120:], y[120:]

    @pytest.mark.parametrize("backbone", BACKBONES)
    def test_validation_errors_are_those_of_predictions(self, halves, backbone):
        X, y, X_val, y_val = halves
        settings = BACKBONES[backbone] | {"max_epochs": 2, "early_stopping": False}
        model = ELTARegressor(**settings, loss="mse", random_state=0)
        model.fit(X, y, X_val=X_val, y_val=y_val)
        errors = [abs(a - b) for a, b in zip(model.predict(X_val), y_val, strict=True)]
        assert model.history_[-1]["valid_mae"] == pytest.approx(np.mean(errors), rel=1e-4)
        squares = np.square(errors) / model.score_scale_**2
        if backbone != "tabular":  # whose members each have a loss of their own
            assert model.history_[-1]["valid_loss"] == pytest.approx(np.mean(squares), rel=1e-4)

    @pytest.mark.parametrize("backbone", BACKBONES)
    def test_validation_accuracy_is_that_of_predictions(self, halves, backbone):
        X, y, X_val, y_val = halves
        edges = np.quantile(y, [0.6, 0.9])
        settings = BACKBONES[backbone] | {"max_epochs": 2, "early_stopping": False}
        model = GranularClassifier(**settings, random_state=0)
        labels = np.digitize(y_val, edges)
        model.fit(X, np.digitize(y, edges), X_val=X_val, y_val=labels)
        hits = [a == b for a, b in zip(model.predict(X_val), labels, strict=True)]
        assert model.history_[-1]["valid_accuracy"] == pytest.approx(np.mean(hits))

    @pytest.mark.parametrize("method", ["predict", "embed"])
    def test_predictions_are_those_of_the_layers_written_out(self, halves, method):
        X, y, X_val, _ = halves
        model = ELTARegressor(**BACKBONES["own"], max_epochs=2, loss="mse", random_state=0)
        model.fit(X, y)
        linear, norm, *_ = model.net_.module_.backbone.layers
        head = model.net_.module_.head[-1]
        got = getattr(model, method)(X_val)
        mean, variance = norm.running_mean, norm.running_var
        for row, found in zip(X_val, got, strict=True):
            hidden = linear.weight.detach() @ torch.from_numpy(row) + linear.bias.detach()
            hidden = (hidden - mean) / (variance + norm.eps).sqrt()
            features = torch.relu(norm.weight * hidden + norm.bias).detach()
            output = float(head.weight[0].detach() @ features + head.bias[0].detach())
            expected = features.numpy()
            if method == "predict":
                expected = model.score_mean_ + model.score_scale_ * output
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class TestHistory:
    """A learning rate of next to nothing: what is recorded is that of one network."""

    @pytest.mark.parametrize("accumulation_steps", [1, 3])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_the_loss_of_an_epoch_is_the_mean_over_its_rows(self, weighted, accumulation_steps):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(7, 3)), rng.normal(size=7) ** 3  # batches of 4 and 3
        weight = rng.uniform(0.1, 3, size=7) if weighted else np.ones(7)
        model = ELTARegressor(
            backbone="mlp",
            lr=1e-30,
            batch_size=4,
            max_epochs=3,
            mixup_strength=0.0,
            alignment_weight=0.0,
            random_state=0,
            training=Training(accumulation_steps=accumulation_steps),
        ).fit(X, y, sample_weight=weight if weighted else None)
        assert model.history_[0]["train_batch_count"] == 2
        total = 0.0
        for w, prediction, score in zip(weight, model.predict(X), y, strict=True):
            total += w * ((prediction - score) / model.score_scale_) ** 2
        for row in model.history_:
            assert row["train_loss"] == pytest.approx(total / sum(weight), rel=1e-5)

    def test_an_epoch_as_good_as_the_best_is_no_better(self, skewed_regression):
        X, y = skewed_regression
        model = ELTARegressor(lr=1e-30, max_epochs=3, early_stopping=False, random_state=0)
        model.fit(X[:100], y[:100], X_val=X[100:150], y_val=y[100:150])
        assert len({row["valid_loss"] for row in model.history_}) == 1
        assert [row["valid_loss_best"] for row in model.history_] == [True, False, False]

    @pytest.mark.parametrize("n_parts", [2, 3, 4])
    def test_parts_of_unequal_size_count_by_their_rows(self, n_parts):
        """One step of plain gradient descent on a linear model, by the formula."""
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(7, 2)).astype(np.float32), rng.normal(size=7) ** 3
        settings = {"hidden_layer_sizes": (), "backbone": "mlp", "batch_size": 7}
        settings |= {"max_epochs": 1, "mixup_strength": 0.0, "random_state": 0}
        options = {"optimizer": torch.optim.SGD, "weight_decay": 0.0, "max_grad_norm": None}
        options["accumulation_steps"] = n_parts
        before, after = (
            ELTARegressor(**settings, lr=lr, training=Training(**options)).fit(X, y)
            for lr in (1e-30, 0.1)
        )
        weight, bias = (
            [p.detach().numpy().astype(float) for p in model.net_.module_.head.parameters()]
            for model in (before, after)
        )
        (start, start_bias), (end, end_bias) = weight, bias
        Z = (X - X.mean(axis=0)) / X.std(axis=0)
        scores = (y - y.mean()) / y.std()
        slope, slope_bias = np.zeros(2), 0.0
        for z, score in zip(Z, scores, strict=True):
            error = start[0] @ z + start_bias[0] - score
            slope += 2 / 7 * error * z
            slope_bias += 2 / 7 * error
        step = 0.1 * 1.9  # the first step with Nesterov's momentum of 0.9
        np.testing.assert_allclose(end[0], start[0] - step * slope, rtol=1e-4)
        np.testing.assert_allclose(end_bias[0], start_bias[0] - step * slope_bias, atol=1e-5)


class TestPrecision:
    @pytest.mark.parametrize("estimator", [ELTARegressor, GranularClassifier])
    def test_outputs_of_a_head_are_float32_also_in_bfloat16(self, estimator):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(3000, 4))
        y = X[:, 0] if estimator is ELTARegressor else (X[:, 0] > 1).astype(int)
        body = nn.Sequential(nn.Linear(4, 32), nn.ReLU())
        model = estimator(
            backbone=body,
            max_epochs=1,
            random_state=0,
            batch_size=256,
            training=Training(precision="bfloat16"),
        ).fit(X, y)
        outputs = model._outputs(X)[:, 0]
        assert outputs.dtype == np.float32
        # bfloat16 has 256 values between two powers of two, so it would repeat most of them.
        assert len(np.unique(outputs)) > 2900
        head = model.net_.module_.head
        features = torch.from_numpy(model.embed(X))
        expected = head(features).detach().numpy()[:, 0]
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


class TestThreads:
    def test_a_thread_predicts_while_another_fits(self, skewed_regression):
        X, y = skewed_regression
        model = ELTARegressor(max_epochs=2, random_state=0).fit(X, y)
        expected, in_fit, go_on = model.predict(X), threading.Event(), threading.Event()

        class Wait(skorch.callbacks.Callback):
            def on_epoch_end(self, net, **kwargs):
                in_fit.set()
                assert go_on.wait(60)

        slow = ELTARegressor(max_epochs=1, callbacks=[Wait()])
        fitting = threading.Thread(target=slow.fit, args=(X, y))
        fitting.start()
        try:
            assert in_fit.wait(60)  # inside of fit, which ends only after the prediction
            np.testing.assert_array_equal(model.predict(X), expected)
        finally:
            go_on.set()
            fitting.join()

    @pytest.mark.parametrize("backbone", ["mlp", Body])
    def test_fits_in_threads_give_what_they_give_alone(self, skewed_regression, backbone):
        def predict(seed):
            model = ELTARegressor(backbone=backbone, max_epochs=3, dropout=0.2, random_state=seed)
            return model.fit(*skewed_regression).predict(skewed_regression[0])

        alone = [predict(seed) for seed in range(3)]
        together = joblib.Parallel(n_jobs=3, backend="threading")(
            joblib.delayed(predict)(seed) for seed in range(3)
        )
        np.testing.assert_array_equal(together, alone)


def test_a_network_of_a_script_reaches_worker_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import numpy as np
            from sklearn.ensemble import BaggingRegressor
            from torch import nn
            from ltlearn import ELTARegressor

            class Net(nn.Module):
                def __init__(self, shape):
                    super().__init__()
                    self.layer = nn.Linear(*shape, 4)

                def forward(self, X):
                    return self.layer(X).relu()

            if __name__ == "__main__":
                rng = np.random.default_rng(0)
                X = rng.normal(size=(60, 3))
                model = ELTARegressor(backbone=Net, max_epochs=1, random_state=0)
                bag = BaggingRegressor(model, n_estimators=2, n_jobs=2, random_state=0)
                print(np.isfinite(bag.fit(X, X[:, 0]).predict(X)).all())
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "True", done.stderr


def test_bagging_in_one_process(skewed_regression):
    bag = BaggingRegressor(ELTARegressor(max_epochs=1), n_estimators=2, random_state=0)
    assert np.isfinite(bag.fit(*skewed_regression).predict(skewed_regression[0])).all()
