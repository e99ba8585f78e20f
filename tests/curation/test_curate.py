"""The four steps together."""

import csv
import json
import os
import warnings

import filelock
import numpy as np
import pytest
from PIL import Image

from ltlearn.curation import (
    FeatureFilter,
    FetchRules,
    FolderSource,
    ListProposer,
    RowPool,
    SearchResult,
    WebSource,
    curate,
    load_curated,
)
from ltlearn.exceptions import CurationError, CurationWarning

RED, BLUE = (220, 40, 40), (40, 40, 220)
AUXILIARY = {"orange": (220, 110, 40), "violet": (110, 40, 220), "green": (40, 220, 40)}
SEEDS = {"orange": 1000, "violet": 2000, "green": 3000}
NAMES = {
    "red": ["orange", "Red wine", "oranges", "green"],
    "blue": ["violet", "blues", "red"],
}


@pytest.fixture
def problem(pictures):
    """Red and blue images: training, test."""

    def images(color, n, seed):
        return [pictures.make(color, seed=seed + i) for i in range(n)]

    X = np.stack(images(RED, 12, 0) + images(BLUE, 3, 100))
    test = np.stack(images(RED, 4, 200) + images(BLUE, 4, 300))
    return X, np.array([1] * 12 + [0] * 3), test


@pytest.fixture
def bank(tmp_path, pictures, problem):
    """Images by class folder, with copies of test images, repeats and damaged files planted."""
    _, _, test = problem
    root = tmp_path / "bank"
    for label, color in AUXILIARY.items():
        (root / label).mkdir(parents=True)
        for i in range(8):
            image = Image.fromarray(pictures.make(color, seed=SEEDS[label] + i))
            image.save(root / label / f"{i}.png")
    Image.fromarray(test[0]).save(root / "orange" / "leak.png")
    Image.fromarray(test[7]).save(root / "violet" / "leak.jpg", quality=90)
    (root / "violet" / "repeat.png").write_bytes((root / "violet" / "3.png").read_bytes())
    (root / "orange" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root


@pytest.fixture
def run(tmp_path, problem, bank, mean_color):
    X, y, test = problem

    def start(**options):
        settings = {
            "source": FolderSource(bank),
            "folder": tmp_path / "out",
            "proposer": ListProposer(NAMES),
            "filter": FeatureFilter(mean_color, anchor_similarity=0.7, duplicate_similarity=1.0),
            "protected": {"test": test},
            "class_names": {1: "red", 0: "blue"},
            "verbose": 0,
        }
        return curate(X, y, **{**settings, **options})

    return start


def table(folder):
    with open(folder / "manifest.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_everything_together(run, bank):
    data = run()
    assert data.neighbors == {1: ["orange"], 0: ["violet"]}
    assert set(data.y_aux) == {"orange", "violet"}
    assert data.X_aux.shape == data.y_aux.shape == (16,)
    assert all(os.path.isabs(path) for path in data.X_aux)
    reasons = {os.path.relpath(row.source, bank): row.reason for row in data.rows if not row.kept}
    assert reasons["orange/leak.png"].startswith("near-duplicate of test[0]")
    assert reasons["violet/leak.jpg"].startswith("near-duplicate of test[7] (pixels")
    assert reasons["violet/repeat.png"].startswith("near-duplicate of an earlier candidate")
    assert "damaged.png" in reasons["orange/damaged.png"]
    assert len([name for name in reasons if name.startswith("green")]) == 8
    assert len(reasons) == 12
    assert "16 of 28 candidates kept in 2 auxiliary classes" in repr(data)


def test_the_record(run, tmp_path):
    data = run()
    folder = tmp_path / "out"
    rows = table(folder)
    assert len(rows) == len(data.rows) == 28
    kept = [row for row in rows if row["decision"] == "keep"]
    assert {(row["name"], row["anchor"], row["proposer"]) for row in kept} == {
        ("orange", "red", "list"),
        ("violet", "blue", "list"),
    }
    assert all(len(row["checksum"]) == 64 and row["retrieved"] for row in kept)
    metadata = json.loads((folder / "manifest.json").read_text())
    assert [(t["label"], t["name"], t["count"]) for t in metadata["targets"]] == [
        (0, "blue", 3),
        (1, "red", 12),
    ]
    assert {(d["name"], d["reason"]) for d in metadata["dropped_names"]} == {
        ("Red wine", "contains the target class 'red'"),
        ("oranges", "repeats a name of the same anchor"),
        ("blues", "equals the target class 'blue'"),
        ("red", "equals the target class 'red'"),
    }
    assert metadata["neighbors"] == {"blue": ["violet"], "red": ["orange"]}
    assert metadata["decisions"] == {"keep": 16, "reject": 12}
    assert "FolderSource" in metadata["source"]
    assert "anchor_similarity=0.7" in metadata["filter"]
    frame = data.to_frame()
    assert frame["decision"].value_counts().to_dict() == {"keep": 16, "reject": 12}


def test_running_again_changes_nothing(run, tmp_path):
    first = run()
    second = run()
    assert first.X_aux.tolist() == second.X_aux.tolist()
    assert first.neighbors == second.neighbors


def test_loading(run, tmp_path):
    data = run()
    loaded = load_curated(tmp_path / "out", bank=tmp_path / "bank")
    assert loaded.neighbors == data.neighbors
    assert loaded.y_aux.tolist() == data.y_aux.tolist()
    assert list(map(os.path.samefile, loaded.X_aux, data.X_aux)) == [True] * 16


def edit(folder, **decisions):
    """Change decisions of files by name, as a person would in a spreadsheet."""
    path = folder / "manifest.csv"
    rows = table(folder)
    for row in rows:
        name = os.path.basename(row["source"]).replace(".", "_")
        row["decision"] = decisions.get(f"{row['name']}_{name}", row["decision"])
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_edits_hold_in_the_next_run_and_when_loaded(run, tmp_path):
    run()
    edit(tmp_path / "out", orange_3_png="reject", green_5_png="keep", violet_leak_jpg="keep")
    loaded = load_curated(tmp_path / "out", bank=tmp_path / "bank")
    again = run()
    for data in (loaded, again):
        kept = {
            f"{name}/{os.path.basename(path)}"
            for name, path in zip(data.y_aux, data.X_aux, strict=True)
        }
        assert {"green/5.png", "violet/leak.jpg"} < kept
        assert "orange/3.png" not in kept
        assert data.neighbors == {1: ["green", "orange"], 0: ["violet"]}
    reasons = {row["source"]: row["reason"] for row in table(tmp_path / "out")}
    assert sum(reason.startswith("decided by hand") for reason in reasons.values()) == 3
    assert run().X_aux.tolist() == again.X_aux.tolist()


def test_rejecting_a_whole_class_by_hand_removes_the_neighbor(run, tmp_path):
    run()
    edit(tmp_path / "out", **{f"orange_{i}_png": "reject" for i in range(8)})
    assert run().neighbors == {0: ["violet"]}


def test_keeping_a_damaged_file_warns(run, tmp_path):
    run()
    edit(tmp_path / "out", orange_damaged_png="keep")
    with pytest.raises(CurationError, match=r"1 candidates that have no file.*damaged\.png"):
        load_curated(tmp_path / "out", bank=tmp_path / "bank")
    with pytest.warns(CurationWarning, match=r"1 decisions made by hand wait.*damaged\.png"):
        data = run()
    assert len(data.y_aux) == 16


def test_edits_outlive_runs_without_the_candidate(run, bank, tmp_path):
    """A class folder is moved away, and back; the runs between warn once."""
    automatic = run()
    edit(tmp_path / "out", orange_3_png="reject", orange_leak_png="keep")
    by_hand = run()
    assert by_hand.X_aux.tolist() != automatic.X_aux.tolist()
    (bank / "orange").rename(tmp_path / "away")
    with pytest.warns(CurationWarning, match="2 decisions made by hand wait"):
        run()
    assert run().neighbors == {0: ["violet"]}
    (tmp_path / "away").rename(bank / "orange")
    again = run()
    assert again.X_aux.tolist() == by_hand.X_aux.tolist()
    edit(tmp_path / "out", orange_3_png="keep", orange_leak_png="reject")
    assert run().X_aux.tolist() == automatic.X_aux.tolist()
    assert not any("by hand" in row.reason for row in run().rows)


def test_an_edit_is_about_the_content_that_was_seen(run, bank, tmp_path, problem):
    """A file kept by hand is overwritten with a copy of a training image."""
    run()
    edit(tmp_path / "out", green_5_png="keep")
    assert "green" in run().y_aux
    seen = (bank / "green" / "5.png").read_bytes()
    Image.fromarray(problem[0][0]).save(bank / "green" / "5.png")
    with pytest.warns(CurationWarning, match=r"1 decisions made by hand wait.*5\.png"):
        data = run()
    assert "green" not in data.y_aux
    (bank / "green" / "5.png").write_bytes(seen)
    assert "green" in run().y_aux


def test_a_candidate_listed_twice_is_one(run, bank, tmp_path):
    rows = ["path,class", *[f"orange/{i}.png,orange" for i in (0, 1, 2, 3, 1, 2)]]
    (bank / "bank.csv").write_text("\n".join(rows))
    options = {"source": FolderSource(bank / "bank.csv"), "protected": None}
    assert len(run(**options).rows) == 4
    edit(tmp_path / "out", orange_1_png="reject")
    assert len(run(**options).X_aux) == 3


@pytest.mark.parametrize("step", [1, 2])
def test_edits_outlive_a_kill_between_the_two_files(run, bank, tmp_path, monkeypatch, step):
    """Killed before the first, or between the first and the second file is replaced."""
    run()
    edit(tmp_path / "out", orange_3_png="reject", violet_4_png="reject")
    by_hand = run()

    def killed_run():
        done, replace = [], os.replace

        def dying(*args):
            done.append(args)
            if len(done) == step:
                raise KeyboardInterrupt
            replace(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying)
            with pytest.raises(KeyboardInterrupt):
                run()

    (bank / "orange").rename(tmp_path / "away")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CurationWarning)
        killed_run()
        run()
    (tmp_path / "away").rename(bank / "orange")
    killed_run()
    assert run().X_aux.tolist() == by_hand.X_aux.tolist()


def test_an_unfinished_manifest_is_not_loaded(run, tmp_path):
    with pytest.raises(FileNotFoundError):
        load_curated(tmp_path)
    run()
    (tmp_path / "out" / "manifest.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"manifest\.csv"):
        load_curated(tmp_path / "out", bank=tmp_path / "bank")


def test_a_neighbor_that_is_no_target_class(run, tmp_path):
    run()
    path = tmp_path / "out" / "manifest.csv"
    path.write_text(path.read_text().replace('""red""', '""read""'))
    with pytest.raises(CurationError, match="near read, which are no target classes"):
        load_curated(tmp_path / "out", bank=tmp_path / "bank")


def test_an_unreadable_edit_is_an_error_before_any_work(run, tmp_path):
    run()
    edit(tmp_path / "out", orange_3_png="perhaps")

    class Unused:
        def propose(self, targets, folder):
            raise AssertionError

    with pytest.raises(CurationError, match="perhaps"):
        run(proposer=Unused())


@pytest.mark.parametrize("step", ["fetch", "decide", "replace"])
def test_an_interrupted_run_leaves_the_old_data_set(run, tmp_path, monkeypatch, step):
    run()
    folder = tmp_path / "out"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    owner = {"fetch": FolderSource, "decide": FeatureFilter, "replace": os}[step]
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    run()


def test_without_proposer_the_filter_finds_the_neighbors(run, bank, pictures):
    (bank / "dark reds").mkdir()
    Image.fromarray(pictures.make((150, 20, 20), seed=9)).save(bank / "dark reds" / "0.png")
    data = run(proposer=None)
    assert data.neighbors == {1: ["orange"], 0: ["violet"]}
    assert {row.name for row in data.rows} == {"orange", "violet", "green"}
    dropped = json.loads((data.folder / "manifest.json").read_text())["dropped_names"]
    assert {(d["name"], d["reason"]) for d in dropped} == {
        ("dark reds", "contains the target class 'red'")
    }


def test_any_object_with_the_methods_is_a_step(problem, tmp_path):
    """Steps written from the protocols' documentation alone."""
    from ltlearn.curation import Candidate, Proposal, Verdict

    class OneName:
        def propose(self, targets, folder):
            return [Proposal(target.name, f"near {target.name}x", "own") for target in targets]

    class OneRow:
        def fetch(self, names, folder):
            return [Candidate(name, "row 0", np.ones(2)) for name in names]

    class All:
        def fit(self, X, y, *, protected):
            self.classes = set(y)
            return self

        def decide(self, candidates, anchors):
            assert set(anchors) == {"near 0x", "near 1x"}
            return [Verdict(True, "why not", "0", 1.0, ("0",)) for _ in candidates]

    X, y, _ = problem
    data = curate(
        X, y, proposer=OneName(), source=OneRow(), filter=All(), folder=tmp_path, verbose=0
    )
    assert data.neighbors == {0: ["near 0x", "near 1x"]}
    np.testing.assert_array_equal(data.X_aux, np.ones((2, 2)))


@pytest.fixture
def rows_problem():
    rng = np.random.default_rng(0)
    centers = np.eye(6)
    X = np.repeat(centers[:2], [40, 4], axis=0) + rng.normal(0, 0.1, (44, 6))
    y = np.array(["head"] * 40 + ["tail"] * 4)
    group = np.repeat([2, 3, 4], 15)
    shift = {2: centers[1] + 0.4 * centers[2], 3: centers[3], 4: centers[0] + 0.4 * centers[4]}
    pool = np.array([shift[g] for g in group]) + rng.normal(0, 0.1, (45, 6))
    return X, y, pool, group


def test_labelled_rows(rows_problem, tmp_path):
    X, y, pool, group = rows_problem
    pool[7] = X[41]
    labels = np.array(["", "", "like this", "far", "like that"])[group]
    data = curate(X, y, source=RowPool(pool, labels), folder=tmp_path, verbose=0)
    assert data.neighbors == {"head": ["like that"], "tail": ["like this"]}
    assert data.X_aux.shape == (len(data.y_aux), 6)
    kept = [int(row.source.split()[1]) for row in data.rows if row.kept]
    np.testing.assert_array_equal(data.X_aux, pool[kept])
    np.testing.assert_array_equal(data.y_aux, labels[kept])
    assert 7 not in kept
    assert not (tmp_path / "contact_sheet.html").exists()
    with pytest.raises(CurationError, match="have no file"):
        load_curated(tmp_path)


def test_no_target_class_is_its_own_neighbor(rows_problem, tmp_path):
    """Labels of the targets are floats, those of the pool integers."""
    X, y, pool, group = rows_problem
    pool[::3] = np.eye(6)[0]
    codes = np.where(y == "head", 1.0, 2.0)
    labels = np.where(np.arange(len(pool)) % 3 == 0, 1, group + 1)
    filter = FeatureFilter("passthrough", anchor_similarity=0.5)
    source = RowPool(pool, labels)
    data = curate(X, codes, source=source, folder=tmp_path, filter=filter, verbose=0)
    assert data.neighbors == {1.0: ["5"], 2.0: ["3"]}
    assert "1" not in {row.name for row in data.rows}


def test_unlabelled_rows(rows_problem, tmp_path):
    X, y, pool, group = rows_problem
    source = RowPool(pool, n_clusters=3, random_state=0)
    data = curate(X, y, source=source, folder=tmp_path, verbose=0)
    kept = np.array([int(row.source.split()[1]) for row in data.rows if row.kept])
    assert set(group[kept]) == {2, 4}
    [tail_cluster] = data.neighbors["tail"]
    assert set(group[source.labels == tail_cluster]) == {2}


def test_nothing_near_warns(rows_problem, tmp_path):
    X, y, pool, group = rows_problem
    with pytest.warns(CurationWarning, match="None of 15 candidates was kept"):
        data = curate(
            X,
            y,
            source=RowPool(pool[group == 3], ["far"] * 15),
            folder=tmp_path,
            verbose=0,
        )
    assert data.neighbors == {}
    assert data.X_aux.shape == (0, 6)
    assert data.y_aux.shape == (0,)


def test_no_image_kept(run, tmp_path, mean_color):
    with pytest.warns(CurationWarning, match="None of 28 candidates was kept"):
        data = run(filter=FeatureFilter(mean_color, anchor_similarity=1.0))
    with pytest.warns(CurationWarning, match="None of 28 candidates was kept"):
        loaded = load_curated(tmp_path / "out", bank=tmp_path / "bank")
    for each in (data, loaded):
        assert each.X_aux.shape == each.y_aux.shape == (0,)
        assert each.X_aux.dtype.kind == each.y_aux.dtype.kind == "U"


class Untouched:
    """Proposer and source that must not be asked."""

    def propose(self, targets, folder):
        raise AssertionError

    def fetch(self, names, folder):
        raise AssertionError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": ["red"] * 14}, "inconsistent numbers of samples"),
        ({"y": ["red"] * 15}, "at least two target classes"),
        ({"y": [b"red"] * 14 + [b"blue"]}, "text, numbers or booleans; got b'blue'"),
        ({"y": [1.0] * 14 + [np.nan]}, "text, numbers or booleans; got nan"),
        ({"X": ["no_such_photo.jpg"] * 15}, r"no_such_photo\.jpg"),
        ({"protected": {"test": ["no_such_photo.jpg"]}}, r"no_such_photo\.jpg"),
        ({"anchor_similarity": 7}, "anchor_similarity"),
    ],
)
def test_bad_arguments_are_errors_before_any_work(problem, tmp_path, mean_color, options, message):
    X, y, _ = problem
    threshold = {"anchor_similarity": options.pop("anchor_similarity", 0.7)}
    settings = {"X": X, "y": y, "filter": FeatureFilter(mean_color, **threshold), **options}
    with pytest.raises((ValueError, OSError), match=message):
        curate(
            **settings,
            source=Untouched(),
            proposer=Untouched(),
            folder=tmp_path,
            verbose=0,
        )


def test_no_usable_name_is_an_error(run):
    with pytest.raises(CurationError, match=r"No usable name was proposed.*equals the target"):
        run(proposer=ListProposer({"red": ["blue"]}))


def test_a_source_without_classes_needs_a_proposer(run):
    with pytest.raises(CurationError, match="WebSource does not know its classes"):
        run(source=WebSource(None), proposer=None)


def test_one_run_at_a_time(run, tmp_path):
    (tmp_path / "out").mkdir()
    with (
        filelock.FileLock(tmp_path / "out" / ".lock"),
        pytest.raises(CurationError, match="Another run is using"),
    ):
        run()


def test_from_the_web_with_an_interruption(run, serve, pictures, tmp_path, mean_color):
    """Interrupted between fetching and assembling; the second run fetches nothing again."""
    server = serve()
    found = {"orange": [], "violet": [], "green": []}
    for name, color in AUXILIARY.items():
        for i in range(4):
            path = f"/{name}{i}.png"
            image = pictures.make(color, seed=SEEDS[name] + i)
            server.routes[path] = server.fixed(pictures.encode(image))
            found[name].append(server.url + path)

    class Search:
        def search(self, query, n):
            return [SearchResult(url, license="cc0") for url in found[query]]

    rules = FetchRules(allow_networks=("127.0.0.1/32",), delay=0)
    source = WebSource(Search(), rules=rules)

    class Interrupted(FeatureFilter):
        def decide(self, candidates, anchors):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source=source, filter=Interrupted(mean_color))
    folder = tmp_path / "out"
    assert not (folder / "manifest.csv").exists()
    hits = list(server.hits)
    assert len(hits) == len(set(hits)) == 13  # twelve images and robots.txt
    data = run(source=source)
    assert server.hits == hits
    assert data.neighbors == {1: ["orange"], 0: ["violet"]}
    assert {row.license for row in data.rows} == {"cc0"}
    assert all(row.file.startswith("images/") for row in data.rows)
    moved = tmp_path / "moved"
    folder.rename(moved)
    assert len(load_curated(moved).X_aux) == 8
