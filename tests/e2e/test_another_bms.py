# SPDX-License-Identifier: MIT
# tests/run: 80 s
"""A pack gets another BMS with another protocol: what the old one has reported, and the new one cannot, ends everywhere."""

import contextlib
import json
import re
import sqlite3
import tempfile

from harness import PATIENCE, main, simulate, until
from influx_harness import Database
from mqtt_harness import Broker, Listener
from test_alarms import alarms_of, await_packs
from test_notify import Service
from test_present_battery import Stream as Wire, hear_frames
from web_harness import Page

ALARM, OTHERS = "cell_over_voltage", "soc_low"  # a shunt cannot report the first
PACK = "[line {0}]\nport = {2}\nprotocol = {1}\n[pack {0}]\nline = {0}\nunit = {3}\npoll = 100ms\nstale_after = 60s\n"
WEB = "[web]\nlisten = 127.0.0.1:0\n"
BOTH, OF_BANK = [(ALARM, "protection"), (OTHERS, "warning")], [(OTHERS, "warning")]


def on_can(page):
    """The frame with the alarms, as an inverter gets it."""
    with Wire(page.can) as wire:
        return bytes.fromhex(hear_frames(wire, lambda said: "359" in said)["359"])


def rows_of(folder):
    with contextlib.closing(sqlite3.connect(f"{folder}/history.db")) as history:
        return sorted(history.execute("SELECT p.name, e.name, e.text FROM event e JOIN pack p ON p.id = e.pack WHERE kind = 'alarm'"))


class Site(contextlib.ExitStack):
    """A Daly with an alarm, a shunt that may take its place, and a bank of it and another shunt, which has an alarm of its own."""

    def __init__(self):
        super().__init__()
        (board, self.daly), (new, self.shunt), (other, boat) = (
            simulate("daly", f"profile=fixed,alarm.{ALARM}=protection,cell_mv.3=3200"), simulate("vedirect", "profile=fixed"),
            simulate("vedirect", f"profile=fixed,alarm.{OTHERS}=warning"))
        self.folder = self.enter_context(tempfile.TemporaryDirectory(prefix="packgate-another-"))
        broker, self.service = self.enter_context(Broker()), self.enter_context(Service())
        for program in board, new, other:
            self.enter_context(program)
        self.listener = self.enter_context(Listener(broker))
        self.rest = (PACK.format("boat", "vedirect", boat, 2) + "[bank all]\npacks = shed, boat\nunit = 9\n"
                     f"[mqtt home]\nbroker = mqtt://127.0.0.1:{broker.port}\ninterval = 1s\n"
                     f"[notify phone]\ntype = webhook\nurl = {self.service.url}\nevents = alarm, cell_delta 50\nhold = 0s\n"
                     f"[history]\nfile = {self.folder}/history.db\n"
                     "[present p0]\nof = shed\nport = tcp-listen:127.0.0.1:0\nprotocol = pylon-1.2\nsoh = 97\n"
                     + WEB)
        self.rings = True

    def text(self, protocol):
        return PACK.format("shed", protocol, self.daly if protocol == "daly" else self.shunt, 1) + self.rest

    def page(self, protocol):
        page = Page(packs=self.text(protocol).replace(WEB, ""), state=f"{self.folder}/state")
        listening = r"present p0: listening on port (\d+)"
        known = re.search(listening, "\n".join(page.lines)) or page.wait_for(listening)
        page.can = int(known[1])
        return page

    def await_messages(self, active):
        """By MQTT, and to the phone, which hears of each event once in six hours."""
        for pack in "shed", "all":
            self.listener.wait_json(f"packgate/{pack}/event", lambda event: event["alarm"] == ALARM and event["active"] is active)
        waiting = {(pack, event) for pack in ("shed", "all") for event in (ALARM, "cell_delta")} if self.rings else ()
        while waiting:
            message = json.loads(self.service.next()[2])
            assert message["active"] is (active or message.get("alarm") == OTHERS), message
            waiting.discard((message["pack"], message.get("alarm") or message["event"]))

    def begins(self, page):
        await_packs(page, lambda pack: alarms_of(pack) == (BOTH if pack["pack"] == "all" else [(ALARM, "protection")]))
        self.await_messages(True)
        assert on_can(page)[0] & 2

    def ends(self, page):
        await_packs(page, lambda pack: pack.get("protocol", "bank") != "daly" and alarms_of(pack) == (OF_BANK if pack["pack"] == "all" else []))
        self.await_messages(False)
        assert not any(on_can(page)[:4])
        for pack in "shed", "all":
            until(lambda pack=pack: page.json(f"/api/v1/packs/{pack}/alarms"), lambda spells: {ALARM} == {spell["name"] for spell in spells if spell["until"]})

    def expect_events(self, times):
        wanted = [(name, ALARM, text) for name in ("all", "shed") for text in ("off", "on") for _ in range(times)]
        assert rows_of(self.folder) == sorted(wanted + [(name, OTHERS, "on") for name in ("all", "boat")]), rows_of(self.folder)


def begins_unknown_after_a_reload():
    with Site() as site:
        with site.page("daly") as page:
            site.begins(page)
            page.rewrite(site.text("vedirect"))
            site.ends(page)
            site.rings = False
            page.rewrite(site.text("daly"))
            site.begins(page)
            page.rewrite(site.text("vedirect"))
            site.ends(page)
        site.expect_events(2)


def of_a_silent_one_nothing_is_known():
    old, daly = simulate("daly", f"profile=fixed,alarm.{ALARM}=protection")
    with old, Page(packs=PACK.format("shed", "daly", daly, 1)) as page:
        until(lambda: page.json("/api/v1/packs")[0], lambda pack: pack.get("model") and pack["alarms"])
        page.rewrite(PACK.format("shed", "vedirect", "tcp://127.0.0.1:1", 1) + WEB)
        pack = until(lambda: page.json("/api/v1/packs")[0], lambda pack: pack["protocol"] == "vedirect")
        assert not pack["fresh"] and not pack["alarms"] and "model" not in pack and "last" not in pack, pack


def an_alarm_that_a_map_had_in_the_wrong_place_ends():
    board, url = simulate("eg4-ll", f"profile=fixed,alarm.{ALARM}=warning", "--address", 1)
    with board, tempfile.TemporaryDirectory(prefix="packgate-another-") as folder:
        path = f"{folder}/bms.txt"
        text = PACK.format("shed", f"modbus {path}", url, 1) + "address = 1\n"
        with open("conf/modbus-map-example.txt") as example, open(path, "w") as file:
            rows = example.readlines()
            file.writelines(rows)
        with Page(packs=text) as page:
            until(lambda: page.json("/api/v1/packs")[0], lambda pack: alarms_of(pack) == [(ALARM, "warning")])
            with open(path, "w") as file:
                file.writelines(row for row in rows if ALARM not in row)
            page.rewrite(text + WEB)
            page.wait_for("the new configuration is in force")
            page.await_fresh("shed")
            until(lambda: page.json("/api/v1/packs")[0], lambda pack: pack["fresh"] and not pack["alarms"])


def a_database_is_sent_its_end():
    """Which the new one cannot report: without it, the series would stay at its last value, 1."""
    def last(database, name):
        with database.lock:
            return max(((at, values[-1]) for (pack, of, at), values in database.samples.items() if (pack, of) == ("shed", name)), default=(0, None))[1]

    def await_last(wanted):
        for database, name in (series, f"alarm.{ALARM}.protection"), (fields, f"alarm_{ALARM}"):
            until(lambda: last(database, name), lambda value: value == wanted, patience=3 * PATIENCE)

    (old, daly), (new, shunt) = simulate("daly", f"profile=fixed,alarm.{ALARM}=protection"), simulate("vedirect", "profile=fixed")
    with old, new, Database() as series, Database() as fields, tempfile.TemporaryDirectory(prefix="packgate-another-") as folder:
        rest = f"[influx a]\nurl = {series.url}\n[influx b]\nurl = {fields.url}\nlayout = fields\n"
        daly, shunt = PACK.format("shed", "daly", daly, 1) + rest, PACK.format("shed", "vedirect", shunt, 1) + rest
        with Page(packs=daly, state=f"{folder}/state") as page:
            await_last(1)
            page.rewrite(shunt + WEB)
            await_last(0)
            page.rewrite(daly + WEB)
            await_last(1)
        with Page(packs=shunt, state=f"{folder}/state"):
            await_last(0)


def begins_unknown_after_a_restart():
    with Site() as site:
        with site.page("daly") as page:
            site.begins(page)
        with site.page("vedirect") as page:
            site.ends(page)
        site.expect_events(1)


if __name__ == "__main__":
    main([begins_unknown_after_a_reload, of_a_silent_one_nothing_is_known, an_alarm_that_a_map_had_in_the_wrong_place_ends, a_database_is_sent_its_end,
          begins_unknown_after_a_restart])
