"""The description in a built package: README with absolute links; all else is in pyproject.toml.

A package index shows README on a page of its own, where relative links lead nowhere.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent
LINK = re.compile(r"(!?\[[^\]]*\])\((?!\w+:|#)([^)\s]+)\)")


def absolute(readme, pyproject, version):
    """README with absolute links.

    Pages of ``docs/`` lead to the documentation, other files to the source of this version.

    Parameters
    ----------
    readme, pyproject : str
        Texts of README.md, and of pyproject.toml with its ``[project.urls]``.
    version : str

    Returns
    -------
    text : str
    """
    urls = dict(re.findall(r'^(\w+) = "(https://[^"]+)"$', pyproject, re.MULTILINE))
    site = urls["Changelog"].rpartition("/")[0]
    source = urls["Source"]
    revision = "main" if "dev" in version else f"v{version}"

    def link(match):
        label, path = match.groups()
        page = re.fullmatch(r"docs/(.+)\.md(#.*)?", path)
        if page:
            return f"{label}({site}/{page[1]}.html{page[2] or ''})"
        kind = "raw" if label.startswith("!") else "blob"
        return f"{label}({source}/{kind}/{revision}/{path})"

    return LINK.sub(link, readme)


if __name__ == "__main__":
    from setuptools import setup

    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "pyproject.toml")]
    namespace = {}
    exec((ROOT / "ltlearn" / "_version.py").read_text(encoding="utf-8"), namespace)
    setup(
        long_description=absolute(*texts, namespace["__version__"]),
        long_description_content_type="text/markdown",
    )
