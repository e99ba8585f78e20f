"""What "auto" stands for, by the kind of backbone and the number of training rows.

The settings of the body for tables follow measurements on tables of 160 to 10,000 training rows.
"""

import math

# Training rows of small and of large tables, between which settings change step by step.
_SMALL, _LARGE = 250, 1_500
# Updates over which the learning rate rises.
_WARMUP_UPDATES = 100


# Rows of a batch, and pixels of one: large backbones train on 48 images of 256 by 256 on one GPU.
_FEWEST, _MOST, _MOST_PIXELS = 16, 256, 48 * 256**2


def general_defaults(n_rows, image_size=None):
    """Settings by name, of any backbone but the body for tables.

    Parameters
    ----------
    n_rows : int
    image_size : (int, int), default=None
        Height and width of the images, where there are images.
    """
    most = _MOST
    if image_size is not None:
        most = min(max(_MOST_PIXELS // math.prod(image_size), _FEWEST), _MOST)
    return {
        "hidden_layer_sizes": (128, 64),
        "dropout": 0.0,
        "max_epochs": 100,
        "lr": 1e-3,
        "batch_size": min(max(n_rows // 32, _FEWEST), most),
        "weight_decay": 1e-4,
        "lr_schedule": "constant",
        "lr_warmup_epochs": 0,
        "max_grad_norm": None,
        "n_iter_no_change": 10,
        "scoring": "loss",
        "feature_mixup": 0.0,
        "mixup_strength": 0.1,
    }


def tabular_defaults(n_rows):
    """Settings by name, of the body for tables.

    Small tables want more passes, more dropout, fewer pieces, smaller batches and steps.
    """
    batch_size = min(max(n_rows // 16, 24), max(128, min(n_rows // 40, 256)))
    max_epochs = round(_between(n_rows, 45, 16))
    updates = -(-n_rows // batch_size)
    return {
        "hidden_layer_sizes": (128, 128),
        "dropout": _between(n_rows, 0.2, 0.1),
        "n_members": 4,
        "n_pieces": round(_between(n_rows, 16, 48)),
        "max_epochs": max_epochs,
        "lr": _between(n_rows, 6e-3, 8e-3),
        "batch_size": batch_size,
        "weight_decay": 3e-4,
        "lr_schedule": "cosine",
        "lr_warmup_epochs": min(math.ceil(_WARMUP_UPDATES / updates), max_epochs // 4),
        "max_grad_norm": 1.0,
        "n_iter_no_change": 12,
        "scoring": "loss",
        "feature_mixup": 0.0,
        "mixup_strength": 0.0,
    }


def _between(n_rows, small, large):
    """From the setting of small tables to that of large ones, evenly in the logarithm of rows."""
    share = math.log(n_rows / _SMALL) / math.log(_LARGE / _SMALL)
    return small + min(max(share, 0.0), 1.0) * (large - small)
