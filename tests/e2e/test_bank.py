# SPDX-License-Identifier: MIT
# tests/run: 25 s
"""Banks and spikes in the real gateway: two packs as one, a pack that leaves and returns, a single wrong reading."""

import json
import math
import os
import re
import signal
import socket
import struct
import tempfile
import time
from types import SimpleNamespace

from harness import (PATIENCE, Exchange, Gateway, Replayer, await_value, exception_of, find, main, read, read_value, simulate, until,
                     simulate_pty)

STALE = 0x0B
NO_UNIT = 0x0A

# Unequal packs of two makes. The values of the bank are computed where they are checked.
LARGE = {"voltage_v": 53.0, "current_a": 20.5, "soc_percent": 40, "remaining_ah": 112, "rated_ah": 280, "cycles": 100,
         "charge_mos": 1, "discharge_mos": 1, "balance_mask": 0, "temp_c.1": 15, "temp_c.2": 25,
         **{f"cell_mv.{n}": 3300 + n for n in range(1, 17)}}
SMALL = {"voltage_v": 53.2, "current_a": -4.25, "soc_percent": 90, "remaining_ah": 90, "full_ah": 100, "cycles": 300,
         "charge_mos": 1, "discharge_mos": 1, "balance_mask": 0, "temp_c.1": 31, "temp_c.2": 21, "temp_c.3": 20,
         "temp_c.4": 20, **{f"cell_mv.{n}": 3320 - n for n in range(1, 17)}}


def options(values, temps):
    return f"cells=16,temps={temps},profile=fixed," + ",".join(f"{name}={value}" for name, value in values.items())


def configuration(large, small, bank, stale_after="2s"):
    return f"""
[line shed]
port = {large}
[line room]
port = {small}
[pack large]
line = shed
protocol = daly
unit = 1
poll = 100ms
stale_after = {stale_after}
[pack small]
line = room
protocol = topbms
unit = 2
poll = 100ms
stale_after = {stale_after}
[bank house]
packs = large, small
unit = 100
{bank}
"""


def check(client, unit, expected):
    wrong = []
    for name, value in expected.items():
        got = read_value(client, name, unit)
        if got is None or abs(got - value) > abs(value) * 1e-6:
            wrong.append(f"unit {unit}: {name} is {got}, expected {value}")
    assert not wrong, "\n".join(wrong)


def gone(program, link=None):
    program.stop(signal.SIGKILL)
    if link and os.path.islink(link):
        os.unlink(link)


def wait_missing(gateway, pack, message):
    """Waits until both the bank and the pack have reported it, in any order."""
    waiting = {"pack", "bank"}
    while waiting:
        waiting.discard(gateway.wait_for(rf"(pack) {pack}: values are too old|(bank) house: {message}").group().split()[0])


def two_packs_as_one():
    large, large_url = simulate("daly", options(LARGE, 2))
    small, small_url = simulate("topbms", options(SMALL, 4))
    with large, small, Gateway(configuration(large_url, small_url, "", "1h")) as gateway, gateway.client() as client:
        gateway.wait_published("large", "small")
        await_value(client, "packs_present", 100, lambda n: n == 2)
        await_value(client, "temp_max_c", 100, lambda t: t == 31)
        await_value(client, "rated_ah", 1, lambda ah: ah == 280)
        # All 16 cells of each: 16 x 3300 + 136 and 16 x 3320 - 136. All six sensors: 15 + 25 + 31 + 21 + 20 + 20.
        expected = {"voltage_v": 53.1, "current_a": 16.25, "power_w": 53 * 20.5 - 53.2 * 4.25,
                    "soc_percent": (40 * 280 + 90 * 100) / 380, "remaining_ah": 202, "cycles": 300,
                    "cell_max_mv": 3319, "cell_max_index": 1, "cell_max_pack": 2,
                    "cell_min_mv": 3301, "cell_min_index": 1, "cell_min_pack": 1,
                    "cell_delta_mv": 18, "cell_avg_mv": 3310, "temp_avg_c": 132 / 6,
                    "temp_max_c": 31, "temp_max_pack": 2, "temp_min_c": 15, "temp_min_pack": 1,
                    "charge_mos": 1, "discharge_mos": 1, "balancing": 0,
                    "packs_present": 2, "packs_missing": 0, "packs_needed": 2, "connection_state": 1}
        await_value(client, "soc_percent", 100, lambda soc: abs(soc - expected["soc_percent"]) < 1e-4)
        check(client, 100, expected)
        check(client, 0, expected)
        check(client, 255, expected)
        assert read_value(client, "driver", 100) == "bank" and read_value(client, "pack_name", 100) == "house"
        # Values that a bank never has, and values that no pack reports.
        for name in ("cell_count", "cell_mv.1", "temp_count", "balance_mask"):
            row = find(name)
            assert read(client, row["address"], row["count"], 100) == [0xFFFF] * row["count"], name
        assert read_value(client, "serial", 100) == ""
        assert [read_value(client, name, 1) for name in ("packs_present", "cell_max_pack")] == [None, None]
        # The compatibility block of the bank.
        words = read(client, 290, 58, 0)
        assert words[0:4] == [53, 53, 16, round(expected["power_w"])] and words[6:8] == [3319, 3301], words
        assert words[44:46] == [202, 0], words
        bits = client.read_discrete_inputs(0, count=40, slave=100).bits
        assert [n for n, bit in enumerate(bits[:40]) if bit] == [32, 33, 35, 37], bits
        # The energy of its packs; a bank has no switchable MOS.
        assert read_value(client, "charged_wh", 100) is not None
        assert client.write_coil(0, False, slave=100).isError()
        assert client.write_coil(0, False, slave=0).isError()
        # Unknown stays unknown: the topbms pack reports no rated capacity, the daly one no full one.
        assert math.isnan(read_value(client, "full_ah", 100)) and math.isnan(read_value(client, "rated_ah", 100))


def waits_for_what_a_pack_weighs():
    """A pack that reports its capacity a few replies after its state of charge: no bank is published until then,
    because all packs would weigh the same."""
    large, large_url = simulate("daly", options(LARGE, 2) + ",delay=150")
    small, small_url = simulate("topbms", options(SMALL, 4))
    with large, small, Gateway(configuration(large_url, small_url, "", "30s")) as gateway, gateway.client() as client:
        await_value(client, "packs_present", 100, lambda n: n == 2)
        soc = read_value(client, "soc_percent", 100)
        assert abs(soc - (40 * 280 + 90 * 100) / 380) < 1e-3, soc


def await_bank(client):
    until(lambda: exception_of(client, 290, 8, 100) is None)


def waits_for_a_pack_that_answers_slowly():
    """The same with min_packs: the first values served are the sum of all packs that answer."""
    large, large_url = simulate("daly", options(LARGE, 2) + ",delay=150")
    small, small_url = simulate("topbms", options(SMALL, 4))
    with large, small, Gateway(configuration(large_url, small_url, "min_packs = 1", "30s")) as gateway, gateway.client() as client:
        await_bank(client)
        check(client, 100, {"packs_present": 2, "current_a": 16.25})


def waits_for_a_line_that_a_reload_opens_again():
    """With min_packs, too, it reports the sum of all packs or nothing."""
    large, large_url = simulate("daly", options(LARGE, 2))
    small, small_url = simulate("topbms", options(SMALL, 4) + ",delay=300")
    text = configuration(large_url, small_url, "min_packs = 1")
    with large, small, Gateway(text) as gateway, gateway.client() as client:
        gateway.wait_published("large", "small")
        await_bank(client)
        gateway.rewrite(text.replace("[line room]", "[line room]\ngap = 20ms"))
        gateway.wait_for("the new configuration is in force")
        await_bank(client)
        check(client, 100, {"packs_present": 2, "current_a": 16.25})


def does_not_wait_for_a_silent_pack():
    small, small_url = simulate("topbms", options(SMALL, 4))
    with socket.create_server(("127.0.0.1", 0)) as silent, small:
        text = configuration(f"tcp://127.0.0.1:{silent.getsockname()[1]}", small_url, "min_packs = 1")
        with Gateway(text) as gateway, gateway.client() as client:
            await_bank(client)
            check(client, 100, {"packs_present": 1, "packs_missing": 1, "current_a": -4.25})


def goes_on_without_a_pack():
    with tempfile.TemporaryDirectory() as folder:
        link = f"{folder}/tty"
        large, url = simulate("daly", options(LARGE, 2))
        small = simulate_pty("topbms", link, options(SMALL, 4))
        text = configuration(url, f"serial:{link}", "min_packs = 1")
        with large, small, Gateway(text) as gateway, gateway.client() as client:
            gateway.wait_published("large", "small")
            await_value(client, "packs_present", 100, lambda n: n == 2)
            assert read(client, 335, 1, 100) == [0]

            gone(small, link)
            wait_missing(gateway, "small", "1 of 2 packs, small missing; its values are computed from the others")
            alone = {"voltage_v": 53.0, "current_a": 20.5, "soc_percent": 40, "remaining_ah": 112, "cycles": 100,
                     "cell_max_mv": 3316, "cell_max_pack": 1, "temp_max_c": 25, "packs_present": 1,
                     "packs_missing": 1, "packs_needed": 1, "connection_state": 1}
            check(client, 100, alone)
            assert exception_of(client, 290, 1, 2) == STALE
            assert read(client, 335, 1, 100) == [1] and read(client, 335, 1, 1) == [0]
            assert client.read_discrete_inputs(21, count=1, slave=100).bits[0]  # communication_fault
            assert read_value(client, "alarm_level", 100) == 1

            with simulate_pty("topbms", link, options(SMALL, 4)):
                gateway.wait_for(r"bank house: all 2 packs are present")
                check(client, 100, {"current_a": 16.25, "packs_present": 2, "packs_missing": 0})
                assert read(client, 335, 1, 100) == [0]

                gone(large)
                gateway.wait_for(r"bank house: 1 of 2 packs, large missing")
                check(client, 100, {"current_a": -4.25, "soc_percent": 90, "cell_max_pack": 2})
            # Now both packs.
            gateway.wait_for(r"bank house: 0 of 2 packs, large, small missing; it is stale with fewer than 1")
            for unit in (100, 0, 255):
                assert exception_of(client, 290, 8, unit) == STALE
                assert exception_of(client, find("cell_max_pack")["address"], 1, unit) == STALE
                check(client, unit, {"packs_present": 0, "packs_missing": 2, "packs_needed": 1, "map_version": 3})
                assert read_value(client, "connection_state", unit) in (2, 3)
                assert read_value(client, "age_s", unit) >= 1


def is_stale_below_min_packs():
    """Without min_packs every pack is required: a part of the current is not the current."""
    large, large_url = simulate("daly", options(LARGE, 2))
    small, small_url = simulate("topbms", options(SMALL, 4))
    with large, small, Gateway(configuration(large_url, small_url, "")) as gateway, gateway.client() as client:
        gateway.wait_published("large", "small")
        await_value(client, "packs_present", 100, lambda n: n == 2)
        gone(small)
        wait_missing(gateway, "small", r"1 of 2 packs, small missing; it is stale with fewer than 2 \(min_packs\)")
        assert exception_of(client, 290, 8, 100) == STALE and exception_of(client, 290, 8, 0) == STALE
        check(client, 100, {"packs_present": 1, "packs_missing": 1, "connection_state": 2})
        check(client, 1, {"current_a": 20.5})


def holds_the_last_bank_when_told_to():
    large, large_url = simulate("daly", options(LARGE, 2))
    small, small_url = simulate("topbms", options(SMALL, 4))
    text = configuration(large_url, small_url, "")
    with large, small, Gateway(text, "on_stale = hold") as gateway, gateway.client() as client:
        gateway.wait_published("large", "small")
        await_value(client, "packs_present", 100, lambda n: n == 2)
        gone(small)
        gateway.wait_for(r"bank house: 1 of 2 packs")
        check(client, 100, {"current_a": 16.25, "packs_present": 1, "connection_state": 2})
        assert read(client, 335, 1, 100) == [1]


def follows_a_new_configuration():
    large, large_url = simulate("daly", options(LARGE, 2))
    small, small_url = simulate("topbms", options(SMALL, 4))
    with large, small, Gateway(configuration(large_url, small_url, "")) as gateway, gateway.client() as client:
        gateway.wait_published("large", "small")
        await_value(client, "packs_present", 100, lambda n: n == 2)
        gone(small)
        wait_missing(gateway, "small", "1 of 2 packs")
        assert exception_of(client, 290, 8, 100) == STALE
        with open(gateway.path) as file:
            text = file.read()
        with open(gateway.path, "w") as file:
            file.write(text.replace("unit = 100", "unit = 101\nmin_packs = 1"))
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("the new configuration is in force")
        for unit in (101, 0, 255):
            check(client, unit, {"current_a": 20.5, "packs_present": 1, "packs_missing": 1, "packs_needed": 1})
        assert exception_of(client, 290, 8, 100) == NO_UNIT


def is_pushed():
    """Nothing is written before the bank is complete, and then its sum."""
    large, large_url = simulate("daly", options(LARGE, 2))
    small, small_url = simulate("topbms", options(SMALL, 4))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)
    push = f"""
[push plc]
target = tcp://127.0.0.1:{listener.getsockname()[1]}
interval = 100ms
write = house.current_a -> 7 s16 scale 100
"""
    with large, small, listener, Gateway(configuration(large_url, small_url, push, "1h")):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            frame = b""
            while len(frame) < 12:
                frame += connection.recv(12 - len(frame))
            assert struct.unpack(">xxxxHBBHh", frame) == (6, 1, 6, 7, 1625), frame


# ---- spikes ----

def with_soc(frame, tenths):
    """A Daly 0x90 reply with another state of charge and the right checksum."""
    frame = frame[:10] + tenths.to_bytes(2, "big")
    return frame + bytes([sum(frame) & 0xFF])


def daly_with(socs):
    """A recorded pack whose 0x90 gets these states of charge in turn, then always the last one."""
    exchange = Exchange("tests/captures/daly/01-readme-14s-idle.exch")
    pairs = []
    for request, reply in exchange.pairs:
        replies = [with_soc(reply, soc) for soc in socs] if request[2] == 0x90 else [reply]
        pairs += [(request, reply) for reply in replies]
    return Replayer(SimpleNamespace(pairs=pairs))


def daly_alone(url):
    return f"""
[line replay]
port = {url}
reply_timeout = 150ms
gap = 0ms
tries = 1
[pack replayed]
line = replay
protocol = daly
unit = 1
poll = 100ms
"""


def read_socs(client, cycles):
    """All states of charge that a client sees during so many cycles."""
    seen = []
    while (read_value(client, "polls", 1) or 0) < cycles:
        seen.append(round(read_value(client, "soc_percent", 1), 1))
        time.sleep(0.002)  # seconds; a cycle is 100 ms
    return seen


def serves_no_spike():
    with daly_with([189, 189, 999, 190, 190]) as replayer:
        with Gateway(daly_alone(replayer.url)) as gateway, gateway.client() as client:
            gateway.wait_published("replayed")
            seen = read_socs(client, 7)
            assert set(seen) <= {18.9, 19.0}, seen
            assert read_value(client, "soc_percent", 1) - 19.0 < 0.01
            assert read_value(client, "spikes", 1) == 1


def shunt_measures_the_bank():
    """Current and state of charge of the bank come from the shunt, and are unknown without it; the sums of the packs
    are reported separately."""
    large, large_url = simulate("daly", options(LARGE, 2))
    small, small_url = simulate("topbms", options(SMALL, 4))
    shunt, shunt_url = simulate("vedirect", "profile=fixed,voltage_v=53.1,current_a=17.5,soc_percent=55")
    text = configuration(large_url, small_url, "shunt = meter") + (f"[line meter]\nport = {shunt_url}\n[pack meter]\nline = meter\n"
                                                                   "protocol = vedirect\nunit = 9\nstale_after = 3s\n")
    with large, small, shunt, Gateway(text) as gateway, gateway.client() as client:
        await_value(client, "connection_state", 100, lambda state: state == 1)
        check(client, 100, {"current_a": 17.5, "soc_percent": 55, "packs_current_a": 16.25, "packs_soc_percent": (40 * 280 + 90 * 100) / 380,
                            "alarms_warning": 0})
        shunt.process.send_signal(signal.SIGSTOP)
        try:
            gateway.wait_for("bank house: meter, its shunt, is missing; current, power and state of charge are unknown")
            await_value(client, "current_a", 100, math.isnan)
            assert math.isnan(read_value(client, "soc_percent", 100))
            check(client, 100, {"packs_current_a": 16.25, "voltage_v": 53.1})
        finally:
            shunt.process.send_signal(signal.SIGCONT)
        gateway.wait_for("bank house: meter, its shunt, is present")
        await_value(client, "current_a", 100, lambda amps: amps == 17.5)


def outlets_get_a_bank_of_new_settings():
    """They do not have to wait until a pack is polled again. The packs have a protocol with a single request."""
    large, large_url = simulate("ant-old", "profile=fixed,current_a=20")
    small, small_url = simulate("ant-old", "profile=fixed,current_a=-4")
    shunt, shunt_url = simulate("vedirect", "profile=fixed,voltage_v=53.1,current_a=17.5,soc_percent=55")
    text = re.sub("daly|topbms", "ant-old", configuration(large_url, small_url, "shunt = meter", "2h").replace("100ms", "1h")) + (
        f"[line meter]\nport = {shunt_url}\n[pack meter]\nline = meter\nprotocol = vedirect\nunit = 9\n[print x]\n")
    with large, small, shunt, Gateway(text) as gateway:
        gateway.wait_for(r'"current_a":17.5,.*"pack":"house"')
        gateway.rewrite(text.replace("shunt = meter", ""))
        gateway.wait_for("the new configuration is in force")
        for _ in range(3):  # the first may still be of before
            values = gateway.wait_for(r'\{.*"pack":"house".*\}')[0]
        assert json.loads(values)["current_a"] == 16, values


def frozen_values_are_an_alarm():
    bms, url = simulate("daly", options(LARGE, 2))
    idle, idle_url = simulate("daly", options({**LARGE, "current_a": 0}, 2))
    text = "".join(f"[line {name}]\nport = {port}\nprotocol = daly\n[pack {name}]\nline = {name}\nunit = {unit}\npoll = 500ms\n"
                   "frozen_after = 10s\n" for name, port, unit in (("hung", url, 1), ("idle", idle_url, 2)))
    with bms, idle, Gateway(text) as gateway, gateway.client() as client:
        gateway.wait_for(r"pack hung: all values have been the same for \d+ s, although \+20\.5 A flow")
        await_value(client, "alarm_level", 1, lambda level: level == 2)
        assert read_value(client, "alarm_level", 2) in (0, None)


main([frozen_values_are_an_alarm, goes_on_without_a_pack, two_packs_as_one, waits_for_what_a_pack_weighs, waits_for_a_pack_that_answers_slowly, waits_for_a_line_that_a_reload_opens_again,
      does_not_wait_for_a_silent_pack, is_stale_below_min_packs, holds_the_last_bank_when_told_to,
      follows_a_new_configuration, outlets_get_a_bank_of_new_settings, is_pushed, serves_no_spike, shunt_measures_the_bank], at_once=3)
