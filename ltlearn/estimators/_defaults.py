"""What "auto" stands for in a classifier, by the kind of inputs and the number of rows."""

import math

# Tables of more columns are taken for embeddings of images or texts.
MANY_COLUMNS = 128

TABLE = {
    "hidden_layer_sizes": (256, 256),
    "dropout": 0.2,
    "lr": 5e-3,
    "lr_schedule": "cosine",
    "feature_mixup": 0.5,
    "max_epochs": 80,
}
EMBEDDING = {
    "hidden_layer_sizes": (128,),
    "dropout": 0.5,
    "lr": 1e-3,
    "lr_schedule": "cosine",
    "feature_mixup": 0.5,
    "batch_size": 64,
}
OTHER = {
    "hidden_layer_sizes": (),
    "dropout": 0.0,
    "lr": 1e-3,
    "lr_schedule": "constant",
    "feature_mixup": 0.0,
    "max_epochs": 100,
}
# From this many rows on, a tenth of them says enough about the tail to stop by.
_ROWS_TO_SPARE, _ROWS_TO_SPARE_OF_OTHERS = 10_000, 100
_EMBEDDING_UPDATES = 600


def classifier_defaults(n_rows, n_columns, is_table):
    """Settings of a classifier by name.

    Parameters
    ----------
    n_rows : int
        Training rows of the target classes.
    n_columns : int
    is_table : bool
        Whether the backbone is the built-in MLP.

    Returns
    -------
    defaults : dict
        ``early_stopping`` says whether rows are held out for it where none are given. Other than
        for the MLP, the size of batches is that of any estimator.
    """
    if not is_table:
        return OTHER | {"early_stopping": n_rows >= _ROWS_TO_SPARE_OF_OTHERS}
    early_stopping = n_rows >= _ROWS_TO_SPARE
    if n_columns > MANY_COLUMNS:
        n_epochs = math.ceil(_EMBEDDING_UPDATES * EMBEDDING["batch_size"] / n_rows)
        return EMBEDDING | {"max_epochs": max(15, n_epochs), "early_stopping": early_stopping}
    batch_size = min(max(n_rows // 16, 64), 256)
    return TABLE | {"batch_size": batch_size, "early_stopping": early_stopping}
