# SPDX-License-Identifier: MIT
"""README: its configurations, its Home Assistant YAML, its table of protocols and its commands are tried, on simulated
packs in place of the ports that it names."""

import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile

import yaml

from harness import Gateway, PACKGATE, PATIENCE, find, main, simulate, simulate_pty

with open("README.md", encoding="utf-8") as file:
    README = file.read()
SERVER = "tcp://192.0.2.49:6126"
ADAPTER = "serial:/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
SHED = "profile=fixed,cells=16,voltage_v=53.58,soc_percent=88"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def run(*command, text=None, folder=None):
    return subprocess.run([str(word) for word in command], input=text and text.encode(), cwd=folder,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)


def lines_of(language):
    """Commands without their comments."""
    return [" ".join(shlex.split(line, comments=True)) for block in blocks(language) for line in block.splitlines()]


# ---- configurations ----

def configurations_are_right():
    assert len(blocks("ini")) == 4
    for text in blocks("ini"):
        result = run(PACKGATE, "check", "-", text=text)
        assert result.returncode == 0 and b"no mistakes" in result.stdout, result.stdout.decode()


def probe_prints_what_is_shown():
    server, url = simulate("topbms", SHED)
    with server:
        result = run(PACKGATE, "probe", url)
        assert result.stdout.decode().replace(url, SERVER) == blocks("ini")[0]


# ---- Home Assistant ----

SIZES = {"uint16": 1, "int16": 1, "uint32": 2, "float32": 2}


def home_assistant_follows_the_map():
    rows = json.loads(run(PACKGATE, "map", "--format", "json").stdout)
    hub, = yaml.safe_load(blocks("yaml")[0])["modbus"]
    assert hub["type"] == "tcp" and hub["port"] == 502
    for sensor in hub["sensors"]:
        row, = [r for r in rows if r["address"] == sensor["address"]]
        size = SIZES[sensor["data_type"]]
        assert size == row["count"] and sensor["data_type"][0] == row["type"][0], sensor
        assert sensor.get("swap") == ("word" if size > 1 else None), sensor
        assert sensor["unit_of_measurement"] == row["unit"], (sensor, row)
        if sensor["data_type"] != "float32":
            assert sensor["nan_value"] == 256 ** (2 * size) - 1, sensor
        if "virtual_count" in sensor:
            first = find(sensor["unique_id"][len("packgate_1_"):] + ".1")
            assert first["address"] == sensor["address"] + size, sensor


def home_assistant_is_a_part_of_the_generated():
    def entities(text):
        hub, = yaml.safe_load(text)["modbus"]
        both = [(kind, entity) for kind in ("sensors", "binary_sensors") for entity in hub.pop(kind)]
        return hub, both

    shown_hub, shown = entities(blocks("yaml")[0])
    hub, known = entities(run(PACKGATE, "map", "--format", "homeassistant").stdout)
    assert shown_hub == hub
    wrong = [entity["name"] for entity in shown if entity not in known]
    assert not wrong, f"not as `packgate map --format homeassistant` prints them: {wrong}"
    names = [entity["unique_id"] for _, entity in shown]
    assert len(names) == len(set(names)) >= 10


# ---- the table of protocols ----

def drivers_in_source():
    """name -> (baud, has switches), as the structs at the end of the drivers' files say."""
    drivers = {}
    for path in glob.glob("bms/*.c"):
        with open(path, encoding="utf-8") as source:
            for body in re.findall(r"^const struct bms_driver \w+ = \{\n(.*?)^\};", source.read(), re.M | re.S):
                name = re.search(r'\.name = "([^"]+)"', body)[1]
                drivers[name] = (re.search(r"\.baud = (\d+)", body)[1], ".control = " in body)
    return drivers


def table_has_all_protocols():
    table = {cells[0].strip("` "): [cell.strip() for cell in cells]
             for cells in (line.strip("|").split("|") for line in README.splitlines() if re.match(r"\| `[a-z0-9-]+` \|", line))
             if len(cells) == 7 and cells[0] != " `protocol` "}
    known = drivers_in_source()
    help_text = run(PACKGATE, "simulate", "--help").stdout.decode()
    listed = re.findall(r"^  ([a-z][a-z0-9-]+) +(?:(\d+)-(\d+))? +([a-z0-9 ]*)$",
                        help_text.split("variants:\n")[1].split("\n\n")[0], re.M)
    assert {name for name, *_ in listed} == set(known) == set(table), (listed, known.keys(), table.keys())
    for name, low, high, variants in listed:
        _, _, _, baud, _, address, switch = table[name]
        assert baud == known[name][0], (name, baud)
        assert (f"{low}…{high}" if low else "one to a line") in address, (name, address)
        assert all(f"`{variant}`" in address for variant in variants.split()), (name, address)
        assert (switch != "no") == known[name][1], (name, switch)


# ---- commands ----

ONLY_LOOKED_AT = ("sudo apt install ./build/cc/packgate_*.deb", "sudo systemctl enable --now packgate",
                  "journalctl -u packgate")


def make_targets_exist():
    targets = [line.split()[1] for line in lines_of("sh") if line.startswith("make ")]
    assert targets == ["run", "test", "deb"], targets
    for target in targets:
        result = run("make", "--dry-run", target)
        assert result.returncode == 0, result.stdout.decode()


def values_of_mbpoll(text):
    return re.findall(r"^\[\d+\]:\s+(\S+)", text, re.M)


def commands_do_what_is_said():
    with tempfile.TemporaryDirectory(prefix="packgate-readme-") as folder:
        tty = os.path.join(folder, "tty")
        server, url = simulate("topbms", SHED)
        with server, simulate_pty("daly", tty, "profile=fixed,voltage_v=26.4"):
            ports = {SERVER: url, ADAPTER: f"serial:{tty}"}
            config = replace(blocks("ini")[1], ports)
            with open(os.path.join(folder, "packgate.ini"), "w") as file:
                file.write(config)
            commands = [replace(line, ports) for line in lines_of("sh")]
            for line in commands:
                if line.startswith("packgate "):
                    try_packgate(line, folder)
            with Gateway(config) as gateway:
                gateway.wait_published("shed", "garage")
                for line, shown in zip(commands, [line for block in blocks("sh") for line in block.splitlines()]):
                    if line.startswith("mbpoll "):
                        try_mbpoll(line, shown, gateway.port)
    unknown = [line for line in commands if not line.startswith(("packgate ", "mbpoll ", "make ")) and line not in ONLY_LOOKED_AT]
    assert not unknown, f"commands that no test knows: {unknown}"


def replace(text, ports):
    for shown, real in ports.items():
        text = text.replace(shown, real)
    return text


def try_packgate(line, folder):
    """A command that takes a configuration gets the one of README."""
    _, command, *rest = line.split()
    if command in ("check", "read"):
        rest = ["-c", "packgate.ini"] + rest
    result = run(PACKGATE, command, *rest, folder=folder)
    assert result.returncode == 0, f"{line}: {result.stdout.decode()}"
    assert result.stdout or "--record" in line, line


def try_mbpoll(line, shown, port):
    words = re.sub(r" -p \d+", "", line).split()
    result = run(words[0], "-p", port, *words[1:])
    values = values_of_mbpoll(result.stdout.decode())
    assert result.returncode == 0 and len(values) == int(words[words.index("-c") + 1]), result.stdout.decode()
    comment = shown.split("# ")[1] if "# " in shown else ""
    if re.fullmatch(r"\d+", comment):
        assert values == [comment], (line, values)
    else:
        assert values[0] == "53.58", (line, values)


# ---- links ----

def links_lead_somewhere():
    missing = [path for path in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README) if not os.path.exists(path)]
    assert not missing, missing
    headings = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", README, re.M)}
    lost = [name for name in re.findall(r"\]\(#([^)]+)\)", README) if name not in headings]
    assert not lost, lost


for tool in ("make", "mbpoll"):
    assert shutil.which(tool), f"{tool} is missing"
main([configurations_are_right, probe_prints_what_is_shown, home_assistant_follows_the_map,
      home_assistant_is_a_part_of_the_generated, table_has_all_protocols, make_targets_exist, commands_do_what_is_said,
      links_lead_somewhere])
