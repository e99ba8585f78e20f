"""The rooms of the package: each imports only what stands above it in CONTRIBUTING.md."""

import ast
import re
from pathlib import Path

import pytest

import ltlearn

PACKAGE = Path(ltlearn.__file__).parent
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"


def listed_layers():
    """Rooms of each line of the list in CONTRIBUTING.md, from the ground up."""
    listing = re.search(r"## The rooms\n.*?```\n(.*?)```", CONTRIBUTING.read_text(), re.DOTALL)
    lines = [line for line in listing[1].splitlines() if line[:1].strip()]
    return [re.findall(r"([a-z_]+)(?:/|\.py)", line.split("   ")[0]) for line in lines]


LEVEL = {room: level for level, rooms in enumerate(listed_layers()) for room in rooms}


def room_of(module):
    return module.split(".")[1] if module.startswith("ltlearn.") else None


def imports_of(path):
    """Rooms that a module imports at any level of nesting, with the line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module]
            if node.module == "ltlearn":
                modules = [f"ltlearn.{alias.name}" for alias in node.names]
        else:
            continue
        rooms = [room_of(module) for module in modules]
        yield from ((room, node.lineno) for room in rooms if room not in (None, "_version"))


def forbidden_imports(room, path):
    return [
        f"{path.name}:{line} imports {other}"
        for other, line in imports_of(path)
        if other != room and LEVEL[other] >= LEVEL[room]
    ]


def files_of(room):
    single = PACKAGE / f"{room}.py"
    return [single] if single.exists() else sorted((PACKAGE / room).rglob("*.py"))


def test_every_room_is_listed():
    rooms = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    rooms |= {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms - {"_version"} == set(LEVEL)


@pytest.mark.parametrize("room", LEVEL)
def test_rooms_import_what_stands_above(room):
    assert [each for path in files_of(room) for each in forbidden_imports(room, path)] == []


def test_a_forbidden_import_is_found(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from ltlearn.estimators import ELTARegressor\n")
    assert forbidden_imports("losses", module) == ["module.py:2 imports estimators"]
    module.write_text("from ltlearn import features, exceptions\n")
    assert forbidden_imports("losses", module) == ["module.py:1 imports features"]


def test_few_private_modules_lie_at_the_root():
    assert len(list(PACKAGE.glob("_[a-z]*.py"))) <= 3


def top_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


@pytest.mark.parametrize("room", ["losses", "enhancers", "objectives", "networks"])
def test_what_works_in_any_loop_knows_neither_skorch_nor_scikit_learn(room):
    for path in files_of(room):
        assert not {"skorch", "sklearn"} & set(top_packages(path)), path


def test_skorch_is_known_to_training_alone():
    users = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if "skorch" in top_packages(path)
    }
    assert users == {"training"}


def lines_of_code(path):
    """Lines that are neither blank, comments nor docstrings."""
    source = path.read_text()
    skipped = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            skipped |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in skipped
        for number, line in enumerate(source.splitlines(), 1)
    )


def test_no_module_is_long():
    assert {path: n for path in PACKAGE.rglob("*.py") if (n := lines_of_code(path)) > 400} == {}
