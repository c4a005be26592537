# SPDX-License-Identifier: MIT
# tests/run: 20 s
"""Client files (conf/): each is what the program prints, can be parsed, and agrees in every address, type and order of words
with the map as JSON, for the default map and for one elsewhere with the high word first."""

import json
import math
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import tomllib

import yaml

from harness import PACKGATE, PATIENCE, Gateway, await_value, main, mbpoll, simulate, until

FILES = {"homeassistant": "yaml", "homeassistant-basic": "yaml", "homeassistant-cells": "yaml", "telegraf": "conf",
         "nodered": "json", "evcc": "yaml", "iobroker": "tsv", "tasmota": "txt", "tasmota-display": "txt", "mbpoll": "txt"}
PACK = "[line bench]\nport = sim:\nprotocol = daly\n[pack bench]\nline = bench\nunit = 1\n"
UNKNOWN = {"u16": 0xFFFF, "s16": -0x8000, "u32": 0xFFFFFFFF}
BANK_ONLY = {"packs_present", "packs_missing", "packs_needed", "packs_current_a", "packs_soc_percent", "cell_max_pack", "cell_min_pack", "temp_max_pack",
             "temp_min_pack"}


def run(*command, text=None):
    result = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
                            encoding="utf-8")
    assert result.returncode == 0, result.stderr
    return result.stdout


class Map:
    """The map with some settings: its rows by address, its discrete inputs by number, and the client files."""

    def __init__(self, *arguments):
        self.arguments = arguments
        self.rows = {row["address"]: row for row in json.loads(self.printed("json"))}
        lines = [line.split(",") for line in self.printed("csv").splitlines()]
        self.inputs = {int(line[2]): line[4] for line in lines if line[0] == "discrete"}

    def printed(self, form):
        return run(PACKGATE, "map", "--format", form, *self.arguments)

    def address_of(self, name):
        """Of the extended block, which comes last."""
        return [address for address, row in self.rows.items() if row["name"] == name][-1]

    def polled(self):
        """Names of the numbers of a pack that any client may request: extended block, no bits, no self-check."""
        return {row["name"] for row in self.rows.values()
                if row["block"] == "extended" and not row["type"].startswith("bits")
                and not row["name"].startswith("check_")} - BANK_ONLY


def both_maps():
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write("[gateway]\nbase = 1000\nfloat_order = big\n" + PACK)
        file.flush()
        other = Map("-c", file.name)
        assert min(other.rows) == 1000 and other.rows[other.address_of("voltage_v")]["word_order"] == "high first"
        for each in (Map(), other):
            yield each


def stem(name):
    return re.sub(r"\.\d+$", "", name)


def listed(known):
    """Names in a file with every value: for a pack about which nothing is known, 16 cells and 4 sensors; for the
    example, all."""
    most = {"cell_mv": 16, "temp_c": 4} if known.arguments else {}
    return {name for name in known.polled() if stem(name) not in most or int(name.rpartition(".")[2]) <= most[stem(name)]}


# ---- the files ----

def files_are_what_the_program_prints():
    for form, ending in FILES.items():
        with open(f"conf/{form}.{ending}", encoding="utf-8") as file:
            assert file.read() == Map().printed(form), f"conf/{form}.{ending} is out of date: make docs"


def templates_print_the_formats():
    """The templates of conf/clients/, read as files of a user, for the example and for a configuration."""
    for known in both_maps():
        for name in sorted(os.listdir("conf/clients")):
            form = name.split(".")[0]
            if form in FILES:
                assert known.printed(form) == run(PACKGATE, "map", "--template", f"conf/clients/{name}", *known.arguments), name


def a_template_is_a_file_of_the_user():
    with open("docs/templates.md", encoding="utf-8") as file:
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", file.read(), re.M | re.S)
    example, expected = [text for language, text in blocks if not language][:2]
    with tempfile.TemporaryDirectory() as folder:
        path, config = f"{folder}/mine.txt", f"{folder}/packgate.ini"
        with open(config, "w", encoding="utf-8") as file:
            file.write(PACK.replace("pack bench", "pack house-1") + "[line more]\nport = sim:\nprotocol = daly\n"
                       "[pack house-2]\nline = more\nunit = 2\n")
        with open(path, "w", encoding="utf-8") as file:
            file.write(example)
        assert run(PACKGATE, "map", "--template", path, "-c", config) == expected
        with open(path, "a", encoding="utf-8") as file:
            file.write("{{ nothing }}\n")
        lines = example.count("\n") + 1
        for bad, message in ((path, f"{path}:{lines}: there is no 'nothing' here\n"),
                             (folder, f"packgate: {folder}: Is a directory\n"),
                             ("/nowhere", "packgate: /nowhere: No such file or directory\n")):
            done = subprocess.run([PACKGATE, "map", "--template", bad], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=PATIENCE, encoding="utf-8", check=False)
            assert (done.returncode, done.stdout, done.stderr) == (1, "", message), done


def help_names_all_formats():
    text = run(PACKGATE, "map", "--help")
    with open("man/packgate.1", encoding="utf-8") as file:
        page = file.read().replace("\\-", "-")
    for form in FILES:
        assert re.search(rf"(?<![\w-]){form}(?![\w-])", text), form
        assert re.search(rf"(?<![\w-]){form}(?![\w-])", page), form


def map_tells_what_can_be_written():
    switches = {"charge_mos", "discharge_mos"}
    for writable, wanted in ("no", set()), ("yes", switches):
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
            file.write(PACK + f"writable = {writable}\n")
            file.flush()
            rows = json.loads(Map("-c", file.name).printed("json"))
        assert {row["name"] for row in rows if row["access"] == "rw"} == wanted
        assert all(row["access"] == "r" for row in rows if row["name"] not in switches)


SITE = """[gateway]
listen = 192.0.2.7:1502
state_file = {}
[line a]
port = sim:
protocol = daly
[pack shed]
line = a
unit = 7
[line b]
port = sim:
protocol = daly
[pack barn]
line = b
unit = 8
[bank all]
packs = shed, barn
unit = 100
[mqtt panel]
broker = mqtts://192.0.2.5
user = me
password_file = {}
topic = SmartBMS
packs = shed
layout = smartbms-bat
switching = yes
"""


def files_have_all_packs_of_a_configuration():
    with tempfile.TemporaryDirectory() as folder:
        state, password, path = (os.path.join(folder, name) for name in ("state", "password", "packgate.ini"))
        with open(password, "w") as file:
            file.write("secret\n")
        text = SITE.format(state, password)
        with open(path, "w") as file:
            file.write(text)
        # The running gateway stores the number of cells.
        running = text.replace("192.0.2.7:1502", "127.0.0.1:0").replace("port = sim:", "port = sim:cell_count=8", 1)
        with Gateway(running.split("[line a]", 1)[1].join(["[line a]", ""]).split("[mqtt")[0], state=state) as gateway, \
                gateway.client() as client:
            gateway.wait_published("shed", "barn")
            for unit, cells in (7, 8), (8, 16):
                await_value(client, "cell_count", unit, lambda count: count == cells)  # not among the first values
        known = Map("-c", path)
        hub, = yaml.load(known.printed("homeassistant"), yaml.CSafeLoader)["modbus"]
        assert (hub["host"], hub["port"]) == ("192.0.2.7", 1502)
        entities = hub["sensors"] + hub["binary_sensors"]
        assert {entity["device_address"] for entity in entities} == {7, 8, 100}
        for entity in entities:
            name = {7: "shed", 8: "barn", 100: "all"}[entity["device_address"]]
            assert entity["name"].startswith(name + " ") and entity["unique_id"].startswith(f"packgate_{entity['device_address']}_")
        assert len({entity["unique_id"] for entity in entities}) == len(entities)
        cells = {entity["device_address"]: entity.get("virtual_count") for entity in hub["sensors"]
                 if entity["unique_id"].endswith("_cell_mv") or entity["unique_id"] == "packgate_100_cell_avg_mv"}
        assert cells == {7: 8, 8: 16, 100: None}, cells
        file = yaml.load(known.printed("evcc"), yaml.CSafeLoader)
        meters = file["meters"]
        assert file["site"]["meters"]["battery"] is None, file["site"]  # a bank and its packs would count twice
        assert set(re.findall(r"# - (\w+)", known.printed("evcc"))) == {meter["name"] for meter in meters}
        assert [meter["name"] for meter in meters] == ["packgate_7", "packgate_8", "packgate_100"]
        assert all(meter["power"]["uri"] == "192.0.2.7:1502" for meter in meters)
        inputs = tomllib.loads(known.printed("telegraf"))["inputs"]["modbus"]
        assert [one["tags"]["pack"] for one in inputs] == ["shed", "barn", "all"]
        assert [{request["slave_id"] for request in one["request"]} for one in inputs] == [{7}, {8}, {100}]
        nodes = json.loads(known.printed("nodered"))
        assert len({node["id"] for node in nodes}) == len(nodes)
        assert {node["unitid"] for node in nodes if node["type"] == "modbus-read"} == {"7", "8", "100"}
        assert [node["tcpHost"] for node in nodes if node["type"] == "modbus-client"] == ["192.0.2.7"]
        lines = [line.split("\t") for line in known.printed("iobroker").splitlines()]
        assert all(len(line) == len(lines[0]) for line in lines)
        assert sum(line[2].startswith("shed_cell_mv_") for line in lines) == 8
        for line in lines[1:]:
            name = re.sub(r"^(shed|barn|all)_", "", line[2])
            assert known.rows[int(line[0])]["name"].replace(".", "_") == name, line
        panel = json.loads(known.printed("iotmqttpanel"))
        connection, = panel["connections"]
        assert panel["dataVersion"] == 152 and connection["connectionType"] == "ssl" and connection["port"] == 8883
        assert "password" not in connection
        panels = connection["dashboards"][0]["panels"]
        switches = [one for one in panels if one["type"] == "switch"]
        assert [one["topic"] for one in switches] == ["SmartBMS/DMS", "SmartBMS/CMS"]
        assert all(one["retain"] is False and one["confirmBeforePublish"] is True and one["seperateSubscribeTopic"] == "SmartBMS"
                   for one in switches)
        bars, = (one for one in panels if one["type"] == "barGraph")
        assert [graph["jsonPath"] for graph in bars["graphs"]] == [f"bat.{n}" for n in range(8)]
        assert "secret" in run(PACKGATE, "map", "--format", "iotmqttpanel", "-c", path, "--with-password")
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write(PACK)
        file.flush()
        none = subprocess.run([PACKGATE, "map", "--format", "iotmqttpanel", "-c", file.name], capture_output=True, text=True, check=False)
        assert none.returncode == 1 and none.stdout == "" and "smartbms-bat" in none.stderr


def the_running_gateway_knows_how_many_cells():
    """Its state file, which is written once a minute, does not contain it yet."""
    text = "[line a]\nport = sim:cell_count=8,temp_count=3\nprotocol = daly\n[pack shed]\nline = a\nunit = 7\n"

    def counts(path):
        hub, = yaml.load(run(PACKGATE, "map", "--format", "homeassistant", "-c", path), yaml.CSafeLoader)["modbus"]
        return {entity["unique_id"]: entity["virtual_count"] for entity in hub["sensors"] if "virtual_count" in entity}

    with Gateway(text) as gateway:
        until(lambda: counts(gateway.path) == {"packgate_7_cell_mv": 8, "packgate_7_temp_c": 3})
        for form in "nodered", "telegraf":
            text = run(PACKGATE, "map", "--format", form, "-c", gateway.path)
            names = set(re.findall(r"\bcell_mv[._]\d+|\btemp_c[._]\d+", text))
            assert len(names) == 8 + 3, (form, sorted(names))
        assert not os.path.exists(f"{gateway.folder}/state") or "cells" not in open(f"{gateway.folder}/state").read()


# ---- Home Assistant ----

HA_TYPES = {"uint16": "u16", "int16": "s16", "uint32": "u32", "float32": "float32", "string": "string"}


def check_sensor(known, sensor):
    name = sensor["unique_id"].removeprefix("packgate_1_")
    row = known.rows[sensor["address"]]
    assert HA_TYPES[sensor["data_type"]] == row["type"], (sensor, row)
    assert sensor["input_type"] == "holding" and sensor["device_address"] == 1
    assert sensor.get("swap") == ("word" if row["word_order"] == "low first" else None), (sensor, row)
    assert sensor.get("unit_of_measurement", "") == row["unit"], (sensor, row)
    if row["type"] in UNKNOWN:
        assert sensor["nan_value"] == UNKNOWN[row["type"]] % 256 ** (2 * row["count"]), sensor
    if row["type"] == "string":
        assert sensor["count"] == row["count"], sensor
    if "virtual_count" not in sensor:
        assert row["name"] == name, (sensor, row)
        return {name}
    first = sensor["address"] + row["count"]
    names = [known.rows[first + n * row["count"]]["name"] for n in range(sensor["virtual_count"])]
    assert names == [f"{name}.{n + 1}" for n in range(sensor["virtual_count"])], names
    assert "_avg_" in row["name"], row
    return {row["name"], name}


def sensors_of(known, form):
    hub, = yaml.load(known.printed(form), yaml.CSafeLoader)["modbus"]
    identities = [entity["unique_id"] for entity in hub["sensors"] + hub["binary_sensors"]]
    titles = [entity["name"] for entity in hub["sensors"]]
    assert len(identities) == len(set(identities)) and len(titles) == len(set(titles))
    for entity in hub["binary_sensors"]:
        title = known.inputs[entity["address"]].replace("_", " ").replace(".", " ")
        assert entity["input_type"] == "discrete_input" and entity["name"].split(" ", 1)[1] == title, entity
    return set().union(*(check_sensor(known, sensor) for sensor in hub["sensors"])), hub


def home_assistant_follows_the_map():
    for known in both_maps():
        basic, _ = sensors_of(known, "homeassistant-basic")
        cells, _ = sensors_of(known, "homeassistant-cells")
        everything, hub = sensors_of(known, "homeassistant")
        assert {"voltage_v", "current_a", "soc_percent", "cell_min_mv", "connection_state"} <= basic
        assert cells - basic == {"cell_mv", "temp_c", "cell_avg_mv", "temp_avg_c", "cell_max_index", "cell_min_index"}
        assert basic < cells < everything
        wanted = {stem(name) for name in known.polled()}
        assert everything == wanted, everything ^ wanted
        assert {known.inputs[entity["address"]] for entity in hub["binary_sensors"]} == asked_inputs(known)


def asked_inputs(known):
    """All but the switches, for which registers are better."""
    return set(known.inputs.values()) - {"charge_mos", "discharge_mos", "balancing"}


def smaller_sizes_are_parts_of_the_whole():
    whole = sensors_of(Map(), "homeassistant")[1]
    for form in ("homeassistant-basic", "homeassistant-cells"):
        part = sensors_of(Map(), form)[1]
        for kind in ("sensors", "binary_sensors"):
            assert all(entity in whole[kind] for entity in part[kind]), (form, kind)


# ---- Telegraf ----

TELEGRAF_TYPES = {"UINT16": "u16", "INT16": "s16", "UINT32": "u32", "FLOAT32": "float32"}


def check_request(known, request, seen):
    assert request["slave_id"] == 1 and request["measurement"] == "packgate"
    for field in request["fields"]:
        if request["register"] == "discrete":
            assert known.inputs[field["address"]] == field["name"], field
        else:
            row = known.rows[field["address"]]
            assert request["register"] == "holding" and row["name"] == field["name"], (field, row)
            assert TELEGRAF_TYPES[field["type"]] == row["type"], (field, row)
            wanted = {"low first": "CDAB", "high first": "ABCD"}.get(row["word_order"], request["byte_order"])
            assert request["byte_order"] == wanted, (request["byte_order"], row)
        assert field["name"] not in seen, field
        seen.add(field["name"])


def telegraf_follows_the_map():
    for known in both_maps():
        config = tomllib.loads(known.printed("telegraf"))
        source, = config["inputs"]["modbus"]
        assert source["configuration_type"] == "request" and source["controller"].startswith("tcp://")
        seen = set()
        for request in source["request"]:
            check_request(known, request, seen)
        numbers = {name for name in listed(known) if known.rows[known.address_of(name)]["type"] != "string"}
        assert seen == numbers | asked_inputs(known), seen ^ (numbers | asked_inputs(known))


def drop_unknown(source, fields):
    """The Starlark of the processor is also valid Python."""
    class Metric:
        pass

    class Fields(dict):
        def items(self):
            return list(super().items())

    metric, names = Metric(), {"type": lambda value: type(value).__name__, "str": str}
    metric.fields = Fields(fields)
    exec(source, names)  # pylint: disable=exec-used
    return dict(names["apply"](metric).fields)


def telegraf_drops_what_is_unknown():
    known = Map()
    processor, = tomllib.loads(known.printed("telegraf"))["processors"]["starlark"]
    assert processor["namepass"] == ["packgate"]
    numbers = {name: known.rows[known.address_of(name)]["type"] for name in known.polled()}
    unknown = {name: UNKNOWN.get(kind, math.nan) for name, kind in numbers.items() if kind != "string"}
    assert drop_unknown(processor["source"], unknown) == {}
    good = {name: 65535 if numbers[name] == "u32" else 0 for name in unknown} | {"alarm": 1, "alarm.cell_over_voltage": 0}
    assert drop_unknown(processor["source"], good) == good


# ---- Node-RED ----

def registers_of(row, value):
    """A value as encoded in registers, by the types of the map."""
    kind = row["type"]
    if kind == "string":
        data = (value or "").encode("ascii").ljust(2 * row["count"])
    elif kind == "float32":
        data = struct.pack(">f", math.nan if value is None else value)
    else:
        data = (UNKNOWN[kind] if value is None else value).to_bytes(2 * row["count"], "big", signed=kind[0] == "s")
    words = [word for word, in struct.iter_unpack(">H", data)]
    return words[::-1] if row["word_order"] == "low first" else words


class Functions:
    """Runs function nodes in one node process, which reads and writes a line for each."""

    SCRIPT = """
        require('readline').createInterface({input: process.stdin}).on('line', line => {
            const [code, payload] = JSON.parse(line);
            console.log(JSON.stringify(new Function('msg', code)({payload}).payload));
        })"""

    def __init__(self):
        self.process = subprocess.Popen(["node", "-e", self.SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        encoding="utf-8")

    def decode(self, function, payload):
        self.process.stdin.write(json.dumps([function["func"], payload]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(PATIENCE) == 0


def check_reading(functions, known, node, function, seen):
    address, quantity = int(node["adr"]), int(node["quantity"])
    assert 0 < quantity <= 125 and node["unitid"] == "1"
    if node["dataType"] == "Input":
        for bit in (False, True):
            got = functions.decode(function, [bit] * quantity)
            assert got == {name: bit for name in asked_inputs(known)}, got
        for number, name in known.inputs.items():
            got = functions.decode(function, [n == number for n in range(quantity)])
            assert [key for key, value in got.items() if value] == [name] * (name in asked_inputs(known)), (name, got)
        return
    assert node["dataType"] == "HoldingRegister"
    rows = {row["name"]: row for row in known.rows.values()
            if address <= row["address"] < address + quantity and row["name"] in listed(known)}
    values = {"u16": 3300, "s16": -12345, "u32": 0x12345678, "float32": 123456.5, "string": "some text"}
    for wanted in ({name: values[row["type"]] for name, row in rows.items()}, dict.fromkeys(rows)):
        payload = [0] * quantity
        for name, value in wanted.items():
            at = rows[name]["address"] - address
            payload[at:at + rows[name]["count"]] = registers_of(rows[name], value)
        assert len(payload) == quantity, (node, len(payload))
        got = functions.decode(function, payload)
        assert got == wanted, (got, wanted)
    seen.update(rows)


def nodered_follows_the_map():
    with Functions() as functions:
        for known in both_maps():
            nodes = {node["id"]: node for node in json.loads(known.printed("nodered"))}
            seen = set()
            for node in nodes.values():
                assert all(target in nodes for output in node.get("wires", []) for target in output), node
                assert node.get("z") in (None, "packgate-flow"), node
                if node["type"] == "modbus-read":
                    assert nodes[node["server"]]["type"] == "modbus-client"
                    function, = node["wires"][0]
                    check_reading(functions, known, node, nodes[function], seen)
            assert seen == listed(known), seen ^ listed(known)


# ---- pymodbus ----

def example_of_pymodbus_reads_values():
    """The Python of docs/clients.md by Debian's pymodbus, from a pack that answers and from one that does not."""
    with open("docs/clients.md", encoding="utf-8") as file:
        program = re.search(r"^```python\n(.*?)^```$", file.read(), re.M | re.S)[1]
    server, url = simulate("daly", "profile=fixed,voltage_v=53.2,current_a=-10,soc_percent=63")
    text = f"[line a]\nport = {url}\nprotocol = daly\n[pack a]\nline = a\nunit = 1\nstale_after = 2s\n"
    with server, Gateway(text) as gateway:
        gateway.wait_published("a")

        def run():
            return subprocess.run(["/usr/bin/python3", "-c", program.replace("port=502", f"port={gateway.port}")], check=True,
                                  stdout=subprocess.PIPE, timeout=PATIENCE).stdout.decode()

        said = dict(line.split() for line in run().splitlines())
        assert (said["voltage_v"], said["current_a"], said["soc_percent"]) == ("53.2", "-10.0", "63.0"), said
        server.stop()
        deadline = time.monotonic() + PATIENCE
        while not run().startswith("no fresh values: "):
            assert time.monotonic() < deadline


# ---- evcc ----

def evcc_follows_the_map():
    for known in both_maps():
        file = yaml.load(known.printed("evcc"), yaml.CSafeLoader)
        meter, = file["meters"]
        assert file["site"]["meters"]["battery"] == [meter["name"]], file["site"]
        assert meter["type"] == "custom"
        for key, name, scale in (("power", "power_w", -1), ("soc", "soc_percent", None)):
            value = meter[key]
            row = known.rows[value["register"]["address"]]
            encoding = {"low first": "float32s", "high first": "float32"}[row["word_order"]]
            assert row["name"] == name and row["block"] == "extended" and row["type"] == "float32"
            assert value["register"]["type"] == "holding" and value["register"]["encoding"] == encoding, value
            assert (value["source"], value["id"], value.get("scale")) == ("modbus", 1, scale), value


# ---- Tasmota ----

# For each encoding of a number: its bytes in a reply, and the value.
TASMOTA_NUMBERS = {
    "UUuu": (2, lambda data: int.from_bytes(data, "big")),
    "SSss": (2, lambda data: int.from_bytes(data, "big", signed=True)),
    "UUuuUUuu": (4, lambda data: int.from_bytes(data, "big")),
    "UUuuUUuus": (4, lambda data: int.from_bytes(data[2:] + data[:2], "big")),
    "ffffffff": (4, lambda data: struct.unpack(">f", data)[0]),
    "FFffFFff": (4, lambda data: struct.unpack(">f", data[2:] + data[:2])[0]),
}
TASMOTA_TYPES = {("u16", ""): "UUuu", ("s16", ""): "SSss", ("u32", "low first"): "UUuuUUuus",
                 ("u32", "high first"): "UUuuUUuu", ("float32", "low first"): "FFffFFff",
                 ("float32", "high first"): "ffffffff"}


class Decoder:
    """A line of the script that extracts a number from the replies to one block."""

    def __init__(self, line):
        match = re.fullmatch(r"1,(\w+)@i(\d+):(\d+),([^,]*),([^,]*),([^,]*),(\d+)", line)
        assert match, line
        self.line, self.pattern, self.index, self.scale = line, match[1], int(match[2]), int(match[3])
        self.label, self.unit, self.name, self.decimals = match[4], match[5], match[6], int(match[7])

    def number(self, data):
        """Compares bytes in hex, xN skips N of them; None: the reply does not match this line."""
        pattern, at, number = self.pattern, 0, None
        while pattern:
            match = re.match(r"x(\d+)|(UUuuUUuus?|UUuu|SSss|FFffFFff|ffffffff)|([0-9A-Fa-f]{2})", pattern)
            assert match, self.line
            pattern = pattern[match.end():]
            if match[1]:
                at += int(match[1])
            elif match[2]:
                size, read = TASMOTA_NUMBERS[match[2]]
                number, at = read(data[at:at + size]) / self.scale, at + size
            elif data[at] != int(match[3], 16):
                return None
            else:
                at += 1
        return number


class Tasmota:
    """The result of Tasmota's smart meter interface for a script with one Modbus TCP meter, written from its
    documentation and the source of its driver."""

    def __init__(self, script):
        lines = [line for line in script.splitlines() if line and line[0] != ";"]
        assert lines[:4] == [">D", ">B", "=>sensor53 r", ">M 1"] and lines[-1] == "#", lines
        assert script.startswith(">D") and "%" not in script.replace("%%", ""), "a % begins the name of a variable"
        self.lines = [line.replace("%%", "%") for line in lines[4:-1]]
        self.meter = self.lines[0].split(",")
        self.blocks = [bytes.fromhex(block.removeprefix("r")) for block in self.meter[8:]]
        self.size, = [int(line[7:]) for line in self.lines if line.startswith("1,=so3,")]
        self.html = [line[4:] for line in self.lines if line.startswith("1,=h")]
        self.decoders = [Decoder(line) for line in self.lines[1:] if line[2] != "="]
        self.buffer, self.replies = bytearray(self.size), {}
        self.shown = {decoder.name: 0 for decoder in self.decoders}

    def receive(self, index, data):
        """Byte by byte; the buffer restarts when it is full, before the length of the frame is checked."""
        fill = 0
        for byte in data:
            self.buffer[fill] = byte
            fill = (fill + 1) % self.size
            if fill >= 6 and fill == 6 + self.buffer[5]:
                self.buffer[:-6] = self.buffer[6:]
                fill = 0
                for decoder in self.decoders:
                    number = decoder.number(self.buffer) if decoder.index == index else None
                    if number is not None:
                        self.shown[decoder.name] = number

    def poll(self, port):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            replies = connection.makefile("rb")
            for index, block in enumerate(self.blocks):
                connection.sendall(struct.pack(">HHH", 4711 + index, 0, 6) + block)
                head = replies.read(6)
                self.replies[index] = replies.read(int.from_bytes(head[4:], "big"))
                self.receive(index, head + self.replies[index])
        return self.shown


def with_arrays(script):
    return re.sub("^;(?=1,)", "", script, flags=re.M)


def check_tasmota_limits(script):
    """The driver's buffers, each with a byte for the end of a text, and its default for scripts in a file."""
    device = Tasmota(script)
    number, address, kind, flag, port, prefix, pin, period = device.meter[:8]
    assert (number, address, kind, flag, port, pin) == ("+1", "[192.0.2.1]", "m", "0", "502", "1"), device.meter
    assert 0 < len(prefix) <= 7 and 1 <= int(period) <= 255, device.meter
    assert device.blocks and all(re.fullmatch("r0103[0-9A-F]{8}", block) for block in device.meter[8:])
    assert all(len(line.encode()) <= 255 for line in script.splitlines())
    assert all(len(text) <= 30 for text in device.html)
    assert len(script.encode()) < 8192 and sum(len(line.encode()) + 1 for line in device.lines[1:]) < 3000
    for decoder in device.decoders:
        assert 0 < len(decoder.label.encode()) <= 23 and 0 < len(decoder.name) <= 23, decoder.line
        assert len(decoder.unit.encode()) <= 7 and decoder.decimals < 16, decoder.line
    for texts in ([decoder.label for decoder in device.decoders], [decoder.name for decoder in device.decoders]):
        assert len(texts) == len(set(texts)), texts
    longest = max(int.from_bytes(block[4:], "big") for block in device.blocks)
    assert longest <= 125 and device.size > 6 + 3 + 2 * longest, device.size


def check_decoder(known, device, decoder):
    start, count = struct.unpack(">HH", device.blocks[decoder.index][2:])
    match = re.fullmatch(r"([0-9A-F]{6})(?:x(\d{1,3}))?([US]\D+|FFffFFff|ffffffff)", decoder.pattern)
    assert match and bytes.fromhex(match[1]) == bytes((1, 3, 2 * count)), decoder.line
    skipped = int(match[2] or 0)
    row = known.rows[start + skipped // 2]
    assert skipped % 2 == 0 and skipped < 256 and row["address"] + row["count"] <= start + count, decoder.line
    assert (row["name"], row["unit"], row["block"]) == (decoder.name, decoder.unit, "extended"), decoder.line
    assert match[3] == TASMOTA_TYPES[row["type"], row["word_order"]] and decoder.scale == 1, decoder.line
    assert decoder.decimals == (2 if row["type"] == "float32" else 0), decoder.line


def tasmota_follows_the_map():
    for known in both_maps():
        script = known.printed("tasmota")
        for text in (script, with_arrays(script)):
            check_tasmota_limits(text)
        device = Tasmota(with_arrays(script))
        for decoder in device.decoders:
            check_decoder(known, device, decoder)
        state = [decoder.name for decoder in device.decoders if decoder.index == 0]
        assert len(device.blocks) > 1 and state == ["connection_state", "age_s", "polls"] == list(device.shown)[:3], state
        arrays = set(device.shown) - set(Tasmota(script).shown)
        assert arrays == {f"cell_mv.{n}" for n in range(1, 17)} | {f"temp_c.{n}" for n in range(1, 5)}, arrays


def tasmota_fits_without_a_file_system():
    for known in both_maps():
        script = known.printed("tasmota")
        small = re.sub("^;.*\n", "", script, flags=re.M)
        assert len(small.encode()) <= 1535 and Tasmota(small).lines == Tasmota(script).lines, len(small)


TASMOTA_PACK = {"voltage_v": 26.4, "current_a": -12.3, "soc_percent": 61.7, "remaining_ah": 123.456, "charge_mos": 0,
                "discharge_mos": 1, "temp_c.1": -7, "temp_c.2": 23,
                **{f"cell_mv.{n}": 3290 + 3 * n for n in range(1, 9)}}


def tasmota_bench(stale_after, more="alarm.soc_low=protection"):
    """An emulated pack and the configuration of a gateway for it."""
    values = ",".join(f"{name}={value}" for name, value in TASMOTA_PACK.items())
    pack, url = simulate("daly", f"profile=fixed,cells=8,temps=2,{values},{more}")
    return pack, PACK.replace("sim:", url) + f"poll = 100ms\nstale_after = {stale_after}\n"


def tasmota_with(gateway):
    return Tasmota(with_arrays(Map("-c", gateway.path).printed("tasmota")))


def check_shown(shown):
    cells = [TASMOTA_PACK[f"cell_mv.{n}"] for n in range(1, 9)]
    wanted = {**TASMOTA_PACK, "power_w": 26.4 * -12.3, "cell_max_mv": max(cells), "cell_min_mv": min(cells),
              "cell_delta_mv": max(cells) - min(cells), "temp_max_c": 23, "temp_min_c": -7, "connection_state": 1,
              "alarm_level": 2, "charged_wh": 0, **{f"cell_mv.{n}": UNKNOWN["u16"] for n in range(9, 17)}}
    for name, value in wanted.items():
        assert abs(shown[name] - value) <= 1e-5 * abs(value), (name, shown[name], value)
    assert math.isnan(shown["temp_c.3"]) and math.isnan(shown["temp_c.4"])
    # A growing value: from 65536 on, wrong word order would show as a small number.
    moving = set(shown) - set(wanted) - {"temp_c.3", "temp_c.4"}
    assert moving == {"age_s", "polls", "discharged_wh"} and shown["polls"] >= 1, moving
    assert all(0 <= shown[name] < 65536 for name in moving), shown


def tasmota_reads_a_pack():
    pack, text = tasmota_bench("1h")
    with pack:
        for general in ("", "float_order = big", "base = 1000", "base = 1000\nfloat_order = big"):
            with Gateway(text, general) as gateway:
                gateway.wait_published("bench")
                device = tasmota_with(gateway)
                check_shown(device.poll(gateway.port))
                for index, reply in device.replies.items():  # a late reply matches no line of another block
                    others = [decoder for decoder in device.decoders if decoder.index != index]
                    assert others and all(decoder.number(reply) is None for decoder in others), index


def tasmota_sees_that_a_pack_is_silent():
    pack, text = tasmota_bench("4s")
    with pack, Gateway(text) as gateway:
        gateway.wait_published("bench")
        device = tasmota_with(gateway)
        before = dict(device.poll(gateway.port))
        pack.stop()
        shown = device.poll(gateway.port)
        deadline = time.monotonic() + PATIENCE
        while [reply[1] for reply in device.replies.values()] != [3] + [0x83] * (len(device.blocks) - 1):
            assert time.monotonic() < deadline, device.replies
            time.sleep(0.1)
            shown = device.poll(gateway.port)
        assert before["connection_state"] == 1 and shown["connection_state"] in (2, 3), shown
        assert shown["age_s"] >= 1 and shown["polls"] >= before["polls"], shown
        for name in set(shown) - {"connection_state", "age_s", "polls"}:
            assert shown[name] == before[name] or math.isnan(shown[name]), name


# ---- the color display of the ScanLabs data extractor, which is a Tasmota ----

# The JSON names by which its pages find registers, from the display's own script: the byte offset in the reply, and
# how many decimals fit the page.
DISPLAY = {
    "SOC": ("UUuu", 0, 0), "Dv": ("UUuu", 8, 0), "Av": ("UUuu", 10, 0), "T": ("float", 16, 1), "Vt": ("float", 20, 2),
    "Am": ("float", 24, 2), "W": ("float", 28, 0), "DH": ("UUuu", 34, 0), "CH": ("UUuu", 36, 0), "Bt": ("UUuu", 80, 0),
    "SM": ("UUuu", 82, 0), "Mh": ("UUuu", 84, 0), "Mm": ("UUuu", 86, 0), "Ca": ("UUuu", 88, 0), "FA": ("UUuu", 90, 0),
    "cn": ("UUuu", 102, 0), "Tz": ("SSss", 104, 0), "Pd": ("UUuu", 106, 0), "Al1": ("UUuuUUuu", 108, 0),
    "Al2": ("UUuuUUuu", 112, 0), **{f"v{n}mv": ("UUuu", 38 + 2 * n, 0) for n in range(1, 17)}}


def display_finds_its_names():
    for known, words in zip(both_maps(), ("FFffFFff", "ffffffff")):
        script = known.printed("tasmota-display")
        device = Tasmota(with_arrays(script))
        check_tasmota_limits(script)
        assert device.meter[5] == "SMA" and device.blocks == [struct.pack(">BBHH", 1, 3, min(known.rows), 58)]
        assert set(device.shown) == set(DISPLAY), set(device.shown) ^ set(DISPLAY)
        for decoder in device.decoders:
            kind, at, decimals = DISPLAY[decoder.name]
            pattern = "010374" + (f"x{at}" if at else "") + (words if kind == "float" else kind)
            assert (decoder.pattern, decoder.decimals, decoder.scale) == (pattern, decimals, 1), decoder.line
        assert set(device.shown) - set(Tasmota(script).shown) == {f"v{n}mv" for n in range(1, 17)}


def display_shows_a_silent_pack():
    pack, text = tasmota_bench("1s", "soc_percent=62")
    with pack, Gateway(text, "on_stale = hold\ndisplay = 2, 0x12345678") as gateway:
        gateway.wait_published("bench")
        device = Tasmota(Map("-c", gateway.path).printed("tasmota-display"))
        wanted = {"SOC": 62, "Vt": 26.4, "Am": -12.3, "W": 26.4 * -12.3, "T": (-7 + 23) / 2, "DH": 1, "CH": 0, "Bt": 8,
                  "Ca": 123, "Pd": 2, "Al1": 0x12345678}
        for failure in 0, 1:
            shown = until(lambda: device.poll(gateway.port), lambda shown: shown["FA"] == failure)
            for name, value in wanted.items():
                assert abs(shown[name] - value) <= 1e-5 * abs(value), (name, shown[name], value)
            if not failure:
                pack.stop()
                gateway.wait_for("bench: values are too old")


# ---- mbpoll ----

MBPOLL_TYPES = {"u16": "4", "s16": "4", "u32": "4:int", "float32": "4:float", "string": "4:hex", "bits16": "4:hex",
                "bits32": "4:hex", "bits64": "4:hex"}


def commands_of(known):
    for line in known.printed("mbpoll").splitlines():
        if line.startswith("mbpoll"):
            match = re.fullmatch(r"mbpoll -m tcp -1 -0 -a 1 (-B )?-t (\S+) -r (\d+) -c (\d+) 192\.0\.2\.1  # (.*)", line)
            assert match, line
            yield bool(match[1]), match[2], int(match[3]), int(match[4]), match[5]


def mbpoll_follows_the_map():
    for known in both_maps():
        seen = []
        for high, kind, address, count, comment in commands_of(known):
            if kind == "1":
                assert address == 0 and max(known.inputs) < count, (address, count)
                continue
            row = known.rows[address]
            assert MBPOLL_TYPES[row["type"]] == kind and comment.startswith(stem(row["name"]) + ":"), (row, kind, comment)
            step = 1 if kind == "4:hex" else row["count"]
            assert high == (step > 1 and row["word_order"] == "high first"), row
            assert count * step <= 125
            covered = [a for a in range(address, address + count * step) if a in known.rows]
            assert {stem(known.rows[a]["name"]) for a in covered} == {stem(row["name"])}, covered
            seen += covered
        assert sorted(seen) == sorted(known.rows), set(seen) ^ set(known.rows)


def mbpoll_commands_read_the_self_check():
    wanted = {"check_u16": "12345", "check_u32": "305419896", "check_float32": "123456"}
    for order in ("little", "big"):
        with Gateway(PACK, f"float_order = {order}") as gateway:
            for high, kind, address, count, comment in commands_of(Map("-c", gateway.path)):
                name = comment.split(":")[0]
                if name in wanted:
                    got = mbpoll(gateway.port, *["-B"] * high, "-a", 1, "-t", kind, "-r", address, "-c", count)
                    assert got == {address: wanted[name]}, (comment, got)


for tool in ("mbpoll", "node"):
    assert shutil.which(tool), f"{tool} is missing"
assert os.path.exists("conf"), "to be run from the top of the repository"
main([files_are_what_the_program_prints, templates_print_the_formats, a_template_is_a_file_of_the_user, files_have_all_packs_of_a_configuration,
      the_running_gateway_knows_how_many_cells, help_names_all_formats, map_tells_what_can_be_written, home_assistant_follows_the_map,
      smaller_sizes_are_parts_of_the_whole, telegraf_follows_the_map, telegraf_drops_what_is_unknown,
      nodered_follows_the_map, evcc_follows_the_map, example_of_pymodbus_reads_values, tasmota_follows_the_map, tasmota_fits_without_a_file_system,
      tasmota_reads_a_pack, tasmota_sees_that_a_pack_is_silent, display_finds_its_names, display_shows_a_silent_pack, mbpoll_follows_the_map,
      mbpoll_commands_read_the_self_check])
