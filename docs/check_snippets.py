"""Do the code blocks of the pages run? Each page's, one after the other, in a process of its own.

    python docs/check_snippets.py [page ...]

Blocks marked as ``{code-block} python`` need data or devices that not everybody has; they are
left out here.
"""

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent


def main(names):
    pages = [Path(name) for name in names] or sorted(DOCS.rglob("*.md"))
    failed = []
    for page in pages:
        blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.M)
        if blocks and subprocess.run([sys.executable, "-c", "\n".join(blocks)]).returncode:
            failed.append(str(page))
    sys.exit(f"Failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
