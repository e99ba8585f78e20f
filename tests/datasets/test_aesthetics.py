"""Label files matched with their images."""

from pathlib import Path

import numpy as np
import pytest

from ltlearn.datasets import read_aadb, read_ava, read_para, read_tad66k
from ltlearn.exceptions import BadImageError, BadImageWarning

SCORE_READERS = [read_aadb, read_tad66k, read_para]
VOTES = np.random.default_rng(0).integers(0, 50, (4, 10)) + 1


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    (folder / "session1").mkdir(parents=True)
    for name in ("11.jpg", "12.png", "13.JPG", "a.b.jpeg", "session1/14.jpg"):
        (folder / name).touch()
    return folder


def write(path, header, rows):
    lines = [",".join(map(str, row)) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def ava_file(tmp_path, ids=(11, 12, 13, "a.b"), votes=VOTES):
    header = ["image_id", *(f"score{k}" for k in range(2, 12)), "score"]
    rows = [[i, *v, 5.5] for i, v in zip(ids, votes, strict=True)]
    return write(tmp_path / "ava.csv", header, rows)


def names(paths, folder):
    return [str(Path(path).relative_to(folder)) for path in paths]


def test_ava(folder, tmp_path):
    paths, y = read_ava(folder, ava_file(tmp_path))
    assert names(paths, folder) == ["11.jpg", "12.png", "13.JPG", "a.b.jpeg"]
    assert all(isinstance(path, str) for path in paths)
    np.testing.assert_array_equal(y, VOTES)


@pytest.mark.parametrize("read", SCORE_READERS)
def test_scores(read, folder, tmp_path):
    ids = ["12.png", "session1/14", "11"]
    labels = write(
        tmp_path / "labels.csv",
        ["theme", "image_id", "score"],
        [["sea", i, s] for i, s in zip(ids, (0.1, 2.5, 7), strict=True)],
    )
    paths, y = read(folder, labels)
    assert names(paths, folder) == ["12.png", str(Path("session1/14.jpg")), "11.jpg"]
    np.testing.assert_array_equal(y, [0.1, 2.5, 7])


def test_extensions_in_any_case(folder, tmp_path):
    files = ["3.Jpg", "4.tif", "5.TIFF", "6.WebP", "session1/7.GIF"]
    for name in [*files, "8.txt"]:
        (folder / name).touch()
    ids = [name.rpartition(".")[0] for name in files]
    labels = write(tmp_path / "labels.csv", ["image_id", "score"], [[i, 1] for i in [*ids, 8]])
    with pytest.warns(BadImageWarning, match="1 of 6 .*: 8"):
        paths, _ = read_aadb(folder, labels, on_missing="drop")
    assert names(paths, folder) == [str(Path(name)) for name in files]


def test_a_name_with_several_extensions_is_found_in_a_fixed_order(folder, tmp_path):
    for suffix in ("png", "jpeg", "bmp"):
        (folder / f"3.{suffix}").touch()
    labels = write(tmp_path / "labels.csv", ["image_id", "score"], [[3, 1], ["3.png", 2]])
    paths, _ = read_aadb(folder, labels)
    assert names(paths, folder) == ["3.jpeg", "3.png"]


@pytest.mark.parametrize("other", ["11", "11.jpg"])
def test_two_rows_for_an_image(other, folder, tmp_path):
    rows = [[11, 1], [12, 2], [other, 3]]
    labels = write(tmp_path / "labels.csv", ["image_id", "score"], rows)
    with pytest.raises(ValueError, match=rf"two rows for .*11\.jpg: '11' and '{other}'"):
        read_aadb(folder, labels)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings(encoding, folder, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("image_id,score\n11,3\nété,4\n", encoding=encoding)
    with pytest.raises(ValueError, match=r"labels\.csv is not in UTF-8"):
        read_aadb(folder, labels)


def test_byte_order_mark_and_spaces(folder, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_bytes(b"\xef\xbb\xbfimage_id, score\r\n11, 0.5\r\n\r\n")
    paths, y = read_aadb(str(folder), str(labels))
    assert names(paths, folder) == ["11.jpg"]
    assert y.tolist() == [0.5]


def test_missing_images_are_counted_and_listed(folder, tmp_path):
    ids = [11, *range(90, 99)]
    labels = write(tmp_path / "labels.csv", ["image_id", "score"], [[i, 1] for i in ids])
    with pytest.raises(BadImageError, match=r"9 of 10 images .*: 90, 91, 92, 93, 94, \.\.\."):
        read_aadb(folder, labels)
    with pytest.warns(BadImageWarning, match="9 of 10") as caught:
        paths, y = read_aadb(folder, labels, on_missing="drop")
    assert Path(caught[0].filename).name == Path(__file__).name
    assert names(paths, folder) == ["11.jpg"]
    assert y.tolist() == [1]


def test_dropping_keeps_votes_with_their_images(folder, tmp_path):
    labels = ava_file(tmp_path, ids=(11, 99, 13, 98))
    with pytest.warns(BadImageWarning, match="2 of 4 .*: 99, 98"):
        paths, y = read_ava(folder, labels, on_missing="drop")
    assert names(paths, folder) == ["11.jpg", "13.JPG"]
    np.testing.assert_array_equal(y, VOTES[[0, 2]])


def test_nothing_left(folder, tmp_path):
    labels = write(tmp_path / "labels.csv", ["image_id", "score"], [[99, 1]])
    with pytest.raises(BadImageError, match="1 of 1"):
        read_aadb(folder, labels, on_missing="drop")


def test_no_folder(tmp_path):
    labels = write(tmp_path / "labels.csv", ["image_id", "score"], [[99, 1]])
    with pytest.raises(BadImageError, match="no folder"):
        read_aadb(tmp_path / "nowhere", labels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image_id,rating\n11,3\n", r"no column score; its first line is 'image_id,rating'"),
        ("", "no column image_id, score"),
        ("image_id,score\n", "no rows"),
        ("image_id,score\n11,3\n12,good\n", "Line 3"),
        ("image_id,score\n11,\n", "Line 2"),
        ("image_id,score\n11\n", "Line 2"),
        ("image_id,score\n,3\n", "Line 2"),
        ("image_id,score\n11,nan\n", "Line 2"),
    ],
)
def test_broken_label_files(content, message, folder, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_aadb(folder, labels)


@pytest.mark.parametrize("bad", [0, -1])
def test_votes_must_be_counts(bad, folder, tmp_path):
    votes = VOTES.copy()
    votes[2] = bad
    with pytest.raises(ValueError, match=r"1 images without votes .*13\.JPG"):
        read_ava(folder, ava_file(tmp_path, votes=votes))


def test_on_missing_is_checked(folder, tmp_path):
    with pytest.raises(ValueError, match="on_missing"):
        read_ava(folder, ava_file(tmp_path), on_missing="ignore")
