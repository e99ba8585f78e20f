"""The documentation names what there is: public names have pages, code on pages has real names."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ltlearn

ROOT = Path(__file__).parents[1]


def load_extension(name):
    path = ROOT / "docs" / "_extensions" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = load_extension("api_reference").pages()


def public_objects():
    """Every name in the ``__all__`` of a module without a leading underscore in its path."""
    modules = [ltlearn]
    for info in pkgutil.walk_packages(ltlearn.__path__, "ltlearn."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            modules.append(importlib.import_module(info.name))
    for module in modules:
        for name in getattr(module, "__all__", []):
            if not name.startswith("__"):
                yield f"{module.__name__}.{name}", name, getattr(module, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [pytest.param(name, value, id=path) for path, name, value in public_objects()],
)
def test_every_public_name_has_a_page(name, value):
    page = PAGES[f"{name}.rst"]
    module = re.search(r"\.\. currentmodule:: (\S+)", page)[1]
    directive, documented = re.search(r"\.\. auto(\w+):: (\w+)", page).groups()
    assert documented == name
    assert getattr(importlib.import_module(module), name) is value
    assert (directive == "class") == isinstance(value, type)
    assert re.search(rf"^   {name}$", PAGES["index.rst"], re.MULTILINE)


def test_every_page_is_that_of_a_name():
    names = {name for _, name, _ in public_objects()} | set(vars(ltlearn.exceptions))
    assert {page.removesuffix(".rst") for page in PAGES} <= names | {"index"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=name)
        for name, value in {n: v for _, n, v in public_objects()}.items()
        if isinstance(value, type) and not issubclass(value, tuple)
    ],
)
def test_pages_of_classes_have_their_methods(name, value):
    ours = {
        method
        for method in dir(value)
        if not method.startswith("_")
        and callable(function := getattr(value, method))
        and (getattr(function, "__module__", None) or "").startswith("ltlearn.")
        and inspect.getdoc(function)
    }
    # Of torch modules, the two that every module has.
    ours -= {"forward", "extra_repr", "get_metadata_routing"}
    assert ours <= set(re.findall(r"automethod:: (\w+)", PAGES[f"{name}.rst"]))


def test_pages_differ_by_more_than_capitals():
    # Some file systems do not tell capitals apart.
    assert len({page.lower() for page in PAGES}) == len(PAGES)


def python_blocks():
    """Code of the pages that are written by hand, with where it stands."""
    for path in sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("[cg]*/*.md")]):
        text = path.read_text(encoding="utf-8")
        pattern = r"^```(?:python|\{code-block\} python)\n(.*?)^```"
        for number, code in enumerate(re.findall(pattern, text, re.DOTALL | re.MULTILINE)):
            yield pytest.param(code, id=f"{path.relative_to(ROOT)}-{number}")


@pytest.mark.parametrize("code", list(python_blocks()))
def test_code_on_pages_uses_names_and_arguments_that_exist(code):
    imported = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "ltlearn":
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"
                imported[alias.asname or alias.name] = getattr(module, alias.name)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            function = imported.get(node.func.id)
            if function is not None:
                parameters = inspect.signature(function).parameters
                keywords = {keyword.arg for keyword in node.keywords}
                assert keywords <= set(parameters), node.func.id


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name)
def test_nested_names_on_pages_exist(path):
    text = path.read_text(encoding="utf-8")
    known = {
        name
        for estimator in (ltlearn.ELTARegressor(), ltlearn.GranularClassifier())
        for name in estimator.get_params()
    }
    topics = "training|architecture|images|bins|enhancers|auxiliary"
    assert set(re.findall(rf"\b(?:{topics})__\w+", text)) <= known


def test_the_layout_check_finds_what_is_cut_off_and_what_can_hardly_be_read(tmp_path):
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("no browser")
    wide = '<b id="b" style="display: inline-block; width: 600px">wide</b>'
    scrolling = f'<div style="overflow-x: auto">{wide}</div>'
    pale = '<i style="color: #ccc; background: #fff">pale</i>'
    for name, body in {"good": scrolling, "wide": wide, "pale": pale}.items():
        text = f"<!doctype html><body style='margin: 0; overflow-x: hidden'><main>{body}</main>"
        (tmp_path / f"{name}.html").write_text(text)
    command = [sys.executable, str(ROOT / "docs" / "check_layout.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("3 pages in 4 views, 6 problems")
    assert "good.html" not in done.stderr
    assert "wide.html, 390 px, dark: cut off: b" in done.stderr
    assert "pale.html, 1280 px, light: low contrast: i" in done.stderr
