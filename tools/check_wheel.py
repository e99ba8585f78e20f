"""Is what should be in the wheel in it, and nothing else?

python tools/check_wheel.py dist/ltlearn-*.whl
"""

import re
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def problems(path):
    """Yield a sentence for each thing that is wrong with the wheel at ``path``."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        (metadata_name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(wheel.read(metadata_name).decode())
    top = {name.split("/")[0] for name in names} - {metadata_name.split("/")[0]}
    if top != {"ltlearn"}:
        yield f"it has {sorted(top - {'ltlearn'})} beside the package"
    inside = {name for name in names if name.startswith("ltlearn/")}
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "ltlearn").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    if inside != source:
        yield f"its files differ from those of the folder: {sorted(inside ^ source)[:5]}"
    if metadata["License-Expression"] != "BSD-3-Clause":
        yield "it has no license expression"
    if not any(name.endswith("/LICENSE") for name in names):
        yield "it lacks the license"
    if not metadata.get_all("Project-URL"):
        yield "it has no project URLs"
    relative = re.findall(r"\]\((?!https://)[^)]*\)", metadata.get_payload())
    if relative or not metadata.get_payload().strip():
        yield f"its description is empty or has relative links, {relative[:3]}"
    version = (ROOT / "ltlearn" / "_version.py").read_text().split('"')[1]
    if metadata["Version"] != version:
        yield f"its version {metadata['Version']} is not that of the package, {version}"


if __name__ == "__main__":
    found = list(problems(sys.argv[1]))
    sys.exit("\n".join(found) if found else 0)
