# SPDX-License-Identifier: MIT
# tests/run: 20 s
"""Outlets: separate processes that get the values. Whatever they do, polling and Modbus continue; they are restarted
when they end, restarted by a reload only if their part of the configuration has changed, have no descriptor of the
gateway, and end with it."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

import harness
from harness import Gateway, PACKGATE, PATIENCE, await_value, main, read_value, simulate, until

PACK = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = 100ms\nwritable = yes\n"
# On a busy machine a late reply is not a lost one: only missing replies count.
PATIENT = PACK.replace("protocol = daly\n", "protocol = daly\nreply_timeout = 60s\n")
PRINT = "[print x]\npacks = {}\n"


def objects(gateway, wanted):
    """The next object that an outlet prints for which `wanted` is true."""
    while True:
        line = gateway.wait_for(r"^\{.*\}$")[0]
        found = json.loads(line)
        if wanted(found):
            return found


def ready(gateway):
    return objects(gateway, lambda found: "ready" in found)["pid"]


def is_gone(pid):
    """Ended, and reaped by its current parent (or about to be)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # before it was opened, or before it was read
        return True


def await_gone(pid):
    until(lambda: is_gone(pid))


def gets_values_and_orders():
    server, url = simulate("daly", "profile=fixed,voltage_v=26.1,cell_count=8")
    with server, Gateway(PACK.format("a", url, 1) + "[bank all]\npacks = a\nunit = 100\n" + PRINT.format("all")) as gateway:
        assert objects(gateway, lambda found: found.get("known") == "a") == {
            "known": "a", "unit": 1, "line": "a", "writable": True, "bank": False}
        ready(gateway)
        # Its question about the gateway as a whole is answered with the JSON of `packgate status`.
        assert objects(gateway, lambda found: "gateway" in found)["packs"] == 2
        first = objects(gateway, lambda found: found.get("pack") == "a" and found["fresh"]
                        and "published" in found["changes"])
        assert abs(first["voltage_v"] - 26.1) < 1e-6, first
        bank = objects(gateway, lambda found: found.get("pack") == "all" and found["fresh"])
        assert abs(bank["voltage_v"] - 26.1) < 1e-6
        with gateway.client() as client:
            assert not client.write_coil(0, False, slave=1).isError()
        seen = [objects(gateway, lambda found: "ordered" in found or found.get("charge_mos") == 0 and found.get("pack") == "a")
                for _ in range(2)]
        changed, report = sorted(seen, key=lambda found: "ordered" in found)
        assert changed["fresh"] and report["ordered"] == "charge off" and "127.0.0.1" in report["from"], seen


def tells_what_grew_old():
    server, url = simulate("daly", "profile=fixed")
    with server, Gateway(PACK.format("a", url, 1) + PRINT.format("all"), "poll = 100ms\nstale_after = 1s") as gateway:
        objects(gateway, lambda found: found.get("fresh") is True)
        server.process.send_signal(signal.SIGSTOP)
        stale = objects(gateway, lambda found: found.get("fresh") is False)
        assert "state" in stale["changes"], stale
        server.process.send_signal(signal.SIGCONT)
        objects(gateway, lambda found: found.get("fresh") is True)


def has_nothing_of_the_gateway():
    server, url = simulate("daly", "profile=fixed")
    with server, Gateway(PACK.format("a", url, 1) + PRINT.format("all")) as gateway, gateway.client():
        pid = ready(gateway)
        gateway.wait_published("a")
        links = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
        assert links["0"] == "/dev/null" and links["3"].startswith("socket:"), links
        sockets = [name for name, link in links.items() if link.startswith("socket:") and name not in "12"]
        assert sockets == ["3"], links
        with open(f"/proc/{pid}/status") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        assert status["NoNewPrivs"] == "1" and int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, status
        assert status["Seccomp"] == "2", status
        # When it wakes up, it does not take processor time from the gateway.
        assert os.sched_getscheduler(pid) == os.SCHED_BATCH != os.sched_getscheduler(gateway.process.pid)


def a_stopped_one_holds_nobody_up():
    server, url = simulate("daly", "profile=fixed,voltage_v=26.1")
    with server, Gateway(PATIENT.format("a", url, 1) + PRINT.format("all")) as gateway, gateway.client() as client:
        pid = ready(gateway)
        gateway.wait_published("a")
        os.kill(pid, signal.SIGSTOP)
        # Far more than its pipe can hold: a poll each 0.1 s, each with a message of 0.9 kB.
        polls = read_value(client, "polls", 1)
        await_value(client, "polls", 1, lambda now: now >= polls + 120)
        assert read_value(client, "reconnects", 1) == read_value(client, "timeouts", 1) == 0
        server.process.send_signal(signal.SIGSTOP)
        os.kill(pid, signal.SIGCONT)
        # It gets the messages that it has missed, in order, and the last one is current.
        last = [0]

        def goes_on(found):
            # Again: the outlet itself detects that its values have turned stale meanwhile.
            if "sequence" in found:
                assert found["sequence"] > last[0] or found["sequence"] == last[0] and found["changes"] == ["state"], found
                last[0] = found["sequence"]
            return found.get("fresh") is False

        objects(gateway, goes_on)
        server.process.send_signal(signal.SIGCONT)


def a_reload_ends_a_stopped_one():
    server, url = simulate("daly", "profile=fixed")
    with server, Gateway(PACK.format("a", url, 1) + PRINT.format("all")) as gateway:
        pid = ready(gateway)
        os.kill(pid, signal.SIGSTOP)
        gateway.rewrite(PACK.format("a", url, 1) + PRINT.format("a"))
        gateway.wait_for("the new configuration is in force")
        assert ready(gateway) != pid and is_gone(pid)


def is_started_again():
    server, url = simulate("daly", "profile=fixed")
    with server, Gateway(PACK.format("a", url, 1) + PRINT.format("all")) as gateway, gateway.client() as client:
        os.kill(ready(gateway), signal.SIGKILL)
        gateway.wait_for(r"outlet print x: ended by signal 9 .*restarting it")
        second = ready(gateway)
        os.kill(second, signal.SIGKILL)
        third = ready(gateway)
        assert third != second
        # Logged once; the second time is not new.
        assert sum("outlet print x: ended" in line for line in gateway.lines) == 1
        assert read_value(client, "map_version", 1) == 3


def hears_a_gateway_without_packs():
    """After ten seconds without a message, an outlet considers the gateway hung."""
    with Gateway(f"[web]\nlisten = 127.0.0.1:{harness.free_port()}\n") as gateway:
        def messages():
            return sum(outlet["messages"] for outlet in gateway.status()["outlets"])

        until(lambda: messages() > 0)
        first = messages()
        until(lambda: messages() >= first + 3)


def a_reload_leaves_the_others_alone():
    server, url = simulate("daly", "profile=fixed")
    text = PACK.format("a", url, 1)
    with server, Gateway(text + PRINT.format("all") + "[print y]\npacks = a\n") as gateway:
        pids = {ready(gateway), ready(gateway)}
        # Another poll interval, client limits, another key of the line: nothing that concerns an outlet.
        gateway.rewrite(text.replace("100ms", "200ms") + PRINT.format("all") + "[print y]\npacks = a\n", "idle_timeout = 5m")
        gateway.wait_for("the new configuration is in force")
        objects(gateway, lambda found: found.get("fresh") is True)
        assert not any(is_gone(pid) for pid in pids)
        # The unit concerns one.
        gateway.rewrite(text.replace("unit = 1", "unit = 9") + PRINT.format("all") + "[print y]\npacks = a\n")
        again = {ready(gateway), ready(gateway)}
        assert not again & pids
        # One section is removed, the other stays.
        gateway.rewrite(text.replace("unit = 1", "unit = 9") + "[print y]\npacks = a\n")
        assert objects(gateway, lambda found: "gone" in found)["gone"] is True
        until(lambda: sum(is_gone(pid) for pid in again) == 1)


def ends_with_the_gateway():
    """However the gateway ends, even if the outlet was stopped."""
    for how, before in ((signal.SIGTERM, None), (signal.SIGKILL, None), (signal.SIGTERM, signal.SIGSTOP),
                        (signal.SIGKILL, signal.SIGSTOP)):
        server, url = simulate("daly", "profile=fixed")
        with server, Gateway(PACK.format("a", url, 1) + PRINT.format("all")) as gateway:
            pid = ready(gateway)
            if before:
                os.kill(pid, before)
            gateway.process.send_signal(how)
            await_gone(pid)


def bad_ones_hold_nobody_up():
    """In place of the real program: one that does not exist, exits at once, uses the processor all the time, or
    floods its pipe."""
    folder = tempfile.mkdtemp(prefix="packgate-outlets-")
    server, url = simulate("daly", "profile=fixed")
    shutil.copy(PACKGATE, folder)
    program = os.path.join(folder, "packgate-outlet-print")
    flood = ("#!/usr/bin/python3\nimport socket\ns = socket.socket(fileno=3)\ns.setblocking(False)\n"
             "while True:\n    try:\n        s.send(b'\\x01\\x00\\x08\\x00' + bytes(60))\n    except BlockingIOError:\n        pass\n"
             "    except OSError:\n        break\n")
    real, harness.PACKGATE = harness.PACKGATE, os.path.join(folder, "packgate")
    try:
        for script, said in ((None, "cannot be started: it is not installed; install the package packgate-outlets"), ("#!/bin/sh\nexit 3\n", "ended with status 3"),
                             ("#!/bin/sh\nwhile :; do :; done\n", None), (flood, None)):
            if script:
                with open(program, "w") as file:
                    file.write(script)
                os.chmod(program, 0o755)
            with Gateway(PATIENT.format("a", url, 1) + PRINT.format("all")) as gateway, gateway.client() as client:
                if said:
                    gateway.wait_for(said)
                polls = read_value(client, "polls", 1)
                await_value(client, "polls", 1, lambda now: now >= polls + 4)  # two of these keep a core busy
                assert read_value(client, "timeouts", 1) == 0
                children = subprocess.run(["pgrep", "-P", str(gateway.process.pid)], stdout=subprocess.PIPE).stdout.split()
            for child in children:
                try:
                    os.kill(int(child), signal.SIGKILL)
                except ProcessLookupError:
                    pass
    finally:
        harness.PACKGATE = real
        server.stop()
        shutil.rmtree(folder)


ASKING = """#!/usr/bin/python3
import os, select, socket, struct, time
pipe = socket.socket(fileno=3)
pipe.setblocking(False)
begin, answered = time.monotonic(), 0
while answered < 100:
    try:
        while True:
            what = os.memfd_create("what")
            os.write(what, b"configuration")
            try:
                socket.send_fds(pipe, [struct.pack("i4xQ", 9, 1)], [what])  # a question, PIPE_QUESTION
            finally:
                os.close(what)
    except BlockingIOError:
        pass
    select.select([pipe], [], [], 1)
    try:
        while True:
            message, files, _, _ = pipe.recvmsg(1 << 20, 64)
            for _, _, numbers in files:
                os.close(struct.unpack("i", numbers)[0])
                answered += 1
    except BlockingIOError:
        pass
print("asked 100 things in %.2f s" % (time.monotonic() - begin), flush=True)
"""


def one_that_asks_and_asks_is_slowed_down():
    """Each answer needs processor time of the gateway, which must remain for others."""
    with tempfile.TemporaryDirectory(prefix="packgate-outlets-") as folder:
        shutil.copy(PACKGATE, folder)
        with open(os.path.join(folder, "packgate-outlet-print"), "w") as file:
            file.write(ASKING)
        os.chmod(file.name, 0o755)
        config = os.path.join(folder, "packgate.ini")
        with open(config, "w") as file:
            file.write("[gateway]\nlisten = 127.0.0.1:0\nstate_file = none\ncontrol = none\n" + PACK.format("a", "sim:", 1) +
                       PRINT.format("all"))
        with harness.Program(os.path.join(folder, "packgate"), "run", "-c", config) as gateway:
            taken = float(gateway.wait_for(r"asked 100 things in ([0-9.]+) s")[1])
        assert taken > 1.9, taken


def is_nothing_by_itself():
    outlet = os.path.join(os.path.dirname(PACKGATE), "packgate-outlet-print")
    for arguments, status in ((["--help"], 0), (["--version"], 0), ([], 2), (["nothing"], 2), (["print"], 2)):
        result = subprocess.run([outlet, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=PATIENCE)
        assert result.returncode == status and b"packgate" in result.stdout, (arguments, result)


def each_has_its_own_libraries_alone():
    def libraries(program):
        return subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE).stdout.decode()

    for name in ("mosquitto", "sqlite", "microhttpd", "curl", "ssl", "crypto", "gnutls", "seccomp"):
        assert f"lib{name}" not in libraries(PACKGATE), name
    # An outlet has no libraries that only another one needs: libcurl alone needs thirty.
    heavy = {"mosquitto", "sqlite3", "microhttpd", "curl", "modbus", "serialport"}
    own = {"history": {"sqlite3"}, "influx": {"curl", "sqlite3"}, "mqtt": {"mosquitto"}, "notify": {"curl", "sqlite3"},
           "present": set(), "print": set(), "web": {"microhttpd", "sqlite3"}}
    for kind, wanted in own.items():
        text = subprocess.run(["objdump", "-p", f"{os.path.dirname(PACKGATE)}/packgate-outlet-{kind}"], check=True,
                              stdout=subprocess.PIPE).stdout.decode()
        found = set(re.findall(r"NEEDED +lib(\w+)", text))
        assert found & heavy == wanted, (kind, found)


if __name__ == "__main__":
    main([a_stopped_one_holds_nobody_up, bad_ones_hold_nobody_up, one_that_asks_and_asks_is_slowed_down, a_reload_ends_a_stopped_one,
          gets_values_and_orders, tells_what_grew_old, has_nothing_of_the_gateway,
          is_started_again, hears_a_gateway_without_packs, a_reload_leaves_the_others_alone, ends_with_the_gateway, is_nothing_by_itself,
          each_has_its_own_libraries_alone], at_once=3)
