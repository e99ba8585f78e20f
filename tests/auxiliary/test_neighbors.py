"""The neighbor relation, against plain loops."""

import numpy as np
import pytest

from ltlearn.auxiliary._neighbors import (
    class_prototypes,
    most_similar_pairs,
    relation_from_dict,
    relation_to_dict,
    similar_pairs,
)

TARGETS, AUXILIARY = np.array(["cat", "dog"]), np.array(["lynx", "puma", "wolf"])


def test_prototypes_are_mean_directions():
    rng = np.random.default_rng(0)
    features, codes = rng.normal(size=(30, 4)), np.arange(30) % 3
    prototypes = class_prototypes([features[:2], features[2:]], codes, 3)
    for code in range(3):
        total = np.zeros(4)
        for row in features[codes == code]:
            total += row / np.linalg.norm(row)
        np.testing.assert_allclose(prototypes[code], total / np.linalg.norm(total))


def test_prototypes_ignore_the_scale_of_rows():
    rng = np.random.default_rng(0)
    features, codes = rng.normal(size=(30, 4)), np.arange(30) % 3
    scale = rng.uniform(0.1, 10, size=(30, 1))
    np.testing.assert_allclose(
        class_prototypes([features * scale], codes, 3), class_prototypes([features], codes, 3)
    )


def test_rows_of_zeros_are_no_obstacle():
    assert np.isfinite(class_prototypes([np.zeros((4, 2))], np.array([0, 0, 1, 1]), 2)).all()


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.9, 0.999])
def test_a_quantile_keeps_that_share_of_pairs_and_at_least_one(quantile):
    similarity = np.random.default_rng(0).permutation(40).reshape(5, 8) / 40
    kept = similar_pairs(similarity, quantile)
    ranks = np.argsort(np.argsort(similarity.ravel())).reshape(5, 8)
    np.testing.assert_array_equal(kept, ranks >= quantile * 39)
    assert kept.any()


def test_a_quantile_does_not_depend_on_the_encoder():
    similarity = np.random.default_rng(0).uniform(-1, 1, size=(5, 8))
    squeezed = 0.9 + 0.05 * similarity
    np.testing.assert_array_equal(similar_pairs(similarity, 0.8), similar_pairs(squeezed, 0.8))


def test_bounds_on_the_cosine():
    similarity = np.array([[0.5, 0.7, 0.99], [0.98, 0.71, -1.0]])
    expected = [[False, True, False], [True, True, False]]
    np.testing.assert_array_equal(similar_pairs(similarity, (0.7, 0.98)), expected)


def test_every_class_is_in_a_pair_with_its_most_similar_one():
    rng = np.random.default_rng(0)
    prototypes = rng.normal(size=(7, 3))
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    expected = set()
    for a in range(7):
        others = [b for b in range(7) if b != a]
        b = max(others, key=lambda other: prototypes[a] @ prototypes[other])
        expected.add((min(a, b), max(a, b)))
    assert set(map(tuple, most_similar_pairs(prototypes).tolist())) == expected


def test_dict_and_relation_are_inverse():
    neighbors = {"cat": ["lynx", "puma"], "dog": []}
    relation = relation_from_dict(neighbors, TARGETS, AUXILIARY)
    np.testing.assert_array_equal(relation, [[True, True, False], [False, False, False]])
    assert relation_to_dict(relation, TARGETS, AUXILIARY) == neighbors


def test_an_auxiliary_class_may_have_several_anchors():
    relation = relation_from_dict({"cat": ("wolf",), "dog": ["wolf"]}, TARGETS, AUXILIARY)
    np.testing.assert_array_equal(relation[:, 2], [True, True])


@pytest.mark.parametrize(
    ("neighbors", "message"),
    [
        ({"cat": ["lynx", "bear"]}, r"\['bear'\].*auxiliary classes \(in y_aux\).*'puma'"),
        ({"cat": "lynx"}, r"list of auxiliary classes; it maps 'cat' to 'lynx'"),
        ({"cat": 3}, r"list of auxiliary classes; it maps 'cat' to 3"),
    ],
)
def test_unknown_names_are_named(neighbors, message):
    with pytest.raises(ValueError, match=message):
        relation_from_dict(neighbors, TARGETS, AUXILIARY)


def test_absent_target_classes_are_reported():
    with pytest.warns(UserWarning, match=r"\['cow'\].*target classes \(in y\): \['cat', 'dog'\]"):
        relation = relation_from_dict({"cow": ["lynx"], "dog": ["lynx"]}, TARGETS, AUXILIARY)
    np.testing.assert_array_equal(relation, [[False] * 3, [True, False, False]])
