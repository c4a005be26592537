# SPDX-License-Identifier: MIT
# tests/run: 80 s
"""README and docs/: their configurations, Home Assistant YAML, tables of protocols, commands and links are tested
with simulated packs in place of the ports that they name."""

import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile

import yaml

from harness import Gateway, PACKGATE, PATIENCE, find, main, protocols, simulate, simulate_pty

SERVER = "tcp://192.0.2.49:6126"
ADAPTER = "serial:/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
SHED = "profile=fixed,cells=16,voltage_v=53.58,soc_percent=88"

# The gateway with which the commands of all pages are run.
PACKS = f"""
[line shed]
port = {SERVER}
protocol = topbms
[line garage]
port = {ADAPTER}
protocol = daly
[pack shed]
line = shed
unit = 1
[pack garage]
line = garage
unit = 2
"""


def read_page(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


README = "README.md"
TABLE = "docs/packs.md"
CLIENTS = "docs/clients.md"
FLEET = "docs/fleet.md"  # test_fleet runs its commands
PAGES = {path: read_page(path) for path in [README, "CONTRIBUTING.md", "HACKING.md", "register-map.md", "bms/README.md",
                                            *sorted(glob.glob("docs/*.md"))] if os.path.exists(path)}


def blocks(language, page):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.M | re.S)


def run(*command, text=None, folder=None):
    return subprocess.run([str(word) for word in command], input=text and text.encode(), cwd=folder,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)


def command_lines():
    """(command without its comment, the line as shown) of all pages."""
    return [(" ".join(shlex.split(line, comments=True)), line)
            for page in PAGES if page != FLEET for block in blocks("sh", page) for line in block.splitlines() if line.strip()]


# ---- configurations ----

def configurations_are_right():
    """Each is complete: a reader can paste it into an empty file."""
    assert len(blocks("ini", README)) == 4
    for page in PAGES:
        for text in blocks("ini", page):
            result = run(PACKGATE, "check", "-", text=text)
            assert result.returncode == 0 and b"no mistakes" in result.stdout, (page, text, result.stdout.decode())


def probe_prints_what_is_shown():
    server, url = simulate("topbms", SHED)
    with server:
        result = subprocess.run([PACKGATE, "probe", url], stdout=subprocess.PIPE, timeout=PATIENCE)
        assert result.stdout.decode().replace(url, SERVER) == blocks("ini", README)[0]


# ---- Home Assistant ----

SIZES = {"uint16": 1, "int16": 1, "uint32": 2, "float32": 2}


def home_assistant_follows_the_map():
    rows = json.loads(run(PACKGATE, "map", "--format", "json").stdout)
    hub, = yaml.safe_load(blocks("yaml", CLIENTS)[0])["modbus"]
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

    shown_hub, shown = entities(blocks("yaml", CLIENTS)[0])
    hub, known = entities(run(PACKGATE, "map", "--format", "homeassistant").stdout)
    assert shown_hub == hub
    wrong = [entity["name"] for entity in shown if entity not in known]
    assert not wrong, f"not as `packgate map --format homeassistant` prints them: {wrong}"
    names = [entity["unique_id"] for _, entity in shown]
    assert len(names) == len(set(names)) >= 10


# ---- the table of protocols ----

def bauds_in_source():
    """name -> baud or "-", from the structs at the end of the drivers' files."""
    drivers = {}
    for path in glob.glob("bms/**/*.c", recursive=True):
        with open(path, encoding="utf-8") as source:
            for body in re.findall(r"^const struct bms_driver \w+ = \{\n(.*?)^\};", source.read(), re.M | re.S):
                name = re.search(r'\.name = "([^"]+)"', body)[1]
                drivers[name] = "-" if ".advertises = " in body else re.search(r"\.baud = (\d+)", body)[1]
    return drivers


def rows_of(page, columns):
    """The cells of table rows with so many columns."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGES[page].splitlines() if line.startswith("| ")]
    return [row for row in rows if len(row) == columns]


def tables_have_all_protocols():
    table = {row[0].strip("`"): row for row in rows_of(TABLE, 7) if re.fullmatch("`[a-z0-9-]+`", row[0])
             and row[0] != "`protocol`"}
    known = bauds_in_source()
    switched = {driver["name"]: driver["switches"] for driver in protocols()}
    help_text = run(PACKGATE, "simulate", "--help").stdout.decode()
    listed = re.findall(r"^  ([a-z][a-z0-9-]+) +(?:(\d+)-(\d+))? +([a-z0-9 ]*)$",
                        help_text.split("variants:\n")[1].split("\n\n")[0], re.M)
    # A protocol that is described by a file cannot be simulated.
    assert {name for name, *_ in listed} == set(known) - {"modbus"}, (listed, known.keys())
    assert set(known) == set(table), (known.keys(), table.keys())
    for name, low, high, variants in listed:
        _, _, baud, _, address, switch, _ = table[name]
        assert baud == known[name], (name, baud)
        assert (f"{low}…{high}" if low else "one per line") in address, (name, address)
        assert all(f"`{variant}`" in address for variant in variants.split()), (name, address)
        assert (switch != "no") == switched[name], (name, switch)
    makes = PAGES[README].split("## Supported packs")[1].split("\n## ")[0]
    missing = [name for name in known if f"`{name}`" not in makes]
    assert not missing, f"not among README's supported packs: {missing}"


# ---- commands ----

ONLY_LOOKED_AT = ("sudo apt install ./build/packages/packgate*.deb", "sudo systemctl enable --now packgate",
                  "journalctl -u packgate", "sudo systemctl restart packgate",
                  "sudo install -m 600 /dev/null /etc/packgate/mqtt", "systemctl status packgate",
                  "sudo packgate password", "sudo packgate setup", 
                  "sudo systemctl edit packgate",
                  """echo {"ask":"health"} | socat - UNIX-CONNECT:/run/packgate/control""")
NOT_HERE = ("docker ", "podman ", "skopeo ",  # test_container runs the image without them
            "mosquitto_sub ")  # test_mqtt_clients
ASKING = ("status", "health")  # of the running gateway
# test_listen_in and test_tunnel run these.
ON_LINES = ("packgate listen ", "packgate send ", "packgate tunnel", "packgate probe ble:")  # covered by other tests


def make_targets_exist():
    commands = {shown for line, shown in command_lines() if line.startswith("make ")}
    assert {"run", "test", "deb"} <= {command.split()[1] for command in commands}, commands
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    for command in commands:
        result = subprocess.run(["make", "--dry-run", *shlex.split(command, comments=True)[1:]], env=environment,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
        assert result.returncode == 0, (command, result.stdout.decode()[-2000:])


def values_of_mbpoll(text):
    return re.findall(r"^\[\d+\]:\s+(\S+)", text, re.M)


def try_curl(line, port, folder):
    """Commands that run for ever are ended once they have printed something."""
    words = shlex.split(line.replace(":8080", f":{port}"))
    with subprocess.Popen([*words[:1], "-sSf", *words[1:]], cwd=folder, stdout=subprocess.PIPE) as process:
        endless = "-N" in words
        assert process.stdout.readline() if endless or "-o" not in words else True, line
        if endless:
            process.terminate()
        assert process.wait(PATIENCE) == 0 or endless, line


def the_page_answers():
    with tempfile.TemporaryDirectory(prefix="packgate-readme-") as folder:
        web = f"[web]\nlisten = 127.0.0.1:0\n[history]\nfile = {folder}/history.db\n"
        pack = "[line shed]\nport = sim:\nprotocol = daly\n[pack shed]\nline = shed\nunit = 1\n"
        with Gateway(pack + web) as gateway:
            port = gateway.wait_for(r"web: page at http://.*:(\d+)/")[1]
            lines = [line for line, _ in command_lines() if line.startswith("curl ")]
            assert lines
            for line in lines:
                try_curl(line, port, folder)


def commands_do_what_is_said():
    with tempfile.TemporaryDirectory(prefix="packgate-readme-") as folder:
        tty = os.path.join(folder, "tty")
        server, url = simulate("topbms", SHED)
        with server, simulate_pty("daly", tty, "profile=fixed,voltage_v=26.4"):
            ports = {SERVER: url, ADAPTER: f"serial:{tty}"}
            config = replace(PACKS, ports)
            with open(os.path.join(folder, "packgate.ini"), "w") as file:
                file.write(config)
            shutil.copy("conf/clients/evcc.yaml", folder)
            for line, _ in command_lines():
                if line.startswith("packgate ") and line.split()[1] not in ASKING and not line.startswith(ON_LINES):
                    try_packgate(replace(line, ports), folder)
            with Gateway(config) as gateway:
                gateway.wait_published("shed", "garage")
                for line, shown in command_lines():
                    if line.startswith("mbpoll -m rtu "):
                        continue  # test_present tries them on a serial port
                    if line.startswith("mbpoll ") and " -o 10 " not in line:  # test_settings writes
                        try_mbpoll(line, shown, gateway.port)
                    elif line.startswith("packgate ") and line.split()[1] in ASKING and "--watch" not in line:
                        try_packgate(line, gateway.folder)
    unknown = [line for line, _ in command_lines()
               if not line.startswith(("packgate ", "mbpoll ", "make ", "curl ", *NOT_HERE)) and line not in ONLY_LOOKED_AT]
    assert not unknown, f"commands that no test knows: {unknown}"


def replace(text, ports):
    for shown, real in ports.items():
        text = text.replace(shown, real)
    return text


def try_packgate(line, folder):
    """A command that needs a configuration gets the one of README."""
    _, command, *rest = line.split()
    if command in ("check", "read", *ASKING):
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

def anchors_of(path):
    titles = re.findall(r"^#+ (.*)$", read_page(path), re.M)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


def links_lead_somewhere():
    for page, text in PAGES.items():
        for path, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
            target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            assert os.path.exists(target), f"{page} leads to {path}, which is not there"
            assert not anchor or anchor in anchors_of(target), f"{page} leads to {path}#{anchor}, which is not there"


def files_of_the_tour_are_there():
    files = subprocess.run(["git", "ls-files"], stdout=subprocess.PIPE, encoding="utf-8").stdout.split() or \
        [os.path.join(at, name)[2:] for at, _, names in os.walk(".") for name in names]
    for page in ("HACKING.md", "CONTRIBUTING.md", "bms/README.md"):
        for named in re.findall(r"`([a-z_0-9/.]+\.(?:[ch]|py|mk|ini|md|1))`", PAGES[page]):
            assert "test_x." in named or any(f"/{file}".endswith(f"/{named}") for file in files), f"{page} names {named}"


def cited_sheets_are_there():
    """bms/ cites the sheets of protocols by name and section."""
    cited = set()
    for path in glob.glob("bms/**/*.[ch]", recursive=True):
        text = re.sub(r"\n( \*|\s*//)?\s*", " ", read_page(path))
        for names in re.findall(r"sheets? ((?:`[a-z0-9-]+`(?:, sections? [\d., …to-]+)?(?:,? and (?:the sheet )?)?)+)", text):
            cited |= set(re.findall("`([a-z0-9-]+)`", names))
    sheets = {os.path.basename(path)[:-len(".md")] for path in glob.glob("bms/protocols/*.md")}
    assert len(cited) > 10 and cited <= sheets, cited - sheets


def every_page_is_found_from_readme():
    lost = [page for page in PAGES if page not in (README,) and f"({page}" not in PAGES[README]]
    assert not lost, f"README does not lead to {lost}"


for tool in ("make", "mbpoll"):
    assert shutil.which(tool), f"{tool} is missing"
main([configurations_are_right, probe_prints_what_is_shown, home_assistant_follows_the_map,
      home_assistant_is_a_part_of_the_generated, tables_have_all_protocols, make_targets_exist, commands_do_what_is_said, the_page_answers,
      links_lead_somewhere, files_of_the_tour_are_there, cited_sheets_are_there, every_page_is_found_from_readme])
