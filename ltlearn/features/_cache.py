"""Features on disk, one small file per image, so that any subset of images finds its own."""

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np


class FeatureCache:
    """Feature vectors by the hash of the image they belong to.

    An entry is written to a temporary file and renamed, so other processes see all of it or
    nothing. It starts with a checksum; an entry that fails it counts as absent.

    Parameters
    ----------
    folder : path-like
        Shared by all models.
    fingerprint : str
        Of the model and the transform that the features come from.
    n_features : int
    """

    def __init__(self, folder, fingerprint, n_features):
        self.folder = Path(folder) / "ltlearn-features" / fingerprint
        self.n_features = n_features

    def get(self, digest):
        """Features (n_features,) of an image, or None."""
        try:
            entry = self._path(digest).read_bytes()
        except OSError:
            return None
        checksum, payload = entry[:16], entry[16:]
        if len(payload) != 4 * self.n_features or checksum != _checksum(payload):
            return None
        return np.frombuffer(payload, dtype="<f4")

    def put(self, digest, features):
        """Keep the features (n_features,) of an image."""
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        payload = np.asarray(features, dtype="<f4").tobytes()
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_checksum(payload) + payload)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def _path(self, digest):
        return self.folder / digest[:2] / digest[2:]


def _checksum(payload):
    return hashlib.blake2b(payload, digest_size=16).digest()
