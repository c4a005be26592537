# SPDX-License-Identifier: MIT
"""An alarm begins and ends: the page, its stream, the log, the history, MQTT and notifications agree, even while the
reply with the alarm is lost."""

import contextlib
import json
import select
import socket
import sqlite3
import tempfile

from harness import Way, main, simulate, until
from mqtt_harness import Broker, Listener
from test_notify import Service
from web_harness import Page, Stream

ALARMS = 0x98  # the request for them, of a Daly
ALARM = "cell_over_voltage"
PACK = ("[line {0}]\nport = {1}\nprotocol = daly\nreply_timeout = 300ms\n"
        "[pack {0}]\nline = {0}\nunit = {2}\nwritable = yes\npoll = 100ms\nstale_after = 60s\n")


class AlarmWay(Way):
    """A proxy to a Daly. Requests for alarms go to another board ("calm"), or are lost ("lost")."""

    def __init__(self, url, calm):
        self.alarms = "pass"
        host, port = calm[len("tcp://"):].split(":")
        self.calm = (host, int(port))
        super().__init__(url)

    def pass_on(self, near, far):
        with socket.create_connection(self.calm) as calm, contextlib.suppress(ConnectionError):
            while True:
                for side in select.select([near, far, calm], [], [])[0]:
                    data = side.recv(4096)
                    if not data:
                        return
                    if side is not near:
                        near.sendall(data)
                    elif data[2] != ALARMS or self.alarms == "pass":
                        far.sendall(data)
                    elif self.alarms == "calm":
                        calm.sendall(data)


def await_packs(page, wanted):
    until(lambda: {pack["pack"]: pack for pack in page.json("/api/v1/packs")},
          lambda packs: all(packs[name]["fresh"] and wanted(packs[name]) for name in ("shed", "all")))


def next_alarms(stream, count):
    told = []
    while len(told) < count:
        event = stream.next("alarm")[1]
        told += [event] if event["kind"] == "alarm" else []
    return told


def alarms_of(pack):
    return [(alarm["name"], alarm["level"]) for alarm in pack["alarms"]]


def all_agree_while_the_reply_is_lost():
    program, alarmed = simulate("daly", f"profile=fixed,alarm.{ALARM}=protection")
    other, calm = simulate("daly", "profile=fixed")
    way = AlarmWay(alarmed, calm)
    with program, other, Broker() as broker, Service() as service, tempfile.TemporaryDirectory(prefix="packgate-alarms-") as folder:
        packs = (PACK.format("shed", way.url, 1) + PACK.format("boat", calm, 2) + "[bank all]\npacks = shed, boat\nunit = 9\n"
                 f"[mqtt home]\nbroker = mqtt://127.0.0.1:{broker.port}\ninterval = 1s\nswitching = yes\n"
                 f"[notify phone]\ntype = webhook\nurl = {service.url}\nevents = alarm\nhold = 0s\n"
                 f"[history]\nfile = {folder}/history.db\n")
        with Listener(broker) as listener, Page(packs=packs) as page, Stream(page.web) as stream:
            told = next_alarms(stream, 2)
            for name in "shed", "all":
                assert listener.wait_json(f"packgate/{name}/event")["active"] is True
            assert {json.loads(service.next()[2])["pack"] for _ in range(2)} == {"shed", "all"}
            await_packs(page, lambda pack: alarms_of(pack) == [(ALARM, "protection")])
            way.alarms = "lost"
            await_packs(page, lambda pack: f"alarm.{ALARM}" not in pack)
            # The alarm has not ended: it could not be read.
            await_packs(page, lambda pack: alarms_of(pack) == [(ALARM, "protection")])
            way.alarms = "pass"
            # A request that was given up is sent again after a minute, or after an order.
            listener.publish("packgate/shed/set/charge_mos", "1")
            await_packs(page, lambda pack: pack.get(f"alarm.{ALARM}") == 1)
            way.alarms = "calm"
            await_packs(page, lambda pack: pack.get(f"alarm.{ALARM}") == 0)
            await_packs(page, lambda pack: not pack["alarms"])
            told += next_alarms(stream, 2)
            for name in "shed", "all":
                listener.wait_json(f"packgate/{name}/event", lambda event: not event["active"])
            assert {json.loads(service.next()[2])["pack"] for _ in range(2)} == {"shed", "all"}
        way.close()
        wanted = [(name, ALARM, "protection", active) for name in ("all", "shed") for active in (True, False)]
        assert sorted((event["pack"], event["name"], event["level"], event["active"] == 1) for event in told) == sorted(wanted), told
        events = [(topic.split("/")[1], json.loads(payload)) for _, topic, payload in listener.came if topic.endswith("/event")]
        assert sorted((name, event["alarm"], event["level"], event["active"]) for name, event in events) == sorted(wanted), events
        messages = [json.loads(body) for _, _, body in service.came]
        assert sorted((one["pack"], one["alarm"], one["active"]) for one in messages) == \
            sorted((name, alarm, active) for name, alarm, _, active in wanted), messages
        with contextlib.closing(sqlite3.connect(f"{folder}/history.db")) as history:
            rows = history.execute("SELECT p.name, e.name, e.level, e.text FROM event e JOIN pack p ON p.id = e.pack "
                                   "WHERE kind = 'alarm'").fetchall()
        assert sorted(rows) == sorted((name, ALARM, 2, "on" if active else "off") for name, _, _, active in wanted), rows
        for name in "pack shed", "bank all":
            lines = [line for line in page.lines if f"{name}: " in line and " V, " in line]
            has = [f"ALARM {ALARM}" in line for line in lines]
            assert has == sorted(has, reverse=True) and has[0] and not has[-1], lines


if __name__ == "__main__":
    main([all_agree_while_the_reply_is_lost])
