# SPDX-License-Identifier: MIT
"""`listen = yes`: a gateway beside another master, over TCP and a pty: it has the values of the master, sends no byte,
and reports silence. test_listener has all protocols, and frames in all pieces."""

import contextlib
import os
import random
import re
import selectors
import socket
import subprocess
import threading
import tty

from harness import Gateway, PACKGATE, await_value, exception_of, main, read_value, simulate, until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Tap(contextlib.AbstractContextManager):
    """A bus with a master: passes bytes between it and its packs, and sends a copy to listeners over TCP or a pty;
    counts the bytes that these send."""

    def __init__(self, target, pieces="whole", pty=False):
        host, port = target.removeprefix("tcp://").rsplit(":", 1)
        self.target, self.pieces, self.random = (host, int(port)), pieces, random.Random(1)
        self.master, self.taps = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        self.master_url, self.url = (f"tcp://127.0.0.1:{s.getsockname()[1]}" for s in (self.master, self.taps))
        self.listeners, self.peers, self.sent, self.passed, self.muted = [], {}, b"", 0, False
        self.pty = self.slave = None
        if pty:
            self.pty, self.slave = os.openpty()
            tty.setraw(self.slave)
            os.set_blocking(self.pty, False)
            self.url = "serial:" + os.ttyname(self.slave)
        self.stopping, self.waker = socket.socketpair()
        self.selector = selectors.DefaultSelector()
        for end in self.master, self.taps, self.stopping:
            self.selector.register(end, selectors.EVENT_READ)
        if pty:
            self.selector.register(self.pty, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            for key, _ in self.selector.select():
                end = key.fileobj
                if end is self.stopping:
                    return
                if end is self.master:
                    self._accept_master()
                elif end is self.taps:
                    listener, _ = self.taps.accept()
                    self.listeners.append(listener)
                    self.selector.register(listener, selectors.EVENT_READ)
                elif end == self.pty:
                    self.sent += os.read(self.pty, 4096)
                elif end in self.listeners:
                    data = end.recv(4096)
                    self.sent += data
                    if not data:
                        self.selector.unregister(end)
                        self.listeners.remove(end)
                elif end in self.peers:
                    self._pass(end)

    def _accept_master(self):
        client, _ = self.master.accept()
        server = socket.create_connection(self.target)
        for end, peer in (client, server), (server, client):
            self.peers[end] = peer
            self.selector.register(end, selectors.EVENT_READ)

    def _pass(self, end):
        data = end.recv(8192)
        if not data:
            for one in end, self.peers[end]:
                self.selector.unregister(one)
                del self.peers[one]
            return
        self.peers[end].sendall(data)
        self._give(data)

    def _give(self, data):
        """Sends a copy of the bytes to the listeners, in pieces."""
        self.passed += len(data)
        if self.muted:
            return
        if self.pieces == "whole":
            self._write(data)
        while data and self.pieces == "torn":
            size = self.random.randint(1, 40)
            self._write(data[:size])
            data = data[size:]

    def _write(self, data):
        if self.pty:
            try:
                os.write(self.pty, data)
            except BlockingIOError:
                pass  # nobody reads
        for listener in self.listeners:
            listener.sendall(data)

    def __exit__(self, *arguments):
        self.waker.send(b"x")
        self.thread.join()


def configuration(url, protocol, addresses, more="", line=""):
    lines = [f"[line bus]\nport = {url}\nprotocol = {protocol}\n{line}"]
    for unit, address in enumerate(addresses, 1):
        lines.append(f"[pack p{unit}]\nline = bus\naddress = {address}\nunit = {unit}\npoll = 300ms\n{more}")
    return "\n".join(lines)


def values(addresses):
    return ",".join(f"@{a}:{name}" for a in addresses
                    for name in (f"soc_percent={30 + 5 * a}", f"cell_mv.3={3200 + 10 * a}"))


def is_known(value):
    """The first values that a gateway publishes are not all of them."""
    return value is not None and value == value


def check_heard(protocol, addresses, pieces, pty=False):
    arguments = ["--count", str(len(addresses)), "--address", str(addresses[0])]
    packs, url = simulate(protocol, "profile=fixed,delay=2," + values(addresses), *arguments)
    with packs, Tap(url, pieces, pty) as tap:
        with Gateway(configuration(tap.master_url, protocol, addresses)) as master, master.client() as asked, \
             Gateway(configuration(tap.url, protocol, addresses, line="listen = yes\n")) as gateway, \
             gateway.client() as client:
            names = [f"p{n}" for n in range(1, len(addresses) + 1)]
            master.wait_published(*names)
            gateway.wait_published(*names)
            for unit, address in enumerate(addresses, 1):
                for name in "voltage_v", "soc_percent", "cell_mv.3", "cell_count":
                    expected = await_value(asked, name, unit, is_known)
                    await_value(client, name, unit, lambda value: is_known(value) and abs(value - expected) < 1e-3)
                assert abs(read_value(client, "soc_percent", unit) - (30 + 5 * address)) < 1
            if pty:
                descriptors = f"/proc/{gateway.process.pid}/fd"
                modes = [open(f"/proc/{gateway.process.pid}/fdinfo/{fd}").read() for fd in os.listdir(descriptors)
                         if os.readlink(f"{descriptors}/{fd}") == tap.url.removeprefix("serial:")]
                assert modes and all(int(re.search(r"flags:\s+(\d+)", mode)[1], 8) & os.O_ACCMODE == os.O_RDONLY
                                     for mode in modes), modes
            assert tap.sent == b"" and tap.passed > 500, tap.sent


def hears_a_modbus_master():
    check_heard("renogy", [1, 2, 3], "torn")


def hears_on_a_serial_port_that_it_cannot_write_to():
    check_heard("pace-modbus", [1, 2], "whole", pty=True)


def grows_old_when_nothing_passes():
    """The master's connection stalls: the values turn stale, the log reports it, and an order is rejected."""
    packs, url = simulate("renogy", "profile=fixed,delay=2", "--address", "48")
    with packs, Tap(url) as tap:
        with Gateway(configuration(tap.master_url, "renogy", [48])) as master, \
             Gateway(configuration(tap.url, "renogy", [48], "stale_after = 2s\n", "listen = yes\n")) as gateway, \
             gateway.client() as client:
            master.wait_published("p1")
            gateway.wait_published("p1")
            tap.muted = True
            gateway.wait_for(r"line bus: nothing was heard of p1 \(renogy, address 48\) for \d+ s")
            until(lambda: exception_of(client, 290, 8, 1), lambda code: code == 0x0B)  # a master on a busy host is silent now and then
            tap.muted = False
            gateway.wait_for(r"line bus: p1 answers again")
            assert tap.sent == b"", tap.sent


def check_says(text, *words):
    result = subprocess.run([PACKGATE, "check", "-"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for word in words:
        assert word in result.stdout, (word, result.stdout)
    return result.returncode


def documents_what_can_be_heard():
    """The list of `packgate check` is that of docs/listening.md; a device that advertises has no line to listen to."""
    text = "[line a]\nport = tcp://192.0.2.1:1\nlisten = yes\nprotocol = ant\n[pack a]\nline = a\nunit = 1\n"
    said = subprocess.run([PACKGATE, "check", "-"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    heard = set(re.search(r"these can: (.*)", said)[1].split(", ")) - {"victron-ble"}
    with open(os.path.join(ROOT, "docs", "listening.md")) as file:
        rows = re.search(r"## What can be heard\n(.*?)\n\n`packgate check`", file.read(), re.S)[1]
    named = {name for row in rows.splitlines()[3:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert named == heard, named ^ heard


def says_what_cannot_be_heard():
    line = "[line bus]\nport = tcp://192.0.2.1:4001\nlisten = yes\n"
    pack = "[pack p]\nline = bus\nunit = 1\nprotocol = "
    assert check_says(line + pack + "ant\n", "which protocol 'ant' cannot be", "these can: topbms, daren, daly") == 1
    assert check_says(line + pack + "auto\n", "where 'auto' cannot ask") == 1
    assert check_says(line + pack + "jk-pb\nwritable = yes\n", "nothing can be switched on it") == 1
    assert check_says(line.replace("tcp://192.0.2.1:4001", "sim:") + pack + "daly\n", "has no other master") == 1
    assert check_says(line + pack + "jk-pb\naddress = 0\n", "listens only", "no mistakes") == 0
    assert check_says(line.replace("listen = yes\n", "") + pack + "jk-pb\naddress = 0\n", "expected 1 to 247") == 1


main([grows_old_when_nothing_passes, hears_a_modbus_master,
      hears_on_a_serial_port_that_it_cannot_write_to, says_what_cannot_be_heard, documents_what_can_be_heard], at_once=3)
