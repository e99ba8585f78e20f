"""Does every built page fit a phone and a desk, and can its text be read, light and dark?

    python docs/check_layout.py build/docs

Opens all pages in a headless Chromium or Chrome, if there is one, and prints what is cut off at the
right, and text whose contrast to its background is below 4.5. Theirs is the layout alone; whether a
page reads well is for a person to see.
"""

import functools
import html
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (1280, 390)
THEMES = ("light", "dark")
CHECK = Path(__file__).with_suffix(".html")


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site, the page that checks it, and the list of pages."""

    def do_GET(self):
        own = {"/_check.html": CHECK.read_bytes(), "/_pages.json": self.server.pages}
        body = own.get(self.path.partition("?")[0])
        if body is None:
            super().do_GET()
            return
        self.send_response(200)
        kind = "text/html" if self.path.startswith("/_check.html") else "application/json"
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


def main(site):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("No Chromium or Chrome found: the layout was not checked.")
        return
    pages = sorted(path.relative_to(site).as_posix() for path in Path(site).rglob("*.html"))
    pages = [page for page in pages if not page.startswith("_")]
    handler = functools.partial(_Handler, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.pages = json.dumps(pages).encode()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/_check.html?pages=_pages.json"
    views = [(width, theme) for width in WIDTHS for theme in THEMES]
    found = [_found(browser, f"{address}&width={width}&theme={theme}") for width, theme in views]
    server.shutdown()
    if any(not text.endswith(f"checked {len(pages)} pages") for text in found):
        sys.exit("The browser did not come to the end: " + "\n".join(found))
    problems = [line for text in found for line in text.splitlines()[:-1]]
    print(f"{len(pages)} pages in {len(views)} views, {len(problems)} problems")
    sys.exit("\n".join(problems) or 0)


def _found(browser, address):
    """What the checking page writes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, "--headless=new", "--disable-gpu", f"--user-data-dir={profile}"]
        command += ["--virtual-time-budget=600000", "--dump-dom", address]
        if getattr(os, "geteuid", int)() == 0:
            command.insert(1, "--no-sandbox")  # which root cannot have
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    return html.unescape(match[1]) if match else done.stderr[-500:]


if __name__ == "__main__":
    main(sys.argv[1])
