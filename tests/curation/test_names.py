import itertools

import numpy as np
import pytest

from ltlearn.curation import Proposal, Target, class_targets, screen
from ltlearn.curation._names import matching_names, same_name


def targets(*names, n_names=10):
    return [Target(name, 1, n_names) for name in names]


def reason_for(name, *target_names):
    accepted, dropped = screen([Proposal(target_names[0], name, "test")], targets(*target_names))
    assert len(accepted) + len(dropped) == 1
    return dropped[0][1] if dropped else None


@pytest.mark.parametrize(
    "name",
    ["otter", "Otter", "OTTERS", "  otter_ ", "otters!"],
)
def test_names_equal_to_a_target_are_dropped(name):
    assert reason_for(name, "otter", "seal") == "equals the target class 'otter'"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("pick-up trucks", "pickup_truck"),
        ("Sea Lion", "sealion"),
        ("mice", "mouse"),
        ("berries", "berry"),
        ("leaves", "leaf"),
        ("knives", "knife"),
        ("buses", "bus"),
        ("dormice", "dormouse"),
        ("cafe", "ｃafe"),
        ("Covid-19", "covid 19"),
        ("St. Bernard", "st bernard"),
        ("fold_1_5", "Fold 1 5"),
        ("x > 5", "x>5"),
        ("[1]", "1"),
    ],
)
def test_spelling_and_number_do_not_matter(name, target):
    assert same_name(name, target)
    assert reason_for(name, target).startswith("equals")
    assert reason_for(target, name).startswith("equals")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A+", "A-"),
        ("A", "A-"),
        ("C", "C++"),
        ("C", "C#"),
        ("x>5", "x<5"),
        ("grade 1.5", "grade 15"),
        ("fold_1_5", "fold_15"),
        ("ages 2-5", "ages 25"),
        ("1/2 inch", "12 inch"),
        ("cluster -1", "cluster 1"),
        ("?", "!"),
        ("caps", "capes"),
        ("tubes", "tubs"),
        ("pins", "pines"),
        ("caves", "cafe"),
    ],
)
def test_names_that_only_look_alike(first, second):
    for name, other in ((first, second), (second, first)):
        assert not same_name(name, other)
        assert matching_names(name, [other]) == []
        assert "equals" not in (reason_for(name, other) or "")
        proposals = [Proposal("otter", each, "test") for each in (name, other)]
        accepted, _ = screen(proposals, targets("otter"))
        assert [proposal.name for proposal in accepted] == [name, other]


def test_the_name_itself_comes_before_names_like_it():
    names = ["Sea Lion", "sea_lions", "seal"]
    assert matching_names("Sea Lion", names) == ["Sea Lion"]
    assert matching_names("sea-lion", names) == ["Sea Lion", "sea_lions"]
    assert matching_names("sea", names) == []


@pytest.mark.parametrize("name", ["Siamese cat", "cat, wild", "house-cats", "wild cats of Asia"])
def test_names_that_contain_a_target_are_dropped(name):
    assert reason_for(name, "cat") == "contains the target class 'cat'"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("catfish", "cat"),
        ("caterpillar", "cat"),
        ("tree", "oak tree"),
        ("glass", "gla"),
        ("princess", "prince"),
        ("cluster 1", "1"),
        ("10", "1.0"),
        ("-1", "1"),
    ],
)
def test_other_names_pass(name, target):
    assert reason_for(name, target) is None


@pytest.mark.parametrize("name", ["", "  ", "!?"])
def test_empty_names_are_dropped(name):
    reason = reason_for(name, "cat")
    assert name == "!?" or reason == "is empty"


def test_a_repeat_is_dropped_for_one_anchor_and_joins_anchors_across():
    proposals = [
        Proposal("otter", "Sea Lion", "a"),
        Proposal("otter", "sea_lions", "a"),
        Proposal("seal", "sealions", "b"),
    ]
    accepted, dropped = screen(proposals, targets("otter", "seal"))
    assert [(p.anchor, p.name) for p in accepted] == [("otter", "Sea Lion"), ("seal", "Sea Lion")]
    assert [reason for _, reason in dropped] == ["repeats a name of the same anchor"]


def test_no_more_names_than_wanted():
    proposals = [Proposal("cat", name, "test") for name in ("cat", "dog", "fox", "yak")]
    accepted, dropped = screen(proposals, targets("cat", n_names=2))
    assert [p.name for p in accepted] == ["dog", "fox"]
    assert [reason for _, reason in dropped] == [
        "equals the target class 'cat'",
        "exceeds the 2 names wanted for the anchor",
    ]


def test_unknown_anchor_is_an_error():
    with pytest.raises(ValueError, match=r"'dog'.*not a target class.*cat"):
        screen([Proposal("dog", "fox", "test")], targets("cat"))


def test_more_names_for_smaller_classes():
    counts = np.array([500, 120, 40, 40, 9, 5])
    y = np.repeat(np.arange(6), counts)
    found = class_targets(y, n_names=(2, 12))
    assert list(found) == list(range(6))
    assert [target.count for target in found.values()] == counts.tolist()
    wanted = [target.n_names for target in found.values()]
    expected = [round(2 + 10 * np.log(500 / n) / np.log(500 / 5)) for n in counts]
    assert wanted == expected
    assert all(a <= b for a, b in itertools.pairwise(wanted))
    assert (wanted[0], wanted[-1]) == (2, 12)


def test_balanced_classes_all_get_the_most():
    assert {t.n_names for t in class_targets(["a", "b", "a", "b"]).values()} == {10}


def test_class_names_are_used_and_must_differ():
    found = class_targets([3, 7], class_names={3: "otter"})
    assert {label: target.name for label, target in found.items()} == {3: "otter", 7: "7"}
    with pytest.raises(ValueError, match="same class name: otter"):
        class_targets([3, 7], class_names={3: "otter", 7: "otter"})


@pytest.mark.parametrize(
    ("class_names", "message"),
    [
        (["otter", "seal"], "must map labels to names; got a list"),
        ({"3": "otter"}, "none of the labels, the first of which is 3; its first key is '3'"),
    ],
)
def test_class_names_about_something_else(class_names, message):
    with pytest.raises(ValueError, match=message):
        class_targets([3, 7], class_names=class_names)


def test_whole_floats_are_named_like_integers():
    found = class_targets([1.0, 2.0, 2.5])
    assert {label: target.name for label, target in found.items()} == {1: "1", 2: "2", 2.5: "2.5"}


@pytest.mark.parametrize("n_names", [(0, 3), (5, 2)])
def test_bad_number_of_names(n_names):
    with pytest.raises(ValueError, match="n_names"):
        class_targets(["a", "b"], n_names=n_names)
