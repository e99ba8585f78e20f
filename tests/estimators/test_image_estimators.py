"""Both estimators on images: arrays and files, timm backbones, augmentation, schedules."""

import pickle

import numpy as np
import pandas as pd
import pytest
import skorch
import timm
import torch
from PIL import Image
from sklearn.model_selection import GridSearchCV
from torch import nn

from ltlearn import ELTARegressor, GranularClassifier, Whole
from ltlearn.data._tensors import TensorData
from ltlearn.exceptions import BadImageError, BadImageWarning, MissingWeightsError
from ltlearn.images import InputSpec, Recipe
from ltlearn.networks import timm_backbone
from ltlearn.options import Images, Training
from ltlearn.training._net import ObjectiveNet
from ltlearn.training._optimizers import LayerDecay
from ltlearn.training._schedule import WarmupCosine

TINY = {
    "backbone": "test_resnet",
    "backbone_params": {"pretrained": False, "img_size": 32},
    "max_epochs": 2,
    "random_state": 0,
    "device": "cpu",
    "early_stopping": False,
}


@pytest.fixture
def photos():
    """Forty uint8 images (n, H, W, C), as bright as their score in [0, 1]."""
    rng = np.random.default_rng(0)
    score = rng.beta(1, 4, size=40)
    noise = rng.normal(scale=10, size=(40, 40, 48, 3))
    return np.clip(255 * score[:, None, None, None] + noise, 0, 255).astype(np.uint8), score


@pytest.fixture
def files(photos, tmp_path):
    """The same as PNG files; (paths, scores)."""
    images, score = photos
    paths = [str(tmp_path / f"{i}.png") for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths, score


# A head on random features that learns the scores well: the rest of the network, which learns in
# leaps on so few images, would turn rounding into other predictions.
HEAD_ALONE = {**TINY, "max_epochs": 10, "lr": 0.04}


def classes_of(score):
    return np.where(score > 0.3, "bright", "dark")


class TestEndToEnd:
    def test_regressor_on_arrays_and_files_of_the_same_images(self, photos, files):
        # files and arrays differ by the rounding of the resized pixels alone
        model = ELTARegressor(**HEAD_ALONE, training=Training(freeze_backbone=True))
        from_arrays = model.fit(*photos).predict(photos[0])
        assert np.corrcoef(from_arrays, photos[1])[0, 1] > 0.95
        assert from_arrays.std() > 0.05
        np.testing.assert_allclose(model.predict(files[0]), from_arrays, rtol=0, atol=2e-3)
        from_files = model.fit(*files).predict(files[0])
        np.testing.assert_allclose(from_files, from_arrays, rtol=0, atol=2e-3)
        whole = ELTARegressor(**TINY)
        from_arrays, from_files = (
            whole.fit(X, photos[1]).predict(photos[0]) for X in (photos[0], files[0])
        )
        assert np.corrcoef(from_files, from_arrays)[0, 1] > 0.95
        assert model.embed(files[0]).shape == (40, model.net_.module_.n_features)

    def test_classifier_with_auxiliary_files(self, files):
        paths, score = files
        dim = score < 0.1
        y = classes_of(score)
        model = GranularClassifier(**TINY)
        model.fit(
            np.array(paths)[~dim],
            y[~dim],
            X_aux=Whole(np.array(paths)[dim]),
            y_aux=Whole(np.full(dim.sum(), "dim")),
        )
        proba = model.predict_proba(paths)
        assert proba.shape == (40, 2)
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)

    @pytest.mark.parametrize("make", [list, np.array, pd.Series, lambda p: pd.DataFrame({"p": p})])
    def test_every_kind_of_path_list_in_a_search(self, files, make):
        paths, score = files
        search = GridSearchCV(
            ELTARegressor(**{**TINY, "max_epochs": 1}), {"mixup_strength": [0.0, 0.5]}, cv=2
        ).fit(make(paths), score)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_worker_processes_change_nothing(self, files):
        one = ELTARegressor(**TINY, augmentation="elta").fit(*files)
        two = ELTARegressor(**TINY, augmentation="elta", images=Images(num_workers=2)).fit(*files)
        np.testing.assert_array_equal(one.predict(files[0]), two.predict(files[0]))

    @pytest.mark.parametrize(
        "make",
        [
            lambda: timm_backbone("test_resnet", pretrained=False, img_size=32),
            lambda: timm.create_model("test_vit", img_size=32, num_classes=0),
        ],
        ids=["with input_spec", "timm's own"],
    )
    def test_a_module_that_says_what_images_it_takes(self, make, photos, files):
        backbone = make()
        model = ELTARegressor(**{**TINY, "backbone": backbone, "backbone_params": None})
        expected = model.fit(*photos).predict(photos[0])
        atol = 0.1 * expected.std()
        np.testing.assert_allclose(model.predict(files[0]), expected, rtol=0, atol=atol)

    @pytest.mark.parametrize("channels", [1, 4, 5])
    def test_arrays_of_any_number_of_channels(self, channels, photos):
        images = np.repeat(photos[0][..., :1], channels, axis=3)
        params = {**TINY["backbone_params"], "in_chans": channels}
        model = ELTARegressor(**{**TINY, "backbone_params": params}).fit(images, photos[1])
        assert np.isfinite(model.predict(images)).all()

    def test_own_module_with_an_input_spec(self, files):
        backbone = nn.Sequential(nn.AvgPool2d(8), nn.Flatten())
        backbone.input_spec = InputSpec(size=(16, 16), mean=(0.5,) * 3, std=(0.5,) * 3)
        settings = {**TINY, "backbone": backbone, "backbone_params": None, "max_epochs": 100}
        model = ELTARegressor(**settings, lr=0.05, mixup_strength=0).fit(*files)
        assert model.score(*files) > 0.9

    def test_round_trip_through_pickle(self, files):
        paths, score = files
        model = ELTARegressor(**TINY, augmentation="standard").fit(paths, score)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict(paths), model.predict(paths))

    def test_validation_and_unlabeled_files(self, files):
        paths, score = files
        settings = {
            **TINY,
            "early_stopping": True,
            "loss": "emd",
            "enhancers__confidence_threshold": 0.0,
        }
        settings |= {"augmentation": "standard", "enhancers__head_retraining_epochs": 1}
        model = ELTARegressor().set_params(**settings)
        model.fit(
            paths[:20], score[:20], X_val=paths[20:30], y_val=score[20:30], X_unlabeled=paths[30:]
        )
        assert len(model.pseudo_labels_[0]["index"]) == 10
        assert np.isfinite(model.predict(paths)).all()

    def test_unlabeled_images_must_be_like_the_labeled_ones(self, photos, files):
        images, score = photos
        for other in (images[:9] / 255.0, images[:9, :-1], files[0][:9]):
            with pytest.raises(ValueError, match=r"X_unlabeled has samples of .*the same kind"):
                ELTARegressor(**TINY, loss="emd").fit(images, score, X_unlabeled=other)

    def test_prediction_is_that_of_the_fitted_backbone(self, photos):
        images, score = photos
        model = ELTARegressor(**TINY).fit(images, score)
        expected = model.predict(images)
        np.testing.assert_array_equal(model.set_params(backbone="mlp").predict(images), expected)

    def test_pretrained_weights_are_never_replaced_by_random_ones(self, photos, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(MissingWeightsError, match="checkpoint_path"):
            ELTARegressor(**{**TINY, "backbone_params": {"img_size": 32}}).fit(*photos)

    def test_unknown_names(self, photos):
        with pytest.raises(ValueError, match="has no model 'resnet5000'"):
            ELTARegressor(**{**TINY, "backbone": "resnet5000"}).fit(*photos)
        with pytest.raises(ValueError, match="augmentation='wild' is not one of"):
            ELTARegressor(**TINY, augmentation="wild").fit(*photos)

    @pytest.mark.parametrize("estimator", [ELTARegressor, GranularClassifier])
    def test_feature_pooling_is_not_lost_among_backbone_params(self, estimator, photos):
        params = {**TINY["backbone_params"], "feature_pooling": "max"}
        with pytest.raises(ValueError, match="feature_pooling is a parameter of its own"):
            estimator(**{**TINY, "backbone_params": params}).fit(photos[0], classes_of(photos[1]))

    @pytest.mark.cuda
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    @pytest.mark.parametrize("estimator", [ELTARegressor, GranularClassifier])
    def test_on_the_gpu(self, photos, files, estimator):
        y = photos[1] if estimator is ELTARegressor else classes_of(photos[1])
        for X in (photos[0], files[0]):
            model = estimator(**{**TINY, "device": "cuda", "augmentation": "standard"}).fit(X, y)
            assert len(model.predict(X)) == 40


class TestAugmentation:
    @pytest.mark.parametrize("augmentation", ["standard", "elta", "granularity", Recipe()])
    @pytest.mark.parametrize("kind", ["arrays", "files"])
    def test_changes_training_but_not_prediction(self, photos, files, kind, augmentation):
        X, score = photos if kind == "arrays" else files
        plain = GranularClassifier(**TINY).fit(X, classes_of(score))
        augmented = GranularClassifier(**TINY, augmentation=augmentation).fit(X, classes_of(score))
        first = augmented.predict_proba(X)
        assert not np.array_equal(first, plain.predict_proba(X))
        np.testing.assert_array_equal(augmented.predict_proba(X), first)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_mixing_images_mixes_the_losses_of_their_labels(self, photos, monkeypatch, weighted):
        """With shares fixed, the loss of a step equals the one computed by hand, row by row."""
        X, score = photos
        y = classes_of(score)
        partners = torch.arange(3, 43)

        def fixed(images, rows, *, mixup_alpha, cutmix_alpha, generator):
            partner = partners[: len(rows)] % len(rows)
            return 0.25 * images + 0.75 * images[partner], rows, rows[partner], 0.25

        monkeypatch.setattr("ltlearn.objectives._image_views.mix_images", fixed)
        model = GranularClassifier(**{**TINY, "max_epochs": 1}, augmentation="granularity")
        model.fit(X, y)
        net = model.net_
        data = model._inputs.data(model._inputs.check(model, X[:8], reset=False))
        batch = next(iter(data.batches(torch.arange(8), 1)))[0]
        target = {"label": torch.tensor([0, 1, 1, 0, 1, 1, 1, 0])}
        if weighted:
            target["weight"] = torch.linspace(0.2, 3, 8)
        with torch.no_grad():
            got = net.criterion_.training_terms(net.module_, batch, target)["loss"]
            partner = partners[:8] % 8
            images = net.module_.prepare(batch)
            logits = net.module_.apply_head(
                net.module_.backbone(0.25 * images + 0.75 * images[partner])
            )
            loss = net.criterion_.loss
            expected = 0.0
            for i, j in enumerate(partner.tolist()):
                for k, part in ((i, 0.25), (j, 0.75)):
                    weight = target["weight"][k].item() if weighted else 1.0
                    own = loss(logits[[i]], target["label"][[k]]).item()
                    expected += part * weight * own / 8
        assert got.item() == pytest.approx(expected, rel=1e-5)
        assert loss.label_smoothing == pytest.approx(0.1)

    def test_pixels_stay_bytes_until_the_network(self, photos, files):
        model = ELTARegressor(**TINY, augmentation="standard").fit(*photos)
        for X in (photos[0], np.array(files[0], dtype=object)):
            data = model._inputs.data(model._inputs.check(model, X, reset=False), training=True)
            (batch, _), *_ = data.batches(torch.arange(40), 5)
            assert batch.dtype == torch.uint8
            assert tuple(batch.shape[1:]) == data.input_shape == (3, 32, 32)


class TestBadImages:
    @pytest.fixture
    def with_a_bad_file(self, files, tmp_path):
        paths, score = files
        broken = tmp_path / "broken.jpg"
        broken.write_bytes(b"not an image")
        return [*paths[:-1], str(broken)], score

    def test_raise_names_the_file(self, with_a_bad_file):
        with pytest.raises(BadImageError, match=r"broken\.jpg"):
            ELTARegressor(**TINY).fit(*with_a_bad_file)

    def test_skip_trains_without_it(self, with_a_bad_file):
        paths, score = with_a_bad_file
        model = ELTARegressor(**TINY, images=Images(on_bad_image="skip"))
        with pytest.warns(BadImageWarning, match=r"1 of 40 .*broken\.jpg"):
            model.fit(paths, score)
        expected = ELTARegressor(**TINY).fit(paths[:-1], score[:-1])
        np.testing.assert_array_equal(model.predict(paths[:5]), expected.predict(paths[:5]))
        with pytest.raises(BadImageError, match=r"broken\.jpg"):
            model.predict(paths)

    def test_skip_leaves_unlabeled_rows_out(self, with_a_bad_file):
        paths, score = with_a_bad_file
        settings = {**TINY, "loss": "emd", "bins__n_bins": 5, "images__on_bad_image": "skip"}
        settings |= {"enhancers__sharpening": 0.0, "enhancers__confidence_threshold": 0.0}
        model = ELTARegressor().set_params(**settings)
        unlabeled = [paths[-1], *paths[30:35]]
        with pytest.warns(BadImageWarning, match=r"1 of 6 .*broken\.jpg"):
            model.fit(paths[:20], score[:20], X_unlabeled=unlabeled)
        np.testing.assert_array_equal(model.pseudo_labels_[0]["index"], np.arange(1, 6))

    def test_skip_drops_labels_and_auxiliary_rows_along(self, with_a_bad_file):
        paths, score = with_a_bad_file
        y = classes_of(score)
        model = GranularClassifier(**TINY, images=Images(on_bad_image="skip"))
        with pytest.warns(BadImageWarning):
            model.fit(
                paths[:20],
                y[:20],
                X_aux=Whole(paths[20:]),
                y_aux=Whole(["other"] * 20),
            )
        assert model.history_[0]["train_batch_count"] == -(-(20 + 19) // 16)


class TestTrainingOptions:
    def test_frozen_backbones_keep_every_weight_and_statistic(self, photos):
        model = ELTARegressor(**TINY, training=Training(freeze_backbone=True)).fit(*photos)
        with torch.random.fork_rng():
            before = ELTARegressor(
                **{**TINY, "max_epochs": 1}, training=Training(freeze_backbone=True)
            ).fit(*photos)
        for name, values in model.net_.module_.backbone.state_dict().items():
            assert torch.equal(values, before.net_.module_.backbone.state_dict()[name]), name
        assert not torch.equal(
            model.net_.module_.head[-1].weight, before.net_.module_.head[-1].weight
        )

    def test_accumulated_gradients_are_those_of_the_whole_batch(self, skewed_regression):
        X, y = skewed_regression
        settings = {"mixup_strength": 0, "batch_size": 64, "max_epochs": 3, "random_state": 0}
        whole = ELTARegressor(**settings).fit(X, y)
        parts = ELTARegressor(**settings, training=Training(accumulation_steps=4)).fit(X, y)
        np.testing.assert_allclose(parts.predict(X), whole.predict(X), rtol=1e-3, atol=1e-4)
        assert parts.history_[0]["train_batch_count"] == whole.history_[0]["train_batch_count"]

    def test_bfloat16_is_close_to_float32(self, photos):
        exact, rough = (
            ELTARegressor(
                **HEAD_ALONE, training=Training(freeze_backbone=True, precision=precision)
            )
            .fit(*photos)
            .predict(photos[0])
            for precision in ("float32", "bfloat16")
        )
        assert exact.std() > 0.05
        assert not np.array_equal(rough, exact)
        np.testing.assert_allclose(rough, exact, rtol=0, atol=5e-3)

    def test_gradients_are_clipped(self, skewed_regression):
        X, y = skewed_regression
        norms = []

        class Record(skorch.callbacks.Callback):
            def on_batch_end(self, net, training=False, **kwargs):
                if training:
                    total = sum(p.grad.square().sum() for p in net.module_.parameters())
                    norms.append(float(total.sqrt()))

        ELTARegressor(
            training=Training(max_grad_norm=0.01), callbacks=[Record()], max_epochs=1
        ).fit(X, y)
        assert max(norms) == pytest.approx(0.01, rel=1e-3)

    def test_warmup_and_cosine(self):
        schedule = WarmupCosine(warmup_epochs=3, cosine=True)
        shares = [schedule.share(epoch, 10) for epoch in range(1, 11)]
        assert shares[:4] == [0.25, 0.5, 0.75, 1.0]
        assert shares[-1] == pytest.approx(0.01)
        assert all(np.diff(shares[3:]) < 0)
        middle = shares[6]  # halfway between the epochs 4 and 10
        assert middle == pytest.approx(0.01 + 0.99 / 2)

    def test_the_schedule_reaches_the_optimizer(self, skewed_regression):
        X, y = skewed_regression
        rates = []

        class Record(skorch.callbacks.Callback):
            def on_epoch_end(self, net, **kwargs):
                rates.append(net.optimizer_.param_groups[0]["lr"])

        ELTARegressor(
            lr=0.01,
            training=Training(lr_schedule="cosine", lr_warmup_epochs=1),
            max_epochs=4,
            early_stopping=False,
            callbacks=[Record()],
        ).fit(X, y)
        np.testing.assert_allclose(rates, [0.005, 0.01, 0.01 * (0.01 + 0.99 / 2), 0.0001])

    def test_layers_learn_at_decaying_rates(self):
        backbone = timm_backbone("test_vit", pretrained=False)
        network = nn.Module()
        network.backbone, network.head = backbone, nn.Linear(backbone.model.num_features, 1)
        groups = LayerDecay(0.5)(network, lr=1.0, weight_decay=0.1)
        rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
        model = backbone.model
        assert rate[id(network.head.weight)] == 1.0
        depths = [rate[id(block.mlp.fc1.weight)] for block in model.blocks]
        np.testing.assert_allclose(np.diff(np.log2(depths)), 1)
        assert rate[id(model.patch_embed.proj.weight)] < depths[0]
        everything = {id(parameter) for parameter in network.parameters()}
        assert set(rate) == everything

    def test_layers_keep_their_weight_decay(self, photos):
        """Matrices decay in every layer and in the head; biases and norms do not, as in timm."""
        settings = {**TINY, "backbone": "test_vit", "max_epochs": 1}
        training = Training(layer_decay=0.5, weight_decay=0.3)
        net = ELTARegressor(**settings, training=training).fit(*photos).net_
        groups = net.optimizer_.param_groups
        decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        model = net.module_.backbone.model
        for block in model.blocks:
            for layer in (block.mlp.fc1, block.attn.qkv):
                assert (decay[id(layer.weight)], decay[id(layer.bias)]) == (0.3, 0.0)
            assert decay[id(block.norm1.weight)] == 0.0
        assert decay[id(model.patch_embed.proj.weight)] == 0.3
        assert decay[id(net.module_.head[-1].weight)] == 0.3

    def test_layer_decay_needs_named_layers(self, skewed_regression):
        with pytest.raises(ValueError, match="layer_decay needs a backbone that names its layers"):
            ELTARegressor(training=Training(layer_decay=0.75)).fit(*skewed_regression)

    @pytest.mark.parametrize(("backbone", "name"), [("auto", "TabularBody"), ("mlp", "MLP")])
    def test_compile_is_applied_to_the_backbone(
        self, skewed_regression, monkeypatch, backbone, name
    ):
        compiled = []
        monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
        model = ELTARegressor(backbone=backbone, training=Training(compile=True), max_epochs=1)
        model.fit(*skewed_regression)
        assert compiled == [name]


class TestData:
    @pytest.mark.cuda
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_data_too_large_for_the_gpu_come_batch_by_batch(self, monkeypatch):
        monkeypatch.setattr("ltlearn.data._tensors._SHARE_OF_DEVICE_MEMORY", 0.0)
        data = TensorData(torch.arange(10.0)[:, None], {"y": torch.arange(10)}).to("cuda")
        assert data.X.device.type == "cpu"
        for X, target in data.batches(torch.arange(9, -1, -1), 3):
            assert X.device.type == "cuda"
            assert X[:, 0].tolist() == target["y"].tolist()

    @pytest.mark.cuda
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    @pytest.mark.parametrize("estimator", [ELTARegressor, GranularClassifier])
    def test_a_training_step_never_waits_for_the_gpu(self, photos, estimator):
        class ForbidSynchronization(skorch.callbacks.Callback):
            def on_batch_begin(self, net, batch=None, training=False, **kwargs):
                # the first steps allocate and choose kernels
                if training and len(net.history) > 1:
                    torch.cuda.set_sync_debug_mode("error")

            def on_batch_end(self, net, **kwargs):
                torch.cuda.set_sync_debug_mode("default")

        X, score = photos
        y = score if estimator is ELTARegressor else classes_of(score)
        settings = {**TINY, "device": "cuda", "callbacks": [ForbidSynchronization()]}
        estimator(**settings, augmentation="standard").fit(X, y)


def test_the_net_is_a_skorch_net_with_its_own_parameters():
    assert {"precision", "accumulation_steps"} <= set(
        ObjectiveNet(module=nn.Identity, criterion=nn.Identity).get_params()
    )
