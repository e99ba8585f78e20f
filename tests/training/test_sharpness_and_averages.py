"""Sharpness-aware steps, averaged weights, and weights that may not grow, against plain loops."""

import copy

import numpy as np
import pytest
import skorch
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.model_selection import BatchedGridSearchCV
from ltlearn.options import Architecture, Training

N = 60


class Body(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(*shape, 6), nn.BatchNorm1d(6), nn.Tanh())

    def forward(self, X):
        return self.layers(X)


class Record(skorch.callbacks.Callback):
    """Keeps copies of the weights after every update and epoch."""

    def __init__(self, after_updates, after_epochs):
        self.after_updates = after_updates
        self.after_epochs = after_epochs

    def on_batch_end(self, net, training=False, **kwargs):
        self.after_updates.append(copy.deepcopy(net.module_.state_dict()))
        self.last = self.after_updates[-1]

    def on_epoch_end(self, net, **kwargs):
        self.after_epochs.append(self.after_updates[-1])


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3)).astype(np.float32)
    return X, np.exp(X[:, 0] + 0.1 * rng.normal(size=N))


@pytest.fixture(scope="module")
def class_data(data):
    X, y = data
    return X, np.digitize(y, [1.0, 3.0])


def regressor(**params):
    training = params.pop("training", {})
    defaults = {
        "backbone": "mlp",
        "loss": "mse",
        "mixup_strength": 0.0,
        "hidden_layer_sizes": (8,),
        "dropout": 0.0,
        "max_epochs": 1,
        "batch_size": N,
        "lr": 0.1,
        "early_stopping": False,
        "random_state": 0,
    }
    training = Training(**{"optimizer": torch.optim.SGD, "weight_decay": 0.0, **training})
    return ELTARegressor(**{**defaults, **params}, training=training)


class TestSharpness:
    radius = 0.7

    def test_one_update_is_that_of_a_plain_loop(self, data):
        start = regressor(lr=1e-12).fit(*data).net_
        X = torch.tensor((data[0] - data[0].mean(0)) / data[0].std(0))
        score = torch.tensor((data[1] - data[1].mean()) / data[1].std())[:, None].float()
        module = copy.deepcopy(start.module_).train()

        def gradients():
            module.zero_grad()
            nn.functional.mse_loss(module(X), score).backward()
            return [values.grad.clone() for values in module.parameters()]

        old = [values.detach().clone() for values in module.parameters()]
        first = gradients()
        length = sum(grad.square().sum() for grad in first).sqrt()
        with torch.no_grad():
            for values, grad in zip(module.parameters(), first, strict=True):
                values += self.radius * grad / length
        # Nesterov's first step is 1.9 times the gradient.
        expected = [a - 0.19 * b for a, b in zip(old, gradients(), strict=True)]

        model = regressor(training={"sam_radius": self.radius}).fit(*data)
        for values, wanted in zip(model.net_.module_.parameters(), expected, strict=True):
            torch.testing.assert_close(values.detach(), wanted, atol=2e-6, rtol=1e-4)

    @pytest.mark.parametrize(
        "params",
        [
            {"dropout": 0.4, "mixup_strength": 0.5},
            {
                "dropout": 0.4,
                "backbone": "tabular",
                "loss": "quantile",
                "training": {"lr_warmup_epochs": 0, "max_grad_norm": None},
            },
            {"backbone": Body, "batch_size": 20, "training": {"accumulation_steps": 2}},
        ],
    )
    def test_both_gradients_draw_the_same(self, data, params):
        # A radius of nearly nothing changes nothing, unless the second draws are others.
        settings = {"max_epochs": 3, **params}
        training = settings.pop("training", {})
        plain = regressor(**settings, training=training).fit(*data)
        tiny = regressor(**settings, training={**training, "sam_radius": 1e-9}).fit(*data)
        np.testing.assert_allclose(tiny.predict(data[0]), plain.predict(data[0]), rtol=1e-4)

    def test_feature_mixup_of_classes_draws_the_same(self, class_data):
        def fitted(**training):
            training = Training(feature_mixup=0.5, optimizer="sgd", **training)
            params = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
            model = GranularClassifier(**params, batch_size=20, lr=0.01, training=training)
            return model.fit(*class_data).predict_proba(class_data[0])

        np.testing.assert_allclose(fitted(sam_radius=1e-9), fitted(), rtol=1e-3, atol=1e-5)

    def test_own_modules_that_draw_globally_draw_the_same(self, data):
        class Noisy(Body):
            def forward(self, X):
                return super().forward(X + torch.randn_like(X) if self.training else X)

        params = {"backbone": Noisy, "max_epochs": 3}
        torch.manual_seed(3)
        expected = torch.get_rng_state()
        plain = regressor(**params).fit(*data)
        tiny = regressor(**params, training={"sam_radius": 1e-9}).fit(*data)
        np.testing.assert_allclose(tiny.predict(data[0]), plain.predict(data[0]), rtol=1e-4)
        assert torch.equal(torch.get_rng_state(), expected)

    def test_batch_normalization_learns_from_the_weights_themselves(self, data):
        params = {"backbone": Body, "lr": 1e-12}
        plain, far = (
            regressor(**params, training={"sam_radius": radius}).fit(*data).net_.module_.backbone
            for radius in (0.0, 5.0)
        )
        for name, values in plain.named_buffers():
            torch.testing.assert_close(far.get_buffer(name), values)


class TestAverages:
    def fit(self, data, kind, **params):
        updates, epochs = [], []
        model = regressor(
            **{"backbone": Body, "batch_size": 20, "max_epochs": 8, **params},
            callbacks=[Record(updates, epochs)],
            training={"weight_averaging": kind},
        ).fit(*data)
        return model.net_.module_.state_dict(), updates, epochs

    def test_ema_is_the_running_average_of_all_updates(self, data):
        state, updates, _ = self.fit(data, "ema")
        assert len(updates) == 24
        for name, values in state.items():
            if not values.is_floating_point():
                continue
            average = updates[0][name].double()
            for n, weights in enumerate(updates[1:], start=2):
                decay = min(0.999, n / (9 + n))
                average = decay * average + (1 - decay) * weights[name]
            torch.testing.assert_close(values.double(), average, rtol=1e-4, atol=1e-5)

    def test_swa_is_the_mean_of_the_last_quarter_of_the_epochs(self, data):
        state, _, epochs = self.fit(data, "swa")
        for name in ("backbone.layers.0.weight", "head.1.weight", "head.0.weight"):
            if name in state:
                mean = (epochs[-1][name] + epochs[-2][name]) / 2
                torch.testing.assert_close(state[name], mean)

    def test_swa_takes_the_statistics_of_batch_normalization_anew(self, data):
        state, _, _ = self.fit(data, "swa")
        X = torch.from_numpy(data[0])
        linear = X @ state["backbone.layers.0.weight"].T + state["backbone.layers.0.bias"]
        torch.testing.assert_close(state["backbone.layers.1.running_mean"], linear.mean(0))
        variances = torch.stack([part.var(0) for part in linear.split(20)]).mean(0)
        torch.testing.assert_close(state["backbone.layers.1.running_var"], variances)

    @pytest.mark.parametrize("kind", ["ema", "swa"])
    def test_training_goes_on_from_the_weights_themselves(self, data, kind):
        _, averaged, _ = self.fit(data, kind)
        _, plain, _ = self.fit(data, None)
        for one, other in zip(averaged, plain, strict=True):
            for name in one:
                torch.testing.assert_close(one[name], other[name])

    @pytest.mark.parametrize("kind", ["ema", "swa"])
    def test_what_is_validated_is_what_is_kept(self, data, kind):
        model = regressor(
            max_epochs=6, early_stopping=True, training={"weight_averaging": kind, "scoring": "mae"}
        ).fit(*data, X_val=Whole(data[0]), y_val=Whole(data[1]))
        best = min(row["valid_mae"] for row in model.history_)
        found = np.abs(model.predict(data[0]) - data[1]).mean()
        assert found == pytest.approx(best, rel=1e-4)


class TestMaxNorm:
    def test_an_update_ends_on_the_ball(self, class_data):
        def weights(max_norm):
            training = Training(optimizer="sgd", head_max_norm=max_norm)
            params = {"hidden_layer_sizes": (8,), "max_epochs": 1, "random_state": 0, "lr": 0.3}
            model = GranularClassifier(**params, batch_size=N, training=training).fit(*class_data)
            layers = [m for m in model.net_.module_.head.modules() if isinstance(m, nn.Linear)]
            return layers[-1].weight.detach()

        free = weights(None)
        lengths = free.norm(dim=1)
        limit = float(lengths.sort().values[1])  # one class shorter, one at it, one longer
        expected = free * torch.clamp(limit / lengths, max=1)[:, None]
        torch.testing.assert_close(weights(limit), expected)

    @pytest.mark.parametrize(
        "params", [{"backbone": "tabular"}, {"architecture": Architecture(head="cosine")}]
    )
    def test_heads_without_a_last_linear_layer_are_refused(self, class_data, params):
        model = GranularClassifier(**params, training=Training(head_max_norm=1.0), max_epochs=1)
        with pytest.raises(ValueError, match="head_max_norm is for a head that ends in one linear"):
            model.fit(*class_data)


@pytest.mark.parametrize(
    "options", [{"sam_radius": [0.0, 0.1]}, {"weight_averaging": ["ema", None]}]
)
def test_a_batched_search_falls_back(data, options):
    model = regressor(max_epochs=2, batch_size=20)
    grid = {f"training__{name}": values for name, values in options.items()}
    one = GridSearchCV(clone(model), grid, cv=2).fit(*data)
    other = BatchedGridSearchCV(clone(model), grid, cv=2).fit(*data)
    np.testing.assert_allclose(
        other.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"], rtol=1e-5
    )
