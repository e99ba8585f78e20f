"""Networks on embeddings as a head."""

import numpy as np
from scipy.stats import ortho_group

from ltlearn.estimators import GranularClassifier
from ltlearn.stacking._tuned import TunedHead
from ltlearn.utils._whole import Whole

_HIDDEN_LAYER_SIZES, _LEARNING_RATE, _MAX_EPOCHS = (256,), 2e-3, 15


class NetworkHead(TunedHead):
    """Small networks with feature mixup, by their mean log probability.

    They see principal components of square-rooted columns, turned at random: so every column holds
    as much of the large components as of the small, and standardization does not blow up the
    latter.

    Parameters
    ----------
    n_networks : int, default=2
        That differ in their seed.
    power : float, default=0.5
    n_components : int, default=256
    calibrate, cv, prior, n_jobs, random_state
        As for other heads.
    """

    def __init__(
        self,
        *,
        n_networks=2,
        power=0.5,
        n_components=256,
        calibrate=False,
        cv=3,
        prior="balanced",
        n_jobs=None,
        random_state=None,
    ):
        self.n_networks = n_networks
        self.power = power
        self.n_components = n_components
        self.calibrate = calibrate
        self.cv = cv
        self.prior = prior
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _settings(self, n_features):
        return [{"power": self.power}]

    def _fit_scaled(self, rows, auxiliary, settings, seed):
        return [Networks(rows, auxiliary, self.n_networks, seed)]


class Networks:
    """Networks fitted to scaled rows."""

    def __init__(self, rows, auxiliary, n_networks, seed):
        n_columns = rows.X.shape[1]
        self.turn = np.eye(1, dtype=rows.X.dtype)
        if n_columns > 1:
            turn = ortho_group.rvs(n_columns, random_state=seed % 2**32)
            self.turn = turn.astype(rows.X.dtype)
        extra = {}
        if auxiliary is not None:
            extra = {
                "X_aux": Whole(auxiliary.X @ self.turn),
                "y_aux": Whole(rows.n_classes + auxiliary.codes),
            }
        X = rows.X @ self.turn
        self.networks = [
            GranularClassifier(
                hidden_layer_sizes=_HIDDEN_LAYER_SIZES,
                lr=_LEARNING_RATE,
                max_epochs=_MAX_EPOCHS,
                early_stopping=False,
                random_state=(seed + number) % 2**32,
            ).fit(X, rows.codes, rows.weight, **extra)
            for number in range(n_networks)
        ]

    def scores(self, X):
        X = X @ self.turn
        smallest = np.finfo(np.float32).tiny
        logs = [np.log(np.maximum(each.predict_proba(X), smallest)) for each in self.networks]
        return np.mean(logs, axis=0, dtype=np.float64)
