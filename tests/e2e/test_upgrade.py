# SPDX-License-Identifier: MIT
"""From version 0.1.0 and back. tests/upgrade has a configuration of that version, the state file that it wrote with
it, all of its keys (its conf/packgate.ini with nothing commented out), and its register map as name, block,
address, type and scale."""

import os
import re
import subprocess
import tempfile
from contextlib import contextmanager

from harness import Gateway, MAP, PACKGATE, PATIENCE, Program, crc16, main, mbpoll, read_value, simulate

FOLDER = "tests/upgrade"
PACKS = {"shed": 1, "garage": 2, "workshop-a": 3, "workshop-b": 4}


def text_of(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return file.read()


# ---- how 0.1.0 reads a state file ----

LARGEST = 1024 * 1024
TRAILER = 23
RANGES = {"charged_wh": (0, 1e15), "discharged_wh": (0, 1e15), "peak_percent": (-1, 100), "peak_hour": (0, 23),
          "peak_minute": (0, 59), "peak_day": (0, 99991231), "address": (-1, 255), "variant": (0, 100), "baud": (0, 4000000)}


def read_as_0_1_0(text):
    """How that version reads a file: it sets a file aside whose end is not as expected, and skips unknown lines, but
    not lines that are too long for it."""
    data = text.encode()
    assert len(data) < LARGEST
    body, trailer = data[:-TRAILER], data[-TRAILER:]
    assert trailer == b"\n[end]\nchecksum = %04x\n" % crc16(body), trailer
    packs, entry = {}, None
    for line in body.decode("ascii").splitlines():
        assert len(line) <= 198, line
        heading = re.fullmatch(r"\[(\w+)(?: (.*))?\]", line)
        if heading:
            is_pack = heading[1] == "pack" and re.fullmatch(r"[\w.-]{1,32}", heading[2])
            entry = packs.setdefault(heading[2], {}) if is_pack else None
        elif entry is not None and " = " in line:
            key, value = line.split(" = ")
            if key == "protocol":
                entry[key] = value
            elif key in RANGES:
                low, high = RANGES[key]
                assert low <= float(value) <= high, line
                entry[key] = float(value)
    return packs


def kept_by_0_1_0():
    return read_as_0_1_0(text_of("0.1.0.state"))


# ---- the new gateway in its place ----

class Upgraded(Gateway):
    """The new program with the old configuration, filled in but otherwise unchanged except for its own control
    socket: the default path may be used by other gateways of this machine."""

    def __init__(self, folder, shed, garage, state):
        self.folder, self.path = tempfile.mkdtemp(dir=folder), os.path.join(folder, "packgate.ini")
        text = text_of("0.1.0.ini")
        for name, value in {"LISTEN": "127.0.0.1:0", "STATE": state, "SHED": shed, "GARAGE": garage,
                            "PLC": "tcp://127.0.0.1:1"}.items():
            text = text.replace(f"@{name}@", value)
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text.replace("[gateway]\n", f"[gateway]\ncontrol = {self.folder}/control\n"))
        Program.__init__(self, PACKGATE, "run", "-c", self.path)
        self.port = int(self.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])


@contextmanager
def upgraded(state):
    daly, shed = simulate("daly", "profile=fixed,voltage_v=52,current_a=-36", "--variant", "bluetooth")
    jk, garage = simulate("jk02", "profile=fixed,voltage_v=80,current_a=-36,cells=24", "--variant", "24s")
    with daly, jk, tempfile.TemporaryDirectory(prefix="packgate-upgrade-") as folder, \
            Upgraded(folder, shed, garage, state) as gateway:
        yield gateway


def each_key_is_taken():
    checked = subprocess.run([PACKGATE, "check", os.path.join(FOLDER, "0.1.0-keys.ini")], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=PATIENCE)
    said = checked.stderr.decode()
    assert checked.returncode == 0, said
    folded = re.findall(r"\d+: warning: '(\w+)' is a key of older versions: \w+", said)
    assert {"spike_soc", "adr", "idle_timeout", "display_2"} < set(folded) and said.count("\n") == len(folded) + 1, said
    assert re.search(r"\[line shed\] /dev/serial/by-id/\S+: it does not exist\n", said), said


def each_register_is_where_it_was():
    now = {(row["block"], row["name"], row["address"], row["type"], row["scale"]) for row in MAP}
    then = [tuple(line.split("\t")) for line in text_of("0.1.0.map").splitlines()]
    gone = [row for row in then if (row[0], row[1], int(row[2]), row[3], float(row[4])) not in now]
    assert len(then) > 150 and not gone, gone


def counters_and_what_was_found_go_on():
    """Including the Daly that only answers the requests of its Bluetooth dongle, whose variant had another number
    then."""
    before = kept_by_0_1_0()
    assert before["shed"]["variant"] == 1 and before["shed"]["discharged_wh"] > 10
    with tempfile.TemporaryDirectory(prefix="packgate-upgrade-") as folder:
        state = os.path.join(folder, "state")
        with open(state, "w", encoding="ascii") as file:
            file.write(text_of("0.1.0.state"))
        served = {}
        with upgraded(state) as gateway, gateway.client() as client:
            gateway.wait_published(*PACKS)
            for pack, unit in PACKS.items():
                for value in ("charged_wh", "discharged_wh"):
                    served[pack, value] = read_value(client, value, unit)
                    assert served[pack, value] >= int(before[pack][value]), (pack, value, served, before[pack])
            assert mbpoll(gateway.port, "-a", "100", "-r", "290", "-c", "1", "-t", "4").keys() == {290}
        said = "\n".join(gateway.lines)
        assert "found protocol" not in said and "state file" not in said, said
        with open(state, encoding="ascii") as file:
            after = read_as_0_1_0(file.read())
        # The old program continues with the file of the new one.
        assert set(before) <= set(after)
        for pack in PACKS:
            assert after[pack].get("protocol") == before[pack].get("protocol")
            assert [after[pack][key] for key in ("address", "variant", "baud")] == \
                   [before[pack][key] for key in ("address", "variant", "baud")], (pack, after[pack])
            for value in ("charged_wh", "discharged_wh"):
                assert after[pack][value] >= before[pack][value], (pack, value)
        assert not [name for name in os.listdir(folder) if ".bad" in name], os.listdir(folder)


def returns_as_the_same_gateway():
    """0.1.0 does not know the id by which Home Assistant knows a gateway, and writes its file without it; the id is
    back after the next upgrade."""
    with tempfile.TemporaryDirectory(prefix="packgate-upgrade-") as folder:
        state, ids = os.path.join(folder, "state"), []
        for _ in range(2):
            with open(state, "w", encoding="ascii") as file:
                file.write(text_of("0.1.0.state"))
            with upgraded(state) as gateway:
                gateway.wait_published(*PACKS)
            with open(state, encoding="ascii") as file:
                ids.append(re.search(r"^id = (\w{8})$", file.read(), re.M)[1])
        assert ids[0] == ids[1], ids


main([each_key_is_taken, each_register_is_where_it_was, counters_and_what_was_found_go_on, returns_as_the_same_gateway])
