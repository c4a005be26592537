# SPDX-License-Identifier: MIT
"""Every exchange file, replayed by a TCP server to `packgate run` and read by pymodbus, and through `packgate decode`. The same over
serial ports is in test_probe, with the emulator of each protocol."""

# tests/run: 20 s

import concurrent.futures
import glob
import json
import math
import subprocess
import time

from harness import (Exchange, Gateway, MAP, PACKGATE, Replayer, decode, find, main, protocols, read)

CAPTURES = sorted(glob.glob("tests/captures/*/*.exch"))


def same(value, text, tolerance):
    if isinstance(value, str):
        return value == text
    if text == "nan":
        return value is None or math.isnan(value)
    return value is not None and not math.isnan(value) and abs(value - float(text)) <= tolerance + 1e-4


def decodes_all_files():
    assert CAPTURES
    wrong = []
    for path in CAPTURES:
        result = subprocess.run([PACKGATE, "decode", path], stdout=subprocess.PIPE, check=True)
        values = json.loads(result.stdout)
        for name, text, tolerance in Exchange(path).values:
            if not same(values.get(name), text, tolerance):
                wrong.append(f"{path}: {name} is {values.get(name)}, expected {text}")
    assert not wrong, "\n".join(wrong)


def says_why_nothing_decodes():
    for text in ("protocol daly\n> A5 40 90 08 00 00 00 00 00 00 00 00 7D\n< 00 11 22\n",
                 "protocol daly\n> A5 40 90 08 00 00 00 00 00 00 00 00 7D\n", "", "protocol nobody\n", "< 00\n"):
        result = subprocess.run([PACKGATE, "decode", "-"], input=text.encode(), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        assert result.returncode == 1, (text, result.returncode)
        assert result.stdout == b"" and len(result.stderr) > 10, (text, result)


PROTOCOLS = {row["name"]: row for row in protocols()}


def protocol_of(exchange):
    """The driver of a file's device; a shunt that was only asked by HEX is polled rather than listened to."""
    if exchange.protocol == "vedirect" and all(request for request, _ in exchange.pairs):
        return "vedirect-hex"
    return exchange.protocol


def options_of(exchange):
    """The configuration in [pack] for the device of a file, from its first request."""
    first = exchange.pairs[0][0]
    if exchange.protocol == "daly":
        if first[1] == 0x80:
            return "variant = bluetooth"
        return f"address = {first[1] - 0x3F}"
    if exchange.protocol == "topbms":
        with open(exchange.path) as file:
            variant = [line.split(":")[1].split()[0] for line in file if line.startswith("# variant:")]
        return f"variant = {variant[0]}\naddress = {int(first[3:5], 16)}"
    if exchange.protocol == "daren":
        return f"address = {int(first[3:5], 16)}"
    if exchange.protocol == "daly-p81":
        return f"address = {first[0] - 0x80}"
    if exchange.protocol == "jk-pb":
        return f"address = {first[0]}\nvariant = {'registers' if first[1] == 3 else 'trigger'}"
    if exchange.protocol == "jk-balancer":
        return f"address = {first[2]}"
    if exchange.protocol == "pylon-console":
        return f"address = {int(first.split()[1])}"
    if exchange.protocol == "jbd-addressed":
        return f"address = {first[1]}"
    # Modbus and similar protocols: a request begins with the address.
    return f"address = {first[0]}" if "address" in PROTOCOLS[exchange.protocol] else ""


def value_of(registers, name):
    """A value by its name from a snapshot of the whole map; alarms are bits of the active word."""
    if name.startswith("alarm."):
        row = find("alarms_active")
        bits = decode(dict(row, type="u32"), [registers[row["address"] + i] for i in range(2)])
        return None if bits is None else bits >> alarm_bit(name[6:]) & 1
    row = find(name)
    words = [registers[row["address"] + i] for i in range(row["count"])]
    if row["type"].startswith("bits"):
        return int.from_bytes(b"".join(w.to_bytes(2, "big") for w in reversed(words)), "big")
    return decode(row, words)


def alarm_bit(name):
    with open("bms/pack.h") as file:
        names = [line.split('"')[1] for line in file if line.strip().startswith("X(")]
    return names.index(name) - names.index("cell_over_voltage")  # the first alarm; values stand before


def snapshot(client, unit):
    """All registers of the blocks after the first, in reads of at most 125."""
    registers = {}
    for block in ("extended", "settings"):
        rows = [row for row in MAP if row["block"] == block]
        start = min(row["address"] for row in rows)
        end = max(row["address"] + row["count"] for row in rows)
        for address in range(start, end, 125):
            count = min(125, end - address)
            registers.update(zip(range(address, address + count), read(client, address, count, unit)))
    return registers


def replays_all_files_to_the_gateway():
    """Several at a time, because they mostly wait for the poll interval."""
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        wrong = [line for lines in pool.map(replay, CAPTURES) for line in lines]
    assert not wrong, "\n".join(wrong)


def replay(path):
    exchange = Exchange(path)
    with Replayer(exchange) as replayer:
        text = f"""
[line replay]
port = {replayer.url}
reply_timeout = 300ms
gap = 0ms
tries = 2
[pack replayed]
line = replay
protocol = {protocol_of(exchange)}
unit = 1
poll = 200ms
stale_after = 1h
{options_of(exchange)}
"""
        with Gateway(text) as gateway, gateway.client() as client:
            gateway.wait_published("replayed")
            missing = unmet(exchange, client, gateway)
            return [f"{path}: {line}" for line in missing] + [
                f"    not in the file: {request.hex(' ')}" for request in replayer.unknown if missing]


def unmet(exchange, client, gateway):
    """The values that do not match (yet); slow values and learned variants may take some cycles."""
    row = find("polls")
    start = decode(row, read(client, row["address"], row["count"], 1))
    while True:
        registers = snapshot(client, 1)
        missing = []
        for name, text, tolerance in exchange.values:
            value = value_of(registers, name)
            # The map represents integral millivolts and percent exactly, floats have 24 bits.
            if not same(value, text, tolerance + abs(float(text)) * 1e-6 if not isinstance(value, str) else 0):
                missing.append(f"{name} is {value}, expected {text}")
        if not missing or decode(row, read(client, row["address"], row["count"], 1)) > start + 40:
            return missing
        time.sleep(0.1)  # half a poll


main([decodes_all_files, says_why_nothing_decodes, replays_all_files_to_the_gateway])
