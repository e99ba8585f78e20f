import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import r2_score

from ltlearn.calibration import RecalibrationMap
from ltlearn.exceptions import SmallSampleWarning

METHODS = ["stretch", "linear", "isotonic", "cubic"]
RNG = np.random.default_rng(0)
Y = np.exp(RNG.normal(size=300))
PREDICTIONS = 1 + 0.4 * np.log1p(Y) + 0.2 * RNG.normal(size=300)
WEIGHTS = RNG.integers(0, 4, size=300)


def test_stretch_minimizes_the_squared_error_about_the_mean_prediction():
    mean = np.mean(PREDICTIONS)
    best = minimize_scalar(lambda a: np.sum((Y - mean - a * (PREDICTIONS - mean)) ** 2))
    stretch = RecalibrationMap("stretch").fit(PREDICTIONS, Y)
    assert stretch.slope_ == pytest.approx(best.x)
    at = np.array([0.0, mean, 5.0])
    np.testing.assert_allclose(stretch.predict(at), mean + best.x * (at - mean))


def test_stretch_does_not_follow_the_mean_of_other_labels():
    as_they_are = RecalibrationMap("stretch").fit(PREDICTIONS, Y)
    shifted = RecalibrationMap("stretch").fit(PREDICTIONS, Y + 100)
    np.testing.assert_allclose(shifted.predict([0.0, 5.0]), as_they_are.predict([0.0, 5.0]))


def test_line_is_the_least_squares_line():
    line = RecalibrationMap("linear").fit(PREDICTIONS, Y)
    expected = np.polynomial.Polynomial.fit(PREDICTIONS, Y, 1).convert().coef
    np.testing.assert_allclose([line.intercept_, line.slope_], expected)


def test_isotonic_is_isotonic_regression():
    isotonic = RecalibrationMap("isotonic").fit(PREDICTIONS, Y)
    expected = IsotonicRegression(out_of_bounds="clip").fit(PREDICTIONS, Y)
    at = np.linspace(PREDICTIONS.min() - 1, PREDICTIONS.max() + 1, 50)
    np.testing.assert_allclose(isotonic.predict(at), expected.predict(at))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_cubic_is_the_least_squares_cubic_where_that_rises(scale):
    predictions = np.linspace(-1, 1, 250)
    y = scale * (predictions + 3 * predictions**3 + 0.1 * RNG.normal(size=250))
    cubic = RecalibrationMap("cubic").fit(scale * predictions, y)
    expected = np.polynomial.Polynomial.fit(scale * predictions, y, 3)
    assert np.all(expected.deriv()(scale * predictions) > 0)
    np.testing.assert_allclose(cubic.predict(scale * predictions), expected(scale * predictions))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [0.0, 0.5, 50.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_map_reverses_the_order_of_predictions(method, noise, sign):
    y = sign * Y + noise * RNG.normal(size=300)
    recalibrated = RecalibrationMap(method).fit(PREDICTIONS, y).predict(np.linspace(-9, 9, 500))
    assert np.all(np.isfinite(recalibrated))
    assert np.all(np.diff(recalibrated) >= -1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_weights_repeat_samples(method):
    repeated = np.repeat(np.arange(300), WEIGHTS)
    weighted = RecalibrationMap(method).fit(PREDICTIONS, Y, WEIGHTS)
    expected = RecalibrationMap(method).fit(PREDICTIONS[repeated], Y[repeated])
    at = np.linspace(0, 4, 50)
    np.testing.assert_allclose(weighted.predict(at), expected.predict(at))


@pytest.mark.parametrize("method", METHODS)
def test_a_map_never_fits_its_data_worse_than_the_mean(method):
    recalibrated = RecalibrationMap(method).fit(PREDICTIONS, Y).predict(PREDICTIONS)
    assert r2_score(Y, recalibrated) > 0


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("predictions", "y"),
    [([2.0], [3.0]), ([2.0, 2.0], [1.0, 3.0]), ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0])],
)
def test_maps_of_degenerate_data_are_finite(method, predictions, y):
    recalibrated = RecalibrationMap(method).fit(predictions, y).predict([-10.0, 2.0, 10.0])
    assert np.all(np.isfinite(recalibrated))
    if method != "stretch":
        assert recalibrated[1] == pytest.approx(np.mean(y))


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
def test_stretch_of_constant_predictions_changes_nothing():
    stretch = RecalibrationMap().fit([2.0, 2.0], [1.0, 3.0])
    np.testing.assert_array_equal(stretch.predict([1.0, 2.0]), [1.0, 2.0])


@pytest.mark.parametrize("n_rows", [1, 199])
def test_too_few_rows_are_counted_in_a_warning(n_rows):
    with pytest.warns(SmallSampleWarning, match=rf"{n_rows} held-out predictions; about 200"):
        RecalibrationMap().fit(PREDICTIONS[:n_rows], Y[:n_rows])
    with pytest.warns(SmallSampleWarning, match=rf"{n_rows} held-out"):
        RecalibrationMap().fit(PREDICTIONS, Y, np.arange(300) < n_rows)


def test_enough_rows_do_not_warn():
    RecalibrationMap().fit(PREDICTIONS[:200], Y[:200])


@pytest.mark.parametrize(
    ("predictions", "y", "weights", "message"),
    [
        ([1.0, 2.0], [1.0], None, "inconsistent"),
        ([1.0, np.nan], [1.0, 2.0], None, "predictions contains NaN"),
        ([[1.0, 2.0]], [1.0], None, "1d array"),
        ([], [], None, "0 sample"),
        ([1.0, 2.0], [1.0, 2.0], [0, 0], "zero"),
        ([1.0, 2.0], [1.0, 2.0], [1, -1], "[Nn]egative"),
    ],
)
def test_maps_of_invalid_data(predictions, y, weights, message):
    with pytest.raises(ValueError, match=message):
        RecalibrationMap().fit(predictions, y, weights)


def test_a_map_is_what_it_was_fitted_as():
    recalibration = RecalibrationMap("cubic").fit(PREDICTIONS, Y)
    cubic = recalibration.predict(PREDICTIONS)
    recalibration.set_params(method="linear")
    np.testing.assert_array_equal(recalibration.predict(PREDICTIONS), cubic)
    recalibration.fit(PREDICTIONS, Y)
    expected = RecalibrationMap("linear").fit(PREDICTIONS, Y)
    np.testing.assert_array_equal(recalibration.predict(PREDICTIONS), expected.predict(PREDICTIONS))


def test_maps_check_their_method():
    with pytest.raises(ValueError, match="'method' parameter of RecalibrationMap"):
        RecalibrationMap("quartic").fit(PREDICTIONS, Y)
