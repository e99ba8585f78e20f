"""Features on disk, one small file per image, so that any subset of images finds its own."""

import hashlib
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np

from ltlearn.exceptions import FeatureCacheWarning


class FeatureCache:
    """Feature vectors by the hash of the image they belong to.

    An entry is written to a temporary file and renamed, so other processes see all of it or
    nothing. It starts with a checksum; an entry that fails it counts as absent. Where an entry
    cannot be written, because the disk is full or the folder read-only, one warning says so and
    nothing more is written.

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
        self._is_writable = True

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
        if not self._is_writable:
            return
        try:
            self._write(self._path(digest), np.asarray(features, dtype="<f4").tobytes())
        except OSError as error:
            self._is_writable = False
            warnings.warn(
                f"Features cannot be kept in the cache {self.folder}: {error}. They are computed "
                "all the same, and again next time.",
                FeatureCacheWarning,
                stacklevel=2,
            )

    def _write(self, path, payload):
        path.parent.mkdir(parents=True, exist_ok=True)
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
