"""Steps of the recipes for long-tailed images on a CUDA device, where one is."""

import numpy as np
import pytest
import skorch
import torch
from torch import nn

from ltlearn import GranularClassifier
from ltlearn.images import InputSpec, Recipe
from ltlearn.options import Architecture, Training

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


class Body(nn.Module):
    input_spec = InputSpec(3, (16, 16), mean=(0.5,) * 3, std=(0.25,) * 3, crop_pct=1.0)

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images):
        return self.layers(images)


class ForbidSynchronization(skorch.callbacks.Callback):
    """Makes waiting for the device an error in training steps after the first epoch."""

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if training and len(net.history) > 1:
            torch.cuda.set_sync_debug_mode("error")

    def on_batch_end(self, net, **kwargs):
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "params",
    [
        {"augmentation": "glmc"},
        {"augmentation": Recipe(mixup_alpha=10.0, clean_weight=1.0, cutout=0.5)},
        {"augmentation": Recipe(mixup_alpha=1.0, cutmix_alpha=1.0, auto_augment="cifar10")},
        {"training": Training(sam_radius=0.05)},
        {"training": Training(weight_averaging="ema", head_max_norm=1.0)},
        {
            "training": Training(reweighting_growth=2.0),
            "class_weight": "balanced",
            "logit_adjustment": 0.0,
            "prior": "train",
        },
        {"architecture": Architecture(head="cosine")},
        {"auxiliary": "synthesize"},
    ],
    ids=["glmc", "regmixup", "mixing", "sam", "ema and maxnorm", "growth", "cosine", "auxiliary"],
)
def test_no_step_waits_for_the_device_and_predictions_are_finite(params):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, size=(96, 3, 16, 16), dtype=np.uint8)
    y = np.array(["a", "b", "c"])[rng.choice(3, size=96, p=[0.6, 0.3, 0.1])]
    model = GranularClassifier(
        backbone=Body,
        batch_size=32,
        max_epochs=3,
        early_stopping=False,
        device="cuda",
        callbacks=[ForbidSynchronization()],
        random_state=0,
    )
    proba = model.set_params(**params).fit(X, y).predict_proba(X)
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
