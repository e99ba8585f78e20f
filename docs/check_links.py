"""Do the links between the built pages lead somewhere? No network is needed.

python docs/check_links.py build/docs
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Links of a page and the names that others may link to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = set(), {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors |= {attributes.get("id"), attributes.get("name")}
        for key in ("href", "src"):
            if attributes.get(key):
                self.links.add(attributes[key])


def dead_links(root):
    """Yield (page, link) for every link that leads nowhere below ``root``."""
    # Below _static lie templates of the theme.
    paths = [path for path in root.rglob("*.html") if "_static" not in path.parts]
    pages = {path.resolve(): Page(path.read_text("utf-8")) for path in paths}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages.get(target)
            is_there = (
                target.exists() if known is None else unquote(parts.fragment) in known.anchors
            )
            if not is_there:
                yield path.relative_to(root.resolve()), link


def main(root):
    dead = sorted(dead_links(Path(root)))
    for page, link in dead:
        print(f"{page}: {link}")
    sys.exit(f"{len(dead)} dead links" if dead else 0)


if __name__ == "__main__":
    main(sys.argv[1])
