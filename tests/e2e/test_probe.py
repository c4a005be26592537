# SPDX-License-Identifier: MIT
# tests/run: 125 s
"""`packgate probe` against emulated BMS of every protocol, at usual and unusual addresses, over TCP and a pty: it
names the protocol, prints a configuration with which the right values are read, and sends only requests that read."""

import concurrent.futures
import contextlib
import glob
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile

from harness import Exchange, Gateway, PACKGATE, PATIENCE, Program, Standin, await_value, main, protocols

AT_A_TIME = 12  # short ones at a time, beside all of the long ones

# Allowed requests, by the protocol sheets. JK-PB is asked for a record by writing to the register that triggers it.
READS = {
    "daly": rb"\xA5[\x40-\x4F\x80][\x90\x91\x93-\x98\x50\x59-\x5B\x5E\x5F\x62\x63]\x08\x00{8}.",
    "daly-d2": rb"\xD2\x03.{6}",
    "daly-p81": rb"[\x81-\x90]\x03.{6}",
    "daly-sinowealth": rb"\x0A[\x01-\x17][\x02\x04]",
    "jbd": rb"\xDD\xA5[\x03\x04\x05]\x00..\x77",
    "jbd-addressed": rb"\xDD[\x00-\x1F]\xA5[\x03\x04]\x00..\x77",
    "jbd-up": rb"[\x01-\x20]\x78(\x10\x00\x10|\x1C\x00\x1C)\xA0\x00\x00..",
    "jk-pb": rb"[\x01-\x0F]\x10\x16[\x1C\x1E\x20]\x00\x01\x02\x00\x00..",
    "jk-4e57": rb"\x4E\x57\x00\x13.{4}[\x01\x03\x06]\x03\x00.{10}",
    "jk02": rb"\xAA\x55\x90\xEB[\x96\x97]\x00{14}.",
    "jk-balancer": rb"\x55\xAA[\x01-\xFE]\xFF\x00\x00.",
    "daren": rb"~22[0-9A-F]{2}4A(42|47|51|B0)[0-9A-F]{8,18}\r",
    "topbms": rb"~[0-9A-F]{6}(42|44|51|92|93|C1|C2|E9|F1)[0-9A-F]{8,10}\r",
    "seplos-v3": rb"[\x00-\x0F](\x04(\x10\x00\x00\x11|\x11\x00\x00\x1A|\x13[\x00\x35]\x00\x35|\x17\x00\x00\x33)"
                 rb"|\x01\x12\x00\x00\x90)..",
    "pace-modbus": rb"[\x01-\x0F]\x03\x00(\x00\x00[\x25\x3B]|\x3C\x00\x2F|\x96\x00\x1E|\xAA\x00\x23)..",
    "eg4-ll": rb"[\x01-\x10]\x03\x00(\x00\x00\x27|\x69\x00\x17)..",
    "felicity": rb"[\x01-\x1F]\x03(\x13(\x02\x00\x0A|\x2A\x00\x18|\x1C\x00\x04)|\xF8(\x04\x00\x05|\x0B\x00\x01))..",
    "renogy": rb"[\x01-\xF7]\x03\x13(\x88\x00\x22|\xB2\x00\x07|\xB9\x00\x04|\xF0\x00\x1C)..",
    "ant": rb"\x7E\xA1(\x01\x00\x00\xBE\x18\x55|\x02\x6C\x02\x20\x58\xC4)\xAA\x55",
    "ant-old": rb"\x5A\x5A\x00\x00(\x01\x01|\x00\x00)",
    "pylon-console": rb"(pwr|bat|stat|info)( \d+)?\r\n",
    "vedirect-hex": rb":(154|451|7[0-9A-F]{4}00[0-9A-F]{2})\n",
}


def recorded_requests():
    """(protocol, request) of protocols without a row above that are polled: those that only talk have no requests in
    a recording."""
    for row in protocols():
        if row["name"] not in READS and not row["wants_map"] and not row["advertises"]:
            pairs = [pair for path in glob.glob(f"tests/captures/{row['name']}/*.exch") for pair in Exchange(path).pairs]
            if all(request for request, _ in pairs):
                yield from ((row["name"], request) for request, _ in pairs)


RECORDED = list(recorded_requests())


def differs_in(one, other):
    return sum(a != b for a, b in zip(one, other))


def forms_of(request):
    """(protocol, size) of each kind of reading request that begins with these bytes."""
    for name, form in READS.items():
        match = re.match(form, request, re.S)
        if match:
            yield name, match.end()
    for name, recorded in RECORDED:
        # Except the address and the checksum: one byte and two, or twice as many digits.
        if len(request) >= len(recorded) and differs_in(request, recorded) <= (8 if recorded[:1] == b"~" else 3):
            yield name, len(recorded)


def protocols_of(request):
    """The protocol of a reading request, or of each one if a busy machine read several at once; None: not a reading
    request."""
    if not request:
        return []
    for name, size in forms_of(request):
        rest = protocols_of(request[size:])
        if rest is not None:
            return [name, *rest]
    return None


def check_reads(requests):
    """Checks that each request only reads; returns their protocols."""
    seen = set()
    for request in requests:
        protocols = protocols_of(request)
        assert protocols, f"{request.hex(' ')} is no read request"
        seen.update(protocols)
    return seen


class Relay(Standin):
    """A bus: passes bytes between TCP servers and its client and records what the client sends; without a server it
    is silent."""

    def __init__(self, *targets):
        self.targets = [(target.rsplit(":", 1)[0].removeprefix("tcp://"), int(target.rsplit(":", 1)[1]))
                        for target in targets]
        self.requests = []
        super().__init__()

    def talk(self, client):
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(socket.create_connection(target)) for target in self.targets]
            while True:
                for end in select.select([client, *servers], [], [])[0]:
                    data = end.recv(8192)
                    if not data:
                        return
                    if end is client:
                        self.requests.append(data)
                    for peer in servers if end is client else [client]:
                        peer.sendall(data)


def probe(*arguments):
    return subprocess.run([PACKGATE, "probe", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=3 * PATIENCE)


# ---- what is found ----

TOLERANCES = {"voltage_v": 0.06, "current_a": 0.06, "soc_percent": 0.6}


def emulator(case, *where):
    protocol, address, variant, options = case
    arguments = [PACKGATE, "simulate", "--protocol", protocol, "--options",
                 ",".join(filter(None, ["profile=fixed,current_a=-7,soc_percent=62,delay=0", options]))]
    arguments += ["--address", str(address)] if address is not None else []
    arguments += ["--variant", variant] if variant else []
    return arguments + list(where)


def await_near(client, name, unit, expected, tolerance):
    """The vital part of a pack is published first, the rest follows."""
    await_value(client, name, unit, lambda value: value is not None and abs(value - expected) <= tolerance)


def compare(case, client):
    """Compares the values that the gateway reads by the printed configuration with those of the emulator."""
    told = json.loads(subprocess.run(emulator(case, "--print-values"), stdout=subprocess.PIPE, check=True).stdout)
    for name, tolerance in TOLERANCES.items():
        if name == "voltage_v" or case[0] != "jk-balancer":
            await_near(client, name, 1, told[name], tolerance)
    if case[0].startswith("vedirect"):
        return
    for cell in range(1, told["cell_count"] + 1):
        await_near(client, f"cell_mv.{cell}", 1, told[f"cell_mv.{cell}"], 100 if case[0] == "renogy" else 1)


def check_found(case, port):
    result = probe(port)
    assert result.returncode == 0, result
    assert re.search(rf"\nprotocol = {re.escape(case[0])}( \w+)?\n", result.stdout), result.stdout
    if case[1] is not None:
        assert f"\naddress = {case[1]}\n" in result.stdout, result.stdout
    with Gateway(result.stdout) as gateway, gateway.client() as client:
        gateway.wait_published("pack-1")
        compare(case, client)


def check_over_tcp(case):
    with Program(*emulator(case, "--tcp", "127.0.0.1:0")) as program:
        with Relay(program.wait_for(r"(tcp://127\.0\.0\.1:\d+)")[1]) as relay:
            check_found(case, relay.url)
            check_reads(relay.requests)


def check_over_pty(case):
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "bms")
        with Program(*emulator(case, f"--pty={link}")) as program:
            program.wait_for("pty")
            check_found(case, "serial:" + link)


# Protocol, address, variant, further options of the emulator.
CASES = [
    ("daly", 1, "rs485", ""),
    ("daly", 1, "bluetooth", "echo=1"),
    ("daly-d2", None, None, ""),
    ("daly-p81", 1, None, "echo=1"),
    ("daly-p81", 4, None, ""),
    ("daly-sinowealth", None, None, "cells=8"),
    ("jbd", None, None, "first_lost=1"),
    ("jbd-addressed", 0, None, ""),
    ("jbd-addressed", 1, None, ""),
    ("jbd-up", 1, None, ""),
    ("jk-pb", 1, None, ""),
    ("jk-pb", 15, None, ""),
    ("jk-4e57", None, None, ""),
    ("jk02", None, None, ""),
    ("jk-balancer", 1, None, "echo=1"),
    ("topbms", 1, "topbms", "first_lost=1"),
    ("topbms", 1, "topband", ""),
    ("topbms", 0, "pace", ""),
    ("topbms", 0, "seplos", "echo=1"),
    ("topbms", 2, "pylontech", ""),
    ("topbms", 1, "eg4", ""),
    ("daren", 1, None, "echo=1"),
    ("seplos-v3", 0, None, ""),
    ("seplos-v3", 2, None, "echo=1"),
    ("pace-modbus", 1, None, ""),
    ("pace-modbus", 2, None, "cells=20"),
    ("eg4-ll", 1, None, ""),
    ("eg4-ll", 16, None, "echo=1"),
    ("felicity", 1, None, ""),
    ("renogy", 247, None, ""),
    ("renogy", 48, None, ""),
    ("ant", None, None, ""),
    ("ant-old", None, None, "echo=1"),
    ("pylon-console", 1, None, ""),
    ("vedirect", None, None, ""),
    ("vedirect-hex", None, None, ""),
]
# Protocols without special rows.
CASES += [(row["name"], row.get("address", {}).get("default"), None, "") for row in protocols()
          if not row["wants_map"] and not row["advertises"] and row["name"] not in {case[0] for case in CASES}]
PTY_CASES = [("jbd", None, None, ""), ("jk-pb", 3, None, "")]


# ---- what is not ----

def check_silent(port, pattern):
    result = probe(port)
    assert result.returncode == 1 and result.stdout == "", result
    assert re.search(pattern, result.stderr), result.stderr


def check_silence(_):
    with Relay() as relay:
        check_silent(relay.url, r"nothing answered; is the BMS awake.*\n"
                     r"tried topbms at address 0 to 2; daren at address 1; daly at address 1; .*jk02.*\n"
                     r"not tried: other addresses \(--all tries more\); other baud rates.*; protocol modbus.*\n"
                     rf"to try another address: packgate read --port {relay.url} --protocol NAME --address N\n$")
        seen = check_reads(relay.requests)
    asked = set(READS) | {name for name, _ in RECORDED}
    assert seen == asked, asked - seen


def check_echo(_):
    with Program(*emulator(("jbd", None, None, "silent=1,echo=1"), "--tcp", "127.0.0.1:0")) as program:
        check_silent(program.wait_for(r"(tcp://127\.0\.0\.1:\d+)")[1], r"only the requests' own echo")


# ---- all packs on a port ----

def cell(protocol, address, n):
    """Each emulated pack of a bus has its own cell voltages."""
    return 3100 + 5 * address + len(protocol) + n


def bus_case(protocol, address, variant=None):
    return protocol, address, variant, ",".join(f"cell_mv.{n}={cell(protocol, address, n)}" for n in range(1, 17))


def check_all(bus):
    """Finds each pack of a bus of several protocols and dialects, at usual and at unusual addresses, once; the
    printed configuration reads each of them."""
    programs = [Program(*emulator(case, "--tcp", "127.0.0.1:0")) for case in bus]
    try:
        with Relay(*(program.wait_for(r"(tcp://127\.0\.0\.1:\d+)")[1] for program in programs)) as relay:
            result = probe("--all", relay.url)
            assert result.returncode == 0, result
            found = re.findall(r"^protocol = (\S+)\naddress = (\d+)$", result.stdout, re.M)
            assert sorted(found) == sorted((case[0], str(case[1])) for case in bus), result.stdout
            assert "at the usual addresses; trying all others" in result.stderr, result.stderr
            check_reads(relay.requests)
            with Gateway(result.stdout) as gateway, gateway.client() as client:
                gateway.wait_published(*(f"pack-{n}" for n in range(1, len(bus) + 1)))
                for unit, (protocol, address) in enumerate(found, 1):
                    await_near(client, "cell_mv.7", unit, cell(protocol, int(address), 7), 100 if protocol == "renogy" else 1)
    finally:
        for program in programs:
            program.stop()


# All at the same time: all addresses of each answering protocol are tried twice, so they are distributed.
BUSES = [
    [bus_case("topbms", 1, "pace"), bus_case("topbms", 2, "pace"), bus_case("topbms", 13, "seplos"), bus_case("daren", 9)],
    [bus_case("renogy", 51), bus_case("renogy", 49), bus_case("daly-p81", 1), bus_case("daly-p81", 9)],
    [bus_case("jk-pb", 1), bus_case("jk-pb", 15), bus_case("eg4-ll", 7), bus_case("pace-modbus", 11)],
    [bus_case("jbd-addressed", 30), bus_case("jbd-addressed", 0), bus_case("jk-balancer", 3)],
    [bus_case("seplos-v3", 14), bus_case("jbd-up", 6), bus_case("felicity", 12)],
]


def check_alone(_):
    """A pack without an address has its own line; a file is written but not overwritten; names of an existing
    configuration are not used again."""
    with tempfile.TemporaryDirectory() as folder, Program(*emulator(("jbd", None, None, ""), "--tcp", "127.0.0.1:0")) as jbd:
        url, path = jbd.wait_for(r"(tcp://127\.0\.0\.1:\d+)")[1], os.path.join(folder, "found.ini")
        result = probe("--output", path, url)
        assert result.returncode == 0 and result.stdout == "" and "1 pack written" in result.stderr, result
        assert "probe --all " + url in result.stderr, result.stderr
        checked = subprocess.run([PACKGATE, "check", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert checked.returncode == 0 and "1 pack, no mistakes" in checked.stdout, checked
        assert probe("--output", path, url).returncode == 2
        # The first pack replaces the example of the installed file.
        result = probe("-c", "conf/packgate.ini", url)
        assert result.returncode == 0 and re.search(r"^unit = 1$", result.stdout, re.M), result
        other = os.path.join(folder, "other.ini")
        with open(other, "w") as file:
            file.write("[line line-1]\nport = sim:\nprotocol = daly\n[pack pack-1]\nline = line-1\nunit = 1\n"
                       "[pack pack-3]\nline = line-1\naddress = 3\nunit = 2\n[bank pack-2]\npacks = pack-1\nunit = 4\n")
        result = probe("-c", other, url)
        assert re.search(r"\[line line-2\]\nport = \S+\n\n\[pack pack-4\]\nline = line-2\nprotocol = jbd\nunit = 3\n$",
                         result.stdout), result.stdout
        both = subprocess.run([PACKGATE, "check", "-"], input=open(other).read() + result.stdout, stdout=subprocess.PIPE,
                              text=True)
        assert both.returncode == 0, both
        with open(other, "a") as file:
            file.write(f"[line shed]\nport = {url}\n[pack shed]\nline = shed\nprotocol = jbd\nunit = 9\n")
        result = probe("-c", other, url)
        assert "[line shed] exists already" in result.stdout and "exists already: [pack shed]" in result.stdout, result
        assert "\nport =" not in result.stdout, result.stdout


def check_interrupted(_):
    """Ctrl-C keeps the results so far."""
    with Program(*emulator(("topbms", 1, "pace", ""), "--tcp", "127.0.0.1:0")) as pack:
        search = subprocess.Popen([PACKGATE, "probe", "--all", pack.wait_for(r"(tcp://127\.0\.0\.1:\d+)")[1]],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        said = search.stderr.readline()
        assert said.startswith("found topbms at address 1: "), said
        search.send_signal(signal.SIGINT)
        out, said = search.communicate(timeout=PATIENCE)
        assert search.returncode == 0 and "\nprotocol = topbms\naddress = 1\nunit = 1\n" in out, out
        assert "stopped before everything was tried\ntried topbms at address " in said, said
        assert re.search(r"^not tried: .*\bpylon-console\b.*; other addresses; ", said, re.M), said


# ---- many of them at a time: they mostly wait ----

def start(pool, check, cases):
    return {pool.submit(check, case): (check, case) for case in cases}


def finish(jobs):
    """A search waits for a pack as long as a real one needs, which may be too short if many emulators share a busy
    machine: a pack that was not found among the others is searched again, alone."""
    concurrent.futures.wait(ALL)
    for check, case in [jobs[job] for job in jobs if job.exception()]:
        check(case)


LONG = concurrent.futures.ThreadPoolExecutor(len(BUSES) + 1)
SHORT = concurrent.futures.ThreadPoolExecutor(AT_A_TIME)
ALL_JOBS = start(LONG, check_all, BUSES)
ALONE_JOBS = start(LONG, check_alone, ["alone"])
INTERRUPTED_JOBS = start(SHORT, check_interrupted, ["interrupted"])
SILENT_JOBS = start(SHORT, check_silence, ["silence"])
ECHO_JOBS = start(SHORT, check_echo, ["echo"])
PTY_JOBS = start(SHORT, check_over_pty, PTY_CASES)
TCP_JOBS = start(SHORT, check_over_tcp, CASES)
ALL = [*ALL_JOBS, *ALONE_JOBS, *INTERRUPTED_JOBS, *TCP_JOBS, *PTY_JOBS, *SILENT_JOBS, *ECHO_JOBS]


def finds_every_protocol():
    finish(TCP_JOBS)


def finds_on_a_serial_port():
    finish(PTY_JOBS)


def asks_all_and_only_reads():
    finish(SILENT_JOBS)


def tells_an_echo_from_an_answer():
    finish(ECHO_JOBS)


def finds_every_pack_of_a_bus():
    finish(ALL_JOBS)


def writes_what_fits_beside_what_is_there():
    finish(ALONE_JOBS)


def keeps_what_was_found_when_interrupted():
    finish(INTERRUPTED_JOBS)


def lists_the_ports_there_are():
    result = probe()
    assert result.returncode == 0 and result.stderr == "", result
    for port in re.findall(r"^serial:(\S+)", result.stdout, re.M):
        assert os.path.exists(port), port
    assert re.search(r"^serial:/dev/|^no serial port found: ", result.stdout, re.M), result.stdout
    assert "packgate probe tcp://HOST:PORT" in result.stdout, result.stdout


def lists_no_ports_of_the_host_of_a_container():
    """They are in /sys, but only devices that were passed on can be opened."""
    inside = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev && exec "$0" probe', PACKGATE]
    said = subprocess.run(inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    if "unshare: " not in said.stderr:
        assert said.stdout.startswith("no serial port found: "), said


def says_why_a_port_does_not_open():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    check_silent(f"tcp://127.0.0.1:{port}", r"refused")
    check_silent("serial:/dev/packgate-has-none", r"No such file.*\n$")
    # A port of another user.
    master, other = os.openpty()
    with tempfile.TemporaryDirectory(prefix="packgate-probe-") as folder:
        os.chmod(folder, 0o755)
        os.chmod(os.ttyname(other), 0 if os.geteuid() else 0o600)
        program = shutil.copy(PACKGATE, folder)
        result = subprocess.run([program, "probe", f"serial:{os.ttyname(other)}"], user=65534 if os.geteuid() == 0 else None, cwd="/",
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert result.returncode == 1 and result.stderr.endswith("this user may not open it; add the user to its group, usually dialout\n"), result
    os.close(master)
    os.close(other)


def refuses_wrong_calls():
    for wrong in ["--all"], ["tcp://127.0.0.1"], ["--baud", "x", "tcp://127.0.0.1:1"], ["nothing"]:
        result = subprocess.run([PACKGATE, "probe", *wrong], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert result.returncode == 2 and result.stderr, (wrong, result)


main([finds_every_protocol, finds_on_a_serial_port, asks_all_and_only_reads, tells_an_echo_from_an_answer,
      finds_every_pack_of_a_bus, writes_what_fits_beside_what_is_there, keeps_what_was_found_when_interrupted,
      lists_the_ports_there_are, lists_no_ports_of_the_host_of_a_container, says_why_a_port_does_not_open, refuses_wrong_calls])
