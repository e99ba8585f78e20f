import math

import numpy as np
import pytest
from imblearn.metrics import geometric_mean_score
from sklearn.metrics import balanced_accuracy_score

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.metrics import (
    ClassBands,
    expected_calibration_error,
    geometric_mean_recall,
    shot_accuracy,
    worst_class_recall,
)

RNG = np.random.default_rng(0)
NAMES = np.array(["ant", "bee", "cat", "dog", "elk"])
Y_TRUE = NAMES[RNG.integers(0, 5, size=200)]
Y_PRED = np.where(RNG.uniform(size=200) < 0.6, Y_TRUE, NAMES[RNG.integers(0, 5, size=200)])
WEIGHTS = RNG.integers(0, 4, size=200)
REPEATED = np.repeat(np.arange(200), WEIGHTS)
BANDS = ClassBands(NAMES, [500, 300, 100, 19, 3])


def recalls(y_true, y_pred):
    hits = {}
    for label, prediction in zip(y_true, y_pred, strict=True):
        hits.setdefault(str(label), []).append(label == prediction)
    return {label: sum(of_class) / len(of_class) for label, of_class in hits.items()}


def test_shot_accuracy_against_a_loop():
    recall = recalls(Y_TRUE, Y_PRED)
    assert shot_accuracy(Y_TRUE, Y_PRED, bands=BANDS) == {
        "many": pytest.approx((recall["ant"] + recall["bee"]) / 2),
        "medium": pytest.approx(recall["cat"]),
        "few": pytest.approx((recall["dog"] + recall["elk"]) / 2),
    }


def test_shot_accuracy_on_balanced_classes_is_the_accuracy_within_the_band():
    y_true = np.repeat(NAMES, 20)
    y_pred = RNG.permutation(y_true)
    accuracy = shot_accuracy(y_true, y_pred, bands=BANDS)
    for code, name in enumerate(BANDS.names):
        rows = BANDS.assign(y_true) == code
        assert accuracy[name] == pytest.approx(np.mean(y_true[rows] == y_pred[rows]))


def test_shot_accuracy_of_one_band_is_the_balanced_accuracy():
    with pytest.warns(EmptyBandWarning, match="'medium', 'few'"):
        accuracy = shot_accuracy(Y_TRUE, Y_PRED, bands=ClassBands(NAMES, [999] * 5))
    assert accuracy["many"] == pytest.approx(balanced_accuracy_score(Y_TRUE, Y_PRED))


def test_empty_band_warns_once_and_is_nan_there_alone():
    with pytest.warns(EmptyBandWarning, match="in 'medium'; the metric is NaN there") as record:
        accuracy = shot_accuracy(["ant", "elk"], ["ant", "ant"], bands=BANDS)
    assert [warning.filename for warning in record] == [__file__]
    assert accuracy["many"] == 1
    assert accuracy["few"] == 0
    assert np.isnan(accuracy["medium"])


def test_worst_and_geometric_mean_against_a_loop():
    recall = list(recalls(Y_TRUE, Y_PRED).values())
    assert worst_class_recall(Y_TRUE, Y_PRED) == pytest.approx(min(recall))
    assert geometric_mean_recall(Y_TRUE, Y_PRED) == pytest.approx(math.prod(recall) ** (1 / 5))


def test_geometric_mean_against_imbalanced_learn():
    assert geometric_mean_recall(Y_TRUE, Y_PRED) == pytest.approx(
        geometric_mean_score(Y_TRUE, Y_PRED)
    )


def test_a_class_that_is_never_recognized():
    y_pred = np.where(Y_PRED == "elk", "ant", Y_PRED)
    assert worst_class_recall(Y_TRUE, y_pred) == 0
    assert geometric_mean_recall(Y_TRUE, y_pred) == 0


def test_predicted_classes_that_do_not_occur_are_no_class_of_their_own():
    assert worst_class_recall([0, 0, 1], [0, 2, 1]) == 0.5
    assert geometric_mean_recall([0, 0, 1, 1], [0, 2, 1, 2]) == 0.5


@pytest.mark.parametrize(
    "metric",
    [
        worst_class_recall,
        geometric_mean_recall,
        lambda t, p, **kw: shot_accuracy(t, p, bands=BANDS, **kw),
    ],
)
def test_weights_repeat_samples(metric):
    weighted = metric(Y_TRUE, Y_PRED, sample_weight=WEIGHTS)
    assert weighted == pytest.approx(metric(Y_TRUE[REPEATED], Y_PRED[REPEATED]))
    # A class without weight does not occur.
    without_ant = metric(Y_TRUE, Y_PRED, sample_weight=np.where(Y_TRUE == "ant", 0, 1))
    rest = Y_TRUE != "ant"
    assert without_ant == pytest.approx(metric(Y_TRUE[rest], Y_PRED[rest]))


def calibration_error(y_true, proba, n_bins):
    bins = {}
    for label, row in zip(y_true, proba, strict=True):
        confidence = max(row)
        correct = list(row).index(confidence) == label
        for number in range(n_bins):
            if number / n_bins < confidence <= (number + 1) / n_bins:
                bins.setdefault(number, []).append((correct, confidence))
    error = 0
    for members in bins.values():
        accuracy = sum(correct for correct, _ in members) / len(members)
        confidence = sum(confidence for _, confidence in members) / len(members)
        error += len(members) / len(y_true) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("n_bins", [1, 10, 15])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_expected_calibration_error_against_a_loop(n_bins, n_classes):
    proba = RNG.dirichlet(np.full(n_classes, 0.4), size=300)
    y_true = RNG.integers(0, n_classes, size=300)
    expected = calibration_error(y_true, proba, n_bins)
    assert expected_calibration_error(y_true, proba, n_bins=n_bins) == pytest.approx(expected)
    if n_classes == 2:
        result = expected_calibration_error(y_true, proba[:, 1], n_bins=n_bins)
        assert result == pytest.approx(expected)


def test_calibration_error_with_weights_repeats_samples():
    proba = RNG.dirichlet(np.ones(5), size=200)
    weighted = expected_calibration_error(Y_TRUE, proba, labels=NAMES, sample_weight=WEIGHTS)
    repeated = expected_calibration_error(Y_TRUE[REPEATED], proba[REPEATED], labels=NAMES)
    assert weighted == pytest.approx(repeated)


def test_calibration_error_of_certain_predictions():
    assert expected_calibration_error([0, 1, 2], np.eye(3)) == 0
    assert expected_calibration_error([0, 1, 2], np.eye(3)[[1, 2, 0]]) == 1


def test_calibration_error_uses_the_class_of_each_column():
    # Columns in the order dog, cat; the test labels hold one of them only.
    proba = [[0.9, 0.1], [0.2, 0.8]]
    error = expected_calibration_error(["cat", "cat"], proba, labels=["dog", "cat"], n_bins=5)
    assert error == pytest.approx((0.9 + 0.2) / 2)


@pytest.mark.parametrize(
    ("y_true", "proba", "message"),
    [
        ([0, 0], [[0.5, 0.5], [0.1, 0.9]], "2 columns for 1 classes; pass labels="),
        ([0, 1], [[2.0, -1.0], [0.5, 0.5]], "between 0 and 1"),
        ([0, 1], [[0.5, 0.5]], "inconsistent numbers"),
        ([], [], "0 sample"),
    ],
)
def test_calibration_error_of_invalid_input(y_true, proba, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(y_true, proba)


@pytest.mark.parametrize("metric", [worst_class_recall, geometric_mean_recall])
def test_invalid_labels(metric):
    with pytest.raises(ValueError, match="inconsistent numbers"):
        metric([0, 1], [0])
    with pytest.raises(ValueError, match="zero"):
        metric([0, 1], [0, 1], sample_weight=[0, 0])


def test_labels_are_not_of_another_kind_than_classes():
    proba = [[0.9, 0.1], [0.1, 0.9]]
    with pytest.raises(ValueError, match="such as 'a' for classes such as 0"):
        expected_calibration_error(["a", "b"], proba, labels=[0, 1])
    bands = ClassBands([1, 2, 10], [500, 50, 5])
    with pytest.raises(ValueError, match="must all be strings or all be numbers"):
        shot_accuracy(["1", "2", "10"], ["1", "2", "10"], bands=bands)
