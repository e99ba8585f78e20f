"""What is loaded is what was judged, lies where it may, and is nothing that must be kept apart."""

import csv
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from ltlearn.curation import (
    Candidate,
    FeatureFilter,
    FolderSource,
    ListProposer,
    RowPool,
    curate,
    load_curated,
    write_contact_sheet,
)
from ltlearn.exceptions import CurationError

RED, BLUE, ORANGE = (220, 40, 40), (40, 40, 220), (220, 110, 40)


class Copied:
    """A source that puts its images into the output folder, as one that fetches does.

    It gives no checksums, as a user's own source may not.
    """

    def __init__(self, bank):
        self.bank = bank

    def fetch(self, names, folder):
        (folder / "images").mkdir(exist_ok=True)
        for path in sorted(self.bank.iterdir()):
            copy = folder / "images" / path.name
            shutil.copy(path, copy)
            yield Candidate("orange", path.name, str(copy))


@pytest.fixture
def paths(tmp_path, pictures):
    """Training, test and bank images in files."""

    def save(part, color, n, seed):
        (tmp_path / part).mkdir(exist_ok=True)
        found = []
        for i in range(n):
            found.append(str(tmp_path / part / f"{seed + i}.png"))
            Image.fromarray(pictures.make(color, seed=seed + i)).save(found[-1])
        return found

    return {
        "training": save("train", RED, 6, 0) + save("train", BLUE, 3, 100),
        "test": save("test", RED, 2, 200),
        "bank": save("bank", ORANGE, 4, 300),
    }


@pytest.fixture
def run(paths, tmp_path, mean_color):
    def start(source=None):
        return curate(
            paths["training"],
            ["red"] * 6 + ["blue"] * 3,
            source=source or Copied(tmp_path / "bank"),
            folder=tmp_path / "out",
            proposer=ListProposer({"red": ["orange"]}),
            filter=FeatureFilter(mean_color, anchor_similarity=0.7, duplicate_similarity=1.0),
            protected={"test": paths["test"]},
            verbose=0,
        )

    return start


@pytest.fixture
def edit(tmp_path):
    """Changes a cell of the manifest in the row of a source."""

    def change(source, **cells):
        path = tmp_path / "out" / "manifest.csv"
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        [row] = [row for row in rows if row["source"].endswith(source)]
        row.update(cells)
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, row.keys())
            writer.writeheader()
            writer.writerows(rows)

    return change


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def test_what_was_judged_is_loaded(run, tmp_path):
    data = run()
    assert len(data.X_aux) == 4
    loaded = load_curated(tmp_path / "out")
    assert [sha256(path) for path in loaded.X_aux] == [row.checksum for row in data.rows]
    assert [sha256(path) for path in sorted((tmp_path / "bank").iterdir())] == [
        row.checksum for row in sorted(data.rows, key=lambda row: row.source)
    ]


@pytest.mark.parametrize("where", ["absolute", "relative", "link", "folder link"])
def test_files_outside_are_refused(where, run, edit, paths, tmp_path):
    run()
    outside = tmp_path / "elsewhere" / "x.png"
    outside.parent.mkdir()
    shutil.copy(paths["bank"][0], outside)
    images = tmp_path / "out" / "images"
    if where == "link":
        (images / "300.png").unlink()
        (images / "300.png").symlink_to(outside)
    elif where == "folder link":
        (images / "more").symlink_to(outside.parent, target_is_directory=True)
        edit("300.png", file="images/more/x.png")
    else:
        edit("300.png", file=str(outside) if where == "absolute" else "../elsewhere/x.png")
    with pytest.raises(CurationError, match=r"keeps 1 candidates whose files are outside .*bank="):
        load_curated(tmp_path / "out")
    assert len(load_curated(tmp_path / "out", bank=outside.parent).X_aux) == 4


@pytest.mark.parametrize("file", ["a\0b.png", "x" * 5000])
def test_names_that_no_file_can_have(file, run, edit, tmp_path):
    run()
    edit("300.png", file=file)
    with pytest.raises(CurationError, match="keeps 1 candidates whose files are"):
        load_curated(tmp_path / "out")


def test_a_local_bank_is_named(run, paths, tmp_path):
    (tmp_path / "classes").mkdir()
    (tmp_path / "bank").rename(tmp_path / "classes" / "orange")
    data = run(FolderSource(tmp_path / "classes"))
    assert len(data.X_aux) == 4
    with pytest.raises(CurationError, match="keeps 4 candidates whose files are outside"):
        load_curated(tmp_path / "out")
    with pytest.raises(CurationError, match="keeps 4 candidates whose files are outside"):
        load_curated(tmp_path / "out", bank=tmp_path / "train")
    banks = [tmp_path / "train", tmp_path / "classes"]
    for bank in (tmp_path / "classes", str(tmp_path / "classes"), banks):
        assert load_curated(tmp_path / "out", bank=bank).X_aux.tolist() == data.X_aux.tolist()


@pytest.mark.parametrize("change", ["gone", "other image", "one byte", "training image"])
def test_changed_files_are_refused(change, run, paths, pictures, tmp_path):
    run()
    path = tmp_path / "out" / "images" / "301.png"
    if change == "gone":
        path.unlink()
    elif change == "other image":
        Image.fromarray(pictures.make(ORANGE, seed=77)).save(path)
    elif change == "one byte":
        path.write_bytes(path.read_bytes() + b"\0")
    else:
        shutil.copy(paths["training"][0], path)
    with pytest.raises(CurationError, match=r"keeps 1 candidates .* have changed .*301\.png"):
        load_curated(tmp_path / "out")


@pytest.mark.parametrize("kind", ["training", "test"])
def test_protected_files_are_refused_even_with_their_own_checksum(kind, run, edit, paths, tmp_path):
    run()
    path = tmp_path / "out" / "images" / "301.png"
    shutil.copy(paths[kind][1], path)
    edit("301.png", checksum=sha256(path))
    with pytest.raises(CurationError, match=rf"301\.png|copies of {kind} images") as caught:
        load_curated(tmp_path / "out")
    assert f"keeps 1 candidates that are copies of {kind} images" in str(caught.value)


def test_a_rejected_row_may_be_anything(run, edit, paths, tmp_path):
    run()
    edit("301.png", decision="reject", file="../../nowhere.png", checksum="")
    assert len(load_curated(tmp_path / "out").X_aux) == 3


def test_without_a_checksum_nothing_is_loaded(run, edit, tmp_path):
    run()
    edit("301.png", checksum="")
    with pytest.raises(CurationError, match="have changed"):
        load_curated(tmp_path / "out")


@pytest.mark.parametrize(
    "broken", [{"targets": [3]}, {"targets": [{"name": "red"}]}, {"protected": 3}]
)
def test_damaged_metadata(broken, run, tmp_path):
    run()
    path = tmp_path / "out" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **broken}))
    with pytest.raises(CurationError, match=r"manifest\.json is damaged"):
        load_curated(tmp_path / "out")


def test_the_contact_sheet_shows_no_other_image(run, edit, paths, tmp_path):
    data = run()
    path = tmp_path / "out" / "images" / "301.png"
    before = write_contact_sheet(data.folder, data.rows).read_text().count("data:image/jpeg")
    shutil.copy(paths["training"][0], path)
    page = write_contact_sheet(data.folder, data.rows).read_text()
    assert page.count("data:image/jpeg") == before - 1
    assert '<div class="thumbnail">changed</div>' in page


def test_feature_rows_need_no_files(tmp_path):
    rng = np.random.default_rng(0)
    X = np.repeat(np.eye(3)[:2], 10, axis=0) + rng.normal(0, 0.1, (20, 3))
    pool = RowPool(np.repeat(np.eye(3)[1:2], 5, axis=0) + rng.normal(0, 0.2, (5, 3)), ["x"] * 5)
    judge = FeatureFilter("passthrough", anchor_similarity=0.5, duplicate_similarity=1.0)
    labels = np.repeat([0, 1], 10)
    data = curate(X, labels, source=pool, folder=tmp_path, filter=judge, verbose=0)
    assert len(data.X_aux)
    assert "protected" not in json.loads((tmp_path / "manifest.json").read_text())


def test_a_file_outside_is_not_taken_from_the_journal(serve, pictures, tmp_path):
    """A journal from elsewhere, or an image that was changed: the image is fetched again."""
    from ltlearn.curation import FetchRules, SearchResult, WebSource

    server = serve()
    server.routes["/1.png"] = server.fixed(pictures.encode(pictures.make(ORANGE)))

    class Search:
        def search(self, query, n):
            return [SearchResult(f"{server.url}/1.png")]

    rules = FetchRules(allow_networks=("127.0.0.1/32",), delay=0)
    source = WebSource(Search(), rules=rules)
    [candidate] = source.fetch(["orange"], tmp_path / "out")
    asked = server.hits.count("/1.png")
    list(source.fetch(["orange"], tmp_path / "out"))
    assert server.hits.count("/1.png") == asked

    with open(candidate.item, "ab") as file:
        file.write(b"\0")
    list(source.fetch(["orange"], tmp_path / "out"))
    assert server.hits.count("/1.png") == asked + 1

    outside = tmp_path / "x.png"
    shutil.copy(candidate.item, outside)
    journal = tmp_path / "out" / "journal.jsonl"
    relative = os.path.relpath(candidate.item, tmp_path / "out")
    journal.write_text(journal.read_text().replace(relative, "../x.png"))
    [again] = source.fetch(["orange"], tmp_path / "out")
    assert again.item == candidate.item
    assert server.hits.count("/1.png") == asked + 2
