# SPDX-License-Identifier: MIT
"""`name = Küche links`: the title is shown to users; topics, the history and counters keep the word in the heading."""

import json
import signal
import urllib.parse

from control_harness import Link, named, run
from harness import main, until
from mqtt_harness import Broker, Listener
from web_harness import Page

PACKS = """
[line l]
port = sim:cells=16,capacity=150,soc=72,seed=1
protocol = topbms
[pack shed]
name = Küche links
line = l
unit = 1
poll = 200ms
[bank all]
name = Das Haus; alles
packs = shed
unit = 9
"""


def people_see_the_name():
    with Broker() as broker, Listener(broker) as listener:
        mqtt = f"[mqtt home]\nbroker = mqtt://127.0.0.1:{broker.port}\ninterval = 1s\n"
        with Page(mqtt, PACKS, general="name = Hof & Halle\n") as page, Link(page) as link:
            packs = page.await_fresh("shed")
            assert packs["shed"]["name"] == "Küche links" and packs["all"]["name"] == "Das Haus; alles"
            _, headers, _ = page.ask("/api/v1/packs")
            assert urllib.parse.unquote(headers["X-Packgate-Name"]) == "Hof & Halle"
            status = link.ask("status")
            assert status["name"] == "Hof & Halle" and named(status["packs"], "shed", "pack")["name"] == "Küche links"
            table = run("status", "-c", page.path)
            assert "shed (Küche links)" in table and "all (Das Haus; alles)" in table and "Hof & Halle: packgate" in table, table
            assert "name" not in json.loads(run("read", "-c", page.path, "shed"))
            assert "# Küche links" in run("map", "-f", "evcc", "-c", page.path)
            # The id is in topics and identifiers, the title on the device.
            topic, device = announced(listener, lambda topic, device: topic.endswith("_shed/config"))
            assert device["name"] == "Küche links" and device["ids"][0].endswith("_shed"), device
            announced(listener, lambda topic, device: device["name"] == "Hof & Halle")
            assert until(lambda: "packgate/shed/state" in {topic for _, topic, _ in listener.came}, bool)
            # A reload applies another title, and changes nothing else.
            with open(page.path, encoding="utf-8") as file:
                text = file.read()
            with open(page.path, "w", encoding="utf-8") as file:
                file.write(text.replace("Küche links", "Küche rechts"))
            page.process.send_signal(signal.SIGHUP)
            page.wait_for(r"\[pack shed\] name: Küche rechts, was Küche links")
            again = announced(listener, lambda _, device: device["name"] == "Küche rechts")
            assert (again[0], again[1]["ids"]) == (topic, device["ids"])


def announced(listener, wanted):
    """(topic, device) of an announcement for which `wanted` is true."""
    def look():
        for _, topic, payload in list(listener.came):
            if topic.endswith("/config") and payload and wanted(topic, json.loads(payload)["dev"]):
                return topic, json.loads(payload)["dev"]
        return None

    return until(look, bool)


main([people_see_the_name])
