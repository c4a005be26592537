# SPDX-License-Identifier: MIT
"""`packgate rename`: counters, history and the ids of Home Assistant go on under a pack's new name."""

import contextlib
import shutil
import sqlite3
import subprocess
import tempfile
import time

from harness import Gateway, PACKGATE, PATIENCE, await_value, main, simulate
from mqtt_harness import Broker, Listener, await_retained


class Place:
    """A gateway that can be stopped and started with another name of its pack; all its files stay."""

    def __init__(self, port, more=""):
        self.folder = tempfile.mkdtemp(prefix="packgate-rename-")
        self.state, self.history = self.folder + "/state", self.folder + "/history.db"
        self.port, self.more, self.path = port, more, self.folder + "/packgate.ini"

    def text(self, name):
        return (f"[line l]\nport = {self.port}\nprotocol = daly\n[pack {name}]\nline = l\nunit = 1\npoll = 100ms\n"
                f"[history]\nfile = {self.history}\ncommit = 10s\n{self.more}\n")

    @contextlib.contextmanager
    def run(self, name):
        with Gateway(self.text(name), state=self.state) as gateway:
            gateway.wait_published(name)
            yield gateway

    def rename(self, before, after, name=None):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f"[gateway]\nstate_file = {self.state}\n{self.text(name or after)}")
        return subprocess.run([PACKGATE, "rename", "-c", self.path, before, after], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ask(self, sql):
        database = sqlite3.connect(self.history, timeout=PATIENCE)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        shutil.rmtree(self.folder)


def charged(state, name):
    """The counter of energy out of the state file."""
    with open(state, encoding="utf-8") as file:
        section = file.read().split(f"[pack {name}]")
    assert len(section) == 2, (name, section)
    return next(float(line.split("=")[1]) for line in section[1].splitlines() if line.startswith("charged_wh"))


def test_state_and_history():
    program, port = simulate("daly", "cells=8,soc=50,current_a=50")
    with program, Place(port) as place:
        with place.run("shed") as gateway, gateway.client() as client:
            await_value(client, "charged_wh", 1, lambda wh: wh > 0)
        before, rows = charged(place.state, "shed"), place.ask("SELECT count(*) FROM recents WHERE name = 'shed'")
        assert before > 0 and rows[0][0] > 0
        done = place.rename("shed", "house")
        assert done.returncode == 0, done.stdout
        assert charged(place.state, "house") == before
        assert place.ask("SELECT count(*) FROM recents WHERE name = 'house'") == rows
        with place.run("house"):
            pass
        assert charged(place.state, "house") >= before
        # Whoever had the new name in use already loses nothing of either.
        with place.run("yard") as gateway, gateway.client() as client:
            await_value(client, "charged_wh", 1, lambda wh: wh > 0)
        both = charged(place.state, "house") + charged(place.state, "yard")
        done = place.rename("house", "yard")
        assert done.returncode == 0, done.stdout
        assert abs(charged(place.state, "yard") - both) < 1e-6
        assert place.ask("SELECT name FROM pack") == [("yard",)]


def test_what_is_refused():
    program, port = simulate("daly", "cells=8,soc=50")
    with program, Place(port) as place:
        with place.run("shed"):
            done = place.rename("shed", "house")
            assert done.returncode == 1 and b"stop the gateway first" in done.stdout
        before = open(place.state, encoding="utf-8").read()
        done = place.rename("shed", "house", name="shed")
        assert done.returncode == 1 and b"still has 'shed'" in done.stdout
        done = place.rename("shed", "house", name="yard")
        assert done.returncode == 1 and b"has no pack or bank 'house'" in done.stdout
        for wrong in (("shed",), ("shed", "shed"), ("shed", "a b"), ("a", "b", "c")):
            assert subprocess.run([PACKGATE, "rename", "-c", place.path, *wrong], stderr=subprocess.DEVNULL).returncode == 2
        assert open(place.state, encoding="utf-8").read() == before
        done = place.rename("nobody", "house")
        assert done.returncode == 0 and b"nothing is stored for nobody" in done.stdout


def test_ids_stay():
    program, port = simulate("daly", "cells=8,soc=50")
    with program, Broker() as broker, Place(port, f"[mqtt home]\nbroker = mqtt://127.0.0.1:{broker.port}\ninterval = 1s") as place:
        with Listener(broker) as listener, place.run("shed"):
            def announced():
                return next((topic for _, topic, payload in listener.came if topic.endswith("_shed/config") and payload), None)
            deadline = time.monotonic() + PATIENCE
            while not announced():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            topic = announced()
            first = listener.wait_json(topic)
        assert place.rename("shed", "house").returncode == 0
        with Listener(broker) as listener, place.run("house"):
            second = listener.wait_json(topic, lambda value: value["dev"]["name"] == "house")
            assert second["dev"]["ids"] == first["dev"]["ids"]
            # What is announced grows with what is known: those that are in both.
            same = [key for key in first["cmps"] if "uniq_id" in first["cmps"][key] and "uniq_id" in second["cmps"].get(key, {})]
            assert "voltage_v" in same and all(first["cmps"][key]["uniq_id"] == second["cmps"][key]["uniq_id"] for key in same)
            listener.wait_for("packgate/house/state", bool)
            assert not any(name.endswith("_house/config") and payload for _, name, payload in listener.came)
            assert not any(name == topic and not payload for _, name, payload in listener.came), "it was withdrawn"
            # Of its former name nothing stays with the broker.
            await_retained(broker, lambda found: "packgate/house/info" in found and
                           not any(name.startswith("packgate/shed/") for name in found), "shed")
        # And back.
        assert place.rename("house", "shed").returncode == 0
        with Listener(broker) as listener, place.run("shed"):
            third = listener.wait_json(topic, lambda value: value["dev"]["name"] == "shed")
            assert third["dev"]["ids"] == first["dev"]["ids"]
            await_retained(broker, lambda found: "packgate/shed/info" in found and topic in found and
                           not any(name.startswith("packgate/house/") for name in found), "house")


if __name__ == "__main__":
    main([test_state_and_history, test_what_is_refused, test_ids_stay])
