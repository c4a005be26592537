# SPDX-License-Identifier: MIT
"""Limits in the real gateway: they rise, expire, survive a reload, and are the same in every output."""

# tests/run: 65 s

import contextlib
import csv
import io
import os
import signal
import sqlite3
import subprocess
import tempfile
import time

from mqtt_harness import Broker, Listener
from venus_reader import Battery
from harness import PACKGATE, Gateway, await_value, crc16, exception_of, main, read_value, simulate, until
from web_harness import Page

STALE = 0x0B
BY_CONFIGURATION, BY_CELL_HIGH, BY_SOC, BY_STALE, BY_UNKNOWN, BY_RAMP = 0, 2, 6, 7, 11, 12

FINE = {"voltage_v": 53.0, "current_a": 20.5, "soc_percent": 60, "remaining_ah": 112, "rated_ah": 280,
        "charge_mos": 1, "discharge_mos": 1, "balance_mask": 0, "temp_c.1": 15, "temp_c.2": 25,
        **{f"cell_mv.{n}": 3300 for n in range(1, 17)}, "cell_mv.7": 3400}

LIMITS = """
[limits {of}]
charge_current = {charge}
discharge_current = 4
cells = 16
sensors = {sensors}
cell_full = 3.45
cell_float = 3.375, 90
cell_high = 3.375:1, 3.40:0.25, 3.50:0
cell_low = 2.80:0, 3.19:1
temperature = 0:0, 10:1, 40:1, 55:0
"""


def options(values):
    return "cells=16,temps=2,profile=fixed," + ",".join(f"{name}={value}" for name, value in values.items())


def configuration(url, limits):
    return f"""
[line shed]
port = {url}
protocol = daly
[pack house-1]
line = shed
unit = 1
poll = 200ms
stale_after = 3s
[pack other]
line = shed
address = 2
unit = 2
poll = 60s
[bank house]
packs = house-1, other
unit = 100
min_packs = 1
{limits}"""


def status_of(gateway):
    return {pack["pack"]: pack for pack in gateway.status()["packs"]}


def rise_and_expire():
    bms, url = simulate("daly", options(FINE))
    limits = LIMITS.format(of="house-1", charge=8, sensors=2)
    with bms, Gateway(configuration(url, limits)) as gateway, gateway.client() as client:
        gateway.wait_published("house-1")
        await_value(client, "charge_limited_by", 1, lambda reason: reason == BY_RAMP)
        assert read_value(client, "allowed_charge_current_a", 1) == 0
        # 8 A, reduced to a quarter by a cell at 3.40 V; 4 A in the other direction.
        await_value(client, "charge_limited_by", 1, lambda reason: reason == BY_CELL_HIGH)
        assert abs(read_value(client, "allowed_charge_current_a", 1) - 2) < 1e-6
        await_value(client, "discharge_limited_by", 1, lambda reason: reason == BY_CONFIGURATION)
        assert read_value(client, "allowed_discharge_current_a", 1) == 4
        assert 54 <= read_value(client, "allowed_charge_voltage_v", 1) <= 55.2
        assert read_value(client, "limits_age_s", 1) <= 3
        assert abs(read_value(client, "time_to_full_s", 1) - 3600 * (280 - 112) / 20.5) < 60
        assert read_value(client, "time_to_empty_s", 1) is None
        shown = status_of(gateway)["house-1"]
        assert (shown["charge_limited_by"], shown["allowed_charge_current_a"]) == ("cell_high", 2), shown
        assert "charge_limited_by" not in status_of(gateway)["other"]
        # Without [limits] they are unknown, not 0.
        assert read_value(client, "charge_limited_by", 2) is None
        with open(gateway.path, encoding="utf-8") as file:
            changed = file.read().replace("min_packs = 1", "min_packs = 2")
        with open(gateway.path, "w", encoding="utf-8") as file:
            file.write(changed)
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("is in force")
        assert abs(read_value(client, "allowed_charge_current_a", 1) - 2) < 1e-6
        bms.stop(signal.SIGKILL)
        # No exception: for a silent pack the answer is 0.
        await_value(client, "charge_limited_by", 1, lambda reason: reason == BY_STALE)
        await_value(client, "connection_state", 1, lambda state: state != 1)
        assert [read_value(client, f"allowed_{way}_current_a", 1) for way in ("charge", "discharge")] == [0, 0]
        assert exception_of(client, 500, 2, 1) == STALE


def discharges_with_stale_values():
    """on_stale = discharge: as before for some seconds, in all outputs; then 0."""
    bms, url = simulate("daly", options(FINE))
    battery = Battery()
    view = "[view own]\nsource = house-1\nunit = 9\n" \
           "register = allowed_charge_current_a -> 1 u16\nregister = allowed_discharge_current_a -> 2 u16\n"
    packs = configuration(url, LIMITS.format(of="house-1", charge=8, sensors=2) + "on_stale = discharge\n") + view
    with bms, Broker() as broker, Listener(broker) as listener, \
            Page(packs=f"{packs}[mqtt gx]\nbroker = mqtt://127.0.0.1:{broker.port}\ntopic = gx\ninterval = 1s\nlayout = venus\n"
                       "packs = house-1\n") as gateway, gateway.client() as client:

        def await_battery(charge, discharge):
            while (battery.values.get("Info/MaxChargeCurrent"), battery.values.get("Info/MaxDischargeCurrent")) != (charge, discharge):
                battery.take(listener.wait_for("gx"))

        def currents():
            seen = [read_value(client, f"allowed_{way}_current_a", 1) for way in ("charge", "discharge")]
            assert client.read_holding_registers(1, count=2, slave=9).registers == seen
            return seen

        gateway.wait_published("house-1")
        await_value(client, "discharge_limited_by", 1, lambda reason: reason == BY_CONFIGURATION)
        assert currents() == [2, 4]
        await_battery(2, 4)
        bms.stop(signal.SIGKILL)
        await_value(client, "connection_state", 1, lambda state: state != 1)
        begin = time.monotonic()
        assert currents() == [0, 4] and read_value(client, "discharge_limited_by", 1) == BY_STALE
        await_battery(0, 4)
        assert battery.values["Io/AllowToDischarge"] == 1 and battery.values["Io/AllowToCharge"] == 0
        shown = gateway.json("/api/v1/packs/house-1")
        assert (shown["allowed_charge_current_a"], shown["allowed_discharge_current_a"], shown["fresh"]) == (0, 4, 0), shown
        shown = status_of(gateway)["house-1"]
        assert (shown["allowed_charge_current_a"], shown["allowed_discharge_current_a"]) == (0, 4), shown
        await_value(client, "allowed_discharge_current_a", 1, lambda amps: amps == 0)
        assert time.monotonic() - begin > 5  # a slow machine reads the beginning late
        assert currents() == [0, 0]
        await_battery(0, 0)
        # What stays the same is repeated by the interval, not as fast as the broker answers, which would drop messages then.
        assert len(listener.seen) < 4 * (time.monotonic() - begin) + 20, len(listener.seen)


def ceiling_is_lifted_until_full():
    """A pack whose last full charge is unknown is charged beyond the ceiling, and one that was full an hour ago is
    not, also after a restart."""
    bms, url = simulate("daly", options({**FINE, "soc_percent": 95}))
    limits = LIMITS.format(of="house-1", charge=8, sensors=2) + "soc_ceiling = 90, 14d\n"
    with bms, tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "state")
        with Gateway(configuration(url, limits), state=state) as gateway, gateway.client() as client:
            gateway.wait_published("house-1")
            await_value(client, "charge_limited_by", 1, lambda reason: reason == BY_CELL_HIGH)
        assert [line for line in gateway.lines if "soc_ceiling is lifted until the cells are full" in line], gateway.lines
        with open(state, encoding="utf-8") as file:
            text = file.read().split("\n[end]")[0]
        assert "full_at = 0.000" in text, text
        text = text.replace("full_at = 0.000", f"full_at = {time.time() - 3600:.0f}")
        with open(state, "w", encoding="utf-8") as file:
            file.write(f"{text}\n[end]\nchecksum = {crc16(text.encode()):04x}\n")
        for _ in range(2):
            with Gateway(configuration(url, limits), state=state) as gateway, gateway.client() as client:
                gateway.wait_published("house-1")
                await_value(client, "charge_limited_by", 1, lambda reason: reason == BY_SOC)
                assert read_value(client, "allowed_charge_current_a", 1) == 0
                await_value(client, "discharge_limited_by", 1, lambda reason: reason in (BY_RAMP, BY_CONFIGURATION))
            assert not [line for line in gateway.lines if "is lifted" in line], gateway.lines


def bank_names_pack_and_cell():
    """Which cell of which pack limits a bank: in the status, on the page, and in a replay of the history written
    meanwhile."""
    good, good_url = simulate("daly", options({**FINE, "cell_mv.7": 3300}))
    weak, weak_url = simulate("daly", options({**FINE, "cell_mv.7": 3450}))
    text = "".join(f"[line {name}]\nport = {url}\nprotocol = daly\n[pack {name}]\nline = {name}\nunit = {unit}\npoll = 200ms\n"
                   "stale_after = 3s\n" for name, url, unit in (("left", good_url, 1), ("right", weak_url, 2)))
    text += "[bank house]\npacks = left, right\nunit = 100\n" + LIMITS.format(of="house", charge=16, sensors=2)
    with tempfile.TemporaryDirectory() as folder:
        with good, weak, Page(packs=f"{text}[history]\nfile = {folder}/history.db\n") as gateway, gateway.client() as client:
            check_bank(gateway, client)
        check_replay_of_a_bank(folder, text)


def check_bank(gateway, client):
    await_value(client, "charge_limited_by", 100, lambda reason: reason == BY_CELL_HIGH)
    # 8 A each, reduced to an eighth by a cell at 3.45 V, and both have the same current.
    assert abs(read_value(client, "allowed_charge_current_a", 100) - 2) < 1e-6
    shown = status_of(gateway)["house"]
    assert [shown["charge_limited_" + what] for what in ("by", "pack", "cell", "cell_v")] == ["cell_high", "right", 7, 3.45], shown
    assert "discharge_limited_pack" not in shown, shown
    table = subprocess.run([PACKGATE, "status", "-c", gateway.path], capture_output=True, text=True, check=True).stdout
    row = next(line.split() for line in table[table.index("LIMITS OF"):].splitlines() if line.startswith("house"))
    assert row[3:10] == "2.0 A cell_high of right, cell 7".split(), table
    until(lambda: gateway.json("/api/v1/packs/house")["charge_limited_by"] == "cell_high")
    told = gateway.json("/api/v1/packs/house")
    assert (told["charge_limited_pack"], told["charge_limited_cell"], told["charge_limited_cell_v"]) == ("right", 7, 3.45), told


def check_replay_of_a_bank(folder, text):
    """The replay agrees with the gateway, which computed from the same packs; with only one of them for the bank, it
    differs."""
    def replay_of(file, *more):
        done = subprocess.run([PACKGATE, "limits", "--replay", file, "-c", f"{folder}/packgate.ini", *more], capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    with open(f"{folder}/packgate.ini", "w", encoding="utf-8") as file:
        file.write(text)
    begin = ("--from", str(int(time.time()) - 3600))
    exported = subprocess.run([PACKGATE, "export", "--file", f"{folder}/history.db", "--pack", "house", *begin], capture_output=True,
                              text=True, check=True).stdout
    live = list(csv.DictReader(io.StringIO(exported)))[-1]
    assert int(live["charge_limited_by"]) == BY_CELL_HIGH, live
    status, found, said = replay_of(f"{folder}/history.db", "--csv", *begin)
    assert status == 0, said
    last = list(csv.DictReader(io.StringIO(found)))[-1]
    assert (last["allowed_charge_current_a"], last["charge_limited_by"], last["charge_limited_pack"]) == ("2.00", "cell_high", "right"), last
    assert (last["allowed_discharge_current_a"], last["discharge_limited_by"], last["discharge_limited_pack"]) == \
        ("4.00", "configuration", ""), last
    assert last["time"] == live["time"] and 54 < float(last["allowed_charge_voltage_v"]) <= 55.2, (last, live)
    table = replay_of(f"{folder}/history.db", *begin)[1]
    assert "cell_high of right" in table and "LIMITED BY" in table, table
    # A CSV has one pack, which gets the whole current.
    with open(f"{folder}/house.csv", "w", encoding="utf-8") as file:
        file.write(exported)
    status, _, said = replay_of(f"{folder}/house.csv")
    assert status == 1 and "house is a bank; expected the database of its history" in said, said
    alone = list(csv.DictReader(io.StringIO(replay_of(f"{folder}/history.db", "--csv", "--pack", "left", *begin)[1])))[-1]
    assert alone["allowed_charge_current_a"] == "16.00" and "charge_limited_pack" not in alone, alone
    # A bank with a missing pack.
    with open(f"{folder}/packgate.ini", "w", encoding="utf-8") as file:
        file.write(text.replace("packs = left, right", "packs = left, right, new") +
                   "[pack new]\nline = left\naddress = 2\nunit = 3\n")
    status, _, said = replay_of(f"{folder}/history.db", *begin)
    assert status == 1 and "'new'" in said, said


def unknown_allows_nothing():
    bms, url = simulate("daly", options(FINE))
    limits = LIMITS.format(of="house-1", charge=8, sensors=3)
    with bms, Gateway(configuration(url, limits)) as gateway, gateway.client() as client:
        gateway.wait_published("house-1")
        await_value(client, "charge_limited_by", 1, lambda reason: reason == BY_UNKNOWN)
        await_value(client, "discharge_limited_by", 1, lambda reason: reason == BY_UNKNOWN)
        assert read_value(client, "allowed_charge_current_a", 1) == 0
        assert read_value(client, "allowed_discharge_current_a", 1) == 0


def example_lacks_what_is_of_the_installation():
    example = subprocess.run([PACKGATE, "limits", "--example", "lfp"], capture_output=True, text=True, check=True).stdout
    packs = configuration("tcp://127.0.0.1:4001", "")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "packgate.ini")
        for filled, status in ((example, 1),
                               (example.replace("[limits NAME]", "[limits house]")
                                .replace(";charge_current =", "charge_current = 100")
                                .replace(";discharge_current =", "discharge_current = 100")
                                .replace(";cells =", "cells = 16").replace(";sensors =", "sensors = 2"), 0)):
            with open(path, "w", encoding="utf-8") as file:
                file.write(packs + filled)
            done = subprocess.run([PACKGATE, "check", path], capture_output=True, text=True, check=False)
            assert done.returncode == status, done.stderr
            assert ("of cables, fuses and cells" in done.stderr) == (status == 1), done.stderr
    assert subprocess.run([PACKGATE, "limits", "--example", "lead"], capture_output=True, check=False).returncode == 2


def series(page):
    return dict(line.rsplit(" ", 1) for line in page.ask("/metrics")[2].decode().splitlines() if line[0] != "#")


def a_gateway_that_hangs():
    """The page is a process of its own, and continues without the gateway."""
    bms, url = simulate("daly", options(FINE))
    packs = configuration(url, LIMITS.format(of="house-1", charge=8, sensors=2))
    with bms, Page(packs=packs) as gateway, gateway.client() as client:
        allowed, by = (f'packgate_{name}{{pack="house-1"}}' for name in ("allowed_charge_current_a", "charge_limited_by"))
        await_value(client, "charge_limited_by", 1, lambda reason: reason == BY_CELL_HIGH)
        until(lambda: series(gateway).get(allowed) == "2")
        with contextlib.ExitStack() as stack:
            for process in (bms.process, gateway.process):
                process.send_signal(signal.SIGSTOP)
                stack.callback(process.send_signal, signal.SIGCONT)
            until(lambda: series(gateway)['packgate_fresh{pack="house-1"}'] == "0")
            found = series(gateway)
            assert (found[allowed], found[by]) == ("0", str(BY_STALE)), found
            shown = next(pack for pack in gateway.json("/api/v1/packs") if pack["pack"] == "house-1")
            assert (shown["allowed_charge_current_a"], shown["charge_limited_by"]) == (0, "stale"), shown


def csv_of(rows):
    names = ["time", "current_a", "soc_percent", "temp_avg_c", *(f"cell_mv.{n}" for n in range(1, 17))]
    return "\r\n".join([",".join(names), *(",".join(str(value) for value in row) for row in rows)]) + "\r\n"


def row(minute, highest=3300, temperature=20, known=16):
    return [f"2026-11-01T12:{minute:02}:00+01:00", 5, 60, temperature, highest, *[3300] * (known - 1), *[""] * (16 - known)]


def replay(text, *more):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "packgate.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration("tcp://127.0.0.1:4001", LIMITS.format(of="house-1", charge=8, sensors=2)))
        return subprocess.run([PACKGATE, "limits", "--replay", "-", "-c", path, *more], input=text, capture_output=True,
                              text=True, check=False)


def replay_of_a_history():
    rows = [row(0), row(1, highest=3400), row(2, known=15), row(3, temperature=5), row(4, temperature=""), row(9)]
    done = replay(csv_of(rows), "--csv")
    assert done.returncode == 0 and "alarms" in done.stderr, done.stderr
    lines = [line.split(",") for line in done.stdout.splitlines()]
    assert lines[0][0:4] == ["time", "allowed_charge_voltage_v", "allowed_charge_current_a", "charge_limited_by"], lines
    assert [line[2:] for line in lines[1:]] == [
        ["8.00", "configuration", "4.00", "configuration"],
        ["2.00", "cell_high", "4.00", "configuration"],
        ["0.00", "unknown", "0.00", "unknown"],
        ["4.00", "temperature", "2.00", "temperature"],  # up again by ramp within the minute
        ["0.00", "stale", "0.00", "stale"],              # and a gap of five minutes after it
        ["8.00", "configuration", "4.00", "configuration"]], lines
    assert lines[1][0] == "2026-11-01T12:00:00+01:00" and lines[3][1] == "", lines
    table = replay(csv_of(rows), "house-1").stdout
    assert "LIMITED BY" in table and "cell_high" in table, table
    for wrong in ("", "soc_percent\n1\n", "time,soc_percent\nnow,1\n", "time,soc_percent\n2,1\n1,1\n", "time,soc_percent\n1,x\n",
                  "time,soc_percent\n"):
        assert replay(wrong).returncode == 1, wrong
    assert replay(csv_of(rows), "other").returncode == 1


def replay_of_a_database():
    """The same from the output of `packgate export`."""
    bms, url = simulate("daly", options(FINE))
    begin = int(time.time()) // 60 * 60 - 3600
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "history.db")
        text = configuration(url, LIMITS.format(of="house-1", charge=8, sensors=2)) + f"[history]\nfile = {path}\ncommit = 10s\n"
        with bms, Gateway(text) as gateway:
            gateway.wait_published("house-1")
            ask = (PACKGATE, "export", "-c", gateway.path, "--level", "recent", "--pack", "house-1")
            until(lambda: subprocess.run(ask, capture_output=True, check=False).returncode == 0)
        cells = ", ".join(f"c{n + 1}" for n in range(16))
        with contextlib.closing(sqlite3.connect(path)) as database:
            for minute in range(30):
                # Cell 1 rises from 3.30 to 3.45 V.
                database.execute(f"INSERT INTO minute(pack, t, n, current_ma, soc_permille, temp_dc, {cells}) SELECT id, ?, 60, 5000, 600, "
                                 f"200, {', '.join('?' * 16)} FROM pack WHERE name = 'house-1'",
                                 [begin + 60 * minute, 3300 + 5 * minute] + [3300] * 15)
            database.commit()
        config = os.path.join(folder, "packgate.ini")
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)
        span = ("--from", str(begin), "--to", str(begin + 1800))
        exported = subprocess.run([PACKGATE, "export", "--file", path, "--pack", "house-1", *span], capture_output=True, text=True,
                                  check=True).stdout
        done = subprocess.run([PACKGATE, "limits", "--replay", path, "-c", config, "--csv", *span], capture_output=True, text=True,
                              check=True)
        lines = [line.split(",") for line in done.stdout.splitlines()[1:]]
        assert len(lines) == 30 and (lines[0][2:4], lines[29][2:4]) == (["8.00", "configuration"], ["1.10", "cell_high"]), lines
        assert done.stdout == replay(exported, "--csv").stdout
        for wrong in (("--pack", "nobody"), ("--from", "now")):
            done = subprocess.run([PACKGATE, "limits", "--replay", path, "-c", config, *wrong], capture_output=True, text=True, check=False)
            assert done.returncode == 1 and wrong[1] in done.stderr, done


def replay_of_an_exchange():
    """With alarms, switches and limits of the BMS, which a history lacks."""
    captures = os.path.join(os.path.dirname(__file__), "..", "captures")
    for path, cells, sensors, expected in (
            ("jk-pb/01-jk-pb2a16s15p-8s-charging-trigger.exch", 8, 2, "27.600,8.00,configuration,4.00,configuration"),
            ("jk-pb/01-jk-pb2a16s15p-8s-charging-trigger.exch", 16, 2, ",0.00,unknown,0.00,unknown"),
            ("daly-d2/02-recorded-16s-soc-low.exch", 16, 2, "55.200,8.00,configuration,0.00,alarm"),
            ("jbd/4s-mos-control.exch", 4, 3, "13.800,0.00,mos,4.00,configuration"),
            ("eg4-ll/03-built-alarms.exch", 16, 4, "54.000,0.00,bms,0.00,temperature")):
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as config:
            config.write(configuration("tcp://127.0.0.1:4001", LIMITS.format(of="house-1", charge=8, sensors=sensors)
                                       .replace("cells = 16", f"cells = {cells}")))
            config.flush()
            done = subprocess.run([PACKGATE, "limits", "--replay", os.path.join(captures, path), "-c", config.name, "--csv"],
                                  capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[1] == "," + expected, (path, done)


if __name__ == "__main__":
    main([discharges_with_stale_values, a_gateway_that_hangs, bank_names_pack_and_cell, rise_and_expire, ceiling_is_lifted_until_full, unknown_allows_nothing,
          replay_of_a_database, example_lacks_what_is_of_the_installation, replay_of_a_history, replay_of_an_exchange], at_once=4)
