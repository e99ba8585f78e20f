"""Settings of the documentation, which ``sphinx-build -W docs build/docs`` builds offline."""

import os
import re
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
sys.path.insert(0, str(HERE.parent))

# Bars of progress would fill the output of examples; before tqdm is imported.
os.environ["TQDM_DISABLE"] = "1"

import ltlearn  # noqa: E402

project = "ltlearn"
author = "The ltlearn developers"
copyright = author
version = release = ltlearn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    # Of our own, in _extensions.
    "api_reference",
    "benchmark_pages",
    "external_names",
    "llms",
    "mathml",
]
exclude_patterns = ["_extensions", "gallery/**/*.ipynb", "gallery/**/*.md5", "README.md"]
templates_path = []
default_role = None
nitpicky = True
# Names of scikit-learn's estimators that do not exist in all of its versions, and types in words.
nitpick_ignore_regex = [
    (r"py:.*", r"(sklearn|torch|numpy|pandas|skorch|matplotlib|scipy|timm)\..*")
]
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
autosummary_generate = False
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "ltlearn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_nav_level": 1,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    # Not beside the tables of measurements, which need the width.
    "secondary_sidebar_items": {
        pages: ["page-toc"]
        for pages in ("*", "api/*", "benchmarks/index", "coming_from/*", "gallery/*", "guide/*")
    },
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {
    "choose": [],
    "changes": [],
    "faq": [],
    "glossary": [],
}
html_show_sourcelink = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

EXAMPLES = HERE.parent / "examples"
# A page needs a title; scripts whose docstring begins without one are scripts alone.
UNTITLED = [
    path.stem
    for path in EXAMPLES.glob("*.py")
    if not re.match(r'"""\n.+\n=+\n', path.read_text(encoding="utf-8"))
]

sphinx_gallery_conf = {
    "examples_dirs": str(EXAMPLES),
    "gallery_dirs": "gallery",
    "filename_pattern": r"/[a-z]\w+\.py$",
    "ignore_pattern": "|".join(["/_", *(rf"/{name}\.py$" for name in UNTITLED)]),
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("ltlearn",),
    "min_reported_time": 5,
    "matplotlib_animations": False,
    "within_subsection_order": "FileNameSortKey",
}

# Small examples warn that they are small, on purpose; their pages are about something else.
warnings.filterwarnings("ignore", category=ltlearn.exceptions.LTLearnWarning)
# One thread, as in the tests: examples are too small for more, and builds share the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
