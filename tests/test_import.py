"""Importing ltlearn stays cheap, and its layers stay apart."""

import ast
import subprocess
import sys
from pathlib import Path

import ltlearn

PACKAGE = Path(ltlearn.__file__).parent


def test_import_leaves_heavy_and_optional_packages_alone():
    heavy = ["timm", "torchvision", "PIL", "matplotlib", "openai", "httpx2", "nltk"]
    heavy += ["httpcore2", "protego", "filelock", "jsonschema", "huggingface_hub"]
    code = f"import sys, ltlearn; print([m for m in {heavy!r} if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_losses_and_enhancers_are_torch_alone():
    allowed = {"torch", "numpy", "ltlearn", *sys.stdlib_module_names}
    for path in [*(PACKAGE / "losses").glob("*.py"), *(PACKAGE / "enhancers").glob("*.py")]:
        for module in imported_modules(path):
            assert module.split(".")[0] in allowed, (path, module)


def test_private_names_of_scikit_learn_come_through_one_module():
    for path in PACKAGE.rglob("*.py"):
        if path.name == "_compat.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "sklearn":
                private = [part for part in node.module.split(".")[1:] if part.startswith("_")]
                private += [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, (path, private)
