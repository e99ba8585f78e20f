import os
from collections import defaultdict
from pathlib import Path

import pytest

from ltlearn.curation import Target, WordNetProposer, screen
from ltlearn.exceptions import CurationWarning

DEBIAN = Path("/usr/share/wordnet")

# Synset: its words, and its hypernym. "seal" has two senses, the fastener being the first.
NOUNS = {
    "entity": (["entity"], None),
    "fastener": (["fastener"], "entity"),
    "seal-wax": (["seal"], "fastener"),
    "button": (["button"], "fastener"),
    "mammal": (["mammal"], "entity"),
    "pinniped": (["pinniped", "pinnatiped"], "mammal"),
    "seal-animal": (["seal"], "pinniped"),
    "walrus": (["walrus", "seahorse"], "pinniped"),
    "earless": (["earless_seal"], "seal-animal"),
    "crabeater": (["crabeater"], "seal-animal"),
    "otter": (["otter"], "mammal"),
}


def write_wordnet(folder, nouns):
    """Database files of WordNet (wndb(5WN)) that hold some nouns, and no other words."""
    for part in ("noun", "verb", "adj", "adv"):
        for name in (f"data.{part}", f"index.{part}", f"{part}.exc"):
            (folder / name).write_text("")

    def line(synset, offsets):
        words, hypernym = nouns[synset]
        hyponyms = [other for other, (_, parent) in nouns.items() if parent == synset]
        pointers = [("@", hypernym)] if hypernym else []
        pointers += [("~", hyponym) for hyponym in hyponyms]
        fields = [f"{offsets[synset]:08d}", "05", "n", f"{len(words):02x}"]
        fields += [f"{word} 0" for word in words]
        fields += [f"{len(pointers):03d}"]
        fields += [f"{symbol} {offsets[other]:08d} n 0000" for symbol, other in pointers]
        return " ".join([*fields, "| a gloss  \n"])

    offsets = dict.fromkeys(nouns, 0)
    position = 0
    for synset in nouns:  # the length of a line does not depend on the offsets in it
        offsets[synset] = position
        position += len(line(synset, offsets))
    (folder / "data.noun").write_text("".join(line(synset, offsets) for synset in nouns))
    senses = defaultdict(list)
    for synset, (words, _) in nouns.items():
        for word in words:
            senses[word].append(offsets[synset])
    index = [
        f"{word} n {len(found)} 2 @ ~ {len(found)} 0 "
        + " ".join(f"{offset:08d}" for offset in found)
        + "  \n"
        for word, found in sorted(senses.items())
    ]
    (folder / "index.noun").write_text("".join(index))


@pytest.fixture
def wordnet(tmp_path):
    write_wordnet(tmp_path, NOUNS)
    return tmp_path


def names_for(proposer, *names):
    targets = [Target(name, 1, 10) for name in names]
    found = defaultdict(list)
    for proposal in proposer.propose(targets, None):
        assert proposal.proposer == "wordnet"
        found[proposal.anchor].append(proposal.name)
    return dict(found)


def test_siblings_then_hyponyms_of_each_sense_in_turn(wordnet):
    assert names_for(WordNetProposer(wordnet), "seal") == {
        "seal": ["button", "walrus", "earless seal", "crabeater"]
    }


def test_a_named_sense_is_the_only_one(wordnet):
    proposer = WordNetProposer(wordnet, senses={"seal": "seal.n.02"})
    assert names_for(proposer, "seal") == {"seal": ["walrus", "earless seal", "crabeater"]}


@pytest.mark.parametrize("sense", ["nonsense", "seal.n.09", "seal.x.01", "unheard-of.n.01", 5])
def test_a_sense_that_wordnet_lacks(wordnet, sense):
    with pytest.raises(ValueError, match=rf"no synset {sense!r}, given for 'seal'.*like"):
        names_for(WordNetProposer(wordnet, senses={"seal": sense}), "seal")


def test_other_targets_and_their_synonyms_are_not_proposed(wordnet):
    found = names_for(WordNetProposer(wordnet), "seal", "seahorse", "button")
    assert found["seal"] == ["earless seal", "crabeater"]


def test_what_contains_the_class_is_dropped_afterwards(wordnet):
    targets = [Target("seal", 1, 10)]
    accepted, dropped = screen(WordNetProposer(wordnet).propose(targets, None), targets)
    assert [p.name for p in accepted] == ["button", "walrus", "crabeater"]
    assert [p.name for p, _ in dropped] == ["earless seal"]


def test_vocabulary_by_distance(wordnet):
    vocabulary = ["otter", "crabeater", "walrus", "unheard-of", "seal", "button"]
    proposer = WordNetProposer(wordnet, vocabulary=vocabulary)
    # crabeater: 1 step down; walrus: up and down; button: likewise from the other sense;
    # otter: up twice (pinniped, mammal), down once.
    assert names_for(proposer, "seal") == {"seal": ["crabeater", "walrus", "button", "otter"]}
    proposer = WordNetProposer(wordnet, vocabulary=vocabulary, max_distance=2)
    assert names_for(proposer, "seal") == {"seal": ["crabeater", "walrus", "button"]}


def test_underscores_spaces_and_case(wordnet):
    proposer = WordNetProposer(wordnet, vocabulary=["Earless seal", "earless_seal"])
    assert names_for(proposer, "Crabeater") == {"Crabeater": ["Earless seal", "earless_seal"]}


def test_unknown_targets_are_named(wordnet):
    with pytest.warns(CurationWarning, match="does not know the nouns spoon, fork"):
        found = names_for(WordNetProposer(wordnet), "spoon", "otter", "fork")
    assert list(found) == ["otter"]


def test_missing_database_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="wordnet-base"):
        names_for(WordNetProposer(tmp_path), "otter")


@pytest.mark.skipif(
    not (DEBIAN / "data.noun").exists(), reason="needs Debian's package wordnet-base"
)
def test_the_real_database():
    found = names_for(WordNetProposer(), "dolphin", "bus")
    assert "porpoise" in found["dolphin"]
    assert "trolleybus" in found["bus"]


def test_nothing_is_downloaded(wordnet, monkeypatch):
    monkeypatch.setenv("NLTK_DATA", os.devnull)
    monkeypatch.setattr("socket.socket.connect", None)
    assert names_for(WordNetProposer(wordnet), "otter") == {"otter": ["pinniped"]}
