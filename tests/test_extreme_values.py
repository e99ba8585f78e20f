"""Values far from 1 and illegal ones: the right number, or an error that says which argument."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from ltlearn.calibration import (
    ConformalRegressor,
    RecalibrationMap,
    Recalibrator,
    adjust_proba,
)
from ltlearn.datasets import read_aadb, read_ava
from ltlearn.exceptions import BadImageError
from ltlearn.metrics import (
    ClassBands,
    LabelBands,
    balanced_mae,
    emd,
    expected_calibration_error,
    expected_score,
    percentile_mae,
    plcc,
    prediction_spread,
    shot_accuracy,
    srcc,
    worst_class_recall,
)
from ltlearn.model_selection import (
    BinnedStratifiedKFold,
    BinnedStratifiedShuffleSplit,
    BlindSpotSplit,
    ExtrapolationSplit,
    InterpolationSplit,
    RareClassStratifiedKFold,
)
from ltlearn.weighting import class_weights, label_density, label_density_weights

RNG = np.random.default_rng(0)
Y = np.exp(RNG.normal(size=60))
# Multiplying by powers of 2 is exact, so nothing may change beside the unit.
UNITS = [2.0**-480, 2.0**-60, 2.0**60, 2.0**480]


class TestUnits:
    @pytest.mark.parametrize("unit", UNITS)
    def test_weights_of_labels_have_none(self, unit):
        for bandwidth in (None, 0.1):
            scaled = None if bandwidth is None else bandwidth * unit
            np.testing.assert_array_equal(
                label_density_weights(Y * unit, bandwidth=scaled),
                label_density_weights(Y, bandwidth=bandwidth),
            )

    @pytest.mark.parametrize("unit", UNITS)
    def test_densities_are_per_unit(self, unit):
        np.testing.assert_array_equal(label_density(Y * unit) * unit, label_density(Y))

    @pytest.mark.parametrize("unit", UNITS)
    def test_bands_of_labels(self, unit):
        plain, scaled = LabelBands.from_density(Y), LabelBands.from_density(Y * unit)
        assert scaled.counts == plain.counts
        np.testing.assert_array_equal(scaled.assign(Y * unit), plain.assign(Y))

    @pytest.mark.parametrize("unit", UNITS)
    def test_correlations_and_spreads(self, unit):
        predictions = Y + RNG.normal(size=60)
        for metric in (srcc, plcc):
            assert metric(Y * unit, predictions) == pytest.approx(metric(Y, predictions))
            assert metric(Y, predictions * unit) == pytest.approx(metric(Y, predictions))
        expected = np.std(predictions) / np.std(Y)
        assert prediction_spread(Y * unit, predictions * unit) == pytest.approx(expected)
        assert prediction_spread(Y, predictions * unit) == pytest.approx(expected * unit)

    @pytest.mark.parametrize("unit", [2.0**-1070, 2.0**-60, 2.0**1020])
    def test_vote_counts_have_none(self, unit):
        votes = RNG.integers(1, 9, size=(5, 4)).astype(float)
        np.testing.assert_array_equal(expected_score(votes * unit), expected_score(votes))
        assert emd(votes * unit, votes[::-1]) == emd(votes, votes[::-1])

    @pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-60, 2.0**1000])
    def test_sample_weights_have_none(self, unit):
        weight = RNG.integers(1, 4, size=60)
        predictions = Y + RNG.normal(size=60)
        for metric in (balanced_mae, percentile_mae):
            plain = metric(Y, predictions, sample_weight=weight)
            assert metric(Y, predictions, sample_weight=weight * unit) == plain

    @pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
    @pytest.mark.parametrize("method", ["stretch", "linear", "isotonic", "cubic"])
    @pytest.mark.parametrize("unit", UNITS)
    def test_maps_follow_both(self, method, unit):
        predictions = Y + RNG.normal(size=60)
        plain = RecalibrationMap(method).fit(predictions, Y).predict(predictions)
        if method != "stretch":  # which keeps the mean of predictions
            scaled = RecalibrationMap(method).fit(predictions * unit, Y)
            np.testing.assert_allclose(scaled.predict(predictions * unit), plain, rtol=1e-9)
        scaled = RecalibrationMap(method).fit(predictions * unit, Y * unit)
        np.testing.assert_allclose(scaled.predict(predictions * unit) / unit, plain, rtol=1e-9)


class TestWeighting:
    def test_labels_further_apart_than_the_bandwidth_stand_alone(self):
        """Each density is one kernel's peak; the two at the ends are reflected on themselves."""
        y = np.sort(RNG.normal(size=100) * 1e17)
        density = label_density(y, bandwidth=1.0)
        peak = 1 / (100 * math.sqrt(2 * math.pi))
        np.testing.assert_allclose(density[1:-1], peak, rtol=0.01)
        np.testing.assert_allclose(density[[0, -1]], 2 * peak, rtol=0.03)
        weights = label_density_weights(y, bandwidth=1.0)
        np.testing.assert_allclose(weights[[0, -1]] / weights[1], math.sqrt(1 / 2), rtol=0.03)

    def test_a_vanishing_bandwidth(self):
        assert np.isfinite(label_density([-1.0, 0.5, 1.0], bandwidth=5e-324)).all()
        density = label_density([1.0, 2.0, 4.0], bandwidth=5e-324)
        assert np.isfinite(density).all()
        np.testing.assert_allclose(density[[0, 2]], 2 * density[1], rtol=0.03)
        assert label_density([1.0, 2.0, 4.0], at=[3.0], bandwidth=5e-324) == [0.0]

    def test_a_huge_bandwidth_is_flat(self):
        np.testing.assert_allclose(
            label_density([1.0, 2.0, 5.0], bandwidth=1e308), 1 / 4, rtol=0.02
        )

    def test_a_density_beyond_all_numbers(self):
        with pytest.raises(ValueError, match="y spans too little"):
            label_density([0.0, 5e-324, 1e-323])
        np.testing.assert_array_equal(label_density_weights([0.0, 1e-323]), [1.0, 1.0])

    @pytest.mark.parametrize("value", [True, 0, -1.0, math.nan, math.inf, "a", Fraction(1, 2)])
    def test_bandwidths(self, value):
        for function in (label_density, label_density_weights, LabelBands.from_density):
            with pytest.raises(ValueError, match="'bandwidth' parameter"):
                function([1.0, 2.0, 3.0], bandwidth=value)

    @pytest.mark.parametrize("y", [[None, 1], [math.nan, 1], [], [[1, 2]], "ab", ["a", None]])
    def test_class_labels(self, y):
        with pytest.raises((ValueError, TypeError), match=r"\by\b"):
            class_weights(y)


class TestMetrics:
    @pytest.mark.parametrize("bad", [[[1, -1]], [[0, 0]], [[math.nan, 1]], [], ["a"], [1e200]])
    @pytest.mark.parametrize("metric", [srcc, plcc, prediction_spread, balanced_mae])
    def test_errors_name_labels_and_predictions(self, metric, bad):
        with pytest.raises(ValueError, match=r"\by_true\b"):
            metric(bad, [1.0])
        with pytest.raises(ValueError, match=r"\by_pred\b"):
            metric([1.0], bad)

    @pytest.mark.parametrize("n_bins", [True, 0, 1.5, 10**12, 2**70, None])
    def test_numbers_of_bins(self, n_bins):
        with pytest.raises(ValueError, match="'n_bins' parameter"):
            balanced_mae([1.0, 2.0], [1.0, 2.0], n_bins=n_bins)
        with pytest.raises(ValueError, match="'n_bins' parameter"):
            expected_calibration_error([0, 1], [0.5, 0.5], n_bins=n_bins)
        with pytest.raises(ValueError, match=r"'bins' parameter|bins must"):
            LabelBands.from_bin_counts([1.0, 2.0], bins=n_bins)

    @pytest.mark.parametrize("r", [50, 1e5, 1e308])
    def test_a_large_power_is_the_largest_gap(self, r):
        """Power means lie between max * K ** (-1 / r) and max."""
        a, b = RNG.dirichlet(np.ones(6), size=2) * 1e-3 + [0, 0, 0, 0, 0, 1]
        gaps = np.abs(np.cumsum(a / a.sum()) - np.cumsum(b / b.sum()))
        assert gaps.max() * 6 ** (-1 / r) * (1 - 1e-9) <= emd([a], [b], r=r)
        assert emd([a], [b], r=r) <= gaps.max() * (1 + 1e-9)

    def test_percentiles_that_look_alike_keep_their_bands(self):
        percentiles = (20, 20.0000001, 20.0000002)
        bands = LabelBands.from_percentiles(np.arange(100.0), percentiles)
        assert sum(bands.counts.values()) == 100
        assert len(bands.counts) == len(bands.names) == 4

    @pytest.mark.parametrize("name", ["many_above", "few_below"])
    @pytest.mark.parametrize("value", [True, None, "a", math.nan, Fraction(1, 2)])
    def test_limits_of_bands(self, name, value):
        for build in (
            lambda **k: LabelBands.from_density([1.0, 2.0, 3.0], **k),
            lambda **k: LabelBands.from_bin_counts([1.0, 2.0, 3.0], bins=2, **k),
            lambda **k: ClassBands(["a"], [3], **k),
        ):
            with pytest.raises(ValueError, match=f"{name} must be a number"):
                build(**{name: value})

    @pytest.mark.parametrize("bins", [[1], [3, 1], [1, 1], [0, math.nan], "auto", [[0, 1]]])
    def test_edges_of_bins(self, bins):
        with pytest.raises(ValueError, match=r"\bbins\b"):
            LabelBands.from_bin_counts([1.0, 2.0], bins=bins)

    def test_counts_of_classes(self):
        for counts in ([-1, 2], [math.nan, 1], ["a", "b"], [1], [[1, 2]]):
            with pytest.raises(ValueError, match="class_counts"):
                ClassBands([0, 1], counts)

    def test_labels_that_metrics_of_classes_refuse(self):
        bands = ClassBands([0, 1], [500, 3])
        for bad in ([0.5, 1], [None, 1], [math.inf, 1], [], [1e300, 0]):
            with pytest.raises(ValueError, match="y_true"):
                worst_class_recall(bad, [0, 1])
            with pytest.raises(ValueError, match="y_pred"):
                shot_accuracy([0, 1], bad, bands=bands)
        objects = np.array([0, 1, 1], object)
        assert worst_class_recall(objects, [0, 1, 0]) == 0.5

    def test_one_class_in_two_columns(self):
        with pytest.raises(ValueError, match="labels"):
            expected_calibration_error([0, 0], [[0.5, 0.5]] * 2, labels=[0, 0])

    def test_a_spread_beyond_all_numbers(self):
        with pytest.raises(ValueError, match="y_pred is spread so much more"):
            prediction_spread([0, 1e-300], [0, 1e100])


def isotonic(predictions, y, weights):
    """Least-squares fit by its min-max formula, in exact arithmetic."""
    order = np.argsort(predictions)
    y, w = [[Fraction(float(v)) for v in values[order]] for values in (y, weights)]
    n = len(y)

    def mean(a, b):
        return sum(y[i] * w[i] for i in range(a, b + 1)) / sum(w[a : b + 1])

    fitted = np.empty(n)
    for i in range(n):
        fitted[order[i]] = max(min(mean(a, b) for b in range(i, n)) for a in range(i + 1))
    return fitted


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
class TestMaps:
    @pytest.mark.parametrize("unit", [1.0, 1e-20, 1e-300])
    @pytest.mark.parametrize("weight", [1.0, 1e308, 5e-324])
    def test_isotonic_regression_whatever_the_units(self, unit, weight):
        predictions = RNG.permutation(12) * unit
        y = RNG.normal(size=12)
        weights = np.minimum(RNG.integers(1, 4, size=12), 1.7e308 / weight) * weight
        fitted = RecalibrationMap("isotonic").fit(predictions, y, weights).predict(predictions)
        np.testing.assert_allclose(fitted, isotonic(predictions, y, weights), rtol=1e-12)

    def test_near_predictions_are_not_equal(self):
        predictions = np.array([1.0, 1 + 2.0**-52, 2.0])
        fitted = RecalibrationMap("isotonic").fit(predictions, [0.0, 1.0, 2.0])
        np.testing.assert_array_equal(fitted.predict(predictions), [0, 1, 2])
        assert fitted.predict([1.5])[0] == pytest.approx(1.5)

    @pytest.mark.parametrize("gap", [5e-324, 1e-310])
    def test_steps_steeper_than_any_slope(self, gap):
        fitted = RecalibrationMap("isotonic").fit([0.0, gap, 1.0], [0.0, 1e3, 2e3])
        np.testing.assert_array_equal(fitted.predict([-1, 0, gap, 1, 2]), [0, 0, 1e3, 2e3, 2e3])

    def test_a_line_steeper_than_any_slope(self):
        with pytest.raises(ValueError, match="predictions are spread too little"):
            RecalibrationMap("linear").fit([0.0, 5e-324, 1e-323], [0.0, 1.0, 2.0])
        steep = RecalibrationMap("linear").fit([0.0, 1e-100], [0.0, 1e100])
        with pytest.raises(ValueError, match="predictions lie too far"):
            steep.predict([1e150])

    def test_predictions_equal_up_to_rounding_are_equal(self):
        nearly = 0.1 + np.array([0, 1e-17, 2e-17, 1.4e-17])
        assert RecalibrationMap("linear").fit(nearly, [1.0, 2.0, 3.0, 4.0]).slope_ == 1.0

    def test_the_recalibrator_refuses_labels_before_it_fits(self):
        class Untouched:
            def fit(self, X, y):
                raise AssertionError

            def predict(self, X):
                raise AssertionError

            def get_params(self, deep=True):
                return {}

        X = np.zeros((3, 1))
        with pytest.raises(ValueError, match=r"\by holds 1e\+200"):
            Recalibrator(Untouched()).fit(X, [1e200, 1, 2])
        with pytest.raises(ValueError, match="y_val"):
            Recalibrator(Untouched()).fit(X, [1.0, 2, 3], X_val=X[:2], y_val=[math.nan, 1])
        with pytest.raises(ValueError, match="X_val and y_val have inconsistent"):
            Recalibrator(Untouched()).fit(X, [1.0, 2, 3], X_val=X[:2], y_val=[1.0])


class TestAdjustedProbabilities:
    @pytest.mark.parametrize("tau", [0, 1, 2, 5])
    def test_against_exact_arithmetic(self, tau):
        proba = RNG.integers(0, 5, size=(6, 3)) + 1e-12 * np.eye(6, 3)
        proba[:, 0] += 1
        proba /= proba.sum(axis=1, keepdims=True)
        prior = [2.0**-40, 0.25, 3.0]
        exact = [[Fraction(p) / Fraction(q) ** tau for p, q in zip(row, prior, strict=True)]
                 for row in proba.tolist()]  # fmt: skip
        expected = [[float(value / sum(row)) for value in row] for row in exact]
        np.testing.assert_allclose(adjust_proba(proba, prior, tau=tau), expected, rtol=1e-12)

    @pytest.mark.parametrize("tau", [1e3, 1e300, 1e308])
    def test_the_rarest_possible_class_wins_in_the_end(self, tau):
        adjusted = adjust_proba([[0.9, 0.1, 0], [0.5, 0.25, 0.25]], [0.9, 1e-30, 1e-40], tau=tau)
        np.testing.assert_array_equal(adjusted, [[0, 1, 0], [0, 0, 1]])
        same = adjust_proba([[0.5, 0.5], [1, 0]], [1e-30, 1e-30], tau=tau)
        np.testing.assert_array_equal(same, [[0.5, 0.5], [1, 0]])

    @pytest.mark.parametrize("tau", [True, -1, math.nan, math.inf, "a", Fraction(1, 2)])
    def test_what_is_no_strength(self, tau):
        with pytest.raises(ValueError, match="'tau' parameter of adjust_proba"):
            adjust_proba([[0.5, 0.5]], [0.5, 0.5], tau=tau)


X20, Y20 = np.zeros((20, 1)), np.arange(20.0)


class TestSplitters:
    @pytest.mark.parametrize("value", [math.nan, True, "a", math.inf, Fraction(1, 3), [0.5]])
    @pytest.mark.parametrize("name", ["train_size", "test_size"])
    def test_sizes(self, name, value):
        with pytest.raises(ValueError, match=f"{name} must be a share"):
            list(BinnedStratifiedShuffleSplit(2, **{name: value}).split(X20, Y20))

    @pytest.mark.parametrize("value", [1.5, True, 0, -1, "a", None])
    def test_numbers_of_splits(self, value):
        with pytest.raises(ValueError, match="n_splits must be an integer"):
            list(BinnedStratifiedShuffleSplit(value).split(X20, Y20))
        for splitter in (BinnedStratifiedKFold, RareClassStratifiedKFold):
            with pytest.raises(ValueError, match="n_splits must be an integer"):
                splitter(value)

    @pytest.mark.parametrize("value", [10**12, 2**70, True, 0, 1.5, "a"])
    @pytest.mark.parametrize("binning", ["quantile", "width"])
    def test_numbers_of_bins(self, value, binning):
        for splitter in (BinnedStratifiedKFold, BinnedStratifiedShuffleSplit):
            with pytest.raises(ValueError, match="n_bins must be an integer from 1 to 1000000"):
                list(splitter(2, n_bins=value, binning=binning).split(X20, Y20))

    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ({"X": None}, "X"),
            ({"y": Y20[:19]}, "y"),
            ({"y": {1, 2}}, "y"),
            ({"groups": [1, 2]}, "groups"),
            ({"groups": [None] * 20}, "groups"),
            ({"groups": np.full(20, np.nan)}, "groups"),
        ],
    )
    def test_what_is_split(self, given, name):
        for splitter in (BinnedStratifiedKFold(2), BinnedStratifiedShuffleSplit(2),
                         RareClassStratifiedKFold(2)):  # fmt: skip
            with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
                list(splitter.split(**{"X": X20, "y": Y20 // 5, "groups": None, **given}))

    def test_random_states(self):
        splitter = BinnedStratifiedShuffleSplit(2, random_state="a")
        with pytest.raises(ValueError, match="random_state"):
            list(splitter.split(X20, Y20))


class TestStressSplits:
    @pytest.mark.parametrize("kind", [ExtrapolationSplit, InterpolationSplit, BlindSpotSplit])
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("test_size", value) for value in [math.nan, True, "a", Fraction(1, 3)]),
            *(("n_splits", value) for value in [1.5, True, 0, None]),
            *(("share", value) for value in [0, 1, True, math.nan, "a", 10**400, Fraction(1, 3)]),
            *(("binning", value) for value in ["bins", 3, ["width"]]),
        ],
    )
    def test_parameters(self, kind, name, value):
        with pytest.raises(ValueError, match=rf"\b{name} must be"):
            kind(**{name: value}).split(X20, Y20)

    def test_what_is_split(self):
        for given in ({"y": Y20[:19]}, {"X": 3}, {"groups": [1, 2]}):
            with pytest.raises((ValueError, TypeError), match=rf"\b{next(iter(given))}\b"):
                BlindSpotSplit().split(**{"X": X20, "y": Y20, **given})


class TestIntervals:
    @pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
    @pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-60, 2.0**400])
    def test_follow_the_unit(self, unit):
        X = RNG.normal(size=(60, 1))
        y = X[:, 0] + RNG.normal(size=60)
        plain = ConformalRegressor(LinearRegression()).fit(X, y).predict_interval(X)
        scaled = ConformalRegressor(LinearRegression()).fit(X, y * unit).predict_interval(X)
        np.testing.assert_allclose(scaled / unit, plain, rtol=1e-9)

    def test_labels_that_cannot_be_calculated_with(self):
        with pytest.raises(ValueError, match=r"\by holds"):
            ConformalRegressor(LinearRegression()).fit(X20, Y20 * 1e200)
        with pytest.raises(ValueError, match="y_val"):
            ConformalRegressor(LinearRegression()).fit(X20, Y20, X_val=X20[:0], y_val=[])


class TestLabelFiles:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "a.jpg").touch()
        (tmp_path / "secret.jpg").touch()
        return tmp_path

    @pytest.mark.parametrize("name", ["../secret.jpg", "../secret", "x/../../secret.jpg", "{root}"])
    def test_no_name_leads_out_of_the_folder(self, name, folder):
        name = name.format(root=folder / "secret.jpg")
        (folder / "images" / "x").mkdir()
        (folder / "labels.csv").write_text(f"image_id,score\na,1\n{name},2\n")
        with pytest.raises(ValueError, match=r"Line 3 of .*labels\.csv has the image_id .*outside"):
            read_aadb(folder / "images", folder / "labels.csv", on_missing="drop")

    def test_links_in_the_folder_are_followed(self, folder):
        (folder / "images" / "b.jpg").symlink_to(folder / "secret.jpg")
        (folder / "labels.csv").write_text("image_id,score\na,1\nb,2\n")
        paths, _ = read_aadb(folder / "images", folder / "labels.csv")
        assert [Path(path).name for path in paths] == ["a.jpg", "b.jpg"]

    @pytest.mark.parametrize("name", ["x" * 300, "a\0"])
    def test_names_that_no_file_can_have(self, name, folder):
        (folder / "labels.csv").write_text(f"image_id,score\n{name},1\n")
        with pytest.raises((BadImageError, ValueError), match=r"labels\.csv"):
            read_aadb(folder / "images", folder / "labels.csv")

    @pytest.mark.parametrize("value", ["1e308", "inf", "nan", "1e400"])
    def test_numbers_that_cannot_be_calculated_with(self, value, folder):
        columns = ",".join(f"score{k}" for k in range(2, 12))
        (folder / "labels.csv").write_text(f"image_id,{columns}\na{(',' + value) * 10}\n")
        with pytest.raises(ValueError, match=r"Line 2 of .*labels\.csv lacks .*finite"):
            read_ava(folder / "images", folder / "labels.csv")
