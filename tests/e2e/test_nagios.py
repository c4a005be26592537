# SPDX-License-Identifier: MIT
"""`packgate nagios` as Nagios runs it: exit statuses, the line, the performance data; remotely by Modbus, and
locally."""

import json
import os
import re
import socket
import subprocess
import tempfile
import threading

from control_harness import Link
from harness import Gateway, PACKGATE, PATIENCE, await_value, main, until

LINE = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = 100ms\nstale_after = 5s\n"
FIXED = "sim:profile=fixed,soc_percent=55"
DATUM = re.compile(r"'([^'=]+)'=(-?[0-9.]+)(s|%|c|[KMGT]?B)?((?:;[-0-9.:~@]*){0,4})$")


def check(*arguments):
    """(exit status, lines without their data, {label: (value, unit, rest)})"""
    done = subprocess.run([PACKGATE, "nagios", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    lines = done.stdout.decode().splitlines()
    assert lines, done.stderr
    head, _, data = lines[0].partition(" |")
    found = {}
    for word in data.split():
        match = DATUM.match(word)
        assert match, word
        found[match[1]] = (float(match[2]), match[3] or "", match[4])
    assert not any("|" in line for line in lines[1:]), lines
    return done.returncode, [head, *lines[1:]], found


def ways(gateway):
    """The two ways to ask: remotely, and locally."""
    return [("-H", f"127.0.0.1:{gateway.port}"), ("--control", f"{gateway.folder}/control")]


def await_whole(gateway, *units):
    """Vital values are published before the others of a pack."""
    with gateway.client() as client:
        for unit in units:
            for name in "cell_mv.8", "alarms_known", "temp_c.1":
                await_value(client, name, unit, lambda value: value and value == value)


def says_what_there_is():
    with Gateway(LINE.format("shed", FIXED, 1)) as gateway:
        gateway.wait_published("shed")
        await_whole(gateway, 1)
        for way in ways(gateway):
            status, lines, data = check(*way)
            assert status == 0, lines
            assert re.fullmatch(r"SHED OK - 5\d\.\d\d V, 0\.0 A, SOC 55\.0 %, cells \d{4}…\d{4} mV", lines[0]), lines
            assert data["shed_soc_percent"] == (55, "%", ";;;0;100"), data
            assert data["shed_voltage_v"][1] == "" and data["shed_age_s"][1] == "s" and data["shed_age_s"][0] <= 5, data
            status, lines, data = check(*way, "-w", "soc_percent=30:", "-c", "soc_percent=15:", "-w", "cell_delta_mv=50", "-w", "polls=1:")
            assert status == 0 and data["shed_soc_percent"] == (55, "%", ";30:;15:;0;100"), (lines, data)
            assert data["shed_cell_delta_mv"][2] == ";50" and data["shed_polls"][1] == "c", data


def follows_the_rules():
    with Gateway(LINE.format("shed", FIXED, 1)) as gateway:
        gateway.wait_published("shed")
        await_whole(gateway, 1)
        cases = [("-w", "soc_percent=60:", 1), ("-c", "soc_percent=60:", 2), ("-w", "soc_percent=10", 1), ("-w", "soc_percent=55", 0),
                 ("-w", "soc_percent=~:54", 1), ("-c", "soc_percent=@50:60", 2), ("-c", "soc_percent=50:60", 0),
                 ("-w", "cell_mv.3=3000:3600", 0), ("-c", "temp_c.1=~:5", 2), ("-w", "current_a=-1:1", 0), ("-w", "cell_mv.40=1:", 3),
                 ("-c", "alarm.soc_low=0", 0), ("-w", "timeouts=~:1000000", 0), ("-w", "charge_mos=1:1", 0)]
        for way in ways(gateway):
            for option, rule, wanted in cases:
                status, lines, _ = check(*way, option, rule)
                assert status == wanted, (way, option, rule, lines)
            # The worse one counts.
            status, lines, _ = check(*way, "-w", "soc_percent=60:", "-c", "soc_percent=58:", "-w", "voltage_v=~:1")
            assert status == 2 and "soc_percent 55 (critical 58:)" in lines[0] and "voltage_v" in lines[0], lines


def tells_alarms_and_silence():
    packs = (LINE.format("good", FIXED, 1) + LINE.format("warns", "sim:profile=fixed,alarm.soc_low=warning", 2) +
             LINE.format("trips", "sim:profile=fixed,alarm.cell_over_voltage=protection", 3) + LINE.format("away", "tcp://127.0.0.1:1", 4))
    with Gateway(packs) as gateway:
        gateway.wait_published("good", "warns", "trips")
        await_whole(gateway, 1, 2, 3)
        with Link(gateway) as link:
            until(lambda: link.ask("status")["packs"][3]["state"], lambda state: state == "no_line")
        for way in ways(gateway):
            status, lines, data = check(*way)
            assert status == 2 and len(lines) == 4, lines
            assert [line.split()[:2] for line in lines[2:]] == [["WARNS", "WARNING"], ["GOOD", "OK"]], lines
            assert sorted(line.split()[0] for line in lines[:2]) == ["AWAY", "TRIPS"] and "CRITICAL" in lines[1], lines
            assert any("protection cell_over_voltage" in line for line in lines) and any("warning soc_low" in line for line in lines)
            assert "AWAY CRITICAL - no line, and no values yet" in lines, lines
            assert "good_soc_percent" in data and "away_soc_percent" not in data, data
            assert check(*way, "-p", "good")[0] == 0 and check(*way, "-p", "warns")[0] == 1
            status, lines, _ = check(*way, "-p", "good", "-p", "warns")
            assert status == 1 and len(lines) == 2, lines
            # A value that was not read does not count, whatever the rule.
            assert check(*way, "-p", "away", "-c", "soc_percent=0:100")[0] == 2
        assert check(*ways(gateway)[0], "-p", 1)[1][0].startswith("GOOD OK")


def has_the_banks():
    """All packs and banks, or the bank alone by its name, remotely and locally."""
    bank = "[bank both]\npacks = left, right\nunit = 100\n"
    with Gateway(LINE.format("left", FIXED, 1) + LINE.format("right", FIXED, 2) + bank) as gateway:
        gateway.wait_published("left", "right")
        await_whole(gateway, 1, 2)
        with gateway.client() as client:
            await_value(client, "soc_percent", 100, lambda value: value == 55)
        for way in ways(gateway):
            status, lines, data = check(*way)
            assert status == 0 and sorted(line.split()[0] for line in lines) == ["BOTH", "LEFT", "RIGHT"], lines
            assert data["both_soc_percent"][0] == 55, data
            assert check(*way, "-w", "soc_percent=60:", "-p", "both")[0] == 1
            assert len(check(*way, "-p", "left")[1]) == 1


def old_values_are_critical():
    with Gateway(LINE.format("shed", "sim:profile=fixed", 1)) as gateway:
        gateway.wait_published("shed")
        with open(gateway.path) as file:
            text = file.read()
        with open(gateway.path, "w") as file:
            file.write(text.replace("sim:profile=fixed", "tcp://127.0.0.1:1"))
        gateway.process.send_signal(1)
        gateway.wait_for("the new configuration is in force")
        for way in ways(gateway):
            _, lines, data = until(lambda: check(*way), lambda said: said[0] == 2)
            assert lines[0].startswith("SHED CRITICAL - "), lines
            assert "shed_soc_percent" not in data, data


def finds_another_map():
    with Gateway(LINE.format("shed", FIXED, 1), "base = 1000\nfloat_order = big") as gateway:
        gateway.wait_published("shed")
        status, lines, data = check("-H", f"127.0.0.1:{gateway.port}", "-b", 1000)
        assert status == 0 and data["shed_soc_percent"][0] == 55, lines
        status, lines, _ = check("-H", f"127.0.0.1:{gateway.port}")
        assert status == 3 and "no unit answers like packgate" in lines[0], lines


def does_not_know():
    """Always one line, and exit status 3."""
    listener = socket.create_server(("127.0.0.1", 0))
    mute = listener.getsockname()[1]
    with Gateway(LINE.format("shed", FIXED, 1)) as gateway:
        gateway.wait_published("shed")
        here = f"127.0.0.1:{gateway.port}"
        for arguments, said in [(("-H", "127.0.0.1:1"), "refused"), (("-H", "nowhere.invalid"), "[Nn]ame.*(known|resolution)"), (("-H", f"127.0.0.1:{mute}", "-t", "1"), "timed out|in time"),
                                (("-H", here, "-p", "nobody"), "has no pack 'nobody'"), (("-H", here, "-p", "9"), "has no pack '9'"),
                                (("-H", here, "-w", "soc=30:"), "there is no value 'soc'"), (("-H", here, "-w", "soc_percent=20:10"), "is not a rule"),
                                (("-H", here, "-w", "soc_percent"), "is not a rule"), (("-H", "a b"), "is not HOST"), (("-t", "x"), "-t x"),
                                (("--control", "/nowhere/control"), "nowhere"),
                                (("--config", "/nowhere/packgate.ini"), "cannot be opened"), (("--nonsense",), "wrong options"), (("more",), "unexpected argument"),
                                (("--control", f"{gateway.folder}/control", "-p", "nobody"), "nobody")]:
            status, lines, data = check(*arguments)
            assert status == 3 and len(lines) == 1 and lines[0].startswith("PACKGATE UNKNOWN - "), (arguments, lines)
            assert re.search(said, lines[0]), (arguments, lines)
    listener.close()


def a_late_answer_is_none():
    """The answer to the request for the values of a bank comes after the time-out. It is not taken for the status, which has the
    alarms."""
    bank = "[bank both]\npacks = left\nunit = 100\n"
    with Gateway(LINE.format("left", "sim:profile=fixed,alarm.cell_over_voltage=protection", 1) + bank) as gateway:
        gateway.wait_published("left")
        await_whole(gateway, 1)
        path = f"{gateway.folder}/slow"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def relay():
            """All but that answer at once, and that one with the next, if there is one."""
            with listener.accept()[0] as client, client.makefile("rb") as requests, Link(gateway) as link:
                held = []
                for line in requests:
                    held.append(json.dumps(link.ask(**{"what" if key == "ask" else key: value for key, value in json.loads(line).items()})))
                    if b"both" not in line:
                        client.sendall("".join(text + "\n" for text in held).encode())
                        held = []

        thread = threading.Thread(target=relay)
        thread.start()
        status, lines, _ = check("--control", path, "-t", 60)
        thread.join()
        listener.close()
        assert (status, lines) == (3, ["PACKGATE UNKNOWN - the gateway does not answer"]), (status, lines)


def check_scripted(answers):
    """The lines, and what was asked."""
    asked = []
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(folder, "control")
        listener.bind(path)
        listener.listen()

        def serve():
            with listener.accept()[0] as client, client.makefile("rb") as lines:
                for answer in answers:
                    asked.append(lines.readline())
                    client.sendall(json.dumps({"packs": answer}).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        status, lines, _ = check("--control", path)
        thread.join()
    return status, lines, asked


def a_pack_that_turns_stale_meanwhile_is_critical():
    """Its values were fresh, its alarms are not there any more."""
    fresh = {"pack": "shed", "kind": "pack", "state": "fresh", "voltage_v": 26.4}
    status, lines, _ = check_scripted(([fresh], [fresh], [], [{"pack": "shed", "state": "stale", "age_s": 9}]))
    assert (status, lines) == (2, ["SHED CRITICAL - stale, values are 9 s old"]), (status, lines)


def asks_briefly_for_many_packs():
    """A request has at most 4096 bytes."""
    packs = [{"pack": f"a-rather-long-name-of-pack-{n}", "kind": "pack", "state": "fresh", "voltage_v": 26.4} for n in range(240)]
    bank = {"pack": "all", "kind": "bank", "state": "fresh", "voltage_v": 26.4}
    status, lines, asked = check_scripted((packs, [*packs, bank], [bank], [*packs, bank]))
    assert status == 0 and len(lines) == 241 and max(map(len, asked)) < 100 and b'"all"' in asked[2], (status, len(lines), asked)


main([a_late_answer_is_none, a_pack_that_turns_stale_meanwhile_is_critical, asks_briefly_for_many_packs, says_what_there_is, follows_the_rules, tells_alarms_and_silence, has_the_banks, old_values_are_critical, finds_another_map,
      does_not_know], at_once=4)
