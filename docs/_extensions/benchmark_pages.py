"""Copies the measured tables of ``benchmarks/`` into the sources before the build."""

from pathlib import Path


def pages(benchmarks):
    """Text of every page, by its path below ``benchmarks/`` of the documentation."""
    overview = (benchmarks / "README.md").read_text(encoding="utf-8")
    results = sorted((benchmarks / "results").glob("*.md"))
    texts = {f"results/{path.name}": path.read_text(encoding="utf-8") for path in results}
    entries = "\n".join(name.removesuffix(".md") for name in texts)
    overview += f"\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n"
    return {"index.md": overview, **texts}


def write(app):
    """Write the pages that changed."""
    source = Path(app.srcdir)
    for name, text in pages(source.parent / "benchmarks").items():
        path = source / "benchmarks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
