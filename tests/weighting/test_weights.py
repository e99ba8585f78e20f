import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.utils.class_weight import compute_sample_weight

from ltlearn.weighting import class_weights, label_density, label_density_weights

LABELS = {
    "normal": np.random.default_rng(0).normal(5, 2, size=300),
    "prices": np.exp(np.random.default_rng(1).normal(13, 1, size=500)),
    "stars": np.random.default_rng(2).choice(
        [1.0, 2, 3, 4, 5], p=[0.02, 0.08, 0.2, 0.4, 0.3], size=400
    ),
    "zeros": np.r_[np.zeros(400), np.random.default_rng(3).exponential(size=50)],
    "gaps": np.array([0.0, 0.01, 0.5, 0.51, 0.52, 7.0, 7.3, 20.0]),
    "nearly all equal": np.r_[0.3 + 1e-16 * np.random.default_rng(6).normal(size=300), 1.0],
    "outlier": np.r_[np.random.default_rng(4).normal(size=200), 1e9],
    "tiny range": 1e6 + 1e-3 * np.random.default_rng(5).uniform(size=100),
    "two": np.array([1.0, 2.0]),
    "one": np.array([3.0]),
    "constant": np.full(20, -7.5),
    "constant up to rounding": 0.1 + np.array([0, 1e-17, 2e-17, 1.4e-17]),
}


def reflected_kernel_density(y, at, bandwidth):
    """Sum over labels and their mirror images at both ends of the range, one at a time."""
    low, high = min(y), max(y)
    density = np.zeros(len(at))
    for label in y:
        for image in (label, 2 * low - label, 2 * high - label):
            density += norm.pdf(at, loc=image, scale=bandwidth) / len(y)
    return density


@pytest.mark.parametrize(
    ("name", "bandwidth"),
    [("normal", 0.3), ("normal", 0.8), ("stars", 0.05), ("gaps", 0.02), ("gaps", 2.0)],
)
def test_density_is_the_reflected_kernel_density(name, bandwidth):
    y = LABELS[name]
    at = np.concatenate([np.linspace(y.min(), y.max(), 200), y, y + bandwidth])
    at = at[at <= y.max()]
    expected = reflected_kernel_density(y, at, bandwidth)
    # A label is at most half a bin, bandwidth / 16, from the center that stands for it, and the
    # kernel falls by at most 0.61 of its maximum per bandwidth.
    np.testing.assert_allclose(
        label_density(y, at=at, bandwidth=bandwidth), expected, atol=0.61 / 16 * expected.max()
    )


def test_default_bandwidth_is_silvermans_rule():
    y = LABELS["prices"]
    quartiles = np.percentile(y, [25, 75])
    silverman = 0.9 * min(np.std(y), (quartiles[1] - quartiles[0]) / 1.349) / len(y) ** 0.2
    np.testing.assert_allclose(label_density(y), label_density(y, bandwidth=silverman))


@pytest.mark.parametrize("name", ["normal", "prices", "stars", "zeros"])
def test_density_integrates_to_one_and_vanishes_outside(name):
    y = LABELS[name]
    grid = np.linspace(y.min(), y.max(), 200_001)
    assert trapezoid(label_density(y, at=grid), grid) == pytest.approx(1, abs=0.01)
    span = np.ptp(y)
    np.testing.assert_array_equal(label_density(y, at=[y.min() - span, y.max() + span]), [0, 0])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e7])
def test_density_follows_the_unit_of_the_label(scale):
    y = LABELS["normal"]
    np.testing.assert_allclose(label_density(scale * y) * scale, label_density(y), rtol=1e-6)
    np.testing.assert_allclose(
        label_density_weights(scale * y), label_density_weights(y), rtol=1e-6
    )


def test_density_of_one_value():
    np.testing.assert_array_equal(label_density([2.0, 2.0], at=[1.0, 2.0, 3.0]), [0, 1, 0])


def test_density_with_a_kernel_wider_than_the_labels_is_flat():
    y = np.array([0.0, 0.1, 0.2, 1.0])
    np.testing.assert_allclose(label_density(y, bandwidth=1e9), 1.0, rtol=1e-3)


@pytest.mark.parametrize("scheme", ["inverse", "sqrt_inverse"])
@pytest.mark.parametrize("name", LABELS)
def test_density_weights_are_positive_finite_with_mean_one(name, scheme):
    weights = label_density_weights(LABELS[name], scheme=scheme)
    assert weights.shape == LABELS[name].shape
    assert np.all(np.isfinite(weights))
    assert np.all(weights > 0)
    assert np.mean(weights) == pytest.approx(1)
    assert np.max(weights) <= 200 * np.min(weights) * (1 + 1e-9)


@pytest.mark.parametrize("name", ["one", "two", "constant", "constant up to rounding"])
def test_density_weights_without_a_tail_are_one(name):
    np.testing.assert_allclose(label_density_weights(LABELS[name]), 1)


@pytest.mark.parametrize(("scheme", "power"), [("inverse", 1), ("sqrt_inverse", 0.5)])
def test_density_weights_are_powers_of_the_inverse_density(scheme, power):
    y = LABELS["prices"]
    expected = [1 / density**power for density in label_density(y)]
    expected = np.array(expected) / np.mean(expected)
    weights = label_density_weights(y, scheme=scheme, max_ratio=None)
    np.testing.assert_allclose(weights, expected)


def test_rare_labels_weigh_more_with_heavy_tails():
    for name in ("prices", "outlier", "zeros", "nearly all equal"):
        y = LABELS[name]
        weights = label_density_weights(y)
        assert weights[np.argmax(y)] > 3 * np.median(weights)


def test_density_weights_are_clipped_at_max_ratio():
    y = LABELS["prices"]
    free = label_density_weights(y, scheme="inverse", max_ratio=None)
    clipped = label_density_weights(y, scheme="inverse", max_ratio=5)
    expected = np.minimum(free, 5 * free.min())
    np.testing.assert_allclose(clipped, expected / expected.mean())
    np.testing.assert_allclose(label_density_weights(y, max_ratio=1), 1)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([], "0 sample"),
        ([1.0, np.nan], "NaN"),
        ([1.0, np.inf], "infinity"),
        ([[0.5, 0.5], [0.1, 0.9]], "expected_score"),
    ],
)
@pytest.mark.parametrize("function", [label_density, label_density_weights])
def test_labels_that_have_no_density(function, y, message):
    with pytest.raises(ValueError, match=message):
        function(y)


@pytest.mark.parametrize(
    "arguments", [{"bandwidth": 0}, {"scheme": "cube"}, {"max_ratio": 0.5}, {"bandwidth": "wide"}]
)
def test_invalid_parameters_of_density_weights(arguments):
    with pytest.raises(ValueError, match="parameter of label_density_weights"):
        label_density_weights([1.0, 2.0], **arguments)


@pytest.mark.parametrize("model", [Ridge(), HistGradientBoostingRegressor(max_iter=5)])
def test_density_weights_raise_predictions_of_a_rare_upper_tail(model):
    y = LABELS["prices"] / 1e6
    X = np.column_stack([np.log(y) + np.random.default_rng(0).normal(size=len(y))])
    plain = model.fit(X, y).predict(X)
    weighted = model.fit(X, y, sample_weight=label_density_weights(y)).predict(X)
    top = np.argsort(y)[-20:]
    assert np.mean(weighted[top]) > np.mean(plain[top])


CLASSES = np.array(["cat"] * 12 + ["dog"] * 5 + ["lynx"])


def test_inverse_class_weights_are_the_balanced_ones():
    np.testing.assert_allclose(class_weights(CLASSES), compute_sample_weight("balanced", CLASSES))


def test_effective_number_is_the_sum_of_powers_of_beta():
    beta = 0.9
    effective = {}
    for name in set(CLASSES):
        # E_n = 1 + beta + ... + beta ** (n - 1), proposition 1 written out
        effective[name] = sum(beta**i for i in range(np.sum(name == CLASSES)))
    expected = np.array([1 / effective[name] for name in CLASSES])
    weights = class_weights(CLASSES, scheme="effective_number", beta=beta)
    np.testing.assert_allclose(weights, expected / expected.mean())


def test_square_root_class_weights():
    expected = np.array([np.sum(name == CLASSES) ** -0.5 for name in CLASSES])
    weights = class_weights(CLASSES, scheme="sqrt_inverse")
    np.testing.assert_allclose(weights, expected / expected.mean())


def test_limits_of_the_effective_number():
    np.testing.assert_array_equal(class_weights(CLASSES, scheme="effective_number", beta=0), 1)
    near_one = class_weights(CLASSES, scheme="effective_number", beta=1 - 1e-12)
    np.testing.assert_allclose(near_one, class_weights(CLASSES), rtol=1e-9)


@pytest.mark.parametrize("y", [["a"], [3, 3, 3], [True, False, False]])
@pytest.mark.parametrize("scheme", ["inverse", "sqrt_inverse", "effective_number"])
def test_class_weights_are_positive_finite_with_mean_one(y, scheme):
    weights = class_weights(y, scheme=scheme)
    assert np.all(np.isfinite(weights))
    assert np.all(weights > 0)
    assert np.mean(weights) == pytest.approx(1)


def test_class_weights_of_invalid_input():
    with pytest.raises(ValueError, match="empty"):
        class_weights([])
    with pytest.raises(ValueError, match="beta"):
        class_weights([0, 1], beta=1.0)
    with pytest.raises(ValueError, match="1d"):
        class_weights([[0, 1], [1, 0]])
