# SPDX-License-Identifier: MIT
# tests/run: 20 s
"""`make demo-site`: the copy of the page with a recorded day, opened in a browser, from a web server for static
files."""

import functools
import http.server
import os
import re
import subprocess
import tempfile
import threading

from harness import PACKGATE, PATIENCE, main
from test_page import CHROMIUM, INSTALLED, NPM, Browser, look


class Plain(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def works_from_plain_files():
    assert CHROMIUM, "chromium is missing"
    subprocess.run([os.path.join(NPM, "install"), INSTALLED], check=True, timeout=PATIENCE)
    with tempfile.TemporaryDirectory(prefix="packgate-site-") as root:
        folder = f"{root}/below/batteries"
        subprocess.run(["packaging/demo-site/make-site", PACKGATE, folder], check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
        size = sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names)
        print(f"# {size / 1e6:.1f} MB")
        with open(f"{folder}/replay.js", encoding="utf-8") as file:
            until = int(re.search(r"UNTIL_MS = (\d+)", file.read())[1])
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Plain, directory=root)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                look("site", f"http://127.0.0.1:{server.server_address[1]}/below/batteries/", until=until)
            finally:
                Browser.close()
                server.shutdown()


main([works_from_plain_files])
