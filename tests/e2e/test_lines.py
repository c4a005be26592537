# SPDX-License-Identifier: MIT
# tests/run: 20 s
"""Lines whose far ends behave oddly or maliciously: values stay right, readable values are read, and the gateway
neither hangs nor gives up."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading

from harness import (Exchange, Gateway, PATIENCE, PACKGATE, Standin, await_value, exception_of, main, read_value, simulate,
                     simulate_pty)

STALE = 0x0B
POLLS = 10  # cycles that are enough to believe that it goes on


def line(name, url, protocol="daly", more=""):
    return f"[line {name}]\nport = {url}\nprotocol = {protocol}\n{more}\n"


def pack(name, unit, more=""):
    return f"[pack {name}]\nline = {name}\nunit = {unit}\npoll = 100ms\n{more}\n"


def await_polls(client, unit, count=POLLS):
    start = read_value(client, "polls", unit)
    await_value(client, "polls", unit, lambda polls: polls >= start + count)


def relay(source, *targets):
    """Passes all bytes of one socket to some others, until it closes."""
    try:
        while data := source.recv(4096):
            for target in targets:
                target.sendall(data)
    except OSError:
        pass
    for target in targets:
        try:
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def bus_of(*urls):
    """Several emulated BMS on one RS485 line: each receives all requests."""
    def serve(connection):
        members = [socket.create_connection(url[len("tcp://"):].split(":")) for url in urls]
        for member in [connection, *members]:
            member.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for member in members:
            threading.Thread(target=relay, args=(member, connection), daemon=True).start()
        relay(connection, *members)
    return Standin(serve)


def flood(connection):
    data = os.urandom(65536)
    while True:
        connection.sendall(data)


def finds_the_host_that_a_board_listens_to():
    server, url = simulate("daly", "profile=fixed,voltage_v=53.2", "--variant", "bluetooth")
    text = line("a", url, more="reply_timeout = 50ms") + pack("a", 1)
    with server, Gateway(text) as gateway, gateway.client() as client:
        gateway.wait_published("a")
        await_polls(client, 1, 3)
        assert abs(read_value(client, "voltage_v", 1) - 53.2) < 1e-4


def says_that_replies_come_late():
    server, url = simulate("daly-d2", "profile=fixed,voltage_v=53.2,delay=700")
    text = line("a", url, "daly-d2", "reply_timeout = {}") + pack("a", 1)
    hint = r"line a: replies come (\d+\.\d) s after the request, later than reply_timeout = 0.3 s; " \
           r"set reply_timeout to at least (\d+\.\ds)"
    with server:
        with Gateway(text.format("300ms")) as gateway, gateway.client() as client:
            found = gateway.wait_for(hint)
            assert 0.7 <= float(found[1]), found[0]
            await_polls(client, 1, 2)
            assert abs(read_value(client, "voltage_v", 1) - 53.2) < 1e-4
            state = json.loads(subprocess.run([PACKGATE, "status", "--json", "-c", gateway.path], capture_output=True, text=True,
                                              check=True).stdout)
            assert state["lines"][0]["late_s"] >= 0.7, state["lines"]
            shown = subprocess.run([PACKGATE, "status", "-c", gateway.path], capture_output=True, text=True, check=True).stdout
            assert re.search(r"open, replies after \d+\.\d s", shown), shown
            gateway.stop()
            assert len([said for said in gateway.lines if "replies come" in said]) == 1, gateway.lines
        with Gateway(text.format(found[2])) as gateway, gateway.client() as client:
            await_polls(client, 1, 2)
            gateway.stop()
            assert not [said for said in gateway.lines if "replies come" in said], gateway.lines


def tells_noise_from_silence():
    def babble(connection):
        while connection.recv(4096):
            connection.sendall(bytes(range(0x20, 0x30)))

    with Standin(babble) as noisy, Standin(lambda connection: connection.recv(4096) and connection.recv(4096)) as silent:
        text = line("a", noisy.url, "jbd", "reply_timeout = 50ms") + pack("a", 1)
        text += line("b", silent.url, more="reply_timeout = 50ms") + pack("b", 2)
        with Gateway(text) as gateway:
            waiting = {"a (jbd)": "what comes in is none", "b (daly, address 1)": "check wiring"}
            while waiting:
                found = gateway.wait_for(r"no answer from (\w \(.*?\)) .*; (.*)")
                assert found[2].startswith(waiting.pop(found[1])), found[0]


def survives_a_flood():
    server, url = simulate("daly", "profile=fixed")
    with server, Standin(flood) as one, Standin(flood) as two, Standin(flood) as three:
        text = line("good", url) + pack("good", 9)
        for unit, bad in enumerate((one, two, three), 1):
            text += line(f"flood-{unit}", bad.url, more="reply_timeout = 50ms") + pack(f"flood-{unit}", unit)
        with Gateway(text) as gateway, gateway.client() as client:
            gateway.wait_published("good")
            await_polls(client, 9)
            await_value(client, "timeouts", 1, lambda count: count >= 2)
            await_polls(client, 9)
            assert exception_of(client, 290, 1, 1) == STALE


def speaks_two_protocols_on_one_line():
    first, first_url = simulate("daly", "profile=fixed,voltage_v=26.4,soc_percent=40", "--address", "3")
    second, second_url = simulate("jk-pb", "profile=fixed,voltage_v=53.1,soc_percent=70", "--address", "2")
    bus = bus_of(first_url, second_url)
    text = f"""
[line bus]
port = {bus.url}
reply_timeout = 5s
[pack one]
line = bus
protocol = daly
address = 3
unit = 1
poll = 100ms
[pack two]
line = bus
protocol = jk-pb
address = 2
unit = 2
poll = 100ms
"""
    with first, second, bus, Gateway(text) as gateway, gateway.client() as client:
        gateway.wait_published("one", "two")
        for _ in range(3):
            for unit, voltage, soc in (1, 26.4, 40), (2, 53.1, 70):
                await_polls(client, unit, 3)
                assert abs(read_value(client, "voltage_v", unit) - voltage) < 0.1001
                assert abs(read_value(client, "soc_percent", unit) - soc) < 0.5001
        assert max(read_value(client, "timeouts", unit) for unit in (1, 2)) <= 2  # the machine may be busy
        assert bus.connections == 1


def survives_an_adapter_with_a_loose_contact():
    with tempfile.TemporaryDirectory() as folder:
        link = f"{folder}/tty"
        text = line("a", f"serial:{link}") + pack("a", 1, "stale_after = 1h")
        with Gateway(text) as gateway, gateway.client() as client:
            gateway.wait_for("No such file or directory")
            for n in range(6):
                voltage = 50 + n / 2
                program = simulate_pty("daly", link, f"profile=fixed,voltage_v={voltage}")
                await_value(client, "polls", 1, lambda polls: polls > 0)
                # Unplugged again at once, or after some cycles.
                if n % 2:
                    await_polls(client, 1, 2)
                    await_value(client, "voltage_v", 1, lambda value: abs(value - voltage) < 1e-4)
                program.stop(signal.SIGKILL)
                if os.path.islink(link):
                    os.unlink(link)
            # No descriptor is leaked.
            descriptors = [os.readlink(f"/proc/{gateway.process.pid}/fd/{fd}")
                           for fd in os.listdir(f"/proc/{gateway.process.pid}/fd")]
            assert sum(name.startswith("/dev/pts/") for name in descriptors) <= 2, descriptors  # the port and its lock


def serves_a_bank_of_which_a_pack_is_still_to_be_found():
    server, url = simulate("daly", "profile=fixed")
    with server, Standin(flood) as noise:
        text = (line("found", url) + pack("found", 1) + line("searched", noise.url, "auto") + pack("searched", 2) +
                "[bank both]\npacks = found, searched\nunit = 100\n")
        with Gateway(text) as gateway, gateway.client() as client:
            gateway.wait_published("found")
            await_polls(client, 1)
            assert exception_of(client, 290, 1, 100) == STALE


def leaves_a_port_to_whom_has_it():
    with tempfile.TemporaryDirectory() as folder:
        link = f"{folder}/tty"
        text = line("a", f"serial:{link}") + pack("a", 1)
        with simulate_pty("daly", link, "profile=fixed"):
            with Gateway(text) as first:
                first.wait_published("a")
                with Gateway(text) as second:
                    second.wait_for("another program uses it")
                    first.stop()
                    second.wait_published("a")


def saves_its_state_however_often_it_is_told_to_end():
    server, url = simulate("daly", "profile=fixed,soc_percent=80")
    with server:
        for how in (signal.SIGTERM, signal.SIGINT):
            gateway = Gateway(line("a", url) + pack("a", 1))
            gateway.wait_published("a")
            for _ in range(20):
                gateway.process.send_signal(how)
            assert gateway.stop(how) == 0
            with open(f"{gateway.folder}/state") as file:
                assert "peak_percent = 80" in file.read()
            assert os.listdir(gateway.folder).count("state.tmp") == 0


def reads_a_pack_in_the_last_dialect():
    """A TopBMS that answers only VER 52 is first asked in six other ways, with two seconds for each."""
    path = os.path.join(os.path.dirname(__file__), "..", "captures", "topbms", "topbms-16s-alarms.exch")
    replies = {asked[7:9]: reply for asked, reply in Exchange(path).pairs}

    def answer(connection):
        heard = b""
        while True:
            data = connection.recv(4096)
            if not data:
                return
            *asked, heard = (heard + data).split(b"\r")
            for request in asked:
                if request.startswith(b"~520146"):
                    connection.sendall(replies.get(request[7:9], b""))

    with Standin(answer) as server:
        result = subprocess.run([PACKGATE, "read", "--port", server.url, "--protocol", "topbms"], stdout=subprocess.PIPE, timeout=PATIENCE)
        assert result.returncode == 0 and json.loads(result.stdout)["cell_count"] == 16, result


def reads_into_a_pipe_that_closes():
    """`packgate read --watch | head -1` exits."""
    server, url = simulate("daly", "profile=fixed")
    with server:
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
            file.write(line("a", url) + pack("a", 1))
            file.flush()
            reader = subprocess.Popen([PACKGATE, "read", "--watch", "-c", file.name], stdout=subprocess.PIPE)
            with reader.stdout as output:
                assert b'"voltage_v"' in output.readline()
            assert reader.wait(PATIENCE) == 1


main([reads_a_pack_in_the_last_dialect, says_that_replies_come_late, speaks_two_protocols_on_one_line,
      finds_the_host_that_a_board_listens_to, tells_noise_from_silence, survives_a_flood,
      survives_an_adapter_with_a_loose_contact, leaves_a_port_to_whom_has_it,
      serves_a_bank_of_which_a_pack_is_still_to_be_found, saves_its_state_however_often_it_is_told_to_end,
      reads_into_a_pipe_that_closes], at_once=4)
