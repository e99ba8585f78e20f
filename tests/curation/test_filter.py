import io

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from ltlearn.curation import Candidate, FeatureFilter
from ltlearn.curation._filter import thumbnails


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def candidates_of(rows, name="aux"):
    return [Candidate(name, f"row {i}", row) for i, row in enumerate(np.asarray(rows, float))]


@pytest.fixture
def problem():
    """Three target classes around axes, with 20, 10 and 1 samples in five dimensions."""
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [20, 10, 1])
    X = np.eye(5)[codes] + rng.normal(0, 0.3, (31, 5))
    return X, np.array(["a", "b", "c"])[codes]


def test_prototypes_and_thresholds_by_loops(problem):
    X, y = problem
    judge = FeatureFilter("passthrough", anchor_quantile=0.8, duplicate_quantile=0.9).fit(X, y)
    Z = unit(X)
    assert judge.target_names_ == ["a", "b", "c"]
    for i, name in enumerate(judge.target_names_):
        prototype = unit(Z[y == name].mean(axis=0, keepdims=True))[0]
        np.testing.assert_allclose(judge.prototypes_[i], prototype)
        others = [z @ prototype for z, label in zip(Z, y, strict=True) if label != name]
        np.testing.assert_allclose(judge.anchor_thresholds_[i], np.quantile(others, 0.8))
    nearest = [max(Z[i] @ Z[j] for j in range(31) if j != i) for i in range(31)]
    np.testing.assert_allclose(judge.duplicate_threshold_, np.quantile(nearest, 0.9))


def test_absolute_thresholds_are_the_papers(problem):
    X, y = problem
    judge = FeatureFilter("passthrough", anchor_similarity=0.7, duplicate_similarity=0.98)
    judge.fit(X, y)
    np.testing.assert_array_equal(judge.anchor_thresholds_, [0.7] * 3)
    assert judge.duplicate_threshold_ == 0.98


def test_verdicts_by_loops(problem):
    """Every rule re-implemented, one candidate after the other."""
    X, y = problem
    rng = np.random.default_rng(1)
    rows = rng.normal(0, 1, (120, 5))
    rows[10:20] = X[:10] + rng.normal(0, 1e-3, (10, 5))
    rows[30:40] = rows[40:50] + rng.normal(0, 1e-3, (10, 5))
    test = rng.normal(0, 1, (7, 5))
    rows[50:57] = test * 3
    names = np.array([f"aux{i % 4}" for i in range(120)])
    anchors = {"aux0": ["a"], "aux1": ["b", "c"], "aux2": ["a", "b", "c"], "aux3": ["c"]}
    candidates = [Candidate(names[i], f"row {i}", rows[i]) for i in range(120)]
    judge = FeatureFilter("passthrough", min_share=0.1, anchor_quantile=0.6)
    verdicts = judge.fit(X, y, protected={"test": test}).decide(candidates, anchors)

    Z, guarded = unit(rows), unit(np.vstack([X, test]))
    threshold = dict(zip("abc", judge.anchor_thresholds_, strict=True))
    prototype = dict(zip("abc", judge.prototypes_, strict=True))

    def near(row, anchor):
        return Z[row] @ prototype[anchor] >= threshold[anchor]

    shares = {
        (name, anchor): np.mean([near(row, anchor) for row in np.flatnonzero(names == name)])
        for name in anchors
        for anchor in anchors[name]
    }
    kept = []
    for row, verdict in enumerate(verdicts):
        name = names[row]
        similarity = {anchor: Z[row] @ prototype[anchor] for anchor in anchors[name]}
        best = max(similarity, key=similarity.get)
        assert verdict.anchor == best
        np.testing.assert_allclose(verdict.similarity, similarity[best])
        neighbors = tuple(
            anchor for anchor in anchors[name] if near(row, anchor) and shares[name, anchor] >= 0.1
        )
        assert verdict.near == neighbors
        leak = (guarded @ Z[row]).max() >= judge.duplicate_threshold_
        repeat = any(Z[other] @ Z[row] >= judge.duplicate_threshold_ for other in kept)
        assert verdict.keep == (bool(neighbors) and not leak and not repeat), verdict
        if leak:
            assert verdict.reason.startswith("near-duplicate of t")
        elif not neighbors:
            assert "near-duplicate" not in verdict.reason
        elif repeat:
            assert verdict.reason.startswith("near-duplicate of an earlier candidate")
        if verdict.keep:
            kept.append(row)
    reasons = {verdict.reason.split()[0] for verdict in verdicts}
    assert reasons >= {"near", "not", "near-duplicate"}


def test_the_leak_guard_names_what_leaks(problem):
    X, y = problem
    protected = {"validation": X[3:5] + 5 * np.eye(5)[3], "test": X[5:9] + 5 * np.eye(5)[4]}
    judge = FeatureFilter("passthrough", anchor_similarity=-1.0, duplicate_similarity=0.9999)
    judge.fit(X, y, protected=protected)
    rows = [X[7], protected["test"][2], protected["validation"][1]]
    reasons = [v.reason for v in judge.decide(candidates_of(rows), {"aux": ["a"]})]
    assert reasons == [
        f"near-duplicate of {label} (cosine 1.0000)"
        for label in ("training[7]", "test[2]", "validation[1]")
    ]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_exact_copies_are_found_whatever_the_quantile(problem, scale):
    X, y = problem
    X = np.vstack([X, X])  # every nearest neighbor is identical: the quantile is 1
    judge = FeatureFilter("passthrough").fit(X, np.tile(y, 2))
    assert judge.duplicate_threshold_ == 0.9999
    verdicts = judge.decide(candidates_of(X[:5] * scale), {"aux": ["a", "b", "c"]})
    assert all("near-duplicate of training" in verdict.reason for verdict in verdicts)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_copies_are_found_at_a_threshold_of_one(dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (200, 384)).astype(dtype)
    y = np.repeat(["a", "b"], 100)
    judge = FeatureFilter(
        "passthrough", anchor_similarity=-1.0, duplicate_similarity=1.0, min_share=0.0
    )
    judge.fit(X, y)
    copies = [Candidate("aux", f"copy {i}", 3 * row) for i, row in enumerate(X)]
    own = rng.normal(0, 1, (50, 384)).astype(dtype)
    repeats = [Candidate("aux", f"{i}", row) for i, row in enumerate(np.vstack([own, own * 7]))]
    reasons = [v.reason for v in judge.decide([*copies, *repeats], {"aux": ["a"]})]
    leaks = [reason.startswith("near-duplicate of training") for reason in reasons]
    assert leaks == [True] * 200 + [False] * 100
    later = [reason.startswith("near-duplicate of an earlier") for reason in reasons[200:]]
    assert later == [False] * 50 + [True] * 50


def test_protected_data_may_have_any_name(problem, tmp_path, mean_color):
    """Also that of the training data, which stays protected by features and by pixels."""
    X, y = problem
    options = {"anchor_similarity": -1.0, "duplicate_similarity": 0.999, "min_share": 0.0}
    other = X[:3] + 5 * np.eye(5)[3]
    judge = FeatureFilter("passthrough", **options).fit(X, y, protected={"training": other})
    verdicts = judge.decide(candidates_of([X[30], other[2]]), {"aux": ["a"]})
    assert [v.reason for v in verdicts] == [
        f"near-duplicate of {label} (cosine 1.0000)" for label in ("training[30]", "training[2]")
    ]

    train = np.stack([scene(seed) for seed in range(8)])
    protected = {"training": np.stack([scene(99)])}
    judge = FeatureFilter(mean_color, **{**options, "duplicate_similarity": 1.0})
    judge.fit(train, ["a", "b"] * 4, protected=protected)
    Image.fromarray(train[5]).convert("L").save(tmp_path / "grey.png")
    candidate = Candidate("aux", "grey.png", str(tmp_path / "grey.png"))
    [verdict] = judge.decide([candidate], {"aux": ["a"]})
    assert verdict.reason.startswith("near-duplicate of training[5] (pixels")


def test_a_class_few_of_which_are_near_is_no_neighbor(problem):
    X, y = problem
    rows = np.tile([0.0, 0, 0, 1, 0], (10, 1))
    rows[:2] = [[1, 0, 0, 0, 0.5], [1, 0, 0, 0, -0.5]]
    options = {"anchor_similarity": 0.7, "duplicate_similarity": 1.0}
    judge = FeatureFilter("passthrough", min_share=0.25, **options).fit(X, y)
    verdicts = judge.decide(candidates_of(rows), {"aux": ["a"]})
    assert not any(verdict.keep for verdict in verdicts)
    assert verdicts[0].reason == "20% of the class are near a: too few"
    judge = FeatureFilter("passthrough", min_share=0.0, **options).fit(X, y)
    verdicts = judge.decide(candidates_of(rows), {"aux": ["a"]})
    assert [verdict.keep for verdict in verdicts] == [True] * 2 + [False] * 8


def test_problems_pass_through_and_nothing_is_embedded(problem):
    X, y = problem
    judge = FeatureFilter("passthrough").fit(X, y)
    broken = Candidate("aux", "x", None, "cannot be decoded")
    [verdict] = judge.decide([broken], {"aux": ["a"]})
    assert (verdict.keep, verdict.reason, verdict.similarity) == (False, "cannot be decoded", None)
    assert judge.decide([], {}) == []
    verdicts = judge.decide([broken, *candidates_of([[1, 0.5, 0, 0, 0]])], {"aux": ["a"]})
    assert [bool(v.anchor) for v in verdicts] == [False, True]


def test_zero_features_are_near_nothing(problem):
    X, y = problem
    judge = FeatureFilter("passthrough", anchor_similarity=0.1).fit(X, y)
    [verdict] = judge.decide(candidates_of([np.zeros(5)]), {"aux": ["a"]})
    assert (verdict.keep, verdict.similarity) == (False, 0.0)


def test_thresholds_do_not_depend_on_candidates(problem):
    X, y = problem
    rng = np.random.default_rng(2)
    rows = rng.normal(0, 1, (40, 5))
    judge = FeatureFilter("passthrough", min_share=0.0, duplicate_similarity=1.0).fit(X, y)
    alone = [judge.decide(candidates_of([row]), {"aux": ["a"]})[0] for row in rows]
    together = judge.decide(candidates_of(rows), {"aux": ["a"]})
    assert [v.keep for v in alone] == [v.keep for v in together]


def test_any_transformer_embeds_and_the_original_stays_unfitted(problem):
    X, y = problem
    pca = PCA(3)
    judge = FeatureFilter(pca).fit(X, y)
    assert judge.prototypes_.shape == (3, 3)
    assert not hasattr(pca, "components_")
    verdicts = judge.decide(candidates_of(X[:3]), {"aux": ["a"]})
    assert all("training" in verdict.reason for verdict in verdicts)


def test_invalid_settings(problem):
    X, y = problem
    with pytest.raises(ValueError, match="at least two target classes"):
        FeatureFilter("passthrough").fit(X[:20], y[:20])
    with pytest.raises(ValueError, match="anchor_quantile"):
        FeatureFilter("passthrough", anchor_quantile=1.5).fit(X, y)
    with pytest.raises(ValueError, match="features"):
        FeatureFilter("dinov2").fit(X, y)
    with pytest.raises(ValueError, match="nothing to protect in test"):
        FeatureFilter("passthrough").fit(X, y, protected={"validation": X, "test": []})


@pytest.mark.parametrize("targets", [["a", "z"], []])
def test_anchors_must_be_target_classes(problem, targets):
    judge = FeatureFilter("passthrough").fit(*problem)
    with pytest.raises(ValueError, match=r"anchors of 'aux'.*target classes a, b, c"):
        judge.decide(candidates_of(np.eye(5)), {"aux": targets})


def test_unfitted():
    with pytest.raises(NotFittedError):
        FeatureFilter("passthrough").decide([], {})


def scene(seed, size=48):
    """Smooth random picture (size, size, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


def test_copies_that_the_features_miss_are_found_by_their_pixels(tmp_path, mean_color):
    """Copies encoded again, resized or darkened against pictures of their own."""
    train = np.stack([scene(seed) for seed in range(20)])
    y = ["a", "b"] * 10
    test = np.stack([scene(seed) for seed in range(100, 130)])
    paths, copies = [], []
    for i in range(30):
        image = Image.fromarray(test[i])
        if i % 3 == 0:
            image = image.resize((90, 90), Image.Resampling.BICUBIC)
        elif i % 3 == 1:
            image = image.point(lambda value: value * 0.8)
        image.save(tmp_path / f"copy{i}.jpg", quality=60)
        copies.append(str(tmp_path / f"copy{i}.jpg"))
        Image.fromarray(scene(200 + i)).save(tmp_path / f"own{i}.png")
        paths.append(str(tmp_path / f"own{i}.png"))
    candidates = [Candidate("aux", path, path) for path in copies + paths]
    options = {"anchor_similarity": -1.0, "duplicate_similarity": 1.0}

    def leaks(**more):
        judge = FeatureFilter(mean_color, **options, **more)
        verdicts = judge.fit(train, y, protected={"test": test}).decide(candidates, {"aux": ["a"]})
        return ["near-duplicate of test" in verdict.reason for verdict in verdicts]

    assert leaks() == [True] * 30 + [False] * 30
    assert sum(leaks(pixel_similarity=None)) == 0


def test_thumbnails_by_hand(tmp_path):
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    image[:8] = 200
    Image.fromarray(image).save(tmp_path / "image.png")
    expected = np.repeat([1.0, -1.0], 32) / 8
    as_float = (image / 255).astype(np.float32)
    np.testing.assert_allclose(thumbnails(image[None]), [expected], atol=1e-12)
    np.testing.assert_allclose(thumbnails(as_float[None]), [expected], atol=1e-12)
    np.testing.assert_allclose(thumbnails([str(tmp_path / "image.png")]), [expected], atol=1e-12)
    np.testing.assert_array_equal(thumbnails(np.full((1, 8, 8, 3), 7, np.uint8)), np.zeros((1, 64)))


def test_repeated_files_among_candidates(tmp_path, mean_color):
    train = np.stack([scene(seed) for seed in range(8)])
    data = io.BytesIO()
    Image.fromarray(scene(50)).save(data, "JPEG", quality=50)
    (tmp_path / "first.jpg").write_bytes(data.getvalue())
    Image.fromarray(scene(50)).save(tmp_path / "second.png")
    candidates = [
        Candidate(name, path, str(tmp_path / path))
        for name, path in [("aux", "first.jpg"), ("other", "second.png")]
    ]
    judge = FeatureFilter(mean_color, anchor_similarity=-1.0, duplicate_similarity=1.0)
    first, second = judge.fit(train, ["a", "b"] * 4).decide(
        candidates, {"aux": ["a"], "other": ["b"]}
    )
    assert first.keep
    assert not second.keep
    assert second.reason.startswith("near-duplicate of an earlier candidate (pixels 0.9")
