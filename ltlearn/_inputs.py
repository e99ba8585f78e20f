"""From what a user passes as X to a tensor that a backbone takes."""

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler


class TableInputs:
    """Rows of numbers for the built-in MLP, standardized with the training mean and deviation.

    Standardizing before the cast to float32 keeps the digits that matter of columns such as time
    stamps. Values further than ``limit`` deviations away are clipped, so that no finite input can
    overflow.
    """

    validation = {"dtype": [np.float64, np.float32]}
    limit = 1e6

    def fit(self, X):
        self.scaler = StandardScaler().fit(X)
        return self

    def tensor(self, X):
        with np.errstate(over="ignore"):
            scaled = np.clip(self.scaler.transform(X), -self.limit, self.limit)
        return torch.from_numpy(np.ascontiguousarray(scaled, dtype=np.float32))


class ArrayInputs:
    """Arrays of any number of dimensions for a user's own module, passed on as they are.

    Booleans and small integers such as uint8 images keep their type in memory and become float32
    batch by batch; all else becomes float32.
    """

    validation = {"dtype": "numeric", "allow_nd": True}

    def fit(self, X):
        return self

    def tensor(self, X):
        if X.dtype in (np.uint8, np.int8, np.bool_):
            return torch.from_numpy(np.array(X, order="C"))
        with np.errstate(over="ignore"):
            values = np.array(X, dtype=np.float32, order="C")
        if not np.isfinite(values).all():
            raise ValueError("X has values too large for float32; scale them first.")
        return torch.from_numpy(values)
