# SPDX-License-Identifier: MIT
"""The real gateway on emulated packs behind a pty and behind TCP, read by Modbus TCP and by mbpoll."""

import math
import os
import signal
import tempfile

from harness import (Gateway, await_value, decode, exception_of, find, main, mbpoll, read, read_value, simulate, simulate_pty, until)

STALE = 0x0B
NO_UNIT = 0x0A
BAD_ADDRESS = 0x02

# The values of the emulated packs, which clients must read: cells, sensors and all others. The resolution of the
# protocol is 0.1 V and 0.1 A for Daly, 10 mV and 10 mA for TopBMS.
DALY = {"voltage_v": 26.4, "current_a": -12.3, "soc_percent": 61.7, "remaining_ah": 123.456, "cycles": 321,
        "cell_count": 8, "temp_count": 2, "charge_mos": 1, "discharge_mos": 0, "balance_mask": 0,
        **{f"cell_mv.{n}": 3290 + 3 * n for n in range(1, 9)}, "temp_c.1": -7, "temp_c.2": 23, "alarm.soc_low": 1}
TOPBMS = {"voltage_v": 53.58, "current_a": 3.84, "soc_percent": 88, "remaining_ah": 132.35, "full_ah": 150, "cycles": 2,
          "cell_count": 16, "temp_count": 4, "charge_mos": 1, "discharge_mos": 1, "balance_mask": 0,
          **{f"cell_mv.{n}": 3340 + n for n in range(1, 17)}, **{f"temp_c.{n}": 18 + n for n in range(1, 5)}}


def options(values):
    counts = f"cells={values['cell_count']},temps={values['temp_count']},profile=fixed,"
    rest = {k: v for k, v in values.items() if k not in ("cell_count", "temp_count")}
    return counts + ",".join(f"{name}={value}" for name, value in rest.items())


def check_values(client, unit, expected):
    wrong = []
    for name, value in expected.items():
        if name.startswith("alarm.") or name == "balance_mask":
            continue
        got = await_value(client, name, unit, lambda known: known is not None and not math.isnan(known))  # vital ones first
        if abs(got - value) > abs(value) * 1e-6:
            wrong.append(f"unit {unit}: {name} is {got}, expected {value}")
    assert not wrong, "\n".join(wrong)


def two_packs_on_serial_and_tcp():
    """The two users of the README: TopBMS behind a serial server, Daly on a serial adapter."""
    with tempfile.TemporaryDirectory() as folder:
        server, url = simulate("topbms", options(TOPBMS))
        with server, simulate_pty("daly", f"{folder}/tty", options(DALY)):
            text = f"""
[line shed]
port = {url}
protocol = topbms
[line room]
port = serial:{folder}/tty
[pack house-1]
line = shed
address = 1
unit = 1
poll = 300ms
[pack house-2]
line = room
protocol = daly
unit = 2
poll = 300ms
"""
            with Gateway(text) as gateway, gateway.client() as client:
                gateway.wait_published("house-1", "house-2")
                # On a busy machine a part may be missing at first; the next cycle reads it.
                await_value(client, "temp_c.1", 2, lambda v: not math.isnan(v))
                await_value(client, "cell_mv.1", 2, lambda v: v is not None)
                await_value(client, "charge_mos", 2, lambda v: v is not None)
                check_values(client, 1, TOPBMS)
                check_values(client, 2, DALY)
                # The same with mbpoll: integers, signed, and floats whose low word comes first.
                assert mbpoll(gateway.port, "-a", 1, "-r", 310, "-c", 16) == \
                    {310 + n: str(3341 + n) for n in range(16)}
                floats = mbpoll(gateway.port, "-a", 1, "-r", 300, "-c", 2, "-t", "4:float")
                assert abs(float(floats[300]) - 53.58) < 1e-3 and abs(float(floats[302]) - 3.84) < 1e-3, floats
                inputs = mbpoll(gateway.port, "-a", 2, "-r", 290, "-c", 1, "-t", "3")
                assert inputs == {290: "62"}, inputs
                # Any alarm, then the alarms in their order; soc_low is the fifteenth.
                bits = client.read_discrete_inputs(0, count=23, slave=2).bits[:23]
                assert bits == [True] + [n == 15 for n in range(1, 23)], bits
                # Units 0 and 255 are the first pack; others do not exist.
                assert read(client, 330, 1, 0) == read(client, 330, 1, 255) == [16]
                assert exception_of(client, 290, 1, 3) == NO_UNIT
                assert exception_of(client, 289, 1, 1) == BAD_ADDRESS
                assert exception_of(client, 290, 59, 1) == BAD_ADDRESS


def fresh_value(client, name, unit):
    """Reads the value, and repeats that while it is stale."""
    row, found = find(name), []

    def is_fresh():
        response = client.read_holding_registers(row["address"], count=row["count"], slave=unit)
        if not response.isError():
            found.append(decode(row, response.registers))
        return found

    until(is_fresh)
    return found[0]


def stale_pack_gives_0x0b_and_comes_back():
    with tempfile.TemporaryDirectory() as folder:
        link = f"{folder}/tty"
        pack = simulate_pty("daly", link, options(DALY))
        text = f"""
[line room]
port = serial:{link}
[pack house]
line = room
protocol = daly
unit = 7
poll = 100ms
stale_after = 1s
"""
        with Gateway(text) as gateway, gateway.client() as client:
            gateway.wait_published("house")
            until(lambda: exception_of(client, 290, 8, 7) is None)
            pack.stop(signal.SIGKILL)  # the adapter is unplugged
            if os.path.islink(link):
                os.unlink(link)
            gateway.wait_for("house: values are too old")
            until(lambda: exception_of(client, 290, 8, 7) == STALE)
            assert exception_of(client, find("cell_mv.1")["address"], 4, 7) == STALE
            assert exception_of(client, 100, 58, 7) == STALE
            # State, age and counters can always be read.
            assert read_value(client, "age_s", 7) >= 1
            assert read_value(client, "map_version", 7) == 3
            reconnects = read_value(client, "reconnects", 7)
            with simulate_pty("daly", link, options(dict(DALY, voltage_v=25.5))):  # and plugged in again
                gateway.wait_for(r"pack house: ")
                assert abs(fresh_value(client, "voltage_v", 7) - 25.5) < 1e-4
                assert read_value(client, "reconnects", 7) > reconnects


def holds_last_values_when_told_to():
    server, url = simulate("daly", options(dict(DALY, **{"alarm.soc_low": 0})))
    text = f"""
[line room]
port = {url}
[pack house]
line = room
protocol = daly
unit = 1
poll = 100ms
stale_after = 1s
"""
    with Gateway(text, "on_stale = hold") as gateway, gateway.client() as client:
        gateway.wait_published("house")
        until(lambda: read(client, 335, 1, 1) == [0])
        server.stop()
        gateway.wait_for("house: values are too old")
        until(lambda: read(client, 335, 1, 1) == [1])
        assert read(client, 330, 1, 1) == [8]


def keeps_the_days_highest_soc_over_a_restart():
    with tempfile.TemporaryDirectory() as folder:
        for soc, peak in ((80, 80), (60, 80)):
            server, url = simulate("daly", options(dict(DALY, soc_percent=soc)))
            text = f"[line room]\nport = {url}\n[pack house]\nline = room\nprotocol = daly\nunit = 1\npoll = 100ms\n"
            with server, Gateway(text, state=f"{folder}/kept") as gateway:
                with gateway.client() as client:
                    gateway.wait_published("house")
                    words = read(client, 331, 3, 1)
                    assert words[0] == peak, words
                    assert words[1] < 24 and words[2] < 60


main([two_packs_on_serial_and_tcp, stale_pack_gives_0x0b_and_comes_back, holds_last_values_when_told_to,
      keeps_the_days_highest_soc_over_a_restart])
