# SPDX-License-Identifier: MIT
"""`packgate demo`: everything that it shows, each scenario, its addresses, and what it rejects.

tests/run: 95 s"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request

from harness import ModbusClient, PACKGATE, PATIENCE, Program, free_port, main, read_value, until


class Demo(Program):
    """On free ports, with a folder of its own."""

    def __init__(self, *arguments):
        self.folder = tempfile.mkdtemp(prefix="packgate-demo-")
        super().__init__(PACKGATE, "demo", "--folder", f"{self.folder}/own", "--set", "gateway.listen=127.0.0.1:0", "--set",
                         f"web.listen=127.0.0.1:{free_port()}", "--set", f"present inverter.port=tcp-listen:127.0.0.1:{free_port()}",
                         *arguments)

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        shutil.rmtree(self.folder)


def get(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return json.load(answer)


def shows_packs_with_a_past():
    """The page at the address that it prints last, registers, charts, and the limits that an inverter gets."""
    with Demo() as demo:
        port = int(demo.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])
        url = demo.wait_for(r"^  Open (http://\S+/) in a browser\. Ctrl-C ends")[1]
        with urllib.request.urlopen(url, timeout=PATIENCE) as page:
            assert "text/html" in page.headers["Content-Type"]
        packs = {pack["pack"]: pack for pack in get(f"{url}api/v1/packs")}
        assert sorted(packs) == ["boat", "shed", "workshop", "workshop-a", "workshop-b"]
        until(lambda: all(pack["fresh"] for pack in get(f"{url}api/v1/packs")))
        with ModbusClient(port) as client:
            assert 40 < read_value(client, "voltage_v", 1) < 60
        told = f"{demo.folder}/own/inverter.log"
        until(lambda: os.path.exists(told) and "may charge" in open(told, encoding="utf-8").read())
        now = int(time.time())
        for name, ah in (("shed", 150), ("boat", 280), ("workshop", 200)):
            past = get(f"{url}api/v1/packs/{name}/history?from={now - 7 * 86400}&to={now}&values=soc_percent,current_a&points=20000&extremes=1")
            assert len([value for value in past["soc_percent"] if value is not None]) > 100, name
            # A pack charges from the sun and supplies a house: no step of the curve makes a current that its cables
            # would not survive.
            amperes = [abs(value) for row in past if row.startswith("current_a") for value in past[row] if value is not None]
            assert max(amperes) < .45 * ah, (name, max(amperes))
            # With half an hour of the night missing the page could not say whether the charge lasts until the morning.
            night = get(f"{url}api/v1/packs/{name}/history?from={now - 86400}&to={now - 3600}&values=power_w&level=minute")
            missing = [t for t, power in zip(night["t"], night["power_w"])
                       if power is None and (time.localtime(t).tm_hour >= 22 or time.localtime(t).tm_hour < 7)]
            assert night["step"] == 60 and len(missing) < 30, (name, len(missing))


def health_finds_the_cell_of_the_past():
    with Demo("--scenario", "imbalance") as demo:
        url = demo.wait_for(r"^  Open (http://\S+/) in")[1]
        demo.wait_for(r"pack boat: .* ALARM .*cell_imbalance")
        demo.wait_for(r"pack boat: .*discharge OFF")
        cells = get(f"{url}api/v1/packs/boat")
        assert cells["cell_min_index"] == 5
        assert "5" in json.dumps(get(f"{url}api/v1/packs/boat/health"))


# To make days of values takes longer than all that follows, and an incident goes on without them.
WITHOUT_A_PAST = "--set", "history.file=/nowhere/history.db"


def scenario(name, *log):
    with Demo("--scenario", name, *WITHOUT_A_PAST) as demo:
        for pattern in log:
            demo.wait_for(pattern)


def a_pack_falls_silent():
    scenario("silent-pack", r"pack boat: values are too old", r"boat answers again")


def frost_stops_the_charge():
    scenario("cold", r"pack shed: .*charge OFF.* ALARM .*charge_under_temperature", r"pack shed: .*charge on")


def a_short_circuit_opens_the_switches():
    scenario("short", r"pack shed: idle.*discharge OFF.* ALARM .*short_circuit", r"pack shed: .*discharge on")


def clouds_pass():
    with Demo("--scenario", "cloudy", *WITHOUT_A_PAST) as demo:
        url = demo.wait_for(r"^  Open (http://\S+/) in")[1]
        low = high = False
        while not (low and high):
            shed = get(f"{url}api/v1/packs/shed")
            assert not shed["fresh"] or shed["current_a"] > 0
            low |= shed["fresh"] and shed["current_a"] < 8
            high |= shed["fresh"] and shed["current_a"] > 40
            time.sleep(0.5)


def refuses_what_it_cannot_do():
    def fails(*arguments, **environment):
        done = subprocess.run([PACKGATE, "demo", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=PATIENCE, env={**os.environ, **environment})
        return done.returncode, done.stdout.decode()

    with tempfile.TemporaryDirectory() as folder:
        status, said = fails("--scenario", "sunny")
        assert status == 2 and "imbalance, silent-pack, cold, short, cloudy" in said, said
        for wrong in ("web", "web=1", ".listen=1", "web.=1"):
            status, said = fails("--folder", folder, "--set", wrong)
            assert status == 1 and "expected SECTION.KEY=VALUE" in said, said
        status, said = fails("--folder", folder, "--set", "web.lisen=127.0.0.1:1")
        assert status == 1 and "did you mean 'listen'" in said, said
        os.symlink(folder, f"{folder}/link")
        status, said = fails("--folder", f"{folder}/link")
        assert status == 1 and "choose another --folder" in said, said

        def listens(**environment):
            assert fails("--folder", folder, "--set", "web.allow=nonsense", **environment)[0] == 1
            with open(f"{folder}/demo.ini", encoding="utf-8") as file:
                return re.findall(r"^listen = (\S+)", file.read(), re.M)
        assert listens(container="") == ["127.0.0.1:1502", "127.0.0.1:8080"]
        assert listens(container="oci") == ["0.0.0.0:1502", "0.0.0.0:8080"]


main([a_pack_falls_silent, frost_stops_the_charge, a_short_circuit_opens_the_switches, health_finds_the_cell_of_the_past, clouds_pass,
      shows_packs_with_a_past, refuses_what_it_cannot_do], at_once=7)
