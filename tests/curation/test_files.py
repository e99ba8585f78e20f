import pytest

from ltlearn.curation._files import Journal, write_atomically
from ltlearn.exceptions import CurationError


def test_journal_survives_reopening(tmp_path):
    journal = Journal(tmp_path / "new" / "journal.jsonl")
    journal.append(url="a", reason="é\n")
    journal.append(url="b")
    assert Journal(journal.path).entries == [{"url": "a", "reason": "é\n"}, {"url": "b"}]


@pytest.mark.parametrize("keep", [1, 5, 9])
def test_torn_last_line_is_dropped(tmp_path, keep):
    path = tmp_path / "journal.jsonl"
    Journal(path).append(n=1)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"n": 22}\n'[:keep])
    journal = Journal(path)
    assert journal.entries == [{"n": 1}]
    journal.append(n=3)
    assert Journal(path).entries == [{"n": 1}, {"n": 3}]


def test_damage_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"n": 1\n{"n": 2}\n')
    with pytest.raises(CurationError, match="damaged"):
        Journal(path)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
