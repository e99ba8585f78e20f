import pytest

from ltlearn.curation import ListProposer


def pairs(names):
    return [(proposal.anchor, proposal.name) for proposal in ListProposer(names).propose([])]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_table_of_names(tmp_path, encoding):
    path = tmp_path / "names.csv"
    path.write_text("anchor,name\notter,mink\notter,bièvre\n", encoding=encoding)
    assert pairs(path) == pairs({"otter": ["mink", "bièvre"]})
    assert pairs(path) == [("otter", "mink"), ("otter", "bièvre")]


@pytest.mark.parametrize("row", ["otter", "otter,", ",mink"])
def test_a_row_needs_both(tmp_path, row):
    (tmp_path / "names.csv").write_text(f"anchor,name\n{row}\n")
    with pytest.raises(ValueError, match=r"names\.csv has a row with .*needs both"):
        pairs(tmp_path / "names.csv")


def test_bad_names(tmp_path):
    with pytest.raises(ValueError, match="names of 'otter' are not a list but the text 'mink'"):
        pairs({"otter": "mink"})
    (tmp_path / "names.csv").write_text("target,name\notter,mink\n")
    with pytest.raises(ValueError, match=r"names\.csv lacks the column anchor"):
        pairs(tmp_path / "names.csv")
    (tmp_path / "names.csv").write_bytes("anchor,name\notter,bièvre\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"names\.csv is not a CSV file in UTF-8"):
        pairs(tmp_path / "names.csv")
