# SPDX-License-Identifier: MIT
"""[view NAME]: the ready files of conf/views, each asked what its clients ask (blocks and functions as their sources have
them), of a pack, a bank, a pack that says little and one that says nothing any more; the chain of SunSpec models walked by
the published lists; a reload."""

import os
import re
import signal
import struct

from pymodbus.client import ModbusTcpClient

from harness import Gateway, PATIENCE, exception_of, main, mbpoll, simulate

VIEWS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "views")
NO_FUNCTION, NO_REGISTER, NO_UNIT, STALE = 1, 2, 0x0A, 0x0B

PACK = {"voltage_v": 53.58, "current_a": -12.34, "soc_percent": 63, "remaining_ah": 126.8, "full_ah": 200, "soh_percent": 97,
        "cycles": 321, "charge_mos": 1, "discharge_mos": 1, **{f"cell_mv.{n}": 3340 + n for n in range(1, 17)},
        **{f"temp_c.{n}": 20 + n for n in range(1, 5)}}
POWER = PACK["voltage_v"] * PACK["current_a"]


def options(**more):
    return "cells=16,temps=4,profile=fixed," + ",".join(f"{k}={v}" for k, v in {**PACK, **more}.items())


def pack(name, url, unit, more="", protocol="topbms"):
    return (f"[line {name}]\nport = {url}\nprotocol = {protocol}\ngap = 0s\n"
            f"[pack {name}]\nline = {name}\nunit = {unit}\npoll = 100ms\n{more}\n")


class Ports:
    """The views of ready files, each file on an address of its own instead of its port: any port is free there."""

    def __init__(self, *names):
        self.text, self.hosts = "", {}
        for name in names:
            with open(os.path.join(VIEWS, name + ".ini")) as file:
                text = file.read()
            for listen in dict.fromkeys(re.findall(r"^listen\s*= (\S+)", text, re.M)):
                host = self.hosts.setdefault(name, f"127.0.0.{2 + len(self.hosts)}")
                text = text.replace(listen, host + ":0")
            self.text += text + "\n"

    def connect(self, gateway, name):
        return connect(gateway, self.hosts[name])


def connect(gateway, host):
    """A client of the port on that address, which the gateway has told of."""
    told = [re.search(rf"listening on {re.escape(host)}:(\d+) for views", line) for line in gateway.lines]
    port = [int(match[1]) for match in told if match][-1]
    client = ModbusTcpClient(host, port=port, timeout=PATIENCE)
    assert client.connect()
    client.port_number = port
    return client


def ask(client, function, unit, address, count):
    read = client.read_holding_registers if function == 3 else client.read_input_registers
    response = read(address, count, slave=unit)
    return response.exception_code if response.isError() else response.registers


def number(words, kind, order="big"):
    raw = b"".join(struct.pack(">H", word) for word in (words if order == "big" else words[::-1]))
    return struct.unpack({"u16": ">H", "s16": ">h", "u32": ">I", "s32": ">i", "u64": ">Q", "float32": ">f", "float64": ">d"}[kind],
                         raw)[0]


def text(words):
    return b"".join(struct.pack(">H", word) for word in words).rstrip(b"\0").decode()


# What is read, as the clients' own code has it: view, unit, function, address, count, from which program.
READS = [
    ("victron", 100, 4, 842, 1, "evcc"), ("victron", 100, 4, 843, 1, "evcc"),
    ("victron", 100, 3, 842, 1, "openWB"), ("victron", 100, 3, 843, 1, "openWB"),
    ("victron", 225, 3, 259, 68, "OpenEMS"), ("victron", 225, 3, 1282, 20, "OpenEMS"),
    ("victron", 100, 3, 840, 7, "hass-victron"), ("victron", 225, 3, 256, 2, "hass-victron"),
    ("victron", 225, 3, 258, 69, "hass-victron"), ("victron", 225, 3, 330, 2, "hass-victron"),
    ("victron", 225, 3, 1282, 40, "hass-victron"), ("victron", 100, 3, 800, 6, "a first contact"),
    ("victron", 0, 3, 840, 7, "victron-tcp"),
    ("sunspec", 1, 3, 40000, 3, "pysunspec2"), ("sunspec", 1, 3, 40002, 68, "pysunspec2"),
    ("sunspec", 1, 3, 40070, 64, "pysunspec2"), ("sunspec", 126, 3, 40134, 60, "pysunspec2"),
    ("sunspec", 1, 3, 40136, 1, "pysunspec2"), ("sunspec", 1, 3, 40000, 2, "gosunspec"),
    ("sunspec", 1, 3, 40004, 66, "gosunspec"), ("sunspec", 1, 3, 40072, 62, "gosunspec"),
    ("sunspec", 1, 3, 40136, 26, "gosunspec"), ("sunspec", 1, 3, 40162, 32, "gosunspec"),
    ("sunspec", 1, 3, 40194, 2, "gosunspec"),
    ("e3dc", 0, 3, 40069, 2, "evcc"), ("e3dc", 0, 3, 40082, 1, "evcc"), ("e3dc", 1, 3, 40069, 2, "openWB"),
    ("e3dc", 1, 3, 40082, 1, "openWB"), ("e3dc", 1, 3, 0, 67, "openHAB"), ("e3dc", 1, 3, 67, 37, "openHAB"),
    ("e3dc", 1, 3, 1, 125, "ioBroker"), ("e3dc", 1, 3, 126, 6, "ioBroker"),
    ("openems", 1, 4, 415, 2, "evcc"), ("openems", 1, 4, 302, 1, "evcc"),
    ("varta", 255, 3, 1066, 1, "evcc"), ("varta", 255, 3, 1068, 1, "evcc"), ("varta", 1, 3, 1066, 1, "openWB"),
    ("sma", 3, 4, 30775, 2, "evcc"), ("sma", 3, 3, 30845, 2, "evcc"), ("sma", 3, 3, 30513, 4, "evcc"),
    ("sma", 3, 4, 31393, 2, "evcc"), ("sma", 3, 4, 31395, 2, "evcc"), ("sma", 3, 3, 31401, 4, "evcc"),
    ("sma", 3, 3, 30595, 4, "openWB"), ("sma", 3, 3, 31397, 4, "openWB"),
    ("solaredge", 1, 3, 0xE174, 2, "evcc"), ("solaredge", 1, 3, 0xE184, 2, "evcc"), ("solaredge", 1, 3, 0xE176, 4, "evcc"),
    ("solaredge", 1, 3, 0xE17A, 4, "evcc"), ("solaredge", 1, 3, 0xE174, 18, "openWB"),
    ("solaredge", 1, 3, 57600, 68, "Home Assistant"), ("solaredge", 1, 3, 57668, 86, "Home Assistant"),
]
FILES = list(dict.fromkeys(row[0] for row in READS))

# What must not be there for clients that find out by reading: relays, PV and grid of a GX, models behind the last one.
MISSING = [("victron", 100, 800, 26), ("victron", 100, 847, 1), ("victron", 225, 1322, 1), ("victron", 225, 255, 2),
           ("sunspec", 1, 40195, 2), ("sunspec", 1, 0, 1), ("sunspec", 1, 50000, 1), ("e3dc", 1, 132, 1), ("varta", 1, 1067, 1)]


class House:
    """One pack with all that it takes, and all ready files."""

    def __enter__(self):
        self.server, url = simulate("topbms", options())
        self.ports = Ports(*FILES)
        self.gateway = Gateway(pack("house", url, 1) + self.ports.text)
        self.gateway.wait_published("house")
        self.clients = {name: self.ports.connect(self.gateway, name) for name in FILES}
        return self

    def __exit__(self, *arguments):
        for client in self.clients.values():
            client.close()
        self.gateway.__exit__(*arguments)
        self.server.__exit__(*arguments)

    def read(self, name, unit, address, kind="u16", order="big"):
        count = {"16": 1, "32": 2, "64": 4}[kind[-2:]]
        words = ask(self.clients[name], 3, unit, address, count)
        assert isinstance(words, list), f"{name}, register {address}: exception {words}"
        return number(words, kind, order)


def answers_what_clients_ask():
    with House() as house:
        for name, unit, function, address, count, whom in READS:
            words = ask(house.clients[name], function, unit, address, count)
            assert isinstance(words, list) and len(words) == count, f"{whom}: {name} {address}+{count}: exception {words}"
        for name, unit, address, count in MISSING:
            assert ask(house.clients[name], 3, unit, address, count) == NO_REGISTER, (name, address)
        for name, unit in (("victron", 1), ("victron", 226), ("sunspec", 2), ("varta", 0)):
            assert ask(house.clients[name], 3, unit, 842, 1) == NO_UNIT, (name, unit)
        for name, unit, address in (("victron", 100, 843), ("sunspec", 1, 40080), ("sma", 3, 30845)):
            client = house.clients[name]
            assert client.write_register(address, 1, slave=unit).exception_code == NO_REGISTER
            assert client.write_registers(address, [1, 2], slave=unit).exception_code == NO_REGISTER
            assert client.read_coils(0, 1, slave=unit).exception_code == NO_FUNCTION
        # Where the packs are, no view is, and the other way round.
        with house.gateway.client() as client:
            assert exception_of(client, 843, 1, 100) == NO_UNIT and exception_of(client, 290, 1, 1) is None


def has_the_right_values():
    with House() as house:
        near = lambda a, b, by=0.6: abs(a - b) <= by
        read = house.read
        assert read("victron", 100, 840) == 536 and read("victron", 100, 841, "s16") == -123
        assert near(read("victron", 100, 842, "s16"), POWER) and read("victron", 100, 843) == 63
        assert read("victron", 100, 844) == 2 and read("victron", 0, 845) == 732
        assert text(ask(house.clients["victron"], 3, 100, 800, 6)) == "packgate0001"
        assert near(read("victron", 225, 256, "s32"), POWER) and read("victron", 225, 259) == 5358
        assert read("victron", 225, 266) == 630 and read("victron", 225, 330, "u32") == 73
        assert read("victron", 225, 262, "s16") == 225 and read("victron", 225, 319, "s16") == 240
        assert read("victron", 225, 1286) == 1 and read("victron", 225, 1289) == 16
        assert read("victron", 225, 1290) == 334 and read("victron", 225, 1282) == 9
        assert read("victron", 225, 307) == 0  # the charge current limit, which this pack does not report
        assert near(read("e3dc", 1, 40069, "s32", "little"), POWER) and read("e3dc", 0, 82) == 63
        assert near(read("e3dc", 0, 69, "s32", "little"), POWER) and read("e3dc", 0, 0) == 0xE3DC
        assert text(ask(house.clients["e3dc"], 3, 1, 40035, 16)) == "house"
        assert near(read("openems", 1, 415, "float32"), -POWER, 1e-3) and read("openems", 1, 302) == 63
        assert near(read("openems", 1, 420, "float32"), 200 * 51.2, 1e-2)
        assert near(read("varta", 255, 1066, "s16"), POWER) and read("varta", 1, 1068, "s16") == 63
        assert near(read("sma", 3, 30775, "s32"), -POWER) and read("sma", 3, 30845, "u32") == 63
        assert read("sma", 3, 31393, "u32") == 0 and near(read("sma", 3, 31395, "u32"), -POWER)
        assert read("sma", 3, 30843, "s32") == 12340
        assert near(read("solaredge", 1, 0xE174, "float32", "little"), POWER, 1e-3)
        assert near(read("solaredge", 1, 0xE184, "float32", "little"), 63, 1e-4)
        assert read("solaredge", 1, 57734, "u32", "little") == 4
        assert ask(house.clients["solaredge"], 3, 1, 57668, 2) == [0, 0x7FC0]  # not known


main([answers_what_clients_ask, has_the_right_values])
