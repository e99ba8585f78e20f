import itertools
import runpy
import sys

import pytest
from PIL import Image

from ltlearn.curation import __main__ as main_module
from ltlearn.curation import load_curated
from ltlearn.curation.__main__ import main

COLORS = {"red": (220, 40, 40), "blue": (40, 40, 220), "orange": (220, 120, 40)}


@pytest.fixture
def folders(tmp_path, pictures, monkeypatch, mean_color):
    """Folders of training, test and bank images; mean colors stand for the backbone."""
    seeds = itertools.count()
    for part, names in {
        "train": ("red", "blue"),
        "test": ("red", "blue"),
        "bank": ("orange",),
    }.items():
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(4):
                image = Image.fromarray(pictures.make(COLORS[name], seed=next(seeds)))
                image.save(tmp_path / part / name / f"{i}.png")
    leak = (tmp_path / "test" / "red" / "0.png").read_bytes()
    (tmp_path / "bank" / "orange" / "leak.png").write_bytes(leak)
    (tmp_path / "names.csv").write_text("anchor,name\nred,orange\nblue,Blue whale\n")
    monkeypatch.setattr(main_module, "_features", lambda options: mean_color)
    return tmp_path


def arguments(folder, *more):
    bank = ["--bank", str(folder / "bank")]
    return ["--train", str(folder / "train"), "--out", str(folder / "out"), *bank, *more]


def test_a_whole_run(folders, capsys):
    protect = ["--protect", f"test={folders / 'test'}"]
    thresholds = ["--anchor-similarity", "0.7", "--duplicate-similarity", "1.0"]
    names = ["--names", str(folders / "names.csv")]
    main(arguments(folders, *names, *protect, *thresholds))
    assert "4 of 5 candidates kept in 1 auxiliary classes" in capsys.readouterr().out
    data = load_curated(folders / "out")
    assert data.neighbors == {"red": ["orange"]}
    [leak] = [row for row in data.rows if not row.kept]
    assert leak.source.endswith("leak.png")
    assert "test[" in leak.reason
    assert (folders / "out" / "contact_sheet.html").exists()


def test_dry_run_shows_names_and_does_nothing(folders, capsys):
    main(arguments(folders, "--names", str(folders / "names.csv"), "--dry-run"))
    printed = capsys.readouterr().out
    assert "red: orange" in printed
    assert "blue: Blue whale (dropped: contains the target class 'blue')" in printed
    main(arguments(folders, "--dry-run"))
    assert capsys.readouterr().out == "orange\n"
    main(arguments(folders, "--llm", "some-model", "--dry-run", "--n-names", "2", "4"))
    printed = capsys.readouterr().out
    assert "Target class: blue\nNumber of categories: 4" in printed
    assert "2 requests with about" in printed
    assert not (folders / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--protect", "x"], "not of the form NAME=FOLDER"),
        (["--names", "a.csv", "--llm", "b"], "not allowed with"),
        (["--openverse"], "not allowed with"),
    ],
)
def test_bad_arguments(folders, capsys, more, message):
    with pytest.raises(SystemExit):
        main(arguments(folders, *more))
    assert message in capsys.readouterr().err


def test_the_web_needs_names(folders, capsys):
    with pytest.raises(SystemExit):
        main(["--train", str(folders / "train"), "--out", str(folders / "out"), "--openverse"])
    assert "--openverse needs --names" in capsys.readouterr().err


def test_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["curation", "--help"])
    monkeypatch.delitem(sys.modules, "ltlearn.curation.__main__")
    with pytest.raises(SystemExit) as exit_status:
        runpy.run_module("ltlearn.curation", run_name="__main__")
    assert exit_status.value.code == 0
    assert "--dry-run" in capsys.readouterr().out
