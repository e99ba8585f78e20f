"""The heads that a stack takes by itself, by the kind and size of the data."""

from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)

from ltlearn.estimators import GranularClassifier
from ltlearn.estimators._defaults import MANY_COLUMNS, classifier_defaults
from ltlearn.stacking._logistic import TailLogisticClassifier
from ltlearn.stacking._network import NetworkHead
from ltlearn.stacking._plda import PLDAClassifier

N_TREES = 300
_MAX_EPOCHS = 25  # a third of what a network does alone: beside other heads it loses little


def built_in_heads(kind, n_rows, n_columns, has_categories):
    """Unfitted heads by name.

    Parameters
    ----------
    kind : {"auto", "fast", "full"}
    n_rows, n_columns : int
        Of the training rows, encoded as numbers.
    has_categories : bool
        A table with categories is no embedding, however many columns it has.

    Returns
    -------
    heads : dict of str to classifier
    """
    logistic = {"logistic": TailLogisticClassifier()}
    if n_columns > MANY_COLUMNS and not has_categories:
        if kind == "fast":
            return logistic
        return logistic | {"plda": PLDAClassifier(), "network": NetworkHead()}
    trees = {"extra trees": ExtraTreesClassifier(N_TREES)}
    if kind == "fast":
        return trees
    table = classifier_defaults(n_rows, min(n_columns, MANY_COLUMNS), is_table=True)
    network = GranularClassifier(
        early_stopping=False,
        max_epochs=_MAX_EPOCHS,
        **{name: table[name] for name in ("hidden_layer_sizes", "dropout", "lr", "batch_size")},
    )
    heads = trees | logistic | {"network": network}
    if kind == "full":
        heads |= {
            "forest": RandomForestClassifier(N_TREES),
            "boosting": HistGradientBoostingClassifier(early_stopping=False),
            "plda": PLDAClassifier(),
        }
    return heads
