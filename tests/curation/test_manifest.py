import csv
from dataclasses import asdict, replace

import pytest

from ltlearn.curation import Candidate, ManifestRow, Proposal, Verdict
from ltlearn.curation._manifest import (
    apply_edits,
    make_rows,
    neighbors_of,
    read_earlier,
    read_manifest,
    read_metadata,
    write_manifest,
)
from ltlearn.exceptions import CurationError


@pytest.fixture
def rows(tmp_path):
    candidates = [
        Candidate("mink", "u1", str(tmp_path / "images" / "1.png"), checksum="c1", license="cc0"),
        Candidate("mink", "u2", "/elsewhere/2.png"),
        Candidate("=cmd()", "u3", None, "cannot be decoded", creator="@Ann, 'the' \"great\""),
        Candidate("mole", "u1", "/elsewhere/3.png", landing_page="'=quoted"),
    ]
    verdicts = [
        Verdict(True, "near otter, seal", "otter", 0.91234, ("otter", "seal")),
        Verdict(False, "not near otter", "otter", -0.5, ()),
        Verdict(False, "cannot be decoded"),
        Verdict(True, "near mouse", "mouse", 0.8, ("mouse",)),
    ]
    proposals = [
        Proposal("otter", "mink", "llm:x", "hash"),
        Proposal("seal", "mink", "wordnet"),
        Proposal("mouse", "mole", "list"),
    ]
    return make_rows(candidates, verdicts, proposals, tmp_path)


def test_rows(rows):
    first, second, third, _ = rows
    assert (first.decision, first.automatic, first.similarity) == ("keep", "keep", "0.9123")
    assert (first.proposer, first.prompt_hash) == ("llm:x", "hash")
    assert (first.file, second.file, third.file) == ("images/1.png", "/elsewhere/2.png", "")
    assert (third.anchor, third.similarity, third.proposer) == ("", "", "")


def test_round_trip(rows, tmp_path):
    decided = replace(rows[2], decision="keep")
    metadata = {"a": "é", "targets": []}
    write_manifest(tmp_path, rows, {**metadata, "by_hand": [asdict(decided)]})
    assert read_manifest(tmp_path) == rows
    assert read_metadata(tmp_path) == {**metadata, "by_hand": [decided]}
    assert read_earlier(tmp_path) == ([decided], rows)
    assert read_earlier(tmp_path / "nowhere") == ([], [])


def test_metadata_without_decisions(rows, tmp_path):
    write_manifest(tmp_path, rows, {"targets": []})
    assert read_metadata(tmp_path) == {"targets": [], "by_hand": []}
    assert read_earlier(tmp_path) == ([], rows)


def test_no_cell_is_a_formula(rows, tmp_path):
    write_manifest(tmp_path, rows, {})
    with open(tmp_path / "manifest.csv", newline="") as table:
        cells = [cell for line in csv.reader(table) for cell in line]
    assert "'=cmd()" in cells
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_neighbors(rows):
    assert neighbors_of(rows) == {"mouse": ["mole"], "otter": ["mink"], "seal": ["mink"]}
    rows[0].decision = "reject"
    rows[1].decision = "keep"  # near nothing: counts for its anchor
    assert neighbors_of(rows) == {"mouse": ["mole"], "otter": ["mink"]}


def test_edits_hold_and_outlive_a_changed_filter(rows):
    edited = [replace(row) for row in rows]
    edited[0].decision, edited[1].decision = "reject", "keep"
    fresh = [replace(row) for row in rows]
    assert apply_edits(fresh, edited) == []
    assert [row.decision for row in fresh] == ["reject", "keep", "reject", "keep"]
    assert [row.automatic for row in fresh] == ["keep", "reject", "reject", "keep"]
    assert fresh[0].reason == "decided by hand: reject; without: near otter, seal"

    # The filter comes to agree, then to disagree again: the decision stays a person's.
    agreeing = [
        replace(rows[0], decision="reject", automatic="reject"),
        replace(rows[1], decision="keep", automatic="keep"),
        *rows[2:],
    ]
    apply_edits(agreeing, fresh)
    again = [replace(row) for row in rows]
    apply_edits(again, agreeing)
    assert [row.decision for row in again] == ["reject", "keep", "reject", "keep"]


def test_an_edit_can_be_taken_back(rows):
    edited = [replace(rows[0], decision="reject"), *rows[1:]]
    held = [replace(row) for row in rows]
    apply_edits(held, edited)
    held[0].decision = "keep"
    again = [replace(row) for row in rows]
    apply_edits(again, held)
    assert again == rows


def test_edits_that_cannot_hold_are_reported(rows):
    undecodable = replace(rows[2], decision="keep")
    gone = replace(rows[0], source="gone", automatic="reject")
    rejected = replace(rows[0], source="gone too", decision="reject")
    changed = replace(rows[0], checksum="other", decision="reject")
    edits = [undecodable, gone, rejected, changed]
    fresh = [replace(row) for row in rows]
    assert apply_edits(fresh, edits) == edits
    assert fresh == rows
    # Their candidates come back.
    assert apply_edits([*edits, replace(rows[2], anchor="otter")], edits) == []


def test_the_later_of_two_edits_counts(rows):
    edits = [replace(rows[0], decision="reject"), replace(rows[0])]
    fresh = [replace(row) for row in rows]
    assert apply_edits(fresh, edits) == []
    assert fresh == rows


@pytest.mark.parametrize("written", ["KEEP", " keep ", "Keep"])
def test_decisions_are_read_leniently(rows, tmp_path, written):
    write_manifest(tmp_path, [replace(rows[1], decision=written)], {})
    assert read_manifest(tmp_path)[0].kept


def test_unreadable_edits_are_errors(rows, tmp_path):
    write_manifest(tmp_path, [rows[0], replace(rows[1], decision="maybe")], {})
    with pytest.raises(CurationError, match="row 3: the decision is 'maybe'"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("name,source\na,b\n")
    with pytest.raises(CurationError, match="lacks the column"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_bytes("é".encode("latin-1"))
    with pytest.raises(CurationError, match="not a CSV file in UTF-8"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("cell", [{"near": ""}, {"near": "[1]"}, {"near": "{}"}, {"near": "otter"}])
@pytest.mark.parametrize("similarity", ["0.5", "high"])
def test_other_cells_must_be_of_their_kind(rows, tmp_path, cell, similarity):
    write_manifest(tmp_path, [rows[0], replace(rows[1], similarity=similarity, **cell)], {})
    with pytest.raises(CurationError, match=r"manifest\.csv, row 3: "):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *["", "{", "[]", "{}", '{"by_hand": []}'],
        *['{"targets": [], "by_hand": 1}', '{"targets": [], "by_hand": [{"a": 1}]}'],
    ],
)
def test_damaged_metadata(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CurationError, match=r"manifest\.json is damaged"):
        read_earlier(tmp_path)


def test_a_spreadsheets_byte_order_mark_is_no_column(rows, tmp_path):
    write_manifest(tmp_path, rows, {})
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_manifest(tmp_path) == rows


def test_every_column_is_documented():
    for name in ManifestRow.__dataclass_fields__:
        assert name in ManifestRow.__doc__
