import pickle
from itertools import pairwise

import numpy as np
import pytest

from ltlearn.metrics import ClassBands, LabelBands, expected_score

RNG = np.random.default_rng(0)
MANY, MEDIUM, FEW = range(3)


def names_of(bands, y):
    return [bands.names[code] for code in bands.assign(y)]


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_percentile_bands_against_a_loop(decimals):
    y = np.round(RNG.normal(5, 2, size=137), decimals)
    low, high = np.percentile(y, 20), np.percentile(y, 80)
    expected = []
    for label in y:
        expected.append("0-20" if label <= low else "80-100" if label >= high else "20-80")
    bands = LabelBands.from_percentiles(y)
    assert names_of(bands, y) == expected
    assert bands.counts == {name: expected.count(name) for name in bands.names}


def test_labels_on_a_border_are_in_the_outer_band():
    bands = LabelBands.from_percentiles([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], percentiles=(20, 80))
    assert names_of(bands, [1.0, np.nextafter(1, 2)]) == ["0-20", "20-80"]
    assert names_of(bands, [np.nextafter(4, 3), 4.0]) == ["20-80", "80-100"]


@pytest.mark.parametrize("percentiles", [(50,), (10, 50, 90), (5, 10, 95), (1, 99.5)])
def test_every_label_is_in_exactly_one_band(percentiles):
    y = RNG.integers(0, 8, size=60)
    bands = LabelBands.from_percentiles(y, percentiles)
    assert len(bands.names) == len(percentiles) + 1
    assert sum(bands.counts.values()) == 60
    codes = bands.assign(y)
    # Larger labels never have lower bands.
    assert np.all(np.diff(codes[np.argsort(y, kind="stable")]) >= 0)


def test_a_value_that_holds_both_borders_is_the_middle():
    y = [0.0] * 2 + [5.0] * 90 + [9.0] * 2
    bands = LabelBands.from_percentiles(y)
    assert bands.counts == {"0-20": 2, "20-80": 90, "80-100": 2}
    assert LabelBands.from_percentiles([4.0, 4.0, 4.0]).counts["20-80"] == 3


@pytest.mark.parametrize("percentiles", [(80, 20), (0, 50), (20, 100), (20, 20), (-5, 50)])
def test_percentiles_must_increase(percentiles):
    with pytest.raises(ValueError, match="increase strictly"):
        LabelBands.from_percentiles([1.0, 2.0, 3.0], percentiles)


def test_density_bands_of_an_exponential_distribution():
    # p(y) = exp(-y) has the effective range 1 / ∫ exp(-2y) dy = 2, so that the relative density
    # 2 exp(-y) crosses 0.8 at log(2.5) and 0.2 at log(10).
    y = -np.log1p(-(np.arange(20_000) + 0.5) / 20_000)
    bands = LabelBands.from_density(y)
    borders = {name: high for name, _, high in bands.intervals[1:-1]}
    assert borders["many"] == pytest.approx(np.log(2.5), abs=0.05)
    assert borders["medium"] == pytest.approx(np.log(10), abs=0.1)
    assert bands.counts["many"] == pytest.approx(0.6 * 20_000, rel=0.05)
    assert bands.counts["few"] == pytest.approx(0.1 * 20_000, rel=0.1)


def test_density_bands_of_even_labels_are_all_many():
    y = np.linspace(-3, 8, 1000)
    assert LabelBands.from_density(y).counts == {"many": 1000, "medium": 0, "few": 0}


@pytest.mark.parametrize(("scale", "shift"), [(1e6, 0), (1e-4, 3), (-1, 0)])
def test_density_bands_follow_the_unit_of_the_label(scale, shift):
    y = np.exp(RNG.normal(size=400))
    codes = LabelBands.from_density(y).assign(y)
    rescaled = LabelBands.from_density(scale * y + shift).assign(scale * y + shift)
    assert np.mean(codes == rescaled) > 0.99


def test_density_bands_do_not_depend_on_the_number_of_samples():
    y = np.exp(RNG.normal(size=200))
    once = LabelBands.from_density(y, bandwidth=0.3)
    often = LabelBands.from_density(np.tile(y, 50), bandwidth=0.3)
    np.testing.assert_array_equal(once.assign(y), often.assign(y))


@pytest.mark.parametrize("extreme", [1e3, 1e7, 1e30])
def test_an_extreme_label_does_not_move_the_density_bands(extreme):
    y = RNG.normal(size=1000)
    with_extreme = LabelBands.from_density([*y, extreme])
    assert np.mean(with_extreme.assign(y) == LabelBands.from_density(y).assign(y)) > 0.98
    assert names_of(with_extreme, [extreme]) == ["few"]


def test_density_bands_outside_the_training_range():
    y = np.linspace(0, 1, 200)
    bands = LabelBands.from_density(y, bandwidth=0.1)
    assert names_of(bands, [-0.05, 1.05, -0.2, 1.2, 1e9]) == ["many"] * 2 + ["few"] * 3


@pytest.mark.parametrize("y", [[3.0], [0.1 + 0.2, 0.3]])
def test_density_bands_of_constant_labels(y):
    bands = LabelBands.from_density(y)
    assert bands.counts == {"many": len(y), "medium": 0, "few": 0}
    assert names_of(bands, [-1.0, 5.0]) == ["few", "few"]


@pytest.mark.parametrize("bins", [12, [0.0, 0.1, 0.2, 0.3, 0.7, 1.0]])
def test_bin_count_bands_against_a_loop(bins):
    y = np.round(RNG.beta(1, 5, size=400), 2)
    counts, edges = np.histogram(y, bins=bins)
    expected = []
    for label in y:
        for number, count in enumerate(counts):
            is_last = number == len(counts) - 1
            if edges[number] <= label < edges[number + 1] or (is_last and label == edges[-1]):
                expected.append("many" if count > 100 else "few" if count < 20 else "medium")
                break
        else:
            expected.append("few")
    assert names_of(LabelBands.from_bin_counts(y, bins), y) == expected


@pytest.mark.parametrize(
    ("count", "name"), [(101, "many"), (100, "medium"), (20, "medium"), (19, "few")]
)
def test_published_thresholds(count, name):
    assert names_of(LabelBands.from_bin_counts([3] * count, bins=range(6)), [3]) == [name]
    assert names_of(ClassBands.from_labels(["a"] * count), ["a"]) == [name]


@pytest.mark.parametrize("build", ["from_density", "from_bin_counts"])
def test_thresholds_must_not_cross(build):
    arguments = {"bins": 3} if build == "from_bin_counts" else {}
    with pytest.raises(ValueError, match="few_below"):
        getattr(LabelBands, build)([1.0, 2.0, 3.0], many_above=1, few_below=2, **arguments)


def test_distributions_stand_for_their_expected_scores():
    distributions = RNG.dirichlet(np.ones(10), size=80)
    scores = expected_score(distributions)
    for build in (LabelBands.from_percentiles, LabelBands.from_density):
        assert build(distributions) == build(scores)
    bands = LabelBands.from_percentiles(scores)
    np.testing.assert_array_equal(bands.assign(distributions), bands.assign(scores))


def test_label_bands_survive_pickling_and_dicts():
    bands = LabelBands.from_density(RNG.normal(size=100))
    assert pickle.loads(pickle.dumps(bands)) == bands
    assert LabelBands(**bands.to_dict()) == bands


def test_intervals_cover_the_label_axis():
    bands = LabelBands.from_density(RNG.normal(size=300))
    intervals = bands.intervals
    assert intervals[0][1] == -np.inf
    assert intervals[-1][2] == np.inf
    for (name, _, high), (next_name, low, _) in pairwise(intervals):
        assert high == low
        assert name != next_name
        assert names_of(bands, [high]) == [name]


def test_class_bands_of_unsorted_classes_and_of_unseen_ones():
    bands = ClassBands(["d", "b", "a"], [5, 500, 50])
    assert names_of(bands, ["a", "b", "c", "d", "z"]) == ["medium", "many", "few", "few", "few"]
    assert bands.counts == {"many": 500, "medium": 50, "few": 5}
    reloaded = pickle.loads(pickle.dumps(bands))
    np.testing.assert_array_equal(reloaded.assign(["a", "d"]), [MEDIUM, FEW])


def test_class_bands_from_labels_are_those_from_counts():
    y = RNG.integers(0, 30, size=900) ** 2 % 31
    from_labels = ClassBands.from_labels(y, many_above=60, few_below=25)
    classes, counts = np.unique(y, return_counts=True)
    from_counts = ClassBands(classes, counts, many_above=60, few_below=25)
    np.testing.assert_array_equal(from_labels.assign(y), from_counts.assign(y))
    assert from_labels.counts == from_counts.counts
    assert sum(from_labels.counts.values()) == 900


@pytest.mark.parametrize(("classes", "counts"), [([0, 1], [3]), ([0, 0], [3, 4])])
def test_class_bands_need_one_count_per_class(classes, counts):
    with pytest.raises(ValueError, match="one count for each"):
        ClassBands(classes, counts)


@pytest.mark.parametrize(
    ("classes", "labels"),
    [([1, 2, 10], ["1", "2", "10"]), (["1", "2"], [1, 2]), (["a"], np.array(["a", 1], object))],
)
def test_classes_are_not_of_another_kind_than_labels(classes, labels):
    bands = ClassBands(classes, np.full(len(classes), 500))
    with pytest.raises(ValueError, match="must all be strings or all be numbers"):
        bands.assign(labels)
    np.testing.assert_array_equal(bands.assign(np.array(classes, object)), 0)


def test_classes_of_several_numeric_types():
    bands = ClassBands([0, 1], [500, 5])
    np.testing.assert_array_equal(bands.assign([0.0, 1.0]), [0, 2])
    np.testing.assert_array_equal(bands.assign([False, True]), [0, 2])
