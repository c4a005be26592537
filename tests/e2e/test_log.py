# SPDX-License-Identifier: MIT
"""A gateway whose log nobody reads, and one that was started without standard input, output and error."""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from harness import ModbusClient, PACKGATE, PATIENCE, await_value, main, read_value

PACK = "[line shed]\nport = sim:\nprotocol = topbms\ngap = 0s\n[pack house]\nline = shed\nunit = 1\npoll = 100ms\n"
F_SETPIPE_SZ = 1031


def go_on(client, cycles):
    polls = read_value(client, "polls", 1)
    await_value(client, "polls", 1, lambda count: count >= polls + cycles)


class Unread(contextlib.AbstractContextManager):
    """`packgate run --debug` on a pipe that holds a single page; read only where a test says so."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="packgate-test-")
        self.path = os.path.join(self.folder, "packgate.ini")
        self.write(PACK)
        ours, theirs = os.pipe()
        fcntl.fcntl(theirs, F_SETPIPE_SZ, 4096)
        self.process = subprocess.Popen([PACKGATE, "run", "--debug", "-c", self.path], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        self.log = os.fdopen(ours, errors="replace")
        self.port = int(self.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f"[gateway]\nlisten = 127.0.0.1:0\nstate_file = {self.folder}/state\n{text}")

    def wait_for(self, pattern):
        for line in self.log:
            match = re.search(pattern, line)
            if match:
                return match
        raise AssertionError(f"the log ends without {pattern!r}")

    def __exit__(self, *arguments):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder)


def polls_and_answers_while_nobody_reads():
    with Unread() as gateway, ModbusClient(gateway.port) as client:
        go_on(client, 20)  # two frames each, of more bytes than the pipe holds
        gateway.wait_for(r"^[-\d]{10} [:\d]{8} warning: \d+ lines of the log were lost")
        gateway.wait_for(r"^[-\d]{10} [:\d]{8} debug: line shed: >")
        go_on(client, 20)


def ends_while_nobody_reads():
    with Unread() as gateway, ModbusClient(gateway.port) as client:
        go_on(client, 20)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(PATIENCE) == 0


def reloads_while_nobody_reads():
    with Unread() as gateway, ModbusClient(gateway.port) as client:
        go_on(client, 20)
        gateway.write(PACK + "".join(f"mistake-{n} = {n}\n" for n in range(200)))
        gateway.process.send_signal(signal.SIGHUP)
        go_on(client, 20)
        gateway.write(PACK.replace("unit = 1", "unit = 2"))
        gateway.process.send_signal(signal.SIGHUP)
        await_unit(client, 2)


def await_unit(client, unit):
    while client.read_holding_registers(400, count=1, slave=unit).isError():
        pass


def opens_what_was_closed():
    """Messages must not be written to sockets or ports."""
    with tempfile.TemporaryDirectory(prefix="packgate-test-") as folder, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        path = folder + "/packgate.ini"
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"[gateway]\nlisten = 127.0.0.1:0\nstate_file = none\n{PACK}")
        # Its reports to the service manager show that it runs.
        ready.bind(folder + "/ready")
        ready.settimeout(PATIENCE)
        process = subprocess.Popen(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", PACKGATE, "run", "-c", path],
                                   env={**os.environ, "NOTIFY_SOCKET": folder + "/ready"})
        try:
            while b"READY=1" not in ready.recv(4096):
                pass
            for number in range(3):
                assert os.readlink(f"/proc/{process.pid}/fd/{number}") == "/dev/null", number
        finally:
            process.terminate()
            status = process.wait(PATIENCE)
        assert status == 0, status


main([polls_and_answers_while_nobody_reads, ends_while_nobody_reads, reloads_while_nobody_reads, opens_what_was_closed])
