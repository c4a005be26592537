# SPDX-License-Identifier: MIT
# tests/run: 35 s
"""A gateway that is stopped while orders arrive by each possible way: none of these orders is executed, whether its
program still waits or has left. All clients are disconnected, and later orders are executed as usual."""

import json
import os
import signal
import socket
import struct
import time

from control_harness import run
from harness import Gateway, PATIENCE, await_value, free_port, main
from web_harness import read_all

PACK = "[line {0}]\nport = sim:profile=fixed\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {1}\npoll = 200ms\nwritable = yes\n"
TUNNEL = "[tunnel {0}]\nlisten = 127.0.0.1:{1}\nshare = {2}\n"
PACKS = "modbus", "hand", "shared", "own"  # one for each way
COIL = 1


def daly(command, data):
    frame = bytes([0xA5, 0x40, command, 8]) + data.ljust(8, b"\0")
    return frame + bytes([sum(frame) & 0xFF])


OFF = daly(0xD9, b"\0")  # the discharge MOS
ORDERS = {"modbus": struct.pack(">HHHBBHH", 1, 0, 6, 1, 5, COIL, 0),
          "hand": json.dumps({"ask": "send", "line": "hand", "bytes": OFF.hex()}).encode() + b"\n", "shared": OFF, "own": OFF}


class Stopped(Gateway):
    def __init__(self):
        self.places = {name: free_port() for name in ("shared", "own")}
        text = "".join(PACK.format(name, unit) for unit, name in enumerate(PACKS, 1))
        text += "".join(TUNNEL.format(name, self.places[name], share) for name, share in (("shared", "yes"), ("own", "no")))
        super().__init__(text, "allow_write = 127.0.0.1")
        self.wait_published(*PACKS)
        for name in self.places:
            run("tunnel", "-c", self.path, name, "--for", "10m")

    def connect(self, way):
        if way == "hand":
            link = socket.socket(socket.AF_UNIX)
            link.settimeout(PATIENCE)
            link.connect(os.path.join(self.folder, "control"))
            return link
        return socket.create_connection(("127.0.0.1", self.port if way == "modbus" else self.places[way]), PATIENCE)

    def await_polls(self):
        """The switch states after each pack was polled some times from now on."""
        with self.client() as client:
            for unit in range(1, len(PACKS) + 1):
                polls = await_value(client, "polls", unit, lambda count: count is not None)
                await_value(client, "polls", unit, lambda count: count is not None and count > polls + 5)
            return [await_value(client, "discharge_mos", unit, lambda on: on is not None) for unit in range(1, len(PACKS) + 1)]


def stop(process):
    process.send_signal(signal.SIGSTOP)
    while True:
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "T":
                return


def carries_nothing_out(seconds, stays, connected):
    """`stays`: the program waits for the result; else it leaves. `connected`: it was connected before the stop."""
    with Stopped() as gateway:
        clients = {way: gateway.connect(way) for way in ORDERS} if connected else {}
        if connected:
            gateway.wait_for("tunnel own: .* is connected to line own")
        stop(gateway.process)
        try:
            for way, order in ORDERS.items():
                clients.setdefault(way, None)
                clients[way] = clients[way] or gateway.connect(way)
                clients[way].sendall(order)
                if not stays:
                    clients[way].close()
            time.sleep(seconds)  # the stop is what is tested
        finally:
            gateway.process.send_signal(signal.SIGCONT)
        if stays:
            assert [read_all(client) for client in clients.values()] == [b""] * len(ORDERS)
        gateway.wait_for("orders from that time are discarded")
        assert gateway.await_polls() == [1] * len(PACKS)
        for way, order in ORDERS.items():
            client = gateway.connect(way)
            client.sendall(order)
            assert client.recv(1)  # it is executed and answered
            client.close()
        assert gateway.await_polls() == [0] * len(PACKS)


def nothing_of_those_that_wait():
    carries_nothing_out(4, True, True)


def nothing_of_those_that_have_gone():
    carries_nothing_out(12, False, True)


def nothing_of_those_that_came_meanwhile():
    carries_nothing_out(12, True, False)


def nothing_of_those_that_came_and_went():
    carries_nothing_out(4, False, False)


main([nothing_of_those_that_have_gone, nothing_of_those_that_came_meanwhile, nothing_of_those_that_wait,
      nothing_of_those_that_came_and_went], at_once=4)
