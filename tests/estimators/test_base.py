"""The estimator contract: seeding, data kinds, validation, persistence, progress."""

import copy
import pickle
import random

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import skorch
import torch
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm.auto import tqdm

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.exceptions import NonFiniteLossError

UNLABELED = np.random.default_rng(1).normal(size=(50, 4))


def quick(**params):
    return ELTARegressor(backbone="mlp", max_epochs=5, random_state=0).set_params(**params)


class MeanOverTime(nn.Module):
    """Takes sequences (B, 4, length) of any length."""

    def forward(self, X):
        return X.mean(2)


class TestRandomness:
    def test_same_seed_gives_the_same_bits_whatever_ran_before(self, skewed_regression):
        X, y = skewed_regression
        first = quick(dropout=0.2).fit(X, y).predict(X)
        for seed_generator in (torch.manual_seed, np.random.seed, random.seed):
            seed_generator(7)
        np.testing.assert_array_equal(quick(dropout=0.2).fit(X, y).predict(X), first)
        assert not np.array_equal(quick(dropout=0.2, random_state=1).fit(X, y).predict(X), first)

    def test_refit_and_clone_give_the_same_bits(self, skewed_regression):
        X, y = skewed_regression
        model = quick().fit(X, y)
        first = model.predict(X)
        np.testing.assert_array_equal(clone(model).fit(X, y).predict(X), first)
        np.testing.assert_array_equal(model.fit(X, y).predict(X), first)

    def test_global_generators_are_untouched(self, skewed_regression):
        X, y = skewed_regression
        states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
        quick(dropout=0.5).fit(X, y).predict(X)
        assert torch.equal(torch.get_rng_state(), states[0])
        assert np.array_equal(np.random.get_state()[1], states[1])
        assert random.getstate() == states[2]

    def test_number_of_threads_changes_nothing_and_is_put_back(self, skewed_regression):
        X, y = skewed_regression
        before, predictions = torch.get_num_threads(), []
        try:
            for n_threads in (1, 2):
                torch.set_num_threads(n_threads)
                predictions.append(quick(batch_size=200).fit(X, y).predict(X))
                assert torch.get_num_threads() == n_threads
        finally:
            torch.set_num_threads(before)
        np.testing.assert_array_equal(*predictions)

    def test_searches_agree_across_n_jobs(self, skewed_regression):
        X, y = skewed_regression
        pipeline = make_pipeline(StandardScaler(), quick())
        grid = {"eltaregressor__mixup_strength": [0.0, 0.25, 0.5]}
        results = [
            GridSearchCV(pipeline, grid, cv=3, n_jobs=n_jobs).fit(X, y).cv_results_
            for n_jobs in (1, 2)
        ]
        scores = [
            np.array([result[f"split{i}_test_score"] for i in range(3)]) for result in results
        ]
        np.testing.assert_array_equal(*scores)
        assert len(np.unique(scores[0])) == 9  # the grid does something in every fold

    def test_threads_of_one_process_do_not_mix_their_randomness(self, skewed_regression):
        X, y = skewed_regression
        expected = [quick(random_state=seed).fit(X, y).predict(X) for seed in range(4)]
        parallel = joblib.Parallel(n_jobs=4, backend="threading")
        got = parallel(
            joblib.delayed(lambda s: quick(random_state=s).fit(X, y).predict(X))(seed)
            for seed in range(4)
        )
        np.testing.assert_array_equal(got, expected)


class TestData:
    def test_kinds_of_tables_are_equivalent(self, skewed_regression, tmp_path):
        X, y = skewed_regression
        X = np.round(X * 8)  # exact in every type below
        expected = quick().fit(X, y).predict(X)
        np.save(tmp_path / "X.npy", X)
        read_only = X.copy()
        read_only.flags.writeable = False
        for same in (
            X.astype(int),
            read_only,
            np.load(tmp_path / "X.npy", mmap_mode="r"),
            np.asfortranarray(X),
            X.tolist(),
        ):
            np.testing.assert_array_equal(quick().fit(same, y).predict(same), expected)
        single = X.astype(np.float32)
        np.testing.assert_allclose(quick().fit(single, y).predict(single), expected, rtol=1e-3)

    def test_samples_of_another_shape_are_refused(self, skewed_regression):
        X = np.zeros((200, 4, 6))
        y = skewed_regression[1]
        model = quick(backbone=nn.Flatten).fit(X, y)
        with pytest.raises(ValueError, match=r"shape \(4, 5\), fit saw \(4, 6\)"):
            model.predict(X[:, :, :5])
        assert quick(backbone=MeanOverTime).fit(X, y).predict(X[:, :, :5]).shape == (200,)
        with pytest.raises(ValueError, match=r"X_val is not as X: .*\(4, 6, 1\)"):
            model.fit(X, y, X_val=X[:9, ..., None], y_val=y[:9])

    def test_errors_name_the_validation_scores(self, skewed_regression):
        X, y = skewed_regression
        with pytest.raises(ValueError, match="y_val contains NaN"):
            quick().fit(X, y, X_val=X[:9], y_val=np.full(9, np.nan))
        with pytest.raises(ValueError, match="X_val has 9 rows and y_val 8"):
            quick().fit(X, y, X_val=X[:9], y_val=y[:8])

    def test_the_default_dtype_of_torch_does_not_matter(self, skewed_regression):
        X, y = skewed_regression
        settings = {"loss": "emd", "bins__n_bins": 10, "alignment_weight": 0.1}
        expected = quick(**settings).fit(X, y, X_unlabeled=X[:50]).predict(X)
        torch.set_default_dtype(torch.float64)
        try:
            model = quick(**settings).fit(X, y, X_unlabeled=X[:50])
            assert torch.get_default_dtype() == torch.float64
            np.testing.assert_array_equal(model.predict(X), expected)
        finally:
            torch.set_default_dtype(torch.float32)

    @pytest.mark.parametrize("scale", [1e-200, 1e200])
    def test_scores_beyond_float64_arithmetic_are_refused(self, skewed_regression, scale):
        X, y = skewed_regression
        with pytest.raises(ValueError, match=r"\by (ranges from .*scale it|holds .*unit)"):
            quick().fit(X, scale * y)

    @pytest.mark.parametrize("scale", [1e-310, 1e308])
    def test_extreme_weights(self, skewed_regression, scale):
        X, y = skewed_regression
        expected = quick().fit(X, y, np.ones(200)).predict(X)
        np.testing.assert_array_equal(quick().fit(X, y, np.full(200, scale)).predict(X), expected)

    @pytest.mark.parametrize("columns", [list("abcd"), [3, 1, 4, 2]])
    def test_frames_of_any_column_names(self, skewed_regression, columns):
        X, y = skewed_regression
        frame = pd.DataFrame(X, columns=columns)
        model = quick().fit(frame, pd.Series(y))
        np.testing.assert_array_equal(model.predict(frame), quick().fit(X, y).predict(X))
        assert hasattr(model, "feature_names_in_") == (columns == list("abcd"))

    def test_huge_offsets_and_scales_are_standardized_away(self, skewed_regression):
        X, y = skewed_regression
        shifted = X * [1e-9, 1.0, 1e12, 1.0] + [0.0, 1.7e9, 0.0, -1e6]
        model, reference = quick(max_epochs=30).fit(shifted, y), quick(max_epochs=30).fit(X, y)
        np.testing.assert_allclose(model.predict(shifted), reference.predict(X), rtol=1e-3)
        assert np.isfinite(model.predict(np.full((1, 4), 1e300))).all()

    def test_scores_of_any_scale_train_alike(self, skewed_regression):
        X, y = skewed_regression
        expected = quick().fit(X, y).predict(X)
        prices = quick().fit(X, 1e6 * y + 5e6).predict(X)
        np.testing.assert_allclose((prices - 5e6) / 1e6, expected, rtol=1e-4, atol=1e-4)

    def test_column_vector_warns_and_is_the_same(self, skewed_regression):
        X, y = skewed_regression
        with pytest.warns(DataConversionWarning):
            model = quick().fit(X, y[:, None])
        np.testing.assert_array_equal(model.predict(X), quick().fit(X, y).predict(X))

    def test_sizes_are_inferred_again_on_refit(self, skewed_regression):
        X, y = skewed_regression
        model = quick().fit(X, y).fit(X[:, :2], y)
        assert model.n_features_in_ == 2
        assert model.predict(X[:, :2]).shape == (200,)
        with pytest.raises(ValueError, match="expecting 2 features"):
            model.predict(X)

    def test_rows_predict_the_same_alone_and_together(self, skewed_regression):
        X, y = skewed_regression
        model = quick().fit(X, y)
        alone = np.concatenate([model.predict(X[i : i + 1]) for i in range(20)])
        np.testing.assert_allclose(alone, model.predict(X)[:20], rtol=1e-6)


def image_backbone(shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 6), nn.ReLU())


class TestBackbones:
    @pytest.fixture
    def images(self):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, size=(60, 3, 4, 4), dtype=np.uint8)
        return images, images[:, 0].mean(axis=(1, 2)) / 255

    @pytest.mark.parametrize(
        "backbone",
        [
            image_backbone,
            image_backbone((3, 4, 4)),
            lambda: nn.Sequential(nn.AvgPool2d(4), nn.Flatten()),
        ],
    )
    def test_modules_factories_and_instances_on_images(self, images, backbone):
        X, y = images
        model = quick(backbone=backbone).fit(X, y)
        features = model.embed(X)
        assert features.shape == (60, 3 if features.shape[1] == 3 else 6)
        assert np.isfinite(model.predict(X)).all()
        same = quick(backbone=backbone).fit(X.astype(float), y)
        np.testing.assert_allclose(same.predict(X.astype(float)), model.predict(X), rtol=1e-5)

    def test_an_instance_is_not_trained_in_place(self, images):
        X, y = images
        backbone = image_backbone((3, 4, 4))
        before = copy.deepcopy(backbone.state_dict())
        model = quick(backbone=backbone).fit(X, y)
        for name, values in backbone.state_dict().items():
            assert torch.equal(values, before[name])
        assert model.net_.module_.backbone is not backbone
        assert not torch.equal(model.net_.module_.backbone[1].weight, before["1.weight"])

    def test_wrong_shapes_are_explained(self, images):
        X, y = images
        with pytest.raises(ValueError, match=r"features of shape \(B, D\).*gave \(2, 3, 4, 4\)"):
            quick(backbone=nn.Identity()).fit(X, y)
        with pytest.raises(TypeError, match=r"returned int; it must return a torch.nn.Module"):
            quick(backbone=lambda: 3).fit(X, y)

    def test_embed_gives_the_features_the_head_sees(self, skewed_regression):
        X, y = skewed_regression
        model = quick(hidden_layer_sizes=(8, 5)).fit(X, y)
        features = torch.from_numpy(model.embed(X))
        assert features.shape == (200, 5)
        head = model.net_.module_.head(features).detach().numpy()[:, 0]
        np.testing.assert_allclose(
            model.score_mean_ + model.score_scale_ * head, model.predict(X), rtol=1e-5
        )

    def test_no_hidden_layers_is_a_linear_model(self, skewed_regression):
        X, _ = skewed_regression
        y = X @ [1.0, -2.0, 0.5, 0.0] + 3
        model = quick(
            hidden_layer_sizes=(),
            mixup_strength=0,
            lr=0.05,
            max_epochs=200,
            training__weight_decay=0,
        )
        np.testing.assert_allclose(model.fit(X, y).predict(X), y, atol=0.05)


class TestValidation:
    def test_best_epoch_is_restored(self, skewed_regression):
        X, y = skewed_regression
        model = quick(max_epochs=150, training__n_iter_no_change=5, mixup_strength=0)
        model.fit(X[:110], y[:110], X_val=X[110:], y_val=y[110:])
        losses = [row["valid_loss"] for row in model.history_]
        assert model.n_iter_ == len(losses) < 150
        assert model.n_iter_ - 1 - int(np.argmin(losses)) >= 4
        errors = (model.predict(X[110:]) - y[110:]) / model.score_scale_
        assert np.mean(errors**2) == pytest.approx(min(losses), rel=1e-3)

    def test_validation_rows_are_never_trained_on(self, skewed_regression):
        X, y = skewed_regression
        settings = {"early_stopping": False, "max_epochs": 3}
        with_validation = quick(**settings).fit(X, y, X_val=X[:50] + 1, y_val=y[:50])
        without = quick(**settings).fit(X, y)
        np.testing.assert_array_equal(with_validation.predict(X), without.predict(X))
        assert "valid_loss" in with_validation.history_[0]
        assert "valid_loss" not in without.history_[0]

    @pytest.mark.parametrize("passed", [False, True])
    @pytest.mark.parametrize("backbone", ["mlp", "tabular"])
    @pytest.mark.parametrize("estimator", [ELTARegressor, GranularClassifier])
    def test_scales_are_those_of_the_training_rows_alone(
        self, skewed_regression, estimator, backbone, passed
    ):
        """Columns and scores that training sees have the center and deviation of exactly these."""
        seen = []

        class Record(skorch.callbacks.Callback):
            def on_train_begin(self, net, X, **kwargs):
                seen.append((X.X.double().numpy(), X.target))

        X, y = skewed_regression
        X = np.exp(X)
        if estimator is GranularClassifier:
            y = np.digitize(y, np.quantile(y, [0.5, 0.8]))
        extra = {"X_val": X[150:] + 0.5, "y_val": y[150:]} if passed else {}
        if passed:
            X, y = X[:150], y[:150]
        model = estimator(backbone=backbone, max_epochs=1, callbacks=[Record()], random_state=0)
        model.set_params(early_stopping=True, training__validation_fraction=0.3)
        model.fit(X, y, **extra)
        ((columns, target),) = seen
        assert len(columns) == (150 if passed else 140)
        if backbone == "mlp":
            np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-6)
            np.testing.assert_allclose(columns.std(axis=0), 1, rtol=1e-6)
        else:  # which centers at the median
            below, above = (columns < 0).sum(axis=0), (columns > 0).sum(axis=0)
            np.testing.assert_array_equal(below, above)
        if estimator is ELTARegressor:
            scores = target["score"].double()
            assert scores.mean().item() == pytest.approx(0, abs=1e-6)
            assert scores.std(correction=0).item() == pytest.approx(1, rel=1e-6)
        else:
            shares = np.bincount(target["label"]) / len(columns)
            got = model.net_.criterion_.log_share.exp()
            np.testing.assert_allclose(got, shares, rtol=1e-5)

    def test_weights_of_held_out_rows_count_in_proportion(self, skewed_regression):
        X, y = skewed_regression
        weight, held_out = np.random.default_rng(2).uniform(0.1, 5, size=200), []

        class Record(skorch.callbacks.Callback):
            def on_epoch_end(self, net, dataset_valid, **kwargs):
                held_out.append(dataset_valid.target["score"].double().numpy())

        model = quick(max_epochs=1, callbacks=[Record()], training__validation_fraction=0.3)
        model.fit(X, y, sample_weight=weight)
        total = errors = 0.0
        for score in model.score_mean_ + model.score_scale_ * held_out[0]:
            row = int(np.argmin(np.abs(y - score)))
            assert y[row] == pytest.approx(score, rel=1e-4)
            total += weight[row]
            errors += weight[row] * abs(model.predict(X[[row]])[0] - y[row])
        assert model.history_[0]["valid_mae"] == pytest.approx(errors / total, rel=1e-4)

    def test_held_out_rows_cover_the_range_of_scores(self, skewed_regression):
        X, y = skewed_regression
        model = quick(training__validation_fraction=0.1)
        train, valid = model._hold_out(
            model._validate_fit_rows(X, y, None, None, None)[0], np.random.RandomState(0)
        )
        assert len(valid.y) == 20
        assert len(train.y) == 180
        ranks = np.sort(np.searchsorted(np.sort(y), valid.y))
        np.testing.assert_array_equal(ranks // 10, np.arange(20))  # one from each tenth
        assert sorted(np.concatenate([train.y, valid.y])) == sorted(y)

    def test_sample_weight_counts_in_training_and_validation(self, skewed_regression):
        X, y = skewed_regression
        weight = np.where(y > np.median(y), 1.0, 0.0)
        garbage = np.where(weight > 0, y, -1e3)
        model = quick(max_epochs=40, mixup_strength=0).fit(X, garbage, sample_weight=weight)
        kept = weight > 0
        assert np.corrcoef(model.predict(X)[kept], y[kept])[0, 1] > 0.9
        assert min(model.predict(X)[kept]) > -100
        rescaled = quick(max_epochs=40, mixup_strength=0)
        rescaled.fit(X, garbage, sample_weight=1000 * weight)
        np.testing.assert_allclose(rescaled.predict(X), model.predict(X), rtol=1e-3)

    def test_half_a_validation_set_is_refused(self, skewed_regression):
        X, y = skewed_regression
        with pytest.raises(ValueError, match="pass both or neither"):
            quick().fit(X, y, X_val=X[:10])

    def test_validation_rows_that_cross_validation_would_slice_are_refused(self, skewed_regression):
        X, y = skewed_regression
        with pytest.raises(ValueError, match=r"X_val=ltlearn\.Whole"):
            quick().fit(X, y, X_val=X, y_val=y)
        quick().fit(X, y, X_val=Whole(X), y_val=Whole(y))

    def test_bad_weights_are_refused(self, skewed_regression):
        X, y = skewed_regression
        for weight in (np.zeros(200), np.full(200, -1.0)):
            with pytest.raises(ValueError, match=r"sample_weight|sample weights"):
                quick().fit(X, y, sample_weight=weight)

    def test_too_few_rows_to_hold_any_out(self):
        with pytest.raises(ValueError, match="leaves none to train on"):
            quick(early_stopping=True).fit([[0.0]], [1.0])


class TestTraining:
    def test_history_has_a_row_per_epoch_with_every_term(self, skewed_regression):
        X, y = skewed_regression
        model = quick(alignment_weight=0.5).fit(X, y)
        history = pd.DataFrame(model.history_)
        assert list(history["epoch"]) == [1, 2, 3, 4, 5]
        assert {"train_task", "train_alignment", "valid_mae", "dur"} <= set(history)
        np.testing.assert_allclose(
            history["train_loss"], history["train_task"] + 0.5 * history["train_alignment"]
        )

    def test_divergence_names_the_epoch_and_a_remedy(self, skewed_regression):
        X, y = skewed_regression
        with pytest.raises(NonFiniteLossError, match=r"epoch \d+.*smaller lr"):
            quick(lr=1e30, training__optimizer="sgd").fit(X, y)

    def test_a_failed_fit_leaves_a_warm_started_model_as_it_was(self, skewed_regression):
        X, y = skewed_regression
        model = quick(warm_start=True, training__optimizer="sgd", lr=1e-2).fit(X, y)
        before = model.predict(X)
        with pytest.raises(NonFiniteLossError):
            model.set_params(lr=1e30).fit(X, y)
        np.testing.assert_array_equal(model.predict(X), before)

    def test_warm_start_goes_on_where_fit_stopped(self, skewed_regression):
        X, y = skewed_regression
        model = quick(warm_start=True, max_epochs=10, early_stopping=False).fit(X, y)
        first = [row["train_loss"] for row in model.history_]
        model.fit(X, y)
        assert [row["epoch"] for row in model.history_] == list(range(1, 21))
        later = [row["train_loss"] for row in model.history_][10:]
        assert max(later) < first[0]
        with pytest.raises(ValueError, match="expecting 4 features"):
            model.fit(X[:, :2], y)

    @pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
    def test_two_fits_are_one_long_fit(self, skewed_regression, optimizer):
        X, y = skewed_regression
        settings = {"training__optimizer": optimizer, "mixup_strength": 0, "early_stopping": False}
        settings |= {"batch_size": len(X), "warm_start": True}  # the order of rows hardly matters
        halves = quick(max_epochs=10, **settings).fit(X, y).fit(X, y)
        once = quick(max_epochs=20, **settings).fit(X, y)
        np.testing.assert_allclose(halves.predict(X), once.predict(X), rtol=1e-4)

    def test_warm_start_takes_over_changed_parameters(self, skewed_regression):
        X, y = skewed_regression
        model = quick(warm_start=True, early_stopping=False, mixup_strength=0.0).fit(X, y)
        model.set_params(batch_size=50, training__weight_decay=0.5, alignment_weight=1.0).fit(X, y)
        assert [row["train_batch_count"] for row in model.history_] == [13] * 5 + [4] * 5
        assert ["train_alignment" in row for row in model.history_] == [False] * 5 + [True] * 5
        assert model.net_.optimizer_.param_groups[0]["weight_decay"] == 0.5
        weights = model.net_.module_.backbone[0].weight.clone()
        model.set_params(training__optimizer="sgd", training__freeze_backbone=True).fit(X, y)
        assert type(model.net_.optimizer_) is torch.optim.SGD
        assert torch.equal(model.net_.module_.backbone[0].weight, weights)
        model.set_params(training__freeze_backbone=False).fit(X, y)
        assert not torch.equal(model.net_.module_.backbone[0].weight, weights)

    def test_schedules_of_skorch_go_on_in_a_warm_start(self, skewed_regression):
        X, y = skewed_regression
        halve = skorch.callbacks.LRScheduler("StepLR", step_size=1, gamma=0.5)
        model = quick(warm_start=True, max_epochs=3, callbacks=[halve], early_stopping=False)
        for n_halvings in (3, 4):  # restarts at lr, but as in the epoch after the last one
            model.fit(X, y)
            rate = model.net_.optimizer_.param_groups[0]["lr"]
            assert rate == pytest.approx(model.net_.lr * 0.5**n_halvings)

    def test_warm_start_with_and_without_validation(self, skewed_regression):
        X, y = skewed_regression
        model = quick(warm_start=True).fit(X, y)  # holds rows out
        model.fit(X[:60], y[:60])  # too few to do so
        assert ["valid_loss" in row for row in model.history_] == [True] * 5 + [False] * 5
        model.set_params(max_epochs=300, training__n_iter_no_change=2).fit(X, y)
        assert model.n_iter_ < 310  # stopped early

    @pytest.mark.parametrize("warm_start", [False, True])
    @pytest.mark.parametrize("failure", ["labels", "divergence", "interrupt"])
    def test_a_failed_fit_changes_nothing(self, skewed_regression, warm_start, failure):
        class Interrupt(skorch.callbacks.Callback):
            def on_batch_end(self, net, **kwargs):
                raise KeyboardInterrupt

        X, y = skewed_regression
        model = quick(warm_start=warm_start).fit(X, y)
        expected, other = model.predict(X), 1000 * y + 5
        if failure == "labels":
            other[3] = np.nan
        elif failure == "divergence":
            model.set_params(training__optimizer="sgd", lr=1e30)
        else:
            model.set_params(callbacks=[Interrupt()])
        with pytest.raises((ValueError, FloatingPointError, KeyboardInterrupt)):
            model.fit(9 * X + 7, other)
        np.testing.assert_array_equal(model.predict(X), expected)
        unfitted = clone(model)
        with pytest.raises((ValueError, FloatingPointError, KeyboardInterrupt)):
            unfitted.fit(X, other)
        params = vars(clone(model)) | {"training": unfitted.training}
        assert vars(unfitted) == params | {"callbacks": unfitted.callbacks}

    def test_errors_before_training_are_not_hidden_by_the_bar(self, skewed_regression):
        class Fails(skorch.callbacks.Callback):
            def on_train_begin(self, net, **kwargs):
                raise RuntimeError("mine")

        with pytest.raises(RuntimeError, match="mine"):
            quick(verbose=1, callbacks=[Fails()]).fit(*skewed_regression)

    def test_a_failed_fit_closes_its_bar(self, skewed_regression, capsys):
        X, y = skewed_regression
        before = len(tqdm._instances)
        with pytest.raises(NonFiniteLossError):
            quick(training__optimizer="sgd", lr=1e30, verbose=1).fit(X, y)
        assert len(tqdm._instances) == before

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"hidden_layer_sizes": (0,)}, "positive integers"),
            ({"hidden_layer_sizes": (8, 2.5)}, "positive integers"),
            ({"hidden_layer_sizes": ("a",)}, "positive integers"),
            ({"augmentation": "standrad"}, "augmentation='standrad' is not one of"),
            ({"backbone_params": {"pretrained": True}}, "backbone_params is for timm backbones"),
            (
                {"backbone": nn.Flatten(), "architecture__feature_pooling": "avg"},
                "feature_pooling is for timm",
            ),
            ({"callbacks": [5]}, "skorch callbacks, got 5"),
            ({"callbacks": [skorch.callbacks.EpochScoring("r2")]}, "EpochScoring needs"),
            ({"callbacks": [("s", skorch.callbacks.BatchScoring("r2"))]}, "BatchScoring needs"),
            ({"bins__score_range": (1,)}, "score_range"),
            ({"bins__score_range": (1, 2, 3)}, "score_range"),
            ({"bins__score_range": ("a", "b")}, "score_range"),
            ({"bins__score_range": (1.0, 1.0 + 1e-16)}, "score_range"),
        ],
    )
    def test_bad_parameters_are_named(self, skewed_regression, params, message):
        with pytest.raises(ValueError, match=message):
            quick(**params).fit(*skewed_regression)

    @pytest.mark.parametrize(
        "optimizer", ["adam", "adamw", "sgd", torch.optim.RMSprop, torch.optim.LBFGS]
    )
    def test_optimizers(self, skewed_regression, optimizer):
        X, y = skewed_regression
        model = quick(training__optimizer=optimizer, lr=0.01, mixup_strength=0, max_epochs=10)
        if optimizer is torch.optim.LBFGS:  # made for the same full batch at every step
            model.set_params(batch_size=len(X), early_stopping=False)
        model.fit(X, y)
        assert model.score(X, y) > 0.3

    def test_skorch_callbacks_run(self, skewed_regression):
        X, y = skewed_regression

        class Count(skorch.callbacks.Callback):
            def initialize(self):
                self.batches_ = self.grads_ = 0

            def on_batch_end(self, net, training, **kwargs):
                self.batches_ += training

            def on_grad_computed(self, net, named_parameters, **kwargs):
                self.grads_ += any(p.grad.abs().sum() > 0 for _, p in named_parameters)

        callbacks = [
            Count(),
            skorch.callbacks.LRScheduler("StepLR", step_size=1, gamma=0.5),
            skorch.callbacks.GradientNormClipping(1.0),
            ("stop", skorch.callbacks.EarlyStopping(monitor="train_loss", patience=1, sink=str)),
        ]
        model = quick(callbacks=callbacks, max_epochs=4, batch_size=50, early_stopping=False)
        model.fit(X, y)
        count = next(each for _, each in model.net_.callbacks_ if isinstance(each, Count))
        assert count.batches_ == count.grads_ == 4 * len(model.history_)
        assert not hasattr(callbacks[0], "batches_")  # what was passed stays as it is
        assert model.net_.optimizer_.param_groups[0]["lr"] == 1e-3 / 2 ** len(model.history_)

    def test_batch_of_one(self, skewed_regression):
        X, y = skewed_regression
        model = quick(batch_size=1, alignment_weight=1.0, max_epochs=1).fit(X[:20], y[:20])
        assert np.isfinite(model.predict(X)).all()

    @pytest.mark.parametrize("loss", ["mse", "emd"])
    def test_scores_equal_up_to_rounding_are_learned(self, skewed_regression, loss):
        X, _ = skewed_regression
        for y in (np.repeat([0.1 + 0.2, 0.3], 100), np.full(200, 1.7e18)):
            predicted = quick(loss=loss, max_epochs=60).fit(X, y).predict(X)
            np.testing.assert_allclose(predicted, y, rtol=1e-3, atol=0.1)

    @pytest.mark.parametrize("loss", ["mse", "emd"])
    def test_one_score_only_is_learned(self, skewed_regression, loss):
        X, _ = skewed_regression
        model = quick(loss=loss, alignment_weight=1.0, max_epochs=60).fit(X, np.full(200, 7.0))
        np.testing.assert_allclose(model.predict(X), 7.0, atol=0.1)


class TestPersistence:
    @pytest.mark.parametrize("loss", ["mse", "emd"])
    def test_round_trips_predict_the_same(self, skewed_regression, tmp_path, loss):
        X, y = skewed_regression
        model = quick(loss=loss).fit(X, y)
        expected = model.predict(X)
        joblib.dump(model, tmp_path / "model.joblib")
        for same in (
            pickle.loads(pickle.dumps(model)),
            copy.deepcopy(model),
            joblib.load(tmp_path / "model.joblib"),
        ):
            np.testing.assert_array_equal(same.predict(X), expected)
            np.testing.assert_array_equal(same.fit(X, y).predict(X), expected)

    def test_pickle_does_not_grow_with_the_training_data(self, skewed_regression):
        X, y = skewed_regression
        settings = {"early_stopping": False, "max_epochs": 2, "batch_size": 16}
        small, large = (
            len(pickle.dumps(quick(**settings).fit(np.tile(X, (n, 1)), np.tile(y, n))))
            for n in (1, 50)
        )
        assert large < small + 10_000

    def test_a_warm_start_leaves_one_network_to_pickle(self, skewed_regression):
        X, y = skewed_regression
        settings = {"hidden_layer_sizes": (512, 512), "max_epochs": 1, "warm_start": True}
        model = quick(**settings, early_stopping=False).fit(X, y)
        before = len(pickle.dumps(model))
        assert len(pickle.dumps(model.fit(X, y))) < before + 2000
        assert clone(model.net_).module is model.net_.module

    def test_a_warm_started_model_goes_on_after_pickling(self, skewed_regression):
        X, y = skewed_regression
        model = quick(warm_start=True).fit(X, y)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.fit(X, y).predict(X), model.fit(X, y).predict(X))

    @pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
    def test_a_model_that_asked_for_a_gpu_predicts_without_one(self, skewed_regression):
        X, y = skewed_regression
        model = quick().fit(X, y)
        expected = model.predict(X)
        model.device, model.net_.device = "cuda", "cuda:0"  # as after fitting there
        with pytest.warns(skorch.exceptions.DeviceWarning):
            model = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(model.predict(X), expected)
        assert model.embed(X).shape == (200, 64)
        with pytest.raises(ValueError, match="no CUDA device"):
            model.fit(X, y)

    @pytest.mark.cuda
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_a_model_from_the_gpu_loads_without_one(self, skewed_regression, monkeypatch):
        X, y = skewed_regression
        model = quick(device="cuda").fit(X, y)
        expected, content = model.predict(X), pickle.dumps(model)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.warns(skorch.exceptions.DeviceWarning):
            restored = pickle.loads(content)
        assert {p.device.type for p in restored.net_.module_.parameters()} == {"cpu"}
        np.testing.assert_allclose(restored.predict(X), expected, rtol=1e-4)


class TestMachinery:
    def test_pipeline_transforms_validation_rows(self, skewed_regression):
        X, y = skewed_regression
        with sklearn.config_context(enable_metadata_routing=True):
            model = quick().set_fit_request(X_val=True, y_val=True)
            pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
            pipeline.fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
        scaler = StandardScaler().fit(X[:150])
        expected = quick().fit(
            scaler.transform(X[:150]), y[:150], X_val=scaler.transform(X[150:]), y_val=y[150:]
        )
        np.testing.assert_array_equal(pipeline.predict(X), expected.predict(scaler.transform(X)))

    def test_cross_validate_and_target_transformer(self, skewed_regression):
        X, y = skewed_regression
        model = TransformedTargetRegressor(quick(max_epochs=30), func=np.log, inverse_func=np.exp)
        result = cross_validate(model, X, y, cv=3, scoring=["r2", "neg_mean_absolute_error"])
        assert result["test_r2"].mean() > 0.5

    def test_set_output_of_a_step_before(self, skewed_regression):
        X, y = skewed_regression
        scaler = StandardScaler().set_output(transform="pandas")
        pipeline = make_pipeline(scaler, quick()).fit(pd.DataFrame(X, columns=list("abcd")), y)
        assert list(pipeline[-1].feature_names_in_) == list("abcd")

    def test_progress_bar_over_epochs(self, skewed_regression, capsys):
        X, y = skewed_regression
        quick(verbose=1).fit(X, y)
        assert "5/5" in capsys.readouterr().err
        quick().fit(X, y)
        assert capsys.readouterr().err == ""

    def test_nested_progress_through_scikit_learn(self, skewed_regression):
        callback = pytest.importorskip("sklearn.callback", reason="needs scikit-learn >= 1.9")
        X, y = skewed_regression
        seen = []

        class Record:
            """Records tasks; propagated from the search to the estimator inside."""

            max_propagation_depth = None

            def setup(self, estimator, context):
                seen.append("setup")

            def teardown(self, estimator, context):
                seen.append("teardown")

            def on_fit_task_begin(self, estimator, context):
                pass

            def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
                if context.task_name == "fit epoch":
                    predictions = fitted_estimator.predict(X)
                    seen.append(np.isfinite(predictions).all())

        search = GridSearchCV(quick(), {"lr": [1e-3, 1e-2]}, cv=2, refit=False)
        search.set_callbacks(Record()).fit(X, y)
        assert seen[0] == "setup"
        assert seen[-1] == "teardown"
        assert seen.count(True) == 2 * 2 * 5
        quick().set_callbacks(callback.ProgressBar()).fit(X, y)

    def test_a_scikit_learn_callback_can_stop_training(self, skewed_regression):
        pytest.importorskip("sklearn.callback", reason="needs scikit-learn >= 1.9")
        X, y = skewed_regression

        class StopAtSecond:
            def setup(self, estimator, context):
                self.epochs = 0

            def teardown(self, estimator, context):
                pass

            def on_fit_task_begin(self, estimator, context):
                pass

            def on_fit_task_end(self, estimator, context):
                self.epochs += context.task_name == "fit epoch"
                return self.epochs == 2

        assert quick().set_callbacks(StopAtSecond()).fit(X, y).n_iter_ == 2

    @pytest.mark.parametrize("device", ["quantum", "cuda:99"])
    def test_devices_that_are_not_there(self, skewed_regression, device):
        X, y = skewed_regression
        if device == "cuda:99" and torch.cuda.is_available():
            pytest.skip("CUDA is available; the message differs")
        with pytest.raises(ValueError, match=r'Use (device=)?"auto"'):
            quick(device=device).fit(X, y)

    @pytest.mark.parametrize(
        ("params", "arguments"),
        [
            ({"mixup_strength": 0.9, "alignment_weight": 0.1}, {}),
            ({"loss": "emd", "bins__n_bins": 5}, {"X_unlabeled": Whole(UNLABELED)}),
        ],
        ids=["mixup and alignment", "self-training"],
    )
    def test_the_default_device_of_torch_does_not_matter(
        self, skewed_regression, params, arguments
    ):
        X, y = skewed_regression
        expected = quick(**params).fit(X, y, **arguments).predict(X)
        with torch.device("meta"):  # any tensor made there would fail
            predicted = quick(**params).fit(X, y, **arguments).predict(X)
        np.testing.assert_array_equal(predicted, expected)
