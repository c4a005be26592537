# SPDX-License-Identifier: MIT
"""Client files (conf/): each is what the program prints, can be parsed, and agrees in every address, type and order of words
with the map as JSON, for the default map and for one elsewhere with the high word first."""

import json
import math
import os
import re
import shutil
import struct
import subprocess
import tempfile
import tomllib

import yaml

from harness import PACKGATE, PATIENCE, Gateway, main, mbpoll

FILES = {"homeassistant": "yaml", "homeassistant-basic": "yaml", "homeassistant-cells": "yaml", "telegraf": "conf",
         "nodered": "json", "evcc": "yaml", "mbpoll": "txt"}
PACK = "[line bench]\nport = sim:\nprotocol = daly\n[pack bench]\nline = bench\nunit = 1\n"
UNKNOWN = {"u16": 0xFFFF, "s16": -0x8000, "u32": 0xFFFFFFFF}
BANK_ONLY = {"packs_present", "packs_missing", "packs_needed", "cell_max_pack", "cell_min_pack", "temp_max_pack",
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
        """Names of the numbers of a pack that any client may ask for: extended block, no bits, no self-check."""
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


# ---- the files ----

def files_are_what_the_program_prints():
    for form, ending in FILES.items():
        with open(f"conf/{form}.{ending}", encoding="utf-8") as file:
            assert file.read() == Map().printed(form), f"conf/{form}.{ending} is out of date: make docs"


def help_names_all_formats():
    text = run(PACKGATE, "map", "--help")
    with open("man/packgate.1", encoding="utf-8") as file:
        page = file.read().replace("\\-", "-")
    for form in FILES:
        assert re.search(rf"(?<![\w-]){form}(?![\w-])", text), form
        assert re.search(rf"(?<![\w-]){form}(?![\w-])", page), form


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
    hub, = yaml.safe_load(known.printed(form))["modbus"]
    identities = [entity["unique_id"] for entity in hub["sensors"] + hub["binary_sensors"]]
    titles = [entity["name"] for entity in hub["sensors"]]
    assert len(identities) == len(set(identities)) and len(titles) == len(set(titles))
    for entity in hub["binary_sensors"]:
        title = known.inputs[entity["address"]].replace("_", " ").replace(".", " ")
        assert entity["input_type"] == "discrete_input" and entity["name"] == f"Battery {title}", entity
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
    """All but the switches, which registers tell better."""
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
        numbers = {name for name in known.polled() if known.rows[known.address_of(name)]["type"] != "string"}
        assert seen == numbers | asked_inputs(known), seen ^ (numbers | asked_inputs(known))


def drop_unknown(source, fields):
    """The Starlark of the processor is Python as well."""
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
    """A value as it stands in registers, by the types of the map."""
    kind = row["type"]
    if kind == "string":
        data = (value or "").encode("ascii").ljust(2 * row["count"])
    elif kind == "float32":
        data = struct.pack(">f", math.nan if value is None else value)
    else:
        data = (UNKNOWN[kind] if value is None else value).to_bytes(2 * row["count"], "big", signed=kind[0] == "s")
    words = [word for word, in struct.iter_unpack(">H", data)]
    return words[::-1] if row["word_order"] == "low first" else words


def decoded_by(function, payload):
    script = "const [code, payload] = JSON.parse(require('fs').readFileSync(0));" \
             "console.log(JSON.stringify(new Function('msg', code)({payload}).payload))"
    return json.loads(run("node", "-e", script, text=json.dumps([function["func"], payload])))


def check_reading(known, node, function, seen):
    address, quantity = int(node["adr"]), int(node["quantity"])
    assert 0 < quantity <= 125 and node["unitid"] == "1"
    if node["dataType"] == "Input":
        for bit in (False, True):
            got = decoded_by(function, [bit] * quantity)
            assert got == {name: bit for name in asked_inputs(known)}, got
        for number, name in known.inputs.items():
            got = decoded_by(function, [n == number for n in range(quantity)])
            assert [key for key, value in got.items() if value] == [name] * (name in asked_inputs(known)), (name, got)
        return
    assert node["dataType"] == "HoldingRegister"
    rows = {row["name"]: row for row in known.rows.values()
            if address <= row["address"] < address + quantity and row["name"] in known.polled()}
    values = {"u16": 3300, "s16": -12345, "u32": 0x12345678, "float32": 123456.5, "string": "some text"}
    for wanted in ({name: values[row["type"]] for name, row in rows.items()}, dict.fromkeys(rows)):
        payload = [0] * quantity
        for name, value in wanted.items():
            at = rows[name]["address"] - address
            payload[at:at + rows[name]["count"]] = registers_of(rows[name], value)
        assert len(payload) == quantity, (node, len(payload))
        got = decoded_by(function, payload)
        assert got == wanted, (got, wanted)
    seen.update(rows)


def nodered_follows_the_map():
    for known in both_maps():
        nodes = {node["id"]: node for node in json.loads(known.printed("nodered"))}
        seen = set()
        for node in nodes.values():
            assert all(target in nodes for output in node.get("wires", []) for target in output), node
            assert node.get("z") in (None, "packgate-flow"), node
            if node["type"] == "modbus-read":
                assert nodes[node["server"]]["type"] == "modbus-client"
                function, = node["wires"][0]
                check_reading(known, node, nodes[function], seen)
        assert seen == known.polled(), seen ^ known.polled()


# ---- evcc ----

def evcc_follows_the_map():
    for known in both_maps():
        meter, = yaml.safe_load(known.printed("evcc"))["meters"]
        assert meter["type"] == "custom"
        for key, name, scale in (("power", "power_w", -1), ("soc", "soc_percent", None)):
            value = meter[key]
            row = known.rows[value["register"]["address"]]
            encoding = {"low first": "float32s", "high first": "float32"}[row["word_order"]]
            assert row["name"] == name and row["block"] == "extended" and row["type"] == "float32"
            assert value["register"]["type"] == "holding" and value["register"]["encoding"] == encoding, value
            assert (value["source"], value["id"], value.get("scale")) == ("modbus", 1, scale), value


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
main([files_are_what_the_program_prints, help_names_all_formats, home_assistant_follows_the_map,
      smaller_sizes_are_parts_of_the_whole, telegraf_follows_the_map, telegraf_drops_what_is_unknown,
      nodered_follows_the_map, evcc_follows_the_map, mbpoll_follows_the_map, mbpoll_commands_read_the_self_check])
