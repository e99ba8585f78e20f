"""Writes a page for every public name, from ``__all__`` of the public modules, before the build.

A name that several modules share has one page, below the first of them. Pages are called after the
name alone, so ``ELTARegressor.html`` is where the HTML representation of an estimator links to.
"""

import importlib
import inspect
import re
from pathlib import Path

TITLES = {
    "ltlearn": "Estimators",
    "ltlearn.stacking": "Stacks of heads",
    "ltlearn.options": "Options of the estimators",
    "ltlearn.evaluation": "Did the tail improve?",
    "ltlearn.plotting": "Figures",
    "ltlearn.metrics": "Metrics and scorers",
    "ltlearn.model_selection": "Splits and searches",
    "ltlearn.calibration": "Calibration, intervals and adjustment",
    "ltlearn.weighting": "Weights from densities and counts",
    "ltlearn.losses": "Losses",
    "ltlearn.enhancers": "Enhancers",
    "ltlearn.networks": "Networks",
    "ltlearn.images": "Images",
    "ltlearn.datasets": "Readers of label files",
    "ltlearn.curation": "Curation of auxiliary data",
    "ltlearn.curation.protocols": "Steps of curation of one's own",
    "ltlearn.exceptions": "Errors and warnings",
}


def public_names(module_name):
    """Names that a module makes public, in order; those of ``exceptions`` are its classes."""
    module = importlib.import_module(module_name)
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module_name
        ]
    return [name for name in names if not name.startswith("__")]


def pages():
    """Text of every page, by file name."""
    texts, homes = {}, {}
    index = [_heading("API reference", "="), "Every public name, by module.\n"]
    for module_name, title in TITLES.items():
        module = importlib.import_module(module_name)
        index += [
            _heading(f"{title}: ``{module_name}``", "-"),
            f".. module:: {module_name}\n",
            _first_sentence(module),
        ]
        names = public_names(module_name)
        for name in names:
            value = getattr(module, name)
            if homes.setdefault(name, (module_name, value))[1] is not value:
                raise ValueError(f"{module_name}.{name} needs the page of another {name}.")
        own = [name for name in names if homes[name][0] == module_name]
        entries = "".join(f"   {name}\n" for name in own)
        index.append(f".. autosummary::\n   :nosignatures:\n\n{entries}")
        elsewhere = [name for name in names if homes[name][0] != module_name]
        if elsewhere:
            links = ", ".join(f":doc:`{name}`" for name in elsewhere)
            index.append(f"Also here: {links}.\n")
        for name in own:
            texts[f"{name}.rst"] = _page(module_name, name, getattr(module, name))
    toctree = "".join(f"   {name[:-4]}\n" for name in texts)
    index.append(f".. toctree::\n   :hidden:\n\n{toctree}")
    texts["index.rst"] = "\n".join(index)
    return texts


def _page(module_name, name, value):
    lines = [_heading(name, "="), f".. currentmodule:: {module_name}\n"]
    if inspect.isclass(value):
        lines.append(f".. autoclass:: {name}\n")
        lines += [_member(value, member) for member in _members(value)]
    elif callable(value) and inspect.isfunction(value):
        lines.append(f".. autofunction:: {name}\n")
    else:
        lines.append(f".. autodata:: {name}\n")
    lines.append(f".. minigallery:: {module_name}.{name}\n   :add-heading: Examples that use it\n")
    return "\n".join(lines)


def _member(cls, name):
    kind = "property" if isinstance(getattr(cls, name), property) else "method"
    return f"   .. auto{kind}:: {name}\n"


def _members(cls):
    """Documented methods and properties that our code defines, in the order of definition."""
    methods = {}
    for base in cls.__mro__:
        if base.__module__.split(".")[0] != "ltlearn":
            continue
        for name, value in vars(base).items():
            # Class methods hold their function, and so do methods that not every instance has.
            function = getattr(value, "__func__", getattr(value, "fn", value))
            is_method = inspect.isfunction(function) or isinstance(value, property)
            if is_method and not name.startswith("_") and inspect.getdoc(value):
                methods.setdefault(name, None)
    left_out = ("extra_repr", "forward", "get_metadata_routing")
    return [name for name in methods if name not in left_out]


def _heading(text, character):
    return f"{text}\n{character * len(text)}\n"


def _first_sentence(module):
    return (inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " ") + "\n"


def write(app):
    """Write the pages that changed into the folder ``api`` of the sources."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    texts = pages()
    for path in folder.glob("*.rst"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def mark_names(app, what, name, value, options, lines):
    """Make ``(n_features_in_,)`` code, whose last underscore would else be that of a link."""
    lines[:] = [re.sub(r"shape \((\w+_),\)", r"shape (``\1``,)", line) for line in lines]


def setup(app):
    app.connect("builder-inited", write)
    app.connect("autodoc-process-docstring", mark_names, priority=100)  # before numpydoc
    return {"parallel_read_safe": True}
