"""Entries on disk: found again, never half written, never believed when damaged."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ltlearn.exceptions import FeatureCacheWarning
from ltlearn.features._cache import FeatureCache

DIGEST = "ab" + "0" * 38
FEATURES = np.random.default_rng(0).normal(size=16).astype(np.float32)


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path, "model", 16)


def entry(tmp_path):
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    return path


def test_what_was_put_is_got(cache, tmp_path):
    assert cache.get(DIGEST) is None
    cache.put(DIGEST, FEATURES)
    np.testing.assert_array_equal(cache.get(DIGEST), FEATURES)
    np.testing.assert_array_equal(FeatureCache(tmp_path, "model", 16).get(DIGEST), FEATURES)


def test_models_do_not_share_entries(cache, tmp_path):
    cache.put(DIGEST, FEATURES)
    assert FeatureCache(tmp_path, "other", 16).get(DIGEST) is None


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "longer"])
def test_a_damaged_entry_counts_as_absent_and_can_be_replaced(damage, cache, tmp_path):
    cache.put(DIGEST, FEATURES)
    path = entry(tmp_path)
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    damaged = {"truncated": content[:30], "empty": b"", "flipped": flipped, "longer": content * 2}
    path.write_bytes(damaged[damage])
    assert cache.get(DIGEST) is None
    cache.put(DIGEST, FEATURES)
    np.testing.assert_array_equal(cache.get(DIGEST), FEATURES)


def test_a_write_that_fails_leaves_nothing_behind_and_warns_once(cache, tmp_path, monkeypatch):
    tried = []

    def fail(*args):
        tried.append(args)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.warns(FeatureCacheWarning, match="No space left") as caught:
        cache.put(DIGEST, FEATURES)
    assert str(tmp_path) in str(caught[0].message)
    cache.put("cd" + DIGEST[2:], FEATURES)  # a second warning would be an error
    assert len(tried) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("where", ["", "ltlearn-features", "ltlearn-features/model"])
def test_a_file_in_the_place_of_a_folder(where, tmp_path):
    (tmp_path / "cache" / where).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache" / where).write_text("in the way")
    cache = FeatureCache(tmp_path / "cache", "model", 16)
    assert cache.get(DIGEST) is None
    with pytest.warns(FeatureCacheWarning, match="cannot be kept in the cache"):
        cache.put(DIGEST, FEATURES)
    assert cache.get(DIGEST) is None


def test_an_interruption_is_not_taken_for_a_full_disk(cache, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.put(DIGEST, FEATURES)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_readers_never_see_half_an_entry(cache):
    """Every read during concurrent writes of the same entry is one of the values written."""
    values = [np.full(16, k, dtype=np.float32) for k in range(4)]
    cache.put(DIGEST, values[0])

    def write(value):
        for _ in range(100):
            cache.put(DIGEST, value)

    def read():
        return [cache.get(DIGEST) for _ in range(400)]

    with ThreadPoolExecutor(5) as pool:
        reading = pool.submit(read)
        list(pool.map(write, values))
    for got in reading.result():
        assert got is not None
        assert len(set(got.tolist())) == 1
