"""What continuous integration runs, run here: ``nox`` for all, ``nox -s lint suite`` for some.

Sessions make environments of their own and install what pyproject.toml declares; ``nox -R`` uses
them again as they are.
"""

import os
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|venv"
nox.options.sessions = ["lint", "layers", "types", "suite", "docs", "wheel"]
nox.needs_version = ">=2024.4.15"

# The oldest versions that pyproject.toml allows and that have wheels for this Python.
OLDEST_PYTHON = "3.10"
OLDEST = (
    "numpy==1.26.*",
    "scipy==1.12.*",
    "pandas==2.2.*",
    "pillow==10.1.*",
    "scikit-learn==1.7.*",
    "torch==2.4.*",
    "torchvision==0.19.*",
    "skorch==1.1.*",
    "joblib==1.5.*",
    "timm==1.0.12",
    "safetensors==0.6.*",
    "tqdm==4.65.*",
)


@nox.session
def lint(session):
    """Style and formatting."""
    session.install("ruff>=0.9")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def layers(session):
    """Rooms import only what stands above them; docstrings and pages name what there is."""
    session.install("-e", ".[test]")
    tests = ("test_layers.py", "test_docstrings.py", "test_documentation.py", "test_import.py")
    session.run("pytest", "-q", *(f"tests/{name}" for name in tests))


@nox.session
def types(session):
    """The package, and a user's script with thirty documented uses of it."""
    session.install("-e", ".", "mypy>=1.15", "pandas-stubs")
    session.run("mypy")


@nox.session
def suite(session):
    """The whole suite with the newest versions."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session(python=OLDEST_PYTHON)
def oldest(session):
    """The suite with the oldest versions, without what needs newer packages."""
    session.install("-e", ".[test]", *OLDEST)
    left_out = ("curation", "plotting")
    session.run(
        "pytest", "-n", "auto", "tests", *(f"--ignore=tests/{name}" for name in left_out),
        "-W", "default", *session.posargs,
    )  # fmt: skip


@nox.session
def nightly(session):
    """The suite with pre-releases; those of the index in NIGHTLY_INDEX, where that is set."""
    session.install("-e", ".[test]")
    index = os.environ.get("NIGHTLY_INDEX")
    where = ["--extra-index-url", index] if index else []
    session.install("--pre", "--upgrade", *where, "numpy", "scipy", "pandas", "scikit-learn")
    session.run("pytest", "-n", "auto", "-W", "default", *session.posargs)


@nox.session
def docs(session):
    """Pages, with examples run; warnings are errors; then links, layout and code on pages."""
    session.install("-e", ".[docs]")
    output = "build/docs"
    session.run(
        "sphinx-build", "-W", "--keep-going", "-b", "html", *session.posargs, "docs", output
    )
    session.run("python", "docs/check_links.py", output)
    session.run("python", "docs/check_layout.py", output)
    session.run("python", "docs/check_snippets.py")


@nox.session
def wheel(session):
    """The wheel, installed alone: what is in it, and whether it fits, diagnoses and compares."""
    session.install("build", "twine")
    folder = Path(session.create_tmp())
    session.run("python", "-m", "build", "--outdir", str(folder))
    session.run("twine", "check", "--strict", *map(str, folder.iterdir()))
    (built,) = folder.glob("*.whl")
    session.run("python", "tools/check_wheel.py", str(built))
    session.install(str(built))
    script = Path("tools/wheel_quickstart.py").resolve()
    session.chdir(folder)  # so that the package in this folder is not the one imported
    session.run("python", str(script))
