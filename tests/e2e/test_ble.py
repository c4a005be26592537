# SPDX-License-Identifier: MIT
"""Packs over Bluetooth Low Energy, by a stand-in for BlueZ on a private bus: real D-Bus messages, simulated packs."""

import re

from ble_harness import Air
from harness import Gateway, await_value, main, read_value

DALY, JK, JBD, D2 = (f"AA:00:00:00:00:0{n}" for n in range(1, 5))


def line(name, port, protocol, more=""):
    return f"[line {name}]\nport = {port}\nprotocol = {protocol}\n{more}\n"


def pack(name, unit, more=""):
    return f"[pack {name}]\nline = {name}\nunit = {unit}\npoll = 500ms\n{more}\n"


def await_polls(client, unit, count=5):
    start = read_value(client, "polls", unit)
    await_value(client, "polls", unit, lambda polls: polls >= start + count)


def reads_daly_jk_and_jbd():
    packs = {DALY: ("daly", "daly", "profile=fixed,soc=61", "DL-1", "--variant", "bluetooth"),
             JK: ("jk", "jk02", "profile=fixed,soc=62", "JK-1"),
             JBD: ("jbd", "jbd", "profile=fixed,soc=63", "xiaoxiang"),
             D2: ("request", "daly-d2", "profile=fixed,soc=64", "DL-2")}
    text = (line("a", "ble:" + DALY.lower(), "daly") + pack("a", 1) + line("b", "ble:hci0/" + JK, "jk02") + pack("b", 2) +
            line("c", "ble:xiaoxiang", "jbd") + pack("c", 3) + line("d", "ble:" + D2, "daly-d2") + pack("d", 4))
    with Air(packs) as air, Gateway(text) as gateway, gateway.client() as client:
        gateway.wait_published("a", "b", "c", "d")
        for unit in range(1, 5):
            await_polls(client, unit)
            await_value(client, "soc_percent", unit, lambda soc, unit=unit: abs(soc - 60 - unit) < 0.1)
        assert gateway.stop() == 0
        warnings = [text for text in gateway.lines if re.search("warning|error", text)]
        assert len(warnings) == 1 and "is a name" in warnings[0], warnings
        # No device stays connected: others could not have it, and some would not advertise any more.
        for _ in range(4):
            air.bluez.wait_for("disconnected")


main([reads_daly_jk_and_jbd])
