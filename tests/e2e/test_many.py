# SPDX-License-Identifier: MIT
"""As many packs as there are unit ids: 247 simulated ones, 239 with a line each and 8 on one bus, all read by one
client; each unit must have the values of its own pack."""

import socket
import struct
import time

from harness import PATIENCE, Gateway, decode, find, main

UNITS = range(1, 248)
BUS = range(240, 248)
BLOCKS = ((100, 58), (290, 58), (400, 125), (525, 125), (650, 125), (775, 25))
ROUNDS = 5


def values_of(unit):
    """Values that differ by more than any rounding."""
    return {"voltage_v": 20 + unit / 10, "soc_percent": unit % 101, "cell_mv.1": 3000 + unit, "cell_mv.8": 3500 - unit}


def configuration():
    text = ""
    for unit in UNITS:
        if unit not in BUS:
            options = ",".join(f"{name}={value}" for name, value in values_of(unit).items())
            text += f"[line line-{unit}]\nport = sim:profile=fixed,cells=8,temps=2,{options}\nprotocol = jbd\n"
            text += f"[pack pack-{unit}]\nline = line-{unit}\nunit = {unit}\npoll = 2s\n"
    text += "[line bus]\nport = sim:cells=8,temps=2\nprotocol = jk-pb\n"
    for unit in BUS:
        text += f"[pack pack-{unit}]\nline = bus\naddress = {unit - BUS.start + 1}\nunit = {unit}\npoll = 2s\n"
    return text


class Reader:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transaction = 0

    def receive(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            assert part, "closed"
            data += part
        return data

    def read_all(self, unit):
        """All requests in one segment: no poll comes between their answers."""
        first = self.transaction
        self.socket.sendall(b"".join(struct.pack(">HHHBBHH", first + n, 0, 6, unit, 3, address, count)
                                     for n, (address, count) in enumerate(BLOCKS)))
        self.transaction = (first + len(BLOCKS)) % 0xFF00
        registers = {}
        for n, (address, count) in enumerate(BLOCKS):
            head = self.receive(9)
            expected = struct.pack(">HHHBBB", first + n, 0, 3 + 2 * count, unit, 3, 2 * count)
            assert head == expected, f"unit {unit}, {address}: {head.hex()}"
            registers.update(zip(range(address, address + count), struct.unpack(f">{count}H", self.receive(2 * count))))
        return registers


def value(registers, name):
    row = find(name)
    return decode(row, [registers[row["address"] + i] for i in range(row["count"])])


def check_unit(registers, unit):
    assert value(registers, "pack_name") == f"pack-{unit}", (unit, value(registers, "pack_name"))
    assert value(registers, "driver") == ("jk-pb" if unit in BUS else "jbd")
    assert value(registers, "connection_state") == 1 and value(registers, "polls") >= 1
    assert [registers[290 + i] for i in range(50)] == [registers[100 + i] for i in range(50)]
    if unit in BUS:
        return
    expected = values_of(unit)
    for name in ("soc_percent", "cell_mv.1", "cell_mv.8"):
        assert value(registers, name) == expected[name], (unit, name, value(registers, name))
    assert abs(value(registers, "voltage_v") - expected["voltage_v"]) < 1e-3
    assert registers[310] == expected["cell_mv.1"] and registers[290] == expected["soc_percent"]


def each_unit_has_its_own_pack():
    with Gateway(configuration()) as gateway:
        gateway.wait_published(*(f"pack-{unit}" for unit in UNITS))
        reader = Reader(gateway.port)
        slowest = {}
        for _ in range(ROUNDS):
            for unit in UNITS:
                start = time.perf_counter()
                registers = reader.read_all(unit)
                slowest[unit] = max(slowest.get(unit, 0), time.perf_counter() - start)
                check_unit(registers, unit)
        # Clients that address the gateway itself get the first pack.
        assert value(reader.read_all(0), "pack_name") == value(reader.read_all(255), "pack_name") == "pack-1"
        worst = max(slowest, key=slowest.get)
        print(f"# {ROUNDS} times 516 registers of {len(UNITS)} units; the slowest unit, {worst}, took "
              f"{slowest[worst] * 1e3:.1f} ms for its six answers, unit 1 {slowest[1] * 1e3:.1f}, unit 247 "
              f"{slowest[247] * 1e3:.1f}")
        reader.socket.close()


main([each_unit_has_its_own_pack])
