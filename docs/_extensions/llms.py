"""Writes llms.txt: what the project is and where each page lies, for programs that read it."""

from pathlib import Path

HEAD = """\
# ltlearn

> Python package: deep learning on long-tailed data (rare scores, rare classes) with scikit-learn
> estimators, on tables, embeddings and images. Install: pip install ltlearn. Two estimators do the
> training, ELTARegressor and GranularClassifier; ltlearn.evaluation says whether the tail improved.

Constructors take keywords only. Option objects are reached by nested names
(training__layer_decay). Auxiliary rows passed to fit in a search are wrapped in ltlearn.Whole.
"""
SECTIONS = {"Guides": "", "API": "api/", "Examples": "gallery/", "Benchmarks": "benchmarks/"}


def write(app, error):
    """Write the file beside the pages once these are built."""
    if error or app.builder.format != "html":
        return
    pages = {name: [] for name in SECTIONS}
    for docname, title in sorted(app.env.titles.items()):
        folder = f"{docname.partition('/')[0]}/"
        section = next((s for s, f in SECTIONS.items() if f == folder), "Guides")
        pages[section].append(f"- [{title.astext()}]({docname}.html)")
    text = HEAD
    for section, lines in pages.items():
        text += f"\n## {section}\n\n" + "\n".join(lines) + "\n"
    (Path(app.outdir) / "llms.txt").write_text(text, encoding="utf-8")


def setup(app):
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
