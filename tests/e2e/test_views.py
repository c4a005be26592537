# SPDX-License-Identifier: MIT
# tests/run: 40 s
"""[view NAME]: the ready files of conf/views, each asked what its clients ask (blocks and functions as their sources have
them), of a pack, a bank, a pack that says little and one that says nothing any more; the chain of SunSpec models walked by
the published lists; a reload."""

import csv
import io
import json
import os
import re
import signal
import struct
import subprocess

from pymodbus.client import ModbusTcpClient

from harness import Gateway, PACKGATE, PATIENCE, await_value, exception_of, find, main, read_value, simulate, until
from sunspec_models import MODELS

CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npm")
INSTALLED = os.path.join(os.path.dirname(PACKGATE), "npm")

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
    """The views of ready files, each file on an address of its own instead of its port, so that any free port can be
    used."""

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
    """A client of the port on that address, which the gateway has logged."""
    told = [re.search(rf"listening on {re.escape(host)}:(\d+) for views", line) for line in gateway.lines]
    port = [int(match[1]) for match in told if match][-1]
    client = ModbusTcpClient(host, port=port, timeout=PATIENCE)
    assert client.connect()
    client.host, client.port_number = host, port
    return client


def ask(client, function, unit, address, count):
    read = client.read_holding_registers if function == 3 else client.read_input_registers
    response = read(address, count=count, slave=unit)
    return response.exception_code if response.isError() else response.registers


def number(words, kind, order="big"):
    raw = b"".join(struct.pack(">H", word) for word in (words if order == "big" else words[::-1]))
    return struct.unpack({"u16": ">H", "s16": ">h", "u32": ">I", "s32": ">i", "u64": ">Q", "float32": ">f", "float64": ">d"}[kind],
                         raw)[0]


def text(words):
    return b"".join(struct.pack(">H", word) for word in words).rstrip(b"\0").decode()


# Reads as in the clients' own code: view, unit, function, address, count, source.
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
    ("sunspec", 1, 3, 40194, 9, "pysunspec2"), ("sunspec", 1, 3, 40203, 45, "pysunspec2"), ("sunspec", 1, 3, 40248, 2, "gosunspec"),
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

# Registers that must not exist, for clients that detect devices by reading: relays, PV and grid of a GX, models after
# the last one.
MISSING = [("victron", 100, 800, 26), ("victron", 100, 847, 1), ("victron", 225, 1322, 1), ("victron", 225, 255, 2),
           ("sunspec", 1, 40249, 2), ("sunspec", 1, 0, 1), ("sunspec", 1, 50000, 1), ("e3dc", 1, 132, 1), ("varta", 1, 1067, 1)]


class House:
    """One pack with everything that is needed, and all ready files."""

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
            assert client.read_coils(0, count=1, slave=unit).exception_code == NO_FUNCTION
        # The ports of packs serve no views, and vice versa.
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


# ---- SunSpec ----

WIDTHS = {"uint16": 1, "int16": 1, "enum16": 1, "sunssf": 1, "pad": 1, "uint32": 2, "bitfield32": 2, "uint64": 4}
NOT_THERE = {"uint16": 0xFFFF, "enum16": 0xFFFF, "int16": -0x8000, "sunssf": -0x8000, "pad": -0x8000, "uint32": 0xFFFFFFFF,
             "bitfield32": 0xFFFFFFFF, "uint64": 0xFFFFFFFFFFFFFFFF}


def points_of(part):
    for word in part.split():
        name, kind, *factor = word.split(":")
        yield name.rstrip("*"), kind, factor[0] if factor else None, "*" in name


def take_points(part, words, at, into):
    """Points and those that must be there and are not; what is behind the last one."""
    missing = []
    for name, kind, factor, needed in points_of(part):
        if kind.startswith("string"):
            width = int(kind[6:])
            into[name] = text(words[at:at + width])
        else:
            width = WIDTHS[kind]
            raw = number(words[at:at + width], {1: "s16", 2: "u32", 4: "u64"}[width] if kind in ("int16", "sunssf", "pad") or width > 1
                         else "u16")
            into[name] = None if raw == NOT_THERE[kind] and kind != "pad" else (raw, factor)
            assert kind != "pad" or raw == NOT_THERE["pad"], name
        if needed and into[name] in (None, ""):
            missing.append(name)
        at += width
    return at, missing


def scale(points, factors):
    for name, value in points.items():
        if isinstance(value, tuple):
            points[name] = value[0] * 10 ** factors[value[1]][0] if value[1] else value[0]


def read_model(client, unit, address, length):
    """Like pysunspec2: a model as a whole, in reads of at most 125 registers."""
    words = []
    while len(words) < length:
        count = min(125, length - len(words))
        part = ask(client, 3, unit, address + len(words), count)
        assert isinstance(part, list), f"{address + len(words)}+{count}: exception {part}"
        words += part
    return words


def walk_sunspec(client, unit):
    """All models after the mark: [(id, points, [points of each repetition], missing)]."""
    assert ask(client, 3, unit, 40000, 2) == [0x5375, 0x6E53]
    at, models = 40002, []
    while True:
        kind, length = ask(client, 3, unit, at, 2)
        if kind == 0xFFFF:
            assert length == 0
            return models
        fixed, repeated, _ = MODELS[kind]
        words = read_model(client, unit, at, length + 2)
        points, rest = {}, []
        end, missing = take_points(fixed, words, 0, points)
        while repeated and end < len(words):
            rest.append({})
            end, more = take_points(repeated, words, end, rest[-1])
            missing += more
        assert end == len(words), f"model {kind} at {at} has {length} registers"
        factors = dict(points)
        for some in [points, *rest]:
            scale(some, factors)
        models.append((kind, points, rest, missing))
        at += length + 2


# Points that this pack does not report, and those that clients write.
LACKS = {"WChaRteMax", "WDisChaRteMax", "SetOp", "SetInvState"}


def check_derived_models(capacity, direct):
    """713 and 714 from the values of the pack: energy, and the single port, which is the pack."""
    (_, capacity, _, none), (_, direct, (port,), none1) = capacity, direct
    assert not none + none1 and direct["NPrt"] == 1 and (port["PrtTyp"], port["ID"], port["IDStr"]) == (2, 1, "house")
    for points, wanted in ((capacity, {"WHRtg": 10240, "SoC": 63, "SoH": 97, "Sta": 0}),
                           (direct, {"DCA": 12.3, "DCW": 661, "PrtAlrms": 0}),
                           (port, {"DCA": 12.3, "DCV": 53.58, "DCW": 661, "Tmp": 24, "DCSta": 2, "DCAlrm": 0})):
        for name, value in wanted.items():
            assert points[name] is not None and abs(points[name] - value) < 1e-6, (name, points[name])
    assert abs(capacity["WHAvail"] - 10240 * 0.63) <= 100, capacity
    assert all(points[name] is not None for points in (direct, port) for name in ("DCWhInj", "DCWhAbs"))


def is_a_sunspec_battery():
    with House() as house:
        for unit in (1, 126):
            models = walk_sunspec(house.clients["sunspec"], unit)
            assert [kind for kind, *_ in models] == [1, 802, 803, 713, 714]
            (_, common, _, _), (_, battery, _, lacks), (_, bank, strings, none), capacity, direct = models
            assert set(lacks) == LACKS and not none, (lacks, none)
            assert (common["Mn"], common["SN"], common["DA"]) == ("packgate", "house", 1)
            wanted = {"AHRtg": 200, "WHRtg": 10240, "SoC": 63, "DoD": 37, "SoH": 97, "NCyc": 321, "ChaSt": 3, "Typ": 4, "State": 3,
                      "V": 53.58, "CellVMax": 3.356, "CellVMin": 3.341, "A": 12.3, "W": 661, "Evt1": 0, "Evt2": 0, "SoCMax": 100,
                      "AChaMax": None, "VMax": None, "LocRemCtl": 1}
            for name, value in wanted.items():
                got = battery[name]
                assert got == value or (value is not None and abs(got - value) < 1e-6), f"{name} is {got}, not {value}"
            assert bank["NStr"] == len(strings) == 1 and bank["NStrCon"] == 1 and abs(bank["ModTmpMax"] - 24) < 1e-6
            (string,) = strings
            assert string["StrSt"] == 3 and abs(string["StrSoC"] - 63) < 1e-6 and abs(string["StrA"] - 12.3) < 1e-6
            assert string["StrNMod"] == 1 and string["StrEvt1"] == 0
            check_derived_models(capacity, direct)


def tells_alarms_in_bits():
    """Protections, warnings and alarms that a BMS does not distinguish, in each of the maps."""
    server, url = simulate("topbms", options(**{"alarm.cell_over_voltage": 1, "alarm.soc_low": 1}))
    ports = Ports("sunspec", "victron")
    with server, Gateway(pack("house", url, 1) + ports.text) as gateway:
        gateway.wait_published("house")
        with ports.connect(gateway, "sunspec") as sunspec, ports.connect(gateway, "victron") as victron:
            (_, _, _, _), (_, battery, _, _), (_, _, (string,), _), *_ = walk_sunspec(sunspec, 1)
            levels = [ask(victron, 3, 225, address, 1)[0] for address in (267, 268, 269, 272, 1282)]
            assert battery["Evt1"] == string["StrEvt1"] != 0
            bits = {bit for bit in range(32) if battery["Evt1"] >> bit & 1}
            assert (9 in bits) == (levels[2] == 2) and levels[2] == (2 if 9 in bits else 1 if 10 in bits else 0) > 0, (bits, levels)
            assert levels[1] == 0 and (14 in bits or 13 in bits) == (levels[3] > 0), (bits, levels)
            assert levels[0] == (2 if 9 in bits else 0) and levels[4] == (10 if 9 in bits else 9), (bits, levels)


def has_a_string_for_each_pack_of_a_bank():
    """Two packs in a bank, one of which falls silent: its string is rejected, the other one can be read, and so can
    the chain."""
    one, first = simulate("topbms", options(**{"voltage_v": 53.1, "current_a": -10, "cell_mv.3": 3500}))
    two, second = simulate("topbms", options(**{"voltage_v": 53.2, "current_a": 4, "soc_percent": 50}))
    ports = Ports("sunspec-strings", "victron")
    bank = "[bank house]\npacks = house-1, house-2\nunit = 100\nmin_packs = 1\n"
    with one, Gateway(pack("house-1", first, 1, "stale_after = 2s") + pack("house-2", second, 2, "stale_after = 2s") + bank +
                      ports.text) as gateway:
        with two:
            gateway.wait_published("house-1", "house-2")
            with ports.connect(gateway, "sunspec-strings") as client, ports.connect(gateway, "victron") as victron:
                until(lambda: ask(victron, 3, 225, 1303, 1) == [2])
                models = walk_sunspec(client, 1)
                assert [kind for kind, *_ in models] == [1, 802, 803, 804, 804, 713, 714]
                (_, battery, _, lacks), (_, bank803, strings, none), (_, s1, m1, none1), (_, s2, m2, none2) = models[1:5]
                assert set(lacks) == LACKS and not none + none1 + none2, (lacks, none, none1, none2)
                assert abs(battery["A"] - 6) < 1e-6 and battery["AHRtg"] == 400 and battery["CellVMaxStr"] == 1
                assert bank803["NStr"] == len(strings) == 2 and bank803["NStrCon"] == 2
                assert abs(bank803["StrVMax"] - 53.2) < 1e-6 and abs(bank803["StrVMin"] - 53.1) < 1e-6
                assert abs(bank803["StrAMax"] - 10) < 1e-6 and abs(bank803["StrAMin"] + 4) < 1e-6
                assert abs(bank803["StrAAvg"] - 3) < 1e-6
                assert [s["Idx"] for s in (s1, s2)] == [1, 2] and [len(m) for m in (m1, m2)] == [1, 1]
                assert abs(s1["V"] - 53.1) < 1e-6 and abs(s2["A"] + 4) < 1e-6 and abs(s2["SoC"] - 50) < 1e-6
                (_, capacity, _, none), (_, direct, ports714, none1) = models[5:]
                assert not none + none1 and capacity["WHRtg"] == 20480 and capacity["Sta"] == 0, (none, none1, capacity)
                assert direct["NPrt"] == len(ports714) == 2 and abs(direct["DCA"] - 6) < 1e-6
                assert [tuple(p[name] for name in ("PrtTyp", "ID", "IDStr", "DCSta")) for p in ports714] == [
                    (2, 1, "string 1", 2), (2, 2, "string 2", 2)]
                assert abs(ports714[0]["DCV"] - 53.1) < 1e-6 and abs(ports714[0]["DCA"] - 10) < 1e-6 and ports714[0]["DCW"] == 531
                assert abs(ports714[1]["DCA"] + 4) < 1e-6 and all(p["DCWhInj"] is not None for p in ports714)
                assert m1[0]["ModNCell"] == 16 and abs(m1[0]["ModCellVMax"] - 3.5) < 1e-6 and m1[0]["ModCellVMaxCell"] == 3
        # The second pack is silent.
        with ports.connect(gateway, "sunspec-strings") as client, ports.connect(gateway, "victron") as victron:
            until(lambda: ask(client, 3, 1, 40290 + 8, 1) == STALE)
            assert isinstance(ask(client, 3, 1, 40226, 64), list) and ask(client, 3, 1, 40290, 64) == STALE
            for header in (40000, 40002, 40070, 40134, 40226, 40290, 40354, 40363, 40433):
                assert isinstance(ask(client, 3, 1, header, 2), list), header
            until(lambda: ask(victron, 3, 225, 1302, 1) == [1])
            assert ask(victron, 3, 225, 1303, 1) == [1] and abs(number(ask(victron, 3, 225, 261, 1), "s16") + 100) < 1e-6


# ---- packs that say little, nothing, or nothing any more ----


def stays_readable_where_nothing_is_to_be_known():
    """A pack that never answers, and one that has fallen silent: values are rejected, constants are not."""
    server, url = simulate("topbms", options())
    ports = Ports(*FILES)
    hold = "[view hold]\nsource = house\nunit = 1\nlisten = 127.0.0.30:0\non_stale = hold\nregister = soc_percent -> 1 u16\n" \
           "register = fresh -> 2 u16\nregister = soc_percent -> 3 u16 on_stale unknown\nregister = soc_percent -> 4 u16 on_stale 9\n"
    with Gateway(pack("house", url, 1, "stale_after = 2s") + ports.text + hold) as gateway:
        with server:
            gateway.wait_published("house")
            with connect(gateway, "127.0.0.30") as client:
                assert ask(client, 3, 1, 1, 4) == [63, 1, 63, 63]
        clients = {name: ports.connect(gateway, name) for name in FILES}
        until(lambda: ask(clients["victron"], 3, 100, 843, 1) == STALE)
        check_stale(clients)
        with connect(gateway, "127.0.0.30") as client:
            assert ask(client, 3, 1, 1, 4) == [63, 0, 0xFFFF, 9]
        for client in clients.values():
            client.close()
    # No pack has answered since the start.
    ports = Ports(*FILES)
    with Gateway(pack("house", "tcp://127.0.0.1:1", 1) + ports.text + hold) as gateway:
        clients = {name: ports.connect(gateway, name) for name in FILES}
        check_stale(clients)
        with connect(gateway, "127.0.0.30") as client:
            assert ask(client, 3, 1, 1, 1) == STALE and ask(client, 3, 1, 2, 3) == [0, 0xFFFF, 9]
        for client in clients.values():
            client.close()


# Reads of constants only.
CONSTANTS = {("victron", 800), ("sunspec", 40000), ("sunspec", 40002), ("sunspec", 40004), ("sunspec", 40136, 1), ("sunspec", 40248),
             ("e3dc", 0), ("e3dc", 126)}


def check_stale(clients):
    for name, unit, function, address, count, whom in READS:
        got = ask(clients[name], function, unit, address, count)
        constant = (name, address) in CONSTANTS or (name, address, count) in CONSTANTS
        assert isinstance(got, list) if constant else got == STALE, (name, address, count, got)
    for name, unit, address, count in MISSING:
        assert ask(clients[name], 3, unit, address, count) == NO_REGISTER, (name, address)
    for header in (40000, 40002, 40070, 40134, 40194, 40203, 40248):
        assert isinstance(ask(clients["sunspec"], 3, 1, header, 2), list), header


def shows_what_a_poor_pack_does_not_say():
    """A meter of Victron knows voltage, current and state of charge: no cells, no temperatures, no MOS."""
    server, url = simulate("vedirect", "profile=fixed,voltage_v=26.5,current_a=-4,soc_percent=50")
    ports = Ports(*FILES)
    with server, Gateway(pack("house", url, 1, protocol="vedirect") + ports.text) as gateway:
        gateway.wait_published("house")
        clients = {name: ports.connect(gateway, name) for name in FILES}
        for name, unit, function, address, count, whom in READS:
            got = ask(clients[name], function, unit, address, count)
            assert isinstance(got, list), f"{whom}: {name} {address}+{count}: exception {got}"
        (_, _, _, _), (_, battery, _, _), (_, _, (string,), _), *_ = walk_sunspec(clients["sunspec"], 1)
        assert abs(battery["V"] - 26.5) < 1e-6 and battery["CellVMax"] is None and battery["State"] == 3
        assert string["StrSt"] == 1 and string["StrCellVMax"] is None, string
        assert ask(clients["victron"], 3, 225, 1290, 2) == [0, 0] and ask(clients["victron"], 3, 225, 1282, 1) == [9]
        assert ask(clients["solaredge"], 3, 1, 57730, 2) == [0, 0x7FC0]
        for client in clients.values():
            client.close()


# ---- clients of other people ----


def others_read_it():
    """mbpoll, modbus-serial and jsmodbus get what pymodbus gets."""
    subprocess.run([os.path.join(CLIENTS, "install"), INSTALLED], check=True, timeout=5 * PATIENCE)
    with House() as house:
        for name, unit, order, address, count in (("sunspec", 1, "big", 40070, 18), ("e3dc", 1, "little", 40035, 97),
                                                  ("solaredge", 1, "little", 57708, 10), ("victron", 225, "big", 256, 76)):
            client = house.clients[name]
            expected = ask(client, 3, unit, address, count)
            for function, kind in ((3, "4"), (4, "3")):
                got = mbpoll_at(client, unit, "-r", address, "-c", count, "-t", kind)
                assert [int(got[address + i]) & 0xFFFF for i in range(count)] == expected, (name, function)
            asked = {"host": house.ports.hosts[name], "port": client.port_number, "unit": unit, "order": order, "floats": [],
                     "reads": [{"fc": function, "address": address, "count": count} for function in (3, 4)]}
            for script in ("modbus-serial.js", "jsmodbus.js"):
                result = subprocess.run(["node", os.path.join(CLIENTS, script), json.dumps(asked)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, timeout=PATIENCE,
                                        env={**os.environ, "NODE_PATH": f"{INSTALLED}/node_modules"})
                assert result.returncode == 0, result.stderr.decode()
                assert json.loads(result.stdout)["reads"] == [expected, expected], (script, name)
        # As users configure them: a float of a battery, a signed power.
        solaredge = house.clients["solaredge"]
        assert abs(float(mbpoll_at(solaredge, 1, "-r", 0xE184, "-t", "4:float")[0xE184]) - 63) < 1e-4
        sma = house.clients["sma"]
        assert int(mbpoll_at(sma, 3, "-r", 30775, "-t", "4:int", "-B")[30775]) == 661


def mbpoll_at(client, unit, *arguments):
    result = subprocess.run(["mbpoll", "-m", "tcp", "-p", str(client.port_number), "-a", str(unit), "-0", "-1", *map(str, arguments),
                             client.host], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    assert result.returncode == 0, result.stdout.decode()
    return {int(a): v for a, v in re.findall(r"^\[(\d+)\]:\s+(\S+)", result.stdout.decode(), re.M)}


# ---- beside the packs, and over a reload ----

SIMPLE = "[view {0}]\nsource = house\nunit = {1}\n{2}\nregister = soc_percent -> 7 u16{3}\n"


def is_a_unit_beside_the_packs():
    server, url = simulate("topbms", options())
    with server, Gateway(pack("house", url, 1) + SIMPLE.format("beside", "0, 50", "", "")) as gateway, gateway.client() as client:
        gateway.wait_published("house")
        assert ask(client, 3, 50, 7, 1) == ask(client, 4, 0, 7, 1) == [63]
        assert ask(client, 3, 50, 290, 1) == NO_REGISTER and ask(client, 3, 1, 290, 1) == [63] == ask(client, 3, 255, 290, 1)
        assert ask(client, 3, 50, 7, 2) == NO_REGISTER


def keeps_what_a_reload_does_not_change():
    server, url = simulate("topbms", options())
    house = pack("house", url, 1)
    one = SIMPLE.format("one", 1, "listen = 127.0.0.20:0", "")
    two = SIMPLE.format("two", 1, "listen = 127.0.0.21:0", "")
    with server, Gateway(house + one + two) as gateway:
        gateway.wait_published("house")
        with connect(gateway, "127.0.0.20") as first, connect(gateway, "127.0.0.21") as second:
            assert ask(first, 3, 1, 7, 1) == ask(second, 3, 1, 7, 1) == [63]
            # The second one changes, a third one is added on the port of the first.
            gateway.rewrite(house + one + SIMPLE.format("two", "1, 9", "listen = 127.0.0.21:0", " scale 10") +
                    SIMPLE.format("three", 3, "listen = 127.0.0.20:0", " scale 2"))
            gateway.wait_for(r"\[view two\] register: 'soc_percent -> 7 u16' is gone")
            gateway.wait_for(r"\[view three\] is new")
            gateway.wait_for("the new configuration is in force")
            # A lost connection would end this: the library does not reconnect within a request.
            sockets = first.socket.fileno(), second.socket.fileno()
            assert ask(first, 3, 1, 7, 1) == [63] and ask(first, 3, 3, 7, 1) == [126]
            assert ask(second, 3, 1, 7, 1) == ask(second, 3, 9, 7, 1) == [630]
            assert (first.socket.fileno(), second.socket.fileno()) == sockets
            # A port that cannot be opened changes nothing.
            gateway.rewrite(house + one + two + SIMPLE.format("four", 1, "listen = 192.0.2.77:5020", ""))
            gateway.wait_for("cannot listen on 192.0.2.77:5020")
            gateway.wait_for("the old one stays in force")
            assert ask(second, 3, 1, 7, 1) == [630]
            # The second one is removed, and its port with it.
            gateway.rewrite(house + one)
            gateway.wait_for(r"\[view two\] is gone")
            gateway.wait_for("the new configuration is in force")
            assert ask(first, 3, 1, 7, 1) == [63] and ask(first, 3, 3, 7, 1) == NO_UNIT
            assert second.socket.recv(1) == b""
            second.close()
            assert not second.connect()
    assert gateway.process.returncode == 0


def has_what_is_set_in_a_bms():
    """Limits after the map, which nobody can write, and in a view."""
    server, url = simulate("jk-4e57", options(**{"set_cell_high_mv": 3600, "set_charge_cold_c": -3, "set_balancer": 0}))
    view = "[view limits]\nsource = house\nunit = 9\nregister = set_cell_high_mv -> 1 u16\nregister = set_charge_cold_c -> 2 s16\n" \
           "register = set_balancer -> 3 u16\n"
    with server, Gateway(pack("house", url, 1, protocol="jk-4e57") + view) as gateway, gateway.client() as client:
        gateway.wait_published("house")
        assert ask(client, 3, 9, 1, 3) == [3600, 0x10000 - 3, 0]
        for name, value in (("set_cell_high_mv", 3600), ("set_charge_cold_c", -3), ("set_balancer", 0)):
            assert read_value(client, name, 1) == value, name
        assert find("set_cell_high_mv")["address"] == 900 and read_value(client, "map_version", 1) == 3
        assert client.write_registers(900, [1, 2], slave=1).isError()


def prints_what_stands_where():
    server, url = simulate("topbms", options())
    ports = Ports(*FILES)
    with server, Gateway(pack("house", url, 1) + ports.text) as gateway:
        def printed(form, view):
            return subprocess.run([PACKGATE, "map", "--format", form, "--view", view, "-c", gateway.path], check=True,
                                  stdout=subprocess.PIPE).stdout.decode()
        for view in re.findall(r"\[view (\S+)\]", ports.text):
            rows = json.loads(printed("json", view))
            table = list(csv.DictReader(io.StringIO(printed("csv", view))))
            assert len(rows) == len(table) > 0
            for row, line in zip(rows, table):
                assert row["address"] == int(line["address"]) and row["name"] == line["name"] and row["type"] == line["type"]
            page = printed("md", view)
            assert all(f"| {row['address']} | {row['count']} |" in page for row in rows)
        # The value that a program decodes from a row.
        gateway.wait_published("house")
        with ports.connect(gateway, "victron") as client:
            rows = {row["name"]: row for row in json.loads(printed("json", "victron-battery"))}
            for name in ("voltage_v", "current_a", "soc_percent"):
                row = rows[name]
                raw = number(ask(client, 3, row["units"][0], row["address"], row["count"]), row["type"])
                assert abs(raw * row["scale"] + row["shift"] - PACK[name]) < 0.1, name
        wrong = subprocess.run([PACKGATE, "map", "--view", "sunspek", "-c", gateway.path], stderr=subprocess.PIPE)
        assert wrong.returncode == 1 and b"did you mean 'sunspec'?" in wrong.stderr


def hands_on_what_is_allowed():
    """Clients get the limits of [limits], if the BMS reports none; and when the pack is silent, none of them gets a
    number that looks current."""
    limits = ("[limits house]\ncharge_current = 8.06A\ndischarge_current = 16\ncells = 16\nsensors = 4\ncell_full = 3.45\n"
              "cell_float = 3.375, 90\ncell_high = 3.40:1, 3.50:0\ncell_low = 2.80:0, 3.19:1\n"
              "temperature = 0:0, 5:1, 50:1, 55:0\n")
    ports = Ports("victron", "sunspec", "solaredge")
    server, url = simulate("topbms", options())
    with server, Gateway(pack("house", url, 1, "stale_after = 3s") + limits + ports.text) as gateway, gateway.client() as own:
        gateway.wait_published("house")
        victron, sunspec, solaredge = (ports.connect(gateway, name) for name in ("victron", "sunspec", "solaredge"))
        power = lambda address: number(ask(solaredge, 3, 1, address, 2), "float32", "little")
        await_value(own, "discharge_limited_by", 1, lambda reason: reason == 0)
        volts = read_value(own, "allowed_charge_voltage_v", 1)
        assert 16 * 3.375 < volts <= 16 * 3.45 + 1e-6, volts
        # Rounded down: 8.06 A become 8.0 A in steps of 0.1 A.
        assert ask(victron, 3, 225, 307, 2) == [80, 160] and abs(ask(victron, 3, 225, 305, 1)[0] - 10 * volts) < 5
        battery = next(points for kind, points, _, _ in walk_sunspec(sunspec, 1) if kind == 802)
        assert (battery["AChaMax"], battery["ADisChaMax"]) == (8, 16), battery
        assert 0 <= 8.06 * 44.8 - battery["WChaRteMax"] < 10 and 0 <= 16 * 44.8 - battery["WDisChaRteMax"] < 10, battery
        assert abs(battery["VMax"] - volts) < 0.5, battery
        assert [power(address) for address in (57668, 57670)] == [struct.unpack("f", struct.pack("f", amps * 44.8))[0] for amps in (8.06, 16)]
        server.process.send_signal(signal.SIGSTOP)
        try:
            await_value(own, "connection_state", 1, lambda state: state != 1)
            assert ask(victron, 3, 225, 307, 1) == STALE and ask(sunspec, 3, 1, 40115, 1) == STALE
            assert ask(solaredge, 3, 1, 57668, 2) in ([0, 0x7FC0], [0, 0], STALE)
        finally:
            server.process.send_signal(signal.SIGCONT)
        for client in (victron, sunspec, solaredge):
            client.close()


main([hands_on_what_is_allowed, answers_what_clients_ask, has_the_right_values, is_a_sunspec_battery, tells_alarms_in_bits,
      has_a_string_for_each_pack_of_a_bank, stays_readable_where_nothing_is_to_be_known, shows_what_a_poor_pack_does_not_say,
      others_read_it, is_a_unit_beside_the_packs, keeps_what_a_reload_does_not_change, has_what_is_set_in_a_bms,
      prints_what_stands_where], at_once=2)
