# SPDX-License-Identifier: MIT
"""Part of `make bench`: how soon the page is there in Chromium, what is sent for it, and how long the periods of its charts take
with half a year of rows. Prints, and fails only when something cannot be measured. Argument: the folder with the programs."""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1])
sys.argv[1] = os.path.join(BUILD, "packgate")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from test_page import INSTALLED, NPM, WEB, Browser, past, page_of  # noqa: E402
from harness import Gateway  # noqa: E402

PACKS = ("shed=16:150:60", "left=16:100:40", "right=16:100:41", "boat=8:280:24")
ROUNDS = 7


def measure(case, url, **asked):
    browser = Browser(case, url, **asked)
    browser.finish()
    return browser.lines


def main():
    subprocess.run([os.path.join(NPM, "install"), INSTALLED], check=True)
    with tempfile.TemporaryDirectory(prefix="packgate-bench-") as folder:
        file = past(folder, 180, *PACKS[:1])
        text = "".join(f"[line {name}]\nport = sim:cells={cells}\nprotocol = topbms\n[pack {name}]\nline = {name}\nunit = {n}\n"
                       for n, (name, cells) in enumerate((re.split("[=:]", pack)[:2] for pack in PACKS), 1))
        text += "[bank house]\npacks = left, right\nunit = 9\n"
        with Gateway(text + WEB + f"[history]\nfile = {file}\n") as gateway:
            url = page_of(gateway)
            gateway.wait_published("shed", "left", "right", "boat")
            print("The page, four packs, in Chromium:")
            print("\n".join(line for line in measure("paint", url, rounds=ROUNDS) if line.startswith("  ")))
            took = [line for line in measure("charts", url) if line.endswith(" ms")]
            print("  charts of 16 cells until drawn: " + ", ".join(took).replace("rall", "all").replace(" r", " "))


if __name__ == "__main__":
    try:
        main()
    finally:
        Browser.close()
