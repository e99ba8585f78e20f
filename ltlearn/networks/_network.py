"""From a batch of inputs to outputs: preparation, backbone, head."""

from itertools import chain

import torch
from torch import nn

from ltlearn.data._batches import WholeBatches
from ltlearn.losses._reduction import at_least_float32
from ltlearn.utils._precision import autocast


class Network(nn.Module):
    """Backbone and head, kept apart so that enhancers can work on the features between them.

    Parameters
    ----------
    build_backbone : callable
        Takes the shape of one sample and returns a module that maps (B, *shape) to (B, D).
    build_head : callable
        Takes D and returns a module that maps (B, D) to (B, n_outputs).
    input_shape : tuple of int
        Shape of one sample, without the batch dimension.
    build_preparation : callable, default=None
        Returns a module from raw batches to what the backbone takes, such as normalized images.
        By default integers become floats.
    freeze_backbone : bool, default=False
        Keep the backbone in evaluation mode and its weights as they are.
    """

    def __init__(
        self,
        build_backbone,
        build_head,
        input_shape,
        build_preparation=None,
        freeze_backbone=False,
    ):
        super().__init__()
        self.prepare = ToFloat() if build_preparation is None else build_preparation()
        self.backbone = build_backbone(input_shape)
        self.n_features = count_features(self.backbone, input_shape)
        self.head = build_head(self.n_features)
        self.is_backbone_frozen = False
        self.is_backbone_resting = False
        self.frozen_names = []
        self.freeze_backbone(freeze_backbone)

    def freeze_backbone(self, frozen=True):
        """Keep the backbone as it is in training, or let it learn again what it learned before."""
        named = dict(self.backbone.named_parameters())
        if frozen and not self.is_backbone_frozen:
            self.frozen_names = [name for name, values in named.items() if values.requires_grad]
        for name in self.frozen_names:
            named[name].requires_grad_(not frozen)
        self.is_backbone_frozen = frozen

    def rest_backbone(self, resting=True):
        """Keep the backbone in evaluation mode in training, without freezing its weights."""
        self.is_backbone_resting = resting

    def features(self, X):
        """Features (B, D) of a raw batch, in float32 at least, also under autocast."""
        return self.features_of(self.prepare(X))

    def features_of(self, prepared):
        """Features (B, D) of a batch that is prepared already."""
        return at_least_float32(self.backbone(prepared))

    def embedding(self, X):
        """Features (B, D) of a raw batch, the mean over members where the backbone has some."""
        features = self.features(X)
        n_members = getattr(self.backbone, "n_members", 1)
        return features.unflatten(1, (n_members, -1)).mean(1) if n_members > 1 else features

    def apply_head(self, features):
        """Outputs (B, n_outputs) of the head, computed in float32 at least, also under autocast.

        Those of the members (B, M, n_outputs) where the backbone has some.
        """
        with autocast(torch.float32, features.device):
            return self.head(features)

    def forward(self, X):
        """Outputs (B, n_outputs) of a raw batch, of all members together."""
        outputs = self.apply_head(self.features(X))
        return outputs if outputs.ndim == 2 else self.head.combined(outputs)

    def train(self, mode=True):
        super().train(mode)
        if self.is_backbone_frozen or self.is_backbone_resting:
            self.backbone.eval()
        return self


class ToFloat(nn.Module):
    """Integers, such as those of uint8 images, become float32."""

    def forward(self, X):
        return X if X.is_floating_point() else X.float()


def count_features(backbone, input_shape):
    """Number of features D a backbone gives, found by passing two zero samples through it.

    Raises
    ------
    ValueError
        When the backbone fails, or its output is not a floating tensor of shape (2, D).
    """
    was_training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad():
            features = backbone(torch.zeros(2, *input_shape))
    except Exception as error:
        raise ValueError(
            f"The backbone fails on two samples of shape {tuple(input_shape)}: {error}"
        ) from error
    backbone.train(was_training)
    if not (torch.is_tensor(features) and features.ndim == 2 and len(features) == 2):
        shape = tuple(features.shape) if torch.is_tensor(features) else type(features).__name__
        raise ValueError(
            "The backbone must map a batch of B samples to features of shape (B, D); for two "
            f"samples of shape {tuple(input_shape)} it gave {shape}."
        )
    return features.shape[1]


def apply_in_batches(function, data, *, batch_size, device, precision, then=None):
    """Pass data through ``function`` batch by batch, without gradients.

    Parameters
    ----------
    function : callable
        From a raw batch (B, ...) to a tensor (B, ...). The modules behind it are on ``device`` and
        in evaluation mode.
    data : TensorData or FileData
    batch_size : int
    device : torch.device
    precision : torch.dtype
    then : callable, default=None
        From the outputs and the target of a batch to what is returned in place of the outputs.

    Returns
    -------
    outputs : torch.Tensor of shape (n, ...), on ``device``
        In float32 at least.
    """
    batches = WholeBatches(data.without_augmentation().to(device), batch_size)
    with torch.inference_mode(), autocast(precision, torch.device(device)):
        pairs = ((at_least_float32(function(X)), target) for X, target in batches)
        parts = (outputs if then is None else then(outputs, target) for outputs, target in pairs)
        return _joined(parts, len(data))


def _joined(parts, n):
    """Tensors with n rows in all, one after the other, of which few are held twice."""
    first = next(parts)
    if len(first) == n:
        return first
    joined, start = first.new_empty(n, *first.shape[1:]), 0
    for part in chain([first], parts):
        joined[start : start + len(part)] = part
        start += len(part)
    return joined
