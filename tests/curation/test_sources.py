import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from ltlearn.curation import FolderSource, RowPool


@pytest.fixture
def bank(tmp_path, pictures):
    """Class folders with good, damaged, empty and hidden files."""
    root = tmp_path / "bank"
    for name, colors in {"Sea_Lions": [10, 60, 90], "mink": [120]}.items():
        (root / name).mkdir(parents=True)
        for i, color in enumerate(colors):
            data = pictures.encode(pictures.make((color, 0, 0), seed=color))
            (root / name / f"{i}.png").write_bytes(data)
    (root / "mink" / "damaged.png").write_bytes(data[: len(data) // 2])
    (root / "mink" / "empty.jpg").write_bytes(b"")
    (root / "mink" / "notes.txt").write_text("not an image")
    (root / "mink" / ".hidden.png").write_bytes(data)
    (root / "mink" / "nested").mkdir()
    (root / ".git").mkdir()
    return root


def test_folder_candidates(bank, tmp_path):
    source = FolderSource(bank)
    assert source.class_names() == ["Sea_Lions", "mink"]
    candidates = list(source.fetch(["mink", "sea lion", "unicorn"], tmp_path))
    assert [(c.name, Path(c.source).name, bool(c.problem)) for c in candidates] == [
        ("mink", "0.png", False),
        ("mink", "damaged.png", True),
        ("mink", "empty.jpg", True),
        ("mink", "notes.txt", True),
        ("sea lion", "0.png", False),
        ("sea lion", "1.png", False),
        ("sea lion", "2.png", False),
    ]
    for candidate in candidates:
        if candidate.problem:
            assert candidate.item is None
            assert Path(candidate.source).name in candidate.problem
        else:
            data = Path(candidate.item).read_bytes()
            assert candidate.checksum == hashlib.sha256(data).hexdigest()


def test_folder_takes_the_first_of_each_class(bank, tmp_path):
    candidates = list(FolderSource(bank, max_per_class=2).fetch(["sea lions"], tmp_path))
    assert [Path(c.item).name for c in candidates] == ["0.png", "1.png"]


@pytest.mark.parametrize("number", [0, -1])
def test_the_number_of_a_class_is_positive(bank, number):
    with pytest.raises(ValueError, match="max_per_class"):
        FolderSource(bank, max_per_class=number)


def test_table_of_images(bank, tmp_path):
    table = bank / "bank.csv"
    table.write_text(
        "path,class,license,creator,ignored\n"
        "Sea_Lions/1.png,sea lion,cc0,Ann,x\n"
        f"{bank / 'mink' / '0.png'},mink,,,\n"
        "mink/missing.png,mink,,,\n"
    )
    source = FolderSource(table)
    assert source.class_names() == ["mink", "sea lion"]
    mink, missing, lion = source.fetch(["mink", "sea lion"], tmp_path)
    assert (mink.license, lion.license, lion.creator) == ("", "cc0", "Ann")
    assert Path(mink.item) == bank / "mink" / "0.png"
    assert Path(lion.item) == bank / "Sea_Lions" / "1.png"
    assert "missing.png cannot be read" in missing.problem


def test_bad_banks(tmp_path):
    (tmp_path / "bank.csv").write_text("file,class\nx.png,mink\n")
    with pytest.raises(ValueError, match=r"bank\.csv lacks the column path"):
        FolderSource(tmp_path / "bank.csv").class_names()
    with pytest.raises(FileNotFoundError):
        FolderSource(tmp_path / "nowhere").class_names()
    for row in (",mink", "x.png", "x.png,"):
        (tmp_path / "bank.csv").write_text(f"path,class\n{row}\n")
        with pytest.raises(ValueError, match=r"bank\.csv has a row with .*needs both"):
            FolderSource(tmp_path / "bank.csv").class_names()


def test_a_spreadsheets_byte_order_mark_is_no_column(bank, tmp_path):
    (bank / "bank.csv").write_text("path,class\nmink/0.png,mink\n", encoding="utf-8-sig")
    [candidate] = FolderSource(bank / "bank.csv").fetch(["mink"], tmp_path)
    assert not candidate.problem


def test_a_copied_bank_gives_the_same_order(bank, tmp_path):
    shutil.copytree(bank, tmp_path / "copy")

    def names(root):
        candidates = FolderSource(root).fetch(["mink", "sea lion"], tmp_path)
        return [Path(candidate.source).name for candidate in candidates]

    assert names(bank) == names(tmp_path / "copy")


def test_labelled_rows(tmp_path):
    X = np.arange(10.0).reshape(5, 2)
    pool = RowPool(X, [1.0, 10, 1.0, 10, 2.5])
    assert pool.class_names() == ["1", "10", "2.5"]
    candidates = list(pool.fetch(["10", "1"], tmp_path))
    assert [c.source for c in candidates] == ["row 1", "row 3", "row 0", "row 2"]
    np.testing.assert_array_equal([c.item for c in candidates], X[[1, 3, 0, 2]])
    assert len({c.checksum for c in candidates}) == 4


def test_classes_that_only_look_alike_stay_apart(bank, tmp_path):
    pool = RowPool(np.arange(12.0).reshape(4, 3), ["A+", "A-"] * 2)
    candidates = list(pool.fetch(["A+"], tmp_path))
    assert [c.source for c in candidates] == ["row 0", "row 2"]
    for name in ("caps", "capes"):
        (bank / name).mkdir()
        shutil.copy(bank / "mink" / "0.png", bank / name / f"{name}.png")
    [candidate] = FolderSource(bank).fetch(["capes"], tmp_path)
    assert Path(candidate.item).name == "capes.png"


def test_unlabelled_rows_are_clustered(tmp_path):
    rng = np.random.default_rng(0)
    centers = np.array([[0, 0], [10, 0], [0, 10]])
    group = rng.integers(0, 3, 60)
    X = centers[group] + rng.normal(0, 0.1, (60, 2))
    pool = RowPool(X, n_clusters=3, random_state=0)
    assert pool.class_names() == ["cluster 0", "cluster 1", "cluster 2"]
    for name in pool.class_names():
        rows = [int(c.source.split()[1]) for c in pool.fetch([name], tmp_path)]
        assert len(set(group[rows])) == 1
    np.testing.assert_array_equal(pool.labels, RowPool(X, n_clusters=3, random_state=0).labels)


def test_bad_rows():
    with pytest.raises(ValueError, match="2 rows and 3 labels"):
        RowPool([[1.0], [2.0]], ["a", "b", "c"])
    with pytest.raises(ValueError, match="NaN"):
        RowPool([[np.nan]], ["a"])
