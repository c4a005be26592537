# SPDX-License-Identifier: MIT
"""The set-up in a real browser (npm/guide.js): its seven screens, by mouse, finger and keyboard, in all languages.
tests/run: 90 s

With a folder behind the program it takes the pictures of docs/setup.md instead: `make pictures`."""

import os
import re
import signal
import subprocess
import sys
import tempfile

from ble_harness import Air
from harness import PATIENCE, Gateway, free_port, main, set_hour, simulate
from mqtt_harness import Broker
from test_page import CHROMIUM, FONTS, INSTALLED, NPM, SHED, Browser, pack, page_of
from test_setup_api import new_code, read
from test_setup_attacks import turned_clock

PACKS = ("[line l]\nport = sim:cells=16,@2:cells=16\nprotocol = topbms\n[pack kueche-links]\nname = Küche links\nline = l\naddress = 1\nunit = 1\n"
         "[pack kueche-rechts]\nname = Küche rechts\nline = l\naddress = 2\nunit = 2\n" + pack("boot", 3, "sim:cells=8", "daly", "name = Boot\n") +
         "[bank haus]\nname = Haus\npacks = kueche-links, kueche-rechts\nunit = 4\n")


# The pictures of docs/setup.md: file, screen, theme, step.
PICTURES = [["setup-ports", "desktop", "light", "ports"], ["setup-review", "desktop", "light", "review"], ["setup-live", "phone", "dark", "live"]]


def look(case, packs="", **asked):
    """With a gateway without packs, or with these; "apply" adds some."""
    with Gateway(packs + f"[web]\nlisten = 127.0.0.1:{free_port()}\n") as gateway:
        with open(gateway.path, encoding="utf-8") as file:
            empty = file.read()
        browser = Browser(case, page_of(gateway), apply=not packs, **asked)
        for order in browser.orders():
            with open(gateway.path + ".new", "w", encoding="utf-8") as file:
                file.write(empty + (PACKS if order == "apply" else ""))
            os.replace(file.name, gateway.path)
            gateway.process.send_signal(signal.SIGHUP)


def leads_from_nothing_to_a_kept_configuration():
    look("guide_walk")


def sets_up_the_gateway_itself():
    server, port = simulate("daly", SHED, "--count", 2)
    with server, Broker() as broker, Gateway(f"# Keep me.\n[web]\nlisten = 127.0.0.1:{free_port()} ; and me\n") as gateway:
        with open(gateway.path, encoding="utf-8") as file:
            empty = file.read()
        wanted = (f"[line line-1]\nport = {port}\nprotocol = daly\n\n[pack kueche-links]\nline = line-1\naddress = 1\nunit = 1\nname = Küche links\n\n"
                  "[pack kueche-rechts]\nline = line-1\naddress = 2\nunit = 2\nname = Küche rechts\n\n"
                  "[bank bank-1]\npacks = kueche-links, kueche-rechts\nunit = 3\n\n"
                  f"[mqtt home]\nbroker = mqtt://127.0.0.1:{broker.port}\n")
        url = page_of(gateway)
        browser = Browser("guide_gateway", url, code=new_code(gateway), server=int(port.split(":")[-1]), traits=["53.60", "Cells: 16"], broker=f"mqtt://127.0.0.1:{broker.port}")
        for order in browser.orders():
            if order == "ask by Modbus":
                with gateway.client() as client:
                    client.read_input_registers(0, 1, slave=1)
                continue
            if order.startswith("run mbpoll"):
                said = subprocess.run(order.split()[1:], stdout=subprocess.PIPE, timeout=PATIENCE, text=True).stdout
                assert re.search(r"\[470\]:\s+12345", said), said
                continue
            if order == "edit by hand":
                wanted, text = (text.replace("unit = 2\n", "unit = 2\npoll = 2s\n") for text in (wanted, read(gateway.path)))
                with open(gateway.path, "w", encoding="utf-8") as file:
                    file.write(text)
                continue
            text = read(gateway.path)
            assert text.startswith(empty) and text[len(empty):].strip() == wanted.strip(), text


def changes_lines_of_a_configuration_that_runs():
    look("guide_edits", PACKS.replace("kueche-links", "left").replace("kueche-rechts", "right").replace("name = ", ";name = ").replace("boot", "old").partition("[bank")[0])


def finds_bluetooth_modules():
    shed = "C8:47:80:00:00:01"
    with Air({shed: ("jk", "jk02", "profile=fixed,cells=8", "shed")}), Gateway(f"[web]\nlisten = 127.0.0.1:{free_port()}\n") as gateway:
        url = page_of(gateway)
        Browser("guide_bluetooth", url, code=new_code(gateway), module=f"ble:{shed}").finish()


def says_that_nobody_has_kept_it():
    with turned_clock() as (page, let_time_pass):
        before = read(page.path)
        browser = Browser("guide_not_kept", f"http://127.0.0.1:{page.web}/", code=new_code(page))
        for _ in browser.orders():
            assert "name = Halle" in read(page.path)
            let_time_pass()
        assert read(page.path) == before


def advises_by_what_was_heard():
    look("guide_silence")


def survives_what_goes_wrong():
    look("guide_faults")


def works_by_keyboard():
    look("guide_keyboard")


def fits_a_narrow_screen_in_all_languages():
    look("guide_languages")


def take_pictures(folder):
    with tempfile.TemporaryDirectory(prefix="packgate-page-") as own:
        os.environ["FONTCONFIG_FILE"] = os.path.join(own, "fonts.conf")
        with open(os.environ["FONTCONFIG_FILE"], "w", encoding="utf-8") as file:
            file.write(FONTS)
        look("guide_pictures", folder=os.path.abspath(folder), pictures=PICTURES)


if __name__ == "__main__":
    assert CHROMIUM, "chromium is missing"
    subprocess.run([os.path.join(NPM, "install"), INSTALLED], check=True, timeout=PATIENCE)
    if len(sys.argv) > 2:
        set_hour(20)
        try:
            take_pictures(sys.argv[2])
        finally:
            Browser.close()
        sys.exit()
    # A browser that finds_bluetooth_modules starts dies with the system bus of that case, so it is never the first one.
    main([[fits_a_narrow_screen_in_all_languages, advises_by_what_was_heard, survives_what_goes_wrong, works_by_keyboard],
          [sets_up_the_gateway_itself, leads_from_nothing_to_a_kept_configuration, changes_lines_of_a_configuration_that_runs,
           finds_bluetooth_modules, says_that_nobody_has_kept_it]], at_once=2, close=Browser.close)
