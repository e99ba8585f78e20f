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
