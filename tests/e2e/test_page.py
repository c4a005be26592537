# SPDX-License-Identifier: MIT
"""The page in a real browser: Debian's Chromium, driven by npm/page.js in the versions of npm/package.json. The gateway
is the real one, its packs are simulated.
tests/run: 125 s

With a folder behind the program it takes the pictures of the documentation instead: `make pictures`."""

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request


from harness import PACKGATE, PATIENCE, Gateway, Program, free_port, main, set_hour, set_noon, simulate, until

NPM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npm")
BUILT = os.path.dirname(PACKGATE)
INSTALLED = os.path.join(BUILT, "npm")
# The shell of the same engine, without windows, takes a third of the time.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")

CELLS = ",".join(f"cell_mv.{n}={3340 + n}" for n in range(1, 17))
SHED = f"profile=fixed,cells=16,temps=4,voltage_v=53.58,current_a=12.4,soc_percent=61.7,remaining_ah=92,{CELLS}"
BOAT = ("profile=fixed,cells=8,temps=2,voltage_v=26.1,current_a=-3,soc_percent=12,alarm.soc_low=1,alarm.cell_imbalance=1,"
        + ",".join(f"cell_mv.{n}={3100 if n == 3 else 3250 + n}" for n in range(1, 9)))
BANK = ("[line cellar]\nport = sim:cells=15,capacity=100,soc=40,speed=1\nprotocol = topbms\n"
        "[pack left]\nline = cellar\naddress = 1\nunit = 3\n[pack right]\nline = cellar\naddress = 2\nunit = 4\n"
        "[bank house]\npacks = left, right\nunit = 9\n")
WEB = "[web]\nlisten = 127.0.0.1:0\n"


def pack(name, unit, port, protocol, more=""):
    return (f"[line {name}]\nport = {port}\nprotocol = {protocol}\n"
            f"[pack {name}]\nline = {name}\nunit = {unit}\npoll = 1s\n{more}")


def page_of(gateway):
    return gateway.wait_for(r"web: page at (http://\S+)")[1]


class Browser:
    """Opens a page in one of the ways of npm/page.js. All cases of a process share a browser, because starting one
    takes longer than a case. Processes do not: Playwright's server for that needs more processor time than a
    browser."""

    program = None

    def __init__(self, case, url, **asked):
        if not Browser.program or Browser.program.process.poll() is not None:
            Browser.program = Program("node", os.path.join(NPM, "page.js"), CHROMIUM, stdin=subprocess.PIPE,
                                      env={**os.environ, "NODE_PATH": os.path.join(INSTALLED, "node_modules")})
        self.begun = len(self.program.lines)
        self.program.process.stdin.write(json.dumps({"case": case, "url": url, **asked}).encode() + b"\n")
        self.program.process.stdin.flush()

    @property
    def lines(self):
        return self.program.lines[self.begun:]

    def await_order(self, words):
        self._await(f"now: {words}")

    def finish(self):
        self._await("done")

    def orders(self):
        """Changes that the case wants to be made to the gateway, one after another, until it has ended."""
        while (said := self._said()).startswith("now: "):
            yield said[5:]
        self._must(said, "done")

    def _await(self, words):
        self._must(self._said(), words)

    def _said(self):
        try:
            # Each step of a case has its own patience, in page.js.
            return self.program.wait_for(r"^(now: .*|done|failed)$", 10 * PATIENCE)[1]
        except AssertionError:
            return ""

    def _must(self, said, words):
        if said != words:
            self.program.stop(signal.SIGKILL)  # the next case starts over
            raise AssertionError(f"{said} instead of {words}:\n" + "\n".join(self.lines))

    @classmethod
    def close(cls):
        if cls.program:
            cls.program.process.stdin.close()
            cls.program.process.wait(PATIENCE)
            cls.program.stop()


def look(case, url, **asked):
    Browser(case, url, **asked).finish()


def make_health(history):
    """A month in which cell 7 of shed drifts away from the others under load, and half an hour in which cells were
    far apart, also in a pack of the bank."""
    database = sqlite3.connect(history)
    ids = dict(database.execute("SELECT name, id FROM pack"))
    shed = ids["shed"]
    for name in ("shed", "left", "house"):
        for ago, text in ((90000, "on"), (88200, "off")):
            database.execute("INSERT INTO event VALUES(?, ?, 'alarm', 'cell_imbalance', 1, ?)", [int(time.time()) - ago, ids[name], text])
    for n in range(30, 0, -1):
        day = time.strftime("%Y%m%d", time.localtime(time.time() - n * 86400))
        database.execute("INSERT OR REPLACE INTO health(pack, day, silent_s, efficiency, capacity_mah, temp_dc) VALUES(?, ?, 0, 9500, 148000, 250)", [shed, day])
        for cell in range(1, 17):
            load = -1000 * (40 - n) if cell == 7 else 100 * (cell - 8)
            database.execute("INSERT OR REPLACE INTO health_cell VALUES(?, ?, ?, ?, 0, 1000)", [shed, day, cell, load])
    database.commit()
    database.close()


class House:
    """Two packs, one with an alarm, and a bank of two more, with a day of history; for all tests that only read."""

    opened = None

    @classmethod
    def get(cls):
        cls.opened = cls.opened or cls()
        return cls.opened

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="packgate-page-")
        self.shed, shed = simulate("topbms", SHED)
        self.boat, boat = simulate("daly", BOAT)
        history = past(self.folder, 1.2, "shed=16:150:62", "boat=8:280:12", "left=15:100:40", "right=15:100:41",
                       "house=left+right")
        make_health(history)
        self.gateway = Gateway(pack("shed", 1, shed, "topbms", "stale_after = 3s\n") + pack("boat", 2, boat, "daly") + BANK + WEB +
                               ";password = open sesame\n" +
                               f"[history]\nfile = {history}\ncommit = 10s\n")
        self.url = page_of(self.gateway)
        self.gateway.wait_published("shed", "boat", "left", "right")

    def close(self):
        for program in (self.gateway, self.shed, self.boat):
            program.__exit__(None, None, None)
        shutil.rmtree(self.folder)


def shows_what_is_and_says_what_is_old():
    stop_shed("live")


def asks_where_the_stream_is_held_back():
    stop_shed("late")


def stop_shed(case):
    house = House.get()
    browser = Browser(case, house.url)
    browser.await_order("stop shed")
    house.shed.process.send_signal(signal.SIGSTOP)
    try:
        browser.await_order("go on with shed")
    finally:
        house.shed.process.send_signal(signal.SIGCONT)
    browser.finish()


def shows_nothing_of_a_pack_that_never_answered():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with Gateway(pack("ghost", 1, port, "daly") + WEB) as gateway:
            look("never", page_of(gateway))


def shows_no_event_that_was_held_back():
    look("held_back", House.get().url)


def needs_no_language_of_the_host():
    look("posix", House.get().url)


def tells_what_the_day_was():
    look("today", House.get().url)


def is_an_app():
    look("app", House.get().url, zone=os.environ["TZ"])


def sets_up_in_short():
    look("folded", House.get().url)


def values_that_came_early_are_older():
    look("early", House.get().url)


def says_when_the_gateway_is_silent():
    house = House.get()
    browser = Browser("offline", house.url)
    browser.await_order("stop the gateway")
    house.gateway.process.send_signal(signal.SIGSTOP)
    try:
        browser.await_order("go on")
    finally:
        house.gateway.process.send_signal(signal.SIGCONT)
    browser.finish()


def fits_a_narrow_screen_in_all_languages():
    for name in ("text.js", "guide-text.js"):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../gateway/outlets/web/page", name), encoding="utf-8") as file:
            rows = re.findall(r"('[^']+'|\w+): \[(.*?)\][,\n]", file.read().partition("TEXT = {")[2])
        assert len(rows) > 100, (name, len(rows))
        for key, row in rows:
            texts = re.findall(r"'([^']+)'", row)
            assert len(texts) == 7 and len({str(re.findall(r"\{\d\}", text)) for text in map(sort_places, texts)}) == 1, (name, key, texts)
    look("views", House.get().url)


def sort_places(text):
    """Only the {0} {1} of a text, in their order."""
    return " ".join(sorted(re.findall(r"\{\d\}", text)))


def is_dark_where_it_should_be():
    look("dark", House.get().url)


def works_by_keyboard():
    look("keyboard", House.get().url)


def works_below_a_path():
    look("prefix", House.get().url)


def past(folder, days, *packs):
    file = os.path.join(folder, "history.db")
    subprocess.run([os.path.join(BUILT, "packgate-outlet-history"), "simulate", file, str(days), *packs], check=True, timeout=PATIENCE * 4)
    return file


def tells_of_health():
    look("health", House.get().url)


def gives_its_connection_back():
    look("hidden", House.get().url)


def says_that_the_server_has_errors():
    look("errors", House.get().url)


def works_by_finger():
    look("touch", House.get().url)


def draws_half_a_year():
    with tempfile.TemporaryDirectory(prefix="packgate-page-") as folder:
        file = past(folder, "190:5", "shed=16:150:60:1", "left=8:100:50:2", "house=shed+left")
        with contextlib.closing(sqlite3.connect(file)) as database:
            (most,), = database.execute("SELECT max(max(abs(current_ma_min), abs(current_ma_max))) FROM minute")
            assert 15000 < most < 60000, f"a past with a spike of {most} mA"
            # One hour with a spike, and one cell that is low on one day.
            with database:
                database.execute("UPDATE hour SET power_w_max = 9000 WHERE pack = 1 AND t = (SELECT max(t) FROM hour WHERE t < ?)", [time.time() - 5 * 86400])
        text = ("[line sim]\nport = sim:cells=16,capacity=150,soc=60\nprotocol = topbms\n"
                "[pack shed]\nline = sim\naddress = 1\nunit = 1\n[pack left]\nline = sim\naddress = 2\nunit = 2\n"
                "[bank house]\npacks = shed, left\nunit = 3\n")
        with Gateway(text + WEB + f"[history]\nfile = {file}\n") as gateway:
            url = page_of(gateway)
            gateway.wait_published("shed", "left")
            look("charts", url)
            look("ways", url)
    with Gateway(pack("shed", 1, "sim:", "daly") + WEB) as gateway:
        look("no_history", page_of(gateway))


def prints_a_month():
    """Of more packs than two sheets have lines for; one of them has a low cell; long ago one had a high one, and of a month no cells are known."""
    names = [f"p{n:02d}" for n in range(1, 19)]
    with tempfile.TemporaryDirectory(prefix="packgate-page-") as folder:
        file = past(folder, "0.2", *(f"{name}=8:100:50:{n}" for n, name in enumerate(names)), "house=" + "+".join(names))
        with contextlib.closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE day SET c3 = c3 - 40 WHERE pack = (SELECT id FROM pack WHERE name = 'p07')")
            cells = ", ".join(f"c{n}" for n in range(1, 9))
            database.execute(f"INSERT INTO day(pack, day, n, soc_permille, {cells}) SELECT id, 20250215, 6, 500, 3300, 3340, 3300, 3300, 3300, 3300, 3300, 3300 FROM pack WHERE name = 'p01'")
            database.execute("INSERT INTO day(pack, day, n, soc_permille) SELECT id, 20250115, 6, 500 FROM pack WHERE name = 'p01'")
            database.execute("INSERT INTO event(t, pack, kind, name, level, text) SELECT ?, id, 'alarm', 'cell_imbalance', 1, 'on' FROM pack WHERE name = 'p02'", [time.time() // 1 - 60])
        text = "[line rack]\nport = sim:cells=8,capacity=100,soc=50\nprotocol = topbms\n"
        text += "".join(f"[pack {name}]\nname = {'W' * 32 if name == 'p02' else f'{name} in the cellar behind the door'}\nline = rack\naddress = {n}\nunit = {n}\n" for n, name in enumerate(names, 1))
        text += f"[bank house]\nname = House of all packs\npacks = {', '.join(names)}\nunit = 99\n"
        with Gateway(text + WEB + f"[history]\nfile = {file}\n") as gateway:
            url = page_of(gateway)
            gateway.wait_published("p01")
            look("report", url)


def logs_in_and_switches():
    with tempfile.TemporaryDirectory(prefix="packgate-page-") as folder:
        file = os.path.join(folder, "password")
        subprocess.run([PACKGATE, "password", file], input=b"open sesame\n", check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
        text = pack("shed", 1, "sim:cells=16", "daly", "writable = yes\n") + pack("locked", 2, "sim:cells=8", "topbms")
        text += pack("limits", 3, "sim:cells=16", "jk02") + "[tunnel shed]\nlisten = 127.0.0.1:0\n"
        with Gateway(text + WEB + f"password_file = {file}\n") as gateway:
            url = page_of(gateway)
            gateway.wait_published("shed", "locked", "limits")
            look("switches", url, password="open sesame")


def tells_how_it_is_set_up():
    house = House.get()
    version = subprocess.run([PACKGATE, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[1]
    browser = Browser("setup", house.url, version=version, secret="open sesame", broken="speed = 9", mistake="'speed'")
    with open(house.gateway.path) as file:
        text = file.read()
    # Renamed into place, because the gateway may read it at any time.
    for order, now in (("break the configuration", text + "[line broken]\nport = sim:\nspeed = 9\n"), ("mend the configuration", text)):
        browser.await_order(order)
        with open(house.gateway.path + ".new", "w") as file:
            file.write(now)
        os.replace(file.name, house.gateway.path)
        house.gateway.process.send_signal(signal.SIGHUP)
    browser.finish()


def tells_what_is_allowed():
    """One line: the allowed current (2.09 A, rounded down), and the reason; a bank names the pack and the cell."""
    good, good_port = simulate("topbms", SHED + ",current_a=12")
    weak, weak_port = simulate("topbms", SHED.replace("cell_mv.7=3347", "cell_mv.7=3450") + ",current_a=12")
    curves = "cell_high = 3.375:1, 3.40:0.25, 3.50:0\ncell_low = 2.80:0, 3.19:1\ntemperature = 0:0, 5:1, 50:1, 55:0\n"
    text = pack("left", 1, good_port, "topbms") + pack("right", 2, weak_port, "topbms") + "[bank house]\npacks = left, right\nunit = 9\n"
    text += ("[limits house]\ncharge_current = 16.7\ndischarge_current = 20\ncells = 16\nsensors = 4\ncell_full = 3.45\n"
             "cell_float = 3.375, 90\n" + curves)
    with good, weak, Gateway(text + WEB) as gateway:
        url = page_of(gateway)
        # The allowed current rises slowly, and a page that waits for it keeps a processor busy.
        until(lambda: json.load(urllib.request.urlopen(url + "api/v1/packs/house", timeout=PATIENCE)), lambda house: house.get("allowed_discharge_current_a") == 20)
        look("allowed", url, pack="house", may="may charge 2.0 A: right, cell 7 at 3.45 V · may discharge 20 A",
             german="darf mit 2,0 A laden: right, Zelle 7 bei 3,45 V · darf mit 20 A entladen")


def tells_what_inverters_are_told():
    bms, port = simulate("topbms", SHED)
    text = pack("shed", 1, port, "topbms") + ("[limits shed]\ncharge_current = 16\ndischarge_current = 20\ncells = 16\nsensors = 4\ncell_full = 3.45\n"
                                             "cell_float = 3.375, 90\ncell_high = 3.375:1, 3.50:0\ncell_low = 2.80:0, 3.19:1\ntemperature = 0:0, 5:1, 50:1, 55:0\n")
    text += "[present x]\nof = shed\nprotocol = topbms pylontech\nport = tcp-listen:127.0.0.1:0\nsoh = 100\n" \
        "[present can]\nof = shed\nprotocol = pylon-1.2\nport = can:none\n"
    with bms, Gateway(text + WEB) as gateway:
        url = page_of(gateway)
        listening = next((line for line in gateway.lines if "present x: listening" in line), None) or gateway.wait_for("present x: listening.*")[0]
        with Program(PACKGATE, "simulate", "--inverter", "pylontech", "--port", f"tcp://127.0.0.1:{listening.split()[-1]}"):
            look("presented", url)


def builds_without_network():
    """A source archive contains uPlot. In a tree that was unpacked from one, this tree is tested."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    with tempfile.TemporaryDirectory(prefix="packgate-page-") as folder:
        shutil.copytree(root, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build", ".git", "captures"))
        uplot = os.path.join(folder, "gateway/outlets/web/page/uplot")
        if not os.path.isdir(uplot):
            archive = subprocess.run(["make", "-s", "dist"], cwd=root, check=True, stdout=subprocess.PIPE, timeout=PATIENCE)
            name = archive.stdout.decode().split()[-1]
            listed = subprocess.run(["tar", "xzvf", os.path.join(root, name), "--strip-components=1", "--wildcards", "*/page/uplot/*"],
                                    cwd=folder, check=True, stdout=subprocess.PIPE).stdout.decode()
            assert all(wanted in listed for wanted in ("uPlot.iife.min.js", "uPlot.min.css", "LICENSE")), listed
        bin = os.path.join(folder, "bin")
        os.mkdir(bin)
        with open(os.path.join(bin, "npm"), "w") as file:
            file.write("#!/bin/sh\nexit 1\n")
        os.chmod(file.name, 0o755)
        wanted = "build/cc/gateway/outlets/web/page/assets.o"
        # Without the options of this run of the tests, such as SAN=1.
        mine = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name not in ("MFLAGS", "SAN", "CFLAGS")}
        made = subprocess.run(["make", "CC=cc", wanted], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE,
                              env={**mine, "PATH": f"{bin}:{os.environ['PATH']}"})
        assert made.returncode == 0 and "npm" not in made.stdout.decode().lower(), made.stdout.decode()
        assert os.path.getsize(os.path.join(folder, wanted)) > 60000


def sent(url):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "gzip"}), timeout=PATIENCE) as answer:
        return answer.read()


def first_view(url):
    """The bytes that a phone loads for the first view."""
    page = sent(url)
    names = re.findall(r'(?:modulepreload" href|script type="module" src)="(a/[^"]+)"', gzip.decompress(page).decode())
    names += [os.path.dirname(names[0]) + "/text-en.js", "api/v1/packs", "api/v1/today"]
    assert len(names) > 12, names
    return len(page) + sum(len(sent(url + name)) for name in names)


def weighs_little():
    """The first view of four packs, and all assets, as they are sent."""
    first = first_view(House.get().url)
    with open(os.path.join(BUILT, "gateway/outlets/web/page/assets.c"), encoding="utf-8") as file:
        size = file.read().count("0x")
    print(f"# first view {first} bytes, {size} bytes in all, compressed")
    assert first < 44000 and size < 200000, (first, size)


def begins_without_packs():
    """The page says what to do, and shows packs once there are some."""
    with Gateway(f"[web]\nlisten = 127.0.0.1:{free_port()}\n") as gateway:
        url = page_of(gateway)
        browser = Browser("without_packs", url)
        browser.await_order("add a pack")
        with open(gateway.path, "a", encoding="utf-8") as file:
            file.write(pack("shed", 1, "sim:cells=16", "daly"))
        gateway.process.send_signal(signal.SIGHUP)
        browser.finish()


def shows_names():
    with Gateway("[line l]\nport = sim:cells=16,@2:cells=16\nprotocol = topbms\n"
                 "[pack shed]\nname = Küchenbatterie links\nline = l\naddress = 1\nunit = 1\n[pack boat]\nline = l\naddress = 2\nunit = 2\n"
                 "[bank all]\nname = Batteriespeicher Haus\npacks = shed, boat\nunit = 9\n" + WEB, general="name = Hof <b> & Halle Sonnenhangstraße\n") as gateway:
        url = page_of(gateway)
        gateway.wait_published("shed", "boat")
        look("names", url)


def shows_64_packs():
    text, unit, made = "", 0, []
    for bank in "abcd":
        text += f"[line rack-{bank}]\nport = sim:cells=16,capacity=280,soc=55\nprotocol = topbms\n"
        names = [f"{bank}{n:02d}" for n in range(1, 17)]
        for n, name in enumerate(names):
            unit += 1
            text += f"[pack {name}]\nline = rack-{bank}\naddress = {n}\nunit = {unit}\n"
        text += f"[bank rack-{bank}]\npacks = {', '.join(names)}\nunit = {100 + ord(bank)}\n"
        made += [*(f"{name}=16:280:55" for name in names), f"rack-{bank}=" + "+".join(names)]
    with tempfile.TemporaryDirectory(prefix="packgate-page-") as folder:
        file, hour = past(folder, 0.01, *made), int(time.time()) // 3600
        with contextlib.closing(sqlite3.connect(file)) as database, database:
            # A day of power, different in each pack.
            for pack, in database.execute("SELECT id FROM pack").fetchall():
                database.executemany("INSERT OR IGNORE INTO hour(pack, t, n, power_w) VALUES (?, ?, 360, ?)",
                                     [(pack, 3600 * (hour - ago), (7919 * pack + 104729 * ago) % 2000 - 1000) for ago in range(24)])
        with Gateway(text + WEB + f"[history]\nfile = {file}\n") as gateway:
            url = page_of(gateway)
            gateway.wait_published(*(f"{bank}{n:02d}" for bank in "abcd" for n in range(1, 17)))
            first = first_view(url)
            print(f"# first view {first} bytes")
            assert first < 57600, first
            look("many", url)


def fills_a_wall():
    more = {2: ",alarm.charge_over_current=1,alarm.soc_high=1", 3: ",alarm.soc_low=1", 4: ",alarm.soc_low=1,alarm.mos_over_temperature=1"}
    text = "".join(pack(f"battery-room-{n}", n, f"sim:profile=fixed,cells=8,capacity=100,soc_percent={5 * n},alarm.cell_over_voltage=protection" + more.get(n, ""), "daly")
                   for n in range(1, 17))
    with Gateway(text + WEB) as gateway:
        url = page_of(gateway)
        gateway.wait_published(*(f"battery-room-{n}" for n in range(1, 17)))
        look("wall", url)


def shows_4_to_48_cells():
    counts = [4, 8, 24, 32]
    text = "".join(pack(f"cells-{n}", i + 1, f"sim:cells={n},capacity=100,soc=50", "daly") for i, n in enumerate(counts))
    text += pack("cells-48", 9, "sim:cells=48,capacity=100,soc=50", "daly")
    with Gateway(text + WEB) as gateway:
        url = page_of(gateway)
        gateway.wait_published(*(f"cells-{n}" for n in counts), "cells-48")
        look("cells", url, cells=[*counts, 48])


FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<include>/etc/fonts/fonts.conf</include>
<alias binding="strong"><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
<alias binding="strong"><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
</fontconfig>
"""


def take_pictures(folder):
    """Pictures of the demonstration, on other ports and with a font that readers have."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    with tempfile.TemporaryDirectory(prefix="packgate-page-") as own:
        os.environ["FONTCONFIG_FILE"] = os.path.join(own, "fonts.conf")
        with open(os.environ["FONTCONFIG_FILE"], "w") as file:
            file.write(FONTS)
        history = past(own, 8, "shed=16:150:72:1", "boat=8:280:24:2", "workshop-a=15:100:60:3", "workshop-b=15:100:60:4",
                       "workshop=workshop-a+workshop-b")
        with open(os.path.join(root, "conf/demo.ini")) as file:
            text = file.read().partition("[web]")[2]
        text = "[web]" + text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("/tmp/packgate-demo/history.db", history)
        with Gateway(text) as gateway:
            url = page_of(gateway)
            gateway.wait_published("shed", "boat", "workshop-a", "workshop-b")
            look("pictures", url, folder=os.path.abspath(folder))


def close():
    Browser.close()
    if House.opened:
        House.opened.close()


if __name__ == "__main__":
    assert CHROMIUM, "chromium is missing"
    subprocess.run([os.path.join(NPM, "install"), INSTALLED], check=True, timeout=PATIENCE)
    if len(sys.argv) > 2:
        set_hour(20)   # an evening after a sunny day, whenever they are taken
        try:
            take_pictures(sys.argv[2])
        finally:
            Browser.close()
        sys.exit()
    set_noon()
    # Those of the first two rows share the gateway of their row and look at it in turn; the others have their own.
    main([[shows_what_is_and_says_what_is_old, asks_where_the_stream_is_held_back, values_that_came_early_are_older, says_when_the_gateway_is_silent],
          [tells_what_the_day_was, shows_no_event_that_was_held_back, needs_no_language_of_the_host, is_an_app, sets_up_in_short,
           fits_a_narrow_screen_in_all_languages, is_dark_where_it_should_be, works_by_keyboard,
           works_below_a_path, tells_of_health, gives_its_connection_back, says_that_the_server_has_errors, works_by_finger,
           weighs_little, tells_how_it_is_set_up, tells_what_inverters_are_told],
          [begins_without_packs, shows_names, shows_64_packs, fills_a_wall, tells_what_is_allowed, draws_half_a_year, prints_a_month, logs_in_and_switches,
           shows_4_to_48_cells, shows_nothing_of_a_pack_that_never_answered, builds_without_network]], at_once=3, close=close)
